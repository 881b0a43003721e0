"""Lines of code and of prose have at most 120 columns, in every language; ruff looks at those of Python alone."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from signbit.codegen.layout import COLUMNS

SUFFIXES = {".py", ".c", ".h", ".j2", ".ld", ".js", ".css"}


def is_code(path: Path) -> bool:
    """A source file or a script, which has no suffix."""
    return path.suffix in SUFFIXES or (not path.suffix and path.read_bytes().startswith(b"#!"))


def too_long(text: str) -> list[int]:
    """Numbers of the lines that are too long, in characters."""
    return [number for number, line in enumerate(text.split("\n"), 1) if len(line) > COLUMNS]


def prose(text: str) -> str:
    """Markdown with nothing in the place of what can't be broken: code, tables, pictures, and what a command writes."""
    for left_out in (r"^ *```.*?^ *```$", r"^<!-- (\w+) -->$.*?^<!-- /\1 -->$", r"^(?: {4}| *[|!<]).*?$"):
        text = re.sub(left_out, lambda found: "\n" * found[0].count("\n"), text, flags=re.MULTILINE | re.DOTALL)
    return text


@pytest.fixture(scope="module")
def paths(repository):
    if not shutil.which("git"):
        pytest.skip("needs git")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=repository, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a checkout of git")
    return [path for name in listed.stdout.split("\0") if name and (path := repository / name).is_file()]


def test_no_line_of_code_is_too_long(repository, paths):
    code = [path for path in paths if is_code(path)]
    assert {path.suffix for path in code} == SUFFIXES | {""}
    found = [f"{path.relative_to(repository)}:{number}" for path in code for number in too_long(path.read_text())]
    assert found == []


def test_no_line_of_prose_is_too_long(repository, paths):
    texts = {path: prose(path.read_text()) for path in paths if path.suffix == ".md"}
    assert texts
    found = [f"{path.relative_to(repository)}:{number}" for path, text in texts.items() for number in too_long(text)]
    assert found == []
