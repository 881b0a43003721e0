"""The same seed gives the same bytes on any BLAS kernel, threads, SIMD, numpy: model, header, every latent weight.

Each of `machines.RUNS` is trained in every environment with every numpy, and compared with the environment as it is.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import product
from pathlib import Path

from signbit.qmodel.errors import SignbitError
from tools.prove.machines import MACHINES, RUNS, Crash, hash_of
from tools.prove.row import Outcome, Row

NUMPY_VERSIONS = (None, "1.26.4", "2.0.2", "2.2.6", "2.3.5")
"""The one that is installed, the oldest that the package takes, and later ones."""
CASES = tuple(product(NUMPY_VERSIONS, RUNS, MACHINES))
SEED = 5
MACHINES_MIN = 5
"""Number of environments in which a run must end; a BLAS kernel may crash on a processor it was not made for."""


def run(first: int, count: int) -> Outcome:
    """One run with one numpy, in all environments or the first of them."""
    cases = CASES[first : first + count]
    outcome = Outcome()
    with numpy_folder(cases[0][0]) as packages:
        for version, name, machine in cases:
            found = hash_of(RUNS[name], machine, SEED, packages=packages)
            if isinstance(found, Crash):
                outcome += Outcome({"not run, since a BLAS kernel crashed": 1})
            elif found != expected(name):
                outcome += Outcome({}, (f"{name} with numpy {version or 'as it is'}, {machine}: other bytes",))
    crashed = outcome.counts.get("not run, since a BLAS kernel crashed", 0)
    if crashed > len(MACHINES) - MACHINES_MIN:
        raise SignbitError(f"a run ended in fewer than {MACHINES_MIN} environments")
    return outcome


@cache
def expected(name: str) -> str | Crash:
    """The hash of a run in this environment."""
    return hash_of(RUNS[name], MACHINES[0], SEED)


def without_grid() -> Outcome:
    """Sums off the grid depend on their order."""
    hashes = {hash_of(RUNS["conv"], machine, SEED, grid=False) for machine in MACHINES[:4]}
    return Outcome({}, ("other bytes",) if len(hashes) > 1 else ())


@contextmanager
def numpy_folder(version: str | None) -> Iterator[Path | None]:
    """A folder with that version, which pip installs while the context lasts; None for the environment's own."""
    if version is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="signbit-") as folder:
        words = ["install", "-q", "--no-deps", "--only-binary", ":all:", "--target", folder, f"numpy=={version}"]
        done = subprocess.run([sys.executable, "-m", "pip", *words], capture_output=True, text=True)
        if done.returncode:
            raise SignbitError(f"numpy {version} can't be installed here: {done.stderr.strip()[-200:]}")
        yield Path(folder)


ROW = Row(
    "repro",
    "the same seed gives the same model and header on every BLAS kernel, thread count, SIMD setting and numpy",
    "settings",
    short=len(MACHINES),
    total=len(CASES),
    step=len(MACHINES),
    covers=("qmodel", "trainer", "codegen", "tools/prove/machines.py", "tools/prove/repro.py"),
    run=run,
    controls={"gradients that are not on a grid": without_grid},
)
