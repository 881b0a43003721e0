"""The fixed split: the same for every seed and machine, stratified by class, groups kept together."""

import numpy as np

from signbit.qmodel.data.readers.loading import FOLDS
from signbit.qmodel.errors import SignbitError

TEST_EVERY = FOLDS
VALIDATION_EVERY = 8
SAMPLES_MIN = 2 * TEST_EVERY
"""Per class: of ten every_nth then takes one or two for the test, and at least one of the eight that are left."""

PARTS = ("training", "validation", "test")


def split_rule(fold: int) -> str:
    """The rule in words."""
    which = f" from number {fold}" if fold else ""
    return f"test every {TEST_EVERY}th{which}, then validation every {VALIDATION_EVERY}th"


def split_samples(classes: np.ndarray, fold: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices of the training, validation and test samples, each in order.

    `fold` 0 to TEST_EVERY - 1 gives another test part each, and every sample is in one of them: cross-validation.
    """
    rest, test = every_nth(classes, np.arange(len(classes)), TEST_EVERY, fold)
    train, validation = every_nth(classes, rest, VALIDATION_EVERY)
    return train, validation, test


def split_groups(classes: np.ndarray, groups: np.ndarray, fold: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same with all samples of a group in one part; `groups` is a whole number per sample.

    The groups are split like samples, in the order of their numbers; a group's class is its commonest, the lowest on a
    tie.  Raises SignbitError if there are too few groups to give each part one.
    """
    _, number = np.unique(groups, return_inverse=True)
    counts = np.zeros((number.max() + 1, classes.max() + 1), np.int64)
    np.add.at(counts, (number, classes), 1)
    parts = split_samples(counts.argmax(axis=1), fold)
    if min(map(len, parts)) == 0:
        raise SignbitError(f"there are {len(counts)} groups, too few for a training, a validation and a test part")
    train, validation, test = (np.flatnonzero(np.isin(number, part)) for part in parts)
    return train, validation, test


def check_parts(classes: np.ndarray, parts: tuple[np.ndarray, ...], labels: tuple[str, ...]) -> None:
    """Raises SignbitError if a class has no samples in some part."""
    for part, members in zip(PARTS, parts, strict=True):
        missing = np.setdiff1d(classes, classes[members])
        if len(missing):
            raise SignbitError(
                f"class {labels[missing[0]]!r} has no samples in the {part} part; add samples of it, in more groups"
            )


def every_nth(classes: np.ndarray, candidates: np.ndarray, n: int, first: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Split `candidates` (indices into `classes`) into (rest, chosen), one of n chosen, stratified by class.

    The candidates are put in order of (class, scrambled index) and every n-th from number `first` on is chosen,
    so the parts depend on nothing but the classes' order.
    """
    order = _stratified_order(classes, candidates)
    chosen = np.zeros(len(order), bool)
    chosen[first::n] = True
    return np.sort(order[~chosen]), np.sort(order[chosen])


def split_fraction(classes: np.ndarray, fraction: float) -> tuple[np.ndarray, np.ndarray]:
    """Indices of (rest, chosen) samples with a `fraction` (0..0.5) of all chosen, at least one, stratified by class.

    The same order as in `every_nth`, from which samples at even distances are chosen.  A class's only sample stays
    in the rest; where all classes have only one, none is chosen.
    """
    candidates = np.flatnonzero(np.bincount(classes)[classes] > 1)
    order = _stratified_order(classes, candidates)
    count = min(max(1, round(fraction * len(order))), len(order) // 2)
    # neighbours are two places apart or more, so that each class keeps a sample
    chosen = order[np.arange(count) * len(order) // max(count, 1)]
    return np.setdiff1d(np.arange(len(classes)), chosen), np.sort(chosen)


def _stratified_order(classes: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """The candidates by class, and within a class as if at random."""
    return candidates[np.lexsort((_scramble(candidates), classes[candidates]))]


def _scramble(values: np.ndarray) -> np.ndarray:
    """SplitMix64's finalizer (Steele, Lea and Flood, OOPSLA 2014): a fixed bijection of uint64."""
    mixed = values.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
