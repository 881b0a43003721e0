"""Convolutions as one matrix product over patches of the image (im2col)."""

import numpy as np

from signbit.qmodel import layers as integer_layers
from signbit.qmodel.activations import Activation
from signbit.qmodel.layer import Layer as IntegerLayer
from signbit.qmodel.window import Window
from signbit.trainer.network.layer import Mode
from signbit.trainer.network.weights import Weighted

CHUNK = 250
"""Images whose patches are made at once outside of training: patches are kernel height x width times larger."""


class _Windowed(Weighted):
    """What both convolutions share: padding, places and patches.

    Each output reads `depth` channels of its patch; W is (kernel height * width * depth, outputs).  `window` gives
    strides and padding; its pool is another layer (`MaxPool`).
    """

    def __init__(
        self,
        depth: int,
        outputs: int,
        kernel: tuple[int, int],
        window: Window,
        binarize: str,
        rng: np.random.Generator,
        dtype=np.float32,
        ternary: bool = False,
        one_bit: bool = False,
    ):
        super().__init__(kernel[0] * kernel[1] * depth, outputs, binarize, rng, dtype, ternary)
        self.depth, self.outputs, self.kernel, self.window, self.one_bit = depth, outputs, kernel, window, one_bit

    def _places(self, x: np.ndarray) -> tuple[int, int]:
        return self.window.accumulator_shape(x.shape[1:], self.kernel)

    def _padded(self, x: np.ndarray, mode: Mode) -> np.ndarray:
        """`x` with its border; a pixel of padding is 0, or -1 among one-bit inputs -- SPEC 3."""
        top, bottom, left, right = self.window.padding
        if not any(self.window.padding):
            return x
        batch, height, width, channels = x.shape
        shape = (batch, height + top + bottom, width + left + right, channels)
        padded = self.buffers.take("padded", shape, x.dtype, mode is Mode.TRAIN)
        padded[...] = -1 if self.one_bit else 0
        padded[:, top : top + height, left : left + width] = x
        return padded

    def _shifted(self, padded: np.ndarray, u: int, v: int, places: tuple[int, int]) -> np.ndarray:
        """View of the pixels under the kernel's tap (u, v), one for each place."""
        (stride_y, stride_x), (rows, columns) = self.window.stride, places
        return padded[:, u : u + stride_y * rows : stride_y, v : v + stride_x * columns : stride_x][:, :rows, :columns]

    def _taps(self) -> list[tuple[int, int, int]]:
        """(index, u, v) of each tap of the kernel, in the weights' order."""
        height, width = self.kernel
        return [(u * width + v, u, v) for u in range(height) for v in range(width)]

    def _cropped(self, padded: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        top, _, left, _ = self.window.padding
        return padded[:, top : top + shape[1], left : left + shape[2]]


class Conv2D(_Windowed):
    """y[n, i, j] = patch of x at (i, j), flattened in (height, width, channel) order, @ W (+ b in a float network).

    The depth is the number of channels.  Patches are copied into one matrix, so that the whole batch is one product.
    """

    def forward(self, x: np.ndarray, mode: Mode) -> np.ndarray:
        weights = self.weights(mode)
        self._input_shape = x.shape
        places = self._places(x)
        y = self.buffers.take("y", (len(x), *places, self.outputs), x.dtype, mode is Mode.TRAIN)
        chunk = len(x) if mode is Mode.TRAIN else CHUNK
        for start in range(0, len(x), chunk):
            part = slice(start, start + chunk)
            self._patches = self._patch_matrix(x[part], places, mode)
            np.matmul(self._patches, weights, out=y[part].reshape(-1, self.outputs))
        if self.bias is not None:
            y += self.bias.value
        return y

    def backward(self, dy: np.ndarray, wants_dx: bool = True) -> np.ndarray | None:
        """Needs a TRAIN pass before it (other modes keep the patches of their last chunk only)."""
        rows = dy.reshape(-1, self.outputs)
        np.matmul(self._patches.T, rows, out=self.weight.gradient)
        self.bias_backward(rows)
        if not wants_dx:
            return None
        batch, height, width, channels = self._input_shape
        top, bottom, left, right = self.window.padding
        taps = self._taps()
        # one product per tap: its results lie together, and adding them runs over whole rows of the image
        by_tap = self.buffers.take("by_tap", (len(taps), len(rows), channels), dy.dtype)
        kernels = self._used.reshape(len(taps), channels, self.outputs).transpose(0, 2, 1)
        np.matmul(rows[np.newaxis], kernels, out=by_tap)
        dx = self.buffers.take("dx", (batch, height + top + bottom, width + left + right, channels), dy.dtype)
        dx[...] = 0
        places = dy.shape[1:3]
        for tap, u, v in taps:
            view = self._shifted(dx, u, v, places)
            view += by_tap[tap].reshape(view.shape)
        return self._cropped(dx, self._input_shape)

    def integer_layer(self, activation: Activation) -> IntegerLayer:
        kernels = self.rows.reshape(-1, *self.kernel, self.depth)
        return integer_layers.Conv2D(kernels, activation, self.window)

    def _patch_matrix(self, x: np.ndarray, places: tuple[int, int], mode: Mode) -> np.ndarray:
        padded = self._padded(x, mode)
        height, width = self.kernel
        stride_y, stride_x = self.window.stride
        batch, row, column, channel = padded.strides
        if channel * self.depth == column:
            # a row of the kernel is contiguous in the image: longer runs to copy
            shape, strides = (height, width * self.depth), (row, channel)
        else:
            shape, strides = (height, width, self.depth), (row, column, channel)
        view = np.lib.stride_tricks.as_strided(
            padded, (len(x), *places, *shape), (batch, row * stride_y, column * stride_x, *strides), writeable=False
        )
        patches = self.buffers.take("patches", view.shape, x.dtype, mode is Mode.TRAIN)
        np.copyto(patches, view)
        return patches.reshape(-1, height * width * self.depth)


class DepthwiseConv2D(_Windowed):
    """y[n, i, j, c] = sum_uv x[n, i * stride + u, j * stride + v, c] * W[(u, v), c]: a kernel for each channel.

    The depth is 1, and each channel is an output.  No matrix product fits; each tap is one multiplication of arrays.
    """

    def forward(self, x: np.ndarray, mode: Mode) -> np.ndarray:
        weights = self.weights(mode)
        self._input_shape = x.shape
        self._x = self._padded(x, mode)
        places = self._places(x)
        y = self.buffers.take("y", (len(x), *places, self.outputs), x.dtype, mode is Mode.TRAIN)
        product = self.buffers.take("product", y.shape, x.dtype, mode is Mode.TRAIN)
        y[...] = 0 if self.bias is None else self.bias.value
        for tap, u, v in self._taps():
            y += np.multiply(self._shifted(self._x, u, v, places), weights[tap], out=product)
        return y

    def backward(self, dy: np.ndarray, wants_dx: bool = True) -> np.ndarray | None:
        product = self.buffers.take("product", dy.shape, dy.dtype)
        rows = product.reshape(-1, self.outputs)
        ones = np.ones((1, len(rows)), dy.dtype)
        places = dy.shape[1:3]
        self.bias_backward(dy)
        for tap, u, v in self._taps():
            np.multiply(self._shifted(self._x, u, v, places), dy, out=product)
            np.matmul(ones, rows, out=self.weight.gradient[tap : tap + 1])
        if not wants_dx:
            return None
        dx = self.buffers.take("dx", self._x.shape, dy.dtype)
        dx[...] = 0
        for tap, u, v in self._taps():
            view = self._shifted(dx, u, v, places)
            view += np.multiply(dy, self._used[tap], out=product)
        return self._cropped(dx, self._input_shape)

    def integer_layer(self, activation: Activation) -> IntegerLayer:
        return integer_layers.DepthwiseConv2D(self.rows.reshape(-1, *self.kernel), activation, self.window)
