"""Batch norm folded into integers: what stands between a layer's accumulators and its outputs -- SPEC 4 to 6."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from signbit.qmodel import integer, ranges
from signbit.qmodel import layers as integer_layers
from signbit.qmodel.activations import Activation, Logits, Requantize
from signbit.qmodel.activations import Sign as IntegerSign
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.layers import Layer as IntegerLayer
from signbit.qmodel.model import LOGIT_SHIFT_MAX
from signbit.qmodel.value import Encoding, Value
from signbit.qmodel.window import Window
from signbit.trainer.network.convolution import Conv2D, DepthwiseConv2D
from signbit.trainer.network.dropout import Dropout
from signbit.trainer.network.frozen import Folded, IntegerActivation
from signbit.trainer.network.layers import BatchNorm, Dense, QuantizedRelu, Sign
from signbit.trainer.network.network import Network
from signbit.trainer.network.pool import AveragePool, MaxPool
from signbit.trainer.network.weights import Weighted


@dataclass(frozen=True)
class Group:
    """The float layers that become one integer layer: weights, max-pool if any, batch norm, activation.

    Behind the network's last batch norm there is no activation.  In a frozen network an `IntegerActivation` stands
    in place of both.
    """

    weighted: Weighted
    pool: tuple[int, int]
    norm: BatchNorm | IntegerActivation
    activation: QuantizedRelu | Sign | None

    def integer_layer(self, activation: Activation) -> IntegerLayer:
        rows = self.weighted.discrete.T.astype(np.int8)
        weighted = self.weighted
        if isinstance(weighted, Dense):
            return integer_layers.Dense(rows, activation)
        window = Window(weighted.window.stride, weighted.window.padding, self.pool)
        if isinstance(weighted, Conv2D):
            kernels = rows.reshape(-1, *weighted.kernel, weighted.channels)
            return integer_layers.Conv2D(kernels, activation, window)
        return integer_layers.DepthwiseConv2D(rows.reshape(-1, *weighted.kernel), activation, window)


def groups(network: Network) -> list[Group | AveragePool]:
    """The network's layers, one group an integer layer; raises SignbitError where they have no integer form.

    Dropout has none and needs none: it is for training.
    """
    refusal = SignbitError("only a binarized network has an integer model; train with --binarize deterministic")
    found: list[Group | AveragePool] = []
    rest = [layer for layer in network.layers if not isinstance(layer, Dropout)]
    while rest:
        layer = rest.pop(0)
        if isinstance(layer, AveragePool):
            found.append(layer)
            continue
        pool = rest.pop(0).size if rest and isinstance(rest[0], MaxPool) else (1, 1)
        is_weighted = isinstance(layer, Dense | Conv2D | DepthwiseConv2D)
        if not is_weighted or not rest or not isinstance(rest[0], BatchNorm | IntegerActivation):
            raise refusal
        norm = rest.pop(0)
        if isinstance(norm, IntegerActivation):
            activation = None
        else:
            activation = rest.pop(0) if rest else None
            if not isinstance(activation, QuantizedRelu | Sign | None) or (rest and activation is None):
                raise refusal
        found.append(Group(layer, pool, norm, activation))
    if not found or isinstance(found[-1], AveragePool) or found[-1].activation is not None:
        raise refusal
    return found


def folds(
    network: Network, any_weights: bool = False
) -> Iterator[tuple[Group | AveragePool, IntegerLayer, Folded | None]]:
    """Each group with its integer layer, and its integers, which an average pool has none of.

    `any_weights` leaves room for other weights than the present ones.
    """
    inputs = Value(network.input_shape, Encoding.UINT8, 0, 255 >> network.input_shift)
    for group in groups(network):
        if isinstance(group, AveragePool):
            layer: IntegerLayer = integer_layers.AveragePool(group.size, inputs.shape[-1], inputs.high)
            yield group, layer, None
        else:
            folded = fold(group, inputs, any_weights)
            layer = group.integer_layer(folded.integers)
            yield group, layer, folded
        inputs = layer.output(inputs)


def fold(group: Group, inputs: Value, any_weights: bool = False) -> Folded:
    """The integers of a group that reads `inputs`, with the largest shift for which everything fits.

    y = unit * (scale * (acc - mean) + beta), with unit = gain before a ReLU and 1 for logits, becomes

        M = round(unit * scale * 2^shift)
        B = round(unit * beta * 2^shift - M * mean)   + 2^(shift - 1) before a ReLU, which rounds

    B takes the mean times the M that was rounded, so that M's error counts for the distance from the mean only.
    A nearly constant neuron has scale 0 (`BatchNorm.scale`): M = 0, its value is in B, and others set the shift.
    """
    norm = group.norm
    if isinstance(norm, IntegerActivation):
        return norm.folded
    scale, mean, beta = (array.astype(np.float64)[0] for array in (norm.scale, norm.mean, norm.beta.value))
    if isinstance(group.activation, Sign):
        return Folded(_thresholds(scale, mean, beta), 0, scale)
    relu = group.activation
    unit = relu.gain if relu else 1.0
    fits = _fits_any_weights if any_weights else _fits
    for shift in range(integer.SHIFT_MAX if relu else LOGIT_SHIFT_MAX, 0, -1):
        multiplier = np.rint(unit * scale * 2.0**shift)
        bias = np.rint(unit * beta * 2.0**shift - multiplier * mean)
        if relu:
            bias += 2 ** (shift - 1)
        if np.abs(multiplier).max() > integer.MULTIPLIER_MAX or np.abs(bias).max() > integer.INT32_MAX:
            continue
        multiplier, bias = multiplier.astype(np.int16), bias.astype(np.int32)
        integers = Requantize(multiplier, bias, shift, relu.high) if relu else Logits(multiplier, bias)
        if fits(group, integers, inputs):
            return Folded(integers, shift, multiplier * 2.0**-shift)
    raise SignbitError("batch norm's scale or shift is too large for 32-bit integers; try a lower --lr")


Fits = Callable[[Group, Requantize | Logits, Value], bool]


def _fits(group: Group, integers: Requantize | Logits, inputs: Value) -> bool:
    """Whether nothing leaves int32 with the group's weights."""
    try:
        ranges.prove(group.integer_layer(integers), inputs)
    except SignbitError:
        return False
    return True


def _fits_any_weights(group: Group, integers: Requantize | Logits, inputs: Value) -> bool:
    """Whether nothing leaves int32 whatever the weights are: |acc| is fan_in times the largest input at most."""
    reach = len(group.weighted.weight.value) * max(abs(inputs.low), abs(inputs.high))
    scaled = np.abs(integers.multiplier.astype(np.int64)) * reach + np.abs(integers.bias.astype(np.int64))
    return int(scaled.max()) <= integer.INT32_MAX


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
