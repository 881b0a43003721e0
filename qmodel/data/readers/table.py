"""A table: rows of texts with named columns, read into numbers, classes and what else its columns say."""

import math
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice, pairwise

import numpy as np

from signbit.qmodel.counted import counted
from signbit.qmodel.data.readers import roles
from signbit.qmodel.data.readers.dialect import DECIMAL_COMMA, MISSING, is_number, number
from signbit.qmodel.data.readers.loading import LoadingOptions
from signbit.qmodel.data.readers.roles import Plan, Role, Wanted
from signbit.qmodel.data.readers.samples import BYTES_MAX, Samples, classes_of, groups_of
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.untrusted import shown

COLUMNS_MAX = 1 << 16
SAMPLE_ROWS = 200
"""Rows that decide what a column holds."""
SAMPLE_CELLS = 1 << 17
FLAGS = {"true": 1.0, "yes": 1.0, "on": 1.0, "false": 0.0, "no": 0.0, "off": 0.0}
TEXT_OPTIONS = ("separator", "decimal", "header")
"""Options for tables of text alone."""


@dataclass(frozen=True)
class Row:
    """`number` is what the user calls the row, in `file` if there are several.

    `gap` counts the empty lines before it, and is BEGIN for the first one of a file.
    """

    number: int
    cells: list[str]
    gap: int = 0
    file: str = ""


BEGIN = -1


@dataclass(frozen=True)
class Source:
    """A table before its rows are read; `parse` turns a cell into a number, NaN if it is not one."""

    name: str
    columns: tuple[str, ...]
    rows: Iterator[Row]
    parse: Callable[[str], float] = number
    label_names: tuple[str, ...] = ()
    """Names of the classes 0, 1, ... where the file gives them apart from its rows."""
    row_count: int | None = None
    """Where the file gives it."""
    notes: tuple[str, ...] = ()
    decimal: str = "."


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


def samples_of(table: Table, options: LoadingOptions) -> Samples:
    """What the rows of a table are; raises SignbitError with the place of a cell that is not a number, or missing.

    `options.missing` says what becomes of the latter.
    """
    for index in table.features:
        if index in table.odd:
            place, text = table.odd[index]
            option = "--decimal" if DECIMAL_COMMA.fullmatch(text) else "--ignore-column"
            raise SignbitError(
                f"{place}, column {shown(table.names[index])!r}: {shown(text, 40)!r} is not a number; correct it, "
                f"or see {option}"
            )
    kept, notes = _handle_missing(table, options)
    for role in (Role.GROUP, Role.RECORDING, Role.SPLIT):
        texts = table.column(role)
        if texts is not None and "" in texts:
            index = table.plan.find(role)[0]
            raise _missing(table, texts.index(""), index)
    groups, recordings, split = (table.column(role) for role in (Role.GROUP, Role.RECORDING, Role.SPLIT))
    starts = table.starts
    if recordings is not None:
        starts = starts | np.array([True, *(a != b for a, b in pairwise(recordings))])
    samples = Samples(
        table.values,
        *_classes(table, table.column(Role.LABEL)),
        groups=None if groups is None else groups_of(groups),
        part=None if split is None else _parts(table, split),
        columns=tuple(table.names[index] for index in table.features),
        starts=starts,
        label_columns=tuple(table.names[index] for index in table.plan.find(Role.LABEL)),
        notes=(*table.notes, *_role_notes(table), *notes),
    )
    return samples if kept is None else samples.only(kept)


def _missing(table: Table, row: int, column: int, count: int = 1) -> SignbitError:
    more = f" ({count} are missing in all)" if count > 1 else ""
    return SignbitError(
        f"{table.place(row)}, column {shown(table.names[column])!r}: the value is missing{more}; fill it in or remove "
        "the row, or see --missing"
    )


def _handle_missing(table: Table, options: LoadingOptions) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Which rows are kept, None for all, and a note; values that the median replaces stay NaN."""
    is_missing = np.zeros(len(table.rows), bool)
    total = 0
    for place in range(table.values.shape[1]):
        found = np.isnan(table.values[:, place])
        total += int(np.count_nonzero(found))
        is_missing |= found
    labels = table.column(Role.LABEL) or []
    unlabelled = [row for row, text in enumerate(labels) if not text]
    if options.missing != "drop" and unlabelled:
        raise _missing(table, unlabelled[0], table.plan.find(Role.LABEL)[0], len(unlabelled))
    if options.missing == "refuse" and total:
        row = int(np.flatnonzero(is_missing)[0])
        place = int(np.flatnonzero(np.isnan(table.values[row]))[0])
        raise _missing(table, row, table.features[place], total)
    if options.missing == "median" and total:
        rows = counted(np.count_nonzero(is_missing), "row")
        return None, (f"{counted(total, 'missing value')}, in {rows}, replaced by the column's median",)
    is_missing[unlabelled] = True
    count = int(np.count_nonzero(is_missing))
    return (
        (~is_missing, (f"left out {count:,} of {counted(len(is_missing), 'row')}, which lack a value",))
        if count
        else (None, ())
    )


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
        table.notes.append(f"{_names(table.names, found)} {verb} words: 1 for {words[0]}, 0 for {words[1]}")


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


def _classes(table: Table, labels: list[str] | None) -> tuple[np.ndarray, tuple[str, ...]]:
    if labels is None:
        return np.zeros(len(table.rows), np.int64), ("",)
    names = table.source.label_names
    if not names:
        return classes_of(labels)
    odd = next((index for index, text in enumerate(labels) if not (text.isdigit() and int(text) < len(names))), None)
    if odd is not None:
        raise SignbitError(
            f"{table.place(odd)}: class {shown(labels[odd])!r} is not one of the {len(names)} in the first row"
        )
    return np.array([int(text) for text in labels], np.int64), names


def _parts(table: Table, texts: list[str]) -> np.ndarray:
    for row, text in enumerate(texts):
        if text.lower() not in roles.PARTS:
            raise SignbitError(
                f"{table.place(row)}: the split column says {shown(text)!r}, but must say train, validation or test"
            )
    return np.array([roles.PARTS[text.lower()] for text in texts], np.int8)


def _role_notes(table: Table) -> Iterator[str]:
    """One line for the label, one for all that is left out for the same reason."""
    why = table.plan.why
    labels = table.plan.find(Role.LABEL)
    if labels and labels[0] in why and why[labels[0]] != "the last column":
        yield f"the label is {_names(table.names, labels)}: {why[labels[0]]}; see --label-column"
    for index in table.plan.find(Role.SPLIT):
        if index in why:
            yield f"column {shown(table.names[index])!r} gives the parts: {why[index]}; see --split-column"
    by_reason: dict[str, list[int]] = {}
    for index in table.plan.find(Role.LEFT_OUT):
        if index in why:
            by_reason.setdefault(why[index], []).append(index)
    for reason, indices in by_reason.items():
        yield f"left out {_names(table.names, indices)}: {reason}"


def _names(names: Sequence[str], indices: Sequence[int]) -> str:
    some = ", ".join(repr(shown(names[index])) for index in indices[:5])
    more = f" and {len(indices) - 5} more" if len(indices) > 5 else ""
    return f"{'column' if len(indices) == 1 else 'columns'} {some}{more}"
