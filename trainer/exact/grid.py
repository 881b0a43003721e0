"""Gradients on a grid of powers of two, so that a sum is the same in every order.

Floating-point addition rounds, so a matrix product's last bits depend on the order of its sums: on the BLAS, its
kernel for the processor, the number of threads.  One flipped bit in a gradient flips a weight's sign some steps
later, and two machines train two networks.  Sums of whole numbers below 2^24 are exact in float32 in any order.
Forward passes are such sums already (integers times +-1).  Backward passes become so when each gradient is rounded to
a multiple of a power of two, coarse enough that no sum of a layer can reach 2^24 of them.
"""

import numpy as np

from signbit.trainer.exact.buffers import Buffers

EXACT = 2.0**24
"""Whole numbers up to here, and so their sums, are exact in float32."""


class Grid:
    """Rounds a layer's gradients; `factor` is the largest number that a gradient gets multiplied by before a sum.

    The grid's step 2^exponent follows the gradients: it doubles when a sum might not be exact, and halves when
    three quarters of the range were free.
    """

    def __init__(self, factor: float):
        self.limit = np.floor(EXACT / factor)
        self.exponent: int | None = None
        self._buffers = Buffers()

    def round(self, gradient: np.ndarray) -> np.ndarray:
        """`gradient` (batch, ..., features) rounded in place.

        Afterwards, in units of the step, sum |gradient| is below EXACT / factor over all rows for each feature (the
        sums of weight gradients), and below EXACT for each sample (those of the gradient that is passed back).
        Too large a sum is noticed in any order of adding: rounding is monotone and EXACT a float32.
        """
        if self.exponent is None:
            _, exponent = np.frexp(np.abs(gradient).max())
            self.exponent = max(int(exponent) - 24, -100)
        rounded = self._buffers.take("rounded", gradient.shape, gradient.dtype)
        magnitude = self._buffers.take("magnitude", gradient.shape, gradient.dtype)
        while True:
            np.multiply(gradient, 2.0**-self.exponent, out=rounded)
            np.rint(rounded, out=rounded)
            np.abs(rounded, out=magnitude)
            largest = self._largest_sum(magnitude)
            if largest < self.limit or not np.isfinite(largest):
                break
            self.exponent += 1
        np.multiply(rounded, 2.0**self.exponent, out=gradient)
        if largest < self.limit / 4 and self.exponent > -100:
            self.exponent -= 1
        return gradient

    def _largest_sum(self, magnitude: np.ndarray) -> float:
        rows = magnitude.reshape(-1, magnitude.shape[-1])
        over_rows = np.ones((1, len(rows)), rows.dtype) @ rows
        over_sample = magnitude.reshape(len(magnitude), -1) @ np.ones(magnitude[0].size, rows.dtype)
        return max(float(over_rows.max()), float(over_sample.max()) * (self.limit / EXACT))
