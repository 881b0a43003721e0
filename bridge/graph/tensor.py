"""A tensor of the graph, as whole numbers of the integer model and the real numbers that they mean."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np

from signbit.bridge.graph.source import Pending, Slot, Sum
from signbit.bridge.graph.stairs import Rounding, Stairs, Step
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.value import Shape


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
    stairs: Stairs | Step | None = None
    padding: Padding | None = None
    elem_type: int = 1
    """ONNX's number of the type that the graph holds it in; 1 is float32."""

    @property
    def shape(self) -> Shape:
        return self.order.shape

    @property
    def channels(self) -> int:
        return self.source.shape[-1]

    def on(self, slot: Slot, gain, offset, stairs: Stairs | None = None) -> "Tensor":
        """The tensor with a new source in the same order."""
        return replace(self, source=slot, gain=np.asarray(gain), offset=np.asarray(offset), stairs=stairs)

    # -- arithmetic ----------------------------------------------------------------------------------------------

    @property
    def is_linear(self) -> bool:
        """No rounding and no step; a clamp, perhaps."""
        return self.stairs is None or (isinstance(self.stairs, Stairs) and self.stairs.rounding is None)

    def affine(self, factor, term) -> "Tensor":
        """factor * real + term, both of which broadcast to the tensor."""
        factor, term = self.constant(factor), self.constant(term)
        stairs = None if self.stairs is None else self.stairs.affine(factor, term)
        if not self.is_linear:
            return replace(self, stairs=stairs)
        return replace(self, gain=self.gain * factor, offset=self.offset * factor + term, stairs=stairs)

    def clamp(self, low, high) -> "Tensor":
        """The real number, but at least `low` and at most `high`."""
        return replace(self, stairs=(self.stairs or Stairs()).clamp(self.constant(low), self.constant(high)))

    def rounded(self, rounding: Rounding) -> "Tensor":
        return replace(self, stairs=(self.stairs or Stairs()).rounded(rounding))

    def compared(self, function: Callable, threshold) -> "Tensor":
        """function(real, threshold), of which only matters on which side of the threshold the real number is.

        np.sign(real - threshold) is one such function, np.greater another.
        """
        threshold = self.constant(threshold)
        if isinstance(self.stairs, Step):
            return replace(self, stairs=self.stairs.each(lambda number: 1.0 * function(number, threshold)))
        if not self.is_linear:
            raise SignbitError("takes the sign of a rounded number; take it of the number itself")
        stairs = self.stairs or Stairs()
        if not ((stairs.low <= threshold) & (threshold <= stairs.high)).all():
            raise SignbitError("compares with a number that a clamp before it keeps away; leave the clamp out")
        moved = replace(self, stairs=None).affine(1.0, -threshold)
        below, above = -1.0 * (stairs.low < threshold), 1.0 * (stairs.high > threshold)
        return replace(moved, stairs=Step(*(1.0 * function(side, 0.0) for side in (below, 0.0, above))))

    def joined(self, function: Callable, *others: "Tensor") -> "Tensor | None":
        """function of the real numbers of this and of others, where all are steps of the same x; else None."""
        if all(isinstance(each.stairs, Step) and each._has_line_of(self) for each in (self, *others)):
            return replace(self, stairs=self.stairs.each(function, *(other.stairs for other in others)))
        return None

    def _has_line_of(self, other: "Tensor") -> bool:
        pairs = ((getattr(self, name), getattr(other, name)) for name in ("order", "gain", "offset"))
        return self.source is other.source and all(np.array_equal(*pair) for pair in pairs)

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
        order = move(self.order)
        if order.shape[0] != 1:
            raise SignbitError(f"moves the batch: {self.shape} becomes {order.shape}")
        return self.rearranged(lambda array: move(np.broadcast_to(array, self.shape)), self.source, order)

    def rearranged(self, move: Callable, source: Slot | Pending | Sum, order: np.ndarray) -> "Tensor":
        """With another source and order, and `move` of each array of more than one number."""

        def each(array):
            return move(array) if np.size(array) > 1 else array

        stairs = self.stairs.each(each) if self.stairs is not None else None
        return replace(self, source=source, order=order, gain=each(self.gain), offset=each(self.offset), stairs=stairs)

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

    left: "Tensor | Unmappable"
    right: "Tensor | Unmappable"


@dataclass(frozen=True, eq=False)
class Unmappable:
    """What has no integer form, and why.  It may be subtracted and added again, as a surrogate of a gradient is."""

    reason: str


def made_of(values: Iterable) -> Unmappable | None:
    """What is made of values, or of differences of values, one of which has no integer form; else None.

    It is another value than they are, which do not cancel it out.
    """
    for value in values:
        found = made_of((value.left, value.right)) if isinstance(value, Difference) else value
        if isinstance(found, Unmappable):
            return Unmappable(found.reason)
    return None
