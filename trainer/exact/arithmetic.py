"""exp and cos from additions and multiplications only.

The C library's differ in their last bits from one system to another, and numpy's from one processor to another;
IEEE 754 fixes + - * / and sqrt.  Whatever affects weights uses these.
"""

import math

import numpy as np

LOG2_E = 1 / math.log(2)
LN_2_HIGH, LN_2_LOW = 0.693359375, -2.121944400546905827679e-4
"""ln 2 in two parts; the first has 9 bits, so that its product with a small whole number is exact in float32."""

EXP_TERMS = tuple(1 / math.factorial(n) for n in range(12, -1, -1))
EXP_LOWEST = -80.0


def exp(x: np.ndarray) -> np.ndarray:
    """e^x for x <= 0, to a few last bits of its dtype; below EXP_LOWEST as there (1.8e-35).

    x = k ln 2 + r with whole k and |r| <= ln 2 / 2; e^r is its series, and 2^k an exact factor.
    """
    x = np.maximum(x, EXP_LOWEST)
    k = np.rint(x * LOG2_E)
    r = (x - k * LN_2_HIGH) - k * LN_2_LOW
    series = np.zeros_like(r)
    for term in EXP_TERMS:
        series *= r
        series += term
    return np.ldexp(series, k.astype(np.int32))


def cos(x: float) -> float:
    """cos x for 0 <= x <= pi, to 1e-11, by its series."""
    term, total = 1.0, 1.0
    for n in range(1, 15):
        term *= -x * x / ((2 * n - 1) * (2 * n))
        total += term
    return total


def power(base: float, exponent: float) -> float:
    """base^exponent for 0 < base <= 1 and 0 <= exponent <= 1: e^(exponent ln base), ln rounded to 12 digits."""
    return float(exp(np.array(exponent * round(math.log(base), 12), np.float64)))
