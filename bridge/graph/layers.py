"""The layers that the importer has built so far."""

from dataclasses import dataclass, field, replace

from signbit.bridge.graph.fold import Certificate
from signbit.bridge.graph.source import InputSlot, Slot
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.layer import Layer
from signbit.qmodel.value import Shape, Value, size_of

VALUES_MAX = 1 << 22
"""The largest output of a layer."""


@dataclass(frozen=True, eq=False)
class Built:
    """A layer, the slots that it reads, and how it rounds; None where it rounds nothing."""

    layer: Layer
    reads: tuple[Slot, ...]
    certificate: Certificate | None
    output: Value


@dataclass
class Layers:
    """`notes` are for the user: what was done that the graph does not show."""

    input: InputSlot
    built: list[Built] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def emit(self, layer: Layer, reads: tuple[Slot, ...], certificate: Certificate | None = None) -> Slot:
        """Append a layer; returns its output."""
        value = layer.output(*(slot.value for slot in reads))
        check_size(value.shape)
        self.built.append(Built(layer, reads, certificate, value))
        return Slot(len(self.built), value)

    def counted_back(self, reads: tuple[Slot, ...]) -> tuple[int, ...]:
        """The slots as the next layer's `inputs`."""
        return tuple(slot.number - len(self.built) - 1 for slot in reads)

    def needed(self) -> list[Built]:
        """What was built, without what nothing reads, the layers' `inputs` set."""
        needed = {len(self.built)}
        for number in range(len(self.built), 0, -1):
            if number in needed:
                needed |= {slot.number for slot in self.built[number - 1].reads}
        kept = sorted(needed - {0})
        places = {0: 0} | {number: place for place, number in enumerate(kept, 1)}
        result = []
        for number in kept:
            built = self.built[number - 1]
            inputs = tuple(places[slot.number] - places[number] for slot in built.reads)
            result.append(replace(built, layer=replace(built.layer, inputs=inputs)))
        return result


def check_size(shape: Shape) -> None:
    """Raises SignbitError for an output that would fill the memory."""
    if size_of(shape) > VALUES_MAX:
        raise SignbitError(f"gives {size_of(shape):,} values; at most {VALUES_MAX:,} have an integer form")
