"""What the examples of packages read, and what the model says to it."""

from dataclasses import dataclass

import numpy as np

from signbit.codegen.kernels.base import CArray
from signbit.codegen.plan import Plan
from signbit.qmodel import integer
from signbit.qmodel.model import QuantizedModel
from signbit.qmodel.value import size_of


@dataclass(frozen=True)
class Sensor:
    """What the examples read, and the constants of the numbers that stand in for it on a board."""

    plan: Plan
    seed = 1
    multiplier, increment = 1664525, 1013904223

    @property
    def name(self) -> str:
        """The word for what is read at a time."""
        if self.plan.streams:
            return "hop"
        return "samples" if self.plan.front_end else "counts" if self.plan.input else "input"

    @property
    def quantity(self) -> str:
        """What is read at a time, in words."""
        return f"{self.size} " + (
            "int16_t samples" if self.plan.front_end else "int16_t counts" if self.bits > 8 else "bytes"
        )

    @property
    def macro(self) -> str:
        """The one that holds the size."""
        return f"{self.plan.macro_prefix}_{self.name.upper()}_SIZE"

    @property
    def whole(self) -> str:
        """The macro that holds the size of what one inference takes; a stream takes it in hops."""
        return self.macro.replace("_HOP_SIZE", "_SAMPLES_SIZE")

    @property
    def size(self) -> int:
        """Numbers at a time."""
        return self.plan.front_end.hop_size if self.plan.streams else self.plan.sensor_size or self.plan.input_size

    @property
    def bits(self) -> int:
        return 16 if self.plan.sensor_size else 8

    @property
    def ctype(self) -> str:
        return "int16_t" if self.plan.sensor_size else "uint8_t"

    @property
    def shift(self) -> int:
        """What is left of 32 random bits after it has the bits of a number."""
        return 32 - self.bits

    @property
    def decide(self) -> str:
        """C for what the logits become."""
        prefix = self.plan.prefix
        if self.plan.decision:
            return f"{prefix}_decide(&decision, logits)"
        return f"{prefix}_argmax_or_reject(logits)" if self.plan.reject else f"{prefix}_argmax(logits)"

    @property
    def nothing(self) -> str | None:
        """The macro that is found instead of a class, if the model has one."""
        kind = "NOTHING" if self.plan.decision else "REJECTED" if self.plan.reject else None
        return kind and f"{self.plan.macro_prefix}_{kind}"

    def numbers(self, count: int) -> np.ndarray:
        """What read_sensor() of the example for boards gives first, uint8 or int16 (count,)."""
        values, state = np.zeros(count, np.uint16 if self.bits == 16 else np.uint8), self.seed
        for index in range(count):
            state = (self.multiplier * state + self.increment) % 2**32
            values[index] = state >> self.shift
        return values.view(np.int16) if self.bits == 16 else values


@dataclass(frozen=True)
class Answer:
    """What the model says to the first numbers of the example for boards: C for the class, and all logits."""

    found: str
    logits: CArray

    @property
    def index(self) -> str:
        """Python for the class."""
        return self.found[:-1] if self.found.endswith("u") else "None"


def answer_of(model: QuantizedModel, sensor: Sensor) -> Answer:
    """Python's answer, of the first window where the model streams."""
    numbers = sensor.numbers(size_of(model.sensor_shape) if model.sensor_shape else model.input_size)
    logits = model.run(model.inputs_from(numbers[None]) if model.sensor_shape else numbers[None])
    decided = model.decision.run(logits, model.logit_shift) if model.decision else model.decide(logits)
    found = sensor.nothing if decided[0] == integer.REJECTED else f"{decided[0]}u"
    return Answer(found, CArray("expected", "int32_t", logits[0]))
