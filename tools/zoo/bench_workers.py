"""`python -m tools bench_workers`: trials of a search by one worker, and by two beside each other; bench/workers.json.

All trials are of one network, with learning rates that differ, so that they cost the same: seconds, as those of real
searches do at least, since what the study's database takes is for one worker at a time.
Each worker is a process of `signbit tune` with one job; there must be a core for each.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from signbit.qmodel.atomic import write_whole
from signbit.qmodel.command import EXIT_OK, Parser
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.option_types import number
from signbit.trainer.tune.study import open_study, require_optuna
from tools.documents.blocks import ROOT, replace_block

RESULTS = ROOT / "bench" / "workers.json"
DOCUMENT = ROOT / "docs" / "TUNE.md"
BLOCK = "workers"
SPACE = """
networks = ["dense:32, dense"]
[training]
lr = { from = 0.01, to = 0.03, log = true }
"""
FOLDS = 3
STUDY = "workers"
WORKERS = 1, 2


def main(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments)
    require_optuna()
    if (cores := len(os.sched_getaffinity(0))) < max(WORKERS):
        raise SignbitError(f"{max(WORKERS)} workers need as many cores, not {cores}")
    rows = [
        {"workers": count, "minutes": options.minutes, "trials": _trials(count, options.minutes)} for count in WORKERS
    ]
    write_whole(RESULTS, (json.dumps(rows, indent=1) + "\n").encode())
    replace_block(BLOCK, text(read()), DOCUMENT)
    return EXIT_OK


def read() -> list[dict]:
    return json.loads(RESULTS.read_text())


def text(rows: list[dict]) -> str:
    """The sentence of the document."""
    one, two = rows
    return (
        f"On two cores, in {one['minutes']:g} minutes each: {one['trials']} trials by one worker of one job, "
        f"{two['trials']} by two beside each other, **{two['trials'] / one['trials']:.2f} times as many**."
    )


def _trials(workers: int, minutes: float) -> int:
    """How many are finished when the time is over."""
    with tempfile.TemporaryDirectory(prefix="signbit-") as name:
        space = Path(name, "space.toml")
        space.write_text(SPACE)
        command = [sys.executable, "-m", "signbit", "tune", "--data", "digits", "--study", STUDY, "--quiet"]
        command += ["--space", str(space), "--runs", name, "--jobs", "1", "--folds", str(FOLDS)]
        command += ["--timeout", str(60 * minutes)]
        running = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(workers)]
        if any([process.wait() != EXIT_OK for process in running]):
            raise SignbitError("a worker failed; its own words are above")
        study = open_study(f"sqlite:///{name}/study.db", STUDY)
        return len(study.get_trials(deepcopy=False, states=(require_optuna().trial.TrialState.COMPLETE,)))


def _parser() -> Parser:
    parser = Parser(prog="python -m tools bench_workers", description=__doc__.partition(": ")[2])
    parser.add_argument("--minutes", **number("N", 0).argument(), default=2.0, help="for each (default: 2)")
    return parser
