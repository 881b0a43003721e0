"""First layers on Cortex-M3: a table of sums for each row of the kernel at each place, kept while outputs need it.

The inputs under one row of the kernel, up to 8, are a group.  Its table serves every neuron of every output that has
this row of inputs under its kernel; two neighbouring places share a table's words.
"""

from typing import Any

import numpy as np

from signbit.codegen.kernels.base import BYTES, CArray, Job, Piece
from signbit.codegen.kernels.listing import Run
from signbit.codegen.kernels.m3 import assembly
from signbit.codegen.kernels.m3.tables import (
    BITS_MAX,
    BITS_MIN,
    ENTRY_OFFSET,
    FinishingKernel,
    Sums,
    max_piece,
    parameters,
)
from signbit.qmodel.layers import Conv2D
from signbit.qmodel.value import WORD_BYTES, size_of

ROWS_MAX = 7
"""Registers for tables."""

SCRATCH_BYTES_MAX = 12 * 1024


class ConvGather(FinishingKernel):
    """A table of sums for each row of the kernel at each place; a neuron adds up those under it in a register.

    For images without padding.
    """

    layer = Conv2D
    reads = BYTES

    def fits(self, job: Job) -> bool:
        if job.planes != 1 or any(job.layer.window.padding) or self._columns(job) < 2:
            return False
        if not 2 <= job.layer.kernel[0] <= ROWS_MAX:
            return False
        return BITS_MIN <= self.bits(job) <= BITS_MAX and self.scratch_bytes(job) <= SCRATCH_BYTES_MAX

    def pieces(self, job: Job) -> tuple[Piece, ...]:
        pool = (max_piece(packed=False),) if job.layer.window.pool != (1, 1) else ()
        return (*self._functions(job), *pool)

    def _functions(self, job: Job) -> tuple[Piece, Piece]:
        """The functions that build a table of two places and look up a place."""
        bits, step, shift = self.bits(job), self.step_bytes(job), job.input_shift
        rows, unrolled = job.layer.kernel[0], self.unrolled(job)
        text = assembly.places(bits, step, shift)
        values = {"bits": bits, "step": step, "shift": shift, "entries": 1 << bits, "assembly": text}
        gather = {"rows": rows, "assembly": assembly.gather(rows, unrolled)}
        return (
            Piece("m3/places", f"m3_places{bits}_{step}{'_shifted' * shift}", values),
            Piece("m3/gather", f"m3_gather{rows}x{unrolled}", gather),
        )

    def bits(self, job: Job) -> int:
        return job.layer.kernel[1] * job.input_shape[2]

    def step_bytes(self, job: Job) -> int:
        """Bytes from one place to the next."""
        return job.layer.window.stride[1] * job.input_shape[2]

    def unrolled(self, job: Job) -> int:
        """Neurons between two branches."""
        return next(count for count in (4, 2, 1) if job.neurons % count == 0)

    def arrays(self, job: Job) -> tuple[CArray, ...]:
        height = job.layer.kernel[0]
        positive = job.rows.reshape(job.neurons, height, self.bits(job)) > 0
        indices = (positive.astype(np.int64) << np.arange(self.bits(job))).sum(axis=2)
        return (CArray("weights", "uint8_t", indices.astype(np.uint8).reshape(-1)), *parameters(job, self._sums(job)))

    def values(self, job: Job) -> dict[str, Any]:
        window = job.layer.window
        height, bits, columns = job.layer.kernel[0], self.bits(job), self._columns(job)
        pairs = -(-columns // 2)
        rows = job.output_shape[0] * window.pool[0]
        ring_rows = height + (window.pool[0] - 1) * window.stride[0]
        ring_words = ring_rows * pairs << bits
        sums_at = ring_words + (height + 1) * window.pool[0]
        places, gather = self._functions(job)
        return {
            **self.finish_values(job),
            "places": places.symbol,
            "gather": gather.symbol,
            "rows": rows,
            "end_top": rows * window.stride[0],
            "top_step": window.pool[0] * window.stride[0],
            "pool_rows": height * window.pool[0],
            "pool_places": window.pool[0] * window.pool[1],
            "columns": columns,
            "last_column": columns - 1,
            "odd": columns % 2,
            "pairs": pairs,
            "whole_pairs": columns // 2,
            "step_bytes": self.step_bytes(job),
            "pair_bytes": 2 * self.step_bytes(job),
            "image_row_bytes": job.input_shape[1] * job.input_shape[2],
            "entries": 1 << bits,
            "table_bytes": WORD_BYTES << bits,
            "ring_rows": ring_rows,
            "row_words": pairs << bits,
            "bases": height + 1,
            "bases_at": ring_words,
            "sums_at": sums_at,
            "scratch_words": sums_at + job.neurons * (1 + (window.pool != (1, 1))),
        }

    def scratch_bytes(self, job: Job) -> int:
        return WORD_BYTES * self.values(job)["scratch_words"]

    def runs(self, job: Job) -> list[Run]:
        places, gather = (piece.values["assembly"] for piece in self._functions(job))
        return [
            places.run(self._rows_built(job) * self.values(job)["pairs"]),
            gather.run(self._places(job), blocks=job.neurons // self.unrolled(job)),
            assembly.maximum_of_words.run(self._places(job) - size_of(job.output_shape[:2]), words=job.neurons),
            *self.finish_runs(job),
        ]

    def terms(self, job: Job) -> dict[str, float]:
        values, places = self.values(job), self._places(job)
        return super().terms(job) | {
            "row": self._rows_built(job),
            "table": self._rows_built(job) * values["pairs"],
            "base": job.output_shape[0] * values["pool_rows"],
            "output row": job.output_shape[0],
            "place": places,
            "pooled place": places if job.layer.window.pool != (1, 1) else 0,
        }

    def _places(self, job: Job) -> int:
        return size_of(job.output_shape[:2]) * size_of(job.layer.window.pool)

    def _rows_built(self, job: Job) -> int:
        """Rows of the image that get tables."""
        values, stride, height = self.values(job), job.layer.window.stride[0], job.layer.kernel[0]
        if height < stride:
            return job.output_shape[0] * values["ring_rows"]
        return (values["rows"] - 1) * stride + height

    def _sums(self, job: Job) -> Sums:
        return Sums(False, ENTRY_OFFSET * job.layer.kernel[0])

    def _columns(self, job: Job) -> int:
        return job.output_shape[1] * job.layer.window.pool[1]


KERNELS = (ConvGather(),)
