"""A table of text: .csv and the like, with or without a header."""

import csv
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice, pairwise
from pathlib import Path

from signbit.qmodel.counted import counted
from signbit.qmodel.data.readers.dialect import BLANK, MISSING, SEPARATORS, Dialect, guess, is_number
from signbit.qmodel.data.readers.loading import LoadingOptions
from signbit.qmodel.data.readers.preamble import Preamble
from signbit.qmodel.data.readers.source import Row, Source
from signbit.qmodel.data.readers.text_file import lines
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.untrusted import shown

SUFFIXES = (".csv", ".txt", ".tsv", ".dat", ".data")
ALSO_NAMED = (".log", ".asc", ".prn", ".tab", ".tra", ".tes", ".trn", ".tst", ".train", ".test", ".all-data")
"""Suffixes of tables that are named as such: in a folder, files called so may be anything."""
WRITTEN = {"tab": "\t", "blank": BLANK}
"""Separators that an option spells out."""
SAMPLE_LINES = 100
SAMPLE_CHARACTERS = 1 << 17
CLASS_COLUMN = "class"
"""Name of the last column where the header of scikit-learn's files gives none."""


def read_csv(path: Path, options: LoadingOptions) -> Source:
    """UTF-8; separator, decimal sign and header are guessed where `options` don't say them.

    Rows are counted as in a spreadsheet: the first line of the file is row 1.  Raises SignbitError for what is not a
    table.
    """
    text = lines(path)
    sample = _sample(text)
    above = Preamble.of(sample)
    # rows keep their numbers
    sample[: above.lines] = ["\n"] * above.lines
    separator = above.separator if options.separator is None else WRITTEN.get(options.separator, options.separator)
    dialect = guess(sample, separator, {"comma": ",", "point": ".", None: None}[options.decimal])
    header = None if options.header == "no" else above.header(dialect, sample[above.lines :])
    if header is not None:
        sample[above.lines - 1] = header
    rows = _rows(path, dialect, chain(sample, text))
    # the first rows decide whether the first is a header
    head = list(islice(rows, max(2, len(sample))))
    if not head:
        raise SignbitError(f"{path.name}: is empty; it needs a header and rows below it")
    notes = []
    if comments := len(above.comments) - (header is not None):
        notes.append(f"left out {counted(comments, 'line')} of comments above the table")
    if dialect.separator not in (",", "\t") and separator is None:
        notes.append(f"the cells are separated by {SEPARATORS[dialect.separator]}; see --separator")
    if dialect.decimal == "," and options.decimal is None:
        notes.append("numbers have a decimal comma; see --decimal")
    first, *rest = head
    width = len(rest[0].cells) if rest else len(first.cells)
    named = _sklearn_header(first.cells, width) if options.header is None else None
    if named is not None:
        count, labels = named
        columns = (*map(str, range(1, width)), CLASS_COLUMN)
        said = f"{counted(count, 'row')}, {counted(width - 1, 'feature')}, classes {', '.join(labels)[:200]}"
        notes.append(f"the first row says {said}")
        body = chain(rest, rows)
        return Source(path.name, columns, body, dialect.number, labels, count, tuple(notes), dialect.decimal)
    if _is_header(first, rest, dialect, options):
        columns = _named(first.cells, rest, notes)
        if _are_units(rest, dialect):
            notes.append(f"left out row {rest.pop(0).number}, which gives units")
        body = chain(rest, rows)
    else:
        columns, body = tuple(map(str, range(1, len(first.cells) + 1))), chain(head, rows)
        if options.header is None:
            notes.append("the first row is not a header, so columns are called 1, 2, ...; see --header")
    return Source(path.name, columns, body, dialect.number, notes=tuple(notes), decimal=dialect.decimal)


def _sample(text: Iterator[str]) -> list[str]:
    found: list[str] = []
    characters = 0
    for line in text:
        found.append(line)
        characters += len(line)
        if len(found) >= SAMPLE_LINES or (characters >= SAMPLE_CHARACTERS and len(found) > 2):
            break
    return found


def _rows(path: Path, dialect: Dialect, text: Iterable[str]) -> Iterator[Row]:
    """Rows that are not empty, each with the number of empty lines before it."""
    number = gap = 0
    try:
        for number, cells in enumerate(dialect.rows(text), start=1):
            if any(cells):
                yield Row(number, cells, gap)
                gap = 0
            else:
                gap += 1
    except csv.Error as error:
        raise SignbitError(f"{path.name}, row {number + 1}: not readable as CSV ({error})") from None


def _is_header(first: Row, rest: Sequence[Row], dialect: Dialect, options: LoadingOptions) -> bool:
    """Whether the first row names the columns.

    It does if an option names one of its texts, or if it has a text, or none, over a column of numbers.  Numbers that
    count the columns are names; where all columns are texts the first row is taken for a header.
    """
    if options.header is not None:
        return options.header == "yes"
    cells = first.cells
    if any(name in cells and not is_number(name) for name in options.columns_named()):
        return True
    places = range(min(len(cells), *(len(row.cells) for row in rest[:1] or [first])))
    number_places = [place for place in places if _is_numbers(rest, place, dialect)]
    numbers = [dialect.number(cells[place]) for place in number_places]
    if not number_places:
        return not all(is_number(cell) for cell in cells) if rest else True
    if any(math.isnan(value) and cells[place] != "?" for place, value in zip(number_places, numbers, strict=True)):
        return True
    return (
        len(numbers) > 2
        and all(after == before + 1 for before, after in pairwise(numbers))
        and (any(not is_number(cell) for cell in cells) or numbers[0] in (0, 1))
    )


def _is_numbers(rows: Sequence[Row], place: int, dialect: Dialect) -> bool:
    """Whether a column's first rows hold numbers, and otherwise only missing values."""
    cells = [row.cells[place] for row in rows if place < len(row.cells) and row.cells[place].lower() not in MISSING]
    return bool(cells) and not any(math.isnan(dialect.number(cell)) for cell in cells[:20])


def _are_units(rows: Sequence[Row], dialect: Dialect) -> bool:
    """Whether the first row has a text, or nothing, over every column of numbers."""
    places = [place for place in range(len(rows[0].cells) if rows else 0) if _is_numbers(rows[1:], place, dialect)]
    above = [rows[0].cells[place] for place in places]
    return any(cell.lower() not in MISSING for cell in above) and all(
        math.isnan(dialect.number(cell)) for cell in above
    )


def _sklearn_header(cells: Sequence[str], width: int) -> tuple[int, tuple[str, ...]] | None:
    """Rows and class names of a first row such as `150,4,setosa,versicolor,virginica`."""
    if len(cells) < 4 or not (cells[0].isdigit() and cells[1].isdigit()) or int(cells[1][:9]) != width - 1:
        return None
    labels = tuple(cells[2:])
    if any(map(is_number, labels)) or "" in labels:
        return None
    return int(cells[0][:12]), labels


def _named(cells: Sequence[str], rest: Sequence[Row], notes: list[str]) -> tuple[str, ...]:
    """The columns' names; one without a name is called by its position."""
    names = list(cells)
    if rest and all(len(row.cells) == len(cells) + 1 for row in rest):
        names.insert(0, "")
        notes.append("the header has one name fewer than the rows have cells; the first column is taken to have none")
    unnamed = [index for index, name in enumerate(names) if not name]
    for index in unnamed:
        names[index] = str(index + 1)
        if names[index] in names[:index] + names[index + 1 :]:
            names[index] = f"column {index + 1}"
    again = [name for name, count in Counter(names).items() if count > 1]
    for name in again:
        places = [index for index, other in enumerate(names) if other == name]
        for number, index in enumerate(places[1:], start=2):
            names[index] = f"{name} ({number})"
    if again:
        some = ", ".join(repr(shown(name)) for name in again[:5])
        notes.append(f"several columns are named {some}; the later ones are called {shown(again[0])} (2) and so on")
    return tuple(names)
