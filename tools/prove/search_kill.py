"""Searches whose worker is killed at random end with every trial that was begun, and with the unbroken runs' models.

SIGKILL hits the worker that waits as well as the process that trains, which ends with it.  A worker that comes after
it gets the trial back; runs save after every block of batches.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from signbit.qmodel.data.readers.loading import LoadingOptions
from signbit.qmodel.errors import SignbitError
from signbit.trainer.learning.settings import Settings
from signbit.trainer.tune import study
from signbit.trainer.tune.training import Place, Training, train
from tools.documents.blocks import ROOT
from tools.prove.row import SEED, Outcome, Row

SPACE = """
networks = ["dense:{hidden}, dense", "conv3x3:{hidden} pool2, dense"]
[network]
hidden = { from = 4, to = 20, step = 2 }
[training]
lr = { from = 0.01, to = 0.05, log = true }
"""
SCRIPT = """
import sys
from signbit.qmodel.command import run_command
from signbit.trainer.command import keeper
from signbit.trainer.command.cli import main
keeper.SAVE_EVERY_S = 0
if __name__ == "__main__":
    sys.exit(run_command(main))
"""
"""The processes that train read it as well."""
NAME = "proof"
FOLDS, EPOCHS = 1, 4
LIFE_S = 1.0, 8.0
"""Shortest and longest time between two kills: from before the first trial to some of them later."""
KILLS_A_SEARCH = 4
WAIT_S = 120


def run(first: int, count: int) -> Outcome:
    """Kill a search's workers `count` times, and let the last one finish it."""
    moments = random.Random(f"{SEED} {first}")
    with tempfile.TemporaryDirectory(prefix="signbit-") as name:
        folder = _prepared(Path(name))
        for _ in range(count):
            worker = _start(folder, trials=1000)
            try:
                raise SignbitError(f"a search ended with exit code {worker.wait(moments.uniform(*LIFE_S))}")
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()
            if found := _study(folder):
                study.reap(found)
        found = _finished(folder)
        return Outcome(found.counts, tuple(f"kills from {first} on: {text}" for text in found.findings))


def abandoned() -> Outcome:
    """One kill as soon as there is a trial, which nobody gives back."""
    with tempfile.TemporaryDirectory(prefix="signbit-") as name:
        folder, end = _prepared(Path(name)), time.monotonic() + WAIT_S
        worker = _start(folder, trials=1000)
        while not list(folder.glob("runs/*/trial.json")) and time.monotonic() < end:
            time.sleep(0.05)
        worker.kill()
        worker.wait()
        return _finished(folder)


def _finished(folder: Path) -> Outcome:
    """Work on the search for one network more, and see what there is: trials that are lost, and other models."""
    complete = sum(trial.state.name == "COMPLETE" for trial in _trials(folder))
    code = _start(folder, trials=complete + 2).wait()
    trials = _trials(folder)
    lost = [trial.number for trial in trials if trial.state.name not in ("COMPLETE", "PRUNED")]
    findings = [f"exit code {code}"] if code else []
    findings += [f"trials {lost} were begun and are neither done nor left"] if lost else []
    place = Place("digits", None, LoadingOptions())
    complete = [trial for trial in trials if trial.state.name == "COMPLETE"]
    for trial in complete:
        key, settings = trial.user_attrs["key"], Settings.from_dict(trial.user_attrs["settings"])
        result = json.loads((folder / "runs" / key / "fold0" / "result.json").read_text())
        whole = Training(settings, place, place.load().hash, 0, "trial", str(folder / "unbroken" / key))
        if train(whole, lambda: False).hash != result["model"]["hash"]:
            findings.append(f"trial {trial.number} has another model than the unbroken run")
    return Outcome({"networks": len(complete)}, tuple(findings))


def _prepared(folder: Path) -> Path:
    (folder / "space.toml").write_text(SPACE)
    (folder / "worker.py").write_text(SCRIPT)
    return folder


def _start(folder: Path, trials: int) -> subprocess.Popen:
    """A worker that ends when so many networks are trained."""
    words = ["tune", "--space", folder / "space.toml", "--runs", folder / "runs", "--storage", _url(folder)]
    words += ["--study", NAME, "--jobs", 1, "--folds", FOLDS, "--epochs", EPOCHS, "--trials", trials]
    command = [sys.executable, str(folder / "worker.py"), *map(str, words)]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _study(folder: Path):
    """None where every worker was killed before there was one."""
    try:
        return study.open_study(_url(folder), NAME)
    except SignbitError:
        return None


def _trials(folder: Path) -> list:
    found = _study(folder)
    return found.get_trials(deepcopy=False) if found else []


def _url(folder: Path) -> str:
    return f"sqlite:///{folder / 'study.db'}"


def _missing() -> str | None:
    try:
        study.require_optuna()
    except SignbitError as missing:
        return str(missing)
    return None


ROW = Row(
    "search-kills",
    "a search whose workers are killed at any moment loses no trial, and has the models of one that was not",
    "kills",
    short=1,
    total=100,
    step=KILLS_A_SEARCH,
    covers=("qmodel", "trainer", "signbit/jobs", "tools/prove/search_kill.py"),
    run=run,
    controls={"a killed worker's trial that nobody gives back": abandoned},
    missing=_missing,
)
