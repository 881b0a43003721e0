"""From a sensor's samples to features, in integers -- SPEC 13.

    spectrum    log2 of the power in bands of frequency, frame by frame: bytes, an image (frames, 1, channels * bands)
    stats       mean, deviation, energy, zero crossings and bands of a window, channel by channel: counts, a vector

Samples are int16 (rows, 1, channels), the rows of a window in the order of time.  Each kind has

    run(samples) -> features      int16 (n, rows, 1, channels) -> uint8 or int16 (n, *features_shape)
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from signbit.qmodel import spectrum
from signbit.qmodel.activations import Entries, whole_number
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.integer import INT16_MAX, INT16_MIN
from signbit.qmodel.option_types import parameters
from signbit.qmodel.spectrum import FRAME_MAX, FRAME_MIN, WEIGHT_ONE
from signbit.qmodel.value import Shape

ROWS_MAX = 1 << 16
CHANNELS_MAX = 64
BANDS_MAX = 128
RATE_HZ_MAX = 1_000_000
STEPS_MAX = 32
STATISTICS = 4
"""Features of a channel before its bands: mean, mean absolute deviation, energy, zero crossings."""
BATCH = 256
"""Windows whose features are computed at once, so that memory stays bounded."""


@dataclass(frozen=True, eq=False)
class Spectrum:
    """level = steps * log2(sum over a band's frequencies of weight * power) - offset, clamped to 0..255.

    Bands are triangles that overlap by half.  Segment s of `sizes`, uint16 (bands + 1,), counts the frequencies between
    the centres of bands s - 1 and s, from number `first` on; on them band s rises with the weights `rising`, uint8, in
    128ths, and band s - 1 falls by as much.  Frames of `frame` samples begin every `hop` rows.
    """

    kind: ClassVar[str] = "spectrum"
    HIGH: ClassVar[int] = 255
    rows: int
    channels: int
    rate_hz: int
    """Rows a second; 0 where nobody knows."""
    frame: int
    hop: int
    steps: int
    """Steps of the logarithm per octave of power."""
    offset: int
    first: int
    sizes: np.ndarray
    rising: np.ndarray

    @property
    def samples_shape(self) -> Shape:
        return (self.rows, 1, self.channels)

    @property
    def frames(self) -> int:
        return (self.rows - self.frame) // self.hop + 1

    @property
    def frame_hops(self) -> int:
        """Hops that a frame reaches into."""
        return -(-self.frame // self.hop)

    @property
    def bands(self) -> int:
        return len(self.sizes) - 1

    @property
    def features_shape(self) -> Shape:
        return (self.frames, 1, self.channels * self.bands)

    @cached_property
    def weights(self) -> np.ndarray:
        """The weight of each frequency 1..frame / 2 - 1 in each band, whole numbers in float64 (frequencies, bands)."""
        weights = np.zeros((self.frame // 2 - 1, self.bands + 2))
        segment = np.repeat(np.arange(self.bands + 1), self.sizes)
        number = np.arange(len(segment)) + self.first - 1
        weights[number, segment + 1] = self.rising
        weights[number, segment] = WEIGHT_ONE - self.rising.astype(np.int64)
        return weights[:, 1:-1]

    def run(self, samples: np.ndarray) -> np.ndarray:
        features = np.empty((len(samples), *self.features_shape), np.uint8)
        for start in range(0, len(samples), BATCH):
            levels = self.frames_of(samples[start : start + BATCH])
            features[start : start + BATCH] = levels.reshape(-1, *self.features_shape)
        return features

    def frames_of(self, samples: np.ndarray) -> np.ndarray:
        """Levels of all frames in samples (n, any rows, 1, channels): int64 (n, frames, channels, bands), 0..HIGH."""
        windows = np.lib.stride_tricks.sliding_window_view(samples[:, :, 0], self.frame, axis=1)[:, :: self.hop]
        power, exponent = spectrum.power(windows.reshape(-1, self.frame))
        # sums of whole numbers below 2^53 are exact in any order
        sums = (power @ self.weights).astype(np.int64)
        level = spectrum.log2_steps(np.maximum(sums, 1), self.steps) + 2 * self.steps * exponent[:, None] - self.offset
        level = np.where(sums, np.clip(level, 0, self.HIGH), 0)
        return level.reshape(len(samples), -1, self.channels, self.bands)

    def check(self) -> None:
        """Raises SignbitError unless all is in range.

        Then no sum can leave uint32: a band's weights sum to less than FRAME_MAX / 2 * WEIGHT_ONE = 2^16.
        """
        if self.frame & (self.frame - 1) or self.frame > self.rows:
            raise SignbitError(f"front end's frame is {self.frame}, but must be a power of two of at most {self.rows}")
        used = int(self.sizes.sum(dtype=np.int64))
        if self.first + used > self.frame // 2 or used != len(self.rising):
            raise SignbitError("front end's bands do not fit its frame")
        if self.rising.max(initial=0) > WEIGHT_ONE:
            raise SignbitError(f"front end's weights must be at most {WEIGHT_ONE}")

    def settings(self) -> dict:
        numbers = {name: getattr(self, name) for name in SPANS}
        return {"kind": self.kind, **numbers, "bands": self.bands, "frequencies": len(self.rising)}

    def arrays(self) -> dict[str, np.ndarray]:
        return {"sizes": self.sizes, "rising": self.rising}

    @staticmethod
    def entries(settings: dict) -> Entries:
        bands = whole_number(settings, "bands", 1, BANDS_MAX)
        frequencies = whole_number(settings, "frequencies", 1, FRAME_MAX // 2)
        return {"sizes": ("uint16", (bands + 1,)), "rising": ("uint8", (frequencies,))}

    @classmethod
    def restore(cls, settings: dict, arrays: dict[str, np.ndarray]) -> "Spectrum":
        return cls(**{name: whole_number(settings, name, *span) for name, span in SPANS.items()}, **arrays)


class Statistics(Spectrum):
    """Statistics of each channel x with n rows, whose mean m = floor(sum x / n) and deviations d = x - m:

        m,  sum |d| / n rounded down,  steps * log2(sum d^2),  how often d changes its sign,  its bands

    A band's level is the largest of all frames, a sign that of a number >= 0 or < 0.
    """

    kind: ClassVar[str] = "stats"
    HIGH: ClassVar[int] = INT16_MAX

    @property
    def features_shape(self) -> Shape:
        return (self.channels * (STATISTICS + self.bands),)

    def run(self, samples: np.ndarray) -> np.ndarray:
        features = np.empty((len(samples), *self.features_shape), np.int16)
        for start in range(0, len(samples), BATCH):
            batch = samples[start : start + BATCH]
            deviation = spectrum.centred(batch[:, :, 0])
            size, wide = np.abs(deviation), deviation.astype(np.int64)
            energy = (wide * wide).sum(axis=1)
            log_energy = np.where(energy, spectrum.log2_steps(np.maximum(energy, 1), self.steps), 0)
            is_low = deviation < 0
            statistics = (
                batch[:, 0, 0] - deviation[:, 0],
                size.sum(axis=1, dtype=np.int64) // self.rows,
                log_energy,
                np.count_nonzero(is_low[:, 1:] != is_low[:, :-1], axis=1),
            )
            values = np.concatenate([np.stack(statistics, axis=2), self.frames_of(batch).max(axis=1)], axis=2)
            features[start : start + BATCH] = np.minimum(values, INT16_MAX).reshape(len(batch), -1)
        return features


FrontEnd = Spectrum | Statistics
KINDS: dict[str, type[FrontEnd]] = {kind.kind: kind for kind in (Spectrum, Statistics)}
SPANS = {
    "rows": (FRAME_MIN, ROWS_MAX),
    "channels": (1, CHANNELS_MAX),
    "rate_hz": (0, RATE_HZ_MAX),
    "frame": (FRAME_MIN, FRAME_MAX),
    "hop": (1, ROWS_MAX),
    "steps": (1, STEPS_MAX),
    "offset": (INT16_MIN, INT16_MAX),
    "first": (1, FRAME_MAX // 2),
}
"""Numbers of a front end, each with its least and its most."""
KEYS = frozenset({"kind", *SPANS, "bands", "frequencies"})


def front_end_kind(settings: dict) -> type[FrontEnd]:
    """The class for settings as read from a file; refuses what it does not know."""
    if not isinstance(settings, dict) or set(settings) != KEYS:
        raise SignbitError(f"front_end must be an object with the keys {', '.join(sorted(KEYS))} and no others")
    kind = settings["kind"]
    if not isinstance(kind, str) or kind not in KINDS:
        raise SignbitError(f"front end {kind!r} is unknown; it may need a newer signbit")
    return KINDS[kind]


# --- what the trainer makes

NONE, LOGMEL = "none", "logmel"
BOUNDS = {name: SPANS[name] for name in ("frame", "hop", "steps")} | {"bands": (1, BANDS_MAX)}
OPTIONS = {NONE: {}, LOGMEL: BOUNDS | {"rate": (1, RATE_HZ_MAX)}, Spectrum.kind: BOUNDS, Statistics.kind: BOUNDS}
"""What may be chosen, each with the numbers that may be given and their ends."""
LOWEST_HZ, HIGHEST_PART = 100.0, 0.475
"""Edges of mel bands; the upper one as a part of the rate."""
FRAME_S, HOPS_A_SECOND = 0.032, 50
MEL_BANDS, BANDS = 40, 8
STEPS = 8
FRAME_SAMPLES = 64


def make(text: str, samples_shape: Shape, rate_hz: int | None) -> FrontEnd | None:
    """The front end that `text` names, `logmel:bands=40,hop=320` for example, for samples (rows, 1, channels).

    Raises SignbitError where it does not fit them.
    """
    kind, given = parameters(text)
    if kind == NONE:
        return None
    if len(samples_shape) != 3 or samples_shape[1] != 1:
        raise SignbitError(f"--front-end {kind} is for windows of a time series; see --window")
    rows, _, channels = samples_shape
    rate_hz = given.pop("rate", rate_hz or 0)
    if kind == LOGMEL and not rate_hz:
        raise SignbitError("--front-end logmel needs to know how many samples a second has; add rate=16000 for example")
    frame = given.get("frame") or usual_frame(kind, rows, rate_hz)
    if frame > rows or frame & (frame - 1):
        raise SignbitError(
            f"--front-end {text}: a frame has {frame} samples, but must have a power of two, at most the {rows} of an "
            f"input; give frame= or longer windows"
        )
    hop = given.get("hop", max(1, rate_hz // HOPS_A_SECOND if kind == LOGMEL else frame // 2))
    bands = given.get("bands", MEL_BANDS if kind == LOGMEL else BANDS)
    steps = given.get("steps", STEPS if kind != Statistics.kind else STEPS_MAX)
    edges = _mel_edges(bands, rate_hz, frame) if kind == LOGMEL else np.linspace(0, frame // 2, bands + 2)
    first, sizes, rising = _triangles(edges, frame)
    # a sine of full scale in one band is 255
    offset = 0 if kind == Statistics.kind else steps * (34 + 2 * (frame.bit_length() - 1)) - Spectrum.HIGH
    chosen = Statistics if kind == Statistics.kind else Spectrum
    made = chosen(rows, channels, rate_hz, frame, hop, steps, offset, first, sizes, rising)
    made.check()
    if not made.weights.any(axis=0).all():
        raise SignbitError(
            f"--front-end {text}: {bands} bands are more than a frame of {frame} samples can distinguish"
        )
    return made


def usual_frame(kind: str, rows: int, rate_hz: int) -> int:
    """Samples of a frame: near FRAME_S of sound; of other windows a part, or for statistics the most there is."""
    wanted = rate_hz * FRAME_S if kind == LOGMEL else FRAME_SAMPLES if kind == Spectrum.kind else FRAME_MAX
    frame = 1 << round(math.log2(max(wanted, 1)))
    return int(np.clip(frame if kind == LOGMEL else min(frame, 1 << rows.bit_length() - 1), FRAME_MIN, FRAME_MAX))


def _mel_edges(bands: int, rate_hz: int, frame: int) -> np.ndarray:
    """Edges and centres of bands of equal width in mel, 2595 log10(1 + f / 700 Hz), as numbers of frequencies."""
    highest = HIGHEST_PART * rate_hz
    low, high = (2595 * math.log10(1 + hz / 700) for hz in (min(LOWEST_HZ, highest / 2), highest))
    return 700 * (10 ** (np.linspace(low, high, bands + 2) / 2595) - 1) * frame / rate_hz


def _triangles(edges: np.ndarray, frame: int) -> tuple[int, np.ndarray, np.ndarray]:
    """`first`, `sizes` and `rising` of bands that rise from edge b to b + 1, their centre, and fall to b + 2."""
    number = np.arange(1, frame // 2)
    number = number[(number > edges[0]) & (number < edges[-1])]
    segment = np.searchsorted(edges, number, side="right") - 1
    rising = np.rint(WEIGHT_ONE * (number - edges[segment]) / (edges[segment + 1] - edges[segment]))
    sizes = np.bincount(segment, minlength=len(edges) - 1)
    return int(number[0]) if len(number) else 1, sizes.astype(np.uint16), rising.astype(np.uint8)
