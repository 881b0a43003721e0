"""What makes a few numbers of real ones: clamps, quantizers, and steps at 0."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import numpy as np

from signbit.qmodel.errors import SignbitError

ON_GRID = 1e-4
"""How far a number may lie from a whole one, in levels, that float32 was meant to hold exactly."""
LEVELS_MAX = 256


class Rounding(Enum):
    """What turns a real number x into a whole one."""

    FLOOR = "down"
    NEAREST = "to nearest, halves to even"


@dataclass(frozen=True, eq=False)
class Stairs:
    """scale * round(clamp(x, low, high)) + zero, of a real number x; without `rounding` scale is 1 and zero 0."""

    low: np.ndarray | float = -np.inf
    high: np.ndarray | float = np.inf
    rounding: Rounding | None = None
    scale: np.ndarray | float = 1.0
    zero: np.ndarray | float = 0.0

    @property
    def arrays(self) -> tuple:
        return self.low, self.high, self.scale, self.zero

    @property
    def slope(self):
        """Below 0 where the numbers fall as x rises."""
        return self.scale

    def each(self, function: Callable) -> "Stairs":
        """With `function` of every array: another shape or order of the same numbers."""
        low, high, scale, zero = (function(array) for array in self.arrays)
        return Stairs(low, high, self.rounding, scale, zero)

    def affine(self, factor, term) -> "Stairs":
        """Stairs of factor * x + term where nothing is rounded; else the line is that of what comes out."""
        if self.rounding is not None:
            return Stairs(self.low, self.high, self.rounding, self.scale * factor, self.zero * factor + term)
        ends = [_line(end, factor, term) for end in (self.low, self.high)]
        return Stairs(np.minimum(*ends), np.maximum(*ends))

    def clamp(self, low, high) -> "Stairs":
        if self.rounding is not None:
            ends = [_line(end, 1 / self.scale, -self.zero / self.scale) for end in (low, high)]
            low, high = np.minimum(*ends), np.maximum(*ends)
            if not all((np.isinf(end) | is_whole(end)).all() for end in (low, high)):
                raise SignbitError("cuts between two levels; clamp to one of them")
        ends = np.clip(self.low, low, high), np.clip(self.high, low, high)
        return Stairs(*ends, self.rounding, self.scale, self.zero)

    def rounded(self, rounding: Rounding) -> "Stairs":
        if self.rounding is None:
            return Stairs(self.low, self.high, rounding)
        if is_whole(self.scale).all() and is_whole(self.zero).all():
            return self
        raise SignbitError("rounds what was rounded to another grid before")

    def at(self, x: np.ndarray) -> np.ndarray:
        """What comes out for real numbers x."""
        level = np.clip(x, self.low, self.high)
        if self.rounding is not None:
            level = np.rint(level) if self.rounding is Rounding.NEAREST else np.floor(level + ON_GRID / 10)
        return self.scale * level + self.zero

    def levels(self, least: float, most: float) -> tuple[int, int]:
        """The first and the last level of real numbers from `least` to `most`."""
        ends = []
        for bound, reached in ((self.low, least), (self.high, most)):
            if np.min(bound) != np.max(bound):
                raise SignbitError("clamps each channel at another place; use one range for all")
            bound = np.max(bound)
            end = reached if np.isinf(bound) else bound
            ends.append(int(np.rint(end) if self.rounding is Rounding.NEAREST else np.floor(end + ON_GRID)))
        first, last = ends
        if not 2 <= last - first + 1 <= LEVELS_MAX:
            raise SignbitError(
                f"its inputs are quantized to {last - first + 1:,} levels; clamp them to 2 to {LEVELS_MAX}"
            )
        return first, last


@dataclass(frozen=True, eq=False)
class Step:
    """`below` where x < 0, `zero` where x = 0, `above` where x > 0; other functions of it are steps, too."""

    below: np.ndarray | float
    zero: np.ndarray | float
    above: np.ndarray | float

    @property
    def arrays(self) -> tuple:
        return self.below, self.zero, self.above

    @property
    def slope(self):
        """Below 0 where the numbers fall as x rises."""
        return self.above - self.below

    def each(self, function: Callable, *others: "Step") -> "Step":
        """function of what comes out, and of what comes out of others of the same x."""
        return Step(*(function(*numbers) for numbers in zip(self.arrays, *(o.arrays for o in others), strict=True)))

    def affine(self, factor, term) -> "Step":
        return self.each(lambda number: number * factor + term)

    def clamp(self, low, high) -> "Step":
        return self.each(lambda number: np.clip(number, low, high))

    def rounded(self, rounding: Rounding) -> "Step":
        return self.each(np.rint if rounding is Rounding.NEAREST else np.floor)

    def at(self, x: np.ndarray) -> np.ndarray:
        return np.where(x > 0, self.above, np.where(x < 0, self.below, self.zero))


def is_whole(array) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return np.abs(array - np.rint(array)) <= ON_GRID


def _line(end, factor, term):
    """factor * end + term; `end` may be infinite, and 0 times that is 0."""
    with np.errstate(invalid="ignore"):
        return np.where(factor == 0, 0.0, end * factor) + term
