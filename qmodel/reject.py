"""When a model refuses an input instead of naming its class -- SPEC 12."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from signbit.qmodel import integer
from signbit.qmodel.activations import Entries
from signbit.qmodel.errors import SignbitError


@dataclass(frozen=True, eq=False)
class Reject:
    """Refuses an input whose margin, the largest logit minus the next one, is below that of the largest one's class.

    `margins` uint32, shape (classes,); a class whose margin is 0 is never refused.
    """

    SETTINGS: ClassVar[dict] = {"kind": "margin"}
    margins: np.ndarray

    def run(self, logits: np.ndarray) -> np.ndarray:
        """Classes or `integer.REJECTED`, shape (batch,), of int32 logits (batch, classes)."""
        return integer.argmax_or_reject(logits, self.margins)

    def check(self, classes: int) -> None:
        """Raises SignbitError unless there is one margin for each class."""
        for name, (dtype, shape) in self.entries(self.SETTINGS, classes).items():
            array = getattr(self, name)
            if array.dtype != dtype or array.shape != shape:
                raise SignbitError(f"reject's {name} must be {dtype} of shape {shape}")

    def settings(self) -> dict:
        return self.SETTINGS

    def arrays(self) -> dict[str, np.ndarray]:
        return {"margins": self.margins}

    @classmethod
    def entries(cls, settings: dict, classes: int) -> Entries:
        """The arrays in the model file; raises SignbitError for settings that it does not know."""
        if settings != cls.SETTINGS:
            raise SignbitError("the model's reject is of an unknown kind; it may need a newer signbit")
        return {"margins": ("uint32", (classes,))}
