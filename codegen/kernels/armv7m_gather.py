"""First layers on Cortex-M3: a table of sums for each row of the kernel at each place, kept while outputs need it.

The inputs under one row of the kernel, up to 8, are a group.  Its table serves every neuron of every output that has
this row of inputs under its kernel; two neighbouring places share a table's words.
"""

from typing import Any

import numpy as np

from signbit.codegen.kernels import armv7m_assembly as assembly
from signbit.codegen.kernels.armv7m_lut import (
    BITS_MAX,
    BITS_MIN,
    ENTRY_OFFSET,
    FinishingKernel,
    Sums,
    finish_instructions,
    max_piece,
    parameters,
    table_instructions,
)
from signbit.codegen.kernels.base import BYTES, CArray, Cost, Job, Piece
from signbit.qmodel.layers import Conv2D
from signbit.qmodel.value import WORD_BYTES

ROWS_MAX = 7
"""Registers for tables."""

SCRATCH_BYTES_MAX = 12 * 1024
STACK_BYTES = 36


class ConvGather(FinishingKernel):
    """A table of sums for each row of the kernel at each place; a neuron adds up those under it in a register.

    For images without padding.
    """

    name = "m3_conv_gather"
    template = "kernels/m3_conv_gather.c.j2"
    layer = Conv2D
    reads = BYTES

    def fits(self, job: Job) -> bool:
        if job.planes != 1 or any(job.layer.window.padding) or self._columns(job) < 2:
            return False
        if not 2 <= job.layer.kernel[0] <= ROWS_MAX:
            return False
        return BITS_MIN <= self.bits(job) <= BITS_MAX and self.cost(job).scratch_bytes <= SCRATCH_BYTES_MAX

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
            Piece("m3_places", f"m3_places{bits}_{step}{'_shifted' * shift}", values),
            Piece("m3_gather", f"m3_gather{rows}x{unrolled}", gather),
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

    def cost(self, job: Job) -> Cost:
        values = self.values(job)
        window = job.layer.window
        height, bits = job.layer.kernel[0], self.bits(job)
        stride = window.stride[0]
        rows = (values["rows"] - 1) * min(stride, height) + height
        loads = 4 * bits - 2 * -(-bits // 2) - bits - 2 if self.step_bytes(job) != 2 else bits % 2 - 2
        table = table_instructions(bits, 0) + loads + 12
        place = job.neurons * 3 * height + 2 * job.neurons // self.unrolled(job) + height + 22
        places = values["rows"] * values["columns"]
        pool = window.pool[0] * window.pool[1]
        ends = places // pool * (finish_instructions(job, False) + 12 + (pool - 1) * (8 * job.neurons + 12))
        instructions = (
            rows * (values["pairs"] * table + 12) + values["rows"] * (12 * height + 10) + places * place + ends
        )
        return Cost(instructions, WORD_BYTES * values["scratch_words"], STACK_BYTES)

    def _sums(self, job: Job) -> Sums:
        return Sums(False, ENTRY_OFFSET * job.layer.kernel[0])

    def _columns(self, job: Job) -> int:
        return job.output_shape[1] * job.layer.window.pool[1]
