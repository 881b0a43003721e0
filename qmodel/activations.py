"""Activations: what turns a layer's int32 accumulators into the next layer's inputs or into the class scores."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from signbit.qmodel import integer
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.value import Encoding, Shape, Value

Entries = dict[str, tuple[str, tuple[int, ...]]]
"""Arrays in the model file: name -> (dtype, shape)."""


class PerNeuron:
    """What has arrays with one number per neuron (or channel): `dtypes` names them."""

    dtypes: ClassVar[dict[str, str]] = {"multiplier": "int16", "bias": "int32"}

    def arrays(self) -> dict[str, np.ndarray]:
        return {name: getattr(self, name) for name in self.dtypes}

    @classmethod
    def entries(cls, neurons: int) -> Entries:
        """Those in the model file."""
        return {name: (dtype, (neurons,)) for name, dtype in cls.dtypes.items()}

    def check(self, neurons: int) -> None:
        """Raises SignbitError unless it is for `neurons` and whole."""
        for name, (dtype, shape) in self.entries(neurons).items():
            array = getattr(self, name)
            if array.dtype != dtype or array.shape != shape:
                raise SignbitError(f"{name} must be {dtype} of shape {shape}")


class Activation(PerNeuron):
    """One of `ACTIVATION_KINDS`: it turns accumulators into a value."""

    kind: ClassVar[str]

    def settings(self) -> dict:
        return {"kind": self.kind}

    @classmethod
    def restore(cls, settings: dict, arrays: dict[str, np.ndarray]) -> "Activation":
        return cls(**arrays)


@dataclass(frozen=True, eq=False)
class Requantize(Activation):
    """q = clamp((acc * multiplier + bias) >> shift, 0, high), uint8 -- SPEC 4.

    `multiplier` int16 and `bias` int32, one per neuron; `bias` carries the rounding half.
    """

    kind: ClassVar[str] = "requantize"
    multiplier: np.ndarray
    bias: np.ndarray
    shift: int
    high: int = 127

    def run(self, acc: np.ndarray) -> np.ndarray:
        return integer.requantize(acc, self.multiplier, self.bias, self.shift, self.high)

    def output(self, shape: Shape) -> Value:
        return Value(shape, Encoding.UINT8, 0, self.high)

    def check(self, neurons: int) -> None:
        super().check(neurons)
        if not 1 <= self.shift <= integer.SHIFT_MAX:
            raise SignbitError(f"requantize shift is {self.shift}, but must be 1 to {integer.SHIFT_MAX}")
        check_high(self.high)

    def settings(self) -> dict:
        return {"kind": self.kind, "shift": self.shift, "high": self.high}

    @classmethod
    def restore(cls, settings: dict, arrays: dict[str, np.ndarray]) -> "Requantize":
        return cls(**arrays, shift=whole_number(settings, "shift"), high=whole_number(settings, "high"))


@dataclass(frozen=True, eq=False)
class Logits(Activation):
    """logits = acc * multiplier + bias, int32 -- SPEC 6."""

    kind: ClassVar[str] = "logits"
    multiplier: np.ndarray
    bias: np.ndarray

    def run(self, acc: np.ndarray) -> np.ndarray:
        return integer.scale(acc, self.multiplier, self.bias)

    def output(self, shape: Shape) -> Value:
        return Value(shape, Encoding.INT32, integer.INT32_MIN, integer.INT32_MAX)


@dataclass(frozen=True, eq=False)
class Sign(Activation):
    """x = +1 if direction * acc >= threshold else -1, one bit -- SPEC 5.

    `threshold` int32 and `direction` int8 of +1 and -1, one per neuron.
    """

    kind: ClassVar[str] = "sign"
    dtypes: ClassVar[dict[str, str]] = {"threshold": "int32", "direction": "int8"}
    threshold: np.ndarray
    direction: np.ndarray

    def run(self, acc: np.ndarray) -> np.ndarray:
        return integer.threshold(acc, self.threshold, self.direction)

    def output(self, shape: Shape) -> Value:
        return Value(shape, Encoding.BIT, -1, 1)

    def check(self, neurons: int) -> None:
        super().check(neurons)
        if not np.isin(self.direction, (-1, 1)).all():
            raise SignbitError("directions must be +1 or -1")


ACTIVATION_KINDS: dict[str, type[Activation]] = {kind.kind: kind for kind in (Requantize, Sign, Logits)}


def activation_kind(settings: dict) -> type[Activation]:
    """The class for a layer's activation as read from a file; refuses an unknown kind by its name."""
    activation = settings.get("activation")
    kind = activation.get("kind") if isinstance(activation, dict) else None
    if not isinstance(kind, str) or kind not in ACTIVATION_KINDS:
        raise SignbitError(f"activation kind {kind!r} is unknown; it may need a newer signbit")
    return ACTIVATION_KINDS[kind]


def whole_number(settings: dict, name: str, low: int = 1, high: int = integer.FAN_IN_MAX) -> int:
    """`settings[name]`, which must be a whole number in low..high."""
    value = settings.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise SignbitError(f"{name} is {value!r}, but must be a whole number from {low} to {high}")
    return value


def check_high(high: int) -> None:
    if not 1 <= high <= 255:
        raise SignbitError(f"activation limit is {high}, but must be 1 to 255")
