"""Compilers and other programs of a tool chain."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from signbit.qmodel.errors import SignbitError

WORDS_MAX = 2000
"""Characters of what a program says that are passed on."""


def output_of(
    command: Sequence[str | Path], folder: Path | None = None, title: str | None = None, timeout_s: float | None = None
) -> str:
    """What `command` prints when it runs in `folder`.

    Raises SignbitError with its first words where it fails, after the `title` or its name.
    """
    done = subprocess.run(list(map(str, command)), cwd=folder, capture_output=True, text=True, timeout=timeout_s)
    if done.returncode:
        raise SignbitError(f"{title or command[0]}: {' '.join(done.stderr.split())[:WORDS_MAX]}")
    return done.stdout
