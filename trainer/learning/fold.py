"""Batch norm folded into integers: what lies between a layer's accumulators and its outputs -- SPEC 4 to 6."""

import numpy as np

from signbit.qmodel import integer, ranges
from signbit.qmodel.activations import Logits, Requantize
from signbit.qmodel.activations import Sign as IntegerSign
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.model import LOGIT_SHIFT_MAX
from signbit.qmodel.value import Value
from signbit.trainer.network.block import Block
from signbit.trainer.network.frozen import Folded
from signbit.trainer.network.layers import Sign


def fold(block: Block, inputs: Value, any_weights: bool = False) -> Folded:
    """The integers of a block that reads `inputs`, with the largest shift for which everything fits.

    y = unit * (scale * (acc - mean) + beta), with unit = gain before a ReLU and 1 for logits, becomes

        M = round(unit * scale * 2^shift)
        B = round(unit * beta * 2^shift - M * mean)   + 2^(shift - 1) before a ReLU, which rounds

    B takes the mean times the M that was rounded, so that M's error counts for the distance from the mean only.
    A nearly constant neuron has scale 0 (`BatchNorm.scale`): M = 0, its value is in B, and others set the shift.
    """
    norm = block.norm
    scale, mean, beta = (array.astype(np.float64)[0] for array in (norm.scale, norm.mean, norm.beta.value))
    if isinstance(block.activation, Sign):
        return Folded(_thresholds(scale, mean, beta), 0, scale)
    relu = block.activation
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
        if fits(block, integers, inputs):
            return Folded(integers, shift, multiplier * 2.0**-shift)
    raise SignbitError("batch norm's scale or shift is too large for 32-bit integers; try a lower --lr")


def _fits(block: Block, integers: Requantize | Logits, inputs: Value) -> bool:
    """Whether nothing leaves int32 with the block's weights."""
    try:
        ranges.prove(block.integer_layer(integers), inputs)
    except SignbitError:
        return False
    return True


def _fits_any_weights(block: Block, integers: Requantize | Logits, inputs: Value) -> bool:
    """Whether nothing leaves int32 with any weights: |acc| is at most fan_in times the largest input."""
    reach = len(block.weights.weight.value) * max(abs(inputs.low), abs(inputs.high))
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
