"""What Helium's kernels share: all outputs of a place at once."""

from signbit.codegen.kernels.base import Job, Kernel, Piece
from signbit.codegen.kernels.listing import Run
from signbit.codegen.kernels.m55 import assembly
from signbit.codegen.kernels.targets import CORTEX_M55
from signbit.qmodel.value import size_of

LANES = 4


class HeliumKernel(Kernel):
    targets = CORTEX_M55

    def pieces(self, job: Job) -> tuple[Piece, ...]:
        """The function that turns all accumulators of a place into outputs."""
        kind = job.layer.activation.kind
        return (Piece(f"m55/{kind}", values={"listing": getattr(assembly, kind)}),)

    def runs(self, job: Job) -> list[Run]:
        kind, places = job.layer.activation.kind, size_of(job.output_shape[:-1])
        if kind == "sign":
            return [assembly.sign_run(places, job.neurons)]
        return [assembly.vector_run(getattr(assembly, kind), places, job.neurons, LANES)]

    def terms(self, job: Job) -> dict[str, float]:
        return super().terms(job) | {"call for the caller": int(job.from_caller)}
