"""Convolutions of one-bit inputs on Cortex-M55."""

from signbit.codegen.kernels.base import BITS, Job, Piece
from signbit.codegen.kernels.m55.bit_places import POPCOUNT, BitPlaces
from signbit.codegen.kernels.m55.windows import Windows
from signbit.qmodel import integer
from signbit.qmodel.layers import Conv2D
from signbit.qmodel.value import WORD_BYTES


class ConvBits(Windows):
    """Differing bits of 16 bytes and four rows, counted by a table, place by place.

    The runs are rows of whole words; a pixel of padding is -1, set bits.
    """

    layer = Conv2D
    reads = BITS

    def fits(self, job: Job) -> bool:
        if not self._places(job).fits:
            return False
        # padding must be made of equal words
        channels = job.input_shape[2]
        return not any(job.layer.window.padding) or channels < integer.WORD_BITS or channels % integer.WORD_BITS == 0

    def pieces(self, job: Job) -> tuple[Piece, ...]:
        return (POPCOUNT, *super().pieces(job))

    def _places(self, job: Job) -> BitPlaces:
        height, width = job.layer.kernel
        maximum = job.layer.window.pool != (1, 1)
        return BitPlaces(job, height, width * self._pixel_bytes(job), self._pitch_bytes(job), maximum)

    def _pixel_bytes(self, job: Job) -> int:
        return WORD_BYTES * integer.words_for(job.input_shape[2])

    def _outside_word(self, job: Job) -> int:
        return (1 << min(job.input_shape[2], integer.WORD_BITS)) - 1


KERNELS = (ConvBits(),)
