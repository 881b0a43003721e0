"""Tables in the documents that commands write: each stands between two marks."""

import re
from pathlib import Path

from signbit.qmodel.atomic import write_whole
from signbit.qmodel.errors import SignbitError

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"


def block(name: str, document: Path = README) -> str:
    """What stands between `<!-- NAME -->` and `<!-- /NAME -->`."""
    return _match(name, document.read_text(), document)[2].strip("\n")


def replace_block(name: str, text: str, document: Path = README) -> None:
    """Put `text` between the marks of `name`."""
    content = document.read_text()
    match = _match(name, content, document)
    new = f"{match[1]}\n{text.strip()}\n{match[3]}"
    write_whole(document, (content[: match.start()] + new + content[match.end() :]).encode())


def markdown_table(headings: list[str], rows: list[list[str]], left: int = 1) -> str:
    """A table whose first `left` columns are aligned to the left and the others to the right."""
    rule = ["---"] * left + ["---:"] * (len(headings) - left)
    return "\n".join(f"| {' | '.join(row)} |" for row in (headings, rule, *rows))


def _match(name: str, content: str, document: Path) -> re.Match:
    match = re.search(rf"(<!-- {name} -->)\n(.*?)(<!-- /{name} -->)", content, re.DOTALL)
    if not match:
        raise SignbitError(f"{document.name} has no block between <!-- {name} --> and <!-- /{name} -->")
    return match
