"""`--model auto`: perceptrons and input encodings compete on validation samples, and the smallest good one is trained.

A race in three rounds: encodings, with the same network; then all networks with the better encodings; then the best of
these once more, for longer.  In all it may take RUNS times the work of the run that follows.  It never sees the test
part.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np

from signbit.qmodel.data.dataset import Dataset
from signbit.qmodel.errors import SignbitError
from signbit.trainer.learning.folds import folds_of
from signbit.trainer.learning.loss import cross_entropy
from signbit.trainer.learning.quantize import freeze, quantize
from signbit.trainer.learning.reject import check_count
from signbit.trainer.learning.run import begin
from signbit.trainer.learning.settings import AUTO, Settings, default_settings, fronted, own_defaults

HIDDEN = ((64,), (), (32,), (128,), (64, 64), (64, 128), (128, 64))
"""The first of them tells good encodings from others."""
ENCODINGS = ("affine", "thermometer:7", "thermometer:15", "thermometer:31")
FEW_SAMPLES, VERY_FEW_SAMPLES = 1000, 400
"""With few, scores differ by luck: more folds leave more samples to train on, and there is no last round.  With very
few the loss decides in place of the accuracy, since it also counts how sure each answer is."""
FEW_HIDDEN = ((32,), (), (64,), (64, 64))
FEW_ENCODINGS = ("affine", "thermometer:7", "thermometer:15")
VERY_FEW_ENCODINGS = ("affine", "pieces:4")
"""So few samples fit many thresholds too well."""
FOLDS, FEW_FOLDS = 2, 4
LEAST_SAMPLES = 20
"""With fewer there is nothing to choose by, and an mlp is trained."""
MOST_SAMPLES = 20_000
"""More don't make the choice better, and would have to be held in every encoding."""
TABLE_HIDDEN = (64, 64)
"""Hidden layers of `--model mlp`.  On few features one layer of one-bit rows has few directions to look in."""
SIZE_MAX = 5400
"""Bytes of a candidate: with about 600 bytes of code the classifier stays below 6 KiB."""

RUNS = 4
"""Work of all candidates, in units of the chosen one's run; with that run, choosing and training are five."""
FIRST_SHARE, FEW_SHARE = 1 / 10, 1 / 3
"""Of a run's epochs, all folds together, in the first two rounds; with few samples there is no other."""
LAST_FACTOR = 2
"""The last round is left out if it can't be this much longer than the first ones."""
ENCODINGS_KEPT, FINALISTS = 2, 4
CLEARLY = 2
"""A candidate that is this many standard errors worse than the best is out of the race."""
LAYER_WEIGHTS = 20_000
"""As many weights take about as long in a training step as all else that is done for a layer."""
EPOCH_STEPS = 3
"""The end of an epoch, with batch norm's statistics and the validation part, takes about as long as so many steps."""

Step = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Candidate:
    """A network and an encoding, and what came of some epochs with them."""

    settings: Settings
    """Of the run that it competes for."""
    size_bytes: int
    """Weights and parameters, those of the input's encoding included."""
    step_work: float
    """How long a training step takes: its layers, and its weights in LAYER_WEIGHTS."""
    epochs: int = 0
    """That it was trained for, in each fold."""
    hits: np.ndarray | None = None
    """Which samples it classified right, bool (samples,); the same samples for all candidates."""
    loss: float = 0.0
    """Mean over these samples."""

    @property
    def right(self) -> int:
        return int(np.count_nonzero(self.hits))

    @property
    def accuracy(self) -> float:
        return self.right / len(self.hits)

    @property
    def standard_error(self) -> float:
        """The accuracy's, with one success and one failure added, so that it is above 0 for a perfect score."""
        count = len(self.hits)
        smoothed = (self.right + 1) / (count + 2)
        return sqrt(smoothed * (1 - smoothed) / count)

    def is_within(self, errors: float, best: "Candidate") -> bool:
        """Whether it is at most so many of the best one's standard errors worse."""
        return self.accuracy >= best.accuracy - errors * best.standard_error


@dataclass(frozen=True, eq=False)
class Choice:
    """`settings` are those to train with; `candidates` all that competed, those of the last round first."""

    settings: Settings
    candidates: tuple[Candidate, ...]
    """Best first."""
    finalists: int
    """How many of them `settings` were chosen from."""
    work: float
    """Of all candidates, in units of the chosen one's run."""


def settings_for(data: Dataset, given: dict, step: Step = lambda done, most: None) -> tuple[Settings, Choice | None]:
    """The settings to train own `data` with where `given` leaves them open, and what they were chosen from.

    `given` has what the user says, by the names of `Settings`; tables without a `model` are trained with AUTO.  `step`
    is called with how many candidates have run, and with how many that may become.
    """
    values = own_defaults(data, given.get("front_end")) | given | {"data": data.name}
    if values["model"] == AUTO and "model" not in given and _samples(data) < LEAST_SAMPLES:
        values["model"] = "mlp"
    if values["model"] != AUTO:
        sizes = {"hidden": TABLE_HIDDEN} if values["model"] == "mlp" else {}
        return default_settings(**(sizes | values)), None
    check_count(values.get("reject", 0), len(data.validation))
    if given.get("binarize") == "none":
        raise SignbitError("--model auto chooses among one-bit networks; name another --model for --binarize none")
    data = fronted(data, values["front_end"])
    choice = Race(data, step).choose(_entries(values, given, data))
    return choice.settings, choice


def _entries(values: dict, given: dict, data: Dataset) -> list[Settings]:
    """The settings that compete; what is `given` is the same for all."""
    has_few, has_very_few = _samples(data) < FEW_SAMPLES, _samples(data) < VERY_FEW_SAMPLES
    sizes = [given["hidden"]] if "hidden" in given else FEW_HIDDEN if has_few else HIDDEN
    encodings = VERY_FEW_ENCODINGS if has_very_few else FEW_ENCODINGS if has_few else ENCODINGS
    encodings = [given["input_encoding"]] if "input_encoding" in given else encodings if data.has_counts else ["affine"]
    return [
        default_settings(
            **(values | {"model": "mlp" if hidden else "logistic", "hidden": hidden, "input_encoding": encoding})
        )
        for encoding in encodings
        for hidden in sizes
    ]


class Race:
    """Candidates on the same folds of a data set."""

    def __init__(self, data: Dataset, step: Step = lambda done, most: None):
        self._data = data
        self._has_few, self._has_very_few = _samples(data) < FEW_SAMPLES, _samples(data) < VERY_FEW_SAMPLES
        self._folds = folds_of(data, FEW_FOLDS if self._has_few else FOLDS, MOST_SAMPLES)
        self._prepared: dict[tuple[int, str], Dataset] = {}
        self._waiting: list[Candidate] = []
        self._racing: list[Candidate] = []
        """The best first, without those that are clearly worse."""
        self._out: list[Candidate] = []
        self._step, self._done, self._most = step, 0, 0
        self._work = 0.0

    def choose(self, entries: Iterable[Settings]) -> Choice:
        """Of those within one standard error of the best, the smallest.

        With very few samples, of all that are not clearly worse than the best the one with the lowest loss.
        """
        candidates = self._waiting = self._fitting(entries)
        self._most = len(candidates) + FINALISTS
        share = FEW_SHARE if self._has_few else FIRST_SHARE
        first = candidates[0].settings.hidden
        self._run([c for c in candidates if c.settings.hidden == first], share)
        encodings = [c.settings.input_encoding for c in self._racing[:ENCODINGS_KEPT]]
        self._waiting = [c for e in encodings for c in self._waiting if c.settings.input_encoding == e]
        self._run(self._waiting, share)
        finalists, share = ([], 0.0) if self._has_few else self._last_round(LAST_FACTOR * share)
        if finalists:
            self._out = [c for c in self._racing if c not in finalists] + self._out
            self._waiting, self._racing = finalists, []
            self._run(finalists, share)
        self._step(self._done, self._done)
        taken = self._taken()
        work = self._work / self._run_work(taken)
        return Choice(taken.settings, (*self._racing, *self._out), len(self._racing), work)

    def _taken(self) -> Candidate:
        """By the scores so far."""
        if self._has_very_few:
            return self._racing[0]
        return min((c for c in self._racing if c.is_within(1, self._best)), key=lambda c: c.size_bytes)

    @property
    def _best(self) -> Candidate:
        return max(self._racing, key=lambda c: c.right)

    def _rank(self, candidate: Candidate) -> tuple[float, int]:
        return candidate.loss if self._has_very_few else -candidate.right, candidate.size_bytes

    def _fitting(self, entries: Iterable[Settings]) -> list[Candidate]:
        """A candidate for each that stays within SIZE_MAX; where none does, for the smallest."""
        candidates = [self._untrained(settings) for settings in entries]
        most = max(SIZE_MAX, min(c.size_bytes for c in candidates))
        return [c for c in candidates if c.size_bytes <= most]

    def _untrained(self, settings: Settings) -> Candidate:
        data = self._part(0, settings)
        network = begin(settings, data).network
        network.calibrate(data.train.x[:1000])
        model = quantize(network, "candidate", data.input_shape, data.labels, data.quantization, data.front_end)
        arrays = [array for layer in model.layers for array in layer.arrays().values()]
        if model.input_quantization is not None:
            arrays += model.input_quantization.arrays().values()
        weights = sum(parameter.value.size for parameter in network.parameters)
        work = len(network.blocks) + weights / LAYER_WEIGHTS
        return Candidate(settings, sum(array.nbytes for array in arrays), work)

    def _run(self, candidates: list[Candidate], share: float) -> None:
        """Train candidates for a `share` of a run's epochs, all folds together, and score them.

        Those that come last are left out if the work of all would be more than RUNS allow.
        """
        for candidate in candidates:
            cheapest = min(map(self._run_work, self._racing + self._waiting))
            if self._racing and self._work + self._work_of(candidate, share) > RUNS * cheapest:
                break
            self._waiting = [c for c in self._waiting if c is not candidate]
            self._work += self._work_of(candidate, share)
            self._racing = sorted([*self._racing, self._scored(candidate, share)], key=self._rank)
            out = [c for c in self._racing if not c.is_within(CLEARLY, self._best)]
            self._racing = [c for c in self._racing if c not in out]
            self._out = sorted([*self._out, *out], key=self._rank)
            self._done += 1
            self._step(self._done, self._most)

    def _scored(self, candidate: Candidate, share: float) -> Candidate:
        epochs = self._epochs(candidate, share)
        # what begins with the last epochs of a run is left out
        short = replace(candidate.settings, epochs=epochs, frozen_epochs=0, mild_epochs=0)
        hits, losses = [], []
        for number in range(len(self._folds)):
            data = self._part(number, short)
            held = data.validation
            logits = freeze(begin(short, data).last()).logits(held.x)
            hits.append(logits.argmax(axis=1) == held.y)
            losses.append(cross_entropy(logits, held.y)[0] * len(held))
        all_hits = np.concatenate(hits)
        return replace(candidate, epochs=epochs, hits=all_hits, loss=sum(losses) / len(all_hits))

    def _last_round(self, least: float) -> tuple[list[Candidate], float]:
        """As many of the best as can run once more within RUNS, and for which share of the epochs.

        Up to FINALISTS, and the one that would be taken without a last round; none where the share is below `least`.
        """
        taken = self._taken()
        for number in range(min(FINALISTS, len(self._racing)), 1, -1):
            best = self._racing[:number]
            finalists = best if taken in best else [*best[:-1], taken]
            left = RUNS * min(map(self._run_work, finalists)) - self._work
            share = min(1.0, left / sum(map(self._run_work, finalists)))
            while share >= least and sum(self._work_of(c, share) for c in finalists) > left:
                share *= 0.9
            if share >= least:
                return finalists, share
        return [], 0.0

    def _part(self, number: int, settings: Settings) -> Dataset:
        """A fold with its counts encoded, which candidates share."""
        key = number, settings.input_encoding
        if key not in self._prepared:
            self._prepared[key] = settings.prepared(self._folds[number])
        return self._prepared[key]

    def _epochs(self, candidate: Candidate, share: float) -> int:
        """In each fold."""
        whole = len(self._data.train) / sum(len(fold.train) for fold in self._folds)
        return max(1, round(share * whole * candidate.settings.epochs))

    def _work_of(self, candidate: Candidate, share: float) -> float:
        steps = sum(len(fold.train) for fold in self._folds) / candidate.settings.batch_size
        end = EPOCH_STEPS * len(self._folds)
        return candidate.step_work * (self._epochs(candidate, share) * steps + end)

    def _run_work(self, candidate: Candidate) -> float:
        """Of the run that a candidate competes for, which scores every epoch."""
        steps = len(self._data.train) / candidate.settings.batch_size
        return candidate.step_work * candidate.settings.epochs * (steps + EPOCH_STEPS)


def _samples(data: Dataset) -> int:
    return len(data.train) + len(data.validation)
