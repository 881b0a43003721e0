"""Concatenation in plain C99."""

from signbit.codegen.kernels.base import BITS, BYTES, Job, Piece
from signbit.codegen.kernels.c99.loops import MergeLoops
from signbit.qmodel import integer
from signbit.qmodel.merge import Concatenate
from signbit.qmodel.value import Encoding, size_of


class ConcatenateChannels(MergeLoops):
    """Input by input, each into its place in every pixel."""

    template = "kernels/calls.c.j2"
    layer = Concatenate
    reads = BYTES | BITS
    writes = BYTES | BITS

    def pieces(self, job: Job) -> tuple[Piece, ...]:
        return tuple(
            Piece(f"c99/{name}") for name in dict.fromkeys(call.partition("(")[0] for call in self.values(job)["calls"])
        )

    def values(self, job: Job) -> dict:
        pixels, step = size_of(job.output_shape[:-1]), job.output_shape[-1]
        calls, start = [], 0
        for name, source, multiplier in zip(job.input_names, job.sources, job.layer.multipliers, strict=True):
            channels = source.value.shape[-1]
            out = f"out + {start}" if start else "out"
            if job.output.encoding is Encoding.BIT:
                calls.append(f"copy_bits({name}, out, {pixels}u, {channels}u, {start}u, {integer.words_for(step)}u)")
            elif self._is_copy(job, source.value.high, source.shift, multiplier):
                calls.append(f"copy_channels({name}, {out}, {pixels}u, {channels}u, {step}u)")
            else:
                scale = f"{source.shift}u, {multiplier}u, {job.layer.shift}u, {job.layer.high}u"
                calls.append(f"scale_channels({name}, {out}, {pixels}u, {channels}u, {step}u, {scale})")
            start += channels
        return {"calls": calls}

    def loop_terms(self, job: Job) -> dict[str, int]:
        terms = {"pixel": size_of(job.output_shape[:-1]) * len(job.sources)}
        for call, value in zip(self.values(job)["calls"], job.inputs, strict=True):
            piece = call.partition("(")[0]
            terms[piece] = terms.get(piece, 0) + value.size_bytes
        return terms

    @staticmethod
    def _is_copy(job: Job, largest: int, shift: int, multiplier: int) -> bool:
        return multiplier == 1 and job.layer.shift == shift == 0 and largest <= job.layer.high


KERNELS = (ConcatenateChannels(),)
