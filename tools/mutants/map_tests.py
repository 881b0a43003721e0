"""`python -m tools mutants_map [TEST ...]`: Note which tests run which lines, by coverage.py, in build/mutants/.

What a fixture of a module or a session runs is noted once, and counts for every test that asks for it.  Templates and
C are noted as whole files: those that are rendered, and those that a compiler is called with.
"""

import json
import os
import sys
from collections import defaultdict
from pathlib import Path

import jinja2
import pytest

from signbit.places import ROOT
from signbit.qmodel.command import EXIT_OK, Parser
from signbit.qmodel.errors import SignbitError

FOLDER = ROOT / "build" / "mutants"
SECONDS_MAX = 120
"""A test that takes longer, even on a busy computer, is stopped and asked about nothing."""
ROOMS = ("qmodel", "trainer", "codegen", "signbit", "firmware")
NOT_ASKED = (
    *("accuracy", "boards", "data_docs", "demo", "emulated", "firmware", "lines", "notebooks", "page_browser"),
    *("pio_check", "pio_test", "proofs", "readme", "repro", "setup", "site", "stack", "templates"),
    *("tutorial", "wheel", "zoo"),
)
"""Slow, about documents, or about the text of sources, in which any change is one."""


class Noting:
    """A plugin of pytest: notes what each test runs, how long it takes, and whether it passes."""

    def __init__(self, coverage):
        self.coverage = coverage
        self.now = ""
        self.tests: dict[str, dict] = {}
        self.files: dict[str, set[str]] = defaultdict(set)
        sys.addaudithook(self._hear)

    def _enter(self, context: str) -> str:
        before, self.now = self.now, context
        self.coverage.switch_context(context)
        return before

    def _hear(self, event: str, arguments: tuple) -> None:
        if event == "subprocess.Popen":
            words = arguments[1] if isinstance(arguments[1], (list, tuple)) else ()
            self._note(word for word in map(str, words) if word.endswith(".c"))

    def _note(self, paths) -> None:
        inside = (Path(path).resolve() for path in paths if path)
        self.files[self.now] |= {str(path.relative_to(ROOT)) for path in inside if path.is_relative_to(ROOT)}

    def watch_templates(self) -> None:
        load = jinja2.Environment._load_template

        def noted(environment, *arguments):
            template = load(environment, *arguments)
            self._note([template.filename])
            return template

        jinja2.Environment._load_template = noted

    def pytest_runtest_protocol(self, item) -> None:
        shared = {
            _context(definitions[-1])
            for name, definitions in item._fixtureinfo.name2fixturedefs.items()
            if definitions[-1].scope != "function"
        }
        self.tests[item.nodeid] = {"seconds": -_cpu_seconds(), "passed": True, "shared": sorted(shared)}
        self._enter(item.nodeid)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef):
        if fixturedef.scope == "function":
            return (yield)
        before = self._enter(_context(fixturedef))
        try:
            return (yield)
        finally:
            self._enter(before)

    def pytest_runtest_logreport(self, report) -> None:
        test = self.tests[report.nodeid]
        test["passed"] &= report.outcome == "passed"
        if report.when == "teardown":
            test["seconds"] = round(test["seconds"] + _cpu_seconds(), 3)


def _context(definition) -> str:
    return f"{definition.baseid or '.'} {definition.argname}"


def _cpu_seconds() -> float:
    """Of this process and of those that it waited for: a busy computer changes nothing."""
    return sum(os.times()[:4])


def main(arguments: list[str]) -> int:
    """Run the fast tests, or those that are named, and write what they run."""
    parser = Parser(prog="python -m tools mutants_map", description=__doc__.partition(": ")[2])
    parser.add_argument("tests", nargs="*", metavar="TEST", help="files of tests (default: those that are fast)")
    tests = parser.parse_args(arguments).tests
    try:
        from coverage import Coverage
    except ImportError:
        raise SignbitError("which lines a test runs is noted by coverage.py: pip install coverage") from None
    FOLDER.mkdir(parents=True, exist_ok=True)
    part = FOLDER / f"{os.getpid()}"
    measured = Coverage(
        part.with_suffix(".lines"), config_file=False, include=[str(ROOT / room / "*") for room in ROOMS]
    )
    noting = Noting(measured)
    noting.watch_templates()
    ignored = [f"--ignore={ROOT}/tests/test_{name}.py" for name in NOT_ASKED]
    limit = [f"--timeout={SECONDS_MAX}", "--timeout-method=signal", "-o", "timeout_func_only=true"]
    measured.start()
    pytest.main(["-q", "-p", "no:cacheprovider", "--no-header", *limit, *ignored, *tests], plugins=[noting])
    measured.stop()
    measured.save()
    files = {context: sorted(names) for context, names in noting.files.items()}
    part.with_suffix(".tests").write_text(json.dumps({"tests": noting.tests, "files": files}))
    return EXIT_OK
