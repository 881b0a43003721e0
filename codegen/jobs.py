"""A model's layers as jobs for kernels: what each reads and writes, and the memory that is taken while it runs.

Values of at most 15 may be `packed`, two a byte, and rows of others may be `made` as they are read: values are named by
their numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from signbit.codegen.arena import Buffer, in_use
from signbit.codegen.kernels.base import Job, Kernel, Maker, Source
from signbit.qmodel.layers import Windowed
from signbit.qmodel.model import QuantizedModel
from signbit.qmodel.value import NIBBLE_MAX, Encoding, Value


@dataclass(frozen=True)
class Made:
    """How a value's rows are made: by `kernel`, `rows` at once."""

    kernel: Kernel
    rows: int


NONE_MADE: Mapping[int, Made] = {}


def jobs_of(
    model: QuantizedModel,
    target: str,
    optimize: str,
    is_swappable: bool = False,
    packed: frozenset[int] = frozenset(),
    made: Mapping[int, Made] = NONE_MADE,
) -> list[Job]:
    """The model's layers, each in its place; images of one column lie on their side."""
    taken = list(held_values(model, packed, made).values())
    values = _laid_out(model, packed)
    jobs = []
    for index, layer in enumerate(model.layers):
        sources = tuple(
            Source(
                values[source],
                shift=0 if source else model.input_shift,
                from_caller=source == 0 and model.values[0].encoding is Encoding.UINT8,
                maker=Maker(jobs[source - 1], made[source].kernel) if source in made else None,
            )
            for source in model.graph.sources[index]
        )
        job = Job(layer, sources, values[index + 1], in_use(taken, index), target, optimize, is_swappable)
        job = replace(job, rows_at_once=made[index + 1].rows) if index + 1 in made else job
        jobs.append(_on_its_side(job) if _is_column(job) else job)
    return jobs


def held_values(
    model: QuantizedModel, packed: frozenset[int] = frozenset(), made: Mapping[int, Made] = NONE_MADE
) -> dict[int, Buffer]:
    """The values that live in the arena, each until its last reader has run, or the reader of the rows made from it.

    One-bit inputs are among them, as a copy: a caller's bytes may have any alignment.
    """
    first = 0 if model.values[0].encoding is Encoding.BIT else 1
    values, last = _laid_out(model, packed), list(model.graph.last_readers)
    for number in made:
        (source,) = model.graph.sources[number - 1]
        last[source] = max(last[source], number)
    return {
        number: Buffer(values[number].size_bytes, max(number - 1, 0), last[number])
        for number in range(first, len(values))
        if number not in made
    }


def readable_by_row(model: QuantizedModel) -> list[int]:
    """Values whose rows could be made as they are read: images, each from one value and for the next layer alone."""
    graph = model.graph
    return [
        number
        for number, value in enumerate(model.values[:-1])
        if number > 0
        and value.encoding is Encoding.UINT8
        and len(value.shape) == 3
        and min(value.shape[:2]) > 1
        and len(graph.sources[number - 1]) == 1
        and graph.sources[number] == (number,)
        and graph.last_readers[number] == number
    ]


def of_four_bits(model: QuantizedModel) -> frozenset[int]:
    """The layers' outputs that fit four bits, and are images of several rows and columns, which packing makes smaller.

    Kernels go through a series of one column as through one row, which would be unpacked as a whole.
    """
    return frozenset(
        number
        for number, value in enumerate(model.values)
        if number > 0
        and value.encoding is Encoding.UINT8
        and value.high <= NIBBLE_MAX
        and len(value.shape) == 3
        and min(value.shape[:2]) > 1
        and _packed(value).size_bytes < value.size_bytes
    )


def _laid_out(model: QuantizedModel, packed: frozenset[int]) -> list[Value]:
    """The model's values as they lie in memory."""
    return [_packed(value) if number in packed else value for number, value in enumerate(model.values)]


def _packed(value: Value) -> Value:
    return replace(value, encoding=Encoding.NIBBLE)


def _is_column(job: Job) -> bool:
    """Whether a convolution makes one column of one, such as a series of measurements."""
    return isinstance(job.layer, Windowed) and job.input_shape[1] == job.output_shape[1] == 1


def _on_its_side(job: Job) -> Job:
    """The same convolution of a row: values of both lie in memory alike, and kernels work along rows."""
    layer = replace(job.layer, weights=job.layer.weights.swapaxes(1, 2), window=job.layer.window.transposed())
    sources = tuple(replace(source, value=_transposed(source.value)) for source in job.sources)
    return replace(job, layer=layer, sources=sources, output=_transposed(job.output))


def _transposed(value: Value) -> Value:
    height, width, channels = value.shape
    return replace(value, shape=(width, height, channels))
