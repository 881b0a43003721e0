"""Planted bugs in the product, each caught by the tests that are nearest to it.

`mutants.toml` lists them.  Each is made in a copy of the checkout, in which those tests run and must fail.
"""

import hashlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from signbit.places import ROOT
from tools.prove.host_build import replaced
from tools.prove.row import Outcome, Row

TABLE = Path(__file__).with_suffix(".toml")
MUTANTS = tuple(tomllib.loads(TABLE.read_text())["mutant"])
SHORT = 20
NOT_COPIED = shutil.ignore_patterns(".*", "__pycache__", "build", "*.egg-info")
TIMEOUT_S = 900
PASSED, FAILED = 0, 1
"""Exit codes of pytest."""


def run(first: int, count: int) -> Outcome:
    return sum((plant(MUTANTS[number]) for number in order()[first : first + count]), Outcome())


def order() -> list[int]:
    """The mutants in an order that changes with the code, so that the short form takes others each time."""
    seed = hashlib.sha256(b"".join((ROOT / mutant["file"]).read_bytes() for mutant in MUTANTS)).digest()
    return random.Random(seed).sample(range(len(MUTANTS)), len(MUTANTS))


def plant(mutant: dict) -> Outcome:
    """Run the mutant's tests on a copy of the checkout that has the bug."""
    with tempfile.TemporaryDirectory(prefix="signbit-") as name:
        copy = Path(name, "checkout")
        shutil.copytree(ROOT, copy, ignore=NOT_COPIED, symlinks=True)
        path = copy / mutant["file"]
        path.write_text(replaced(path.read_text(), mutant["right"], mutant["wrong"]))
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *mutant["tests"]]
        environment = os.environ | {"PYTHONPATH": str(copy)}
        done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S)
    if done.returncode == FAILED:
        return Outcome({"caught": 1})
    reason = "survives" if done.returncode == PASSED else f"pytest ends with {done.returncode}: {done.stdout[-200:]}"
    return Outcome({}, (f"{mutant['file']}, {mutant['right'].strip()!r} -> {mutant['wrong'].strip()!r}: {reason}",))


def harmless() -> Outcome:
    """A change that no test can catch."""
    return plant({"file": "qmodel/ranges.py", "right": "import numpy", "wrong": "import  numpy", "tests": [UNTOUCHED]})


UNTOUCHED = "tests/test_integer.py::test_sign_of_zero_is_plus_one"

ROW = Row(
    "mutants",
    "a bug that is planted in the product fails the tests nearest to it",
    "bugs",
    short=min(SHORT, len(MUTANTS)),
    total=len(MUTANTS),
    step=4,
    covers=("qmodel", "trainer", "codegen", "firmware", "signbit", "tests", "tools/prove"),
    run=run,
    controls={"a change that is none": harmless},
)
