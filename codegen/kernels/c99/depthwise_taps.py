"""Depthwise convolutions in plain C99."""

from signbit.codegen.kernels.base import BITS, BYTES, CArray, Job, activation_arrays
from signbit.codegen.kernels.c99.loops import PortableKernel, places
from signbit.qmodel import integer
from signbit.qmodel.layers import DepthwiseConv2D
from signbit.qmodel.value import size_of


class DepthwiseTaps(PortableKernel):
    """Channel by channel, tap by tap."""

    layer = DepthwiseConv2D
    reads = BYTES | BITS

    def arrays(self, job: Job) -> tuple[CArray, ...]:
        weights = CArray("weights", "uint32_t", integer.pack_bits(job.rows).reshape(-1))
        return (weights, *activation_arrays(job))

    def values(self, job: Job) -> dict[str, int]:
        row_words = integer.words_for(job.layer.fan_in)
        return {
            "row_words": row_words,
            "plane_words": job.neurons * row_words,
            "pixel_words": integer.words_for(job.input_shape[-1]),
            "places": size_of(job.layer.window.pool),
        }

    def loop_terms(self, job: Job) -> dict[str, int]:
        windows = places(job) * job.neurons
        kind = ("bits" if job.one_bit_inputs else "values") + (" ternary" if job.planes == 2 else "")
        return {"window": windows, f"{kind} tap": windows * job.layer.fan_in}


KERNELS = (DepthwiseTaps(),)
