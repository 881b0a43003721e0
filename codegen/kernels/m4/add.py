"""Additions on Cortex-M4, M7 and M33."""

from signbit.codegen.kernels.base import Job, Piece
from signbit.codegen.kernels.c99.add import PairwiseAdd
from signbit.codegen.kernels.listing import Run
from signbit.codegen.kernels.m4 import assembly
from signbit.codegen.kernels.targets import CORTEX_DSP
from signbit.qmodel.value import WORD_BYTES


class AddBytes(PairwiseAdd):
    """UQADD8 adds four values, and UQSUB8 and USUB8 subtract the excess over the limit."""

    function = "m4_add"
    targets = CORTEX_DSP

    def pieces(self, job: Job) -> tuple[Piece, ...]:
        return (Piece("m4/add", values={"listing": assembly.add}),)

    def runs(self, job: Job) -> list[Run]:
        words, rest = divmod(job.output.size, WORD_BYTES)
        return [assembly.add.run(self.passes(job), words=words, rest=rest)]


KERNELS = (AddBytes(),)
