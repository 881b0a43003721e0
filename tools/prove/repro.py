"""`python -m tools prove repro`: the same seed gives the same bytes on any BLAS kernel, threads, SIMD, numpy.

Each of `machines.RUNS` is trained in every environment with every numpy; every bit of the latent weights counts.
As a control, the same with gradients off the grid must differ.  Writes bench/repro.json.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import track

from signbit.console import console
from signbit.qmodel.atomic import write_whole
from signbit.qmodel.command import EXIT_DIFFERENT, EXIT_OK, Parser
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.option_types import whole
from tools.documents.blocks import ROOT, replace_block
from tools.prove.machines import MACHINES, MACHINES_MIN, RUNS, Crash, hash_of

NUMPY_VERSIONS = ("1.26.4", "2.0.2", "2.2.6", "2.3.5")
"""The oldest that the package takes, and later ones, in addition to the one that is installed."""
RECORD = ROOT / "bench" / "repro.json"
DOCUMENT = ROOT / "docs" / "TRAINING.md"
BLOCK = "repro"


@dataclass(frozen=True)
class Proof:
    """`different` counts settings whose bytes are not those of the first one of the same run."""

    seed: int
    numpy_versions: tuple[str, ...]
    machines: int
    runs: int
    settings: int
    different: int
    hashes_without_grid: int
    """The control: how many different hashes the same settings gave without the grid; must be above 1."""
    not_run: tuple[str, ...]
    """Where a BLAS kernel crashed, with the signal; `settings` does not count these."""


def prove(packages: dict[str, Path | None], seed: int, progress: Console | None = None) -> Proof:
    """Train every run in every setting; `packages` maps numpy versions to folders that hold them."""
    places = [(machine, folder) for folder in packages.values() for machine in MACHINES]
    jobs = [(settings, *place, True) for settings in RUNS.values() for place in places]
    jobs += [(RUNS["conv"], *place, False) for place in places]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(lambda job: hash_of(job[0], job[1], seed, job[3], job[2]), jobs)
        steps = track(results, "training", len(jobs), console=progress, disable=progress is None)
        found = list(steps)
    rows = [found[start : start + len(places)] for start in range(0, len(found), len(places))]
    hashes = [[result for result in row if isinstance(result, str)] for row in rows]
    not_run = tuple(dict.fromkeys(result.reason for result in found if isinstance(result, Crash)))
    fewest = MACHINES_MIN * len(packages)
    if min(map(len, hashes)) < fewest:
        raise SignbitError(f"a run ended in fewer than {fewest} settings: {not_run[0]}")
    different = sum(value != row[0] for row in hashes[:-1] for value in row)
    settings = sum(map(len, hashes[:-1]))
    return Proof(seed, tuple(packages), len(MACHINES), len(RUNS), settings, different, len(set(hashes[-1])), not_run)


@contextmanager
def numpy_folders(versions: list[str]) -> Iterator[dict[str, Path | None]]:
    """Folders with those versions, which pip installs while the context lasts; None for the environment's own."""
    import numpy as np

    with tempfile.TemporaryDirectory() as folder:
        found: dict[str, Path | None] = {np.__version__: None}
        for version in versions:
            if version in found:
                continue
            found[version] = Path(folder, version)
            command = [
                sys.executable,
                "-m",
                "pip",
                "install",
                "-q",
                "--target",
                str(found[version]),
                f"numpy=={version}",
            ]
            done = subprocess.run([*command, "--no-deps", "--only-binary", ":all:"], capture_output=True, text=True)
            if done.returncode:
                raise SignbitError(f"numpy {version} can't be installed here; leave it out of --numpy")
        yield found


def sentence(proof: dict) -> str:
    """The result in a line, as docs/TRAINING.md has it."""
    return (
        f"{proof['settings']} settings ({proof['runs']} runs, {proof['machines']} environments, numpy "
        f"{', '.join(proof['numpy_versions'])}), seed {proof['seed']}: {proof['different']} different; "
        f"without the grid {proof['hashes_without_grid']} different results"
        + "".join(f"; NOT RUN: {reason}" for reason in proof["not_run"])
    )


def main(arguments: list[str]) -> int:
    parser = Parser(prog="python -m tools prove repro", description=__doc__.split("\n")[0].partition(": ")[2])
    parser.add_argument(
        "--numpy",
        default=",".join(NUMPY_VERSIONS),
        metavar="VERSION,...",
        help="in addition to the installed one (%(default)s)",
    )
    parser.add_argument("--seed", **whole(0).argument(), default=5, help="default: %(default)s")
    options = parser.parse_args(arguments)
    with numpy_folders([version for version in options.numpy.split(",") if version]) as packages:
        proof = prove(packages, options.seed, console(stderr=True))
    write_whole(RECORD, (json.dumps(asdict(proof), indent=2) + "\n").encode())
    replace_block(BLOCK, f"```\n{sentence(asdict(proof))}\n```", DOCUMENT)
    print(sentence(asdict(proof)))
    return EXIT_OK if proof.different == 0 and proof.hashes_without_grid > 1 else EXIT_DIFFERENT
