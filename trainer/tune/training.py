"""The training runs of a search: each a job with a folder of its own, from which it goes on if it is begun again.

The same job gives the same files, byte for byte, so that two processes that have the same one do no harm.
"""

import json
import signal
from dataclasses import dataclass
from functools import lru_cache

from signbit.jobs.signals import Stopped
from signbit.jobs.stop import Stop
from signbit.qmodel.data.dataset import Dataset
from signbit.qmodel.data.named import load_dataset
from signbit.qmodel.data.readers.loading import LoadingOptions
from signbit.qmodel.errors import SignbitError
from signbit.trainer.command.keeper import Keeper
from signbit.trainer.command.output import Output
from signbit.trainer.command.run_folder import RunFolder
from signbit.trainer.learning.checkpoint import Checkpoint, Task
from signbit.trainer.learning.evaluate import Score, evaluate
from signbit.trainer.learning.folds import folds_of
from signbit.trainer.learning.run import run
from signbit.trainer.learning.settings import Settings, fronted

FOLDS = 5
"""Parts that take turns in being validated on."""


@dataclass(frozen=True)
class Place:
    """Where data are and how they are read; hashable, since processes keep what they have read."""

    data: str
    data_dir: str | None
    loading: LoadingOptions

    def __hash__(self) -> int:
        return hash((self.data, self.data_dir, str(self.loading.as_dict())))

    def load(self) -> Dataset:
        return load_dataset(self.data, self.data_dir, self.loading)


@dataclass(frozen=True)
class Training:
    """One run: of a fold, which never sees the test part, or with `fold` None of the parts as they are."""

    settings: Settings
    place: Place
    data_hash: str
    """The hash of the whole data set, which the process that runs it must have as well."""
    fold: int | None
    name: str
    """The model's."""
    folder: str


@dataclass(frozen=True)
class Trained:
    """What a run came to; `test` is None for a fold."""

    hash: str
    validation: Score
    test: Score | None


def train(training: Training, stop: Stop) -> Trained | None:
    """Run it, from where it was left; None if it was stopped before its end."""
    folder = RunFolder(training.folder)
    if not folder.result.is_file():
        place, settings = training.place, training.settings
        data = _loaded(place)
        if data.hash != training.data_hash:
            raise SignbitError(f"{data.name} is not the data that the study was begun with")
        if training.fold is not None:
            data = folds(place, settings.front_end)[training.fold]
        data = settings.prepared(data)
        where = training.name, None, training.folder, place.data, place.data_dir
        task = Task(settings, *where, data.hash, place.loading)
        output = Output(task)
        folder.path.mkdir(parents=True, exist_ok=True)
        keeper = Keeper(output, task, lambda: signal.SIGTERM if stop() else None)
        try:
            done = run(settings, data, training.name, output.name, between=keeper, checkpoint=_begun(folder, task))
        except Stopped:
            return None
        output.finish(done, None if training.fold is not None else evaluate(done.model, data))
        keeper.discard()
    return _read(folder)


def _begun(folder: RunFolder, task: Task) -> Checkpoint | None:
    """The checkpoint to go on from; one of anything else is as good as none."""
    try:
        found = Checkpoint(folder.checkpoint)
    except (OSError, SignbitError):
        return None
    is_same = (found.task.settings, found.task.data_hash) == (task.settings, task.data_hash)
    return found if is_same else None


def _read(folder: RunFolder) -> Trained:
    values = json.loads(folder.result.read_text())
    scores = {part: Score(each["integer_correct"], each["count"]) for part, each in values["accuracy"].items()}
    return Trained(values["model"]["hash"], scores["validation"], scores.get("test"))


@lru_cache(1)
def _loaded(place: Place) -> Dataset:
    return place.load()


@lru_cache(1)
def folds(place: Place, front_end: str) -> list[Dataset]:
    """The data's folds, with the features of a front end."""
    return folds_of(fronted(_loaded(place), front_end), FOLDS)
