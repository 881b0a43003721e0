"""Bugs that are planted, in C or in Python, which a proof must find."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from signbit.codegen import program
from signbit.qmodel.errors import SignbitError
from tools.prove.host_build import replaced
from tools.prove.row import Outcome


@contextmanager
def in_headers(right: str, wrong: str) -> Iterator[None]:
    """Programs' headers have `wrong` in place of `right`, wherever it is; one of them must have it."""
    text_of, places = program.header_text, 0

    def changed(plan) -> str:
        nonlocal places
        text = text_of(plan)
        places += text.count(right)
        return text.replace(right, wrong)

    with mock.patch.object(program, "header_text", changed):
        yield
    if not places:
        raise SignbitError(f"headers have changed: {right!r} is in none")


def in_python(run: Callable[[int, int], Outcome], count: int, owner: object, name: str, wrong: object) -> Outcome:
    """The first `count` cases of `run`, with `wrong` in place of what `owner` calls `name`."""
    with mock.patch.object(owner, name, wrong):
        return run(0, count)


def in_firmware(run: Callable[[int, int, Path], Outcome], count: int, source: Path, right: str, wrong: str) -> Outcome:
    """The first `count` cases of `run`, which takes a copy of `source` with `wrong` in place of `right`."""
    with tempfile.TemporaryDirectory(prefix="signbit-") as folder:
        copy = Path(folder, source.name)
        copy.write_text(replaced(source.read_text(), right, wrong))
        return run(0, count, copy)
