"""The folder of a run: how it was started, its metrics epoch by epoch, and in the end model, scores and pictures.

settings.json    command, settings, data
metrics.csv      one row per epoch, written while the run goes on
checkpoint.npz   its state, until it is finished
model.npz        the integer model
result.json      accuracies, every epoch, figures of each class
*.png            learning curves, confusion matrix, misclassified samples, first layer (by the command)
"""

import csv
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path

from signbit.qmodel.atomic import write_whole
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.file import save
from signbit.trainer.learning.checkpoint import Task
from signbit.trainer.learning.evaluate import Confusion
from signbit.trainer.learning.run import Run
from signbit.trainer.learning.train import Epoch
from signbit.trainer.report import confusion as confusion_report
from signbit.trainer.report import results as report

CHECKPOINT = "checkpoint.npz"
MODEL = "model.npz"
RESULT = "result.json"
METRICS = ("epoch", "loss", "train_accuracy", "validation_accuracy", "validation_loss", "seconds")


class RunFolder:
    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        self.checkpoint = self.path / CHECKPOINT
        self.model = self.path / MODEL
        self.result = self.path / RESULT

    def create(self, task: Task) -> None:
        """Make the folder and record how the run begins; refuses a folder that holds something already."""
        if self.checkpoint.exists():
            raise SignbitError(f"--run {self.path}: holds a run that was stopped; go on with --resume {self.path}")
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise SignbitError(f"--run {self.path}: is there already; name a new folder")
        if not self.path.resolve().parent.is_dir():
            raise SignbitError(f"--run {self.path}: there is no folder {self.path.resolve().parent}; make it first")
        self.path.mkdir(exist_ok=True)
        self._write_json("settings.json", {"command": task.command, **task.as_dict()})

    def write_metrics(self, epochs: Sequence[Epoch]) -> None:
        """The table of all epochs so far, whole or not at all."""
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(METRICS)
        table.writerows(vars(epoch).values() for epoch in epochs)
        write_whole(self.path / "metrics.csv", text.getvalue().encode())

    def finish(self, result: Run, confusion: Confusion | None) -> None:
        """Write model and scores of a finished run; a float network has no model, and without a test part there is no
        `confusion`."""
        values = report.run_json(result, None if result.model is None else MODEL)
        if result.model is not None:
            save(result.model, self.model)
        if confusion is not None:
            values |= confusion_report.tables_json(confusion)
        self._write_json(RESULT, values)

    def _write_json(self, name: str, values: dict) -> None:
        write_whole(self.path / name, (json.dumps(values, indent=2) + "\n").encode())
