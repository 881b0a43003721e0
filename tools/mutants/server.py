"""A process that runs tests on a copy of the checkout, each time in a fork that has Python's packages loaded already.

It is started as a file, and imports nothing of the project, since a fork imports what is planted in the copy.  Reads
a line of JSON, a list of tests, and answers with one, what `run` returns.
"""

import importlib
import json
import os
import resource
import select
import signal
import sys
import tempfile
import time
from pathlib import Path

import pytest

LOADED = (
    *("asyncio", "concurrent.futures.process", "csv", "ctypes", "email.message", "gzip", "hypothesis", "jinja2"),
    *("importlib.metadata", "importlib.resources", "lzma", "multiprocessing.pool", "numpy.lib.format"),
    *(
        "numpy.random",
        "numpy.testing",
        "rich.live",
        "rich.progress",
        "rich.table",
        "tarfile",
        "tomllib",
        "unittest.mock",
        "urllib.request",
    ),
    *("wave", "xml.etree.ElementTree", "zipfile"),
)
"""What tests import besides the project, so that a fork has it."""
CPU_SECONDS_MAX, WALL_SECONDS_MAX, BYTES_MAX = 60, 400, 6 << 30
"""Of a fork: a mutant that loops for ever, or that takes all memory, is a mutant that is noticed."""
OK = 0
"""Of pytest's exit codes."""


class Telling:
    """A plugin of pytest: writes the name of each test when it begins, and ends the line with what came of it."""

    def __init__(self, stream):
        self.stream = stream

    def pytest_runtest_logstart(self, nodeid) -> None:
        self.stream.write(f"\n{nodeid}".encode())

    def pytest_runtest_logreport(self, report) -> None:
        if report.failed:
            self.stream.write(b"\tfailed")


def run(tests: list[str]) -> tuple[str, bool]:
    """The test that fails, or during which the fork ends or does not, "" if there is none; and whether one began."""
    ear, mouth = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ear)
        _ask(tests, mouth)
    os.close(mouth)
    heard, is_late = _hear(ear)
    os.close(ear)
    if is_late:
        os.killpg(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    name, _, outcome = heard.rpartition("\n")[2].partition("\t")
    is_well = not (outcome or is_late) and os.waitstatus_to_exitcode(status) == OK
    return "" if is_well else name or tests[0], bool(name)


def _hear(ear: int) -> tuple[str, bool]:
    """What the fork says, and whether it has to be stopped."""
    heard, end = b"", time.monotonic() + WALL_SECONDS_MAX
    while True:
        ready, _, _ = select.select([ear], [], [], max(end - time.monotonic(), 0))
        if not ready:
            return heard.decode(), True
        part = os.read(ear, 1 << 16)
        if not part:
            return heard.decode(), False
        heard += part


def _ask(tests: list[str], mouth: int) -> None:
    """In the fork: run the tests, and end."""
    os.setsid()
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS_MAX, CPU_SECONDS_MAX))
    resource.setrlimit(resource.RLIMIT_AS, (BYTES_MAX, BYTES_MAX))
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    code = 3
    try:
        with os.fdopen(mouth, "wb", buffering=0) as stream:
            options = ["-q", "-x", "--no-header", "--tb=no", "-p", "no:cacheprovider", "--rootdir", str(Path.cwd())]
            code = pytest.main([*options, *tests], plugins=[Telling(stream)])
    finally:
        os._exit(code)


if __name__ == "__main__":
    sys.path[0] = str(Path.cwd())
    # what pytest prints is no answer
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    for module in LOADED:
        importlib.import_module(module)
    with tempfile.TemporaryDirectory() as empty:
        # pytest loads its plugins
        pytest.main(["-q", "-c", os.devnull, "--rootdir", empty, empty])
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), file=answers, flush=True)
