"""Convolutions by vector tables on cores of Thumb-2."""

from signbit.codegen.kernels.m0.conv_vectors import ConvVectorHalves, ConvVectorRows, ConvVectors
from signbit.codegen.kernels.targets import CORTEX_DSP, CORTEX_M3


class WideConvVectors(ConvVectors):
    """Tables of vectors of signed sums, one entry for all columns; sums of the rows under way are in memory."""

    name = "m3_conv_vectors"
    targets = CORTEX_M3 | CORTEX_DSP
    wide = True
    scratch_bytes_max = 16 << 10


class WideConvVectorHalves(ConvVectorHalves, WideConvVectors):
    """Tables of vectors of signed sums, for one half of the inputs after the other."""

    name = "m3_conv_vector_halves"


class WideConvVectorRows(ConvVectorRows, WideConvVectors):
    """Tables of vectors of signed sums for all rows under the kernel, so that a row of sums is made at once."""

    name = "m3_conv_vector_rows"


KERNELS = (WideConvVectors(), WideConvVectorHalves(), WideConvVectorRows())
