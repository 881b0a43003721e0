"""How well a network or model does on a part of the data.

Three accuracies of the same binarized network, from the least to the most real:

    float           weights +-1, batch norm in floating point, activations clipped but not rounded
    fake_quantized  the same with the integers of the model file in place of batch norm and activations
    integer         the quantized model: what the microcontroller computes

What rounding costs lies between the first two.  The last two are equal, label by label: the same integers, by the
trainer's layers and by `qmodel`.  A float network has only the first, with its real-valued weights.
"""

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from signbit.qmodel.data.dataset import UNKNOWN, Dataset, Split
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.integer import REJECTED, argmax
from signbit.qmodel.model import QuantizedModel
from signbit.trainer.learning.quantize import freeze
from signbit.trainer.learning.reject import Accepted, accepted, curve
from signbit.trainer.network.layer import Mode
from signbit.trainer.network.network import Network

Z_95 = 1.959963984540054
"""The normal distribution's 97.5 % quantile: 95 % lie within this many standard deviations."""


@dataclass(frozen=True)
class Score:
    """How many of `count` inputs were classified right."""

    right: int
    count: int
    different: int | None = None
    """Labels that are not the integer model's, where the two were compared."""
    macro_f1: float | None = None
    """`Confusion.macro_f1`, where classes were counted one by one."""

    @property
    def accuracy(self) -> float:
        return self.right / self.count

    @property
    def interval(self) -> tuple[float, float]:
        """Where the true accuracy lies with 95 % confidence: Wilson's score interval.

        With p = right / count, n = count and z = Z_95, the two solutions q of (p - q)^2 = z^2 q (1 - q) / n,

            (p + z^2 / 2n ± z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n)

        (E. B. Wilson, Probable inference, the law of succession, and statistical inference, Journal of the American
        Statistical Association 22, 1927).  It holds for few inputs and for accuracies near 1, too.
        """
        n, p = self.count, self.accuracy
        middle = p + Z_95**2 / (2 * n)
        half = Z_95 * math.sqrt(p * (1 - p) / n + (Z_95 / (2 * n)) ** 2)
        low, high = ((middle + side * half) / (1 + Z_95**2 / n) for side in (-1, 1))
        # with 0 right the lower end is 0, and with n right the upper end is 1, except for rounding
        return (low if self.right else 0.0), (high if self.right < n else 1.0)


def score(predicted: np.ndarray, classes: np.ndarray | int) -> Score:
    return Score(int(np.count_nonzero(predicted == classes)), len(predicted))


def score_all(network: Network, model: QuantizedModel | None, part: Split) -> dict[str, Score]:
    """The scores on `part` by the names above; without a `model`, only `float`."""
    scores = {"float": score(network.predict(part.x, Mode.UNROUNDED), part.y)}
    if model is not None:
        fake_quantized, integer = freeze(network).predict(part.x), model.predict(part.x)
        different = int(np.count_nonzero(fake_quantized != integer))
        scores["fake_quantized"] = replace(score(fake_quantized, part.y), different=different)
        confusion = Confusion(confusion_counts(part.y, integer, len(model.labels)), model.labels)
        scores["integer"] = replace(confusion.score, macro_f1=confusion.macro_f1)
    return scores


def scores_as_dict(scores: dict[str, Score]) -> dict:
    """`{"count": 360, "float": 0.975, "float_correct": 351, ...}`, as model files and --json have it."""
    values: dict = {}
    for figure, value in scores.items():
        values |= {"count": value.count, figure: round(value.accuracy, 6), f"{figure}_correct": value.right}
        if value.different is not None:
            values[f"{figure}_different"] = value.different
        if value.macro_f1 is not None:
            values[f"{figure}_macro_f1"] = round(value.macro_f1, 6)
    return values


@dataclass(frozen=True)
class ClassFigures:
    """How well one class was distinguished from the others; None for a fraction of nothing."""

    label: str
    right: int
    support: int
    """Inputs of the class."""
    predicted: int
    """Inputs classified as it."""

    @property
    def precision(self) -> float | None:
        """Fraction of the inputs classified as it that are of the class."""
        return self.right / self.predicted if self.predicted else None

    @property
    def recall(self) -> Score | None:
        """Fraction of the class's inputs that were found."""
        return Score(self.right, self.support) if self.support else None

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall, 2 right / (support + predicted)."""
        both = self.support + self.predicted
        return 2 * self.right / both if both else None


@dataclass(frozen=True)
class Refusal:
    """What a reject leaves of the inputs, what other coverages would, and how many of unknown classes it refuses."""

    accepted: Accepted
    curve: tuple[Accepted, ...]
    unknown: Score | None
    """Right are those that were refused; None if the data have no unknown classes."""


@dataclass(frozen=True, eq=False)
class Confusion:
    """counts[actual, predicted], int64 (classes, classes), nothing refused; `refusal` of a model with a reject."""

    counts: np.ndarray
    labels: tuple[str, ...]
    refusal: Refusal | None = None

    @cached_property
    def score(self) -> Score:
        return Score(int(np.trace(self.counts)), int(self.counts.sum()))

    @cached_property
    def classes(self) -> tuple[ClassFigures, ...]:
        columns = np.diag(self.counts), self.counts.sum(axis=1), self.counts.sum(axis=0)
        return tuple(
            ClassFigures(label, *map(int, figures)) for label, *figures in zip(self.labels, *columns, strict=True)
        )

    @property
    def macro_f1(self) -> float:
        """Mean F1 of the classes that are in the data or in the answers: a rare class counts as much as any."""
        found = [figures.f1 for figures in self.classes if figures.f1 is not None]
        return sum(found) / len(found)


def confusion_counts(actual: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """How often each was taken for each: int64 (classes, classes), of classes int (n,) both."""
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (actual, predicted), 1)
    return counts


def evaluate(model: QuantizedModel, data: Dataset) -> Confusion:
    """The integer model on the test part; raises SignbitError if the data do not fit the model."""
    if model.labels != data.labels:
        raise SignbitError(f"the model's labels are not those of {data.name}; name its data set with --data")
    logits, classes = model.run(data.test.x), data.test.y
    is_known = classes != UNKNOWN
    if not is_known.any():
        raise SignbitError(f"{data.name} has no input of the model's classes")
    unknown, logits, classes = logits[~is_known], logits[is_known], classes[is_known]
    counts = confusion_counts(classes, argmax(logits), len(data.labels))
    if model.reject is None:
        return Confusion(counts, data.labels)
    refused = score(model.decide(unknown), REJECTED) if len(unknown) else None
    return Confusion(counts, data.labels, Refusal(accepted(model, logits, classes), curve(logits, classes), refused))
