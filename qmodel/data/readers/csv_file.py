"""Samples from a .csv: a header, a row a sample (or a moment of a time series), a column a feature."""

import csv
import math
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from signbit.qmodel.data.readers.loading import LoadingOptions
from signbit.qmodel.data.readers.samples import BYTES_MAX, Samples, classes_of, counts_of, find_column, groups_of
from signbit.qmodel.errors import SignbitError

DELIMITERS = (",", ";", "\t")
MISSING = frozenset(("", "na", "n/a", "nan", "null", "none", "?"))


def read_csv(path: Path, options: LoadingOptions) -> Samples:
    """UTF-8, separated by commas, semicolons or tabs; numbers have a decimal point.

    The values are int16 counts (n, features), see `samples.counts_of`.  Raises SignbitError with row and column of
    whatever is missing, ragged or no number; rows are counted as in a spreadsheet, where the header is row 1.
    """
    options.refuse("a .csv", "fold", "label_column", "group_column", "ignore_columns", "window", "stride", "lsb")
    rows = _rows(path)
    _, columns = next(rows, (1, []))
    _check_header(path, columns)
    roles = _roles(path, columns, options)
    values, labels, groups, numbers = array("d"), [], [], []
    for number, row in rows:
        if len(row) != len(columns):
            raise SignbitError(f"row {number} has {len(row)} values, but the header names {len(columns)} columns")
        values.extend(_number(number, columns[index], row[index]) for index in roles.features)
        labels.append(_text(number, columns[roles.label], row[roles.label]))
        if roles.group is not None:
            groups.append(_text(number, columns[roles.group], row[roles.group]))
        numbers.append(number)
    if not numbers:
        raise SignbitError(f"{path.name}: is empty; it needs rows below its header")
    names = tuple(columns[index] for index in roles.features)
    classes, class_labels = classes_of(labels)
    return Samples(
        counts_of(np.frombuffer(values).reshape(len(numbers), -1), names, options, numbers),
        classes,
        class_labels,
        groups=groups_of(groups) if groups else None,
        columns=names,
    )


@dataclass(frozen=True)
class _Roles:
    """Which column is what, by index."""

    label: int
    group: int | None
    features: tuple[int, ...]


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Number and cells of each row that is not empty."""
    if path.stat().st_size > BYTES_MAX:
        raise SignbitError(f"{path.name}: larger than {BYTES_MAX} bytes; split it, or make a .npz of it")
    number = 0
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            first = stream.readline()
            stream.seek(0)
            delimiter = max(DELIMITERS, key=first.count)
            for number, row in enumerate(csv.reader(stream, delimiter=delimiter, strict=True), start=1):
                if row:
                    yield number, [cell.strip() for cell in row]
    except UnicodeDecodeError:
        raise SignbitError(f"{path.name}: is not text in UTF-8") from None
    except csv.Error as error:
        raise SignbitError(f"{path.name}, row {number + 1}: not readable as CSV ({error})") from None


def _check_header(path: Path, columns: list[str]) -> None:
    if not columns:
        raise SignbitError(f"{path.name}: is empty; it needs a header and rows below it")
    if all(math.isfinite(_parsed(cell)) for cell in columns):
        raise SignbitError(f"{path.name}: its first row must name the columns, but holds numbers")
    if "" in columns:
        raise SignbitError(f"{path.name}: column {columns.index('') + 1} has no name in the first row")
    double = [name for name in columns if columns.count(name) > 1]
    if double:
        raise SignbitError(f"{path.name}: two columns are named {double[0]!r}")
    if len(columns) < 2:
        raise SignbitError(f"{path.name}: has one column, but needs features and a label")


def _roles(path: Path, columns: list[str], options: LoadingOptions) -> _Roles:
    label, group = len(columns) - 1, None
    if options.label_column is not None:
        label = find_column(columns, options.label_column, "--label-column")
    if options.group_column is not None:
        group = find_column(columns, options.group_column, "--group-column")
    if label == group:
        raise SignbitError(f"{columns[label]!r} can't be both the label and the group; see --label-column")
    ignored = {find_column(columns, name, "--ignore-column") for name in options.ignore_columns}
    for index, role in ((label, "label"), (group, "group")):
        if index in ignored:
            raise SignbitError(f"--ignore-column: {columns[index]!r} is the {role} column")
    features = tuple(index for index in range(len(columns)) if index not in ignored | {label, group})
    if not features:
        raise SignbitError(f"{path.name}: no column is left for the features")
    return _Roles(label, group, features)


def _number(row: int, column: str, text: str) -> float:
    value = _parsed(text)
    if math.isfinite(value):
        return value
    if text.lower() in MISSING:
        raise _missing(row, column)
    raise SignbitError(
        f"row {row}, column {column!r}: {text[:40]!r} is not a number; correct it, or see --ignore-column"
    )


def _text(row: int, column: str, text: str) -> str:
    if not text:
        raise _missing(row, column)
    return text


def _missing(row: int, column: str) -> SignbitError:
    return SignbitError(f"row {row}, column {column!r}: the value is missing; fill it in or remove the row")


def _parsed(text: str) -> float:
    """NaN for what is no number; float() would take "1_0" too."""
    try:
        return math.nan if "_" in text else float(text)
    except ValueError:
        return math.nan
