"""Layers that make one value from several: residual addition and concatenation -- SPEC 4."""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from signbit.qmodel.activations import Requantize, check_high, whole_number
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.integer import MULTIPLIER_MAX, SHIFT_MAX
from signbit.qmodel.layer import LAYERS_MAX, NEURONS_MAX, Layer, Range, restore_reads
from signbit.qmodel.value import Encoding, Shape, Value, size_of


@dataclass(frozen=True, eq=False)
class Merge(Layer):
    """q = clamp((acc + half) >> shift, 0, high) of products x_k * multipliers[k], half being the rounding half.

    x_k is the k-th value in `inputs`, and `multipliers` brings them all to the output's scale; inputs of one scale
    have multipliers of 1 and `shift` 0, where the half is 0 too.
    """

    input_counts: ClassVar[range] = range(2, LAYERS_MAX + 1)
    inputs: tuple[int, ...]
    high: int
    multipliers: tuple[int, ...]
    shift: int

    @cached_property
    def activation(self) -> Requantize:
        """That of every neuron, so that it runs, and its range is proved, like any requantize; it is stored nowhere."""
        one = np.ones(1, np.int32)
        return Requantize(one, one << self.shift >> 1, self.shift, self.high)

    def products(self, inputs: list[np.ndarray]) -> list[np.ndarray]:
        return [x.astype(np.int32) * multiplier for x, multiplier in zip(inputs, self.multipliers, strict=True)]

    def product_ranges(self, values: tuple[Value, ...]) -> Range:
        """Range of each input's products, arrays of shape (inputs,)."""
        multipliers = np.array(self.multipliers, np.int64)
        return Range(
            multipliers * [value.low for value in values],
            multipliers * [value.high for value in values],
        )

    def check(self, *values: Value) -> None:
        if len({value.encoding for value in values}) > 1:
            raise SignbitError("reads one-bit and 8-bit values together; they have no common form")
        if len(self.multipliers) != len(self.inputs):
            raise SignbitError(f"has {len(self.multipliers)} multipliers for {len(self.inputs)} inputs")
        if not all(1 <= multiplier <= MULTIPLIER_MAX for multiplier in self.multipliers):
            raise SignbitError(f"multipliers are {list(self.multipliers)}, but must be 1 to {MULTIPLIER_MAX}")
        if not 0 <= self.shift <= SHIFT_MAX:
            raise SignbitError(f"shift is {self.shift}, but must be 0 to {SHIFT_MAX}")
        check_high(self.high)

    def settings(self) -> dict:
        rescale = {"multipliers": list(self.multipliers), "shift": self.shift, "high": self.high}
        return {"kind": self.kind, **self.reads(), **rescale}

    @classmethod
    def restore(cls, settings: dict, arrays: dict[str, np.ndarray]) -> "Merge":
        multipliers = settings.get("multipliers")
        if not isinstance(multipliers, list):
            raise SignbitError(f"multipliers is {multipliers!r}, but must be a list of whole numbers")
        return cls(
            restore_reads(settings),
            whole_number(settings, "high", high=255),
            tuple(whole_number({"multiplier": each}, "multiplier", high=MULTIPLIER_MAX) for each in multipliers),
            whole_number(settings, "shift", 0, SHIFT_MAX),
        )


@dataclass(frozen=True, eq=False)
class Add(Merge):
    """acc = sum_k x_k * multipliers[k], of values of one shape; min(sum_k x_k, high) where they have one scale."""

    kind: ClassVar[str] = "add"
    encodings: ClassVar[frozenset[Encoding]] = frozenset({Encoding.UINT8})

    def output_shape(self, *shapes: Shape) -> Shape:
        return shapes[0]

    def accumulate(self, inputs: list[np.ndarray], values: list[Value]) -> np.ndarray:
        return np.sum(self.products(inputs), axis=0, dtype=np.int32)

    def accumulator_range(self, *values: Value) -> Range:
        products = self.product_ranges(values)
        return Range(products.low.sum(keepdims=True), products.high.sum(keepdims=True))

    def macs(self, *shapes: Shape) -> int:
        return sum(map(size_of, shapes))

    def check(self, *values: Value) -> None:
        super().check(*values)
        shapes = [value.shape for value in values]
        if len(set(shapes)) > 1:
            raise SignbitError(f"adds values of one shape, but gets {' and '.join(map(str, shapes))}")


@dataclass(frozen=True, eq=False)
class Concatenate(Merge):
    """acc = x_k * multipliers[k], the inputs' channels one after the other; images have one height and width.

    One-bit values are copied as they are: their multipliers and `high` are 1, their shift is 0.
    """

    kind: ClassVar[str] = "concatenate"
    encodings: ClassVar[frozenset[Encoding]] = frozenset({Encoding.UINT8, Encoding.BIT})

    def output_shape(self, *shapes: Shape) -> Shape:
        return (*shapes[0][:-1], sum(shape[-1] for shape in shapes))

    def output(self, *values: Value) -> Value:
        if values[0].encoding is not Encoding.BIT:
            return super().output(*values)
        return Value(self.output_shape(*(value.shape for value in values)), Encoding.BIT, -1, 1)

    def accumulate(self, inputs: list[np.ndarray], values: list[Value]) -> np.ndarray:
        return np.concatenate(self.products(inputs), axis=-1)

    def run(self, inputs: list[np.ndarray], values: list[Value]) -> np.ndarray:
        is_bits = values[0].encoding is Encoding.BIT
        return np.concatenate(inputs, axis=-1) if is_bits else super().run(inputs, values)

    def accumulator_range(self, *values: Value) -> Range:
        return self.product_ranges(values)

    def macs(self, *shapes: Shape) -> int:
        """Values are copied, or rescaled by one product each."""
        return sum(map(size_of, shapes)) if self.shift else 0

    def check(self, *values: Value) -> None:
        super().check(*values)
        shapes = [value.shape for value in values]
        if len({shape[:-1] for shape in shapes}) > 1:
            found = " and ".join(map(str, shapes))
            raise SignbitError(f"joins vectors, or images of one height and width, but gets {found}")
        channels = self.output_shape(*shapes)[-1]
        if channels > NEURONS_MAX:
            raise SignbitError(f"has {channels} channels, but must have at most {NEURONS_MAX}")
        is_plain = self.shift == 0 and self.high == 1 and set(self.multipliers) == {1}
        if values[0].encoding is Encoding.BIT and not is_plain:
            raise SignbitError("one-bit values have no scale; their multipliers and high must be 1, and the shift 0")
