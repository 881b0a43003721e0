"""Pools: the largest accumulator of a window, and the rounded mean of one."""

import numpy as np

from signbit.qmodel.layers import AveragePool as IntegerAveragePool
from signbit.trainer.exact.grid import Grid
from signbit.trainer.network.layer import Layer, Mode, Weightless


class MaxPool(Layer):
    """y = maximum over windows of `size`, which is also the stride; rows and columns that fill none are dropped.

    It comes before batch norm, as in the integer model.  The gradient goes to the first maximum of the window.
    Rows are pooled first, then columns: two short passes over views instead of one over windows.
    """

    def __init__(self, size: tuple[int, int]):
        super().__init__()
        self.size = size

    def forward(self, x: np.ndarray, mode: Mode) -> np.ndarray:
        self._x = x
        self._rows = self._maximum(x, 1, mode)
        self._y = self._maximum(self._rows, 2, mode)
        return self._y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        rows = self._spread(dy, self._y, self._rows, 2)
        return self._spread(rows, self._rows, self._x, 1)

    def _maximum(self, x: np.ndarray, axis: int, mode: Mode) -> np.ndarray:
        size = self.size[axis - 1]
        shape = (*x.shape[:axis], x.shape[axis] // size, *x.shape[axis + 1 :])
        y = self.buffers.take(f"y{axis}", shape, x.dtype, mode is Mode.TRAIN)
        first, *others = self._views(x, axis)
        np.copyto(y, first)
        for view in others:
            np.maximum(y, view, out=y)
        return y

    def _spread(self, dy: np.ndarray, y: np.ndarray, x: np.ndarray, axis: int) -> np.ndarray:
        """dx of the pool along `axis`, y = max of x."""
        dx = self.buffers.take(f"dx{axis}", x.shape, dy.dtype)
        rest = self.buffers.take(f"rest{axis}", dy.shape, dy.dtype)
        is_maximum = self.buffers.take(f"is_maximum{axis}", dy.shape, bool)
        np.copyto(rest, dy)
        if x.shape[axis] % self.size[axis - 1]:
            dx[...] = 0
        *targets, last = self._views(dx, axis)
        for view, target in zip(self._views(x, axis), targets, strict=False):
            np.equal(view, y, out=is_maximum)
            np.multiply(rest, is_maximum, out=target)
            rest -= target
        # the last element has what no other took
        np.copyto(last, rest)
        return dx

    def _views(self, array: np.ndarray, axis: int) -> list[np.ndarray]:
        """The window's elements along `axis`, each for all windows."""
        size = self.size[axis - 1]
        full = array.shape[axis] // size * size
        before = (slice(None),) * axis
        return [array[(*before, slice(k, full, size))] for k in range(size)]


class AveragePool(Weightless):
    """y = the mean over windows, rounded exactly as the integer model does -- SPEC 4.

    Rounding is passed straight through.  The mean of n values has no power-of-two grid, so its gradient gets one
    (`signbit.trainer.exact.grid`).
    """

    def __init__(self, integer: IntegerAveragePool, is_float: bool = False):
        super().__init__(integer, is_float)
        self.size = integer.size
        self.grid = None if is_float else Grid(integer.high)

    def forward(self, x: np.ndarray, mode: Mode) -> np.ndarray:
        self._input_shape = x.shape
        if self.is_float or mode is Mode.UNROUNDED:
            return self._windows(x).mean(axis=(2, 4))
        return self.integer.run([x], []).astype(x.dtype)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        dy = dy * dy.dtype.type(1 / (self.size[0] * self.size[1]))
        if self.grid is not None and dy.dtype == np.float32:
            self.grid.round(dy)
        dx = np.zeros(self._input_shape, dy.dtype)
        self._windows(dx)[...] = dy[:, :, np.newaxis, :, np.newaxis]
        return dx

    def _windows(self, x: np.ndarray) -> np.ndarray:
        """View (batch, rows, window height, columns, window width, channels)."""
        batch, height, width, channels = x.shape
        rows, columns = height // self.size[0], width // self.size[1]
        shape = (batch, rows, self.size[0], columns, self.size[1], channels)
        s = x.strides
        strides = (s[0], s[1] * self.size[0], s[1], s[2] * self.size[1], s[2], s[3])
        return np.lib.stride_tricks.as_strided(x, shape, strides)
