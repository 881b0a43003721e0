"""A network: layers in order, and how raw inputs enter the first."""

import itertools
from collections.abc import Sequence

import numpy as np

from qmodel.errors import SignbitError
from trainer.layers import BatchNorm, Dense, Layer, Mode, Parameter, QuantizedRelu, Relu

MODELS = ("logistic", "mlp")
CALIBRATION_INPUTS = 10_000
BATCH = 1000
"""Inputs evaluated at a time, so that memory stays bounded."""

WEIGHTS_MAX = 1 << 26
"""Latent weights, their +-1 forms, gradients and Adam's three arrays take 24 bytes a weight: 1.6 GB."""


class Network:
    """Maps uint8 inputs (batch, input_size) to real-valued logits (batch, classes)."""

    def __init__(self, layers: Sequence[Layer], input_shift: int = 0, input_scale: float = 1.0, dtype=np.float32):
        self.layers = list(layers)
        self.input_shift = input_shift
        self.input_scale = input_scale
        self.dtype = dtype

    @property
    def parameters(self) -> list[Parameter]:
        return [parameter for layer in self.layers for parameter in layer.parameters]

    @property
    def arrays(self) -> list[np.ndarray]:
        return [array for layer in self.layers for array in layer.arrays]

    def forward(self, inputs: np.ndarray, mode: Mode) -> np.ndarray:
        x = (inputs >> np.uint8(self.input_shift)).astype(self.dtype)
        if self.input_scale != 1:
            x *= self.input_scale
        for layer in self.layers:
            x = layer.forward(x, mode)
        return x

    def backward(self, gradient: np.ndarray) -> None:
        """Set every parameter's gradient, from dLoss/dlogits of the last forward pass."""
        first, *others = self.layers
        for layer in reversed(others):
            gradient = layer.backward(gradient)
        first.backward(gradient, wants_dx=False)

    def clip(self) -> None:
        """Bring latent weights back into -1..1: beyond, they would grow without changing any sign."""
        for parameter in self.parameters:
            if parameter.limit is not None:
                np.clip(parameter.value, -parameter.limit, parameter.limit, out=parameter.value)

    def calibrate(self, inputs: np.ndarray) -> None:
        """Give every batch norm the statistics of up to CALIBRATION_INPUTS of `inputs`, evenly spaced."""
        spacing = -(-len(inputs) // CALIBRATION_INPUTS)
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
    sizes: Sequence[int],
    binarize: str,
    rng: np.random.Generator,
    *,
    high: int = 127,
    logit_gamma: float = 1.0,
    norm_rate: float = 1.0,
    dtype=np.float32,
) -> Network:
    """Fully connected network with `sizes` = (inputs, hidden..., classes); no hidden layer is logistic regression.

    Float:      x / 255 -> [dense with bias -> ReLU]... -> dense with bias
    Binarized:  x >> shift -> [dense of +-1 -> batch norm -> quantized ReLU]... -> dense of +-1 -> batch norm

    In a binarized network activations go from 0 to `high`, and inputs lose their lowest bit where `high` has
    7 bits or less, so that all layers can use the same kernel on the microcontroller.
    """
    if sum(fan_in * fan_out for fan_in, fan_out in itertools.pairwise(sizes)) > WEIGHTS_MAX:
        raise SignbitError(f"the network has more than {WEIGHTS_MAX} weights; give smaller --hidden layers")
    layers: list[Layer] = []
    last = len(sizes) - 2
    for index, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes)):
        layers.append(Dense(fan_in, fan_out, binarize, rng, dtype))
        if binarize == "none":
            layers += [Relu()] if index < last else []
        elif index < last:
            layers += [BatchNorm(fan_out, rate=norm_rate, dtype=dtype), QuantizedRelu(high)]
        else:
            layers.append(BatchNorm(fan_out, gamma=logit_gamma, rate=norm_rate, dtype=dtype))
    if binarize == "none":
        return Network(layers, input_scale=1 / 255, dtype=dtype)
    return Network(layers, input_shift=1 if high <= 127 else 0, dtype=dtype)
