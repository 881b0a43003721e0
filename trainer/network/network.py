"""A network: blocks in order, and how raw inputs enter the first."""

from collections.abc import Sequence

import numpy as np

from signbit.qmodel.errors import SignbitError
from signbit.qmodel.layers import AveragePool as IntegerAveragePool
from signbit.qmodel.value import Shape, size_of
from signbit.trainer.network.architecture import Architecture, LayerSpec
from signbit.trainer.network.block import Block
from signbit.trainer.network.convolution import Conv2D, DepthwiseConv2D
from signbit.trainer.network.dropout import Dropout
from signbit.trainer.network.layer import Layer, Mode, Parameter
from signbit.trainer.network.layers import BatchNorm, Dense, QuantizedRelu, Relu, Sign
from signbit.trainer.network.pool import AveragePool, MaxPool
from signbit.trainer.network.weights import Weighted

CALIBRATION_INPUTS = 10_000
CALIBRATION_VALUES = 1 << 24
"""Values of the largest layer while batch norm's statistics are taken, so that memory stays bounded: 64 MB."""
BATCH = 1000
"""Inputs evaluated at a time, so that memory stays bounded."""

WEIGHTS_MAX = 1 << 26
"""Latent weights, their +-1 forms, gradients and Adam's three arrays take 24 bytes a weight: 1.6 GB."""


class Network:
    """Maps uint8 inputs (batch, input_size) to real-valued logits (batch, classes).

    `blocks` are what the integer model has a layer for: a `Block` with weights, or an average pool.  `input_shape` is
    what the first one sees, (height, width, channels) for images.
    """

    def __init__(
        self,
        blocks: Sequence[Block | AveragePool],
        input_shape: Shape,
        input_shift: int = 0,
        input_scale: float = 1.0,
        dtype=np.float32,
    ):
        self.blocks = tuple(blocks)
        self.input_shape = tuple(input_shape)
        self.input_shift = input_shift
        self.input_scale = input_scale
        self.dtype = dtype
        self.largest = size_of(self.input_shape)
        """Values an input has in the largest layer."""

    @property
    def layers(self) -> list[Layer]:
        """The blocks' layers, in order."""
        return [layer for block in self.blocks for layer in block.parts]

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
        x = (inputs >> np.uint8(self.input_shift)).astype(self.dtype)
        if self.input_scale != 1:
            x *= self.input_scale
        x = x.reshape(len(x), *self.input_shape)
        for block in self.blocks:
            x = block.forward(x, mode)
            self.largest = max(self.largest, block.largest)
        return x

    def backward(self, gradient: np.ndarray) -> None:
        """Set every parameter's gradient, from dLoss/dlogits of the last forward pass."""
        first = next(index for index, block in enumerate(self.blocks) if isinstance(block, Block))
        for block in reversed(self.blocks[first + 1 :]):
            gradient = block.backward(gradient)
        self.blocks[first].backward(gradient, wants_dx=False)

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
) -> Network:
    """The network of a resolved architecture (`signbit.trainer.network.architecture.resolve`).

    Float:      x / 255 -> [weights with bias -> max-pool -> ReLU]... -> dense with bias
    Binarized:  x >> shift -> [one-bit weights -> max-pool -> batch norm -> activation]... -> dense -> batch norm

    In front of each dense layer, `dropout` is the part of its inputs that are left out in training.

    In a binarized network activations go from 0 to `high`, and inputs lose their lowest bit where `high` has
    7 bits or less, so that all layers can use the same kernel on the microcontroller.
    """
    is_float = binarize == "none"
    input_shift = 1 if high <= 127 and not is_float else 0
    blocks: list[Block | AveragePool] = []
    shape, factor, one_bit = tuple(input_shape), 255 >> input_shift, False
    weight_count = 0
    for index, spec in enumerate(architecture):
        weight_count += _weight_count(spec, shape)
        if weight_count > WEIGHTS_MAX:
            raise SignbitError(
                f"the network has more than {WEIGHTS_MAX} weights; give smaller --model or --hidden layers"
            )
        is_last = index == len(architecture) - 1
        if spec.kind == "avgpool":
            integer = None if is_float else IntegerAveragePool(spec.kernel, shape[2], factor)
            blocks.append(AveragePool(spec.kernel, dtype, integer))
        else:
            block = Block(_weighted(spec, shape, binarize, rng, dtype, one_bit))
            blocks.append(block)
            if dropout and spec.kind == "dense":
                block.dropout = Dropout(dropout, rng, 1 / (1 - dropout) if is_float else 1.0)
            if spec.pool != (1, 1):
                block.pool = MaxPool(spec.pool)
            if not is_float:
                features = block.weights.weight.value.shape[1]
                block.norm = BatchNorm(features, logit_gamma if is_last else 1.0, norm_rate, dtype, factor)
            if not is_last:
                block.activation = _activation(spec, is_float, high)
                one_bit = isinstance(block.activation, Sign)
                factor = 1 if one_bit else high
        shape = spec.output_shape(shape)
    if is_float:
        return Network(blocks, input_shape, input_scale=1 / 255, dtype=dtype)
    return Network(blocks, input_shape, input_shift=input_shift, dtype=dtype)


def _weighted(
    spec: LayerSpec, shape: Shape, binarize: str, rng: np.random.Generator, dtype, one_bit: bool
) -> Dense | Conv2D | DepthwiseConv2D:
    if spec.ternary and binarize == "stochastic":
        raise SignbitError("ternary weights are deterministic; leave out --binarize stochastic or the word ternary")
    if spec.kind == "dense":
        return Dense(size_of(shape), spec.outputs, binarize, rng, dtype, spec.ternary)
    if spec.kind == "conv":
        return Conv2D(shape[2], spec.outputs, spec.kernel, spec.window, binarize, rng, dtype, spec.ternary, one_bit)
    return DepthwiseConv2D(shape[2], spec.kernel, spec.window, binarize, rng, dtype, spec.ternary, one_bit)


def _weight_count(spec: LayerSpec, shape: Shape) -> int:
    if spec.kind == "dense":
        return size_of(shape) * spec.outputs
    if spec.kind == "avgpool":
        return 0
    return spec.kernel[0] * spec.kernel[1] * shape[2] * (spec.outputs if spec.kind == "conv" else 1)


def _activation(spec: LayerSpec, is_float: bool, high: int) -> QuantizedRelu | Sign | Relu:
    if is_float:
        return Relu()
    return Sign() if spec.activation == "sign" else QuantizedRelu(high)
