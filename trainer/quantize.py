"""Network -> QuantizedModel: batch norm folded into integers."""

from dataclasses import dataclass

import numpy as np

from qmodel import integer, ranges
from qmodel import layers as integer_layers
from qmodel.activations import Activation, Logits, Requantize
from qmodel.activations import Sign as IntegerSign
from qmodel.errors import SignbitError
from qmodel.layers import Layer as IntegerLayer
from qmodel.model import LOGIT_SHIFT_MAX, QuantizedModel
from trainer.convolution import Conv2D, DepthwiseConv2D
from trainer.layers import BatchNorm, Dense, QuantizedRelu, Sign
from trainer.network import Network
from trainer.pool import AveragePool, MaxPool
from trainer.weights import Weighted


def quantize(network: Network, name: str, input_shape: tuple[int, ...], labels: tuple[str, ...]) -> QuantizedModel:
    """The integer model of a binarized, calibrated network, its ranges proved by `QuantizedModel.validate`.

    Raises SignbitError for a float network, or where no shift keeps a layer inside int32.
    """
    layers: list[IntegerLayer] = []
    inputs = (0, 255 >> network.input_shift)
    shift = 0
    shape = tuple(input_shape)
    for group in _groups(network):
        if isinstance(group, AveragePool):
            layer: IntegerLayer = integer_layers.AveragePool(group.size, shape[-1], inputs[1])
        else:
            layer, shift = _fold(group, inputs)
        layers.append(layer)
        shape = layer.output_shape(shape)
        inputs = ranges.outputs(layer)
    # the last layer's shift is what its logits are worth
    model = QuantizedModel(name, tuple(input_shape), network.input_shift, tuple(layers), tuple(labels), shift)
    return model.validate()


@dataclass(frozen=True)
class _Group:
    """The float layers that become one integer layer; the network's last has no activation."""

    weighted: Weighted
    pool: tuple[int, int]
    norm: BatchNorm
    activation: QuantizedRelu | Sign | None

    @property
    def unit(self) -> float:
        """What an output of 1 in float is in the integer model's units."""
        return self.activation.gain if isinstance(self.activation, QuantizedRelu) else 1.0

    def integer_layer(self, activation: Activation) -> IntegerLayer:
        rows = self.weighted.discrete.T.astype(np.int8)
        weighted = self.weighted
        if isinstance(weighted, Dense):
            return integer_layers.Dense(rows, activation)
        window = type(weighted.window)(weighted.window.stride, weighted.window.padding, self.pool)
        if isinstance(weighted, Conv2D):
            kernels = rows.reshape(-1, *weighted.kernel, weighted.channels)
            return integer_layers.Conv2D(kernels, activation, window)
        return integer_layers.DepthwiseConv2D(rows.reshape(-1, *weighted.kernel), activation, window)


def _groups(network: Network) -> list[_Group | AveragePool]:
    """The network's layers, one group an integer layer: weights, max-pool if any, batch norm, activation."""
    refusal = SignbitError("only a binarized network has an integer model; train with --binarize deterministic")
    groups: list[_Group | AveragePool] = []
    rest = list(network.layers)
    while rest:
        layer = rest.pop(0)
        if isinstance(layer, AveragePool):
            groups.append(layer)
            continue
        pool = rest.pop(0).size if rest and isinstance(rest[0], MaxPool) else (1, 1)
        if not isinstance(layer, Dense | Conv2D | DepthwiseConv2D) or not rest or not isinstance(rest[0], BatchNorm):
            raise refusal
        norm = rest.pop(0)
        activation = rest.pop(0) if rest else None
        if not isinstance(activation, QuantizedRelu | Sign | None) or (rest and activation is None):
            raise refusal
        groups.append(_Group(layer, pool, norm, activation))
    if not groups or isinstance(groups[-1], AveragePool) or groups[-1].activation is not None:
        raise refusal
    return groups


def _fold(group: _Group, inputs: tuple[int, int]) -> tuple[IntegerLayer, int]:
    """The integer layer, and its shift: the largest for which everything fits (0 for a sign activation).

    y = unit * (scale * (acc - mean) + beta), with unit = gain before a ReLU and 1 for logits, becomes

        M = round(unit * scale * 2^shift)
        B = round(unit * beta * 2^shift - M * mean)   + 2^(shift - 1) before a ReLU, which rounds

    B takes the mean times the M that was rounded, so that M's error counts for the distance from the mean only.
    A nearly constant neuron has scale 0 (`BatchNorm.scale`): M = 0, its value is in B, and others set the shift.
    """
    norm = group.norm
    scale, mean, beta = (array.astype(np.float64)[0] for array in (norm.scale, norm.mean, norm.beta.value))
    if isinstance(group.activation, Sign):
        return group.integer_layer(_thresholds(scale, mean, beta)), 0
    relu, unit = group.activation, group.unit
    for shift in range(integer.SHIFT_MAX if relu else LOGIT_SHIFT_MAX, 0, -1):
        multiplier = np.rint(unit * scale * 2.0**shift)
        bias = np.rint(unit * beta * 2.0**shift - multiplier * mean)
        if relu:
            bias += 2 ** (shift - 1)
        if np.abs(multiplier).max() > integer.MULTIPLIER_MAX or np.abs(bias).max() > integer.INT32_MAX:
            continue
        layer = group.integer_layer(_activation(multiplier, bias, shift, relu))
        try:
            ranges.prove(layer, inputs)
        except SignbitError:
            continue
        return layer, shift
    raise SignbitError("batch norm's scale or shift is too large for 32-bit integers; try a lower --lr")


def _activation(
    multiplier: np.ndarray, bias: np.ndarray, shift: int, relu: QuantizedRelu | None
) -> Requantize | Logits:
    multiplier, bias = multiplier.astype(np.int16), bias.astype(np.int32)
    return Requantize(multiplier, bias, shift, relu.high) if relu else Logits(multiplier, bias)


def _thresholds(scale: np.ndarray, mean: np.ndarray, beta: np.ndarray) -> IntegerSign:
    """scale * (acc - mean) + beta >= 0 as direction * acc >= T -- SPEC 5.

    Divided by |scale| it reads direction * acc >= direction * mean - beta / |scale|, and a whole number is at least
    a real one if it is at least that one rounded up.  Scale 0 leaves the sign of beta.
    """
    direction = np.where(scale < 0, -1, 1)
    size = np.where(scale == 0, 1, np.abs(scale))
    threshold = np.clip(np.ceil(direction * mean - beta / size), integer.INT32_MIN, integer.INT32_MAX)
    constant = np.where(beta >= 0, integer.INT32_MIN, integer.INT32_MAX)
    threshold = np.where(scale == 0, constant, threshold)
    return IntegerSign(threshold.astype(np.int32), direction.astype(np.int8))
