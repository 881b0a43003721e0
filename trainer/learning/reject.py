"""A reject's margins, chosen on inputs that training did not use, and what it then leaves -- SPEC 12."""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

import numpy as np

from signbit.qmodel import integer
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.model import QuantizedModel
from signbit.qmodel.reject import Reject

COVERAGES = (1.0, 0.99, 0.98, 0.95, 0.9, 0.8, 0.7, 0.5)
"""Where accuracy against coverage is shown."""
RANK_MIN = 5
"""Below, a class's own quantile is mostly chance."""


def fit_known(logits: np.ndarray, rate: float) -> Reject:
    """The reject that refuses at most the share `rate` of each class's inputs, as the model classifies them.

    `logits` int32 (n, classes) of the validation part.  With a class's n margins in order, its threshold is the one
    of rank floor(rate (n + 1)): a new input of the same source lies below it with a probability of at most `rate`.
    """
    check_count(rate, len(logits))
    return Reject(_margins_at(logits, _exact(rate)))


def fit_unknown(logits: np.ndarray, rate: float) -> Reject:
    """The reject that refuses at least the share `rate` of inputs of unknown classes, by those that each is taken for.

    `logits` int32 (n, classes) of such inputs.  A threshold lies just above the margin of rank
    floor((1 - rate) (n + 1)), counted from the highest: a new such input lies below with a probability of at least
    `rate`.
    """
    check_count(rate, len(logits), is_unknown=True)
    refused = _margins_at(logits, 1 - _exact(rate), from_top=True)
    return Reject(refused + (refused < integer.MARGIN_MAX).astype(np.uint32))


def check_count(rate: float, count: int, is_unknown: bool = False) -> None:
    """Raises SignbitError if so few inputs have no rank."""
    share = 1 - _exact(rate) if is_unknown else _exact(rate)
    needed = ceil(1 / share) - 1 if share else 0
    if count < needed:
        what, other = ("unknown", "lower") if is_unknown else ("validation", "higher")
        raise SignbitError(
            f"to refuse a share of {rate:g} takes at least {needed} {what} inputs, but there are {count}; choose a "
            f"{other} one"
        )


def _exact(rate: float) -> Fraction:
    """The decimal number that was written: 0.29 times 100 is 29."""
    return Fraction(str(rate))


def _margins_at(logits: np.ndarray, share: Fraction, from_top: bool = False) -> np.ndarray:
    """Each class's margin at `share` of the inputs that are taken for it, uint32 (classes,)."""
    classes, margins = integer.argmax(logits), integer.margin(logits)
    return at_share(margins, classes, logits.shape[1], share, from_top)


def at_share(scores: np.ndarray, classes: np.ndarray, labels: int, share: Fraction, from_top: bool) -> np.ndarray:
    """For each class the score of rank floor(share (n + 1)) among its n `scores`, shape (labels,).

    A class whose rank is below RANK_MIN gets the one of all inputs together.
    """
    chosen = []
    for index in range(labels):
        own = scores[classes == index]
        values = np.sort(own if floor(share * (len(own) + 1)) >= RANK_MIN else scores)
        rank = floor(share * (len(values) + 1))
        chosen.append(values[-rank if from_top else rank - 1])
    return np.array(chosen, scores.dtype)


@dataclass(frozen=True)
class Accepted:
    """`count` of `total` inputs were not refused, and `right` of those were classified right."""

    right: int
    count: int
    total: int

    @property
    def coverage(self) -> float:
        return self.count / self.total

    @property
    def accuracy(self) -> float | None:
        return self.right / self.count if self.count else None

    def as_dict(self) -> dict:
        accuracy = None if self.accuracy is None else round(self.accuracy, 6)
        return {**vars(self), "coverage": round(self.coverage, 6), "accuracy": accuracy}


def accepted(model: QuantizedModel, logits: np.ndarray, classes: np.ndarray) -> Accepted:
    """What is left of inputs with these int32 `logits` (n, labels) and `classes` (n,)."""
    decided = model.decide(logits)
    right = np.count_nonzero(decided == classes)
    return Accepted(int(right), int(np.count_nonzero(decided != integer.REJECTED)), len(classes))


def accepted_as_dict(parts: dict[str, Accepted]) -> dict:
    """`accepted` of each part as plain JSON values, for model files and --json."""
    return {"accepted": {part: kept.as_dict() for part, kept in parts.items()}}


def curve(logits: np.ndarray, classes: np.ndarray) -> tuple[Accepted, ...]:
    """What is left at each of COVERAGES without the inputs of the smallest margins, whatever their class."""
    order = np.argsort(integer.margin(logits), kind="stable")[::-1]
    right = np.cumsum((integer.argmax(logits) == classes)[order])
    counts = (max(1, round(coverage * len(classes))) for coverage in COVERAGES)
    return tuple(Accepted(int(right[count - 1]), count, len(classes)) for count in counts)
