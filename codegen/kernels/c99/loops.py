"""Kernels in plain C99, one for every kind of layer: the fallback on each core, and the only ones elsewhere."""

from abc import abstractmethod

import numpy as np

from signbit.codegen.kernels.base import Job, Kernel
from signbit.codegen.kernels.targets import EVERY_TARGET
from signbit.qmodel import integer
from signbit.qmodel.value import size_of

ACCUMULATOR_BYTES = 4


def pixel_words(job: Job) -> np.ndarray:
    """Rows for one-bit inputs: each pixel's channels begin a new word, as the inputs do -- SPEC 5."""
    channels = job.input_shape[-1]
    pixels = job.rows.reshape(len(job.rows), -1, channels)
    return integer.pack_last_axis(pixels).reshape(len(job.rows), -1)


def highest_bit_first(rows: np.ndarray) -> np.ndarray:
    """Rows packed so that a row's first weight is the highest bit of its first word."""
    bits = np.zeros((len(rows), integer.words_for(rows.shape[1]) * integer.WORD_BITS), np.uint8)
    bits[:, : rows.shape[1]] = rows < 0
    return np.packbits(bits, axis=1).view(">u4").astype(np.uint32)


class PortableKernel(Kernel):
    """Loops that every C99 compiler takes.

    Their instructions are the compiler's business, so they are predicted from `terms`, counts of what the loops
    do, with coefficients that were measured.
    """

    targets = EVERY_TARGET

    @abstractmethod
    def loop_terms(self, job: Job) -> dict[str, int]:
        """How often each part of the loops runs in one inference."""

    def terms(self, job: Job) -> dict[str, int]:
        """All that instructions are predicted from: the loops, and an output by its activation's kind."""
        return {"call": 1, job.layer.activation.kind: size_of(job.output_shape), **self.loop_terms(job)}


def places(job: Job) -> int:
    """Places of the kernel, pool included."""
    pool_height, pool_width = job.layer.window.pool
    return size_of(job.output_shape[:2]) * pool_height * pool_width


class MergeLoops(PortableKernel):
    """Loops in plain C that end in no activation of their own."""

    def terms(self, job: Job) -> dict[str, int]:
        return {"call": 1, **self.loop_terms(job)}
