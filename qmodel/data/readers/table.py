"""A table: rows of texts with named columns, read into numbers, classes and what else its columns say."""

import math
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain, islice

import numpy as np

from signbit.qmodel.counted import counted
from signbit.qmodel.data.readers import roles
from signbit.qmodel.data.readers.dialect import MISSING, is_number
from signbit.qmodel.data.readers.loading import LoadingOptions
from signbit.qmodel.data.readers.roles import Plan, Role, Wanted
from signbit.qmodel.data.readers.samples import BYTES_MAX
from signbit.qmodel.data.readers.source import BEGIN, Source
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.untrusted import shown

COLUMNS_MAX = 1 << 16
SAMPLE_ROWS = 200
"""Rows that decide what a column holds."""
SAMPLE_CELLS = 1 << 17
FLAGS = {"true": 1.0, "yes": 1.0, "on": 1.0, "false": 0.0, "no": 0.0, "off": 0.0}


class Texts:
    """A column of texts, each kept once."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}
        self._rows = array("l")

    def append(self, text: str) -> None:
        self._rows.append(self._codes.setdefault(text, len(self._codes)))

    def all(self) -> list[str]:
        texts = list(self._codes)
        return [texts[code] for code in self._rows]


@dataclass(eq=False)
class Table:
    """`values` float64 (rows, columns) of the `features`, NaN where one is missing; `texts` of the other columns."""

    source: Source
    plan: Plan
    values: np.ndarray
    features: list[int]
    texts: dict[int, list[str]]
    rows: np.ndarray
    """Their numbers."""
    files: list[tuple[int, str]]
    """First row of each file, if there are several, and its name."""
    starts: np.ndarray
    """bool (rows,): where a recording begins."""
    odd: dict[int, tuple[str, str]]
    """First cell of a column that is neither a number nor missing: its place and text."""
    notes: list[str] = field(default_factory=list)

    @property
    def names(self) -> tuple[str, ...]:
        return self.source.columns

    def column(self, role: Role) -> list[str] | None:
        """Texts of the one column with the role."""
        found = self.plan.find(role)
        return self.texts[found[0]] if found else None

    def place(self, row: int) -> str:
        """What the user calls a row: `row 3`, `walk/1.csv, row 3`."""
        files = [name for first, name in self.files if first <= row]
        return f"{files[-1]}, row {self.rows[row]}" if files else f"row {self.rows[row]}"

    def drop(self, index: int, why: str) -> None:
        """Leave a feature out."""
        self.values = np.delete(self.values, self.features.index(index), axis=1)
        self.features.remove(index)
        self.plan.roles[index], self.plan.why[index] = Role.LEFT_OUT, why


def read_table(source: Source, options: LoadingOptions, wanted: Wanted | None = None) -> Table:
    """The table of `source`; for an existing model, its `wanted` columns.

    Raises SignbitError for a header or rows that don't form a table.
    """
    names, rows = source.columns, source.rows
    _check_names(source)
    sample = list(islice(rows, max(2, min(SAMPLE_ROWS, SAMPLE_CELLS // len(names)))))
    parse = source.parse
    plan = roles.assign(
        source.name,
        names,
        [row.cells for row in sample],
        options,
        lambda cell: not math.isnan(parse(cell)),
        wanted,
    )
    features = plan.find(Role.FEATURE) if wanted is None else [names.index(name) for name in wanted.features]
    texts = {index: Texts() for role in roles.KEPT_AS_TEXT for index in plan.find(role)}
    values, numbers, gaps, odd, flags, files = array("d"), array("l"), array("l"), {}, {}, []
    repeats, is_restart = 0, False
    first, end = features[0], features[0] + len(features)
    is_block = features == list(range(first, end))
    for row in chain(sample, rows):
        cells = row.cells
        place = f"{row.file}, row {row.number}" if row.file else f"row {row.number}"
        if row.file and row.gap == BEGIN:
            files.append((len(numbers), row.file))
        if len(cells) != len(names):
            raise SignbitError(
                f"{place} has {counted(len(cells), 'value')}, but the header names "
                f"{counted(len(names), 'column')}; correct it or remove it"
            )
        if cells[0] == names[0] and tuple(cells) == names and not any(map(is_number, names)):
            repeats, is_restart = repeats + 1, True
            continue
        chosen = cells[first:end] if is_block else [cells[index] for index in features]
        values.extend(_numbers(place, chosen, features, source, odd, flags))
        for index, column in texts.items():
            column.append(cells[index])
        numbers.append(row.number)
        gaps.append(BEGIN if is_restart else row.gap)
        is_restart = False
        if len(values) * values.itemsize > BYTES_MAX:
            raise SignbitError(f"{source.name}: holds more than {BYTES_MAX // 8:,} numbers; give a part of it")
    if not numbers:
        raise SignbitError(f"{source.name}: is empty; it needs rows below its header")
    if source.row_count not in (None, len(numbers)):
        raise SignbitError(
            f"{source.name}: its first row says {counted(source.row_count, 'row')}, but there are {len(numbers)}"
        )
    table = Table(
        source,
        plan,
        np.frombuffer(values).reshape(len(numbers), len(features)),
        features,
        {index: column.all() for index, column in texts.items()},
        np.array(numbers),
        files,
        _starts(np.array(gaps)),
        odd,
        list(source.notes),
    )
    if repeats:
        table.notes.append(
            f"left out {counted(repeats, 'row')} where the header is repeated; a recording begins after each"
        )
    _check_flags(table, flags)
    if wanted is None:
        _review(table, options)
    elif len(wanted.labels) > 1:
        _join_one_hot(table, plan.find(Role.LABEL))
    return table


def _starts(gaps: np.ndarray) -> np.ndarray:
    """Where recordings begin: with a file, and after empty lines.

    Some loggers write one after every row; more of them than is usual in the file end a recording.
    """
    begins = gaps == BEGIN
    begins[0] = True
    first = np.flatnonzero(begins)
    usual = np.minimum.reduceat(np.where(begins, np.iinfo(np.int64).max, gaps), first)
    return begins | (gaps > np.repeat(usual, np.diff(first, append=len(gaps))))


def _check_names(source: Source) -> None:
    name, columns = source.name, source.columns
    if not columns:
        raise SignbitError(f"{name}: is empty; it needs a header and rows below it")
    if len(columns) > COLUMNS_MAX:
        raise SignbitError(f"{name}: has {len(columns):,} columns, but at most {COLUMNS_MAX:,} are read")
    double = [column for column, count in Counter(columns).items() if count > 1]
    if double:
        raise SignbitError(f"{name}: two columns are named {shown(double[0])!r}")
    if len(columns) < 2:
        raise SignbitError(f"{name}: has one column, but needs features and a label")


def _numbers(
    place: str,
    cells: list[str],
    columns: list[int],
    source: Source,
    odd: dict[int, tuple[str, str]],
    flags: dict[int, tuple[str, str]],
) -> list[float]:
    """The numbers of a row; any other text becomes NaN, and is noted unless it is a word for a missing value.

    A column's first word of FLAGS is noted in `flags`.
    """
    try:
        found = list(map(float, cells))
    except ValueError:
        found = [math.nan]
    # float() also takes what is not a number here: nan, inf, 1_0, and a point that groups thousands
    if math.isfinite(sum(found)) and source.decimal == "." and not any("_" in cell for cell in cells):
        return found
    found = list(map(source.parse, cells))
    for position, (index, cell) in enumerate(zip(columns, cells, strict=True)):
        word = cell.lower()
        if not math.isnan(found[position]) or word in MISSING:
            continue
        found[position] = FLAGS.get(word, math.nan)
        (flags if word in FLAGS else odd).setdefault(index, (place, cell))
    return found


def _check_flags(table: Table, flags: dict[int, tuple[str, str]]) -> None:
    """Note the columns of words for 1 and 0; in one that has other numbers, too, such a word is odd."""
    for index in [index for index in flags if index not in table.odd]:
        values = table.values[:, table.features.index(index)]
        if not (np.isnan(values) | (values == 0) | (values == 1)).all():
            table.odd[index] = flags.pop(index)
    found = [index for index in flags if index not in table.odd]
    if found:
        words = [", ".join(word for word, value in FLAGS.items() if value == number) for number in (1, 0)]
        verb = "holds" if len(found) == 1 else "hold"
        table.notes.append(f"{columns_text(table.names, found)} {verb} words: 1 for {words[0]}, 0 for {words[1]}")


def _review(table: Table, options: LoadingOptions) -> None:
    """What only all rows can show: labels of several columns, columns that count the rows."""
    labels = table.plan.find(Role.LABEL)
    if options.label_column is None and labels == [len(table.names) - 1] and not table.source.label_names:
        _find_one_hot(table, labels[0])
    used = {table.names[roles.find_column(table.names, name, "--use-column")] for name in options.use_columns}
    for index, why in roles.counters(table.names, table.values, table.features, used, table.starts).items():
        if len(table.features) > 1:
            table.drop(index, f"{why}; see --use-column")


def _find_one_hot(table: Table, last: int) -> None:
    """The label from several columns at the end of which one is 1."""
    if not set(map(table.source.parse, set(table.texts[last]))) <= {0, 1} or table.features[-1] != last - 1:
        return
    values = np.column_stack([table.values, np.array(list(map(table.source.parse, table.texts[last])))])
    count = roles.one_hot(values)
    columns = [*table.features, last][-count:]
    if count == 0 or count > len(table.features) or columns != list(range(last - count + 1, last + 1)):
        return
    for index in columns[:-1]:
        place = table.features.index(index)
        table.texts[index] = ["1" if value == 1 else "0" for value in table.values[:, place]]
        table.drop(index, "")
        table.plan.roles[index] = Role.LABEL
    table.plan.why |= dict.fromkeys(columns, f"{count} columns of which one is 1")
    _join_one_hot(table, columns)


def _join_one_hot(table: Table, columns: list[int]) -> None:
    """Merge several columns of which one is 1 into one column of texts, the first."""
    hot = np.array([list(map(table.source.parse, table.texts[index])) for index in columns]) == 1
    wrong = np.flatnonzero(hot.sum(axis=0) != 1)
    if len(wrong):
        raise SignbitError(f"{table.place(int(wrong[0]))}: not one of the {len(columns)} columns of the label is 1")
    table.texts[columns[0]] = [table.names[columns[index]] for index in hot.argmax(axis=0)]


def columns_text(names: Sequence[str], indices: Sequence[int]) -> str:
    """`column 'a'` or `columns 'a', 'b' and 3 more`."""
    some = ", ".join(repr(shown(names[index])) for index in indices[:5])
    more = f" and {len(indices) - 5} more" if len(indices) > 5 else ""
    return f"{'column' if len(indices) == 1 else 'columns'} {some}{more}"
