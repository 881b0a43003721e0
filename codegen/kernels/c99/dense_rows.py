"""Dense layers in plain C99: row by row."""

from signbit.codegen.kernels.base import BYTES, CArray, Job, Piece, activation_arrays
from signbit.codegen.kernels.c99.loops import PortableKernel, highest_bit_first
from signbit.qmodel import integer
from signbit.qmodel.layers import Dense


class DenseRows(PortableKernel):
    """Row by row, one bit of weight at a time."""

    layer = Dense
    reads = BYTES

    def arrays(self, job: Job) -> tuple[CArray, ...]:
        weights = CArray("weights", "uint32_t", highest_bit_first(job.rows).reshape(-1))
        return (weights, *activation_arrays(job))

    def values(self, job: Job) -> dict[str, int]:
        row_words = integer.words_for(job.layer.fan_in)
        return {"row_words": row_words, "plane_words": job.neurons * row_words}

    def pieces(self, job: Job) -> tuple[Piece, ...]:
        return (Piece("c99/row"),)

    def loop_terms(self, job: Job) -> dict[str, int]:
        rows = len(job.rows)
        return {
            "input": job.layer.fan_in,
            "row": rows,
            "word": rows * integer.words_for(job.layer.fan_in),
            "weight": rows * job.layer.fan_in,
        }


KERNELS = (DenseRows(),)
