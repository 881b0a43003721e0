"""What the importer knows while it walks over the graph, and how a tensor becomes a value that a layer can read."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from signbit.bridge.graph import activation, fold, sums
from signbit.bridge.graph.layers import Layers
from signbit.bridge.graph.source import Pending, Slot, Sum
from signbit.bridge.graph.stairs import ON_GRID, Step
from signbit.bridge.graph.tensor import Tensor
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.input_quantization import InputQuantization
from signbit.qmodel.layer import Layer
from signbit.qmodel.layers import Dense, DepthwiseConv2D
from signbit.qmodel.value import Encoding, Value, size_of
from signbit.qmodel.window import PLAIN

QUANTIZED_INPUT = (
    "the network quantizes its input to another grid than that of the 256 bytes, for which it gets a layer more; none "
    "is needed with the scale 1/255 and 8 bits (--input-unit says what a byte is worth)"
)


@dataclass
class Builder(Layers):
    """`allow_rounding`: means become whole numbers although the graph does not round them.

    `range_of` gives the real number that the highest level of a float ReLU is worth; None where none was calibrated.
    """

    allow_rounding: bool = False
    range_of: Callable[[Tensor], float] | None = None
    takes_counts: bool = False
    """The graph's input are a sensor's counts, which only `input_quantization` may read."""
    input_quantization: InputQuantization | None = None
    input_shift: int = 0
    _settled: dict[tuple[int, ...], tuple[Tensor, Tensor]] = field(default_factory=dict)

    def settled(self, tensor: Tensor) -> Tensor:
        """The tensor as a value that a layer can read: its source is a slot, and it has no stairs."""
        # two tensors may share their fields; they are kept, so that no other gets their ids
        key = tuple(id(each) for each in (tensor.source, tensor.order, tensor.gain, tensor.offset, tensor.stairs))
        if key not in self._settled:
            found = tensor
            while found.stairs is not None or not isinstance(found.source, Slot):
                found = self._nearer(found)
            self._settled[key] = (tensor, found)
        return self._settled[key][1]

    def _nearer(self, tensor: Tensor) -> Tensor:
        """The tensor, one layer or one stage of its stairs nearer to a value."""
        source, stairs = tensor.source, tensor.stairs
        if isinstance(source, Slot):
            return self._from_value(tensor)
        if isinstance(source, Sum):
            return sums.added(self, tensor)
        if isinstance(stairs, Step):
            return activation.step(self, tensor)
        if not tensor.is_linear:
            return activation.quantized(self, tensor)
        if stairs is None and (found := activation.few(self, tensor)) is not None:
            return found
        if stairs is None and source.is_mean:
            if self.allow_rounding:
                return activation.mean(self, tensor)
            raise SignbitError(
                "its inputs are means that the graph does not round, as integers must; quantize after the average "
                "pool, or give --allow-rounding"
            )
        if stairs is not None and self.range_of is not None and np.all(stairs.low == 0):
            return activation.calibrated(tensor, self.range_of(tensor))
        raise SignbitError(
            "its inputs are not quantized; train with whole-number activations (QuantReLU, BinarySign), or give "
            "--calibrate DATA for float ReLU"
        )

    def _from_value(self, tensor: Tensor) -> Tensor:
        """A clamp or quantizer of what is whole already: often the identity, else a layer of its own."""
        if all(np.size(array) == 1 for array in (tensor.gain, tensor.offset, *tensor.stairs.arrays)):
            value = tensor.source.value
            u = np.arange(value.low, value.high + 1, 2 if value.encoding is Encoding.BIT else 1)
            real = tensor.stairs.at(float(tensor.gain) * u + float(tensor.offset))
            if (line := _as_line(u, real)) is not None:
                return tensor.on(tensor.source, *line)
            if tensor.source is self.input and (line := _as_line(u >> 1, real)) is not None:
                return self.shifted(tensor.on(tensor.source, *line))
        if tensor.source is self.input:
            self.notes.append(QUANTIZED_INPUT)
        return self.lifted(tensor)

    def shifted(self, tensor: Tensor) -> Tensor:
        """The tensor of the input's bytes, shifted right by 1."""
        if any(self.input in built.reads for built in self.built):
            raise SignbitError("halves the input, which another layer reads whole")
        self.input_shift = 1
        self.input.value = replace(self.input.value, high=255 >> 1)
        return tensor

    def as_bytes(self, tensor: Tensor) -> Tensor:
        """The tensor settled, one-bit values as 0 and 1."""
        found = self.settled(tensor)
        return self.settled(self.lifted(found)) if found.source.value.encoding is Encoding.BIT else found

    def lifted(self, tensor: Tensor) -> Tensor:
        """A value as accumulators again, by a depthwise layer whose kernels are single ones."""
        slot = tensor.source
        if slot is self.input and self.input.places is None:
            self._read_input_as_image(tensor.order)
        if len(slot.shape) != 3:
            raise SignbitError("quantizes values again, for which vectors have no layer; do it before the flatten")
        weights = np.ones((slot.shape[2], 1, 1), np.int8)
        pending = Pending((slot,), DepthwiseConv2D(weights, None, PLAIN))
        return replace(tensor, source=pending, order=slot.order_of(tensor.order))

    def _read_input_as_image(self, order: np.ndarray) -> None:
        """A vector becomes an image of width 1, as a signal over time is."""
        if order.ndim >= 3:
            self.input.check_image(order.reshape(*order.shape, *[1] * (4 - order.ndim)))
        elif self.input.usual is not None and self.input.usual.ndim == 1:
            self.input.read((self.input.usual.size, 1, 1), self.input.usual)
        else:
            self.input.order_of(order)

    def logits(self, tensor: Tensor) -> int:
        """Append the last layer; returns the logit shift."""
        pending = tensor.source
        if not isinstance(pending, Pending) or tensor.stairs is not None or tensor.padding is not None:
            raise SignbitError("the network ends in an activation or a pool; its last layer must be a dense one")
        layer = pending.layer if isinstance(pending.layer, Dense) else _as_dense(pending.layer, pending.reads[0].value)
        is_whole = size_of(tensor.shape) == size_of(pending.shape)
        if not is_whole or (tensor.order.ravel() != np.arange(tensor.order.size)).any():
            raise SignbitError("the network's outputs are not those of its last layer, in their order")
        gain, offset = tensor.per_channel(tensor.gain), tensor.per_channel(tensor.offset)
        found, shift = fold.logits(gain, offset, pending.range)
        self.emit(replace(layer, activation=found), pending.reads)
        return shift


def _as_line(u: np.ndarray, real: np.ndarray) -> tuple[float, float] | None:
    """Gain and offset if real = gain * u + offset, else None."""
    span = u[-1] - u[0]
    gain = (real[-1] - real[0]) / span
    offset = real[0] - gain * u[0]
    return (gain, offset) if gain and (np.abs(gain * u + offset - real) <= ON_GRID * abs(gain)).all() else None


def _as_dense(layer: Layer, value: Value) -> Dense:
    """The same as a dense layer, of a convolution whose kernel covers the whole image."""
    window = layer.window
    is_whole = layer.kernel == value.shape[:2] and not any(window.padding) and window.pool == (1, 1)
    if isinstance(layer, DepthwiseConv2D) or not is_whole:
        raise SignbitError("the network ends in an image; its last layer must be a dense one")
    return Dense(layer.rows, layer.activation)
