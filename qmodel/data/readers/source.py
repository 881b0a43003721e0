"""A table before it is read: its columns, and rows of texts as they come from a file."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from signbit.qmodel.data.readers.dialect import number

BEGIN = -1
"""In place of a number of empty lines: a file begins."""
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
