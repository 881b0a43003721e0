"""Kernels for Cortex-M3 (ARMv7-M without the DSP extension)."""

from typing import Any, ClassVar

import numpy as np

from signbit.codegen.kernels.base import CArray, Job, Piece
from signbit.codegen.kernels.listing import Run
from signbit.codegen.kernels.m3.assembly import fill_run
from signbit.codegen.kernels.m3.tables import (
    BITS_MAX,
    ENTRY_OFFSET,
    Chunk,
    LutKernel,
    parameters,
    split,
    sums_of,
    table_indices,
)
from signbit.qmodel.layers import Dense

MANY_NEURONS = 32
"""With at least so many neurons, a weight may not take much more than a bit."""


def start_word(packed: bool, offset: int, groups: int) -> int:
    """What sums begin with, so that after `groups` entries they are planes * acc + offset."""
    start = offset - ENTRY_OFFSET * groups
    return (start * 0x10001 if packed else start) & 0xFFFFFFFF


class DenseLut(LutKernel):
    """Tables of sums over 5 to 8 inputs, looked up by every neuron."""

    layer = Dense
    few_bits: ClassVar[tuple[int, ...]] = (4, 5, 6, 7, 8)
    many_bits: ClassVar[tuple[int, ...]] = (7, 8)

    def pieces(self, job: Job) -> tuple[Piece, ...]:
        return self.block(job).pieces(self.chunks(job))

    def inputs(self, job: Job) -> int:
        return job.layer.fan_in

    def split(self, job: Job) -> tuple[Chunk, int, Chunk | None]:
        bits = self.many_bits if job.neurons >= MANY_NEURONS else self.few_bits
        return split(job.layer.fan_in, self.block(job).padded(job.neurons) * job.planes, bits)

    def arrays(self, job: Job) -> tuple[CArray, ...]:
        padded = self.block(job).padded(job.neurons)
        positive = np.zeros((job.planes, padded, job.layer.fan_in), bool)
        positive[:, : job.neurons] = job.rows.reshape(job.planes, job.neurons, -1) > 0
        return (table_indices(self.split(job), positive), *parameters(job, sums_of(job)))

    def values(self, job: Job) -> dict[str, Any]:
        sums, table_words, sum_words = sums_of(job), self.table_words(job), self.block(job).words(job.neurons)
        return {
            **self.finish_values(job, sums.packed),
            **self.chunk_values(job, table_words + sum_words),
            "sums_at": table_words,
            "sum_words": sum_words,
            "start": start_word(sums.packed, sums.offset, self.groups(job)),
        }

    def runs(self, job: Job) -> list[Run]:
        block, copy_words, passes = self.block(job), self.copy_words(job), self.chunks(job).items()
        return [
            fill_run(1, block.words(job.neurons)),
            *([fill_run(1, copy_words)] if copy_words else []),
            *(run for chunk, times in passes for run in chunk.build_runs(times)),
            *(block.look_up_run(times * job.planes, job.neurons, chunk) for chunk, times in passes),
            *self.finish_runs(job, block.packed),
        ]

    def terms(self, job: Job) -> dict[str, float]:
        chunks = self.chunks(job)
        return super().terms(job) | {
            "pass": self.split(job)[1],
            "table": sum(chunk.tables * count for chunk, count in chunks.items()),
            "look-up": chunks.total() * job.planes,
            "copied": self.rest_inputs(job) if self.copy_words(job) else 0,
        }


class DenseLut8(DenseLut):
    """Tables of sums over 8 inputs, looked up by every neuron: one bit per weight."""

    variant = "8"
    few_bits = (BITS_MAX,)
    many_bits = (BITS_MAX,)


KERNELS = (DenseLut(), DenseLut8())
