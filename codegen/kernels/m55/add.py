"""Additions on Cortex-M55."""

from signbit.codegen.kernels.base import Job, Piece
from signbit.codegen.kernels.c99.add import PairwiseAdd
from signbit.codegen.kernels.listing import Run
from signbit.codegen.kernels.m55 import assembly
from signbit.codegen.kernels.targets import CORTEX_M55


class AddVectors(PairwiseAdd):
    """VQADD and VMIN, 16 values at a time."""

    function = "m55_add"
    targets = CORTEX_M55

    def pieces(self, job: Job) -> tuple[Piece, ...]:
        return (Piece("m55/add", values={"listing": assembly.add}),)

    def runs(self, job: Job) -> list[Run]:
        return [assembly.vector_run(assembly.add, self.passes(job), job.output.size)]


KERNELS = (AddVectors(),)
