"""A network: blocks that read each other's values, and how raw inputs enter the first."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from signbit.qmodel.errors import SignbitError
from signbit.qmodel.graph import Graph
from signbit.qmodel.value import Encoding, Shape, Value, size_of
from signbit.trainer.exact.buffers import Buffers
from signbit.trainer.exact.grid import Grid
from signbit.trainer.network.architecture import Architecture, LayerSpec, values_of
from signbit.trainer.network.block import Block
from signbit.trainer.network.convolution import Conv2D, DepthwiseConv2D
from signbit.trainer.network.dropout import Dropout
from signbit.trainer.network.layer import Layer, Mode, Parameter, Weightless
from signbit.trainer.network.layers import BatchNorm, Dense, QuantizedRelu, Relu, Sign
from signbit.trainer.network.merge import Add, Concatenate
from signbit.trainer.network.pool import AveragePool, MaxPool
from signbit.trainer.network.weights import Weighted

CALIBRATION_INPUTS = 10_000
CALIBRATION_VALUES = 1 << 24
"""Values of the largest layer while batch norm's statistics are taken, so that memory stays bounded: 64 MB."""
INPUT_RANGES = {Encoding.UINT8: (0, 255), Encoding.BIT: (-1, 1)}
BATCH = 1000
"""Inputs evaluated at once, so that memory stays bounded."""

WEIGHTS_MAX = 1 << 26
"""Latent weights, their +-1 forms, gradients and Adam's three arrays take 24 bytes per weight: 1.6 GB."""

WEIGHTLESS: dict[str, type[Weightless]] = {"avgpool": AveragePool, "add": Add, "concat": Concatenate}


class Network:
    """Maps inputs as a device gets them, uint8 (batch, bytes), to real-valued logits (batch, classes).

    `blocks` are what the integer model has layers for: a `Block` with weights, or a layer without.  `input_shape` is
    what the first one sees, (height, width, channels) for images.  The gradient of a value that several blocks read is
    the sum of theirs, which a `Grid` of its own makes fit for exact sums again.
    """

    def __init__(
        self,
        blocks: Sequence[Block | Weightless],
        input_shape: Shape,
        input_shift: int = 0,
        input_scale: float = 1.0,
        dtype=np.float32,
        encoding: Encoding = Encoding.UINT8,
    ):
        self.blocks = tuple(blocks)
        self.input_shape = tuple(input_shape)
        self.input_shift = input_shift
        self.input_scale = input_scale
        self.encoding = encoding
        self.dtype = dtype
        self.largest = size_of(self.input_shape)
        """Values per input in the largest layer."""
        self._graph = Graph.of(self.blocks)
        self._learns = [False]
        """For each value whether parameters lie before it: the others need no gradient."""
        for block, sources in zip(self.blocks, self._graph.sources, strict=True):
            self._learns.append(bool(block.parameters) or any(self._learns[source] for source in sources))
        readers = Counter(source for sources in self._graph.sources for source in sources if self._learns[source])
        is_exact = self.is_binarized and dtype == np.float32
        self._sum_grids = {value: Grid(1.0) for value in sorted(readers) if readers[value] > 1 and is_exact}
        self._buffers = Buffers()

    @property
    def value(self) -> Value:
        """What the first block reads, before `input_scale`."""
        low, high = INPUT_RANGES[self.encoding]
        return Value(self.input_shape, self.encoding, low, high >> self.input_shift)

    @property
    def layers(self) -> list[Layer]:
        """The blocks' layers, in order."""
        return [layer for block in self.blocks for layer in block.parts]

    @property
    def grids(self) -> list[Grid]:
        """The grids of all gradients, always in the same order."""
        return [*(layer.grid for layer in self.layers if layer.grid is not None), *self._sum_grids.values()]

    @property
    def parameters(self) -> list[Parameter]:
        return [parameter for block in self.blocks for parameter in block.parameters]

    @property
    def arrays(self) -> list[np.ndarray]:
        return [array for block in self.blocks for array in block.arrays]

    @property
    def is_binarized(self) -> bool:
        return any(isinstance(layer, Weighted) and layer.binarize != "none" for layer in self.layers)

    def forward(self, inputs: np.ndarray, mode: Mode) -> np.ndarray:
        x = self.value.from_bytes(inputs)
        x = (x >> np.uint8(self.input_shift) if self.input_shift else x).astype(self.dtype)
        if self.input_scale != 1:
            x *= self.input_scale

        def run(index: int, arrays: list[np.ndarray]) -> np.ndarray:
            y = self.blocks[index].forward(*arrays, mode=mode)
            self.largest = max(self.largest, self.blocks[index].largest, y[0].size)
            return y

        return self._graph.result(x, run)

    def backward(self, gradient: np.ndarray) -> None:
        """Set every parameter's gradient, from dLoss/dlogits of the last forward pass."""
        gradients = {len(self.blocks): gradient}
        for index in reversed(range(len(self.blocks))):
            if not self._learns[index + 1]:
                continue
            block, sources = self.blocks[index], self._graph.sources[index]
            dy = gradients.pop(index + 1)
            if index + 1 in self._sum_grids:
                self._sum_grids[index + 1].round(dy)
            if not any(self._learns[source] for source in sources):
                block.backward(dy, wants_dx=False)
                continue
            dx = block.backward(dy)
            for source, part in zip(sources, dx if isinstance(dx, list) else [dx], strict=True):
                if self._learns[source]:
                    gradients[source] = self._sum(source, gradients.get(source), part)

    def _sum(self, value: int, total: np.ndarray | None, part: np.ndarray) -> np.ndarray:
        """The gradient of `value` so far and another reader's part of it, which stays as it is."""
        if total is None:
            return part
        return np.add(total, part, out=self._buffers.take(str(value), part.shape, part.dtype))

    def clip(self) -> None:
        """Bring latent weights back into -1..1: beyond, they would grow without changing any sign."""
        for parameter in self.parameters:
            if parameter.limit is not None:
                np.clip(parameter.value, -parameter.limit, parameter.limit, out=parameter.value)

    def calibrate(self, inputs: np.ndarray) -> None:
        """Give every batch norm the statistics of up to CALIBRATION_INPUTS of `inputs`, evenly spaced."""
        self.forward(inputs[:1], Mode.EVALUATE)  # finds the largest layer, if nothing has run yet
        count = max(1, min(CALIBRATION_INPUTS, CALIBRATION_VALUES // self.largest))
        spacing = -(-len(inputs) // count)
        self.forward(inputs[::spacing], Mode.CALIBRATE)

    def logits(self, inputs: np.ndarray, mode: Mode = Mode.EVALUATE) -> np.ndarray:
        parts = range(0, len(inputs), BATCH)
        return np.concatenate([self.forward(inputs[start : start + BATCH], mode) for start in parts])

    def predict(self, inputs: np.ndarray, mode: Mode = Mode.EVALUATE) -> np.ndarray:
        """The class of each input, the lowest on a tie."""
        return self.logits(inputs, mode).argmax(axis=1)

    def snapshot(self) -> list[np.ndarray]:
        """Copies of all that training changes."""
        return [array.copy() for array in self.arrays]

    def restore(self, snapshot: list[np.ndarray]) -> None:
        for array, copy in zip(self.arrays, snapshot, strict=True):
            array[...] = copy


def build(
    architecture: Architecture,
    input_shape: Shape,
    binarize: str,
    rng: np.random.Generator,
    *,
    high: int = 127,
    logit_gamma: float = 1.0,
    norm_rate: float = 1.0,
    dropout: float = 0.0,
    dtype=np.float32,
    encoding: Encoding = Encoding.UINT8,
) -> Network:
    """The network of a resolved architecture (`signbit.trainer.network.architecture.resolve`).

    Float:      x / 255 -> [weights with bias -> max-pool -> ReLU]... -> dense with bias
    Binarized:  x >> shift -> [one-bit weights -> max-pool -> batch norm -> activation]... -> dense -> batch norm

    Before each dense layer, `dropout` is the fraction of its inputs that are left out in training.

    In a binarized network activations go from 0 to `high`, and 8-bit inputs lose their lowest bit where `high` has
    7 bits or less, so that all layers can use the same kernel on the microcontroller.  One-bit inputs are +1 and -1.
    """
    is_float = binarize == "none"
    # a float network has the values of the binarized one, so that it can be made from the same architectures
    input_shift = 1 if high <= 127 and encoding is Encoding.UINT8 else 0
    low, highest = INPUT_RANGES[encoding]
    values = values_of(architecture, Value(tuple(input_shape), encoding, low, highest >> input_shift), high)
    blocks: list[Block | Weightless] = []
    weight_count = 0
    for index, spec in enumerate(architecture):
        inputs = [values[index + 1 + back] for back in spec.inputs]
        if spec.kind in WEIGHTLESS:
            blocks.append(WEIGHTLESS[spec.kind](spec.without_weights(*inputs), is_float))
            continue
        (value,) = inputs
        weight_count += _weight_count(spec, value.shape)
        if weight_count > WEIGHTS_MAX:
            raise SignbitError(
                f"the network has more than {WEIGHTS_MAX} weights; give smaller --model or --hidden layers"
            )
        is_last = index == len(architecture) - 1
        is_one_bit = value.encoding is Encoding.BIT and not is_float
        block = Block(_weighted(spec, value.shape, binarize, rng, dtype, is_one_bit), inputs=spec.inputs)
        blocks.append(block)
        if dropout and spec.kind == "dense":
            block.dropout = Dropout(dropout, rng, 1 / (1 - dropout) if is_float else 1.0)
        if spec.pool != (1, 1):
            block.pool = MaxPool(spec.pool)
        if not is_float:
            features = block.weights.weight.value.shape[1]
            block.norm = BatchNorm(features, logit_gamma if is_last else 1.0, norm_rate, dtype, value.high)
        if not is_last:
            block.activation = _activation(spec, is_float, high)
    if is_float:
        scale = 1 / INPUT_RANGES[encoding][1]
        return Network(blocks, input_shape, input_scale=scale, dtype=dtype, encoding=encoding)
    return Network(blocks, input_shape, input_shift, dtype=dtype, encoding=encoding)


def _weighted(
    spec: LayerSpec, shape: Shape, binarize: str, rng: np.random.Generator, dtype, one_bit: bool
) -> Dense | Conv2D | DepthwiseConv2D:
    if spec.ternary and binarize == "stochastic":
        raise SignbitError("ternary weights are deterministic; leave out --binarize stochastic or the word ternary")
    if spec.kind == "dense":
        return Dense(size_of(shape), spec.outputs, binarize, rng, dtype, spec.ternary)
    if spec.kind == "conv":
        return Conv2D(shape[2], spec.outputs, spec.kernel, spec.window, binarize, rng, dtype, spec.ternary, one_bit)
    return DepthwiseConv2D(1, shape[2], spec.kernel, spec.window, binarize, rng, dtype, spec.ternary, one_bit)


def _weight_count(spec: LayerSpec, shape: Shape) -> int:
    if spec.kind == "dense":
        return size_of(shape) * spec.outputs
    return spec.kernel[0] * spec.kernel[1] * shape[2] * (spec.outputs if spec.kind == "conv" else 1)


def _activation(spec: LayerSpec, is_float: bool, high: int) -> QuantizedRelu | Sign | Relu:
    if is_float:
        return Relu()
    return Sign() if spec.activation == "sign" else QuantizedRelu(high)
