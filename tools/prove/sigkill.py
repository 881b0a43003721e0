"""Training runs that are killed at random and resumed end in the unbroken run's model.

SIGKILL leaves no moment to clean up, so it may hit training, the writing of a checkpoint, or the start.  Between kills
the run saves after every block of batches.
"""

import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from signbit.qmodel.errors import SignbitError
from tools.documents.blocks import ROOT
from tools.prove.row import SEED, Outcome, Row

TRAIN = ["--model", "conv3x3pad:8, conv3x3:12 pool2, dense", "--epochs", "8", "--frozen-epochs", "2", "--quiet"]
SAVE_ALWAYS = """
import sys
from signbit.qmodel.command import run_command
from signbit.trainer.command import keeper
from signbit.trainer.command.cli import main
keeper.SAVE_EVERY_S = 0
"""
GO = "sys.exit(run_command(main))\n"
FORGETFUL = """
from signbit.trainer.learning import checkpoint
read = checkpoint._read
checkpoint._read = lambda content, kind, like: like if kind == "optimizer" else read(content, kind, like)
"""
"""Resumes without the optimizer's state."""
LIFE_S = 0.2, 1.6
"""Shortest and longest time between two kills: from before the first checkpoint to some epochs later."""
KILLS_A_RUN = 5


def run(first: int, count: int) -> Outcome:
    """Kill a run `count` times, or several that come to their end before that."""
    moments = random.Random(f"{SEED} {first}")
    kills, finished, different = 0, 0, 0
    with tempfile.TemporaryDirectory(prefix="signbit-") as name:
        unbroken = _unbroken(Path(name))
        while kills < count:
            out = Path(name, str(finished), "m.npz")
            out.parent.mkdir()
            while kills < count and not out.exists():
                process = _start(*_arguments(out))
                try:
                    _check(process.wait(moments.uniform(*LIFE_S)))
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                    kills += 1
            if not out.exists():
                _check(_start(*_arguments(out)).wait())
            finished += 1
            different += not out.exists() or out.read_bytes() != unbroken.read_bytes()
    findings = [f"kills from {first} on: {different} of {finished} models are different"] if different else []
    return Outcome({"runs": finished}, tuple(findings))


def forgetful() -> Outcome:
    """One kill, as soon as there is a checkpoint, from which the run goes on without the optimizer's state."""
    with tempfile.TemporaryDirectory(prefix="signbit-") as name:
        unbroken, out = _unbroken(Path(name)), Path(name, "m.npz")
        process = _start(*TRAIN, "--out", out)
        while len(_arguments(out)) > 3 and process.poll() is None:
            time.sleep(0.01)
        process.kill()
        process.wait()
        _check(_start(*_arguments(out), planted=FORGETFUL).wait())
        return Outcome({}, ("another model",) if out.read_bytes() != unbroken.read_bytes() else ())


def _unbroken(folder: Path) -> Path:
    """The model of a run that nobody kills; it records its file's name."""
    path = folder / "unbroken" / "m.npz"
    path.parent.mkdir()
    _check(_start(*TRAIN, "--out", path).wait())
    return path


def _arguments(out: Path) -> list[str | Path]:
    """Go on with what was saved, or begin."""
    checkpoint = out.with_name(f"{out.name}.checkpoint")
    return ["--resume", checkpoint, "--quiet"] if checkpoint.exists() else [*TRAIN, "--out", out]


def _check(code: int) -> None:
    """A run that fails by itself would be restarted forever."""
    if code:
        raise SignbitError(f"a training run ended with exit code {code} though nobody killed it")


def _start(*arguments: str | Path, planted: str = "") -> subprocess.Popen:
    command = [sys.executable, "-c", f"{SAVE_ALWAYS}{planted}{GO}", *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)


ROW = Row(
    "sigkill",
    "a training run that is killed at any moment goes on to the model of one that was not",
    "kills",
    short=5,
    total=1000,
    step=KILLS_A_RUN,
    covers=("qmodel", "trainer", "tools/prove/sigkill.py"),
    run=run,
    controls={"a run resumed without the optimizer's state": forgetful},
)
