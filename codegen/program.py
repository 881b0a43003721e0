"""A C program around generated headers that writes everything they compute.

For each plan in turn it reads `count` records and writes what becomes of each: the features of samples, every layer's
output, the class, the confidence and, if the model has a reject or a decision, what these say.  Where its bytes come
from and go to is the business of `stream.h`: stdin and stdout on this computer, semihosting on an emulated core, flash
and a UART on an emulated AVR.  Many models in one program make thousands of random ones a matter of seconds.
"""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np

from signbit.codegen.plan import Plan
from signbit.codegen.render import header_text, render

STREAMS = Path(__file__).resolve().parent / "streams"
STREAM_HERE = STREAMS / "host"
"""Where this computer's stream.h is."""
STREAM_ON_CORE = STREAMS / "core"


class Reads(Enum):
    """What a program's records are."""

    SAMPLES = "samples"
    """int16 for the front end; where a plan has none, its inputs."""
    INPUTS = "inputs"
    """uint8 for PREFIX_infer."""
    COUNTS = "counts"
    """int16 of a sensor, for PREFIX_quantize_input alone."""
    HOPS = "hops"
    """int16 for two streams, of which the second begins two hops late and answers at every third."""


@dataclass(frozen=True)
class Part:
    """One plan's part of the program; `offset_bytes` is where its input lies after a word's beginning."""

    plan: Plan
    reads: str
    count: int
    offset_bytes: int
    predict: bool

    @property
    def push(self) -> bool:
        """Whether a stream has to answer like the whole window."""
        return self.predict and self.plan.streams and self.reads == Reads.SAMPLES.value


def write_program(
    folder: Path,
    plans: list[Plan],
    count: int,
    suffix: str = ".c",
    offset_bytes: int | None = None,
    predict: bool = True,
    reads: Reads = Reads.SAMPLES,
) -> Path:
    """The program's source and headers in `folder`; every plan has a prefix of its own.

    Inputs lie `offset_bytes` after a word's beginning; by default 0, 1, 2 and 3 in turn, model by model.  `predict`
    checks PREFIX_predict too, which runs inference a second time, and what a stream answers.
    """
    parts = []
    for index, plan in enumerate(plans):
        (folder / f"model_{plan.prefix}.h").write_text(header_text(plan))
        of_plan = Reads.INPUTS if reads is Reads.SAMPLES and not plan.front_end else reads
        offset = index % 4 if offset_bytes is None else offset_bytes
        parts.append(Part(plan, of_plan.value, count, offset, predict))
    source = folder / f"main{suffix}"
    source.write_text(render("program.c.j2", parts=parts))
    return source


def counts_of_layers(counts: list[int], plans: list[Plan], inputs: int, reads: Reads = Reads.SAMPLES) -> list[int]:
    """What a program counted from trace to trace, as one number for each layer, also where its rows were traced.

    A front end's count comes before an input's layers, and after them that of `infer` itself.
    """
    calls = [
        number
        for plan in plans
        for _ in range(inputs)
        for number in (
            *[1] * (plan.front_end is not None and reads is Reads.SAMPLES),
            *(layer.trace_calls for layer in plan.layers),
            1,
        )
    ]
    starts = np.cumsum([0, *calls[:-1]])
    return np.add.reduceat(counts, starts).tolist()
