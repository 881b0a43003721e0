"""Kernel for Cortex-M0 and M0+ (ARMv6-M): one-bit weights and one-bit inputs."""

from typing import ClassVar

import numpy as np

from signbit.codegen.kernels.armv6m_shared import FinishingKernel, finish_instructions
from signbit.codegen.kernels.base import BITS, CArray, Cost, Job, Piece, activation_arrays
from signbit.qmodel import integer
from signbit.qmodel.layers import Dense
from signbit.qmodel.value import WORD_BYTES, size_of

LANES = 32


class DenseBits(FinishingKernel):
    """Counters in 32 lanes at once, for each input that is -1.

    The prediction assumes that half of the inputs are.
    """

    name = "m0_bits"
    layer = Dense
    reads = BITS
    INPUTS_MAX: ClassVar[int] = 16_000
    ZERO_PLANES: ClassVar[int] = 2
    PLANES_A_CHUNK: ClassVar[int] = 5

    def fits(self, job: Job) -> bool:
        return job.layer.fan_in <= self.INPUTS_MAX

    def arrays(self, job: Job) -> tuple[CArray, ...]:
        bits = np.pad(job.rows < 0, ((0, -len(job.rows) % LANES), (0, 1)))
        slices = bits.reshape(-1, LANES, bits.shape[1]).transpose(0, 2, 1)
        words = slices @ (np.int64(1) << np.arange(LANES))
        weights = CArray("weights", "uint32_t", words.reshape(-1).astype(np.uint32))
        return (weights, *activation_arrays(job, job.layer.rows.sum(axis=1, dtype=np.int64)))

    def values(self, job: Job) -> dict[str, int]:
        channels = job.input_shape[-1]
        pixel_words = integer.words_for(channels)
        last_bits = channels - LANES * (pixel_words - 1)
        return {
            "slices": self._slices(job),
            "slice_words": job.layer.fan_in + 1,
            "lanes": LANES * self._slices(job),
            "chunks": self._chunks(job),
            "last_chunk": self._chunks(job) - 1,
            "planes": self._planes(job),
            "words": size_of(job.input_shape[:-1]) * pixel_words,
            "pixel_words": pixel_words,
            "last_word": pixel_words - 1,
            "last_bits": last_bits,
            "last_offset": WORD_BYTES * last_bits,
            "end_offset": WORD_BYTES * job.layer.fan_in,
        }

    def pieces(self, job: Job) -> tuple[Piece, ...]:
        return (*super().pieces(job), Piece("m0_clear"), Piece("m0_bits"))

    def cost(self, job: Job) -> Cost:
        inputs, slices = job.layer.fan_in, self._slices(job)
        groups = -(-inputs // 16)
        ripple = max(1.0, np.log2(groups) / 2)
        slice_instructions = groups * (68 + 6 * ripple) + self._chunks(job) * (15 * LANES + 20) + 80
        lists_instructions = 7.5 * inputs
        instructions = (
            lists_instructions + slices * (slice_instructions + 3 * LANES / 4) + finish_instructions(job) + 60
        )
        lists = 2 * (-(-inputs // 8) * 8)
        scratch = WORD_BYTES * (LANES * slices + self._planes(job)) + lists
        return Cost(instructions, scratch, stack_bytes=32)

    def _chunks(self, job: Job) -> int:
        """Groups of five planes that hold any count, times 4."""
        return -(-(job.layer.fan_in.bit_length() + self.ZERO_PLANES) // self.PLANES_A_CHUNK)

    def _planes(self, job: Job) -> int:
        """Words for them, at least one more for the carry out of the last, a multiple of 4."""
        return -(-(self.PLANES_A_CHUNK * self._chunks(job) + 4) // 4) * 4

    @staticmethod
    def _slices(job: Job) -> int:
        return -(-len(job.rows) // LANES)
