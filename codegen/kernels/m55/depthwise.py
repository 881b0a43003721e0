"""Depthwise convolutions on Cortex-M55."""

from signbit.codegen.kernels.base import BYTES, CArray, Job, activation_arrays
from signbit.codegen.kernels.m55.channel_places import ChannelPlaces
from signbit.codegen.kernels.m55.windows import Windows
from signbit.qmodel.layers import DepthwiseConv2D


class DepthwisePlaces(Windows):
    """Eight channels at a time, in lanes of 16 bits; see channel_places."""

    layer = DepthwiseConv2D
    reads = BYTES

    def fits(self, job: Job) -> bool:
        return ChannelPlaces.fits(job)

    def arrays(self, job: Job) -> tuple[CArray, ...]:
        return (CArray("weights", "int8_t", self._places(job).weights()), *activation_arrays(job))

    def _places(self, job: Job) -> ChannelPlaces:
        return ChannelPlaces(job, self._pitch_bytes(job), job.layer.window.pool != (1, 1))

    def _pixel_bytes(self, job: Job) -> int:
        return job.input_shape[2]

    def _outside_word(self, job: Job) -> int:
        return 0


KERNELS = (DepthwisePlaces(),)
