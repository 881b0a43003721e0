"""Lines of code have at most 120 columns, in every language; ruff looks at those of Python alone."""

import shutil
import subprocess
from pathlib import Path

import pytest

from signbit.codegen.layout import COLUMNS

SUFFIXES = {".py", ".c", ".h", ".j2", ".ld", ".js", ".css"}


def is_code(path: Path) -> bool:
    """A source file or a script, which has no suffix."""
    return path.suffix in SUFFIXES or (not path.suffix and path.read_bytes().startswith(b"#!"))


def too_long(path: Path) -> list[int]:
    """Numbers of the lines that are too long, in characters."""
    return [number for number, line in enumerate(path.read_text().split("\n"), 1) if len(line) > COLUMNS]


def test_no_line_of_code_is_too_long(repository):
    if not shutil.which("git"):
        pytest.skip("needs git")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=repository, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a checkout of git")
    paths = [repository / name for name in listed.stdout.split("\0") if name]
    code = [path for path in paths if path.is_file() and is_code(path)]
    assert {path.suffix for path in code} == SUFFIXES | {""}
    found = [f"{path.relative_to(repository)}:{number}" for path in code for number in too_long(path)]
    assert found == []
