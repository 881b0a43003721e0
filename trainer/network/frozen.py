"""A layer with the microcontroller's own integers in place of batch norm and activation."""

from dataclasses import dataclass

import numpy as np

from signbit.qmodel.activations import Activation, Logits, Requantize, Sign
from signbit.trainer.exact.grid import Grid
from signbit.trainer.network.layer import Layer, Mode


@dataclass(frozen=True, eq=False)
class Folded:
    """The integers of one layer (`signbit.trainer.learning.fold`), and what the float side needs besides them."""

    integers: Activation
    shift: int
    """An output of 1 before the shift is worth 2^-shift; 0 for a sign activation."""
    slope: np.ndarray
    """d output / d acc of each neuron, float64 (neurons,)."""


class IntegerActivation(Layer):
    """y = what `qmodel` computes from accumulators with frozen multipliers, biases and shift -- SPEC 4 to 6.

        hidden, ReLU   clamp((acc * M + B) >> s, 0, high)
        hidden, sign   +1 if direction * acc >= T else -1
        last layer     (acc * M + B) * 2^-s: the logits' real values

    Forward passes are the integer model's, so only latent weights learn.  The gradient passes straight through the
    rounding: dx = dy * slope where a ReLU is not at an end of its range and a sign's normalized input is within -1..1.
    """

    def __init__(self, folded: Folded, factor: float | None):
        """`factor`: the largest input of the layer before, as in `signbit.trainer.network.layers.BatchNorm`."""
        super().__init__()
        self.folded = folded
        self.grid = None if factor is None else Grid(factor)

    def forward(self, x: np.ndarray, mode: Mode) -> np.ndarray:
        integers, acc = self.folded.integers, x.astype(np.int32)
        if isinstance(integers, Sign):
            distance = acc * integers.direction.astype(np.float64) - integers.threshold
            self._passes = np.abs(distance * self.folded.slope) <= 1
            return integers.run(acc).astype(x.dtype)
        unit = 2.0**-self.folded.shift
        if isinstance(integers, Logits):
            self._passes = True
            # whole numbers below 2^31 times a power of two: exact in float64, so no false tie appears
            logits = integers.run(acc) * unit
            return logits.astype(x.dtype) if mode is Mode.TRAIN else logits
        return self._requantize(integers, acc, unit, mode).astype(x.dtype)

    def _requantize(self, integers: Requantize, acc: np.ndarray, unit: float, mode: Mode) -> np.ndarray:
        # the bias carries the rounding half
        real = Logits(integers.multiplier, integers.bias).run(acc) * unit - 0.5
        self._passes = (real > 0) & (real < integers.high)
        return np.clip(real, 0, integers.high) if mode is Mode.UNROUNDED else integers.run(acc)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        dx = np.multiply(dy, self._passes)
        dx *= self.folded.slope.astype(dy.dtype)
        return dx if self.grid is None else self.grid.round(dx)
