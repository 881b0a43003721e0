"""Convolutions on Cortex-M55."""

from signbit.codegen.kernels.base import BYTES, CArray, Job
from signbit.codegen.kernels.m55.places import Places
from signbit.codegen.kernels.m55.windows import Windows
from signbit.qmodel.layers import Conv2D

GATHER_BYTES = 256
GATHER_BLOCKS = 8
"""Offsets that a byte holds, and vectors of offsets that an immediate reaches."""


class ConvPlaces(Windows):
    """VMLADAVA multiplies 16 inputs by bytes that hold the signs of eight rows, place by place.

    The runs of a place are the rows under the kernel; see places.

    Where that takes fewer instructions, the inputs under a small kernel are gathered by a table of offsets.
    """

    layer = Conv2D
    reads = BYTES

    def arrays(self, job: Job) -> tuple[CArray, ...]:
        places = self._places(job)
        offsets = (CArray("offsets", "uint8_t", places.offsets()),) if places.gathered else ()
        return (*super().arrays(job), *offsets)

    def _places(self, job: Job) -> Places:
        height, width = job.layer.kernel
        row_bytes = width * job.input_shape[2]
        pitch_bytes = self._pitch_bytes(job)
        maximum = job.layer.window.pool != (1, 1)
        runs = Places(job, height, row_bytes, pitch_bytes, maximum=maximum)
        gathered = Places(job, height, row_bytes, pitch_bytes, gathered=True, maximum=maximum)
        if (height - 1) * pitch_bytes + row_bytes > GATHER_BYTES or gathered.blocks > GATHER_BLOCKS:
            return runs
        return min((runs, gathered), key=lambda places: places.listing.instructions({}))

    def _pixel_bytes(self, job: Job) -> int:
        return job.input_shape[2]

    def _outside_word(self, job: Job) -> int:
        return 0


KERNELS = (ConvPlaces(),)
