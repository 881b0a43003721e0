"""How a convolution's kernel moves over an image."""

from dataclasses import dataclass

import numpy as np

from signbit.qmodel.activations import whole_number
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.value import Shape

SIDE_MAX = 255
"""Largest kernel, stride, padding and pool."""


@dataclass(frozen=True, eq=False)
class Window:
    """How a kernel moves over an image: its strides, the padding around the image, and the max-pool after it.

    `padding` is (top, bottom, left, right); a pixel of padding is 0, or -1 among one-bit inputs.  `pool` is the
    window (height, width) over which accumulators are maximized, with the same stride; (1, 1) is none.  Rows and
    columns that do not fill a window are dropped.
    """

    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    pool: tuple[int, int] = (1, 1)

    def accumulator_shape(self, input_shape: Shape, kernel: tuple[int, int]) -> tuple[int, int]:
        """Height and width of the accumulator map, before the pool."""
        top, bottom, left, right = self.padding
        height = (input_shape[0] + top + bottom - kernel[0]) // self.stride[0] + 1
        width = (input_shape[1] + left + right - kernel[1]) // self.stride[1] + 1
        return height, width

    def output_shape(self, input_shape: Shape, kernel: tuple[int, int]) -> tuple[int, int]:
        height, width = self.accumulator_shape(input_shape, kernel)
        return height // self.pool[0], width // self.pool[1]

    def patches(self, inputs: np.ndarray, kernel: tuple[int, int], outside: int) -> np.ndarray:
        """View of every patch the kernel sees: (batch, height, width, channels, kernel height, kernel width)."""
        top, bottom, left, right = self.padding
        widths = ((0, 0), (top, bottom), (left, right), (0, 0))
        padded = np.pad(inputs, widths, constant_values=outside)
        windows = np.lib.stride_tricks.sliding_window_view(padded, kernel, axis=(1, 2))
        return windows[:, :: self.stride[0], :: self.stride[1]]

    def maximum(self, acc: np.ndarray) -> np.ndarray:
        """Max-pool of accumulators (batch, height, width, neurons) -- SPEC 3."""
        height, width = self.pool
        rows, columns = acc.shape[1] // height, acc.shape[2] // width
        cut = acc[:, : rows * height, : columns * width]
        return cut.reshape(len(acc), rows, height, columns, width, -1).max(axis=(2, 4))

    def transposed(self) -> "Window":
        """The window for images whose rows are this one's columns."""
        top, bottom, left, right = self.padding
        return Window(self.stride[::-1], (left, right, top, bottom), self.pool[::-1])

    def check(self, input_shape: Shape, kernel: tuple[int, int]) -> None:
        if len(input_shape) != 3:
            raise SignbitError(f"needs an image (height, width, channels), but gets {input_shape}")
        largest = max(*kernel, *self.stride, *self.padding, *self.pool)
        if largest > SIDE_MAX:
            raise SignbitError(f"has a side of {largest} in its window, but can have at most {SIDE_MAX}")
        if min(self.output_shape(input_shape, kernel)) < 1:
            raise SignbitError(f"its window is larger than its input of {input_shape}")

    def settings(self) -> dict:
        return {"stride": list(self.stride), "padding": list(self.padding), "pool": list(self.pool)}

    @classmethod
    def restore(cls, settings: dict) -> "Window":
        return cls(sides(settings, "stride", 2), sides(settings, "padding", 4, low=0), sides(settings, "pool", 2))


PLAIN = Window()
"""Stride 1, no padding, no pool."""


def sides(settings: dict, name: str, count: int, low: int = 1) -> tuple[int, ...]:
    """A list of `count` lengths in low..SIDE_MAX."""
    values = settings.get(name)
    if not isinstance(values, list) or len(values) != count:
        raise SignbitError(f"{name} is {values!r}, but must be a list of {count} whole numbers")
    return tuple(whole_number({name: value}, name, low, SIDE_MAX) for value in values)
