"""Kernels for layers of several inputs: additions and concatenations."""

from typing import ClassVar

from signbit.codegen.kernels.base import BYTES, Job, Kernel, Piece
from signbit.codegen.kernels.c99.loops import MergeLoops
from signbit.qmodel.merge import Add
from signbit.qmodel.value import WORD_BYTES


class AddValues(MergeLoops):
    """Value by value, with any multipliers."""

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
        largest = job.accumulator_range.overall()[1] + half >> shift
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
    function: ClassVar[str]
    layer = Add
    reads = BYTES
    writes = BYTES

    def fits(self, job: Job) -> bool:
        is_one_scale = set(job.layer.multipliers) == {1} and job.layer.shift == 0
        return is_one_scale and not any(source.from_caller for source in job.sources)

    def pieces(self, job: Job) -> tuple[Piece, ...]:
        return (Piece("c99/add_words"),)

    def values(self, job: Job) -> dict:
        first, *others = job.input_names
        rest = f"out, {job.output.size}u, {self.limit(job)}"
        return {"calls": [f"{self.function}({'out' if n else first}, {y}, {rest})" for n, y in enumerate(others)]}

    def limit(self, job: Job) -> str:
        """The C arguments that say what a sum is limited to."""
        return f"0x{0x01010101 * job.layer.high:08x}u"

    def passes(self, job: Job) -> int:
        return len(job.sources) - 1

    def terms(self, job: Job) -> dict[str, float]:
        return {"pass": self.passes(job)}


class AddWords(PairwiseAdd, MergeLoops):
    """Four values in a word, in plain C: no byte of x + y overflows if both are at most high = 2^k - 1 <= 127."""

    variant = "_words"
    function = "add_words"

    def fits(self, job: Job) -> bool:
        high = job.layer.high
        is_mask = high <= 127 and high & (high + 1) == 0
        return super().fits(job) and is_mask and all(value.high <= high for value in job.inputs)

    def limit(self, job: Job) -> str:
        return f"{super().limit(job)}, {job.layer.high.bit_length()}u"

    def loop_terms(self, job: Job) -> dict[str, int]:
        words, rest = divmod(job.output.size, WORD_BYTES)
        return {name: self.passes(job) * count for name, count in (("pass", 1), ("word", words), ("rest", rest))}


KERNELS = (AddWords(), AddValues())
