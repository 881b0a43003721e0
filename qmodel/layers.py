"""Integer layers: what a quantized model is made of.

A layer is a linear part (`Dense`), which gives exact int32 accumulators, and an activation (`Requantize`,
`Logits`), which turns them into the next layer's uint8 inputs or into the class scores.  Both are frozen; a new
kind of either is one class here and one row in `LAYER_KINDS` or `ACTIVATION_KINDS`.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from qmodel import integer
from qmodel.errors import SignbitError

Shape = tuple[int, ...]
Entries = dict[str, tuple[str, Shape]]
"""Arrays of a layer in the model file: name -> (dtype, shape)."""


@dataclass(frozen=True, eq=False)
class Range:
    """Lowest and highest value a neuron can take; arrays of shape (neurons,), int64."""

    low: np.ndarray
    high: np.ndarray

    def overall(self) -> tuple[int, int]:
        return int(self.low.min()), int(self.high.max())


@dataclass(frozen=True, eq=False)
class Requantize:
    """q = clamp((acc * multiplier + bias) >> shift, 0, high), uint8 -- SPEC 4.

    `multiplier` int16 and `bias` int32, one a neuron; `bias` carries the rounding half.
    """

    kind: ClassVar[str] = "requantize"
    multiplier: np.ndarray
    bias: np.ndarray
    shift: int
    high: int = 127

    def run(self, acc: np.ndarray) -> np.ndarray:
        return integer.requantize(acc, self.multiplier, self.bias, self.shift, self.high)

    def check(self, neurons: int) -> None:
        _check_affine(self, neurons)
        if not 1 <= self.shift <= integer.SHIFT_MAX:
            raise SignbitError(f"requantize shift is {self.shift}, but must be 1 to {integer.SHIFT_MAX}")
        if not 1 <= self.high <= 255:
            raise SignbitError(f"activation limit is {self.high}, but must be 1 to 255")

    def settings(self) -> dict:
        return {"kind": self.kind, "shift": self.shift, "high": self.high}


@dataclass(frozen=True, eq=False)
class Logits:
    """logits = acc * multiplier + bias, int32 -- SPEC 5."""

    kind: ClassVar[str] = "logits"
    multiplier: np.ndarray
    bias: np.ndarray

    def run(self, acc: np.ndarray) -> np.ndarray:
        return integer.scale(acc, self.multiplier, self.bias)

    def check(self, neurons: int) -> None:
        _check_affine(self, neurons)

    def settings(self) -> dict:
        return {"kind": self.kind}


Activation = Requantize | Logits


@dataclass(frozen=True, eq=False)
class Dense:
    """acc_j = sum_i weights[j, i] * x_i over all inputs of the layer, flattened in HWC order -- SPEC 3.

    `weights` is int8 of +1 and -1, shape (outputs, fan_in).
    """

    kind: ClassVar[str] = "dense"
    weights: np.ndarray
    activation: Activation

    @property
    def neurons(self) -> int:
        return self.weights.shape[0]

    @property
    def fan_in(self) -> int:
        return self.weights.shape[1]

    def output_shape(self, input_shape: Shape) -> Shape:
        return (self.neurons,)

    def accumulate(self, inputs: np.ndarray) -> np.ndarray:
        return integer.dense(inputs.reshape(len(inputs), -1), self.weights)

    def run(self, inputs: np.ndarray) -> np.ndarray:
        return self.activation.run(self.accumulate(inputs))

    def macs(self, input_shape: Shape) -> int:
        return self.neurons * self.fan_in

    def accumulator_range(self, input_high: int) -> Range:
        """Interval of each accumulator when every input lies in 0..input_high; both ends are attained."""
        negatives = (self.weights < 0).sum(axis=1, dtype=np.int64)
        return Range(low=-negatives * input_high, high=(self.fan_in - negatives) * input_high)

    def check(self, input_shape: Shape) -> None:
        _check_weights(self.weights, axes=2)
        if self.fan_in != int(np.prod(input_shape)):
            raise SignbitError(f"has weights for {self.fan_in} inputs, but gets {int(np.prod(input_shape))}")
        if self.fan_in > integer.FAN_IN_MAX:
            raise SignbitError(f"fan-in is {self.fan_in}, but must be at most {integer.FAN_IN_MAX}")
        self.activation.check(self.neurons)

    def settings(self) -> dict:
        return {
            "kind": self.kind,
            "inputs": self.fan_in,
            "outputs": self.neurons,
            "activation": self.activation.settings(),
        }

    def arrays(self) -> dict[str, np.ndarray]:
        return {
            "weights": integer.pack_bits(self.weights),
            "multiplier": self.activation.multiplier,
            "bias": self.activation.bias,
        }

    @staticmethod
    def entries(settings: dict) -> Entries:
        outputs, inputs = _size(settings, "outputs"), _size(settings, "inputs")
        return {"weights": ("uint32", (outputs, integer.words_for(inputs))), **_affine_entries(outputs)}

    @classmethod
    def restore(cls, settings: dict, arrays: dict[str, np.ndarray]) -> "Dense":
        """The layer that `settings` and `arrays` (checked against `entries`) describe."""
        inputs = _size(settings, "inputs")
        words = arrays["weights"]
        weights = integer.unpack_bits(words, inputs)
        if not np.array_equal(integer.pack_bits(weights), words):
            raise SignbitError("has bits set behind its last weight")
        return cls(weights, _restore_activation(settings, arrays))


Layer = Dense

LAYER_KINDS: dict[str, type[Layer]] = {Dense.kind: Dense}
ACTIVATION_KINDS: dict[str, type[Activation]] = {Requantize.kind: Requantize, Logits.kind: Logits}


def layer_kind(settings: dict) -> type[Layer]:
    """The class for a layer's settings as read from a file; refuses an unknown kind by its name."""
    kind = settings.get("kind") if isinstance(settings, dict) else None
    if not isinstance(kind, str) or kind not in LAYER_KINDS:
        raise SignbitError(f"layer kind {kind!r} is unknown; it may need a newer signbit")
    return LAYER_KINDS[kind]


def _restore_activation(settings: dict, arrays: dict[str, np.ndarray]) -> Activation:
    activation = settings.get("activation")
    kind = activation.get("kind") if isinstance(activation, dict) else None
    if not isinstance(kind, str) or kind not in ACTIVATION_KINDS:
        raise SignbitError(f"activation kind {kind!r} is unknown; it may need a newer signbit")
    if kind == Logits.kind:
        return Logits(arrays["multiplier"], arrays["bias"])
    return Requantize(arrays["multiplier"], arrays["bias"], _size(activation, "shift"), _size(activation, "high"))


def _affine_entries(neurons: int) -> Entries:
    return {"multiplier": ("int16", (neurons,)), "bias": ("int32", (neurons,))}


def _size(settings: dict, name: str) -> int:
    value = settings.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= integer.FAN_IN_MAX:
        raise SignbitError(f"{name} is {value!r}, but must be a whole number from 1 to {integer.FAN_IN_MAX}")
    return value


def _check_weights(weights: np.ndarray, axes: int) -> None:
    if weights.ndim != axes or weights.dtype != np.int8 or not weights.size:
        raise SignbitError(f"weights must be int8 with {axes} axes and not empty")
    if not np.isin(weights, (-1, 1)).all():
        raise SignbitError("weights must be +1 or -1")


def _check_affine(activation: Activation, neurons: int) -> None:
    for name, dtype in (("multiplier", np.int16), ("bias", np.int32)):
        array = getattr(activation, name)
        if array.dtype != dtype or array.shape != (neurons,):
            raise SignbitError(f"{name} must be {np.dtype(dtype)} of shape ({neurons},)")
