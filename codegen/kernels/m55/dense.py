"""Dense layers on Cortex-M55."""

from typing import Any

from signbit.codegen.kernels.base import BYTES, CArray, Job, activation_arrays
from signbit.codegen.kernels.listing import Run
from signbit.codegen.kernels.m55.bit_places import BitPlaces
from signbit.codegen.kernels.m55.outputs import HeliumKernel
from signbit.codegen.kernels.m55.places import Places
from signbit.qmodel.layers import Dense
from signbit.qmodel.value import WORD_BYTES


class DensePlaces(HeliumKernel):
    """VMLADAVA multiplies 16 inputs by bytes that hold the signs of eight rows; see places."""

    layer = Dense
    reads = BYTES

    def arrays(self, job: Job) -> tuple[CArray, ...]:
        weights = CArray("weights", "uint8_t", self._places(job).weights())
        return (weights, *activation_arrays(job))

    def values(self, job: Job) -> dict[str, Any]:
        return self._places(job).values()

    def scratch_bytes(self, job: Job) -> int:
        return WORD_BYTES * self._places(job).accumulator_words

    def runs(self, job: Job) -> list[Run]:
        return [self._places(job).listing.run(), *super().runs(job)]

    def _places(self, job: Job) -> Places | BitPlaces:
        return Places(job, 1, job.layer.fan_in, job.layer.fan_in)


KERNELS = (DensePlaces(),)
