"""Kernels for Cortex-M3 (ARMv7-M without the DSP extension)."""

from typing import Any, ClassVar

import numpy as np

from signbit.codegen.kernels.base import BYTES, CArray, Job, Piece
from signbit.codegen.kernels.listing import Run
from signbit.codegen.kernels.m3.assembly import fill_run
from signbit.codegen.kernels.m3.tables import (
    BITS_MAX,
    ENTRY_OFFSET,
    Block,
    Chunk,
    FinishingKernel,
    block_for,
    parameters,
    split,
    sums_of,
    table_indices,
)
from signbit.qmodel.layers import Dense
from signbit.qmodel.value import WORD_BYTES

MANY_NEURONS = 32
"""With at least so many neurons, a weight may not take much more than a bit."""


def start_word(packed: bool, offset: int, groups: int) -> int:
    """What sums begin with, so that after `groups` entries they are planes * acc + offset."""
    start = offset - ENTRY_OFFSET * groups
    return (start * 0x10001 if packed else start) & 0xFFFFFFFF


class DenseLut(FinishingKernel):
    """Tables of sums over 5 to 8 inputs, looked up by every neuron."""

    layer = Dense
    reads = BYTES
    few_bits: ClassVar[tuple[int, ...]] = (4, 5, 6, 7, 8)
    many_bits: ClassVar[tuple[int, ...]] = (7, 8)

    def pieces(self, job: Job) -> tuple[Piece, ...]:
        return self.block(job).pieces(self.chunks(job))

    def block(self, job: Job) -> Block:
        return block_for(job.neurons, sums_of(job).packed)

    def split(self, job: Job) -> tuple[Chunk, int, Chunk | None]:
        bits = self.many_bits if job.neurons >= MANY_NEURONS else self.few_bits
        return split(job.layer.fan_in, self.block(job).padded(job.neurons) * job.planes, bits)

    def chunks(self, job: Job) -> list[Chunk]:
        full, count, rest = self.split(job)
        return [full] * (count > 0) + [rest] * (rest is not None)

    def arrays(self, job: Job) -> tuple[CArray, ...]:
        padded = self.block(job).padded(job.neurons)
        positive = np.zeros((job.planes, padded, job.layer.fan_in), bool)
        positive[:, : job.neurons] = job.rows.reshape(job.planes, job.neurons, -1) > 0
        return (table_indices(self.split(job), positive), *parameters(job, sums_of(job)))

    def values(self, job: Job) -> dict[str, Any]:
        full, count, rest = self.split(job)
        block, sums = self.block(job), sums_of(job)
        groups = (count * full.groups + (rest.groups if rest else 0)) * job.planes
        table_words = max(chunk.tables * chunk.table_words for chunk in self.chunks(job))
        copy_words = self._copy_words(job)
        copy_at = table_words + block.words(job.neurons)
        rest_inputs = job.layer.fan_in - count * full.inputs
        return {
            **self.finish_values(job, sums.packed),
            "count": count,
            "full": block.calls(full) if count else None,
            "rest": block.calls(rest) | {"places": rest.places()[:rest_inputs]} if rest else None,
            "sums_at": table_words,
            "sum_words": block.words(job.neurons),
            "start": start_word(sums.packed, sums.offset, groups),
            "rest_inputs": rest_inputs,
            "copy_at": copy_at,
            "copy_words": copy_words,
            "copy_end": copy_at + copy_words,
        }

    def scratch_bytes(self, job: Job) -> int:
        return WORD_BYTES * self.values(job)["copy_end"]

    def runs(self, job: Job) -> list[Run]:
        full, count, rest = self.split(job)
        block, copy_words = self.block(job), self._copy_words(job)
        passes = [(full, count)] * (count > 0) + [(rest, 1)] * (rest is not None)
        return [
            fill_run(1, block.words(job.neurons)),
            *([fill_run(1, copy_words)] if copy_words else []),
            *(run for chunk, times in passes for run in chunk.build_runs(times)),
            *(block.look_up_run(times * job.planes, job.neurons, chunk) for chunk, times in passes),
            *self.finish_runs(job, block.packed),
        ]

    def terms(self, job: Job) -> dict[str, float]:
        full, count, rest = self.split(job)
        tables = count * full.tables + (rest.tables if rest else 0)
        copied = job.layer.fan_in - count * full.inputs if self._copy_words(job) else 0
        looks = (count + bool(rest)) * job.planes
        return super().terms(job) | {"pass": count, "table": tables, "look-up": looks, "copied": copied}

    def _copy_words(self, job: Job) -> int:
        rest = self.split(job)[2]
        return rest.words_read if rest and not self._direct(job) else 0

    def _direct(self, job: Job) -> bool:
        """Whether the rest's tables can be built from the input itself."""
        full, count, rest = self.split(job)
        return rest.is_whole and job.layer.fan_in == count * full.inputs + rest.inputs


class DenseLut8(DenseLut):
    """Tables of sums over 8 inputs, looked up by every neuron: one bit per weight."""

    variant = "8"
    few_bits = (BITS_MAX,)
    many_bits = (BITS_MAX,)


KERNELS = (DenseLut(), DenseLut8())
