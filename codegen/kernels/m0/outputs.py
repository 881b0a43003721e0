"""What the kernels for Cortex-M0 and M0+ share."""

from signbit.codegen.kernels.base import Job, Kernel, Piece, function, is_hidden
from signbit.codegen.kernels.listing import Listing, Run
from signbit.codegen.kernels.targets import CORTEX_M0
from signbit.qmodel.value import size_of


class FinishingKernel(Kernel):
    """Leaves accumulators in scratch, and finishes with the shared assembly requantize or the common C."""

    targets = CORTEX_M0

    def pieces(self, job: Job) -> tuple[Piece, ...]:
        halve = (Piece("m0/halve"),) if job.planes == 2 else ()
        return (*halve, Piece("m0/requantize", values={"listing": requantize})) if is_hidden(job) else halve

    def runs(self, job: Job) -> list[Run]:
        pixels = size_of(job.output_shape[:-1])
        return [requantize.run(pixels, neurons=count, **SUPPOSED) for count in self.tiles(job) if is_hidden(job)]

    def tiles(self, job: Job) -> list[int]:
        """Outputs that are finished at once."""
        return [job.neurons]

    def terms(self, job: Job) -> dict[str, float]:
        halved = size_of(job.output_shape) * size_of(job.layer.window.pool if hasattr(job.layer, "window") else ())
        return (
            {"call": 1}
            | ({"halved": halved} if job.planes == 2 else {})
            | ({} if is_hidden(job) else {job.layer.activation.kind: size_of(job.output_shape)})
        )

    def finishes(self, job: Job) -> bool:
        return not is_hidden(job)


SUPPOSED = {"positive": 0.5, "negative": 0.5, "clamped": 0.125}
"""What a requantize is supposed to meet: sums of both signs, and few of them too large."""


# all outputs of a pixel: r0 activation, r1 acc, r2 offset, r3 out; what is below 0 is so before any shift
requantize = Listing("""
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


clear = Listing("""
    push {r4-r5}
    movs r2, #0
    movs r3, #0
    movs r4, #0
    movs r5, #0
    1: stmia r0!, {r2-r5} @* rounds
    subs r1, #4
    bne 1b
    pop {r4-r5}
    bx lr
    """)
CLEAR = function(
    "m0_clear", clear, "void (int32_t *acc, uint32_t count)", "Set `count` accumulators, a multiple of 4, to 0."
)
