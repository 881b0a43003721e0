"""Lines and branches that nothing runs: of the firmware's C, of what generated headers are made of, and of Python.

The firmware runs on this computer, on a board that is stdin and on chips whose registers hold any numbers; headers of
every kind as plain C.  Every line must be run, and every branch go each way, in one of the programs.  Of Python's
branches the tests must take most ways; `tools/check --coverage` lists those that they do not.
"""

import subprocess
import sys
from collections.abc import Iterable

from signbit.codegen.plan import make_plan
from signbit.codegen.program import Reads
from signbit.places import MODELS, ROOT
from signbit.qmodel.file import load
from tools.prove import firmware_coverage, gcov, header_coverage, planted
from tools.prove.gcov import Coverage
from tools.prove.row import Outcome, Row
from tools.setup import coverage as measured

PYTHON_MIN = 0.97
NOT_HERE = {
    "startup.c": "from reset to main on every emulated core, where the linker's symbols and the stack are a core's",
    "riscv/startup.c": "the same on an emulated RISC-V",
    "ports/host.c": "takes a board's place on this computer in tests and other proofs, and is on no board",
    "ports/rp2040_boot2.c": "stores without a branch and a jump; runs in two emulators",
}
"""Files of firmware/src that no program here has, and why."""

EXPLAINED = {
    "c99/depthwise_taps_row, 'if (y >= N && y < N && z >= N && z < N) {' 1: ways 1, 3 not taken": (
        "row by row, rows of padding are copied beside the others, so that no row is outside"
    ),
    "rv32/conv_vectors, 'pair_sumsN(line + group, N, N, N, table);' 1: not run": (
        "several tables of one input each are the cheapest only where no row of the image is seen, and none is made"
    ),
}
"""Ways that no model's branch can go in code that has them for other models, and why."""


def firmware() -> Outcome:
    coverage = firmware_coverage.covered()
    known = {name.partition(":")[0] for name, _ in coverage.places}
    files = {str(path.relative_to(firmware_coverage.SOURCE)) for path in firmware_coverage.SOURCE.rglob("*.c")}
    return _outcome("firmware", coverage, (f"{name}: in no program" for name in files - known - set(NOT_HERE)))


def headers() -> Outcome:
    coverage = header_coverage.covered(EXPLAINED)
    gone = (f"headers, {way}: taken after all" for way in EXPLAINED.keys() - set(coverage.missed()))
    return _outcome("headers", coverage, gone)


def _outcome(of: str, coverage: Coverage, others: Iterable[str] = ()) -> Outcome:
    counts = {f"lines of {of}": coverage.lines, f"ways of their branches in {of}": coverage.branches}
    missed = (f"{of}, {way}" for way in coverage.missed() if way not in EXPLAINED)
    return Outcome(counts, (*missed, *sorted(others)))


def python() -> Outcome:
    """What the tests take, as measured last, or now if the code has changed since."""
    if measured.figures() is None:
        subprocess.run([sys.executable, "-m", "tools", "check", "--coverage"], cwd=ROOT, stdout=subprocess.DEVNULL)
    taken, ways = measured.figures() or (0, 1)
    found = () if taken >= PYTHON_MIN * ways else (f"Python: {taken / ways:.2%} of the ways of branches are taken",)
    return Outcome({"ways of branches in Python": ways, "of them taken": taken}, found)


PARTS = (firmware, headers, python)


def run(first: int, count: int) -> Outcome:
    return sum((part() for part in PARTS[first : first + count]), Outcome())


def unasked() -> Outcome:
    """A device that is asked nothing."""
    coverage = Coverage()
    firmware_coverage.run(coverage, firmware_coverage.plan_of(firmware_coverage.model()), b"")
    return _outcome("firmware", coverage)


def never_taken() -> Outcome:
    """A header with a branch that goes one way only."""
    coverage, model = Coverage(), load(MODELS / "digits-mlp.npz")
    with planted.in_headers("return best;", "return best < 10u ? best : 0u;"):
        plan = make_plan(model, "m", test_vectors=2)
        header_coverage.measure(coverage, [plan], [header_coverage.inputs_for(model)], Reads.SAMPLES)
    return _outcome("headers", coverage)


ROW = Row(
    "coverage",
    "every line of the firmware and of generated headers is run, every branch goes each way, and most of Python's do",
    "parts",
    short=1,
    total=len(PARTS),
    step=1,
    covers=(
        *("firmware", "codegen", "qmodel", "trainer", "bridge", "signbit", "models", "tests", "tools/networks"),
        "tools/setup/coverage.py",
        *(f"tools/prove/{name}" for name in ("coverage.py", "gcov.py", "firmware_coverage.py", "header_coverage.py")),
        *(f"tools/prove/{name}" for name in ("firmware_coverage.c", "registers.c", "registers.h", "semihost_here.c")),
    ),
    run=run,
    controls={"a device that is asked nothing": unasked, "a branch that goes one way only": never_taken},
    missing=gcov.missing,
)
