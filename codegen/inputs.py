"""How a sensor's counts become inputs, and how one-bit inputs get into the arena, resolved for the templates."""

import re
from dataclasses import dataclass

import numpy as np

from signbit.codegen.ctext import string_literal
from signbit.codegen.kernels.base import CArray
from signbit.codegen.layout import plus
from signbit.qmodel import integer
from signbit.qmodel.data.readers.loading import LSB_ALL
from signbit.qmodel.input_quantization import Affine, Pieces, Thermometer
from signbit.qmodel.model import QuantizedModel
from signbit.qmodel.value import WORD_BYTES, Shape, Value, size_of

UNIT = re.compile(r"[\[(]([^\[\]()]{1,16})[\])]\s*$")


@dataclass(frozen=True)
class InputChannel:
    """What a channel's counts are; one is worth `worth`, in the unit."""

    name: str
    unit: str
    worth: float

    @property
    def lsb(self) -> str:
        """What a count is worth, as a decimal number."""
        return f"{self.worth:.10g}"

    @property
    def texts(self) -> tuple[str, str, str]:
        return self.name, self.unit, self.lsb

    def as_dict(self) -> dict:
        return dict(zip(("name", "unit", "lsb"), self.texts, strict=True))

    @property
    def literals(self) -> str:
        return ", ".join(map(string_literal, self.texts))


@dataclass(frozen=True, eq=False)
class InputPlan:
    """How int16 counts become inputs; `range` is proved for every count (SPEC 11).

    `template` lays out the function's body from `arrays` and `values`.
    """

    kind: str
    arrays: tuple[CArray, ...]
    values: dict
    range: tuple[int, int]
    counts_shape: Shape
    described: tuple[InputChannel, ...]
    """Every channel, if the model says what they are."""

    @property
    def template(self) -> str:
        return f"inputs/{self.kind}.c.j2"

    @property
    def counts_size(self) -> int:
        return size_of(self.counts_shape)

    @property
    def channels(self) -> int:
        return self.counts_shape[-1]

    @property
    def text_bytes(self) -> list[int]:
        """Bytes of the channels' longest name, unit and lsb, each with its end."""
        return [
            1 + max(len(text.encode()) for text in texts)
            for texts in zip(*(channel.texts for channel in self.described), strict=True)
        ]

    @property
    def formula(self) -> str:
        """What the function computes, in words."""
        return FORMULAS[self.kind].format(low=self.range[0], high=self.range[1])

    @property
    def flash_bytes(self) -> int:
        return sum(array.size_bytes for array in self.arrays)


@dataclass(frozen=True)
class InputCopy:
    """One-bit inputs come as bytes of any alignment; inference copies them to `offset` in the arena as words.

    Each pixel has `pixel_words`, of which `mask` keeps the bits that the last one has.
    """

    offset: int
    words: int
    pixel_words: int
    mask: int

    @property
    def place(self) -> str:
        return plus("arena", self.offset)

    @property
    def last_word(self) -> int:
        """A pixel's."""
        return self.pixel_words - 1


def input_plan(model: QuantizedModel) -> InputPlan | None:
    quantization = model.input_quantization
    if quantization is None:
        return None
    arrays, values = INPUTS[quantization.kind](quantization)
    return InputPlan(
        quantization.kind,
        arrays,
        values,
        quantization.range,
        model.counts_shape,
        described(model, model.counts_shape[-1]),
    )


def described(model: QuantizedModel, channels: int) -> tuple[InputChannel, ...]:
    """The model's description of its `channels`; empty if it has none, or none that can be understood."""
    record = model.provenance.get("data")
    record = record if isinstance(record, dict) else {}
    names, options = record.get("columns"), record.get("options")
    # older models have it among the options that their data were read with
    lsb = record["lsb"] if "lsb" in record else options.get("lsb", {}) if isinstance(options, dict) else {}
    if not isinstance(names, list) or len(names) != channels or not isinstance(lsb, dict):
        return ()
    usual = 1 if "lsb" in record else lsb.get(LSB_ALL, 1)
    worths = [lsb.get(name, usual) if isinstance(name, str) else None for name in names]
    if not all(isinstance(worth, int | float) and not isinstance(worth, bool) for worth in worths):
        return ()
    try:
        found = tuple(InputChannel(name, _unit(name), float(worth)) for name, worth in zip(names, worths, strict=True))
        _ = [channel.literals for channel in found]
    except (UnicodeEncodeError, OverflowError):
        return ()
    return found


def _unit(name: str) -> str:
    """The unit that ends a column's name, `acc_x [g]` or `temp (°C)`; "" where there is none."""
    match = UNIT.search(name)
    return match[1].strip() if match else ""


def _affine(quantization: Affine) -> tuple[tuple[CArray, ...], dict]:
    arrays = (
        CArray("multiplier", "int16_t", quantization.multiplier),
        CArray("bias", "int32_t", quantization.bias),
    )
    return arrays, {"shift": quantization.shift}


def _pieces(quantization: Pieces) -> tuple[tuple[CArray, ...], dict]:
    """A channel's empty pieces are left out; where all are empty one stays, which gives 0."""
    rows = []
    for knots, slopes in zip(quantization.knots, quantization.slopes, strict=True):
        filled = np.flatnonzero(slopes) if slopes.any() else np.zeros(1, int)
        rows.append((knots[filled], slopes[filled], quantization.levels[filled]))
    knot, slope, level = (np.concatenate(columns) for columns in zip(*rows, strict=True))
    arrays = (
        CArray("pieces", "uint8_t", np.array([len(row[0]) for row in rows], np.uint8)),
        CArray("knot", "int16_t", knot),
        CArray("slope", "int32_t", slope),
        CArray("level", "uint8_t", level.astype(np.uint8)),
        CArray("last", "int16_t", quantization.knots[:, -1]),
    )
    return arrays, {"shift": quantization.SHIFT, "half": 1 << (quantization.SHIFT - 1)}


def _thermometer(quantization: Thermometer) -> tuple[tuple[CArray, ...], dict]:
    arrays = (
        CArray("thresholds", "uint8_t", quantization.counts),
        CArray("threshold", "int16_t", quantization.thresholds),
    )
    return arrays, {"pixel_bytes": WORD_BYTES * integer.words_for(len(quantization.thresholds))}


FORMULAS = {
    Affine.kind: "clamp((count * multiplier + bias) >> shift, 0, 255) by channel; all sums are in {low}..{high}",
    Pieces.kind: "level + (((count - knot) * slope + half) >> shift) in the channel's last piece that begins at or "
    "below the count; all sums are in {low}..{high}",
    Thermometer.kind: "A bit for each of a channel's thresholds, set where the count is below it",
}
INPUTS = {Affine.kind: _affine, Pieces.kind: _pieces, Thermometer.kind: _thermometer}


def input_copy(value: Value, offset: int) -> InputCopy:
    """The copy of the one-bit inputs `value` to `offset` words into the arena."""
    pixel_words = integer.words_for(value.shape[-1])
    bits = value.shape[-1] - integer.WORD_BITS * (pixel_words - 1)
    return InputCopy(offset, value.size_bytes // WORD_BYTES, pixel_words, (1 << bits) - 1)
