"""One training run of a recipe: the real command line in a process of its own, and what it wrote, kept for later.

A run's folder holds its model, and `run.json`, which is written last: a folder without it is a run that did not end.
Where that was stopped by a signal, the trainer's checkpoint and `stopped.json` say how it goes on.
"""

import ast
import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from signbit.jobs.signals import EXIT_SIGNAL, SIGNALS
from signbit.jobs.stop import Stop
from signbit.qmodel.atomic import write_whole
from signbit.qmodel.data.mnist import DATA_DIR_VARIABLE
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.file import load
from signbit.trainer.command.output import SUFFIX
from tools.documents.blocks import ROOT
from tools.zoo.recipes import FOLDERS, MADE, Recipe

SOURCES = ("qmodel", "trainer")
RECORD, STOPPED = "run.json", "stopped.json"
SIGNALLED = {EXIT_SIGNAL + number for number in SIGNALS}
"""Exit codes of a trainer that was asked to stop and did so cleanly."""
LOG = "log.txt"
"""What a run says while it goes on."""
ASKED_EVERY_S = 0.1


@dataclass(frozen=True)
class Run:
    """A recipe with one of its seeds; `cache` is the folder of all runs."""

    recipe: Recipe
    seed: int
    cache: Path

    @property
    def title(self) -> str:
        return f"{self.recipe.stem} {'fold' if self.recipe.folds else 'seed'} {self.seed}"

    @cached_property
    def folder(self) -> Path:
        """Another command is another folder."""
        key = json.dumps([self.recipe.data, self.recipe.options(self.seed)])
        return self.cache / f"{self.recipe.stem}-{self.seed}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"

    @property
    def model(self) -> Path:
        return self.folder / self.recipe.file

    def record(self, source: str | None) -> dict | None:
        """What a finished run wrote: `source`, `cpu_s` and the trainer's own `report`.  None if there is nothing.

        `source` is the hash of the code that must have run (`source_hash`); None takes any.
        """
        path = self.folder / RECORD
        if not path.is_file() or not self.model.is_file():
            return None
        record = json.loads(path.read_text())
        return record if source in (None, record["source"]) else None

    def last_line(self) -> str:
        """What a run that is going on has said last; nothing if there is none."""
        with contextlib.suppress(OSError):
            return next(reversed((self.folder / LOG).read_text(errors="replace").splitlines()), "")
        return ""

    def train(self, data_dir: str | None, stop: Stop) -> bool:
        """Run the command to its end and keep its record; a run that was stopped goes on where it was.

        False if `stop` or a signal ended it; raises SignbitError when it failed.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / RECORD).unlink(missing_ok=True)
        source = source_hash()
        before_s = self._cpu_s_before(source)
        log = self.folder / LOG
        with tempfile.TemporaryFile() as printed, log.open("wb") as said:
            process = subprocess.Popen(
                self._command(data_dir, resume=before_s is not None),
                cwd=ROOT,
                stdout=printed,
                stderr=said,
                # Ctrl-C is for us, who pass it on: a trainer that gets two signals does not stop cleanly
                start_new_session=True,
            )
            code, cpu_s = _wait(process, stop)
            printed.seek(0)
            text = printed.read().decode()
        lines = log.read_text(errors="replace").splitlines()
        log.unlink()
        cpu_s += before_s or 0
        if code < 0 or code in SIGNALLED:
            self._write(STOPPED, {"source": source, "cpu_s": cpu_s})
            return False
        if code:
            reason = lines[-1].removeprefix("error: ") if lines else f"exit code {code}"
            raise SignbitError(f"{self.title}: {reason}")
        report = json.loads(text)
        if load(self.model).hash != report["model"]["hash"]:
            raise SignbitError(f"{self.title}: the model that was saved is not the one that was reported")
        self._write(RECORD, {"source": source, "cpu_s": round(cpu_s, 1), "report": report})
        (self.folder / STOPPED).unlink(missing_ok=True)
        return True

    @property
    def _checkpoint(self) -> Path:
        return self.model.with_name(self.model.name + SUFFIX)

    def _cpu_s_before(self, source: str) -> float | None:
        """What a run that was stopped has taken, if it can go on; else None, and nothing of it is left."""
        stopped = self.folder / STOPPED
        if stopped.is_file() and self._checkpoint.is_file():
            values = json.loads(stopped.read_text())
            if values["source"] == source:
                return values["cpu_s"]
        for path in (stopped, self._checkpoint):
            path.unlink(missing_ok=True)
        return None

    def _write(self, name: str, values: dict) -> None:
        write_whole(self.folder / name, (json.dumps(values, indent=1) + "\n").encode())

    def _command(self, data_dir: str | None, resume: bool) -> list[str]:
        data = self.recipe.data
        place = self.recipe.place(Path(data_dir or os.environ.get(DATA_DIR_VARIABLE, "")).resolve())
        if data in MADE:
            made = self.cache / data
            write_whole(made, MADE[data](place).encode())
            data = str(made)
        elif data in FOLDERS:
            data = str(place)
        command = [sys.executable, "-m", "trainer", "train", "--data", data, "--json"]
        if data_dir is not None:
            command += ["--data-dir", str(Path(data_dir).resolve())]
        if resume:
            return [*command, "--resume", str(self._checkpoint)]
        return [*command, *self.recipe.options(self.seed), "--out", str(self.model)]


def runs_of(recipe: Recipe, cache: Path) -> list[Run]:
    return [Run(recipe, seed, cache) for seed in recipe.seeds]


def _wait(process: subprocess.Popen, stop: Stop) -> tuple[int, float]:
    """Exit code of a process, which `stop` terminates, and the seconds of CPU that it took."""
    is_asked = False
    while True:
        # wait4, because only that says what this one process took
        number, status, usage = os.wait4(process.pid, os.WNOHANG)
        if number:
            process.returncode = os.waitstatus_to_exitcode(status)
            return process.returncode, usage.ru_utime + usage.ru_stime
        if stop() and not is_asked:
            is_asked = True
            os.kill(process.pid, signal.SIGTERM)
        time.sleep(ASKED_EVERY_S)


def source_hash() -> str:
    """SHA-256 over the code of trainer and qmodel; comments, layout and docstrings don't count."""
    digest = hashlib.sha256()
    for path in sorted(path for name in SOURCES for path in (ROOT / name).rglob("*.py")):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(getattr(node, "body", None), list):
                node.body = [part for part in node.body if not _is_text(part)]
        digest.update(f"{path.relative_to(ROOT)}\n{ast.dump(tree)}\n".encode())
    return digest.hexdigest()


def _is_text(node: ast.AST) -> bool:
    """A string that is a statement by itself."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
