"""A tensor of the graph, as whole numbers of the integer model and the real numbers that they mean."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np

from signbit.qmodel.activations import Logits
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.layer import Layer
from signbit.qmodel.layers import AveragePool, Weighted
from signbit.qmodel.value import Shape, Value, size_of

ON_GRID = 1e-4
"""How far a number may lie from a whole one, in levels, that float32 was meant to hold exactly."""


class Rounding(Enum):
    """What turns a real number x into a whole one."""

    FLOOR = "down"
    NEAREST = "to nearest, halves to even"
    AT_LEAST_0 = "1 where x >= 0, else 0"
    ABOVE_0 = "1 where x > 0, else 0"
    SIGN = "-1, 0 or +1"


STEPS = (Rounding.AT_LEAST_0, Rounding.ABOVE_0, Rounding.SIGN)


@dataclass(eq=False)
class Slot:
    """A value of the integer model; `number` 0 is the input, `number` i + 1 what layer i gives."""

    number: int
    value: Value


@dataclass(eq=False)
class InputSlot(Slot):
    """The input.  How its bytes are ordered is only known when a layer reads it.

    `places[i]` is where number i of the model's input lies in the graph's, both flattened; None as long as no layer
    has read it.  `usual` is where they lie if the first layer is a dense one, in the shape of the input; None
    where nobody knows.
    """

    usual: np.ndarray | None
    places: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Pending:
    """Accumulators of a layer whose activation is not known yet; `layer.activation` is None."""

    reads: tuple[Slot, ...]
    layer: Weighted
    is_mean: bool = False
    """All weights are 1, and the graph divides by their number."""

    @property
    def shape(self) -> Shape:
        return self.layer.output_shape(*(slot.value.shape for slot in self.reads))

    def with_activation(self, activation) -> Layer:
        return replace(self.layer, activation=activation)

    def checked(self) -> "Pending":
        """Raises SignbitError unless the layer fits what it reads."""
        zeros = np.zeros(self.layer.neurons, np.int16)
        self.with_activation(Logits(zeros, zeros.astype(np.int32))).check(self.reads[0].value)
        return self

    def flipped(self, channels: np.ndarray) -> "Pending":
        """The accumulators of `channels`, bool (neurons,), with the opposite sign."""
        weights = self.layer.weights
        signs = np.where(channels, -1, 1).astype(np.int8).reshape(-1, *[1] * (weights.ndim - 1))
        return replace(self, layer=replace(self.layer, weights=weights * signs), is_mean=False)

    def pooled(self, size: tuple[int, int]) -> "Pending":
        """The largest of each window; windows in windows are one larger window."""
        window = self.layer.window
        pool = (window.pool[0] * size[0], window.pool[1] * size[1])
        return replace(self, layer=replace(self.layer, window=replace(window, pool=pool)), is_mean=False)

    def mean(self, high: int) -> AveragePool:
        """The layer that rounds the mean of each window."""
        return AveragePool(self.layer.kernel, self.layer.neurons, high)


@dataclass(frozen=True, eq=False)
class Sum:
    """sum_k gains[k] * u_k of values of one shape; gains are positive real numbers."""

    reads: tuple[Slot, ...]
    gains: tuple[float, ...]

    @property
    def shape(self) -> Shape:
        return self.reads[0].value.shape


@dataclass(frozen=True, eq=False)
class Stairs:
    """scale * round(clamp(x, low, high)) + zero, of a real number x; without `rounding` scale is 1 and zero 0."""

    low: np.ndarray | float = -np.inf
    high: np.ndarray | float = np.inf
    rounding: Rounding | None = None
    scale: np.ndarray | float = 1.0
    zero: np.ndarray | float = 0.0


@dataclass(frozen=True, eq=False)
class Padding:
    """Numbers `value` around an image: how many before and after it, along each axis of the graph's tensor."""

    widths: tuple[tuple[int, int], ...]
    value: float


@dataclass(frozen=True, eq=False)
class Tensor:
    """real = stairs(gain * v + offset), v being the whole numbers of `source`.

    `order` has the graph's shape, batch of 1 included, and holds for each number its place in v, which is flattened in
    HWC order (in the graph's own order for an input that no layer has read).  The other arrays broadcast to it.
    """

    source: Slot | Pending | Sum
    order: np.ndarray
    gain: np.ndarray | float = 1.0
    offset: np.ndarray | float = 0.0
    stairs: Stairs | None = None
    padding: Padding | None = None
    elem_type: int = 1
    """ONNX's number of the type that the graph holds it in; 1 is float32."""

    @property
    def shape(self) -> Shape:
        return self.order.shape

    @property
    def channels(self) -> int:
        return (self.source.value if isinstance(self.source, Slot) else self.source).shape[-1]

    # -- arithmetic ----------------------------------------------------------------------------------------------

    def affine(self, factor, term) -> "Tensor":
        """factor * real + term, both of which broadcast to the tensor."""
        factor, term = self.constant(factor), self.constant(term)
        stairs = self.stairs
        if stairs is not None and stairs.rounding is not None:
            moved = replace(stairs, scale=stairs.scale * factor, zero=stairs.zero * factor + term)
            return replace(self, stairs=moved)
        if stairs is not None:
            ends = [_line(end, factor, term) for end in (stairs.low, stairs.high)]
            stairs = Stairs(np.minimum(*ends), np.maximum(*ends))
        return replace(self, gain=self.gain * factor, offset=self.offset * factor + term, stairs=stairs)

    def clamp(self, low, high) -> "Tensor":
        """The real number, but at least `low` and at most `high`."""
        low, high = self.constant(low), self.constant(high)
        stairs = self.stairs or Stairs()
        if stairs.rounding is not None:
            scale = stairs.scale
            ends = [_line(end, 1 / scale, -stairs.zero / scale) for end in (low, high)]
            low, high = np.minimum(*ends), np.maximum(*ends)
            for end in (low, high):
                if not (np.isinf(end) | _is_whole(end)).all():
                    raise SignbitError("cuts between two levels; clamp to one of them")
            if stairs.rounding in STEPS and ((low > 0).any() or (high < 1).any()):
                raise SignbitError("leaves one level only")
        return replace(
            self,
            stairs=replace(stairs, low=np.clip(stairs.low, low, high), high=np.clip(stairs.high, low, high)),
        )

    def rounded(self, rounding: Rounding) -> "Tensor":
        stairs = self.stairs or Stairs()
        if stairs.rounding is None:
            return replace(self, stairs=replace(stairs, rounding=rounding))
        if _is_whole(stairs.scale).all() and _is_whole(stairs.zero).all():
            return self
        raise SignbitError("rounds what was rounded to another grid before")

    def step(self, threshold, is_strict: bool = False) -> "Tensor":
        """1 where the real number is at least `threshold`, or above it where `is_strict`, else 0."""
        stairs, threshold = self.stairs or Stairs(), self.constant(threshold)
        if stairs.rounding is not None:
            return self._step_of_steps(threshold, is_strict)
        reachable = (stairs.low < threshold) & (threshold <= stairs.high)
        if not reachable.all():
            raise SignbitError("compares with a number that a clamp before it keeps away; leave the clamp out")
        moved = replace(self, stairs=None).affine(1.0, -threshold)
        return moved.rounded(Rounding.ABOVE_0 if is_strict else Rounding.AT_LEAST_0)

    def sign(self) -> "Tensor":
        """-1, 0 or +1."""
        stairs = self.stairs or Stairs()
        if stairs.rounding is None:
            return replace(self.step(0.0), stairs=Stairs(rounding=Rounding.SIGN))
        return self._step_of_steps(0.0, False).affine(2.0, -1.0)

    def _step_of_steps(self, threshold, is_strict: bool) -> "Tensor":
        """A comparison of a sign, which has two or three values, with a threshold that lies between two of them."""
        stairs = self.stairs
        levels = {Rounding.SIGN: (-1, 0, 1)}.get(stairs.rounding, (0, 1))
        if stairs.rounding not in STEPS:
            raise SignbitError("takes the sign of a rounded number; take it of the number itself")
        ups = []
        for level in levels:
            reals = stairs.scale * level + stairs.zero - threshold
            ups.append(reals > 0 if is_strict else reals >= 0)
        if len({bool(np.all(up)) for up in ups}) != 2 or any(np.any(up) != np.all(up) for up in ups):
            raise SignbitError("has one sign for all values")
        ups = [bool(np.all(up)) for up in ups]
        falling = ups[0]
        if len(levels) == 2:
            plain = replace(stairs, scale=np.array(1.0), zero=np.array(0.0))
        else:
            rounding = Rounding.AT_LEAST_0 if ups[1] != ups[0] else Rounding.ABOVE_0
            plain = Stairs(rounding=rounding)
        stepped = replace(self, stairs=plain)
        return stepped.affine(-1.0, 1.0) if falling else stepped

    def constant(self, array) -> np.ndarray:
        """`array` as float64 that broadcasts to the tensor."""
        array = np.asarray(array, np.float64)
        if array.size == 1:
            return array.reshape(())
        if np.broadcast_shapes(array.shape, self.shape) != self.shape:
            raise SignbitError(f"joins a tensor of {self.shape} and a constant of {array.shape}")
        return array

    # -- shapes --------------------------------------------------------------------------------------------------

    def moved(self, move: Callable[[np.ndarray], np.ndarray]) -> "Tensor":
        """The numbers in another order or shape."""

        def each(array):
            return move(np.broadcast_to(array, self.shape)) if np.size(array) > 1 else array

        stairs = self.stairs
        if stairs is not None:
            fields = {name: each(getattr(stairs, name)) for name in ("low", "high", "scale", "zero")}
            stairs = replace(stairs, **fields)
        order = move(self.order)
        if order.shape[0] != 1:
            raise SignbitError(f"moves the batch: {self.shape} becomes {order.shape}")
        return replace(self, order=order, gain=each(self.gain), offset=each(self.offset), stairs=stairs)

    def per_channel(self, array) -> np.ndarray:
        """One number per channel of v, shape (channels,), of an array that broadcasts to the tensor."""
        count = self.channels
        if np.size(array) == 1:
            return np.full(count, np.asarray(array).reshape(()))
        whole = np.empty(self.order.size)
        whole[self.order.ravel()] = np.broadcast_to(array, self.shape).ravel()
        rows = whole.reshape(-1, count)
        if np.ptp(rows, axis=0).any():
            raise SignbitError("has constants that differ between the pixels of a channel; use one for each channel")
        return rows[0]

    def spread(self, vector: np.ndarray) -> np.ndarray:
        """The inverse of `per_channel`."""
        return vector[self.order % self.channels]


@dataclass(frozen=True, eq=False)
class Difference:
    """left - right, which only an addition of `right` may read: so straight-through estimators are written."""

    left: Tensor
    right: Tensor


def canonical(shape: Shape) -> np.ndarray:
    """Places of an image (H, W, C) as the graph has it, (1, C, H, W), or of a vector, (1, n)."""
    places = np.arange(size_of(shape), dtype=np.int32).reshape(shape)
    return (places.transpose(2, 0, 1) if len(shape) == 3 else places)[None]


def _is_whole(array) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return np.abs(array - np.rint(array)) <= ON_GRID


def _line(end, factor, term):
    """factor * end + term; `end` may be infinite, and 0 times that is 0."""
    with np.errstate(invalid="ignore"):
        return np.where(factor == 0, 0.0, end * factor) + term
