"""What the kernels for Cortex-M0 and M0+ share."""

from signbit.codegen.kernels.base import Job, Kernel, Piece, is_hidden
from signbit.codegen.kernels.targets import CORTEX_M0
from signbit.qmodel.activations import Sign


class FinishingKernel(Kernel):
    """Leaves accumulators in scratch, and finishes with the shared assembly requantize or the common C."""

    targets = CORTEX_M0

    def pieces(self, job: Job) -> tuple[Piece, ...]:
        halve = (Piece("m0_halve"),) if job.planes == 2 else ()
        return (*halve, Piece("m0_requantize")) if is_hidden(job) else halve

    def finishes(self, job: Job) -> bool:
        return not is_hidden(job)


def finish_instructions(job: Job) -> float:
    """Instructions to turn the accumulators of one pixel into its outputs."""
    halve = 9 * job.neurons + 10 if job.planes == 2 else 0
    if is_hidden(job):
        return 15.5 * job.neurons + 28 + halve
    return (25 if isinstance(job.layer.activation, Sign) else 22) * job.neurons + 20 + halve
