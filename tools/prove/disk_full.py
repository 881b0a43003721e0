"""A disk that is full after any number of bytes: the old file stays, nothing is left beside it, and one line says so.

Each command that writes files runs in a process whose files may only become so long (RLIMIT_FSIZE), for every 512 bytes
of every file: the model, its header, the report as JSON and HTML, packages, and a training run's checkpoint.
"""

import contextlib
import io
import json
import os
import re
import resource
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from unittest import mock

from signbit.codegen.commands.cli import main as codegen
from signbit.codegen.package import FORMATS
from signbit.qmodel import atomic
from signbit.qmodel.command import EXIT_OK, EXIT_USAGE, run_command
from signbit.qmodel.file import save
from signbit.trainer.command.cli import main as trainer
from tools.networks.random import random_model
from tools.prove.row import Outcome, Row

STEP_BYTES = 512
COARSE = 8
"""The short form takes every so many of the steps."""
STEPS = 256
LIMITS = sorted(range(STEPS), key=lambda step: (step % COARSE != 0, step))
OLD = b"old"
ERROR = re.compile(r"error: [^\n]*File too large\n")
MODEL = "in.npz"


def run(first: int, count: int, main: Callable | None = None) -> Outcome:
    """Some limits, each for all that is written; `main` replaces the commands: a planted bug."""
    return sum((write_all(STEP_BYTES * LIMITS[number], main) for number in range(first, first + count)), Outcome())


def write_all(limit: int, main: Callable | None = None) -> Outcome:
    """In a process of its own, since the limit is the process's."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        found: list = ["the process ended early"]
        try:
            with tempfile.TemporaryDirectory(prefix="signbit-") as name:
                found = _write_all(Path(name), limit, main)
        except BaseException as error:
            found = [f"{type(error).__name__}: {error}"]
        finally:
            os.write(writer, json.dumps(found).encode()[:60_000])
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        findings = json.loads(stream.read() or b'["the process died"]')
    os.waitpid(child, 0)
    return Outcome({"writes": len(WRITES)}, tuple(f"{limit} bytes: {finding}" for finding in findings))


def _write_all(folder: Path, limit: int, planted: Callable | None) -> list[str]:
    save(random_model(1, (300, 40, 3)), folder / MODEL)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    findings = []
    for name, (main, words) in WRITES.items():
        place = folder / name
        place.mkdir()
        arguments = [word.format(model=folder / MODEL, out=place / "out") for word in words]
        targets = [Path(word) for word in arguments if word.startswith(str(place)) and "." in Path(word).name]
        for target in targets:
            target.write_bytes(OLD)
        error = io.StringIO()
        with contextlib.redirect_stderr(error), contextlib.redirect_stdout(io.StringIO()):
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
            code = run_command(planted or main, arguments)
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        files = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
        if code == EXIT_OK:
            if OLD in files.values():
                findings.append(f"{name}: exit code 0, but not everything was written")
        elif code != EXIT_USAGE or not ERROR.fullmatch(error.getvalue()):
            findings.append(f"{name}: exit code {code}, {error.getvalue()!r}")
        elif any(len(data) > limit and data != OLD for data in files.values()) or not _old_or_whole(files, targets):
            findings.append(
                f"{name}: left {', '.join(f'{path.name} of {len(data)} bytes' for path, data in files.items())}"
            )
    return findings


def _old_or_whole(files: dict[Path, bytes], targets: list[Path]) -> bool:
    """Nothing but the files that were asked for, and one of them, at least, is as it was."""
    return set(files) == set(targets) and (not targets or OLD in files.values())


def in_place(arguments: list[str]) -> int:
    """A command that writes over the old file."""
    with mock.patch.object(atomic, "_replace", lambda target, data: target.write_bytes(data)):
        return codegen(arguments) if arguments[0] == "export" else EXIT_OK


WRITES: dict[str, tuple[Callable, tuple[str, ...]]] = {
    "header": (codegen, ("export", "{model}", "-o", "{out}.h", "--test-vectors", "8")),
    "JSON": (codegen, ("export", "{model}", "-o", "{out}.h", "--report", "{out}.json")),
    "page": (codegen, ("export", "{model}", "-o", "{out}.h", "--report", "{out}.html")),
    **{kind: (codegen, ("package", "{model}", "--prefix", "net", "--format", kind, "-o", "{out}")) for kind in FORMATS},
    "model": (
        trainer,
        ("--data", "digits", "--model", "dense:200, dense", "--epochs", "1", "--quiet", "--out", "{out}.npz"),
    ),
}

ROW = Row(
    "disk-full",
    "a full disk leaves the old files as they were, nothing else, and a line that names the file",
    "limits",
    short=STEPS // COARSE,
    total=STEPS,
    step=8,
    covers=("qmodel", "codegen", "trainer", "tools/prove/disk_full.py"),
    run=run,
    controls={"a header that is written over the old one": partial(run, 0, 4, in_place)},
    missing=lambda: None if hasattr(os, "fork") else "this system has no fork",
)
