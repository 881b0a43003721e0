"""What a reader gives: values with their classes, before windows, split and quantization."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from signbit.qmodel.data.readers.dialect import is_number, number
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.untrusted import shown

BYTES_MAX = 1 << 30
"""Largest size of a file, and of what it unpacks to."""


@dataclass(frozen=True, eq=False)
class Samples:
    """`values` are uint8 inputs, kept unchanged, or numbers, (n, ...); `classes` int64 (n,), indices into `labels`.

    Real numbers become counts later (`signbit.qmodel.data.counts`); NaN is a missing one.  Rows of a time series are
    samples too until they are cut into windows.
    """

    values: np.ndarray
    classes: np.ndarray
    labels: tuple[str, ...]
    groups: np.ndarray | None = None
    """int64 (n,), equal for samples that belong together."""
    part: np.ndarray | None = None
    """int8 (n,), where the data say it themselves: 0 to train, 1 to validate, 2 to test."""
    columns: tuple[str, ...] = ()
    """Names of the values' last axis, if it has names."""
    starts: np.ndarray | None = None
    """bool (n,): where a recording begins.  None where the samples are not rows of one."""
    rate_hz: int | None = None
    """Rows a second, if the data say it."""
    label_columns: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """What was guessed and what was left out, one line each."""
    noise: tuple[np.ndarray, ...] = ()
    """Rows of recordings that hold none of the classes."""

    def only(self, kept: np.ndarray, *notes: str) -> "Samples":
        """The samples that bool `kept` (n,) names; where one is left out, a recording ends."""
        starts = self.starts
        if starts is not None:
            gone = np.concatenate([[False], ~kept[:-1]])
            # what was left out may have been a recording's first row
            starts = (starts | gone)[kept]
        arrays = {
            name: None if getattr(self, name) is None else getattr(self, name)[kept]
            for name in ("values", "classes", "groups", "part")
        }
        return replace(self, **arrays, starts=starts, notes=(*self.notes, *notes)).with_used_labels()

    def with_used_labels(self) -> "Samples":
        """The same without the labels that no sample has."""
        used = np.unique(self.classes)
        if len(used) == len(self.labels):
            return self
        return replace(
            self, classes=np.searchsorted(used, self.classes), labels=tuple(self.labels[index] for index in used)
        )

    def merged(self, labels: Sequence[str], into: str) -> "Samples":
        """The same with the classes of `labels`, of which it may lack some, as one."""
        names = [into if label in labels else label for label in self.labels]
        index, merged = classes_of(names)
        return replace(self, classes=index[self.classes], labels=merged)


def classes_of(texts: Sequence[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Class of each sample and the classes' labels, in the order of numbers if all are, else of the alphabet."""
    distinct = set(texts)
    # numbers may be equal where their texts differ, and a set has no order
    key = (lambda text: (number(text), text)) if all(map(is_number, distinct)) else str
    labels = tuple(sorted(distinct, key=key))
    index = {label: position for position, label in enumerate(labels)}
    return np.array([index[text] for text in texts], np.int64), labels


def groups_of(texts: Sequence[str]) -> np.ndarray:
    """Each sample's group as a whole number, in the order of first appearance."""
    index: dict[str, int] = {}
    return np.array([index.setdefault(text, len(index)) for text in texts], np.int64)


def find_column(columns: Sequence[str], wanted: str, option: str) -> int:
    """Index of the column with the name, or else the position (from 1), that the user gave."""
    if wanted in columns:
        return list(columns).index(wanted)
    if wanted.isascii() and wanted.isdigit() and len(wanted) < 7 and 1 <= int(wanted) <= len(columns):
        return int(wanted) - 1
    raise SignbitError(
        f"{option}: there is no column {shown(wanted)!r}; there are {', '.join(map(shown, columns[:20]))}"
    )
