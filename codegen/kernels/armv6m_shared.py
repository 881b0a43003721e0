"""What the kernels for Cortex-M0 and M0+ share."""

from functools import cache

from signbit.codegen.kernels.base import Job, Kernel, Piece, is_hidden
from signbit.codegen.kernels.listing import Listing, Run
from signbit.codegen.kernels.targets import CORTEX_M0
from signbit.qmodel.activations import Sign


class FinishingKernel(Kernel):
    """Leaves accumulators in scratch, and finishes with the shared assembly requantize or the common C."""

    targets = CORTEX_M0

    def pieces(self, job: Job) -> tuple[Piece, ...]:
        halve = (Piece("m0_halve"),) if job.planes == 2 else ()
        return (*halve, Piece("m0_requantize", values={"listing": requantize()})) if is_hidden(job) else halve

    def runs(self, job: Job) -> list[Run]:
        return [requantize().run(neurons=job.neurons, **SUPPOSED)] if is_hidden(job) else []

    def terms(self, job: Job) -> dict[str, float]:
        halved = {"halved": job.neurons} if job.planes == 2 else {}
        return {"call": 1, **halved} | ({} if is_hidden(job) else {job.layer.activation.kind: job.neurons})

    def finishes(self, job: Job) -> bool:
        return not is_hidden(job)


SUPPOSED = {"positive": 0.5, "negative": 0.5, "clamped": 0.125}
"""What a requantize is supposed to meet: sums of both signs, and few of them too large."""


@cache
def requantize() -> Listing:
    """All outputs of a pixel: r0 activation, r1 acc, r2 offset, r3 out; what is below 0 is so before any shift."""
    return Listing("""
        push {r4-r7, lr}
        mov r4, r8
        push {r4}
        ldrb r4, [r0, #10] @ shift
        mov r8, r4
        ldrb r4, [r0, #11] @ high
        mov r12, r4
        ldrh r4, [r0, #8] @ count
        lsls r4, r4, #1
        mov lr, r4 @ bytes of multipliers
        ldr r4, [r0, #4] @ bias
        ldr r0, [r0] @ multiplier
        movs r5, #0 @ index into multiplier, bytes
        1: ldmia r1!, {r6} @* neurons
        adds r6, r6, r2
        ldrsh r7, [r0, r5]
        muls r6, r7, r6
        ldmia r4!, {r7}
        adds r6, r6, r7
        bmi 3f
        @* positive
        mov r7, r8
        lsrs r6, r6, r7
        cmp r6, r12
        bls 2f
        @* clamped
        mov r6, r12
        2: strb r6, [r3]
        adds r3, #1
        adds r5, #2
        cmp r5, lr
        bne 1b
        pop {r4}
        mov r8, r4
        pop {r4-r7, pc}
        3: movs r6, #0 @* neurons * negative
        b 2b
        """)


def finish_instructions(job: Job) -> float:
    """Instructions to turn the accumulators of one pixel into its outputs."""
    halve = 9 * job.neurons + 10 if job.planes == 2 else 0
    if is_hidden(job):
        return 15.5 * job.neurons + 28 + halve
    return (25 if isinstance(job.layer.activation, Sign) else 22) * job.neurons + 20 + halve
