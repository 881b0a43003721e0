"""Tables in the documents that commands write, each between two marks."""

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from signbit.qmodel.atomic import write_whole
from signbit.qmodel.errors import SignbitError

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
TABLES = ROOT / "bench" / "README.md"


def block(name: str, document: Path = TABLES) -> str:
    """The text between `<!-- NAME -->` and `<!-- /NAME -->`."""
    return _match(name, document.read_text(), document)[2].strip("\n")


def replace_block(name: str, text: str, document: Path = TABLES) -> None:
    """Put `text` between the marks of `name`."""
    content = document.read_text()
    match = _match(name, content, document)
    new = f"{match[1]}\n{text.strip()}\n{match[3]}"
    write_whole(document, (content[: match.start()] + new + content[match.end() :]).encode())


Columns = Sequence[tuple[str, str | Callable[[Any], Any]]]
"""Headings, each with the key of its cells in a row or with a function that makes a cell of a row."""


def table_of(rows: Iterable[Any], columns: Columns, left: int = 1) -> str:
    """A table of `rows`, one line each; whole numbers get separators, and None is an empty cell."""
    cells = [[_cell(cell(row) if callable(cell) else row[cell]) for _, cell in columns] for row in rows]
    return markdown_table([heading for heading, _ in columns], cells, left)


def markdown_table(headings: list[str], rows: list[list[str]], left: int = 1) -> str:
    """A table whose first `left` columns are aligned to the left and the others to the right."""
    rule = ["---"] * left + ["---:"] * (len(headings) - left)
    return "\n".join(f"| {' | '.join(row)} |" for row in (headings, rule, *rows))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else str(value)


def _match(name: str, content: str, document: Path) -> re.Match:
    match = re.search(rf"(<!-- {name} -->)\n(.*?)(<!-- /{name} -->)", content, re.DOTALL)
    if not match:
        raise SignbitError(f"{document.name} has no block between <!-- {name} --> and <!-- /{name} -->")
    return match
