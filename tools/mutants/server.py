"""A process that runs tests on a copy of the checkout, each time in a fork; it is started as a file.

Without arguments a fork has Python's packages loaded already, and imports the project as it is in the copy.  With
arguments, files of tests, these and what they import are loaded before, once, and a fork exchanges the code of the
functions that a mutant changes: much faster, but what is computed while modules are imported stays as it was.

Reads lines of JSON, objects with the arguments of `run`, and answers each with a line, what that returns.
"""

import gc
import importlib
import json
import os
import resource
import select
import signal
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FunctionType

import pytest

LOADED = (
    *("asyncio", "concurrent.futures.process", "csv", "ctypes", "email.message", "gzip", "hypothesis", "jinja2"),
    *("importlib.metadata", "importlib.resources", "lzma", "multiprocessing.pool", "numpy.lib.format"),
    *("numpy.random", "numpy.testing", "rich.live", "rich.progress", "rich.table", "tarfile", "tomllib"),
    *("unittest.mock", "urllib.request", "wave", "xml.etree.ElementTree", "zipfile"),
)
"""What tests import besides the project."""
CPU_SECONDS_MAX, WALL_SECONDS_MAX, BYTES_MAX = 60, 400, 6 << 30
"""Of a fork: a mutant that loops for ever, or that takes all memory, is a mutant that is noticed."""
OPTIONS = ("-q", "-s", "--no-header", "--tb=no", "-p", "no:cacheprovider")
PASSED = 0
"""Of pytest's exit codes."""


class Telling:
    """A plugin of pytest: writes the name of each test when it begins, and ends the line with what came of it."""

    def __init__(self):
        self.stream = None

    def pytest_runtest_logstart(self, nodeid) -> None:
        self.stream.write(f"\n{nodeid}".encode())

    def pytest_runtest_logreport(self, report) -> None:
        if report.failed:
            self.stream.write(b"\tfailed")


class Serving:
    """A plugin of pytest: answers, when it has collected its tests, in place of running them."""

    def __init__(self, telling: Telling, answers):
        self.telling, self.answers = telling, answers

    def pytest_runtestloop(self, session) -> bool:
        self.items = {item.nodeid: item for item in session.items}
        self.functions = defaultdict(list)
        for each in gc.get_objects():
            if isinstance(each, FunctionType):
                self.functions[each.__code__.co_filename].append(each)
        gc.freeze()
        serve(self.answers, self.telling, self.run)
        return True

    def run(self, tests: list[str], file: str, before: str) -> int:
        """In a fork: exchange the functions, and run the tests until one fails; those that are not there are not run.

        A mutant that changes no function changes what is done while its module is imported: no test is begun.
        """
        if file.endswith(".py") and not exchange(self.functions[str(Path(file).resolve())], file, before):
            return PASSED
        items = [self.items[name] for name in tests if name in self.items]
        for item, following in zip(items, [*items[1:], None], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if item.session.testsfailed:
                break
        return PASSED


def exchange(functions: list[FunctionType], file: str, before: str) -> int:
    """Give the module's functions the code that they have in the file now; returns how many are others."""
    path = str(Path(file).resolve())
    after = dict(_codes(compile(Path(file).read_text(), path, "exec", dont_inherit=True)))
    was = {code: key for key, code in _codes(compile(before, path, "exec", dont_inherit=True))}
    changed = 0
    for function in functions:
        code = after.get(was.get(function.__code__))
        if code is not None and code != function.__code__ and code.co_freevars == function.__code__.co_freevars:
            function.__code__ = code
            changed += 1
    return changed


def _codes(code: CodeType, number: int = 0) -> Iterator[tuple[tuple, CodeType]]:
    """Each function's code, with its name and its number among those in the same place."""
    parts = [part for part in code.co_consts if isinstance(part, CodeType)]
    for number, part in enumerate(parts):
        yield (part.co_qualname, number), part
        yield from (((*key, number), inner) for key, inner in _codes(part))


def serve(answers, telling: Telling, ask: Callable[[list[str], str, str], int]) -> None:
    """Say that all is loaded, and answer until there are no more questions."""
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(run(telling, ask, **json.loads(line))), file=answers, flush=True)


def run(telling: Telling, ask: Callable[..., int], tests: list[str], file: str, before: str) -> tuple[str, bool]:
    """The test that fails, or during which the fork ends or does not, "" if there is none; and whether one began."""
    ear, mouth = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ear)
        _begin(mouth, telling)
        code = 1
        try:
            code = ask(tests=tests, file=file, before=before)
        finally:
            os._exit(code)
    os.close(mouth)
    heard, is_late = _hear(ear)
    os.close(ear)
    if is_late:
        os.killpg(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    name, _, outcome = heard.rpartition("\n")[2].partition("\t")
    is_well = not (outcome or is_late) and os.waitstatus_to_exitcode(status) == PASSED
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


def _begin(mouth: int, telling: Telling) -> None:
    """In a fork: a group of its own, limits, and nothing to read or to print on."""
    os.setsid()
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS_MAX, CPU_SECONDS_MAX))
    resource.setrlimit(resource.RLIMIT_AS, (BYTES_MAX, BYTES_MAX))
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    telling.stream = os.fdopen(mouth, "wb", buffering=0)


def main(files: list[str]) -> None:
    here = str(Path.cwd())
    sys.path[0] = here
    # what pytest prints is no answer
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    telling = Telling()
    if files:
        pytest.main([*OPTIONS, "--rootdir", here, *files], plugins=[telling, Serving(telling, answers)])
        return
    for module in LOADED:
        importlib.import_module(module)
    with tempfile.TemporaryDirectory() as empty:
        # pytest loads its plugins
        pytest.main(["-q", "-c", os.devnull, "--rootdir", empty, empty])
    options = [*OPTIONS, "-x", "--rootdir", here]
    serve(answers, telling, lambda tests, **_: pytest.main([*options, *tests], plugins=[telling]))


if __name__ == "__main__":
    main(sys.argv[1:])
