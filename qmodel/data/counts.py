"""Real numbers as sensor counts: what one is worth where nobody says so, and the counts themselves."""

import numpy as np

from signbit.qmodel.errors import SignbitError
from signbit.qmodel.integer import INT16_MAX, INT16_MIN

COUNTS_FEW = 128
"""Inputs have 7 or 8 bits; a column that moves over fewer counts does not fill them."""


def choose_lsb(values: np.ndarray) -> np.ndarray:
    """What a count is worth in each column of real `values` (..., columns): float64 (columns,).

    1 where all are whole numbers that int16 holds.  Otherwise the smallest power of two of which the value farthest
    from 0 has at most 32,767: it has 16,384 or more, and the division is exact.
    """
    rows = values.reshape(-1, values.shape[-1])
    low, high = rows.min(axis=0), rows.max(axis=0)
    is_count = (rows == np.rint(rows)).all(axis=0) & (low >= INT16_MIN) & (high <= INT16_MAX)
    # fraction * 2^exponent with 0.5 <= fraction < 1
    fraction, exponent = np.frexp(np.maximum(-low, high) / INT16_MAX)
    exponent -= fraction == 0.5
    return np.where(is_count, 1.0, np.ldexp(1.0, exponent))


def to_counts(values: np.ndarray, lsb: np.ndarray) -> np.ndarray:
    """rint(values / lsb) as int16 (..., columns), halves to even; int16's ends for what lies beyond."""
    return np.clip(np.rint(values / lsb), INT16_MIN, INT16_MAX).astype(np.int16)


def coarse_columns(values: np.ndarray, lsb: np.ndarray) -> np.ndarray:
    """Indices of the columns that move, but over less than COUNTS_FEW counts that are no whole numbers as they come."""
    rows = values.reshape(-1, values.shape[-1])
    span = rows.max(axis=0) - rows.min(axis=0)
    return np.flatnonzero((span > 0) & (lsb != 1) & (span < COUNTS_FEW * lsb))


def check_range(values: np.ndarray, lsb: np.ndarray, columns: tuple[str, ...]) -> None:
    """Raises SignbitError with the column whose `values` int16 does not hold as counts."""
    rows = np.rint(values / lsb).reshape(-1, values.shape[-1])
    outside = ((rows < INT16_MIN) | (rows > INT16_MAX)).any(axis=0)
    if outside.any():
        index = int(np.flatnonzero(outside)[0])
        worst = rows[np.abs(rows[:, index]).argmax(), index]
        raise SignbitError(
            f"column {columns[index]!r} has a value of {worst:.0f} counts of {lsb[index]:g}, which int16 does not "
            "hold; give a larger lsb for it"
        )
