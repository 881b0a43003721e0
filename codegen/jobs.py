"""A model's layers as jobs for kernels: what each reads and writes, and the memory that is taken while it runs."""

from dataclasses import replace

from signbit.codegen.arena import Buffer, in_use
from signbit.codegen.kernels.base import Job, Source
from signbit.qmodel.layers import Windowed
from signbit.qmodel.model import QuantizedModel
from signbit.qmodel.value import Encoding, Value


def jobs_of(model: QuantizedModel, target: str, optimize: str, swappable: bool = False) -> list[Job]:
    """The model's layers, each in its place; images of one column lie on their side."""
    taken = list(held_values(model).values())
    jobs = []
    for index, layer in enumerate(model.layers):
        sources = tuple(
            Source(
                model.values[source],
                shift=0 if source else model.input_shift,
                from_caller=source == 0 and model.values[0].encoding is Encoding.UINT8,
            )
            for source in model.graph.sources[index]
        )
        job = Job(layer, sources, model.values[index + 1], in_use(taken, index), target, optimize, swappable)
        jobs.append(_on_its_side(job) if _is_column(job) else job)
    return jobs


def held_values(model: QuantizedModel) -> dict[int, Buffer]:
    """The values that live in the arena, each until its last reader has run.

    One-bit inputs are among them, as a copy: a caller's bytes may have any alignment.
    """
    first = 0 if model.values[0].encoding is Encoding.BIT else 1
    return {
        number: Buffer(model.values[number].size_bytes, max(number - 1, 0), model.graph.last_readers[number])
        for number in range(first, len(model.values))
    }


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
