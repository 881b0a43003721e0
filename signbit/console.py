"""The screen of every command: as wide as its terminal, and whole tables elsewhere."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.table import Table

WIDEST_COLUMNS = 1000


@dataclass(frozen=True)
class Column:
    """A table's column; `rank` 0 is always shown, and of the others the highest rank is left out first."""

    heading: str
    rank: int = 0
    left: bool = False


def console(stderr: bool = False) -> Console:
    """stdout or stderr.  A pipe and a file have no width, so that nothing is broken there unless $COLUMNS is set."""
    screen = Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not screen.is_terminal and "COLUMNS" not in os.environ:
        screen.width = WIDEST_COLUMNS
    return screen


def print_table(
    screen: Console, columns: Sequence[Column], rows: Iterable[Sequence[str]], styles: Sequence[str | None] = ()
) -> None:
    """Print one line per row, cells whole, and as many columns as fit; `styles` has one for each row.

    What does not fit is named below.  When no more columns may be left out, lines are as long as they must be.
    """
    rows, shown = [list(row) for row in rows], list(range(len(columns)))
    while _width(screen, table := _table(columns, rows, shown, styles)) > screen.width:
        widest_rank = max(shown, key=lambda index: columns[index].rank)
        if not columns[widest_rank].rank:
            break
        shown.remove(widest_rank)
    screen_width, screen.width = screen.width, max(screen.width, _width(screen, table))
    screen.print(table, "", crop=False)
    screen.width = screen_width
    if left_out := [column.heading for index, column in enumerate(columns) if index not in shown]:
        screen.print(f"no room for: {', '.join(left_out)}", style="dim", soft_wrap=True)


def _table(columns: Sequence[Column], rows: list[list[str]], shown: list[int], styles: Sequence[str | None]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for column in (columns[index] for index in shown):
        table.add_column(column.heading, justify="left" if column.left else "right", no_wrap=True)
    for number, row in enumerate(rows):
        table.add_row(*(row[index] for index in shown), style=styles[number] if styles else None)
    return table


def _width(screen: Console, table: Table) -> int:
    return screen.measure(table, options=screen.options.update(max_width=WIDEST_COLUMNS)).maximum
