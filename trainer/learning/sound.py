"""Copies of sounds that are moved, made louder, slower and noisier at random, before a front end makes inputs of them.

All of it is in whole numbers, so that it is the same on every machine.
"""

import math
from dataclasses import replace

import numpy as np

from signbit.qmodel.data.dataset import Dataset, Split
from signbit.qmodel.option_types import parameters
from signbit.trainer.learning.settings import SOUND, Settings

DEFAULTS = {"copies": 4, "shift": 10, "gain": 6, "speed": 10, "noise": 10}
NOISE_SPAN_DB = 30
"""From the least distance between sound and noise to the largest."""
ONE = 1 << 20
FRACTION_BITS = 16
"""Fraction bits of a place between two samples."""


def augmented(data: Dataset, settings: Settings) -> Dataset:
    """The data set with copies of the training sounds after these, where `settings` ask for them."""
    kind, given = parameters(settings.augment)
    if kind != SOUND:
        return data
    amounts = DEFAULTS | given
    # apart from the network's random numbers, which do not depend on the data
    rng = np.random.default_rng([settings.seed, 1])
    shape = data.front_end.samples_shape
    noise = data.noise[0] if data.noise else None
    parts = [data.train.x[:]]
    for _ in range(amounts["copies"]):
        copies = np.empty((len(data.train), math.prod(shape)), np.int16)
        for number in range(len(copies)):
            rows = data.train.samples[number].reshape(shape[0], shape[2])
            copies[number] = changed(rows, noise, amounts, rng).ravel()
        parts.append(data.inputs_from(copies))
    return replace(data, train=Split(np.concatenate(parts), np.tile(data.train.y, len(parts))))


def changed(
    rows: np.ndarray, noise: np.ndarray | None, amounts: dict[str, int], rng: np.random.Generator
) -> np.ndarray:
    """int16 `rows` (rows, channels), each amount of change at random in the bounds that `amounts` give."""
    count = len(rows)
    step = (1 << FRACTION_BITS) + _between(rng, -1, 1, amounts["speed"] * (1 << FRACTION_BITS) // 100)
    shift = _between(rng, -1, 1, amounts["shift"] * count // 100)
    gain = _factor(_between(rng, -1, 1, amounts["gain"]))
    distance_db = amounts["noise"] + _between(rng, 0, 1, NOISE_SPAN_DB)
    moved = _between_samples(rows.astype(np.int64), (np.arange(count) - count // 2) * step, count // 2 + shift)
    return mixed(moved, noise, distance_db, rng, gain)


def mixed(
    rows: np.ndarray,
    noise: np.ndarray | None,
    distance_db: int,
    rng: np.random.Generator,
    gain: int = ONE,
    gap: int = 0,
) -> np.ndarray:
    """int16 (rows, channels): `rows` with noise whose power is `distance_db` below theirs, times gain / ONE.

    The first `gap` rows are silence, which does not count.
    """
    rows, background = rows.astype(np.int64), _stretch(noise, rows.shape, rng)
    power = max(1, int((rows * rows).sum()) * len(rows) // (len(rows) - gap))
    noise_power = max(1, int((background * background).sum()))
    level = math.isqrt((power * ONE * ONE) // noise_power) * _factor(-distance_db) // ONE
    louder = (rows + (background * level + ONE // 2) // ONE) * gain
    return np.clip((louder + ONE // 2) // ONE, -(1 << 15), (1 << 15) - 1).astype(np.int16)


def _between_samples(rows: np.ndarray, places: np.ndarray, middle: int) -> np.ndarray:
    """`rows` at `places` from the `middle`, in 2^-FRACTION_BITS, with linear interpolation; ends are mirrored."""
    whole, part = places >> FRACTION_BITS, (places & ((1 << FRACTION_BITS) - 1))[:, None]
    period = 2 * (len(rows) - 1)
    before, after = (np.abs((whole + middle + one) % period) for one in (0, 1))
    before, after = (np.minimum(index, period - index) for index in (before, after))
    return rows[before] + ((rows[after] - rows[before]) * part >> FRACTION_BITS)


def _stretch(noise: np.ndarray | None, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """int64 `shape` rows of the noise, or white noise where there is none or too little."""
    if noise is None or len(noise) < shape[0]:
        octets = rng.bit_generator.random_raw(math.prod(shape)) >> np.uint64(56)
        return octets.astype(np.int64).reshape(shape) - 128
    start = _between(rng, 0, 1, len(noise) - shape[0])
    return noise[start : start + shape[0]].astype(np.int64)


def _between(rng: np.random.Generator, low: int, high: int, amount: int) -> int:
    """A whole number from low * amount to high * amount."""
    return low * amount + int(rng.bit_generator.random_raw()) % ((high - low) * amount + 1)


def _factor(decibels: int) -> int:
    """In units of 2^-20; none of them lies near a half, so that every machine rounds them alike."""
    return round(ONE * 10 ** (decibels / 20))
