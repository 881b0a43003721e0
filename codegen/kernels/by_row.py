"""A layer row by row of its output, by a kernel of bytes: for values that lie two a byte, or are made as they are read.

The rows that one row of the output needs are unpacked beside each other, a kernel makes the row of them as of an image
of that height, and the row is packed.  So a whole image is never there in bytes.  Where the next layer asks for rows,
some at once, the function makes just these.
"""

from collections import Counter
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from signbit.codegen.kernels.base import PACKING, CArray, Cost, Job, Kernel, Piece, Source, measured_costs
from signbit.codegen.kernels.listing import Run
from signbit.qmodel.layer import Layer
from signbit.qmodel.layers import AveragePool, Windowed
from signbit.qmodel.merge import Merge
from signbit.qmodel.value import WORD_BYTES, Encoding, Value, size_of, words_of

JOBS_KEPT = 1024


@dataclass(frozen=True)
class Reach:
    """Rows of an input that some of the output need: `rows` from their number * `step` - `top` on."""

    rows: int
    step: int
    top: int

    @classmethod
    def of(cls, layer: Layer, value: Value, made: int) -> "Reach":
        if isinstance(layer, Merge):
            return cls(made, made, 0)
        if isinstance(layer, AveragePool):
            return cls(made * layer.size[0], made * layer.size[0], 0)
        if isinstance(layer, Windowed):
            lines, stride = made * layer.window.pool[0], layer.window.stride[0]
            return cls((lines - 1) * stride + layer.kernel[0], lines * stride, layer.window.padding[0])
        return cls(value.shape[0], 0, 0)


@dataclass(frozen=True)
class Rows:
    """How the rows of an input are taken: `unpacked` or `copied` to word `at` of the scratch, or where they are.

    `row_step` are the elements of a row in memory, `row_bytes` its values.
    """

    name: str
    reach: Reach
    height: int
    is_padded: bool
    how: str
    row_step: int
    row_bytes: int
    at: int = 0

    @property
    def words(self) -> int:
        """Words of scratch: rows side by side; the last one is unpacked from a word's beginning on, by whole words."""
        if not self.how:
            return 0
        last = (self.reach.rows - 1) * self.row_bytes
        if self.how == "copied":
            return words_of(last + self.row_bytes)
        return words_of(last) + 2 * self.row_step

    @property
    def moved_bytes(self) -> int:
        """How many values of the rows of one output row are not unpacked to their place at once."""
        starts = (line * self.row_bytes for line in range(self.reach.rows))
        return sum(self.row_bytes for start in starts if self.how == "unpacked" and start % WORD_BYTES)


@dataclass(frozen=True)
class ByRow(Kernel):
    """A kernel of bytes that computes one row of a layer's output, or some at once, after the other."""

    kernel: Kernel
    template = "kernels/by_row.c.j2"

    @property
    def name(self) -> str:
        return self.kernel.name

    @property
    def title(self) -> str:
        return f"{self.name} by row"

    @property
    def summary(self) -> str:
        return self.kernel.summary

    def computes(self, job: Job) -> bool:
        """One-bit values have no rows of padding that could be copied."""
        values = (*job.inputs, job.output)
        is_packed = any(value.encoding is Encoding.NIBBLE for value in values)
        is_asked = is_packed or job.rows_at_once > 0
        return is_asked and not job.maker and _fits(job) and self.kernel.computes(row_job(job))

    def arrays(self, job: Job) -> tuple[CArray, ...]:
        return self.kernel.arrays(row_job(job))

    def values(self, job: Job) -> dict[str, Any]:
        sources, buffer_at, words = _memory(job)
        return {
            "rows": _rows(job),
            "rounds": 1 if job.rows_at_once else _rows(job),
            "sources": sources,
            "buffer_at": buffer_at if words > buffer_at else None,
            "kernel_at": words,
            "out_bytes": size_of(job.output_shape[1:]),
            "out_step": _row_step(job.output),
            "packs": job.output.encoding is Encoding.NIBBLE,
        }

    def pieces(self, job: Job) -> tuple[Piece, ...]:
        hows = {source.how for source in _memory(job)[0]}
        names = ["unpack"] * ("unpacked" in hows) + ["pack"] * (job.output.encoding is Encoding.NIBBLE)
        names += ["copy_row"] * ("copied" in hows or _is_copied_out(job))
        return (*self.kernel.pieces(row_job(job)), *map(Piece, names))

    def finishes(self, job: Job) -> bool:
        return self.kernel.finishes(row_job(job))

    def runs(self, job: Job) -> list[Run]:
        return [replace(run, times=run.times * _rows(job)) for run in self.kernel.runs(row_job(job))]

    def output_columns(self, job: Job) -> list[int] | None:
        return self.kernel.output_columns(row_job(job))

    def terms(self, job: Job) -> dict[str, float]:
        """Those of the C around the kernel."""
        rows, sources = _rows(job), _memory(job)[0]
        terms = Counter({"row by row": rows})
        for source in sources:
            terms["row taken"] += rows * source.reach.rows * bool(source.how)
            if source.how == "unpacked":
                terms["unpacked word"] += rows * source.reach.rows * source.row_step
                terms["moved byte"] += rows * source.moved_bytes
            elif source.how:
                terms["copied byte"] += rows * source.reach.rows * source.row_bytes
        terms["packed word"] += rows * job.output.row_words if job.output.encoding is Encoding.NIBBLE else 0
        terms["copied byte"] += rows * size_of(job.output_shape[1:]) if _is_copied_out(job) else 0
        return dict(terms)

    def scratch_bytes(self, job: Job) -> int:
        return WORD_BYTES * _memory(job)[2] + self.kernel.scratch_bytes(row_job(job))

    def cost(self, job: Job) -> Cost:
        cost, rows = self.kernel.cost(row_job(job)), _rows(job)
        coefficients = measured_costs(PACKING, job.optimize, job.target)
        instructions = None
        if cost.instructions is not None and coefficients is not None:
            around = sum(coefficients.get(term, 0.0) * count for term, count in self.terms(job).items())
            instructions = rows * cost.instructions + around
        return replace(
            cost,
            instructions=instructions,
            scratch_bytes=self.scratch_bytes(job),
            assembly_instructions=rows * cost.assembly_instructions,
        )


@lru_cache(JOBS_KEPT)
def row_job(job: Job) -> Job:
    """What the kernel computes: one row of the output from the rows that it needs, in bytes."""
    layer = job.layer
    if isinstance(layer, Windowed):
        _, _, left, right = layer.window.padding
        layer = replace(layer, window=replace(layer.window, padding=(0, 0, left, right)))
    sources = tuple(_row_source(source, rows) for source, rows in zip(job.sources, _memory(job)[0], strict=True))
    shape = job.output_shape if _rows(job) == 1 else (_made(job), *job.output_shape[1:])
    return replace(job, layer=layer, sources=sources, output=_in_bytes(job.output, shape), rows_at_once=0)


def _row_source(source: Source, rows: Rows) -> Source:
    """What is copied keeps the caller's shift; rows that are read where they are may begin anywhere."""
    value = _in_bytes(source.value, (rows.reach.rows, *source.value.shape[1:]))
    is_anywhere = not rows.how and value.encoding is Encoding.UINT8
    return replace(source, value=value, from_caller=source.from_caller or is_anywhere)


def _in_bytes(value: Value, shape) -> Value:
    return replace(value, shape=shape, encoding=Encoding.UINT8 if value.encoding is Encoding.NIBBLE else value.encoding)


def _made(job: Job) -> int:
    """Rows of the output that are made at once."""
    return max(job.rows_at_once, 1)


def _rows(job: Job) -> int:
    """Rows of the output, or how often some at once are made; 1 where it is a vector."""
    return job.output_shape[0] // _made(job) if len(job.output_shape) == 3 else 1


def _memory(job: Job) -> tuple[list[Rows], int, int]:
    """How inputs are taken, the word of the scratch where an output row is made, and all words before the kernel's."""
    sources, at = [], 0
    for source, name in zip(job.sources, job.input_names, strict=True):
        rows = replace(_taken(job, source.value, name), at=at)
        sources.append(rows)
        at += rows.words
    row = size_of(job.output_shape[1:])
    if job.output.encoding is Encoding.NIBBLE:
        return sources, at, at + 2 * job.output.row_words
    return sources, at, at + (words_of(row) if _is_copied_out(job) else 0)


def _taken(job: Job, value: Value, name: str) -> Rows:
    reach, height = Reach.of(job.layer, value, _made(job)), value.shape[0]
    is_packed = value.encoding is Encoding.NIBBLE
    is_padded = reach.top > 0 or (_rows(job) - 1) * reach.step - reach.top + reach.rows > height
    how = "unpacked" if is_packed else "copied" if is_padded else ""
    return Rows(name, reach, height, is_padded, how, _row_step(value), size_of(value.shape[1:]))


def _row_step(value: Value) -> int:
    """Elements of a value in memory from one row to the next."""
    if value.encoding is Encoding.NIBBLE:
        return value.row_words
    if value.encoding is Encoding.BIT:
        return value.size_bytes // WORD_BYTES // value.shape[0]
    return size_of(value.shape[1:])


def _is_copied_out(job: Job) -> bool:
    """Whether rows of bytes can't be made where they go, as some don't begin with a word."""
    is_bytes = job.output.encoding is Encoding.UINT8 and not job.rows_at_once
    return is_bytes and _rows(job) > 1 and size_of(job.output_shape[1:]) % WORD_BYTES > 0


def _fits(job: Job) -> bool:
    """Whether all rows can be taken: one-bit values are read where they are."""
    rows = (_taken(job, value, "") for value in job.inputs)
    return all(
        value.encoding is not Encoding.BIT or not taken.how for value, taken in zip(job.inputs, rows, strict=True)
    )
