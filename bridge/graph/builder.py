"""Collects the layers of the integer model while the importer walks over the graph."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from signbit.bridge.graph import fold
from signbit.bridge.graph.fold import Certificate, Line
from signbit.bridge.graph.tensor import (
    ON_GRID,
    STEPS,
    InputSlot,
    Pending,
    Rounding,
    Slot,
    Stairs,
    Sum,
    Tensor,
    canonical,
)
from signbit.qmodel import integer
from signbit.qmodel.activations import Requantize
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.input_quantization import InputQuantization
from signbit.qmodel.integer import MULTIPLIER_MAX, SHIFT_MAX
from signbit.qmodel.layer import Layer
from signbit.qmodel.layers import Dense, DepthwiseConv2D
from signbit.qmodel.merge import Add
from signbit.qmodel.value import Encoding, Shape, Value, size_of
from signbit.qmodel.window import PLAIN

LEVELS_MAX = 256
CALIBRATED_LEVELS = 127
"""The highest level of a float ReLU that was calibrated."""
COMBINATIONS_MAX = 1 << 22
"""Combinations of inputs of an addition that are compared."""


@dataclass(frozen=True, eq=False)
class Built:
    """A layer, the slots that it reads, and how it rounds; None where it rounds nothing."""

    layer: Layer
    reads: tuple[Slot, ...]
    certificate: Certificate | None
    output: Value


@dataclass
class Builder:
    """`allow_rounding`: means become whole numbers although the graph does not round them.

    `range_of` gives the real number that the highest level of a float ReLU is worth; None where none was calibrated.
    """

    input: InputSlot
    allow_rounding: bool = False
    range_of: Callable[[Tensor], float] | None = None
    takes_counts: bool = False
    """The graph's input are a sensor's counts, which only `input_quantization` may read."""
    input_quantization: InputQuantization | None = None
    built: list[Built] = field(default_factory=list)
    input_shift: int = 0
    notes: list[str] = field(default_factory=list)
    _settled: dict[tuple[int, ...], tuple[Tensor, Tensor]] = field(default_factory=dict)

    def emit(self, layer: Layer, reads: tuple[Slot, ...], certificate: Certificate | None = None) -> Slot:
        """Append a layer; returns its output."""
        value = layer.output(*(slot.value for slot in reads))
        self.built.append(Built(layer, reads, certificate, value))
        return Slot(len(self.built), value)

    # -- what a layer reads --------------------------------------------------------------------------------------

    def settled(self, tensor: Tensor) -> Tensor:
        """The tensor as a value that a layer can read: its source is a slot, and it has no stairs."""
        # two tensors may share their fields; they are kept, so that no other gets their ids
        key = tuple(id(each) for each in (tensor.source, tensor.order, tensor.gain, tensor.offset, tensor.stairs))
        found = self._settled.get(key)
        if found is None:
            found = self._settled[key] = (tensor, self._settle(tensor))
        return found[1]

    def _settle(self, tensor: Tensor) -> Tensor:
        source = tensor.source
        if isinstance(source, Slot):
            return tensor if tensor.stairs is None else self._settle_slot(tensor)
        if isinstance(source, Sum):
            return self._settle_sum(tensor)
        if tensor.stairs is None or tensor.stairs.rounding is None:
            return self._settle_plain(tensor)
        if tensor.stairs.rounding in STEPS:
            return self._settle_step(tensor)
        return self._settle_levels(tensor)

    def _settle_slot(self, tensor: Tensor) -> Tensor:
        """A clamp or quantizer of what is whole already: often the identity, else a layer of its own."""
        if all(np.size(array) == 1 for array in (tensor.gain, tensor.offset, *_arrays(tensor.stairs))):
            value = tensor.source.value
            u = np.arange(value.low, value.high + 1, 2 if value.encoding is Encoding.BIT else 1)
            real = evaluate(tensor.stairs, float(tensor.gain) * u + float(tensor.offset))
            if (line := _as_line(u, real)) is not None:
                return replace(tensor, stairs=None, gain=np.float64(line[0]), offset=np.float64(line[1]))
            if tensor.source is self.input and (line := _as_line(u >> 1, real)) is not None:
                return self.shifted(replace(tensor, gain=np.float64(line[0]), offset=np.float64(line[1]), stairs=None))
        if tensor.source is self.input:
            raise SignbitError(
                "quantizes the input to a grid that not every one of the 256 bytes is on; use the scale 1/255 and 8 "
                "bits, or say with --input-unit what a byte is worth"
            )
        return self.settled(self.lifted(tensor))

    def shifted(self, tensor: Tensor) -> Tensor:
        """The tensor of the input's bytes, shifted right by 1."""
        if any(self.input in built.reads for built in self.built):
            raise SignbitError("halves the input, which another layer reads whole")
        self.input_shift = 1
        self.input.value = replace(self.input.value, high=255 >> 1)
        return tensor

    def lifted(self, tensor: Tensor) -> Tensor:
        """A value as accumulators again, by a depthwise layer whose kernels are single ones."""
        slot = tensor.source
        if slot is self.input and self.input.places is None:
            self.read_image(tensor)
        if len(slot.value.shape) != 3:
            raise SignbitError("quantizes values again, for which vectors have no layer; do it before the flatten")
        weights = np.ones((slot.value.shape[2], 1, 1), np.int8)
        return replace(tensor, source=Pending((slot,), DepthwiseConv2D(weights, None, PLAIN)), order=self.order(tensor))

    # -- the input's order ---------------------------------------------------------------------------------------

    def read_image(self, tensor: Tensor) -> None:
        """Raises SignbitError unless a tensor (1, C, H, W) is an image as its slot has it."""
        slot, places = tensor.source, tensor.order[0].transpose(1, 2, 0)
        if slot is self.input and self.input.places is None:
            self.read_input(places.shape, places.ravel())
        if places.shape != slot.value.shape:
            raise SignbitError(f"makes an image of {places.shape} from {slot.value.shape}; no layer does that")
        if (self.order(tensor).ravel() != canonical(slot.value.shape).ravel()).any():
            raise SignbitError("reads an image whose axes are in another order")

    def read_input(self, shape: Shape, places: np.ndarray) -> None:
        if places.size != self.input.value.size or (np.sort(places) != np.arange(places.size)).any():
            raise SignbitError("reads a part of the input only")
        self.input.places = places
        self.input.value = replace(self.input.value, shape=tuple(int(side) for side in shape))

    def order(self, tensor: Tensor) -> np.ndarray:
        """The tensor's places in its slot's values; an input that no layer has read gets an order now."""
        if tensor.source is not self.input:
            return tensor.order
        if self.input.places is None:
            usual = self.input.usual
            if usual is None:
                raise SignbitError(
                    "reads an image of several channels as a vector; say with --layout which axis they are"
                )
            self.read_input(usual.shape, usual.ravel())
        inverse = np.empty_like(self.input.places)
        inverse[self.input.places] = np.arange(inverse.size, dtype=inverse.dtype)
        return inverse[tensor.order]

    # -- activations ---------------------------------------------------------------------------------------------

    def _settle_plain(self, tensor: Tensor) -> Tensor:
        """Accumulators without a quantizer: as they are if they have few values, a mean if that is allowed."""
        pending, stairs = tensor.source, tensor.stairs
        if stairs is None:
            acc = pending.layer.accumulator_range(pending.reads[0].value)
            low, high = acc.overall()
            if high - low < LEVELS_MAX:
                # (acc * 2 - low * 2) >> 1
                count = pending.layer.neurons
                twice = np.full(count, 2, np.int16)
                activation = Requantize(twice, np.full(count, -2 * low, np.int32), 1, max(high - low, 1))
                slot = self.emit(pending.with_activation(activation), pending.reads)
                return _on(tensor, slot, tensor.gain, tensor.offset + tensor.gain * low)
            if pending.is_mean:
                return self._settle_mean(tensor)
        elif self.range_of is not None and np.all(stairs.low == 0):
            return self._settle(_calibrated(tensor, self.range_of(tensor)))
        raise SignbitError(
            "its inputs are not quantized; train with whole-number activations (QuantReLU, BinarySign), or give "
            "--calibrate DATA for float ReLU"
        )

    def _settle_mean(self, tensor: Tensor) -> Tensor:
        """The mean of each window, rounded."""
        if not self.allow_rounding:
            raise SignbitError(
                "its inputs are means that the graph does not round, as integers must; quantize after the average "
                "pool, or give --allow-rounding"
            )
        pending = tensor.source
        value, count = pending.reads[0].value, pending.layer.fan_in
        layer = pending.mean(value.high)
        possible = pending.layer.neurons * (count * value.high + 1)
        whole = pending.layer.neurons * (value.high + 1)
        slot = self.emit(layer, pending.reads, Certificate(possible, possible - whole))
        return _on(tensor, slot, tensor.gain * count, tensor.offset)

    def _settle_step(self, tensor: Tensor) -> Tensor:
        """A sign, or a step from 0 to 1."""
        pending, stairs = tensor.source, tensor.stairs
        gain, offset = tensor.per_channel(tensor.gain), tensor.per_channel(tensor.offset)
        acc = pending.layer.accumulator_range(pending.reads[0].value)
        activation = fold.threshold(gain, offset, acc, stairs.rounding is Rounding.ABOVE_0)
        certificate = Certificate(fold.zeros(gain, offset, acc).possible, 0)
        scale, zero = stairs.scale, stairs.zero
        if stairs.rounding is Rounding.SIGN:
            certificate = fold.zeros(gain, offset, acc)
            scale, zero = scale * 2, zero - scale
            if certificate.different:
                self.notes.append("Sign gives 0 for 0, and one bit has no 0; it becomes +1 there")
        middle = zero + scale / 2
        if np.any(np.abs(middle) > ON_GRID * np.abs(scale)):
            slot = self.emit(pending.with_activation(fold.two_levels(activation)), pending.reads, certificate)
            return _on(tensor, slot, scale, zero)
        slot = self.emit(pending.with_activation(activation), pending.reads, certificate)
        return _on(tensor, slot, scale / 2, np.float64(0.0))

    def _settle_levels(self, tensor: Tensor) -> Tensor:
        """A quantizer: whole numbers from a first to a last level."""
        pending, stairs = tensor.source, tensor.stairs
        acc = pending.layer.accumulator_range(pending.reads[0].value)
        gain, offset = tensor.per_channel(tensor.gain), tensor.per_channel(tensor.offset)
        first, last = levels(stairs, *_reals(acc, gain, offset))
        is_nearest = stairs.rounding is Rounding.NEAREST
        line = Line(gain, offset - first + 0.5 * is_nearest, last - first, is_nearest, first)
        activation, certificate = fold.requantize(line, acc)
        layer = self._as_mean(pending, activation, line, acc, certificate)
        slot = self.emit(layer or pending.with_activation(activation), pending.reads, certificate)
        return _on(tensor, slot, stairs.scale, stairs.zero + stairs.scale * first)

    def _as_mean(self, pending: Pending, activation: Requantize, line: Line, acc, certificate: Certificate):
        """The average pool that does the same without weights, if there is one; else None."""
        if not pending.is_mean:
            return None
        mean = pending.mean(activation.high)
        exact = fold.compare(line, fold.reached_at(line), mean.activation, acc)
        return mean if exact.different <= certificate.different else None

    def _settle_sum(self, tensor: Tensor) -> Tensor:
        """A residual addition, whole where the scales allow it, else requantized."""
        found, stairs = tensor.source, tensor.stairs
        if whole := _whole_sum(found):
            multipliers, unit = whole
            high = sum(m * slot.value.high for m, slot in zip(multipliers, found.reads, strict=True))
            if high < LEVELS_MAX:
                layer = Add(self.counted_back(found.reads), high, multipliers, 0)
                gain = np.asarray(tensor.gain) * unit
                return self.settled(_on(tensor, self.emit(layer, found.reads), gain, tensor.offset, stairs))
        if stairs is None or stairs.rounding not in (Rounding.FLOOR, Rounding.NEAREST):
            raise SignbitError("its inputs are a sum that is not quantized; quantize after the addition")
        if np.size(tensor.gain) > 1 or np.size(tensor.offset) > 1:
            raise SignbitError("scales a sum channel by channel; normalize before the addition")
        return self._rescaled_sum(tensor)

    def _rescaled_sum(self, tensor: Tensor) -> Tensor:
        found, stairs = tensor.source, tensor.stairs
        gains = float(tensor.gain) * np.array(found.gains)
        half = float(tensor.offset) + 0.5 * (stairs.rounding is Rounding.NEAREST)
        highs = [slot.value.high for slot in found.reads]
        first, last = levels(stairs, float(tensor.offset), float(gains @ highs) + float(tensor.offset))
        if first != 0 or abs(half - 0.5) > ON_GRID:
            raise SignbitError("quantizes a sum with an offset; an addition has levels from 0, and rounds to nearest")
        most = max((2.0**31 - 2.0**29) / max(float(gains @ highs), last), 1.0)
        shift = next(s for s in range(SHIFT_MAX, -1, -1) if gains.max() * 2.0**s <= MULTIPLIER_MAX and 2.0**s <= most)
        multipliers = tuple(int(m) for m in np.maximum(np.rint(gains * 2.0**shift), 1))
        layer = Add(self.counted_back(found.reads), last, multipliers, shift)
        slot = self.emit(layer, found.reads, _compare_sum(gains, highs, layer, stairs.rounding is Rounding.NEAREST))
        return _on(tensor, slot, stairs.scale, stairs.zero)

    def counted_back(self, reads: tuple[Slot, ...]) -> tuple[int, ...]:
        """The slots as the next layer's `inputs`."""
        return tuple(slot.number - len(self.built) - 1 for slot in reads)

    # -- the end -------------------------------------------------------------------------------------------------

    def logits(self, tensor: Tensor) -> int:
        """Append the last layer; returns the logit shift."""
        pending = tensor.source
        if not isinstance(pending, Pending) or tensor.stairs is not None or tensor.padding is not None:
            raise SignbitError("the network ends in an activation or a pool; its last layer must be a dense one")
        layer = pending.layer if isinstance(pending.layer, Dense) else _as_dense(pending.layer, pending.reads[0].value)
        if (
            size_of(tensor.shape) != size_of(pending.shape)
            or (tensor.order.ravel() != np.arange(tensor.order.size)).any()
        ):
            raise SignbitError("the network's outputs are not those of its last layer, in their order")
        acc = pending.layer.accumulator_range(pending.reads[0].value)
        activation, shift = fold.logits(tensor.per_channel(tensor.gain), tensor.per_channel(tensor.offset), acc)
        self.emit(replace(layer, activation=activation), pending.reads)
        return shift

    def layers(self) -> list[Built]:
        """What was built, without what nothing reads, the layers' `inputs` set."""
        needed = [False] * len(self.built)
        needed[-1] = True
        for index in range(len(self.built) - 1, -1, -1):
            if needed[index]:
                for slot in self.built[index].reads:
                    if slot.number:
                        needed[slot.number - 1] = True
        kept = [index for index, is_needed in enumerate(needed) if is_needed]
        numbers = {0: 0} | {index + 1: place + 1 for place, index in enumerate(kept)}
        result = []
        for place, index in enumerate(kept):
            built = self.built[index]
            inputs = tuple(numbers[slot.number] - place - 1 for slot in built.reads)
            result.append(replace(built, layer=replace(built.layer, inputs=inputs)))
        return result


def evaluate(stairs: Stairs, x: np.ndarray) -> np.ndarray:
    """stairs(x) of real numbers."""
    x = np.clip(x, stairs.low, stairs.high)
    match stairs.rounding:
        case Rounding.FLOOR:
            level = np.floor(x + ON_GRID / 10)
        case Rounding.NEAREST:
            level = np.rint(x)
        case Rounding.AT_LEAST_0:
            level = np.where(x >= 0, 1.0, 0.0)
        case Rounding.ABOVE_0:
            level = np.where(x > 0, 1.0, 0.0)
        case Rounding.SIGN:
            level = np.sign(x)
        case None:
            level = x
    return stairs.scale * level + stairs.zero


def levels(stairs: Stairs, least: float, most: float) -> tuple[int, int]:
    """The first and the last level of a quantizer of real numbers from `least` to `most`."""
    ends = []
    for bound, reached in ((stairs.low, least), (stairs.high, most)):
        if np.min(bound) != np.max(bound):
            raise SignbitError("clamps each channel at another place; use one range for all")
        bound = np.max(bound)
        end = reached if np.isinf(bound) else bound
        ends.append(int(np.rint(end) if stairs.rounding is Rounding.NEAREST else np.floor(end + ON_GRID)))
    first, last = ends
    if not 2 <= last - first + 1 <= LEVELS_MAX:
        raise SignbitError(f"its inputs are quantized to {last - first + 1:,} levels; clamp them to 2 to {LEVELS_MAX}")
    return first, last


def _calibrated(tensor: Tensor, high: float) -> Tensor:
    """A float ReLU rounded to whole numbers of 7 bits, the highest of which is worth `high`."""
    scale = high / CALIBRATED_LEVELS
    levels = tensor.affine(1 / scale, 0.5).clamp(0.0, CALIBRATED_LEVELS + 0.5).rounded(Rounding.FLOOR)
    return levels.affine(scale, 0.0)


def _on(tensor: Tensor, slot: Slot, gain, offset, stairs: Stairs | None = None) -> Tensor:
    """The tensor with a new source in the same order."""
    return replace(tensor, source=slot, gain=np.asarray(gain), offset=np.asarray(offset), stairs=stairs)


def _arrays(stairs: Stairs) -> tuple:
    return stairs.low, stairs.high, stairs.scale, stairs.zero


def _as_line(u: np.ndarray, real: np.ndarray) -> tuple[float, float] | None:
    """Gain and offset if real = gain * u + offset, else None."""
    span = u[-1] - u[0]
    gain = (real[-1] - real[0]) / span
    offset = real[0] - gain * u[0]
    return (gain, offset) if gain and (np.abs(gain * u + offset - real) <= ON_GRID * abs(gain)).all() else None


def _reals(acc, gain: np.ndarray, offset: np.ndarray) -> tuple[float, float]:
    ends = np.stack([acc.low * gain + offset, acc.high * gain + offset])
    return float(ends.min()), float(ends.max())


def _whole_sum(found: Sum) -> tuple[tuple[int, ...], float] | None:
    """Multipliers and their unit, if all gains are small multiples of one number."""
    unit = min(found.gains)
    ratios = np.array(found.gains) / unit
    whole = np.rint(ratios)
    is_whole = (np.abs(ratios - whole) <= 1e-6 * whole).all() and whole.max() < LEVELS_MAX
    return (tuple(int(ratio) for ratio in whole), unit) if is_whole else None


def _compare_sum(gains: np.ndarray, highs: list[int], layer: Add, is_even: bool) -> Certificate:
    """Over every combination of inputs."""
    count = int(np.prod([high + 1 for high in highs], dtype=object))
    if count > COMBINATIONS_MAX:
        raise SignbitError("adds so many values that rounding can't be checked; quantize after each addition")
    grids = np.meshgrid(*(np.arange(high + 1) for high in highs), indexing="ij")
    real = sum(gain * grid for gain, grid in zip(gains, grids, strict=True))
    level = np.rint(real) if is_even else np.floor(real + 0.5)
    acc = sum(m * grid for m, grid in zip(layer.multipliers, grids, strict=True))
    ours = integer.requantize(acc, layer.activation.multiplier, layer.activation.bias, layer.shift, layer.high)
    return Certificate(count, int((np.clip(level, 0, layer.high) != ours).sum()))


def _as_dense(layer: Layer, value: Value) -> Dense:
    """The same as a dense layer, of a convolution whose kernel covers the whole image."""
    window = layer.window
    is_whole = layer.kernel == value.shape[:2] and not any(window.padding) and window.pool == (1, 1)
    if isinstance(layer, DepthwiseConv2D) or not is_whole:
        raise SignbitError("the network ends in an image; its last layer must be a dense one")
    return Dense(layer.rows, layer.activation)
