"""The tests that are asked about a mutant: those that run its line, the nearest and fastest first."""

import json
from collections import Counter, defaultdict
from functools import cached_property, lru_cache
from pathlib import Path

from signbit.codegen.bare_metal import CORTEX_M_SOURCES
from signbit.codegen.kernels import KERNELS
from signbit.places import ROOT
from signbit.qmodel.errors import SignbitError
from tools.mutants.map_tests import FOLDER
from tools.mutants.mutant import Mutant

SECONDS_MAX = 3.0
"""Of all tests that are asked about a mutant, of CPU."""
TESTS_MAX = 100
CLOCK_S = 0.01
"""Its resolution: a test of no time at all takes less than that."""
ON_CORE, AS_PLAIN_C = "test_kernel_agrees_on_its_core", "test_plain_c_of_the_kernel_agrees"
KERNELS_MAX = 2
"""Whose tests are asked about what kernels share."""
WRITE_HEADERS = ("codegen/templates/", "codegen/inputs.py", "codegen/render.py")
HEADER_TESTS = (
    "tests/test_input_quantization.py::test_verify_compares_networks_of_one_bit_inputs",
    "tests/test_export.py::test_header_says_what_to_feed",
    "tests/test_package.py::test_examples_answer_as_python_does[stream]",
    "tests/test_package.py::test_examples_answer_as_python_does[decisions]",
    "tests/test_package.py::test_examples_answer_as_python_does[rejecting]",
    "tests/test_package.py::test_every_package_says_who_and_what_it_is[zephyr]",
)
ENTRY_TEST = "test_a_program_runs_when_it_is_named_and_takes_one_thread_unless_told"
ON_MACHINES = {
    "tests/test_emulated.py": (
        "test_ticks_go_on_over_the_wraps_of_systick[m3]",
        "test_the_high_water_mark_is_the_stack_s[m3]",
        "test_start_up_sets_the_variables_whatever_ram_holds[m3]",
        "test_a_stack_overflow_ends_in_a_fault[m33]",
        "test_what_a_program_prints_is_seen",
        "test_an_interrupt_that_is_pending_ends_the_sleep_at_once_and_is_forgotten",
        "test_a_batch_writes_all_or_ends_with_the_code_of_what_is_wrong",
    ),
    "tests/test_resilience.py": (
        "test_the_registers_of_a_fault_are_told_after_the_reset[m3]",
        "test_a_failed_self_test_is_told_at_once[m3]",
        "test_the_watchdog_ends_a_hang[m3]",
        "test_the_ticks_of_each_layer_are_its_own",
        "test_it_sleeps_while_nothing_comes",
    ),
}
SOURCES_ON_MACHINES = (*CORTEX_M_SOURCES, "batch.c", "device.c", "main.c")


def by_turns(tests: list[str]) -> list[str]:
    """One case of each test first, and then another: a file that hundreds of cases run is asked about by all kinds."""
    seen: Counter[str] = Counter()
    turns = []
    for test in tests:
        name = test.partition("[")[0]
        turns.append((seen[name], test))
        seen[name] += 1
    return [test for _, test in sorted(turns, key=lambda pair: pair[0])]


def kernel_tests(file: str) -> list[str]:
    """Those that run the kernel of a module or template on a core, and its plain C; or kernels of the same room."""
    if not file.startswith("codegen/kernels/"):
        return []
    room, own = file.split("/")[2], Path(file).name.split(".")[0]
    near = [kernel for kernel in KERNELS if kernel.name.removesuffix(kernel.variant) == f"{room}/{own}"]
    near = near or [kernel for kernel in KERNELS if kernel.name.startswith(f"{room}/")] or list(KERNELS)
    return [
        f"tests/test_kernels.py::{test}[{kernel.name}-{min(kernel.targets)}]"
        for kernel in near[:: -(-len(near) // KERNELS_MAX)]
        for test in ((AS_PLAIN_C,) if kernel.name.startswith("c99/") else (ON_CORE, AS_PLAIN_C))
    ]


def header_tests(file: str) -> list[str]:
    """Headers of several kinds, compiled and run: hundreds of faster tests have part of a header."""
    return list(HEADER_TESTS) if file.startswith(WRITE_HEADERS) else []


def entry_tests(file: str) -> list[str]:
    """What is run as a program of its own runs no line in the process of the tests."""
    package, _, name = file.partition("/")
    return [f"tests/test_verbs.py::{ENTRY_TEST}[{package}]"] if name == "__main__.py" else []


def firmware_tests(file: str) -> list[str]:
    """Small programs, which show what a core does from its reset on; most are in files of slow tests."""
    is_asked = file.startswith("firmware/src/") and Path(file).name in SOURCES_ON_MACHINES
    return [f"{path}::{name}" for path, names in ON_MACHINES.items() for name in names if is_asked]


OF_KINDS = (kernel_tests, header_tests, firmware_tests, entry_tests)


class Nearest:
    """Reads what `map_tests` wrote, once."""

    def __init__(self, folder: Path = FOLDER):
        """Raises SignbitError where nothing is noted, since then every mutant would seem to survive."""
        self._parts = [(path.with_suffix(".lines"), json.loads(path.read_text())) for path in folder.glob("*.tests")]
        if not self._parts:
            raise SignbitError("which tests run which lines is not noted; first python -m tools mutants_map")
        self.seconds: dict[str, float] = {}
        self._of_context: dict[str, set[str]] = defaultdict(set)
        for _, noted in self._parts:
            for name, test in noted["tests"].items():
                if test["passed"] and 0 <= test["seconds"] <= SECONDS_MAX:
                    self.seconds[name] = test["seconds"]
                    for context in (name, *test["shared"]):
                        self._of_context[context].add(name)

    def tests(self, mutant: Mutant, killers: list[str]) -> list[str]:
        """At most TESTS_MAX of them, those that caught others in the file first; and at last those of its kind."""
        found = self._running(mutant)
        cost = {name: max(self.seconds[name], CLOCK_S) / part for name, part in found.items()}
        order = sorted(by_turns(sorted(found, key=cost.get)), key=lambda name: -killers.count(name))
        chosen, left = [], SECONDS_MAX
        for name in order[:TESTS_MAX]:
            if self.seconds[name] <= left:
                chosen.append(name)
                left -= self.seconds[name]
        return chosen + [test for of_kind in OF_KINDS for test in of_kind(mutant.file)]

    def _running(self, mutant: Mutant) -> dict[str, float]:
        """By test how much of what it runs is in the file: of its line, or if no test runs that, of the file."""
        if not mutant.file.endswith(".py"):
            return dict.fromkeys(self._files.get(mutant.file, ()), 1.0)
        lines = self._lines(mutant.file)
        found = lines.get(mutant.line) or set().union(*lines.values())
        counts = {name: sum(name in tests for tests in lines.values()) for name in found}
        return {name: (1 + count) / (100 + self._sizes[name]) for name, count in counts.items()}

    @cached_property
    def _files(self) -> dict[str, set[str]]:
        """The tests that render a template or compile a file."""
        found: dict[str, set[str]] = defaultdict(set)
        for _, noted in self._parts:
            for context, files in noted["files"].items():
                for file in files:
                    found[file] |= self._of_context[context]
        return found

    @lru_cache(4)  # noqa: B019 - one object for the whole run
    def _lines(self, file: str) -> dict[int, set[str]]:
        """The tests that run each line."""
        found: dict[int, set[str]] = defaultdict(set)
        for data in self._data:
            for line, contexts in data.contexts_by_lineno(str(ROOT / file)).items():
                found[line].update(*(self._of_context[context] for context in contexts))
        return {line: tests for line, tests in found.items() if tests}

    @cached_property
    def _sizes(self) -> dict[str, int]:
        """How many lines of the project each test runs."""
        sizes: dict[str, int] = defaultdict(int)
        for file in sorted(set().union(*(data.measured_files() for data in self._data))):
            for tests in self._lines(str(Path(file).relative_to(ROOT))).values():
                for name in tests:
                    sizes[name] += 1
        return sizes

    @cached_property
    def _data(self) -> list:
        from coverage import CoverageData

        data = [CoverageData(str(path)) for path, _ in self._parts]
        for each in data:
            each.read()
        return data
