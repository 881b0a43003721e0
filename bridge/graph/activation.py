"""Accumulators become a value: by a step, by levels, or as they are where they are few."""

from dataclasses import replace

import numpy as np

from signbit.bridge.graph import fold
from signbit.bridge.graph.fold import Certificate, Line
from signbit.bridge.graph.layers import Layers
from signbit.bridge.graph.source import Pending
from signbit.bridge.graph.stairs import LEVELS_MAX, ON_GRID, Rounding
from signbit.bridge.graph.tensor import Tensor
from signbit.qmodel.activations import Requantize
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.layer import Range
from signbit.qmodel.layers import AveragePool

TIES_SHARE = 0.01
CALIBRATED_LEVELS = 127
"""The highest level of a float ReLU that was calibrated."""


def few(layers: Layers, tensor: Tensor) -> Tensor | None:
    """Accumulators of at most 256 values, as they are; None of more."""
    pending = tensor.source
    low, high = pending.range.overall()
    if high - low >= LEVELS_MAX:
        return None
    # (acc * 2 - low * 2) >> 1
    count = pending.layer.neurons
    twice = np.full(count, 2, np.int16)
    activation = Requantize(twice, np.full(count, -2 * low, np.int32), 1, max(high - low, 1))
    slot = layers.emit(pending.with_activation(activation), pending.reads)
    return tensor.on(slot, tensor.gain, tensor.offset + tensor.gain * low)


def mean(layers: Layers, tensor: Tensor) -> Tensor:
    """The mean of each window, rounded."""
    pending = tensor.source
    value, count = pending.reads[0].value, pending.layer.fan_in
    possible = pending.layer.neurons * (count * value.high + 1)
    whole = pending.layer.neurons * (value.high + 1)
    slot = layers.emit(pending.mean(value.high), pending.reads, Certificate(possible, possible - whole))
    return tensor.on(slot, tensor.gain * count, tensor.offset)


def step(layers: Layers, tensor: Tensor) -> Tensor:
    """One bit, or levels 0 and 1 where the two numbers are not opposites."""
    pending, acc = tensor.source, tensor.source.range
    below, zero, above = (tensor.per_channel(number) for number in tensor.stairs.arrays)
    scale = above - below
    if (scale == 0).any() or ((zero - below) * (above - zero) < 0).any():
        raise SignbitError("is a step that does not lead from one number to another; use a sign")
    gain, offset = tensor.per_channel(tensor.gain), tensor.per_channel(tensor.offset)
    activation = fold.threshold(gain, offset, zero == below)
    at_zero = fold.zeros(gain, offset, acc)
    is_between = (zero != below) & (zero != above)
    certificate = Certificate(int((acc.high - acc.low + 1).sum()), int(at_zero[is_between].sum()))
    if certificate.different:
        layers.notes.append("Sign gives 0 for 0, and one bit has no 0; it becomes +1 there")
    _note_ties(layers, int(at_zero.sum()), len(gain))
    below, _, above = tensor.stairs.arrays
    middle, scale = (above + below) / 2, above - below
    if np.any(np.abs(middle) > ON_GRID * np.abs(scale)):
        slot = layers.emit(pending.with_activation(fold.two_levels(activation)), pending.reads, certificate)
        return tensor.on(slot, scale, below)
    slot = layers.emit(pending.with_activation(activation), pending.reads, certificate)
    return tensor.on(slot, scale / 2, 0.0)


def quantized(layers: Layers, tensor: Tensor) -> Tensor:
    """Whole numbers from a first to a last level."""
    pending, stairs, acc = tensor.source, tensor.stairs, tensor.source.range
    gain, offset = tensor.per_channel(tensor.gain), tensor.per_channel(tensor.offset)
    ends = np.stack([acc.low * gain + offset, acc.high * gain + offset])
    first, last = stairs.levels(float(ends.min()), float(ends.max()))
    is_nearest = stairs.rounding is Rounding.NEAREST
    line = Line(gain, offset - first + 0.5 * is_nearest, last - first, is_nearest, first)
    _note_ties(layers, fold.ties(line, acc), len(gain) * line.high)
    layer, certificate = _as_mean(pending, line, acc) or (None, None)
    if layer is None:
        activation, certificate = fold.requantize(line, acc)
        layer = pending.with_activation(activation)
    slot = layers.emit(layer, pending.reads, certificate)
    return tensor.on(slot, stairs.scale, stairs.zero + stairs.scale * first)


def _note_ties(layers: Layers, count: int, boundaries: int) -> None:
    """A few are chance, many are scales that are simple fractions of each other."""
    if count > TIES_SHARE * boundaries:
        layers.notes.append(
            f"layer {len(layers.built)}: {count:,} accumulators lie on the boundary of two levels, where the network's "
            "float32 may round to either side"
        )


def calibrated(tensor: Tensor, high: float) -> Tensor:
    """A float ReLU rounded to whole numbers of 7 bits, the highest of which is worth `high`."""
    scale = high / CALIBRATED_LEVELS
    levels = tensor.affine(1 / scale, 0.5).clamp(0.0, CALIBRATED_LEVELS + 0.5).rounded(Rounding.FLOOR)
    return levels.affine(scale, 0.0)


def _as_mean(pending: Pending, line: Line, acc: Range) -> tuple[AveragePool, Certificate] | None:
    """The average pool that does the same without weights, except for exact ties, if there is one."""
    if not pending.is_mean:
        return None
    pool = pending.mean(line.high)
    if fold.compare(replace(line, is_even=False), pool.activation, acc).different:
        return None
    return pool, fold.compare(line, pool.activation, acc)
