"""Convolutions of few channels on Cortex-M0 and M0+: tables of windows."""

from typing import Any, ClassVar

import numpy as np

from signbit.codegen.kernels.base import BYTES, CArray, Job, Piece, activation_arrays, output_step
from signbit.codegen.kernels.listing import Run
from signbit.codegen.kernels.m0 import conv_assembly as assembly
from signbit.codegen.kernels.m0.conv_lut import (
    CAPACITY,
    Layout,
    _column_piece,
    _constant_shift,
    _offsets,
    _places,
    _pool_runs,
    _pooled_places,
    _shared,
    _table_bytes,
    _unit_piece,
    _units,
)
from signbit.codegen.kernels.m0.outputs import FinishingKernel
from signbit.qmodel.layers import Conv2D
from signbit.qmodel.value import WORD_BYTES, size_of


class ConvWindows(FinishingKernel):
    """Tables of the inputs under each row of the kernel, for few channels."""

    layer = Conv2D
    reads = BYTES
    TAPS_MAX: ClassVar[int] = 5

    def fits(self, job: Job) -> bool:
        height, width = job.layer.kernel
        return height <= self.TAPS_MAX and width * job.input_shape[2] <= max(CAPACITY.values())

    def arrays(self, job: Job) -> tuple[CArray, ...]:
        sizes, rows = self._cut(job)
        height = job.layer.kernel[0]
        bits = np.zeros((rows, 1, height, sum(sizes)), np.int64)
        bits[: len(job.rows), 0, :, : job.layer.fan_in // height] = (job.rows > 0).reshape(len(job.rows), height, -1)
        offsets = _offsets(bits, Layout(1, sizes, job.neurons, rows, 0, 0))
        weights = CArray("weights", "uint8_t", offsets.astype(np.uint8))
        return (weights, *activation_arrays(job, -self._constant(job)))

    def values(self, job: Job) -> dict[str, Any]:
        sizes, rows = self._cut(job)
        _, width, channels = job.input_shape
        height, kernel_width = job.layer.kernel
        window = job.layer.window
        places = _places(job)
        row_inputs = kernel_width * channels
        always_copies = row_inputs < sum(sizes)
        unit_piece, column_piece = self._functions(job)
        return {
            "unit": unit_piece.symbol,
            "column": column_piece.symbol,
            "unit_inputs": sum(sizes),
            "row_inputs": row_inputs,
            "groups": len(sizes),
            "last_group": len(sizes) - 1,
            "starts": [sum(sizes[:group]) for group in range(len(sizes))],
            "bases": 2 * height - 1,
            "table_bytes": _table_bytes(sizes),
            "last_slot": height - 1,
            "table_words": height * _table_bytes(sizes) // WORD_BYTES,
            "constant": self._constant(job),
            "rows": rows,
            "pixel_bytes": WORD_BYTES * rows,
            "block_bytes": 4 * height * len(sizes),
            "columns": places[1],
            "row_count": places[0],
            "first_row": -window.padding[0],
            "end_row": (places[0] - 1) * window.stride[0] + height - window.padding[0],
            "last_side": width - kernel_width,
            "top_bytes": window.padding[0] * width * channels,
            "image_row_bytes": width * channels,
            "last_pool_column": window.pool[1] - 1,
            "output_row_step": job.output_shape[1] * output_step(job),
            "copies": any(window.padding) or always_copies,
            "always_copies": always_copies,
        }

    def pieces(self, job: Job) -> tuple[Piece, ...]:
        return (*super().pieces(job), *_shared(job), *self._functions(job))

    def _functions(self, job: Job) -> tuple[Piece, Piece]:
        sizes, _ = self._cut(job)
        return _unit_piece("m0_window", sizes, _constant_shift(job), job.input_shift), _column_piece(
            "m0_rows", job.layer.kernel[0], 1, len(sizes), fresh=True
        )

    def scratch_bytes(self, job: Job) -> int:
        sizes, rows = self._cut(job)
        pooled = job.output_shape[0] * job.neurons if job.layer.window.pool != (1, 1) else 0
        return job.layer.kernel[0] * _table_bytes(sizes) + WORD_BYTES * (rows + pooled)

    def runs(self, job: Job) -> list[Run]:
        unit, column = (piece.values["listing"] for piece in self._functions(job))
        return [
            *super().runs(job),
            unit.run(self._windows(job)),
            assembly.column_run(column, size_of(_places(job)), 1, self._cut(job)[1]),
            *_pool_runs(job, self.tiles(job)),
        ]

    def terms(self, job: Job) -> dict[str, float]:
        inputs = sum(self._cut(job)[0])
        always = job.layer.fan_in // job.layer.kernel[0] < inputs
        copied = self._windows(job) if always else self._border_windows(job)
        return super().terms(job) | {
            "column": _places(job)[1],
            "window": self._windows(job),
            "padded window": self._windows(job) * any(job.layer.window.padding),
            "copy": copied,
            "copied": copied * inputs,
            "divided": copied * inputs * (job.input_shape[2] > 1),
            "place": size_of(_places(job)),
            "pooled place": _pooled_places(job),
            "output pixel": size_of(job.output_shape[:2]),
        }

    def _windows(self, job: Job) -> int:
        """Windows that get tables."""
        rows, columns = _places(job)
        return columns * ((rows - 1) * job.layer.window.stride[0] + job.layer.kernel[0])

    @staticmethod
    def _border_windows(job: Job) -> int:
        """Windows that are not wholly inside the image."""
        rows, columns = _places(job)
        top, _, left, _ = job.layer.window.padding
        stride_y, stride_x = job.layer.window.stride
        height, width = job.layer.kernel
        ys = np.arange((rows - 1) * stride_y + height) - top
        xs = np.arange(columns) * stride_x - left
        inside_y = ((ys >= 0) & (ys < job.input_shape[0])).sum()
        inside_x = ((xs >= 0) & (xs + width <= job.input_shape[1])).sum()
        return int(len(ys) * len(xs) - inside_y * inside_x)

    @staticmethod
    def _cut(job: Job) -> tuple[tuple[int, ...], int]:
        """Sizes of the groups in a kernel's row, and the one-bit rows, padded to a multiple of 4."""
        inputs = job.layer.kernel[1] * job.input_shape[2]
        groups = min(count for count in CAPACITY if CAPACITY[count] >= inputs)
        return _units(inputs, groups)[1], -(-len(job.rows) // 4) * 4

    @staticmethod
    def _constant(job: Job) -> int:
        return job.layer.kernel[0] * (2 << _constant_shift(job))


KERNELS = (ConvWindows(),)
