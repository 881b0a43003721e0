"""From real lines to integers: requantize, thresholds and logits, and how many accumulators they round differently."""

from dataclasses import dataclass

import numpy as np

from signbit.qmodel.activations import Logits, Requantize, Sign
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.integer import INT32_MAX, INT32_MIN, MULTIPLIER_MAX, SHIFT_MAX
from signbit.qmodel.layer import Range
from signbit.qmodel.model import LOGIT_SHIFT_MAX

TIE = 1e-9
"""A quotient of float64 this near to a whole number is that number."""
FLOAT32_TIE = 2e-7
"""The same, of numbers that a graph computes in float32."""


@dataclass(frozen=True)
class Certificate:
    """How many of all neurons' `possible` accumulators get another level than the graph gives them."""

    possible: int
    different: int

    def __add__(self, other: "Certificate") -> "Certificate":
        return Certificate(self.possible + other.possible, self.different + other.different)


@dataclass(frozen=True)
class Line:
    """level = floor(gain * acc + offset), clamped to 0..high, for each neuron; arrays of shape (neurons,).

    Where `is_even`, an exact tie goes to the level for which level + `first` is even: then `offset` has the half in it.
    """

    gain: np.ndarray
    offset: np.ndarray
    high: int
    is_even: bool = False
    first: int = 0


def requantize(line: Line, acc: Range) -> tuple[Requantize, Certificate]:
    """(acc * M + B) >> s with the largest s that fits.

    B makes it exact in the middle of where it is not clamped, so that the error of a rounded M counts from there;
    `_refined` looks for what is better.  Raises SignbitError if no s fits.
    """
    low, high = _each(acc, line)
    slope = np.where(line.gain == 0, 1.0, line.gain)
    middle = np.clip(((line.high + 1) / 2 - line.offset) / slope, low, high)
    # what is clamped anyway needs no larger bias
    offset = np.where(line.gain == 0, np.clip(line.offset, -1, line.high + 1), line.offset)
    for shift in range(SHIFT_MAX, 0, -1):
        multiplier = np.rint(line.gain * 2.0**shift)
        bias = np.rint((line.gain * middle + offset) * 2.0**shift - multiplier * middle)
        if _fits(multiplier, bias, low, high).all():
            activation = Requantize(multiplier.astype(np.int16), bias.astype(np.int32), shift, line.high)
            activation = _refined(line, activation, acc)
            return activation, compare(line, activation, acc)
    raise SignbitError("its products do not fit into 32 bits; make the layer smaller")


def reached_at(line: Line) -> np.ndarray:
    """The accumulator at which each level 1..high is reached, (high, neurons); -inf or inf where always or never.

    Of neurons with a negative gain, its opposite, so that a level is reached from there upwards.
    """
    levels = np.arange(1, line.high + 1)[:, None]
    size = np.abs(line.gain)
    with np.errstate(divide="ignore", invalid="ignore"):
        exact = (levels - line.offset) / size
    nearest, is_tie = _ties(exact, TIE)
    loses = line.is_even & ((levels + line.first) % 2 == 1)
    reached = np.where(is_tie, nearest + loses, np.ceil(exact))
    return np.where(size == 0, np.where(line.offset >= levels, -np.inf, np.inf), reached)


def ties(line: Line, acc: Range) -> int:
    """How many accumulators lie on the boundary of two levels for float32, whose errors may decide in the graph."""
    low, high = _upwards(line, acc)
    with np.errstate(divide="ignore", invalid="ignore"):
        nearest, is_tie = _ties((np.arange(1, line.high + 1)[:, None] - line.offset) / np.abs(line.gain), FLOAT32_TIE)
    return int((is_tie & (low <= nearest) & (nearest <= high)).sum())


def _ties(exact: np.ndarray, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """The nearest whole numbers, and which of them are meant."""
    nearest = np.rint(exact)
    return nearest, np.abs(exact - nearest) <= tolerance * np.maximum(1, np.abs(exact))


def levels_at(activation: Requantize) -> np.ndarray:
    """`reached_at` of a requantize: ceil((level * 2^s - B) / |M|)."""
    levels = np.arange(1, activation.high + 1, dtype=np.int64)[:, None] << activation.shift
    size, bias = np.abs(activation.multiplier.astype(np.int64)), activation.bias.astype(np.int64)
    reached = -((bias - levels) // np.maximum(size, 1))
    return np.where(size == 0, np.where(bias >= levels, -np.inf, np.inf), reached)


def compare(line: Line, activation: Requantize, acc: Range) -> Certificate:
    """Accumulators in their ranges that get another level by `activation` than by the line."""
    low, high = _each(acc, line)
    return Certificate(int((high - low + 1).sum()), int(_different(line, activation, acc).sum()))


def _different(line: Line, activation: Requantize, acc: Range) -> np.ndarray:
    """How many accumulators of each neuron get another level."""
    low, high = _upwards(line, acc)
    # where one line rises and the other is flat, flat was rounded from nearly flat
    cut = [np.clip(reached, low, high + 1) for reached in (reached_at(line), levels_at(activation))]
    return np.abs(cut[0] - cut[1]).sum(axis=0)


def _refined(line: Line, activation: Requantize, acc: Range) -> Requantize:
    """M and M +- 1, each with the B that reaches most levels at the line's accumulators: the best of them.

    |M| and s reach level l at accumulator A_l if l * 2^s - |M| * A_l <= B < l * 2^s - |M| * (A_l - 1), an interval of
    |M| numbers for each level; the B that is looked for lies in most intervals.
    """
    best, different = activation, _different(line, activation, acc)
    wanted, (low, high), sign = reached_at(line), _upwards(line, acc), np.where(line.gain < 0, -1, 1)
    size = np.abs(activation.multiplier.astype(np.int64))
    for near in (size, size - 1, size + 1):
        near, bias = np.clip(near, 0, MULTIPLIER_MAX), activation.bias.astype(np.int64)
        for neuron in np.flatnonzero((different > 0) & (near > 0)):
            reached = wanted[:, neuron]
            levels = np.flatnonzero((low[neuron] < reached) & (reached <= high[neuron]))
            first = np.sort((levels + 1 << activation.shift) - near[neuron] * reached[levels].astype(np.int64))
            below = np.searchsorted(first, first - near[neuron], "right")
            if first.size:
                most = np.argmax(np.arange(first.size) - below)
                # the middle of what all these intervals share
                bias[neuron] = (first[most] + first[below[most]] + near[neuron] - 1) // 2
        bias = np.clip(bias, INT32_MIN + 1, INT32_MAX)
        found = Requantize((sign * near).astype(np.int16), bias.astype(np.int32), activation.shift, activation.high)
        counts = _different(line, found, acc)
        is_better = (counts < different) & _fits(sign * near, bias, *_each(acc, line))
        different = np.where(is_better, counts, different)
        multiplier, bias = (np.where(is_better, getattr(found, n), getattr(best, n)) for n in ("multiplier", "bias"))
        best = Requantize(multiplier, bias, activation.shift, activation.high)
    return best


def _upwards(line: Line, acc: Range) -> tuple[np.ndarray, np.ndarray]:
    """Ranges of accumulators, or of their opposites where the gain is negative."""
    low, high = _each(acc, line)
    return np.where(line.gain < 0, -high, low), np.where(line.gain < 0, -low, high)


def threshold(gain: np.ndarray, offset: np.ndarray, is_strict: np.ndarray) -> Sign:
    """gain * acc + offset >= 0 (or > 0 where `is_strict`) as direction * acc >= T -- SPEC 5."""
    size = np.where(gain == 0, 1.0, np.abs(gain))
    exact = -offset / size
    reached = np.where(is_strict, np.floor(exact) + 1, np.ceil(exact))
    # no accumulator is near int32's ends; 1 - T, the threshold of the opposite sign, is within them, too
    reached = np.clip(reached, INT32_MIN + 2, INT32_MAX)
    always = np.where(is_strict, offset > 0, offset >= 0)
    reached = np.where(gain == 0, np.where(always, INT32_MIN, INT32_MAX), reached)
    return Sign(reached.astype(np.int32), np.where(gain < 0, -1, 1).astype(np.int8))


def zeros(gain: np.ndarray, offset: np.ndarray, acc: Range) -> np.ndarray:
    """How many accumulators of each neuron make gain * acc + offset exactly 0."""
    low, high = np.broadcast_arrays(acc.low, acc.high, gain)[:2]
    with np.errstate(divide="ignore", invalid="ignore"):
        place = -offset / gain
    hits = (place == np.rint(place)) & (low <= place) & (place <= high)
    return np.where(gain == 0, np.where(offset == 0, high - low + 1, 0), hits)


def two_levels(sign: Sign) -> Requantize:
    """1 where `sign` gives +1, else 0: (d * acc - T + 1) is at least 1 exactly there."""
    direction, reached = sign.direction.astype(np.int64), sign.threshold.astype(np.int64)
    never, always = reached == INT32_MAX, reached == INT32_MIN
    constant = never | always
    multiplier = np.where(constant, 0, 2 * direction)
    bias = np.where(always, 2, np.where(never, 0, 2 - 2 * reached))
    return Requantize(multiplier.astype(np.int16), bias.astype(np.int32), 1, 1)


def logits(gain: np.ndarray, offset: np.ndarray, acc: Range) -> tuple[Logits, int]:
    """acc * M + B and the logit shift, the largest that fits."""
    low, high = np.broadcast_arrays(acc.low, acc.high, gain)[:2]
    for shift in range(LOGIT_SHIFT_MAX, -1, -1):
        multiplier, bias = np.rint(gain * 2.0**shift), np.rint(offset * 2.0**shift)
        if _fits(multiplier, bias, low, high).all():
            return Logits(multiplier.astype(np.int16), bias.astype(np.int32)), shift
    raise SignbitError("its logits do not fit into 32 bits; scale the last layer down")


def _each(acc: Range, line: Line) -> tuple[np.ndarray, np.ndarray]:
    low, high, _ = np.broadcast_arrays(acc.low, acc.high, line.gain)
    return low, high


def _fits(multiplier: np.ndarray, bias: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Whether nothing of a neuron leaves its type."""
    products = np.stack([low * multiplier, high * multiplier])
    both = np.concatenate([products, products + bias])
    is_small = (np.abs(multiplier) <= MULTIPLIER_MAX) & (np.abs(bias) <= INT32_MAX)
    return is_small & (both.min(axis=0) >= INT32_MIN) & (both.max(axis=0) <= INT32_MAX)
