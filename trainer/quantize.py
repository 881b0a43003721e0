"""Network -> QuantizedModel: batch norm folded into integers."""

import numpy as np

from qmodel import integer, ranges
from qmodel.activations import Logits, Requantize
from qmodel.errors import SignbitError
from qmodel.layers import Dense as IntegerDense
from qmodel.model import LOGIT_SHIFT_MAX, QuantizedModel
from trainer.layers import BatchNorm, Dense, QuantizedRelu
from trainer.network import Network


def quantize(network: Network, name: str, input_shape: tuple[int, ...], labels: tuple[str, ...]) -> QuantizedModel:
    """The integer model of a binarized, calibrated network, its ranges proved by `QuantizedModel.validate`.

    Raises SignbitError for a float network, or where no shift keeps a layer inside int32.
    """
    layers = []
    inputs = (0, 255 >> network.input_shift)
    for dense, norm, relu in _groups(network):
        layer, shift = _fold(dense, norm, relu, inputs)
        layers.append(layer)
        inputs = ranges.outputs(layer)
    # the last layer's shift is what its logits are worth
    model = QuantizedModel(name, tuple(input_shape), network.input_shift, tuple(layers), tuple(labels), shift)
    return model.validate()


def _groups(network: Network) -> list[tuple[Dense, BatchNorm, QuantizedRelu | None]]:
    """The network's layers as (dense, batch norm, activation), one group an integer layer; the last has none."""
    layers = [*network.layers, None]
    groups = list(zip(layers[::3], layers[1::3], layers[2::3], strict=False))
    kinds = [[type(layer) for layer in group] for group in groups]
    hidden, last = [Dense, BatchNorm, QuantizedRelu], [Dense, BatchNorm, type(None)]
    if len(layers) % 3 or kinds != [hidden] * (len(groups) - 1) + [last]:
        raise SignbitError("only a binarized network has an integer model; train with --binarize deterministic")
    return groups


def _fold(
    dense: Dense, norm: BatchNorm, relu: QuantizedRelu | None, inputs: tuple[int, int]
) -> tuple[IntegerDense, int]:
    """The integer layer, and its shift: the largest for which everything fits.

    y = unit * (scale * (acc - mean) + beta), with unit = gain before a ReLU and 1 for logits, becomes

        M = round(unit * scale * 2^shift)
        B = round(unit * beta * 2^shift - M * mean)   + 2^(shift - 1) before a ReLU, which rounds

    B takes the mean times the M that was rounded, so that M's error counts for the distance from the mean only.
    A nearly constant neuron has scale 0 (`BatchNorm.scale`): M = 0, its value is in B, and others set the shift.
    """
    weights = integer.sign(dense.weight.value.T)
    scale, mean, beta = (array.astype(np.float64)[0] for array in (norm.scale, norm.mean, norm.beta.value))
    unit = relu.gain if relu else 1.0
    for shift in range(integer.SHIFT_MAX if relu else LOGIT_SHIFT_MAX, 0, -1):
        multiplier = np.rint(unit * scale * 2.0**shift)
        bias = np.rint(unit * beta * 2.0**shift - multiplier * mean)
        if relu:
            bias += 2 ** (shift - 1)
        if np.abs(multiplier).max() > integer.MULTIPLIER_MAX or np.abs(bias).max() > integer.INT32_MAX:
            continue
        layer = IntegerDense(weights, _activation(multiplier, bias, shift, relu))
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
