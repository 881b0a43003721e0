"""Dense layers in plain C99: inputs of several bits as planes of one bit each."""

import numpy as np

from signbit.codegen.kernels.base import BYTES, CArray, Job, Kernel, Piece, activation_arrays
from signbit.codegen.kernels.targets import PORTABLE, SPEED
from signbit.qmodel import integer
from signbit.qmodel.layers import Dense
from signbit.qmodel.value import WORD_BYTES

NEURONS_MIN = 8
"""For fewer neurons, making the planes costs more than they save."""


class DensePlanes(Kernel):
    """Bit b of all inputs is a plane of ones and zeros: acc = sum of 2^b * popcount(weights ^ plane b) - constant.

    x_i = sum_b 2^b * p_bi, and for weights w = 1 - 2r the sum of w * p is popcount(r ^ p) - popcount(r).
    """

    targets = frozenset({PORTABLE})
    layer = Dense
    reads = BYTES

    def fits(self, job: Job) -> bool:
        return job.optimize == SPEED and job.neurons >= NEURONS_MIN

    def arrays(self, job: Job) -> tuple[CArray, ...]:
        weights = CArray("weights", "uint32_t", integer.pack_bits(job.rows).reshape(-1))
        negative = (job.rows < 0).reshape(job.planes, job.neurons, -1).sum(axis=(0, 2), dtype=np.int64)
        return (weights, *activation_arrays(job, -(((1 << self._bits(job)) - 1) * negative // job.planes)))

    def values(self, job: Job) -> dict[str, int]:
        row_words = integer.words_for(job.layer.fan_in)
        return {"bits": self._bits(job), "row_words": row_words, "plane_words": job.neurons * row_words}

    def pieces(self, job: Job) -> tuple[Piece, ...]:
        return (Piece("c99/bits_row"), Piece("c99/planes"))

    def scratch_bytes(self, job: Job) -> int:
        return WORD_BYTES * self._bits(job) * integer.words_for(job.layer.fan_in)

    @staticmethod
    def _bits(job: Job) -> int:
        return job.input.high.bit_length()


KERNELS = (DensePlanes(),)
