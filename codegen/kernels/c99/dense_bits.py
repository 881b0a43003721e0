"""Dense layers of one-bit inputs in plain C99."""

from signbit.codegen.kernels.base import BITS, CArray, Job, Piece, activation_arrays
from signbit.codegen.kernels.c99.loops import PortableKernel, pixel_words
from signbit.qmodel import integer
from signbit.qmodel.layers import Dense
from signbit.qmodel.value import size_of


class DenseBits(PortableKernel):
    """One-bit weights times one-bit inputs, 32 at a time: acc = n - 2 * popcount(weights ^ inputs)."""

    layer = Dense
    reads = BITS

    def arrays(self, job: Job) -> tuple[CArray, ...]:
        return (CArray("weights", "uint32_t", pixel_words(job).reshape(-1)), *activation_arrays(job))

    def values(self, job: Job) -> dict[str, int]:
        row_words = size_of(job.input_shape[:-1]) * integer.words_for(job.input_shape[-1])
        return {"row_words": row_words, "plane_words": job.neurons * row_words}

    def pieces(self, job: Job) -> tuple[Piece, ...]:
        return (Piece("c99/bits_row"),)

    def loop_terms(self, job: Job) -> dict[str, int]:
        rows = len(job.rows)
        return {"row": rows, "word": rows * self.values(job)["row_words"]}


KERNELS = (DenseBits(),)
