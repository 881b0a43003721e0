"""The kinds of integer layers: weights with a max-pool and an activation, and average pools.

All are frozen; a new kind is one class and one row in `LAYER_KINDS`.  Layers of several inputs are in
`signbit.qmodel.merge`.
"""

import math
from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from signbit.qmodel import integer
from signbit.qmodel.activations import Activation, Entries, Requantize, activation_kind, check_high, whole_number
from signbit.qmodel.counted import counted
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.layer import CHAIN, NEURONS_MAX, Layer, Range, restore_reads
from signbit.qmodel.merge import Add, Concatenate
from signbit.qmodel.value import Encoding, Shape, Value, size_of
from signbit.qmodel.window import PLAIN, Window, sides


class Weighted(Layer):
    """What dense, convolutional and depthwise layers share: rows of weights, one per neuron, and an activation.

    Weights are +1 and -1, or with `ternary` also 0; then they are stored as two planes a and b of one-bit weights,
    w = (a + b) / 2 -- SPEC 2.
    """

    encodings: ClassVar[frozenset[Encoding]] = frozenset({Encoding.UINT8, Encoding.BIT})
    axes: ClassVar[int]
    """Number of the weights' axes, the neurons' included."""
    weights: np.ndarray

    @staticmethod
    @abstractmethod
    def weights_shape(settings: dict) -> Shape:
        """Shape of the weights of a layer with these settings."""

    @property
    def neurons(self) -> int:
        return self.weights.shape[0]

    @property
    def rows(self) -> np.ndarray:
        """The weights as one row per neuron, shape (neurons, fan_in)."""
        return self.weights.reshape(self.neurons, -1)

    @property
    def fan_in(self) -> int:
        return self.rows.shape[1]

    @cached_property
    def ternary(self) -> bool:
        return bool((self.weights == 0).any())

    @property
    def planes(self) -> tuple[np.ndarray, ...]:
        """One-bit rows: the weights themselves, or the two planes of ternary ones (0 is +1 and -1)."""
        if not self.ternary:
            return (self.rows,)
        return np.where(self.rows == 0, 1, self.rows), np.where(self.rows == 0, -1, self.rows)

    @cached_property
    def signs(self) -> tuple[np.ndarray, np.ndarray]:
        """How many weights of each neuron are +1, and how many are -1."""
        return (self.rows > 0).sum(axis=1, dtype=np.int64), (self.rows < 0).sum(axis=1, dtype=np.int64)

    def accumulator_range(self, value: Value) -> Range:
        low, high = value.low, value.high
        positive, negative = self.signs
        return Range(low=positive * low - negative * high, high=positive * high - negative * low)

    def accumulator_limits(self, value: Value) -> Range:
        reach = np.full(self.neurons, self.fan_in * max(-value.low, value.high), np.int64)
        return Range(-reach, reach)

    def arrays(self) -> dict[str, np.ndarray]:
        names = ("weights", "weights_b")
        packed = {name: integer.pack_bits(plane) for name, plane in zip(names, self.planes, strict=False)}
        return packed | self.activation.arrays()

    def check(self, value: Value) -> None:
        if self.weights.ndim != self.axes or self.weights.dtype != np.int8 or not self.weights.size:
            raise SignbitError(f"weights must be int8 with {self.axes} axes and not empty")
        if not np.isin(self.weights, (-1, 0, 1)).all():
            raise SignbitError("weights must be +1 or -1, or 0 in a ternary layer")
        if self.fan_in > integer.FAN_IN_MAX:
            raise SignbitError(f"fan-in is {self.fan_in}, but must be at most {integer.FAN_IN_MAX}")
        if self.neurons > NEURONS_MAX:
            raise SignbitError(f"has {self.neurons} neurons, but must have at most {NEURONS_MAX}")
        self.activation.check(self.neurons)

    def _settings(self, **values) -> dict:
        ternary = {"ternary": True} if self.ternary else {}
        return {"kind": self.kind, **self.reads(), **values, **ternary, "activation": self.activation.settings()}

    @classmethod
    def entries(cls, settings: dict) -> Entries:
        neurons, *row = cls.weights_shape(settings)
        words = ("uint32", (neurons, integer.words_for(math.prod(row))))
        planes = {"weights": words, "weights_b": words} if _is_ternary(settings) else {"weights": words}
        return planes | activation_kind(settings).entries(neurons)

    @classmethod
    def restore(cls, settings: dict, arrays: dict[str, np.ndarray], **options) -> "Weighted":
        shape, kind = cls.weights_shape(settings), activation_kind(settings)
        activation = kind.restore(settings["activation"], {name: arrays[name] for name in kind.dtypes})
        weights = _restore_rows(settings, arrays, math.prod(shape[1:])).reshape(shape)
        return cls(weights, activation, inputs=restore_reads(settings), **options)


@dataclass(frozen=True, eq=False)
class Dense(Weighted):
    """acc_j = sum_i weights[j, i] * x_i over all inputs of the layer, flattened in HWC order -- SPEC 3.

    `weights` is int8, shape (outputs, fan_in).
    """

    kind: ClassVar[str] = "dense"
    axes: ClassVar[int] = 2
    weights: np.ndarray
    activation: Activation
    inputs: tuple[int, ...] = CHAIN

    def output_shape(self, shape: Shape) -> Shape:
        return (self.neurons,)

    def accumulate(self, inputs: list[np.ndarray], values: list[Value]) -> np.ndarray:
        (x,) = inputs
        return integer.dense(x.reshape(len(x), -1), self.weights)

    def macs(self, shape: Shape) -> int:
        return self.neurons * self.fan_in

    def check(self, value: Value) -> None:
        super().check(value)
        if self.fan_in != value.size:
            raise SignbitError(f"has weights for {counted(self.fan_in, 'input')}, but gets {value.size}")

    def settings(self) -> dict:
        return self._settings(inputs=self.fan_in, outputs=self.neurons)

    @staticmethod
    def weights_shape(settings: dict) -> Shape:
        return whole_number(settings, "outputs"), whole_number(settings, "inputs")


class Windowed(Weighted):
    """What convolutions share: a kernel that a window moves over an image."""

    window: Window

    @property
    def kernel(self) -> tuple[int, int]:
        return self.weights.shape[1:3]

    @property
    @abstractmethod
    def channels(self) -> int:
        """Channels of the image."""

    def output_shape(self, shape: Shape) -> Shape:
        return (*self.window.output_shape(shape, self.kernel), self.neurons)

    @abstractmethod
    def convolve(self, patches: np.ndarray) -> np.ndarray:
        """The accumulators before the max-pool, int32 (batch, height, width, neurons), of `Window.patches`."""

    def accumulate(self, inputs: list[np.ndarray], values: list[Value]) -> np.ndarray:
        patches = self.window.patches(inputs[0], self.kernel, values[0].outside)
        return self.window.maximum(self.convolve(patches))

    def macs(self, shape: Shape) -> int:
        height, width = self.window.output_shape(shape, self.kernel)
        return height * width * self.window.pool[0] * self.window.pool[1] * self.weights.size

    def check(self, value: Value) -> None:
        super().check(value)
        self.window.check(value.shape, self.kernel)
        if self.channels != value.shape[2]:
            raise SignbitError(f"has weights for {counted(self.channels, 'channel')}, but gets {value.shape[2]}")

    @classmethod
    def restore(cls, settings: dict, arrays: dict[str, np.ndarray]) -> "Windowed":
        return super().restore(settings, arrays, window=Window.restore(settings))


@dataclass(frozen=True, eq=False)
class Conv2D(Windowed):
    """acc[y, x, j] = sum weights[j, u, v, c] * in[y * stride + u - top, x * stride + v - left, c] -- SPEC 3.

    `weights` is int8, shape (outputs, kernel height, kernel width, channels).
    """

    kind: ClassVar[str] = "conv2d"
    axes: ClassVar[int] = 4
    weights: np.ndarray
    activation: Activation
    window: Window = PLAIN
    inputs: tuple[int, ...] = CHAIN

    def convolve(self, patches: np.ndarray) -> np.ndarray:
        patches = patches.transpose(0, 1, 2, 4, 5, 3)
        acc = integer.dense(patches.reshape(-1, self.fan_in), self.rows)
        return acc.reshape(*patches.shape[:3], self.neurons)

    @property
    def channels(self) -> int:
        return self.weights.shape[3]

    def settings(self) -> dict:
        outputs, height, width, channels = self.weights.shape
        return self._settings(outputs=outputs, kernel=[height, width], channels=channels, **self.window.settings())

    @staticmethod
    def weights_shape(settings: dict) -> Shape:
        return whole_number(settings, "outputs"), *sides(settings, "kernel", 2), whole_number(settings, "channels")


@dataclass(frozen=True, eq=False)
class DepthwiseConv2D(Windowed):
    """acc[y, x, c] = sum weights[c, u, v] * in[y * stride + u - top, x * stride + v - left, c] -- SPEC 3.

    `weights` is int8, shape (channels, kernel height, kernel width).
    """

    kind: ClassVar[str] = "depthwise_conv2d"
    axes: ClassVar[int] = 3
    weights: np.ndarray
    activation: Activation
    window: Window = PLAIN
    inputs: tuple[int, ...] = CHAIN

    def convolve(self, patches: np.ndarray) -> np.ndarray:
        return np.einsum("nyxcuv,cuv->nyxc", patches.astype(np.int32), self.weights.astype(np.int32))

    @property
    def channels(self) -> int:
        return self.neurons

    def settings(self) -> dict:
        channels, height, width = self.weights.shape
        return self._settings(channels=channels, kernel=[height, width], **self.window.settings())

    @staticmethod
    def weights_shape(settings: dict) -> Shape:
        return whole_number(settings, "channels"), *sides(settings, "kernel", 2)


@dataclass(frozen=True, eq=False)
class AveragePool(Layer):
    """q = clamp((sum * M + 2^21) >> 22, 0, high) with M = round(2^22 / n), n the window's size -- SPEC 4.

    `size` is the window (height, width), also its stride; rows and columns that do not fill it are dropped.  The
    activation is that of every neuron, so that it runs, and its range is proved, like any requantize.
    """

    kind: ClassVar[str] = "average_pool"
    encodings: ClassVar[frozenset[Encoding]] = frozenset({Encoding.UINT8})
    SHIFT: ClassVar[int] = 22
    size: tuple[int, int]
    channels: int
    high: int = 127
    inputs: tuple[int, ...] = CHAIN

    @property
    def fan_in(self) -> int:
        return self.size[0] * self.size[1]

    @property
    def window(self) -> Window:
        return Window(stride=self.size)

    @cached_property
    def activation(self) -> Requantize:
        """Its multiplier is an int32 of up to 2^22, and is stored nowhere."""
        multiplier = ((1 << self.SHIFT) + self.fan_in // 2) // self.fan_in
        ones = np.ones(self.channels, np.int32)
        return Requantize(ones * multiplier, ones << (self.SHIFT - 1), self.SHIFT, self.high)

    def output_shape(self, shape: Shape) -> Shape:
        return (*self.window.output_shape(shape, self.size), self.channels)

    def accumulate(self, inputs: list[np.ndarray], values: list[Value]) -> np.ndarray:
        (x,) = inputs
        rows, columns, _ = self.output_shape(x.shape[1:])
        height, width = self.size
        cut = x[:, : rows * height, : columns * width].astype(np.int32)
        return cut.reshape(len(x), rows, height, columns, width, -1).sum(axis=(2, 4), dtype=np.int32)

    def macs(self, shape: Shape) -> int:
        return size_of(self.output_shape(shape)) * self.fan_in

    def accumulator_range(self, value: Value) -> Range:
        ones = np.ones(self.channels, np.int64)
        return Range(ones * self.fan_in * value.low, ones * self.fan_in * value.high)

    def check(self, value: Value) -> None:
        self.window.check(value.shape, self.size)
        if self.channels != value.shape[2]:
            raise SignbitError(f"is for {counted(self.channels, 'channel')}, but gets {value.shape[2]}")
        check_high(self.high)

    def settings(self) -> dict:
        size = {"size": list(self.size), "channels": self.channels, "high": self.high}
        return {"kind": self.kind, **self.reads(), **size}

    @classmethod
    def restore(cls, settings: dict, arrays: dict[str, np.ndarray]) -> "AveragePool":
        size, channels = sides(settings, "size", 2), whole_number(settings, "channels")
        return cls(size, channels, whole_number(settings, "high", high=255), restore_reads(settings))


LAYER_KINDS: dict[str, type[Layer]] = {
    kind.kind: kind for kind in (Dense, Conv2D, DepthwiseConv2D, AveragePool, Add, Concatenate)
}


def layer_kind(settings: dict) -> type[Layer]:
    """The class for a layer's settings as read from a file; refuses an unknown kind by its name."""
    kind = settings.get("kind") if isinstance(settings, dict) else None
    if not isinstance(kind, str) or kind not in LAYER_KINDS:
        raise SignbitError(f"layer kind {kind!r} is unknown; it may need a newer signbit")
    return LAYER_KINDS[kind]


def _is_ternary(settings: dict) -> bool:
    if settings.get("ternary", True) is not True:
        raise SignbitError(f"ternary is {settings['ternary']!r}, but can only be true or left out")
    return "ternary" in settings


def _restore_rows(settings: dict, arrays: dict[str, np.ndarray], fan_in: int) -> np.ndarray:
    rows = _unpack(arrays["weights"], fan_in)
    if not _is_ternary(settings):
        return rows
    other = _unpack(arrays["weights_b"], fan_in)
    if (rows < other).any() or (rows == other).all():
        raise SignbitError("its two planes are not those of ternary weights")
    return ((rows + other) // 2).astype(np.int8)


def _unpack(words: np.ndarray, fan_in: int) -> np.ndarray:
    rows = integer.unpack_bits(words, fan_in)
    if not np.array_equal(integer.pack_bits(rows), words):
        raise SignbitError("has bits set after its last weight")
    return rows
