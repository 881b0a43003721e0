"""Inputs from a time series: windows of consecutive rows."""

from dataclasses import replace
from itertools import pairwise

import numpy as np

from signbit.qmodel.data.readers.loading import LoadingOptions
from signbit.qmodel.data.readers.samples import BYTES_MAX, Samples
from signbit.qmodel.errors import SignbitError

PIECE_WINDOWS = 4
"""Length of a piece, in windows."""


def cut(samples: Samples, options: LoadingOptions) -> Samples:
    """Windows (n, window, 1, channels) of rows (rows, channels), every `options.step` rows, in the rows' order.

    A window never crosses a change of class or group; what is left at the end of such a stretch is dropped.  Without
    groups a stretch is cut into pieces of about PIECE_WINDOWS windows, each a group of its own and no window across two
    of them: otherwise windows that share rows would fall on both sides of the split.
    """
    values, window, step = samples.values, options.window, options.step
    if values.ndim != 2:
        raise SignbitError(f"--window is for rows of a time series, but the samples have shape {values.shape[1:]}")
    starts, groups = [], []
    stretches = _stretches(samples)
    pieces = stretches if samples.groups is not None else [p for s in stretches for p in _pieces(*s, window)]
    for number, (first, end) in enumerate(pieces):
        inside = np.arange(first, end - window + 1, step)
        starts.append(inside)
        groups.append(np.full(len(inside), number) if samples.groups is None else samples.groups[inside])
    start = np.concatenate(starts)
    if not len(start):
        longest = max(end - first for first, end in stretches)
        raise SignbitError(
            f"--window {window} is longer than every stretch of rows of one class and group; the longest has {longest}"
        )
    if len(start) * window * values.shape[1] * values.itemsize > BYTES_MAX:
        raise SignbitError(f"the windows take more than {BYTES_MAX} bytes; choose a larger --stride than {step}")
    rows = start[:, None] + np.arange(window)
    return replace(
        samples, values=values[rows][:, :, None, :], classes=samples.classes[start], groups=np.concatenate(groups)
    )


def _stretches(samples: Samples) -> list[tuple[int, int]]:
    """First and end row of each stretch with one class and group."""
    changes = samples.classes[1:] != samples.classes[:-1]
    if samples.groups is not None:
        changes |= samples.groups[1:] != samples.groups[:-1]
    bounds = [0, *(np.flatnonzero(changes) + 1).tolist(), len(samples.classes)]
    return list(pairwise(bounds))


def _pieces(first: int, end: int, window: int) -> list[tuple[int, int]]:
    """A stretch in pieces of about the same length."""
    count = max(1, (end - first) // (PIECE_WINDOWS * window))
    bounds = [first + (end - first) * number // count for number in range(count + 1)]
    return list(pairwise(bounds))
