"""What looks like a mistake in the data: notes for the user, which change nothing."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from signbit.qmodel.data.readers.dialect import is_number, number
from signbit.qmodel.data.readers.samples import Samples
from signbit.qmodel.untrusted import shown

FIRST_VALUES = 1 << 22
"""So many show of most columns that they do not name the class."""
NAMES_SHOWN = 5


def doubts(samples: Samples) -> Iterator[str]:
    """Classes that may be one, columns that may be the class once more, and numbers that may mean a missing value."""
    by_meaning: dict[object, list[str]] = defaultdict(list)
    for label in samples.labels:
        by_meaning[number(label) if is_number(label) else tuple(label.casefold().split())].append(repr(shown(label)))
    for labels in by_meaning.values():
        if len(labels) > 1:
            yield f"classes {_listed(labels)} differ only in how they are written; are they one?"
    values, columns = samples.values, samples.columns
    if values.ndim != 2 or not columns or values.dtype == np.uint8 or samples.rate_hz is not None:
        return
    for place in _naming_the_class(values, samples.classes):
        yield (
            f"column {shown(columns[place])!r} has one value for each class; if it is the class once more, leave it "
            "out with --ignore-column"
        )
    for place, value, count, low, high in _far_values(values):
        yield (
            f"column {shown(columns[place])!r}: {value:g}, in {count:,} rows, is far from all other values, {low:g} to "
            f"{high:g}; if it means that there is none, leave those cells empty and see --missing"
        )


def folders_below(folder: Path, files: Sequence[Path]) -> tuple[str, ...]:
    """A note where several of the folders that are the classes have folders of the same names in them."""
    outer: dict[str, set[str]] = defaultdict(set)
    for path in files:
        parts = path.relative_to(folder).parts
        if len(parts) > 2:
            outer[parts[1]].add(parts[0])
    shared = sorted(name for name, classes in outer.items() if len(classes) > 1)
    if not shared:
        return ()
    classes = sorted(set().union(*outer.values()))
    return (f"the classes are the outer folders, {_listed(classes)}; those in them, {_listed(shared)}, are not used",)


def _listed(names: Sequence[str]) -> str:
    """The first of many names."""
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(map(shown, names[:NAMES_SHOWN])) + more


def _naming_the_class(values: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Columns of `values` (n, columns) with one value for each class, a different one for each."""
    possible = np.arange(values.shape[1])
    for count in (FIRST_VALUES // max(1, values.shape[1]), len(values)):
        found, first, index = np.unique(classes[:count], return_index=True, return_inverse=True)
        if len(found) < 2:
            continue
        of_class = values[np.ix_(first, possible)]
        is_one = np.array(
            [
                len(np.unique(column)) == len(found) and np.array_equal(values[:count, place], column[index])
                for place, column in zip(possible, of_class.T, strict=True)
            ],
            bool,
        )
        possible = possible[is_one]
    return possible


def _far_values(values: np.ndarray) -> Iterator[tuple[int, float, int, float, float]]:
    """Columns whose lowest or highest value is whole, and farther from the others than these are from each other.

    Gives the column, that value, in how many rows it is, at least 2 and at most half, and the others' ends.
    """
    for end in (np.fmin, np.fmax):
        value = end.reduce(values, axis=0)
        is_other = values != value
        count = len(values) - np.count_nonzero(is_other, axis=0)
        kept = {"axis": 0, "dtype": np.float64, "where": is_other}
        low, high = np.fmin.reduce(values, initial=np.inf, **kept), np.fmax.reduce(values, initial=-np.inf, **kept)
        gap = np.maximum(low - value, value - high)
        is_far = (
            (count > 1) & (2 * count <= len(values)) & (high > low) & (gap > high - low) & (value == np.rint(value))
        )
        for place in np.flatnonzero(is_far).tolist():
            yield place, float(value[place]), int(count[place]), float(low[place]), float(high[place])
