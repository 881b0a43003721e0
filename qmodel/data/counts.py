"""Real numbers as sensor counts: what one is worth if the user does not say, and the counts themselves."""

from collections.abc import Iterator, Sequence

import numpy as np

from signbit.qmodel.errors import SignbitError
from signbit.qmodel.integer import INT16_MAX, INT16_MIN

COUNTS_FEW = 128
"""Inputs have 7 or 8 bits; a column that covers fewer counts does not fill them."""
SATURATED_PART_MAX = 0.5
"""Fraction of a column's values; if more are beyond int16 the lsb is wrong, not the sensor saturated."""
BLOCK_VALUES = 1 << 18


def choose_lsb(values: np.ndarray) -> np.ndarray:
    """What a count is worth in each column of real `values` (..., columns), NaN left out: float64 (columns,).

    1 where all are whole numbers that int16 holds.  Otherwise the smallest power of two of which the value farthest
    from 0 has at most 32,767: it has 16,384 or more, and the division is exact.
    """
    rows = values.reshape(-1, values.shape[-1])
    low, high = _ends(rows)
    is_count = (low >= INT16_MIN) & (high <= INT16_MAX)
    for block in _blocks(rows):
        is_count &= ((block == np.rint(block)) | np.isnan(block)).all(axis=0)
    # fraction * 2^exponent with 0.5 <= fraction < 1
    fraction, exponent = np.frexp(np.maximum(-low, high) / INT16_MAX)
    exponent -= fraction == 0.5
    return np.where(is_count, 1.0, np.ldexp(1.0, exponent))


def to_counts(values: np.ndarray, lsb: np.ndarray) -> np.ndarray:
    """rint(values / lsb) as int16 (..., columns), halves to even; int16's ends for what lies beyond, 0 for NaN."""
    rows = values.reshape(-1, values.shape[-1])
    counts = np.empty(rows.shape, np.int16)
    start = 0
    for block in _blocks(rows):
        found = np.nan_to_num(np.clip(np.rint(block / lsb), INT16_MIN, INT16_MAX))
        counts[start : start + len(block)] = found
        start += len(block)
    return counts.reshape(values.shape)


def saturated(values: np.ndarray, lsb: np.ndarray) -> np.ndarray:
    """How many values of each column int16 does not hold as counts: int64 (columns,)."""
    found = np.zeros(values.shape[-1], np.int64)
    for block in _blocks(values.reshape(-1, values.shape[-1])):
        counts = np.rint(block / lsb)
        found += np.count_nonzero((counts < INT16_MIN) | (counts > INT16_MAX), axis=0)
    return found


def coarse_columns(values: np.ndarray, lsb: np.ndarray) -> np.ndarray:
    """Indices of the columns that vary, but over so few counts that rounding loses part of their information.

    That is less than COUNTS_FEW counts, with values that are not multiples of the lsb.
    """
    rows = values.reshape(-1, values.shape[-1])
    low, high = _ends(rows)
    span = high - low
    rest = np.zeros(rows.shape[1])
    for block in _blocks(rows):
        counts = block / lsb
        rest = np.fmax(rest, np.fmax.reduce(np.abs(counts - np.rint(counts)), axis=0))
    return np.flatnonzero((span > 0) & (span < COUNTS_FEW * lsb) & ((rest > 1 / 64) | (span < lsb)))


def check_range(values: np.ndarray, lsb: np.ndarray, columns: Sequence[str]) -> np.ndarray:
    """Saturated values of each column, int64 (columns,); raises SignbitError with a column that has too many."""
    found = saturated(values, lsb)
    rows = values.size // max(values.shape[-1], 1)
    too_many = np.flatnonzero(found > SATURATED_PART_MAX * rows)
    if len(too_many):
        index = int(too_many[0])
        raise SignbitError(
            f"column {columns[index]!r}: {found[index]} of {rows} values are beyond int16 with counts of "
            f"{lsb[index]:g}; give a larger lsb for it"
        )
    return found


def _ends(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each column's lowest and highest value; 0 where all are missing."""
    return tuple(np.nan_to_num(ends.reduce(rows, axis=0).astype(np.float64)) for ends in (np.fmin, np.fmax))


def _blocks(rows: np.ndarray) -> Iterator[np.ndarray]:
    """`rows` in pieces, so that computing with them takes little memory."""
    step = max(1, BLOCK_VALUES // max(rows.shape[1], 1))
    return (rows[start : start + step] for start in range(0, len(rows), step))
