"""Residual additions: whole where the scales allow it, else requantized."""

import numpy as np

from signbit.bridge.graph.fold import Certificate
from signbit.bridge.graph.layers import Layers
from signbit.bridge.graph.source import Sum
from signbit.bridge.graph.stairs import LEVELS_MAX, ON_GRID, Rounding, Stairs
from signbit.bridge.graph.tensor import Tensor
from signbit.qmodel import integer
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.integer import MULTIPLIER_MAX, SHIFT_MAX
from signbit.qmodel.merge import Add

COMBINATIONS_MAX = 1 << 22
"""Combinations of inputs of an addition that are compared."""
SAME_RATIO = 1e-6
"""Relative difference of a ratio of two scales from the whole number that float32 was meant to hold."""


def added(layers: Layers, tensor: Tensor) -> Tensor:
    """The tensor as a layer's output, from which its stairs may still have to be taken."""
    found, stairs = tensor.source, tensor.stairs
    if whole := _whole(found):
        multipliers, unit = whole
        high = sum(m * slot.value.high for m, slot in zip(multipliers, found.reads, strict=True))
        if high < LEVELS_MAX:
            slot = layers.emit(Add(layers.counted_back(found.reads), high, multipliers, 0), found.reads)
            return tensor.on(slot, np.asarray(tensor.gain) * unit, tensor.offset, stairs)
    if not isinstance(stairs, Stairs) or stairs.rounding is None:
        raise SignbitError("its inputs are a sum that is not quantized; quantize after the addition")
    if np.size(tensor.gain) > 1 or np.size(tensor.offset) > 1:
        raise SignbitError("scales a sum channel by channel; normalize before the addition")
    return _requantized(layers, tensor, stairs)


def _requantized(layers: Layers, tensor: Tensor, stairs: Stairs) -> Tensor:
    found, is_nearest = tensor.source, stairs.rounding is Rounding.NEAREST
    gains = float(tensor.gain) * np.array(found.gains)
    highs = [slot.value.high for slot in found.reads]
    first, last = stairs.levels(float(tensor.offset), float(gains @ highs) + float(tensor.offset))
    if first != 0 or abs(float(tensor.offset) + 0.5 * is_nearest - 0.5) > ON_GRID:
        raise SignbitError("quantizes a sum with an offset; an addition has levels from 0, and rounds to nearest")
    most = max((2.0**31 - 2.0**29) / max(float(gains @ highs), last), 1.0)
    shift = next(s for s in range(SHIFT_MAX, -1, -1) if gains.max() * 2.0**s <= MULTIPLIER_MAX and 2.0**s <= most)
    multipliers = tuple(int(m) for m in np.maximum(np.rint(gains * 2.0**shift), 1))
    layer = Add(layers.counted_back(found.reads), last, multipliers, shift)
    slot = layers.emit(layer, found.reads, _compare(gains, highs, layer, is_nearest))
    return tensor.on(slot, stairs.scale, stairs.zero)


def _whole(found: Sum) -> tuple[tuple[int, ...], float] | None:
    """Multipliers and their unit, if all gains are small multiples of one number."""
    unit = min(found.gains)
    ratios = np.array(found.gains) / unit
    whole = np.rint(ratios)
    is_whole = (np.abs(ratios - whole) <= SAME_RATIO * whole).all() and whole.max() < LEVELS_MAX
    return (tuple(int(ratio) for ratio in whole), unit) if is_whole else None


def _compare(gains: np.ndarray, highs: list[int], layer: Add, is_even: bool) -> Certificate:
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
