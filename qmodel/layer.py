"""What every layer of a quantized model has and can do."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from signbit.qmodel.activations import Activation, Entries, whole_number
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.value import Encoding, Shape, Value

LAYERS_MAX = 64
NEURONS_MAX = 65_535
CHAIN = (-1,)
"""The inputs of a layer that reads the value directly before it."""


@dataclass(frozen=True, eq=False)
class Range:
    """Lowest and highest value of each neuron, int64 (neurons,), or (1,) where all have the same."""

    low: np.ndarray
    high: np.ndarray

    def overall(self) -> tuple[int, int]:
        return int(self.low.min()), int(self.high.max())


class Layer(ABC):
    """Exact int32 accumulators of one or more values, which an activation turns into one value.

    `inputs` names the values that the layer reads, counted back from the layer: -1 is the value directly before it,
    -2 the one before that.  The first layer's -1 is the model's input.  `encodings` are those it can read, and
    `input_counts` how many values.
    """

    kind: ClassVar[str]
    encodings: ClassVar[frozenset[Encoding]]
    input_counts: ClassVar[range] = range(1, 2)
    activation: Activation
    inputs: tuple[int, ...]

    @abstractmethod
    def output_shape(self, *shapes: Shape) -> Shape:
        """Shape of the output for inputs of `shapes`."""

    @abstractmethod
    def accumulate(self, inputs: list[np.ndarray], values: list[Value]) -> np.ndarray:
        """The accumulators, int32 (batch, *output_shape), of arrays `inputs` that hold `values`."""

    @abstractmethod
    def accumulator_range(self, *values: Value) -> Range:
        """Interval of each accumulator; inputs in the values' ranges attain both ends."""

    def accumulator_limits(self, *values: Value) -> Range:
        """An interval for whatever weights a layer of this form has."""
        return self.accumulator_range(*values)

    @abstractmethod
    def macs(self, *shapes: Shape) -> int:
        """Multiply-accumulates of one inference; those in dropped rows and columns are none."""

    @abstractmethod
    def check(self, *values: Value) -> None:
        """Raises SignbitError unless the layer is whole and fits `values`, whose number and encodings are right."""

    @abstractmethod
    def settings(self) -> dict:
        """All but the arrays, as plain JSON values."""

    @classmethod
    def entries(cls, settings: dict) -> Entries:
        """The arrays that a layer with these settings has in the model file."""
        return {}

    @classmethod
    @abstractmethod
    def restore(cls, settings: dict, arrays: dict[str, np.ndarray]) -> "Layer":
        """The layer that `settings` and `arrays` (checked against `entries`) describe."""

    def arrays(self) -> dict[str, np.ndarray]:
        return {}

    def output(self, *values: Value) -> Value:
        """The value that the layer makes from `values`."""
        return self.activation.output(self.output_shape(*(value.shape for value in values)))

    def run(self, inputs: list[np.ndarray], values: list[Value]) -> np.ndarray:
        """The output of arrays `inputs` that hold `values`."""
        return self.activation.run(self.accumulate(inputs, values))

    def reads(self) -> dict[str, list[int]]:
        """The setting that names the inputs, left out where it is the default."""
        return {} if self.inputs == CHAIN else {"reads": list(self.inputs)}


def restore_reads(settings: dict) -> tuple[int, ...]:
    """The `inputs` of a layer as read from a file."""
    reads = settings.get("reads", list(CHAIN))
    if not isinstance(reads, list) or not 1 <= len(reads) <= LAYERS_MAX:
        raise SignbitError(f"reads is {reads!r}, but must be a list of 1 to {LAYERS_MAX} whole numbers")
    return tuple(whole_number({"reads": back}, "reads", -LAYERS_MAX, -1) for back in reads)
