"""Convolutions by vector tables on cores of Thumb-2."""

from signbit.codegen.kernels.m0.conv_vectors import (
    ConvVectors,
    ConvVectorsGroups,
    ConvVectorsGroups5,
    ConvVectorsHalves,
    ConvVectorsRows,
)
from signbit.codegen.kernels.targets import CORTEX_DSP, CORTEX_M3


class WideConvVectors(ConvVectors):
    """Tables of vectors of signed sums, one entry for all columns; sums of the rows under way are in memory."""

    targets = CORTEX_M3 | CORTEX_DSP
    wide = True
    scratch_bytes_max = 16 << 10


class WideConvVectorsHalves(ConvVectorsHalves, WideConvVectors):
    """Tables of vectors of signed sums, for one half of the inputs after the other."""

    variant = "_halves"


class WideConvVectorsGroups(ConvVectorsGroups, WideConvVectors):
    """Tables of vectors of signed sums of three inputs, one in memory at a time: little more than the sums."""

    variant = "_groups"


class WideConvVectorsGroups5(ConvVectorsGroups5, WideConvVectors):
    """Tables of vectors of signed sums of up to five inputs, one in memory at a time."""

    variant = "_groups5"


class WideConvVectorsRows(ConvVectorsRows, WideConvVectors):
    """Tables of vectors of signed sums for all rows under the kernel, so that a row of sums is made at once."""

    variant = "_rows"


KERNELS = (
    WideConvVectors(),
    WideConvVectorsHalves(),
    WideConvVectorsGroups(),
    WideConvVectorsGroups5(),
    WideConvVectorsRows(),
)
