"""Random numbers that are the same everywhere.

numpy promises the raw 64 bits of a bit generator for every build and version, but not what `Generator` makes of
them.  So permutations and uniform numbers are made here from raw bits, by steps that are exact.
"""

import math

import numpy as np


def permutation(rng: np.random.Generator, count: int) -> np.ndarray:
    """0..count-1 in random order: the order of `count` random keys of 64 bits."""
    return np.argsort(rng.bit_generator.random_raw(count), kind="stable")


def uniform(rng: np.random.Generator, low: float, high: float, shape: tuple[int, ...]) -> np.ndarray:
    """Uniform in low..high, float64, from the upper 53 of 64 bits each."""
    raw = rng.bit_generator.random_raw(math.prod(shape)).reshape(shape)
    return low + (raw >> np.uint64(11)) * (2.0**-53 * (high - low))


def uniform32(rng: np.random.Generator, low: float, high: float, shape: tuple[int, ...]) -> np.ndarray:
    """Uniform in low..high, float32, from 24 bits each: half the random bits of `uniform`."""
    count = math.prod(shape)
    raw = rng.bit_generator.random_raw(-(-count // 2)).astype("<u8").view("<u4")[:count].reshape(shape)
    return np.float32(low) + (raw >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24 * (high - low))
