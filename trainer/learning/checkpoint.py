"""A run's state as a file, from which it goes on as if it had never stopped: the same model, bit for bit."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from signbit import __version__
from signbit.qmodel import archive
from signbit.qmodel.atomic import write_whole
from signbit.qmodel.data.readers.loading import LoadingOptions
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.untrusted import read_file
from signbit.trainer.learning.settings import Settings
from signbit.trainer.learning.train import Epoch, Training

FORMAT = "signbit-checkpoint"
VERSION = 1
WHAT = "signbit checkpoint"
KEYS = {"format", "version", "signbit", "task", "rng", "grids", "chosen", "position", "order", "epochs"}


@dataclass(frozen=True)
class Task:
    """What a run was started with: enough to start it again."""

    settings: Settings
    name: str
    """The model's."""
    out: str | None
    """Model file to write."""
    folder: str | None
    """Run folder to fill."""
    data: str
    """Name of a data set, or path of own data."""
    data_dir: str | None
    data_hash: str
    loading: LoadingOptions

    @property
    def command(self) -> str:
        """The command line that starts the same run, every option written out."""
        return self.settings.command(self.name, self.out, self.loading.words())

    def as_dict(self) -> dict:
        return {**vars(self), "settings": self.settings.as_dict(), "loading": self.loading.as_dict()}

    @classmethod
    def from_dict(cls, values: dict) -> "Task":
        settings, loading = Settings.from_dict(values["settings"]), LoadingOptions.from_dict(values["loading"])
        return cls(**values | {"settings": settings, "loading": loading})


def save(path: Path, task: Task, training: Training) -> None:
    """Write the state, whole or not at all."""
    state = training.state
    header = {
        "format": FORMAT,
        "version": VERSION,
        "signbit": __version__,
        "task": task.as_dict(),
        "rng": training.rng.bit_generator.state,
        "grids": [grid.exponent for grid in training.grids],
        "chosen": None if state.chosen is None else state.chosen.number,
        "position": state.position,
        "order": None if state.order is None else len(state.order),
        "epochs": len(state.epochs),
    }
    arrays = {
        "numbers": np.array([state.loss_sum, state.right, state.seconds], np.float64),
        "epochs": np.array([list(vars(epoch).values()) for epoch in state.epochs], np.float64).reshape(-1, COLUMNS),
        **_named("network", training.network.arrays),
        **_named("optimizer", training.optimizer.arrays),
        **_named("chosen", state.chosen_arrays),
    }
    if state.order is not None:
        arrays["order"] = state.order.astype(np.int64)
    write_whole(path, archive.pack(header, arrays, compress=False))


FILE_BYTES_MAX = 1 << 30
POSITION_SPARE = 1 << 20
"""More than a block of batches."""
GRID_EXPONENT_MAX = 1000
"""Powers of two below that are numbers in float64."""
COLUMNS = len(Epoch.__dataclass_fields__)


class Checkpoint:
    """A file that was read: `task` says what to start, and `restore` brings that to where the run was."""

    def __init__(self, path: str | os.PathLike):
        """Raises SignbitError with what is wrong with the file, or OSError."""
        self.path = Path(path)
        self._data = read_file(self.path, FILE_BYTES_MAX)
        with self._errors(), archive.opened(self._data, WHAT) as content:
            self._header = self._checked(content)
            self.task = Task.from_dict(self._header["task"])

    def restore(self, training: Training) -> None:
        """Bring `training`, freshly made from the same settings and data, to where the run was."""
        with self._errors(), archive.opened(self._data, WHAT) as content:
            self._restore(content, training)

    def _restore(self, content: archive.Archive, training: Training) -> None:
        header, state = self._header, training.state
        _check_numbers(header, training)
        training.network.restore(_read(content, "network", training.network.arrays))
        state.epochs = [
            Epoch(int(row[0]), *map(float, row[1:]))
            for row in content.array("epochs", "float64", (header["epochs"], COLUMNS))
        ]
        # the integers are made from batch norm as it was when it froze, and it has not changed since
        training.begin_last_epochs_if_due()
        for array, saved in zip(
            training.optimizer.arrays, _read(content, "optimizer", training.optimizer.arrays), strict=True
        ):
            array[...] = saved
        if header["chosen"] is not None:
            state.chosen = state.epochs[header["chosen"] - 1]
            state.chosen_arrays = _read(content, "chosen", training.network.arrays)
        loss_sum, right, seconds = content.array("numbers", "float64", (3,)).tolist()
        state.loss_sum, state.right, state.seconds = loss_sum, int(right), seconds
        state.position = header["position"]
        if header["order"] is not None:
            state.order = content.array("order", "int64", (header["order"],))
            if len(np.unique(state.order)) < len(state.order) or not _within(state.order, len(training.data.train)):
                raise SignbitError("the order of the inputs is invalid")
        training.rng.bit_generator.state = header["rng"]
        for grid, exponent in zip(training.grids, header["grids"], strict=True):
            grid.exponent = exponent

    def _checked(self, content: archive.Archive) -> dict:
        content.check_format(FORMAT, VERSION)
        header = content.header
        if odd := set(header) ^ KEYS:
            raise SignbitError(f"the header's key {sorted(odd)[0]!r} is missing or unknown")
        if header["signbit"] != __version__:
            raise SignbitError(
                f"signbit {header['signbit']} wrote it; this is {__version__}, which may train differently"
            )
        return header

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Errors that name the file, also where a wrong header makes code fail that trusts it."""
        try:
            yield
        except SignbitError as error:
            raise SignbitError(f"{self.path}: {error}") from None
        except (TypeError, ValueError, LookupError, ArithmeticError, AttributeError):
            raise SignbitError(f"{self.path}: its header can't be understood; the file is damaged") from None


def _check_numbers(header: dict, training: Training) -> None:
    """Raises SignbitError for whole numbers that no run can have."""
    epochs = header["epochs"]
    bounds = {
        "epochs": (0, training.settings.epochs),
        "chosen": (1, epochs),
        "order": (0, len(training.data.train)),
        # the last block may extend past the end of the order
        "position": (0, 2 * len(training.data.train) + POSITION_SPARE),
    }
    for name, (low, high) in bounds.items():
        value = header[name]
        if value is None and name in ("chosen", "order"):
            continue
        if type(value) is not int or not low <= value <= high:
            raise SignbitError(f"{name} is {value!r}, but must be a whole number from {low} to {high}")
    known = [exponent for exponent in header["grids"] if exponent is not None]
    if any(type(exponent) is not int or abs(exponent) > GRID_EXPONENT_MAX for exponent in known):
        raise SignbitError("the grids' exponents are not small whole numbers")


def _within(values: np.ndarray, count: int) -> bool:
    return not len(values) or (values.min() >= 0 and values.max() < count)


def _named(kind: str, arrays: list[np.ndarray]) -> dict[str, np.ndarray]:
    return {f"{kind}{index}": array for index, array in enumerate(arrays)}


def _read(content: archive.Archive, kind: str, like: list[np.ndarray]) -> list[np.ndarray]:
    """The arrays that `_named` named, which must have the dtypes and shapes of `like`."""
    arrays = [content.array(f"{kind}{index}", array.dtype.name, array.shape) for index, array in enumerate(like)]
    if not all(np.isfinite(array).all() for array in arrays):
        raise SignbitError(f"an array of the {kind} holds something that is not a number")
    return arrays
