"""`--model auto`: perceptrons and input encodings compete on the validation part, and the smallest good one is trained.

Candidates run for a share of the epochs, the better ones again for longer; then the run itself begins.  In all it takes
about as long as five runs.  None of them sees the test part.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np

from signbit.qmodel.data.dataset import Dataset, Split
from signbit.qmodel.data.split import every_nth
from signbit.qmodel.errors import SignbitError
from signbit.trainer.learning.quantize import quantize
from signbit.trainer.learning.run import begin
from signbit.trainer.learning.settings import AUTO, Settings, default_settings, fronted, own_defaults

HIDDEN = ((), (32,), (64,), (128,), (64, 64), (128, 64))
TABLE_HIDDEN = (64, 64)
"""Hidden layers of `--model mlp`.  On few features one layer of one-bit rows has few directions to look in."""
ENCODINGS = ("affine", "thermometer:7", "thermometer:15")
FEW_SAMPLES = 1000
"""Below, one validation part is too small to choose by: candidates are scored on every part of a cross-validation."""
FOLDS = 4
LEAST_SAMPLES = 20
"""With fewer there is nothing to choose by, and an mlp is trained."""
FEW_HIDDEN = ((), (32,), (64, 64))
FIRST_SHARE, SECOND_SHARE = 1 / 10, 1 / 2
"""Shares of the epochs, in the first and in the second round."""
FINALISTS = 4


@dataclass(frozen=True)
class Candidate:
    """A network and an encoding, and how many of `count` samples it classified right after `epochs`."""

    settings: Settings
    size_bytes: int
    """Weights and parameters, those of the input's encoding included."""
    right: int
    count: int

    @property
    def accuracy(self) -> float:
        return self.right / self.count

    @property
    def standard_error(self) -> float:
        """The accuracy's, with one success and one failure added, so that it is above 0 for a perfect score."""
        smoothed = (self.right + 1) / (self.count + 2)
        return sqrt(smoothed * (1 - smoothed) / self.count)


@dataclass(frozen=True)
class Choice:
    """`settings` are those to train with; `candidates` what they were chosen from, the best first."""

    settings: Settings
    candidates: tuple[Candidate, ...]


def choose(entries: list[Settings], data: Dataset, step: Callable[[int, int], None] = lambda done, all: None) -> Choice:
    """The settings for `data` with the fewest bytes within one standard error of the best accuracy.

    `step` is called with how many runs are done, and of how many.
    """
    parts = _parts(data)
    rounds = [(FIRST_SHARE, len(entries)), (SECOND_SHARE, min(FINALISTS, len(entries)))]
    if len(parts) > 1:
        # every candidate has run FOLDS times then, which leaves no time for a second round
        rounds = rounds[:1]
    runs, done = len(parts) * sum(number for _, number in rounds), 0
    candidates: list[Candidate] = []
    for share, number in rounds:
        found = []
        for settings in [candidate.settings for candidate in candidates[:number]] or entries:
            scores = []
            for part in parts:
                scores.append(_score(settings, share, part))
                done += 1
                step(done, runs)
            found.append(Candidate(settings, scores[0][0], sum(s[1] for s in scores), sum(s[2] for s in scores)))
        candidates = sorted(found, key=lambda candidate: (-candidate.accuracy, candidate.size_bytes))
    least = candidates[0].accuracy - candidates[0].standard_error
    good = [candidate for candidate in candidates if candidate.accuracy >= least]
    return Choice(min(good, key=lambda candidate: candidate.size_bytes).settings, tuple(candidates))


def settings_for(
    data: Dataset, given: dict, step: Callable[[int, int], None] = lambda done, all: None
) -> tuple[Settings, Choice | None]:
    """The settings to train own `data` with where `given` leaves them open, and what they were chosen from.

    `given` has what the user says, by the names of `Settings`; tables without a `model` are trained with AUTO.
    """
    values = own_defaults(data, given.get("front_end")) | given | {"data": data.name}
    if values["model"] == AUTO and "model" not in given and len(data.train) + len(data.validation) < LEAST_SAMPLES:
        values["model"] = "mlp"
    if values["model"] != AUTO:
        sizes = {"hidden": TABLE_HIDDEN} if values["model"] == "mlp" else {}
        return default_settings(**(sizes | values)), None
    if given.get("binarize") == "none":
        raise SignbitError("--model auto chooses among one-bit networks; name another --model for --binarize none")
    data = fronted(data, values["front_end"])
    choice = choose(_variants(values, given, data), data, step)
    return choice.settings, choice


def _variants(values: dict, given: dict, data: Dataset) -> list[Settings]:
    """The settings that compete; what is `given` is the same for all."""
    is_small = len(data.train) + len(data.validation) < FEW_SAMPLES
    sizes = [given["hidden"]] if "hidden" in given else FEW_HIDDEN if is_small else HIDDEN
    encodings = [given["input_encoding"]] if "input_encoding" in given else ENCODINGS if data.has_counts else ["affine"]
    return [
        default_settings(
            **(values | {"model": "mlp" if hidden else "logistic", "hidden": hidden, "input_encoding": encoding})
        )
        for encoding in encodings
        for hidden in sizes
    ]


def _parts(data: Dataset) -> list[Dataset]:
    """What candidates are trained and scored on: the data set without its test part, or cross-validation's folds."""
    nothing = Split(data.test.x[:0], data.test.y[:0])
    if len(data.train) + len(data.validation) >= FEW_SAMPLES:
        return [replace(data, test=nothing)]
    x, y = (np.concatenate([getattr(data.train, name), getattr(data.validation, name)]) for name in ("x", "y"))
    folds = (every_nth(y, np.arange(len(y)), FOLDS, fold) for fold in range(FOLDS))
    return [
        replace(data, train=Split(x[rest], y[rest]), validation=Split(x[held], y[held]), test=nothing)
        for rest, held in folds
    ]


def _score(settings: Settings, share: float, part: Dataset) -> tuple[int, int, int]:
    """Bytes, and how many samples of the validation part were right, and of how many, after a share of the epochs."""
    part = settings.prepared(part)
    training = begin(replace(settings, epochs=max(1, round(share * settings.epochs))), part)
    history = training.run(lambda epoch: None, lambda: None)
    stages = part.quantization, part.front_end
    model = quantize(training.trained, "candidate", part.input_shape, part.labels, *stages)
    arrays = [array for layer in model.layers for array in layer.arrays().values()]
    if model.input_quantization is not None:
        arrays += model.input_quantization.arrays().values()
    count = len(part.validation)
    right = round(history.chosen.validation_accuracy * count)
    return sum(array.nbytes for array in arrays), right, count
