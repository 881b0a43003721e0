"""What a kernel is: one way to compute one layer in C, with its packed weights and its costs."""

import json
from abc import ABC
from dataclasses import dataclass, field, replace
from importlib import resources
from typing import Any, ClassVar

import numpy as np

from signbit.codegen.kernels.listing import Listing, Run
from signbit.codegen.kernels.targets import TWINS
from signbit.qmodel import integer
from signbit.qmodel.activations import Requantize, Sign
from signbit.qmodel.layer import Layer, Range
from signbit.qmodel.layers import AveragePool, Weighted
from signbit.qmodel.value import Encoding, Shape, Value, words_of

BYTES, BITS, LOGITS = (frozenset({encoding}) for encoding in (Encoding.UINT8, Encoding.BIT, Encoding.INT32))
"""What kernels read and write."""
NIBBLES = frozenset({Encoding.NIBBLE})
PACKING = "packing"
"""The key in the table of costs of what values two a byte take, whoever reads or writes them."""

COSTS = json.loads((resources.files("signbit.codegen") / "kernels" / "costs.json").read_text())
"""COSTS[kernel][optimize][target][term]: instructions as gcc compiles C, measured by `python -m tools fit_costs`."""


def measured_costs(name: str, optimize: str, target: str) -> dict[str, float] | None:
    """Instructions of each term of a kernel's C, those of the target's twin where it has none of its own."""
    targets = COSTS.get(name, {}).get(optimize, {})
    return targets.get(target, targets.get(TWINS.get(target)))


@dataclass(frozen=True, eq=False)
class CArray:
    """A `static const` array in flash; its symbol is the layer's, then `name`."""

    name: str
    ctype: str
    values: np.ndarray

    @property
    def size_bytes(self) -> int:
        return self.values.nbytes


@dataclass(frozen=True)
class Source:
    """A value that a layer reads, and how it lies in memory.

    `value` is what it holds after `shift`.  `from_caller` says that it has any alignment and comes as the sensor gave
    it, with `shift` still to be done; otherwise it lies in the arena, 4-byte aligned, and `shift` is 0.  Where there is
    a `maker` the value lies nowhere: its rows are made as they are read, from what the maker reads.
    """

    value: Value
    shift: int
    from_caller: bool
    maker: "Maker | None" = None


@dataclass(frozen=True, eq=False)
class Job:
    """A layer in its place: all that a kernel may ask.  No kernel reads past a source's last byte or word.

    `values_bytes` are taken in the arena while the layer runs, by its output and all values that are still read;
    `optimize` is SIZE or SPEED.  Where it `is_swappable`, other weights and parameters may take the place of the
    layer's, and only its form is known when the code is made.  `rows_at_once` are rows of the output that are made
    where the next layer asks for them; 0 if the layer makes all of it.
    """

    layer: Layer
    sources: tuple[Source, ...]
    output: Value
    values_bytes: int
    target: str
    optimize: str
    is_swappable: bool = False
    rows_at_once: int = 0

    @property
    def maker(self) -> "Maker | None":
        """What makes the rows of the input, where a layer reads one value."""
        return self.sources[0].maker

    @property
    def inputs(self) -> tuple[Value, ...]:
        return tuple(source.value for source in self.sources)

    @property
    def input(self) -> Value:
        """What a layer of one input reads."""
        return self.sources[0].value

    @property
    def input_names(self) -> tuple[str, ...]:
        """The C function's pointers: x, or x0, x1, ... where there are several."""
        return ("x",) if len(self.sources) == 1 else tuple(f"x{number}" for number in range(len(self.sources)))

    @property
    def input_shift(self) -> int:
        return self.sources[0].shift

    @property
    def from_caller(self) -> bool:
        return self.sources[0].from_caller

    @property
    def input_shape(self) -> Shape:
        return self.input.shape

    @property
    def output_shape(self) -> Shape:
        return self.output.shape

    @property
    def one_bit_inputs(self) -> bool:
        return self.input.encoding is Encoding.BIT

    @property
    def input_bytes(self) -> int:
        return self.input.size_bytes

    @property
    def neurons(self) -> int:
        return self.output_shape[-1]

    @property
    def rows(self) -> np.ndarray:
        """One-bit rows of all planes, int8 (planes * neurons, fan_in): row p * neurons + j is plane p of neuron j."""
        return np.concatenate(self.layer.planes)

    @property
    def planes(self) -> int:
        """2 for ternary weights, else 1."""
        return 2 if isinstance(self.layer, Weighted) and self.layer.ternary else 1

    @property
    def macs(self) -> int:
        return self.layer.macs(*(value.shape for value in self.inputs))

    @property
    def accumulator_range(self) -> Range:
        """Proved for the layer's weights, or for all that it may get."""
        proved = self.layer.accumulator_limits if self.is_swappable else self.layer.accumulator_range
        return proved(*self.inputs)

    @property
    def gets_shift(self) -> bool:
        """Whether its activation's shift is known only when the code runs."""
        return self.is_swappable and isinstance(self.layer.activation, Requantize)


@dataclass(frozen=True, eq=False)
class Maker:
    """A layer whose rows are made where they are read, by `kernel`."""

    job: Job
    kernel: "Kernel"

    @property
    def scratch_words(self) -> int:
        return words_of(self.kernel.scratch_bytes(self.job))


@dataclass(frozen=True, eq=False)
class Cost:
    """What a kernel costs for a job.

    `instructions` is predicted for one inference on the job's target, requantize included, or None where the
    compiler decides (portable); `assembly_instructions` are those of its assembly alone.  `scratch_bytes` are taken
    from the arena while the layer runs, beside its input and output.  `stack_bytes` are what its assembly pushes, which
    -fstack-usage does not see.
    """

    instructions: float | None
    scratch_bytes: int = 0
    stack_bytes: int = 0
    assembly_instructions: float = 0


@dataclass(frozen=True)
class Piece:
    """C that layers share: a template laid out with `values`, m0/halve for kernels/m0/pieces/halve.c.j2.

    It is emitted once for all layers that name the same `symbol`, which is the function's name after the prefix;
    `needs` are parts of it that some layer asks for.
    """

    template: str
    symbol: str = ""
    values: dict[str, Any] = field(default_factory=dict, compare=False)
    needs: frozenset[str] = frozenset()

    @property
    def path(self) -> str:
        room, _, name = f"kernels/{self.template}".rpartition("/")
        return f"{room}/pieces/{name}.c.j2"

    def merged(self, other: "Piece") -> "Piece":
        """One piece for the layers of both."""
        return replace(self, needs=self.needs | other.needs)


def function(symbol: str, listing: Listing, prototype: str, summary: str) -> Piece:
    """A piece that is a function of assembly alone, without plain C beside it.

    `prototype` is its C, such as "void (int32_t *acc)"; PREFIX is the plan's.
    """
    returns, _, parameters = prototype.rstrip(")").partition("(")
    values = {"listing": listing, "returns": returns.strip(), "parameters": parameters, "summary": summary}
    return Piece("function", symbol, values)


class Kernel(ABC):
    """One way to compute a kind of layer on some targets, for the encodings that it knows.

    Its name is its module's, with `variant` where a module has several kernels.  The template beside the module has the
    same name and holds the macro `layer(plan, layer)`, the function of one layer, which lays out `layer.values` and
    `layer.arrays`; C that several layers call is in `pieces`.
    """

    variant: ClassVar[str] = ""
    targets: ClassVar[frozenset[str]]
    layer: ClassVar[type[Layer]]
    reads: ClassVar[frozenset[Encoding]]
    writes: ClassVar[frozenset[Encoding]] = BYTES | BITS | LOGITS
    takes_rows: ClassVar[bool] = False
    """Whether it reads every row of its input once, in order, so that each can be made just then."""

    @property
    def name(self) -> str:
        """Room, module and variant, such as m0/dense_lut7."""
        return f"{self._module}{self.variant}"

    @property
    def title(self) -> str:
        """The name, and what else a reader of a report should know."""
        return self.name

    @property
    def symbol(self) -> str:
        """What the names of its own C functions begin with, after the prefix."""
        return self.name.replace("/", "_")

    @property
    def template(self) -> str:
        return f"kernels/{self._module}.c.j2"

    @property
    def _module(self) -> str:
        return "/".join(type(self).__module__.split(".")[-2:])

    @property
    def summary(self) -> str:
        """What the header says about the kernel: the first sentence of its docstring."""
        return (type(self).__doc__ or "").split("\n\n")[0].partition("; see ")[0].rstrip(".") + "."

    def computes(self, job: Job) -> bool:
        """Whether this kernel computes `job`, whatever it costs."""
        knows = {value.encoding for value in job.inputs} <= self.reads and job.output.encoding in self.writes
        is_known = job.target in self.targets and isinstance(job.layer, self.layer) and knows and not job.rows_at_once
        is_known = is_known and (self.takes_rows or not job.maker)
        return is_known and (self.swaps(job) or not job.is_swappable) and self.fits(job)

    def fits(self, job: Job) -> bool:
        """Whether it computes this job of a kind and encodings that it knows."""
        return True

    def swaps(self, job: Job) -> bool:
        """Whether code and sizes of arrays are the same for all weights and parameters of such a layer."""
        return True

    def arrays(self, job: Job) -> tuple[CArray, ...]:
        """All that is in flash for the job: packed weights, and the activation's parameters."""
        return ()

    def values(self, job: Job) -> dict[str, Any]:
        """All that the template lays out, resolved, beside what every layer has."""
        return {}

    def pieces(self, job: Job) -> tuple[Piece, ...]:
        """The pieces that the job's function calls, each after those that it calls itself."""
        return ()

    def finishes(self, job: Job) -> bool:
        """Whether the template uses `finish` (all outputs of a pixel at once) and not only `store`."""
        return False

    def runs(self, job: Job) -> list[Run]:
        """The assembly that runs in one inference."""
        return []

    def output_columns(self, job: Job) -> list[int] | None:
        """The columns of the output as they are made, where some are made twice."""
        return None

    def terms(self, job: Job) -> dict[str, float]:
        """How often each part of the compiled C runs in one inference: what its instructions are predicted from."""
        return {"call": 1}

    def scratch_bytes(self, job: Job) -> int:
        return 0

    def cost(self, job: Job) -> Cost:
        """Predicted cost: assembly as its text says, compiled C by coefficients that were measured."""
        runs = self.runs(job)
        assembly = sum(run.instructions for run in runs)
        coefficients = measured_costs(self.name, job.optimize, job.target) or ({} if runs else None)
        instructions = None
        if coefficients is not None:
            coefficients = (measured_costs(PACKING, job.optimize, job.target) or {}) | coefficients
            compiled = sum(coefficients.get(term, 0.0) * count for term, count in self.terms(job).items())
            instructions = assembly + compiled
        stack_bytes = max((run.listing.stack_bytes for run in runs), default=0)
        return Cost(instructions, self.scratch_bytes(job), stack_bytes, assembly)


def activation_arrays(job: Job, constant: np.ndarray | int = 0) -> tuple[CArray, ...]:
    """Parameters of the job's activation for accumulators that come as acc - `constant` from the kernel.

    The constant (one per neuron, or one for all) goes into the bias, B' = B + M * constant, or the threshold.  Modulo
    2^32 the result is the same as with acc itself, and the true result is proved to fit.
    """
    activation = job.layer.activation
    if isinstance(job.layer, AveragePool):
        return ()
    if isinstance(activation, Sign):
        return _sign_arrays(activation, constant)
    bias = activation.bias.astype(np.int64) + activation.multiplier.astype(np.int64) * constant
    return (
        CArray("multiplier", "int16_t", activation.multiplier),
        CArray("bias", "int32_t", _wrapped(bias)),
    )


def _sign_arrays(activation: Sign, constant: np.ndarray | int) -> tuple[CArray, ...]:
    """Thresholds with the direction folded in: +1 if (acc ^ flip) >= T, with flip -1 where the direction is.

    -acc >= T is ~acc >= T - 1, so that no negation of INT32_MIN can happen; thresholds no accumulator passes stay.
    """
    flip = np.where(activation.direction < 0, -1, 0)
    moved = activation.threshold.astype(np.int64) - np.where(flip, 1, 0) - activation.direction * np.int64(1) * constant
    limits = np.int64(integer.INT32_MIN), np.int64(integer.INT32_MAX)
    always = activation.threshold == limits[0]
    never = activation.threshold == limits[1]
    threshold = np.where(always, limits[0], np.where(never, limits[1], np.clip(moved, *limits)))
    return (
        CArray("threshold", "int32_t", threshold.astype(np.int32)),
        CArray("flip", "int8_t", flip.astype(np.int8)),
    )


def _wrapped(values: np.ndarray) -> np.ndarray:
    """int64 modulo 2^32, as int32."""
    return (values & 0xFFFFFFFF).astype(np.uint32).view(np.int32)


def is_hidden(job: Job) -> bool:
    """Whether the job's outputs are uint8 values."""
    return job.output.encoding is Encoding.UINT8


def output_step(job: Job) -> int:
    """Elements of the output from one pixel to the next: values, or words of bits."""
    return integer.words_for(job.neurons) if job.output.encoding is Encoding.BIT else job.neurons
