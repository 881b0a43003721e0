"""From a sensor's counts to a network's inputs: one multiplier and one bias a channel -- SPEC 11."""

from dataclasses import dataclass

import numpy as np

from signbit.qmodel import integer
from signbit.qmodel.activations import PerNeuron, whole_number
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.integer import INT16_MAX, INT16_MIN, INT32_MAX, INT32_MIN

OUTLIERS_PER_MILLE = 1
"""Part of the training values at either end that may be clipped."""

SPAN_RATIO_MAX = 1024
"""All channels share a shift, and a multiplier this much smaller than the largest still has 4 bits."""

FIT_SHIFT_MAX = 23
"""At most, 255 << shift stays well inside int32."""


@dataclass(frozen=True, eq=False)
class InputQuantization(PerNeuron):
    """q = clamp((count * multiplier + bias) >> shift, 0, 255), uint8 of int16 -- SPEC 11.

    `multiplier` int16 and `bias` int32, one for each index of the input's last axis: a feature of a vector, a channel
    of a window.  `bias` carries the rounding half.
    """

    multiplier: np.ndarray
    bias: np.ndarray
    shift: int

    @property
    def channels(self) -> int:
        return len(self.multiplier)

    @property
    def range(self) -> tuple[int, int]:
        """Lowest and highest count * multiplier + bias that any int16 can give."""
        ends = np.array([[INT16_MIN], [INT16_MAX]]) * self.multiplier.astype(np.int64) + self.bias
        return int(ends.min()), int(ends.max())

    def run(self, counts: np.ndarray) -> np.ndarray:
        """Inputs of `counts`, int16 (..., channels)."""
        return integer.quantize_input(counts, self.multiplier, self.bias, self.shift)

    def check(self, channels: int) -> None:
        """Raises SignbitError unless it has `channels` of the right types and stays inside int32 for every count."""
        super().check(channels)
        if not 1 <= self.shift <= integer.SHIFT_MAX:
            raise SignbitError(f"input quantization's shift is {self.shift}, but must be 1 to {integer.SHIFT_MAX}")
        low, high = self.range
        if low < INT32_MIN or high > INT32_MAX:
            worst = low if low < INT32_MIN else high
            raise SignbitError(f"input quantization can reach {worst}, which int32 does not hold")

    def settings(self) -> dict:
        return {"shift": self.shift}

    @classmethod
    def restore(cls, settings: dict, arrays: dict[str, np.ndarray]) -> "InputQuantization":
        if not isinstance(settings, dict) or set(settings) != {"shift"}:
            raise SignbitError("input_quantization must be an object with the key 'shift' and no other")
        return cls(arrays["multiplier"], arrays["bias"], whole_number(settings, "shift", 1, integer.SHIFT_MAX))


def fit(counts: np.ndarray, weights: np.ndarray | None = None) -> InputQuantization:
    """The quantization that spreads each channel's training values over 0..255.

    `counts` int16 (samples, ..., channels), of the training part only; `weights`, whole numbers (samples,), say how
    often each counts.  With a channel's values from `low` to `high`,
    outliers left out, and span = high - low,

        M = round(255 * 2^shift / span)
        B = 127.5 * 2^shift - M * (low + high) / 2 + 2^(shift - 1)

    so that the middle stays in the middle however M was rounded.  A channel that never changes becomes 128.  All in
    whole numbers, so the same data give the same quantization on every machine.
    """
    low, high = _ends(counts.reshape(-1, counts.shape[-1]), weights)
    span = high - low
    # a channel that hardly moves must not take the bits of the others' multipliers
    span = np.where(span > 0, np.maximum(span, -(-span.max() // SPAN_RATIO_MAX)), 0)
    for shift in range(FIT_SHIFT_MAX, 0, -1):
        multiplier = np.where(span > 0, ((255 << shift) + span // 2) // np.maximum(span, 1), 0)
        bias = ((256 << shift) - multiplier * (low + high)) // 2
        if multiplier.max() > integer.MULTIPLIER_MAX or np.abs(bias).max() > INT32_MAX:
            continue
        quantization = InputQuantization(multiplier.astype(np.int16), bias.astype(np.int32), shift)
        if quantization.range[0] >= INT32_MIN and quantization.range[1] <= INT32_MAX:
            return quantization
    raise AssertionError("a shift of 7 fits every span")


def _ends(rows: np.ndarray, weights: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Each column's lowest and highest value, int64, without OUTLIERS_PER_MILLE at either end."""
    total = len(rows) if weights is None else int(weights.sum())
    outside = (total - 1) * OUTLIERS_PER_MILLE // 1000
    places = [outside, total - 1 - outside]
    if weights is None:
        return tuple(np.partition(rows, places, axis=0)[places].astype(np.int64))
    ends = np.empty((2, rows.shape[1]), np.int64)
    for index in range(rows.shape[1]):
        # how many values are at most INT16_MIN, INT16_MIN + 1, ...; floats hold these whole numbers exactly
        at_most = np.cumsum(np.bincount(rows[:, index].astype(np.int64) - INT16_MIN, weights))
        ends[:, index] = np.searchsorted(at_most, places, side="right") + INT16_MIN
    return tuple(ends)
