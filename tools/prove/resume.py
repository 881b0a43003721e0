"""`python -m tools prove resume`: training runs that are killed at random and resumed end in the unbroken run's model.

SIGKILL leaves no moment to clean up, so it may hit training, the writing of a checkpoint, or the start.  Between kills
the run saves after every block of batches.
"""

import random
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.progress import Progress

from signbit.console import console
from signbit.qmodel.command import EXIT_DIFFERENT, EXIT_OK, Parser
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.option_types import whole
from tools.documents.blocks import ROOT

TRAIN = ["--model", "conv3x3pad:8, conv3x3:12 pool2, dense", "--epochs", "8", "--frozen-epochs", "2", "--quiet"]
SAVE_ALWAYS = """
import sys
from signbit.qmodel.command import run_command
from signbit.trainer.command import keeper
from signbit.trainer.command.cli import main
keeper.SAVE_EVERY_S = 0
sys.exit(run_command(main))
"""
LIFE_S = 0.2, 1.6
"""Shortest and longest time between two kills: from before the first checkpoint to some epochs later."""
KILLS_A_RUN = 25


@dataclass(frozen=True)
class Proof:
    seed: int
    kills: int
    runs: int
    different: int
    """Runs whose model file is not, byte for byte, that of the unbroken run."""


def prove(kills: int, seed: int, step: Callable[[], None] = lambda: None) -> Proof:
    """Kill runs `kills` times in all, at most KILLS_A_RUN times each, and let each come to its end."""
    moments = random.Random(seed)
    done, runs, different = 0, 0, 0
    with tempfile.TemporaryDirectory() as name:
        unbroken = Path(name, "unbroken", "m.npz")
        unbroken.parent.mkdir()
        _check(_start(*TRAIN, "--out", unbroken).wait())
        while done < kills:
            out = Path(name, str(runs), "m.npz")
            out.parent.mkdir()
            for _ in range(min(KILLS_A_RUN, kills - done)):
                process = _start(*_arguments(out))
                try:
                    _check(process.wait(moments.uniform(*LIFE_S)))
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                    done += 1
                    step()
                else:
                    break  # it came to its end before the kill
            if not out.exists():
                _check(_start(*_arguments(out)).wait())
            runs += 1
            different += not out.exists() or out.read_bytes() != unbroken.read_bytes()
    return Proof(seed, done, runs, different)


def _arguments(out: Path) -> list[str | Path]:
    """Go on with what was saved, or begin."""
    checkpoint = out.with_name(f"{out.name}.checkpoint")
    return ["--resume", checkpoint, "--quiet"] if checkpoint.exists() else [*TRAIN, "--out", out]


def _check(code: int) -> None:
    """A run that fails by itself would be restarted forever."""
    if code:
        raise SignbitError(f"a training run ended with exit code {code} though nobody killed it")


def _start(*arguments: str | Path) -> subprocess.Popen:
    command = [sys.executable, "-c", SAVE_ALWAYS, *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)


def main(arguments: list[str]) -> int:
    parser = Parser(prog="python -m tools prove resume", description=__doc__.partition(": ")[2].partition("\n\n")[0])
    parser.add_argument("--kills", **whole(1).argument(), default=1000, help="default: %(default)s")
    parser.add_argument("--seed", **whole(0).argument(), default=2015, help="of the moments (default: %(default)s)")
    options = parser.parse_args(arguments)
    with Progress(console=console(stderr=True)) as progress:
        task = progress.add_task("kills", total=options.kills)
        proof = prove(options.kills, options.seed, lambda: progress.advance(task))
    print(f"{proof.kills} kills of {proof.runs} training runs, seed {proof.seed}: {proof.different} models different")
    return EXIT_DIFFERENT if proof.different else EXIT_OK
