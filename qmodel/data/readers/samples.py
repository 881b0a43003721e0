"""What a reader gives: values with their classes, before windows, split and quantization."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from signbit.qmodel.data.readers.loading import LSB_ALL, LoadingOptions
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.integer import INT16_MAX, INT16_MIN

BYTES_MAX = 1 << 30
"""Of a file, and of what it unpacks to."""


@dataclass(frozen=True, eq=False)
class Samples:
    """`values` are uint8 inputs as they come, or int16 counts, (n, ...); `classes` int64 (n,), indices into `labels`.

    `groups` are whole numbers (n,), equal for samples that belong together.  `is_test`, bool (n,), is given where the
    data say themselves what the test part is.  `columns` names the values' last axis, if it has names.
    """

    values: np.ndarray
    classes: np.ndarray
    labels: tuple[str, ...]
    groups: np.ndarray | None = None
    is_test: np.ndarray | None = None
    columns: tuple[str, ...] = ()


def classes_of(texts: Sequence[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Class of each sample and the classes' labels, in the order of numbers if all are, else of the alphabet."""
    labels = tuple(sorted(set(texts), key=_number if all(map(_is_number, set(texts))) else str))
    index = {label: number for number, label in enumerate(labels)}
    return np.array([index[text] for text in texts], np.int64), labels


def groups_of(texts: Sequence[str]) -> np.ndarray:
    """Each sample's group as a whole number, in the order of first appearance."""
    index: dict[str, int] = {}
    return np.array([index.setdefault(text, len(index)) for text in texts], np.int64)


def counts_of(
    values: np.ndarray, columns: Sequence[str], options: LoadingOptions, row_names: Sequence[int]
) -> np.ndarray:
    """int16 counts of real `values` (rows, ..., columns): whole numbers as they are, others divided by their `lsb`.

    `row_names` are what the user calls the rows.  Raises SignbitError with row and column of a value that int16 does
    not hold, and for a column that is neither whole nor has an lsb.
    """
    lsb = _lsb_by_column(columns, options)
    counts = np.empty(values.shape, np.int16)
    for index, column in enumerate(columns):
        column_values = values[..., index]
        found = np.rint(column_values / lsb[index]) if index in lsb else column_values
        if index not in lsb and not (found == np.rint(found)).all():
            raise SignbitError(
                f"column {column!r} is not in whole numbers; say what one count of the sensor is worth, "
                f"--lsb {column}=0.001 for example"
            )
        outside = np.argwhere((found < INT16_MIN) | (found > INT16_MAX))
        if len(outside):
            place = tuple(outside[0])
            raise SignbitError(
                f"row {row_names[place[0]]}, column {column!r}: {column_values[place]:.10g} is {found[place]:.0f} "
                "counts, which int16 does not hold; choose a larger --lsb for the column"
            )
        counts[..., index] = found
    return counts


def find_column(columns: Sequence[str], wanted: str, option: str) -> int:
    """Index of the column with the name, or else the position (from 1), that the user gave."""
    if wanted in columns:
        return list(columns).index(wanted)
    if wanted.isascii() and wanted.isdigit() and len(wanted) < 7 and 1 <= int(wanted) <= len(columns):
        return int(wanted) - 1
    raise SignbitError(f"{option}: there is no column {wanted!r}; there are {', '.join(columns[:20])}")


def _lsb_by_column(columns: Sequence[str], options: LoadingOptions) -> dict[int, float]:
    """What a count is worth, by the column's index."""
    lsb = dict.fromkeys(range(len(columns)), options.lsb[LSB_ALL]) if LSB_ALL in options.lsb else {}
    named = {name: value for name, value in options.lsb.items() if name != LSB_ALL}
    return lsb | {find_column(columns, name, "--lsb"): value for name, value in named.items()}


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _is_number(text: str) -> bool:
    return math.isfinite(_number(text))
