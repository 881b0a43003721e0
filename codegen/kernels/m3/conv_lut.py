"""Convolutions for Cortex-M3 by tables of sums: each input is read once and added to every output that sees it.

Rows of sums roll: a row begins with the first row of inputs under its kernel, and is pooled, requantized and discarded
after the last one.  What is at one column and is looked up together is a cell: the channels of a pixel, or, with
few channels, the kernel's width of pixels at a place.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from signbit.codegen.kernels.base import CArray, Job, Piece
from signbit.codegen.kernels.listing import Run
from signbit.codegen.kernels.m3.assembly import fill_run
from signbit.codegen.kernels.m3.tables import (
    ENTRY_OFFSET,
    Chunk,
    LutKernel,
    max_piece,
    parameters,
    split,
    sums_of,
    table_indices,
)
from signbit.qmodel.layers import Conv2D
from signbit.qmodel.value import size_of

ANY_BITS = (4, 5, 6, 7, 8)
CELL_BYTES_MAX = 32
"""Cells of whole kernel widths, above which each pixel is a cell."""


@dataclass(frozen=True)
class Frame:
    """Cells of one row of the image, and how outputs see them: a convolution with `taps` cells a kernel's row."""

    inputs: int
    step_bytes: int
    columns: int
    taps: int
    stride: int
    left: int

    @property
    def order(self) -> list[int]:
        """Taps in the weights' order: those through which one cell is seen, by increasing column of the output."""
        return [
            tap for phase in range(min(self.stride, self.taps)) for tap in range(phase, self.taps, self.stride)[::-1]
        ]

    @property
    def position(self) -> list[int]:
        """Position of each tap in that order."""
        return [self.order.index(tap) for tap in range(self.taps)]

    def outputs(self, column: int, count: int) -> range:
        """Columns of the output, of `count`, that see a cell."""
        padded = column + self.left
        low = max(0, -(-(padded - self.taps + 1) // self.stride))
        return range(low, min(padded // self.stride, count - 1) + 1)


class ConvLut(LutKernel):
    """Tables of sums over a pixel's channels, added to every output that sees the pixel."""

    layer = Conv2D

    def frame(self, job: Job) -> Frame:
        _, width, channels = job.input_shape
        window = job.layer.window
        return Frame(channels, channels, width, job.layer.kernel[1], window.stride[1], window.padding[2])

    def pieces(self, job: Job) -> tuple[Piece, ...]:
        block = self.block(job)
        pool = (max_piece(block.packed),) if job.layer.window.pool != (1, 1) else ()
        return (*block.pieces(self.chunks(job)), *pool)

    def inputs(self, job: Job) -> int:
        return self.frame(job).inputs

    def split(self, job: Job) -> tuple[Chunk, int, Chunk | None]:
        frame = self.frame(job)
        looks = sum(len(frame.outputs(column, self._columns(job))) for column in range(frame.columns))
        looks *= job.layer.kernel[0] / job.layer.window.stride[0]
        uses = self.block(job).padded(job.neurons) * job.planes * looks / frame.columns
        return split(frame.inputs, int(uses) + 1, ANY_BITS)

    def arrays(self, job: Job) -> tuple[CArray, ...]:
        frame = self.frame(job)
        padded = self.block(job).padded(job.neurons)
        height = job.layer.kernel[0]
        rows = job.rows.reshape(job.planes, job.neurons, height, frame.taps, frame.inputs)
        positive = np.zeros((job.planes, height, frame.taps, padded, frame.inputs), bool)
        positive[..., : job.neurons, :] = rows.transpose(0, 2, 3, 1, 4)[:, :, frame.order] > 0
        return (table_indices(self.split(job), positive), *parameters(job, sums_of(job)))

    def values(self, job: Job) -> dict[str, Any]:
        full, count, _ = self.split(job)
        frame, block, sums = self.frame(job), self.block(job), sums_of(job)
        window, height = job.layer.window, job.layer.kernel[0]
        pool_height, pool_width = window.pool
        padded = block.padded(job.neurons)
        each = 0x10001 if sums.packed else 1
        start, tap_start = sums.offset * each, ENTRY_OFFSET * self.groups(job) * each
        ring_at = self.table_words(job)
        ring_rows = -(-height // window.stride[0]) + pool_height - 1
        cell_words = block.words(job.neurons)
        row_words = self._columns(job) * cell_words
        rows_inside, columns_inside = self.rows_inside(job), self.columns_inside(job)
        each_cell_once = (frame.taps, frame.stride, frame.left) == (1, 1, 0)
        top, image_rows = window.padding[0], (self._rows(job) - 1) * window.stride[0] + height
        conditions = {
            "begun != ended": window.stride[0] > height and self._rows(job) > 1,
            f"row{f' - {top}u' if top else ''} < {job.input_shape[0]}u": top or image_rows > job.input_shape[0],
        }
        return {
            **self.finish_values(job, sums.packed),
            **self.chunk_values(job, ring_at + ring_rows * row_words),
            "maximum": max_piece(block.packed).symbol,
            "full_inputs": count * full.inputs,
            "rest_at": count * full.groups * job.planes * height * frame.taps * padded,
            "rows": self._rows(job),
            "columns": self._columns(job),
            "output_columns": job.output_shape[1],
            "image_rows": image_rows,
            "image_row_bytes": job.input_shape[1] * job.input_shape[2],
            "row_is_read": " && ".join(condition for condition, is_needed in conditions.items() if is_needed),
            "stride": window.stride[0],
            "cells": min(frame.columns, self._columns(job)) if each_cell_once else frame.columns,
            "each_cell_once": each_cell_once,
            "step_bytes": frame.step_bytes,
            "taps": frame.taps,
            "last_tap": frame.taps - 1,
            "tap_at": frame.position if frame.stride > 1 and frame.taps > 1 else None,
            "column_stride": frame.stride,
            "left": frame.left,
            "ring_at": ring_at,
            "ring_rows": ring_rows,
            "ring_words": ring_rows * row_words,
            "slot": "slot" if ring_rows > 1 else "0",
            "row_words": row_words,
            "cell_words": cell_words,
            "pool_cell_words": pool_width * cell_words,
            "last_line": pool_height - 1,
            "lines": pool_height - (pool_width == 1),
            "line_from": pool_height - 1 - (pool_width == 1),
            "uneven": len({*rows_inside}) > 1 or len({*columns_inside}) > 1,
            "rows_inside": rows_inside,
            "columns_inside": columns_inside,
            "start": start & 0xFFFFFFFF,
            "tap_start": tap_start & 0xFFFFFFFF,
            "even_start": start - tap_start * rows_inside[0] * columns_inside[0] & 0xFFFFFFFF,
        }

    def calls(self, job: Job, chunk: Chunk) -> dict[str, Any]:
        frame, window = self.frame(job), job.layer.window
        tap_bytes = self.block(job).padded(job.neurons) * chunk.groups
        plane_bytes = job.layer.kernel[0] * frame.taps * tap_bytes
        return super().calls(job, chunk) | {
            "tap_bytes": tap_bytes,
            "row_bytes": window.stride[0] * frame.taps * tap_bytes,
            "planes": range(0, job.planes * plane_bytes, plane_bytes),
            "chunk_bytes": job.planes * plane_bytes,
        }

    def rows_inside(self, job: Job) -> list[int]:
        """Rows of the kernel that lie on the image, for each row of sums."""
        window = job.layer.window
        return _inside(job.input_shape[0], self._rows(job), job.layer.kernel[0], window.stride[0], window.padding[0])

    def columns_inside(self, job: Job) -> list[int]:
        """Cells of the kernel's row that lie on the image, for each column of sums."""
        frame = self.frame(job)
        return _inside(frame.columns, self._columns(job), frame.taps, frame.stride, frame.left)

    def runs(self, job: Job) -> list[Run]:
        values, block = self.values(job), self.block(job)
        chunks, seen = self.chunks(job), self._seen(job)
        kernel_rows = sum(self.rows_inside(job)) * job.planes
        cells = self._image_rows(job) * len(seen)
        fills, fill_words = (values["columns"], "cell_words") if values["uneven"] else (1, "row_words")
        maximum = max_piece(block.packed).values["assembly"]
        return [
            fill_run(values["rows"] * fills, values[fill_words]),
            *([fill_run(1, values["copy_words"])] if values["copy_words"] else []),
            *(run for chunk, count in chunks.items() for run in chunk.build_runs(cells * count)),
            *(
                block.look_up_run(kernel_rows * count * times, block.padded(job.neurons) * outputs, chunk)
                for chunk, count in chunks.items()
                for outputs, times in Counter(seen).items()
            ),
            maximum.run(self._maxima(job), words=values["cell_words"]),
            *self.finish_runs(job, block.packed),
        ]

    def terms(self, job: Job) -> dict[str, float]:
        values, chunks, seen = self.values(job), self.chunks(job), self._seen(job)
        cells = self._image_rows(job) * len(seen)
        rows = sum(self.rows_inside(job)) * job.planes
        return super().terms(job) | {
            "row": values["image_rows"],
            "cell": self._image_rows(job) * self.frame(job).columns,
            "seen cell": cells,
            "table": cells * sum(chunk.tables * count for chunk, count in chunks.items()),
            "pass": cells * sum(chunks.values()) * job.planes,
            "look-up": rows * len(seen) * sum(chunks.values()),
            "copied": cells * values["rest_inputs"] if values["copy_words"] else 0,
            "filled": values["rows"] * (values["columns"] if values["uneven"] else 1),
            "maximum": self._maxima(job),
        }

    def _seen(self, job: Job) -> list[int]:
        """How many columns of sums see each cell that any of them sees."""
        frame, columns = self.frame(job), self._columns(job)
        return [count for column in range(frame.columns) if (count := len(frame.outputs(column, columns)))]

    def _maxima(self, job: Job) -> int:
        """Calls for the larger one of two places."""
        return self._rows(job) * self._columns(job) - size_of(job.output_shape[:2])

    def _image_rows(self, job: Job) -> int:
        """Rows of the image that some output sees."""
        top, height = job.layer.window.padding[0], job.layer.kernel[0]
        starts = range(-top, self._rows(job) * job.layer.window.stride[0] - top, job.layer.window.stride[0])
        return len({row for start in starts for row in range(start, start + height)} & set(range(job.input_shape[0])))

    def _rows(self, job: Job) -> int:
        """Rows of sums; those that fill no pool are left out."""
        return job.output_shape[0] * job.layer.window.pool[0]

    def _columns(self, job: Job) -> int:
        return job.output_shape[1] * job.layer.window.pool[1]


class ConvLutRows(ConvLut):
    """Tables of sums over the pixels under a row of the kernel, added to every output that sees them.

    For few channels, and no padding at the sides.
    """

    variant = "_rows"

    def fits(self, job: Job) -> bool:
        return job.layer.window.padding[2:] == (0, 0) and job.layer.kernel[1] * job.input_shape[2] <= CELL_BYTES_MAX

    def frame(self, job: Job) -> Frame:
        channels = job.input_shape[2]
        step_bytes = job.layer.window.stride[1] * channels
        return Frame(job.layer.kernel[1] * channels, step_bytes, self._columns(job), 1, 1, 0)


def _inside(size: int, count: int, kernel: int, stride: int, before: int) -> list[int]:
    """Places of the kernel on an image's side, for each of `count` outputs."""
    starts = [index * stride - before for index in range(count)]
    return [max(0, min(size, start + kernel) - max(0, start)) for start in starts]


KERNELS = (ConvLut(), ConvLutRows())
