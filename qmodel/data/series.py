"""Inputs from a time series: windows of consecutive rows, which overlapping ones share."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from signbit.qmodel.data.readers.samples import Samples
from signbit.qmodel.data.split import SAMPLES_MIN
from signbit.qmodel.errors import SignbitError

PIECE_WINDOWS = 4
"""Length of a piece, in windows."""


class Windows:
    """Inputs (windows, window * channels) of the rows of `series` (rows, channels), gathered on access.

    As a matrix, overlapping windows would hold a copy each of the rows that they share.
    """

    def __init__(self, series: np.ndarray, start: np.ndarray, window: int):
        self._series = series
        self._start = start
        self._window = window

    @property
    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        """The rows (rows, channels) that are in any window, and in how many of them each is."""
        weights = coverage(self._start, self._window, len(self._series))
        used = np.flatnonzero(weights)
        return self._series[used], weights[used]

    def of(self, series: np.ndarray) -> "Windows":
        """The same windows of other rows."""
        return Windows(series, self._start, self._window)

    @property
    def none(self) -> "Windows":
        """No window of the same rows."""
        return Windows(self._series, self._start[:0], self._window)

    @property
    def series(self) -> np.ndarray:
        return self._series

    @property
    def shape(self) -> tuple[int, int]:
        return len(self._start), self._window * self._series.shape[1]

    @property
    def dtype(self) -> np.dtype:
        return self._series.dtype

    def __len__(self) -> int:
        return len(self._start)

    def __getitem__(self, index) -> np.ndarray:
        start = self._start[index]
        rows = np.asarray(start)[..., None] + np.arange(self._window)
        return self._series[rows].reshape(*np.shape(start), -1)

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return self[:] if dtype is None else self[:].astype(dtype)


@dataclass(frozen=True, eq=False)
class Cut:
    """Windows of a series: the row that each begins with, its group, and how many rows are in no window."""

    start: np.ndarray
    groups: np.ndarray
    rows_left: int


def cut(samples: Samples, window: int, step: int) -> Cut:
    """Where windows of rows (rows, channels) begin, every `step` rows, in the rows' order.

    A window never crosses a change of class, group or part, nor the beginning of a recording; what is left at the end
    of such a stretch is dropped.  Without groups recordings are the groups.  Where a class has few, each stretch is cut
    into pieces of about PIECE_WINDOWS windows, or of one where there are few, each a group of its own and no window
    across two of them: otherwise windows that share rows would fall on both sides of the split.
    """
    values = samples.values
    if values.ndim != 2:
        raise SignbitError(f"--window is for rows of a time series, but the samples have shape {values.shape[1:]}")
    stretches = _stretches(samples)
    longest = max(end - first for first, end in stretches)
    if longest < window:
        raise SignbitError(
            f"--window {window} is longer than every stretch of rows of one class and recording; the longest has "
            f"{longest}"
        )
    whole = samples.groups is not None or _has_recordings(samples, stretches, window)
    pieces = stretches if whole else _pieces(samples, stretches, window)
    starts = [np.arange(first, end - window + 1, step) for first, end in pieces]
    start = np.concatenate(starts)
    if samples.groups is None:
        groups = np.repeat(np.arange(len(pieces)), list(map(len, starts)))
    else:
        groups = samples.groups[start]
    covered = sum(
        inside[-1] - inside[0] + window if step <= window else window * len(inside) for inside in starts if len(inside)
    )
    return Cut(start, groups, len(values) - int(covered))


def coverage(start: np.ndarray, window: int, rows: int) -> np.ndarray:
    """How many of the windows that begin at `start` each of the `rows` is in: int64 (rows,)."""
    change = np.zeros(rows + 1, np.int64)
    np.add.at(change, start, 1)
    np.add.at(change, start + window, -1)
    return np.cumsum(change[:-1])


def _stretches(samples: Samples) -> list[tuple[int, int]]:
    """First and end row of each stretch of one class, group, part and recording."""
    changes = samples.classes[1:] != samples.classes[:-1]
    for array in (samples.groups, samples.part):
        if array is not None:
            changes = changes | (array[1:] != array[:-1])
    if samples.starts is not None:
        changes = changes | samples.starts[1:]
    return list(pairwise([0, *(np.flatnonzero(changes) + 1).tolist(), len(samples.classes)]))


def _has_recordings(samples: Samples, stretches: Sequence[tuple[int, int]], window: int) -> bool:
    """Whether the data say where recordings begin, and each class has enough of them for a split."""
    if samples.starts is None or np.count_nonzero(samples.starts) < 2:
        return False
    classes = [samples.classes[first] for first, end in stretches if end - first >= window]
    return bool(np.bincount(classes)[np.unique(samples.classes)].min() >= SAMPLES_MIN)


def _pieces(samples: Samples, stretches: Sequence[tuple[int, int]], window: int) -> list[tuple[int, int]]:
    """The stretches in pieces of about the same length; of one window each where a class would have too few."""
    counts = [max(1, (end - first) // (PIECE_WINDOWS * window)) for first, end in stretches]
    classes = samples.classes[[first for first, _ in stretches]]
    few = set(np.flatnonzero(np.bincount(classes, counts) < SAMPLES_MIN).tolist())
    pieces = []
    for (first, end), count, label in zip(stretches, counts, classes, strict=True):
        count = max(1, (end - first) // window) if label in few else count
        bounds = [first + (end - first) * number // count for number in range(count + 1)]
        pieces += pairwise(bounds)
    return pieces
