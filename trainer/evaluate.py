"""How well a network or model does on a part of the data.

Three accuracies of the same binarized network, from the least to the most real:

    float           weights +-1, batch norm in floating point, activations clipped but not rounded
    fake_quantized  the same with the integers of the model file in place of batch norm and activations
    integer         the quantized model: what the microcontroller computes

What rounding costs lies between the first two.  The last two are equal, label by label: the same integers, by the
trainer's layers and by `qmodel`.  Of a float network there is only the first, with its real-valued weights.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from qmodel.datasets import Dataset, Split
from qmodel.errors import SignbitError
from qmodel.model import QuantizedModel
from trainer.layer import Mode
from trainer.network import Network
from trainer.quantize import freeze


@dataclass(frozen=True)
class Score:
    """How many of `count` inputs were classified right."""

    right: int
    count: int

    @property
    def accuracy(self) -> float:
        return self.right / self.count


def score(predicted: np.ndarray, classes: np.ndarray) -> Score:
    return Score(int(np.count_nonzero(predicted == classes)), len(classes))


def score_all(network: Network, model: QuantizedModel | None, part: Split) -> dict[str, Score]:
    """The scores on `part` by the names above; without a `model`, only `float`."""
    scores = {"float": score(network.predict(part.x, Mode.UNROUNDED), part.y)}
    if model is not None:
        scores["fake_quantized"] = score(freeze(network).predict(part.x), part.y)
        scores["integer"] = score(model.predict(part.x), part.y)
    return scores


def scores_as_dict(scores: dict[str, Score]) -> dict:
    """`{"count": 360, "float": 0.975, "float_correct": 351, ...}`, as model files and --json have it."""
    values: dict = {}
    for figure, value in scores.items():
        values |= {"count": value.count, figure: round(value.accuracy, 6), f"{figure}_correct": value.right}
    return values


@dataclass(frozen=True, eq=False)
class Confusion:
    """counts[actual, predicted], int64 (classes, classes)."""

    counts: np.ndarray
    labels: tuple[str, ...]

    @cached_property
    def score(self) -> Score:
        return Score(int(np.trace(self.counts)), int(self.counts.sum()))

    @cached_property
    def recall(self) -> tuple[float | None, ...]:
        """Part of each class that was found; None for a class without inputs."""
        totals = self.counts.sum(axis=1)
        return tuple(int(n) / int(t) if t else None for n, t in zip(np.diag(self.counts), totals, strict=True))


def evaluate(model: QuantizedModel, data: Dataset) -> Confusion:
    """The integer model on the test part; raises SignbitError if the data is not what the model is for."""
    if model.labels != data.labels:
        raise SignbitError(f"the model's labels are not those of {data.name}; name its data set with --data")
    counts = np.zeros((len(data.labels), len(data.labels)), np.int64)
    np.add.at(counts, (data.test.y, model.predict(data.test.x)), 1)
    return Confusion(counts, data.labels)
