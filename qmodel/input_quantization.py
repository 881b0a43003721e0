"""From a sensor's counts to a network's inputs, in one of three ways -- SPEC 11.

    affine        one multiplier and one bias per channel: 8-bit inputs
    pieces        the same per piece of a channel's range, the pieces equally full: 8-bit inputs
    thermometer   comparisons with thresholds: one-bit inputs

A channel is an index of the counts' last axis: a feature of a vector, an axis of a window.  Each way has

    run(counts) -> inputs     int16 (..., channels) -> uint8 (..., channels), or +1 and -1 as int8 (..., bits)
    value(counts_shape)       the inputs as the network reads them
    range                     lowest and highest int32 that any int16 can lead to
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from signbit.qmodel import integer
from signbit.qmodel.activations import Entries, whole_number
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.integer import INT16_MAX, INT16_MIN, INT32_MAX, INT32_MIN
from signbit.qmodel.value import Encoding, Shape, Value

OUTLIERS_PER_MILLE = 1
"""Part of the training values at either end that may be clipped."""

SPAN_RATIO_MAX = 1024
"""All channels share a shift, and a multiplier this much smaller than the largest still has 4 bits."""

FIT_SHIFT_MAX = 23
"""At most, 255 << shift stays well inside int32."""

THRESHOLDS_MAX = 255
"""Per channel."""
PIECES_MAX = 64
"""Per channel."""
ROWS = 4096
"""Samples whose counts become inputs at once, so that memory stays bounded."""


@dataclass(frozen=True, eq=False)
class Affine:
    """q = clamp((count * multiplier + bias) >> shift, 0, 255).

    `multiplier` int16 and `bias` int32, shape (channels,); `bias` carries the rounding half.
    """

    kind: ClassVar[str] = "affine"
    KEYS: ClassVar[frozenset[str]] = frozenset({"shift"})
    multiplier: np.ndarray
    bias: np.ndarray
    shift: int

    @property
    def channels(self) -> int:
        return len(self.multiplier)

    @property
    def range(self) -> tuple[int, int]:
        ends = np.array([[INT16_MIN], [INT16_MAX]]) * self.multiplier.astype(np.int64) + self.bias
        return int(ends.min()), int(ends.max())

    def value(self, counts_shape: Shape) -> Value:
        return Value(counts_shape, Encoding.UINT8, 0, 255)

    def run(self, counts: np.ndarray) -> np.ndarray:
        return integer.quantize_input(counts, self.multiplier, self.bias, self.shift)

    def check(self) -> None:
        """Raises SignbitError unless its arrays have the right types and no count leaves int32."""
        _check_arrays(self)
        if not 1 <= self.shift <= integer.SHIFT_MAX:
            raise SignbitError(f"input quantization's shift is {self.shift}, but must be 1 to {integer.SHIFT_MAX}")
        _check_range(self.range)

    def settings(self) -> dict:
        return {"shift": self.shift}

    def arrays(self) -> dict[str, np.ndarray]:
        return {"multiplier": self.multiplier, "bias": self.bias}

    @staticmethod
    def entries(settings: dict, channels: int) -> Entries:
        return {"multiplier": ("int16", (channels,)), "bias": ("int32", (channels,))}

    @classmethod
    def restore(cls, settings: dict, arrays: dict[str, np.ndarray]) -> "Affine":
        return cls(arrays["multiplier"], arrays["bias"], whole_number(settings, "shift", 1, integer.SHIFT_MAX))


@dataclass(frozen=True, eq=False)
class Pieces:
    """q = level_k + (((count - knot_k) * slope_k + half) >> shift) in the piece k of a channel that holds the count.

    Channel c has the knots `knots[c]`, int16 (channels, pieces + 1), not falling, and pieces k = 0..pieces - 1.
    Counts are clamped to knot_0..knot_pieces first; k is the last piece that begins at or below the count and is not
    empty.  Piece k gives the levels from level_k = (255 * k) // pieces on, with

        slope_k = ((level_k+1 - level_k) << shift) // (knot_k+1 - knot_k),  half = 1 << (shift - 1)

    so only the knots are stored besides the slopes.  A channel whose knots are all equal becomes 0.
    """

    kind: ClassVar[str] = "pieces"
    KEYS: ClassVar[frozenset[str]] = frozenset({"kind", "pieces"})
    SHIFT: ClassVar[int] = 15
    knots: np.ndarray

    @property
    def channels(self) -> int:
        return len(self.knots)

    @property
    def pieces(self) -> int:
        return self.knots.shape[1] - 1

    @property
    def levels(self) -> np.ndarray:
        """What each knot becomes, shape (pieces + 1,)."""
        return 255 * np.arange(self.pieces + 1) // self.pieces

    @property
    def slopes(self) -> np.ndarray:
        """Levels per count in units of 2^-SHIFT, int32 (channels, pieces); 0 for an empty piece."""
        width = np.diff(self.knots.astype(np.int64), axis=1)
        rise = np.diff(self.levels) << self.SHIFT
        return np.where(width > 0, rise // np.maximum(width, 1), 0).astype(np.int32)

    @property
    def range(self) -> tuple[int, int]:
        reach = np.diff(self.knots.astype(np.int64), axis=1) * self.slopes
        return 0, int(reach.max(initial=0)) + (1 << (self.SHIFT - 1))

    def value(self, counts_shape: Shape) -> Value:
        return Value(counts_shape, Encoding.UINT8, 0, 255)

    def run(self, counts: np.ndarray) -> np.ndarray:
        result = np.zeros(counts.shape, np.uint8)
        for channel, (knots, slopes) in enumerate(zip(self.knots.astype(np.int64), self.slopes, strict=True)):
            held = np.clip(counts[..., channel].astype(np.int64), knots[0], knots[-1])
            # the last of the pieces that begin at or below the count; the range's end belongs to the last filled one
            filled = np.flatnonzero(slopes)
            if not len(filled):
                continue
            piece = filled[np.maximum(np.searchsorted(knots[filled], held, side="right") - 1, 0)]
            step = ((held - knots[piece]) * slopes[piece] + (1 << (self.SHIFT - 1))) >> self.SHIFT
            result[..., channel] = self.levels[piece] + step
        return result

    def check(self) -> None:
        _check_arrays(self)
        if (np.diff(self.knots.astype(np.int64), axis=1) < 0).any():
            raise SignbitError("input quantization's knots must not fall")
        _check_range(self.range)

    def settings(self) -> dict:
        return {"kind": self.kind, "pieces": self.pieces}

    def arrays(self) -> dict[str, np.ndarray]:
        return {"knots": self.knots}

    @staticmethod
    def entries(settings: dict, channels: int) -> Entries:
        return {"knots": ("int16", (channels, whole_number(settings, "pieces", 1, PIECES_MAX) + 1))}

    @classmethod
    def restore(cls, settings: dict, arrays: dict[str, np.ndarray]) -> "Pieces":
        return cls(arrays["knots"])


@dataclass(frozen=True, eq=False)
class Thermometer:
    """Bits k = 0..n_c - 1 of channel c: +1 where count >= threshold_c,k, else -1; the channels' bits in order.

    `thresholds` int16, shape (bits,), those of channel 0 first, rising within a channel; `counts` uint8, shape
    (channels,), how many each channel has.
    """

    kind: ClassVar[str] = "thermometer"
    KEYS: ClassVar[frozenset[str]] = frozenset({"kind", "channels", "bits"})
    thresholds: np.ndarray
    counts: np.ndarray

    @property
    def channels(self) -> int:
        return len(self.counts)

    @property
    def range(self) -> tuple[int, int]:
        return INT16_MIN, INT16_MAX

    def value(self, counts_shape: Shape) -> Value:
        return Value((*counts_shape[:-1], len(self.thresholds)), Encoding.BIT, -1, 1)

    def run(self, counts: np.ndarray) -> np.ndarray:
        return integer.sign(np.repeat(counts, self.counts, axis=-1).astype(np.int32) - self.thresholds)

    def check(self) -> None:
        _check_arrays(self)
        if self.counts.sum(dtype=np.int64) != len(self.thresholds) or not len(self.thresholds):
            raise SignbitError("input quantization's thresholds are not as many as its counts say")
        channel = np.repeat(np.arange(self.channels), self.counts)
        falls = (np.diff(self.thresholds.astype(np.int64)) <= 0) & (np.diff(channel) == 0)
        if falls.any():
            raise SignbitError("input quantization's thresholds must rise within a channel")

    def settings(self) -> dict:
        return {"kind": self.kind, "channels": self.channels, "bits": len(self.thresholds)}

    def arrays(self) -> dict[str, np.ndarray]:
        return {"counts": self.counts, "thresholds": self.thresholds}

    @staticmethod
    def entries(settings: dict, channels: int) -> Entries:
        channels = whole_number(settings, "channels", 1, integer.FAN_IN_MAX)
        bits = whole_number(settings, "bits", 1, integer.FAN_IN_MAX)
        return {"counts": ("uint8", (channels,)), "thresholds": ("int16", (bits,))}

    @classmethod
    def restore(cls, settings: dict, arrays: dict[str, np.ndarray]) -> "Thermometer":
        return cls(arrays["thresholds"], arrays["counts"])


InputQuantization = Affine | Pieces | Thermometer
KINDS: dict[str, type[InputQuantization]] = {kind.kind: kind for kind in (Affine, Pieces, Thermometer)}


def quantization_kind(settings: dict) -> type[InputQuantization]:
    """The class for settings as read from a file, in which only `affine` has no kind; refuses what it does not know."""
    if not isinstance(settings, dict):
        raise SignbitError("input_quantization must be an object")
    kind = settings.get("kind", Affine.kind)
    if not isinstance(kind, str) or kind not in KINDS:
        raise SignbitError(f"input quantization {kind!r} is unknown; it may need a newer signbit")
    if set(settings) != KINDS[kind].KEYS:
        keys = ", ".join(sorted(KINDS[kind].KEYS))
        raise SignbitError(f"input_quantization of kind {kind} must be an object with the keys {keys} and no others")
    return KINDS[kind]


def to_inputs(quantization: InputQuantization, counts: np.ndarray) -> np.ndarray:
    """Inputs as a device gets them, uint8 (samples, bytes), of int16 counts (samples, ..., channels)."""
    value = quantization.value(counts.shape[1:])
    inputs = np.empty((len(counts), value.size_bytes), np.uint8)
    for start in range(0, len(counts), ROWS):
        inputs[start : start + ROWS] = value.to_bytes(quantization.run(counts[start : start + ROWS]))
    return inputs


def fit(encoding: str, counts: np.ndarray, weights: np.ndarray | None = None) -> InputQuantization:
    """The quantization that `encoding` names, fitted to `counts`, int16 (samples, ..., channels) of the training part.

    `weights`, whole numbers (samples,), say how often each counts for an affine one.

    `affine`; `pieces:N` for N pieces, 8 by default; `thermometer:N` for up to N thresholds per channel, 15 by default.
    """
    kind, _, number = encoding.partition(":")
    if kind == Affine.kind:
        return fit_affine(counts, weights)
    fitted, usual = {Pieces.kind: (fit_pieces, 8), Thermometer.kind: (fit_thermometer, 15)}[kind]
    return fitted(counts, int(number or usual))


def fit_affine(counts: np.ndarray, weights: np.ndarray | None = None) -> Affine:
    """The quantization that spreads each channel's training values over 0..255.

    `counts` int16 (samples, ..., channels), of the training part only; `weights`, whole numbers (samples,), say how
    often each counts.  With a channel's values from `low` to `high`, outliers left out, and span = high - low,

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
        quantization = Affine(multiplier.astype(np.int16), bias.astype(np.int32), shift)
        if quantization.range[0] >= INT32_MIN and quantization.range[1] <= INT32_MAX:
            return quantization
    raise AssertionError("a shift of 7 fits every span")


def fit_pieces(counts: np.ndarray, pieces: int) -> Pieces:
    """Knots at each channel's quantiles 0, 1 / pieces, ..., 1, so that each piece gets as many training values."""
    rows = np.sort(counts.reshape(-1, counts.shape[-1]), axis=0)
    places = np.arange(pieces + 1) * (len(rows) - 1) // pieces
    return Pieces(np.ascontiguousarray(rows[places].T))


def fit_thermometer(counts: np.ndarray, thresholds_max: int) -> Thermometer:
    """Thresholds that cut each channel's training values into parts of equal size, as far as equal values allow.

    Between neighbouring values that differ lies one boundary, where the higher value begins.  A channel with at most
    `thresholds_max` boundaries gets them all.  Else each of n quantiles takes the boundary nearest to it in rank, and
    as many are left as are different.  A channel that never changes gets none.
    """
    chosen = [_boundaries(column, thresholds_max) for column in counts.reshape(-1, counts.shape[-1]).T]
    if not any(map(len, chosen)):
        raise SignbitError("no column changes in the training part, so there is nothing to learn from")
    return Thermometer(np.concatenate(chosen).astype(np.int16), np.array([len(c) for c in chosen], np.uint8))


def _boundaries(column: np.ndarray, thresholds_max: int) -> np.ndarray:
    """A channel's thresholds, rising; `below` is how many training values lie below each boundary."""
    values, repeats = np.unique(column, return_counts=True)
    boundaries, below = values[1:], np.cumsum(repeats)[:-1]
    if len(boundaries) <= thresholds_max:
        return boundaries
    wanted = np.arange(1, thresholds_max + 1) * len(column) / (thresholds_max + 1)
    after = np.minimum(np.searchsorted(below, wanted), len(below) - 1)
    before = np.maximum(after - 1, 0)
    nearest = np.where(wanted - below[before] < below[after] - wanted, before, after)
    return boundaries[np.unique(nearest)]


def _check_arrays(quantization: InputQuantization) -> None:
    wanted = quantization.entries(quantization.settings(), quantization.channels)
    for name, (dtype, shape) in wanted.items():
        array = getattr(quantization, name)
        if array.dtype != dtype or array.shape != shape:
            raise SignbitError(f"input quantization's {name} must be {dtype} of shape {shape}")


def _check_range(ends: tuple[int, int]) -> None:
    low, high = ends
    if low < INT32_MIN or high > INT32_MAX:
        worst = low if low < INT32_MIN else high
        raise SignbitError(f"input quantization can reach {worst}, which int32 does not hold")


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
