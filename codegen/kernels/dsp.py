"""Kernels for Cortex-M4, M7 and M33, with the DSP extension."""

from signbit.codegen.kernels.dsp_bits import DspBits
from signbit.codegen.kernels.dsp_conv import DspConv
from signbit.codegen.kernels.dsp_dense import DspDense
from signbit.codegen.kernels.dsp_lut import DspLut

KERNELS = (DspDense(), DspConv(), DspLut(), DspBits())
