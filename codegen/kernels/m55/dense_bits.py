"""Dense layers of one-bit inputs on Cortex-M55."""

from signbit.codegen.kernels.base import BITS, Job, Piece
from signbit.codegen.kernels.m55.bit_places import POPCOUNT, BitPlaces
from signbit.codegen.kernels.m55.dense import DensePlaces


class DenseBits(DensePlaces):
    """Differing bits of 16 bytes and four rows, counted by a table; see bit_places."""

    reads = BITS

    def pieces(self, job: Job) -> tuple[Piece, ...]:
        return (POPCOUNT, *super().pieces(job))

    def _places(self, job: Job) -> BitPlaces:
        return BitPlaces(job, 1, job.input.size_bytes, job.input.size_bytes)


KERNELS = (DenseBits(),)
