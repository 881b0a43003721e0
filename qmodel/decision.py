"""When the answers of a stream become a decision -- SPEC 14."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from signbit.qmodel import integer
from signbit.qmodel.activations import Entries, whole_number
from signbit.qmodel.errors import SignbitError

SPANS = {"hops": (1, 1 << 16), "answers": (2, 64), "dead_time": (0, 1 << 16)}
KEYS = frozenset({"kind", *SPANS})
SURE = 1000
"""The largest confidence, in per mille."""


@dataclass(frozen=True, eq=False)
class Decision:
    """Names a class when the last answers agree on it, and then no class for a while.

    A class's score is the sum of the confidences of those of the last `answers` answers that are the class.  The class
    with the largest is named if its score reaches its threshold and no class was named in the last `dead_time` answers.
    """

    kind: ClassVar[str] = "mean"
    hops: int
    """From one answer to the next."""
    answers: int
    dead_time: int
    thresholds: np.ndarray
    """uint32, shape (classes,); a class whose threshold is beyond SURE * answers is never named."""

    def run(self, logits: np.ndarray, logit_shift: int) -> np.ndarray:
        """What is named at each of a stream's answers, int64 (n,), `integer.REJECTED` for no class.

        `logits` int32 (n, classes), from the first answer of the stream on.
        """
        named = np.full(len(logits), integer.REJECTED, np.int64)
        scores = self.scores(logits, logit_shift)
        best = scores.argmax(axis=1)
        free = 0
        for number in np.flatnonzero(scores[np.arange(len(best)), best] >= self.thresholds[best]):
            if number >= free:
                named[number] = best[number]
                free = number + self.dead_time + 1
        return named

    def scores(self, logits: np.ndarray, logit_shift: int) -> np.ndarray:
        """The score of each class at each answer, int64 (n, classes)."""
        given = np.zeros((len(logits) + self.answers, logits.shape[1]), np.int64)
        given[np.arange(len(logits)) + self.answers, integer.argmax(logits)] = integer.confidence(logits, logit_shift)
        until = given.cumsum(axis=0)
        return until[self.answers :] - until[: -self.answers]

    def check(self, classes: int) -> None:
        """Raises SignbitError unless all is in range and there is one threshold for each class."""
        ((dtype, shape),) = self.entries(self.settings(), classes).values()
        if self.thresholds.dtype != dtype or self.thresholds.shape != shape:
            raise SignbitError(f"decision's thresholds must be {dtype} of shape {shape}")

    def settings(self) -> dict:
        return {"kind": self.kind, **{name: getattr(self, name) for name in SPANS}}

    def arrays(self) -> dict[str, np.ndarray]:
        return {"thresholds": self.thresholds}

    @classmethod
    def entries(cls, settings: dict, classes: int) -> Entries:
        """The arrays in the model file; raises SignbitError for settings that it does not know."""
        if not isinstance(settings, dict) or set(settings) != KEYS or settings["kind"] != cls.kind:
            raise SignbitError("the model's decision is of an unknown kind; it may need a newer signbit")
        for name, span in SPANS.items():
            whole_number(settings, name, *span)
        return {"thresholds": ("uint32", (classes,))}

    @classmethod
    def restore(cls, settings: dict, arrays: dict[str, np.ndarray]) -> "Decision":
        return cls(**{name: settings[name] for name in SPANS}, **arrays)
