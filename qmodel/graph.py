"""Which layer reads which values: value 0 is the model's input, value i + 1 the output of layer i."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

Array = TypeVar("Array")


@dataclass(frozen=True)
class Graph:
    """`sources` are the numbers of the values that each layer reads."""

    sources: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, layers: Sequence) -> "Graph":
        """From the layers' `inputs`, which count back from the layer: -1 is the value directly before it."""
        return cls(tuple(tuple(index + 1 + back for back in layer.inputs) for index, layer in enumerate(layers)))

    @property
    def unread(self) -> list[int]:
        """Values that no layer reads; the last layer's output is not one of them."""
        return sorted(set(range(len(self.sources))) - {source for sources in self.sources for source in sources})

    @property
    def last_readers(self) -> tuple[int, ...]:
        """For each value the last layer that reads it; for the last layer's output the number of layers."""
        readers = {source: index for index, sources in enumerate(self.sources) for source in sources}
        return (*(readers[value] for value in range(len(self.sources))), len(self.sources))

    def outputs(self, first: Array, run: Callable[[int, list[Array]], Array]) -> Iterator[Array]:
        """Each layer's output in turn, `run(layer, its inputs)`; a value is kept until its last reader has run."""
        last_readers, kept = self.last_readers, {0: first}
        for index, sources in enumerate(self.sources):
            output = run(index, [kept[source] for source in sources])
            yield output
            kept = {value: array for value, array in kept.items() if last_readers[value] > index}
            kept[index + 1] = output

    def result(self, first: Array, run: Callable[[int, list[Array]], Array]) -> Array:
        """The last layer's output; the others are freed as `outputs` says."""
        last = deque(self.outputs(first, run), maxlen=1)
        return last.pop()
