"""Kernels for layers of several inputs: additions and concatenations."""

from signbit.codegen.kernels import dsp_assembly, helium_assembly
from signbit.codegen.kernels.base import BITS, BYTES, Job, Kernel, Piece
from signbit.codegen.kernels.listing import Run
from signbit.codegen.kernels.portable import PortableKernel
from signbit.codegen.kernels.targets import CORTEX_DSP, CORTEX_M55
from signbit.qmodel import integer
from signbit.qmodel.merge import Add, Concatenate
from signbit.qmodel.value import WORD_BYTES, Encoding, size_of


class MergeLoops(PortableKernel):
    """Loops in plain C that end in no activation of their own."""

    def terms(self, job: Job) -> dict[str, int]:
        return {"call": 1, **self.loop_terms(job)}


class AddValues(MergeLoops):
    """Value by value, with any multipliers."""

    name = "add"
    layer = Add
    reads = BYTES
    writes = BYTES

    def values(self, job: Job) -> dict[str, str]:
        half, shift = int(job.layer.activation.bias[0]), job.layer.shift
        terms = [
            _product(f"{name}[index]", source.shift, multiplier)
            for name, source, multiplier in zip(job.input_names, job.sources, job.layer.multipliers, strict=True)
        ]
        total = " + ".join([*terms, *([f"{half}u"] if half else [])])
        largest = job.layer.accumulator_range(*job.inputs).overall()[1] + half >> shift
        return {
            "sum": f"({total}) >> {shift}" if shift else total,
            "value": f"(sum > {job.layer.high}u ? {job.layer.high}u : sum)" if largest > job.layer.high else "sum",
        }

    def loop_terms(self, job: Job) -> dict[str, int]:
        outputs, inputs = job.output.size, len(job.sources)
        rescaled = sum(multiplier > 1 for multiplier in job.layer.multipliers) + (job.layer.shift > 0)
        counts = {"output": 1, "input": inputs, "rescaled": rescaled, "clamped": self.values(job)["value"] != "sum"}
        return {term: count * outputs for term, count in counts.items()}


def _product(value: str, shift: int, multiplier: int) -> str:
    shifted = f"(uint32_t)({value} >> {shift})" if shift else f"(uint32_t){value}"
    return f"{shifted} * {multiplier}u" if multiplier > 1 else shifted


class PairwiseAdd(Kernel):
    """min(x + y, high), several values at a time, for inputs of one scale; a third input is added to the sum of two."""

    template = "kernels/calls.c.j2"
    layer = Add
    reads = BYTES
    writes = BYTES

    def fits(self, job: Job) -> bool:
        is_one_scale = set(job.layer.multipliers) == {1} and job.layer.shift == 0
        return is_one_scale and not any(source.from_caller for source in job.sources)

    def pieces(self, job: Job) -> tuple[Piece, ...]:
        return (Piece(self.name),)

    def values(self, job: Job) -> dict:
        first, *others = job.input_names
        rest = f"out, {job.output.size}u, {self.limit(job)}"
        return {"calls": [f"{self.name}({'out' if n else first}, {y}, {rest})" for n, y in enumerate(others)]}

    def limit(self, job: Job) -> str:
        """The C arguments that say what a sum is limited to."""
        return f"0x{0x01010101 * job.layer.high:08x}u"

    def passes(self, job: Job) -> int:
        return len(job.sources) - 1

    def terms(self, job: Job) -> dict[str, float]:
        return {"pass": self.passes(job)}


class AddWords(PairwiseAdd, MergeLoops):
    """Four values in a word, in plain C: no byte of x + y overflows if both are at most high = 2^k - 1 <= 127."""

    name = "add_words"

    def fits(self, job: Job) -> bool:
        high = job.layer.high
        is_mask = high <= 127 and high & (high + 1) == 0
        return super().fits(job) and is_mask and all(value.high <= high for value in job.inputs)

    def limit(self, job: Job) -> str:
        return f"{super().limit(job)}, {job.layer.high.bit_length()}u"

    def loop_terms(self, job: Job) -> dict[str, int]:
        words, rest = divmod(job.output.size, WORD_BYTES)
        return {name: self.passes(job) * count for name, count in (("pass", 1), ("word", words), ("rest", rest))}


class DspAdd(PairwiseAdd):
    """UQADD8 adds four values, and UQSUB8 and USUB8 subtract the excess over the limit."""

    name = "dsp_add"
    targets = CORTEX_DSP

    def pieces(self, job: Job) -> tuple[Piece, ...]:
        return (Piece(self.name, values={"listing": dsp_assembly.add}),)

    def runs(self, job: Job) -> list[Run]:
        words, rest = divmod(job.output.size, WORD_BYTES)
        return [dsp_assembly.add.run(self.passes(job), words=words, rest=rest)]


class MveAdd(PairwiseAdd):
    """VQADD and VMIN, 16 values at a time."""

    name = "mve_add"
    targets = CORTEX_M55

    def pieces(self, job: Job) -> tuple[Piece, ...]:
        return (Piece(self.name, values={"listing": helium_assembly.add}),)

    def runs(self, job: Job) -> list[Run]:
        return [helium_assembly.vector_run(helium_assembly.add, self.passes(job), job.output.size)]


class ConcatenateChannels(MergeLoops):
    """Input by input, each into its place in every pixel."""

    name = "concatenate"
    template = "kernels/calls.c.j2"
    layer = Concatenate
    reads = BYTES | BITS
    writes = BYTES | BITS

    def pieces(self, job: Job) -> tuple[Piece, ...]:
        return tuple(
            Piece(name) for name in dict.fromkeys(call.partition("(")[0] for call in self.values(job)["calls"])
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


KERNELS = (DspAdd(), MveAdd(), AddWords(), AddValues(), ConcatenateChannels())
