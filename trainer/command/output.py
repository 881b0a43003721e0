"""What a run writes: a model file, a run folder, both or nothing; a checkpoint while it is not finished."""

import re
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from signbit.qmodel.atomic import is_device
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.file import save
from signbit.trainer.command.run_folder import RunFolder
from signbit.trainer.learning.checkpoint import Task
from signbit.trainer.learning.evaluate import Confusion
from signbit.trainer.learning.run import Run
from signbit.trainer.learning.train import Epoch

SUFFIX = ".checkpoint"
NAME_LENGTH_MAX = 31


class Output:
    def __init__(self, task: Task):
        self._task = task
        self._out = None if task.out is None else Path(task.out)
        self._folder = None if task.folder is None else RunFolder(task.folder)

    @property
    def model(self) -> str | None:
        """Where the model is going to be; None for a float network, or if no place was named."""
        if self._out is not None:
            return str(self._out)
        is_float = self._task.settings.binarize == "none"
        return None if self._folder is None or is_float else str(self._folder.model)

    @property
    def name(self) -> str | None:
        """The model's bare file name."""
        return None if self.model is None else Path(self.model).name

    @property
    def checkpoint(self) -> Path | None:
        if self._folder is not None:
            return self._folder.checkpoint
        if self._out is None or is_device(self._out):
            return None
        return self._out.with_name(self._out.name + SUFFIX)

    def prepare(self) -> None:
        """Find out before training, not after, that something can't be written; make the run folder."""
        if self._out is not None:
            check_writable(self._out)
        if self._folder is not None:
            self._folder.create(self._task)
        elif self.checkpoint is not None and self.checkpoint.exists():
            raise SignbitError(
                f"--out {self._out}: {self.checkpoint} holds a run that was stopped; go on with "
                f"--resume {self.checkpoint}, or remove it"
            )

    def note_epochs(self, epochs: Sequence[Epoch]) -> None:
        """Keep the metrics so far."""
        if self._folder is not None:
            self._folder.write_metrics(epochs)

    @property
    def folder(self) -> Path | None:
        """Where the run folder is, if there is one."""
        return None if self._folder is None else self._folder.path

    def finish(self, result: Run, confusion: Confusion | None) -> None:
        if self._out is not None:
            save(result.model, self._out)
        if self._folder is not None:
            self._folder.finish(result, confusion)


def model_name(data_name: str) -> str:
    """A model's name after its data's: `my data.csv` gives `my_data`."""
    stem = data_name.rsplit(".", 1)[0] or data_name
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", stem).strip("_-")
    name = name if name[:1].isalpha() else f"data_{name}"
    return name[:NAME_LENGTH_MAX].rstrip("_-")


def find_checkpoint(path: str) -> Path:
    """The checkpoint of a run folder, or the file itself."""
    folder = RunFolder(path)
    if not folder.path.exists():
        raise SignbitError(f"--resume {path}: is not there")
    if not folder.path.is_dir():
        return folder.path
    if not folder.checkpoint.exists():
        known = f"; its model is {folder.model}" if folder.model.exists() else ""
        raise SignbitError(f"--resume {path}: the folder holds no run that was stopped{known}")
    return folder.checkpoint


def beside(checkpoint: Path, task: Task) -> Task:
    """`task` with its run folder, or its model file, next to its checkpoint: both may have been moved."""
    if task.folder is not None:
        return replace(task, folder=str(checkpoint.parent))
    return replace(task, out=str(checkpoint.with_name(checkpoint.name.removesuffix(SUFFIX))))


def check_writable(out: Path) -> None:
    if out.is_dir():
        raise SignbitError(f"--out {out}: is a folder; name a file in it")
    if is_device(out):
        return
    folder = out.resolve().parent
    if not folder.is_dir():
        raise SignbitError(f"--out {out}: there is no folder {folder}; make it first")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise SignbitError(f"--out {out}: can't write to the folder {folder} ({error.strerror})") from None
