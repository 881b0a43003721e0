"""The plan: every decision about the generated C, resolved.  Templates only lay it out."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from signbit import __version__
from signbit.codegen import code_size
from signbit.codegen.arena import Buffer, aligned, place
from signbit.codegen.choose import NO_LIMITS, Limits, Option, choose
from signbit.codegen.ctext import check_prefix, prefix_from, string_literal
from signbit.codegen.front_end import FrontEndPlan, front_end_plan
from signbit.codegen.inputs import InputCopy, InputPlan, input_copy, input_plan
from signbit.codegen.jobs import NONE_MADE, Made, held_values, jobs_of
from signbit.codegen.kernels import candidates
from signbit.codegen.kernels.base import CArray, Cost, Job, Kernel, Piece, output_step
from signbit.codegen.kernels.by_row import row_job
from signbit.codegen.kernels.targets import PORTABLE, SIZE, SPEED, TARGETS, Target
from signbit.codegen.layout import plus
from signbit.codegen.packing import packable, packed_where_it_pays
from signbit.codegen.rows import by_row_where_it_pays, ways_by_row
from signbit.codegen.swap import Swap, swappable
from signbit.qmodel.decision import Decision
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.layer import CHAIN, Layer
from signbit.qmodel.model import QuantizedModel
from signbit.qmodel.ranges import LayerRange
from signbit.qmodel.value import WORD_BYTES, Encoding, Value

TEST_VECTORS_MAX = 256
COUNT_BYTES = 2
CTYPES = {
    Encoding.UINT8: "uint8_t",
    Encoding.BIT: "uint32_t",
    Encoding.INT32: "int32_t",
    Encoding.NIBBLE: "uint32_t",
}


@dataclass(frozen=True, eq=False)
class LayerPlan:
    """One layer: its kernel, where it reads and writes, and what it costs.

    Offsets are words into the arena; an input's is None where the caller's input is read, `output_offset` where the
    caller's logits are written, or where rows are made as the next layer asks for them.
    """

    index: int
    symbol: str
    job: Job
    inputs: tuple[Value, ...]
    output: Value
    kernel: Kernel
    arrays: tuple[CArray, ...]
    values: dict[str, int]
    cost: Cost
    range: LayerRange
    input_offsets: tuple[int | None, ...]
    output_offset: int | None
    scratch_offset: int
    suffix: str = ""

    @property
    def of_row(self) -> "LayerPlan":
        """What computes a row of the output, where a `ByRow` computes the layer."""
        kernel, job = self.kernel.kernel, row_job(self.job)
        values, cost = kernel.values(job), kernel.cost(job)
        return replace(self, suffix="_row", job=job, kernel=kernel, values=values, cost=cost)

    @property
    def maker_index(self) -> int:
        """The layer that makes the rows of the input, where that is done as they are read."""
        return self.index - 1

    @property
    def function(self) -> str:
        """Its name in C; arrays are named after `symbol`."""
        return self.symbol + self.suffix

    @property
    def is_padded(self) -> bool:
        """Whether a window of the layer, or of a row of it, reaches beyond the image."""
        return any(self.layer.window.padding)

    @property
    def is_packed(self) -> bool:
        """Whether the output's values lie two a byte."""
        return self.job.output.encoding is Encoding.NIBBLE

    @property
    def traces_rows(self) -> bool:
        """Whether PREFIX_TRACE is called for rows, as values lie two a byte or are made by row."""
        return self.is_packed or self.job.rows_at_once > 0

    @property
    def trace_calls(self) -> int:
        """How often PREFIX_TRACE is called in one inference."""
        return self.output.shape[0] // max(self.job.rows_at_once, 1) if self.traces_rows else 1

    @property
    def layer(self) -> Layer:
        return self.job.layer

    @property
    def kind(self) -> str:
        return self.layer.kind

    @property
    def title(self) -> str:
        """Kind, and what the layer reads if that is not just the value before it: `add(-1, -3)`."""
        reads = "" if self.layer.inputs == CHAIN else f"({', '.join(map(str, self.layer.inputs))})"
        return self.kind.replace("_", " ") + reads

    def shapes(self, times: str, arrow: str) -> str:
        """Shapes of the inputs and of the output, such as 7x7x16 + 7x7x8 -> 7x7x24."""
        inputs = " + ".join(times.join(map(str, value.shape)) for value in self.inputs)
        return f"{inputs} {arrow} {times.join(map(str, self.output.shape))}"

    @property
    def output_ctype(self) -> str:
        return CTYPES[self.job.output.encoding]

    @property
    def parameters(self) -> tuple[str, ...]:
        """The function's parameters in C: inputs, output, and scratch where the kernel needs some."""
        pairs = zip(self._read, self.job.input_names, strict=True)
        inputs = (f"const {CTYPES[value.encoding]} *{name}" for value, name in pairs)
        scratch = ("uint32_t *scratch",) if self.cost.scratch_bytes else ()
        row = ("int32_t row",) if self.job.rows_at_once else ()
        return (*inputs, f"{self.output_ctype} *out", *scratch, *row)

    @property
    def _read(self) -> tuple[Value, ...]:
        """The values that the function reads: what the rows of an input are made from instead of it."""
        return self.job.maker.job.inputs if self.job.maker else self.job.inputs

    @property
    def arguments(self) -> tuple[str, ...]:
        """What inference calls the function with."""
        pairs = zip(self._read, self.input_offsets, strict=True)
        inputs = (
            "input" if offset is None else _pointer(f"const {CTYPES[value.encoding]}", offset)
            for value, offset in pairs
        )
        output = "logits" if self.output_offset is None else _pointer(self.output_ctype, self.output_offset)
        scratch = (plus("arena", self.scratch_offset),) if self.cost.scratch_bytes else ()
        return (*inputs, output, *scratch)

    @property
    def output_place(self) -> str:
        return "logits" if self.output_offset is None else plus("arena", self.output_offset)

    @property
    def output_step(self) -> int:
        return output_step(self.job)

    @property
    def weight_bytes(self) -> int:
        """Packed weights, in the kernel's order: all arrays but the activation's."""
        return self.flash_bytes - self.parameter_bytes

    @property
    def parameter_bytes(self) -> int:
        parameters = {"multiplier", "bias", "threshold", "flip"}
        return sum(array.size_bytes for array in self.arrays if array.name in parameters)

    @property
    def flash_bytes(self) -> int:
        return sum(array.size_bytes for array in self.arrays)

    @property
    def weight_count(self) -> int:
        return self.layer.weights.size if hasattr(self.layer, "weights") else 0


def _pointer(ctype: str, offset: int) -> str:
    """C for the address `offset` words into the arena."""
    place = plus("arena", offset)
    return place if ctype.endswith("uint32_t") else f"({ctype} *)({place})" if offset else f"({ctype} *){place}"


@dataclass(frozen=True, eq=False)
class SelfTestVector:
    """An input and the logits that the model gives for it."""

    input: CArray
    logits: CArray


@dataclass(frozen=True, eq=False)
class RejectPlan:
    """Margins below which the classes of `labels` are refused (SPEC 12)."""

    margins: np.ndarray
    labels: tuple[str, ...]
    logit_shift: int

    @property
    def array(self) -> CArray:
        return CArray("margins", "uint32_t", self.margins)

    @property
    def described(self) -> list[dict]:
        """Label and margin of each class, as an integer and as the difference of real logits that it is worth."""
        return [
            {"label": label, "margin": margin, "logits": margin * 2.0**-self.logit_shift}
            for label, margin in zip(self.labels, self.margins.tolist(), strict=True)
        ]


@dataclass(frozen=True, eq=False)
class Plan:
    """All that the header says.  Every symbol begins with `prefix`, every macro with `macro_prefix`."""

    tool_version: str
    model_name: str
    model_hash: str
    prefix: str
    macro_prefix: str
    target: Target
    optimize: str
    input_size: int
    output_size: int
    input_shift: int
    logit_shift: int
    labels: tuple[str, ...]
    layers: tuple[LayerPlan, ...]
    logits_offset: int
    scratch_bytes: int
    test_vectors: tuple[SelfTestVector, ...]
    accuracy: str | None
    input: InputPlan | None
    """None if the model takes raw bytes."""
    front_end: FrontEndPlan | None
    """None if the inputs are not made from samples."""
    input_copy: InputCopy | None
    """None if the first layers read what the caller has."""
    reject: RejectPlan | None
    """None if the model refuses nothing."""
    decision: Decision | None
    """None if the model does not say what a stream's answers become."""
    swap: Swap | None = None
    """None if the model is there to stay."""

    @property
    def decision_array(self) -> CArray:
        return CArray("thresholds", "uint32_t", self.decision.thresholds)

    @property
    def decision_bytes(self) -> int:
        """What a stream's decisions hold: the recent answers, the next one's place and the time to wait."""
        return WORD_BYTES * (self.decision.answers + 2)

    @property
    def const(self) -> str:
        """C for `const` where data is in flash, which some cores that the portable header serves read differently."""
        return "const" if self.target.flags else f"const {self.macro_prefix}_FLASH"

    @property
    def const_activation(self) -> str:
        """The same for activations, which are in RAM where the model can be swapped."""
        return "const" if self.swap else self.const

    @property
    def label_literals(self) -> tuple[str, ...]:
        return tuple(map(string_literal, self.labels))

    @property
    def label_bytes(self) -> int:
        """Bytes of the longest label and its end."""
        return 1 + max(len(label.encode()) for label in self.labels)

    @property
    def kernels(self) -> tuple[Kernel, ...]:
        """Every kernel that is used, once."""
        return tuple(dict.fromkeys(layer.kernel for layer in self.layers))

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """Every shared piece of C that the kernels need, once; what a later layer adds to one comes after its parts."""
        pieces: dict[tuple[str, str], Piece] = {}
        for layer in self.layers:
            for piece in layer.kernel.pieces(layer.job):
                key = piece.template, piece.symbol
                known = pieces.get(key, piece)
                if not piece.needs <= known.needs:
                    piece = pieces.pop(key).merged(piece)
                    known = piece
                pieces[key] = known
        return tuple(pieces.values())

    @property
    def finish_kinds(self) -> set[str]:
        """Kinds of activation that some kernel applies to all outputs of a pixel at once."""
        return {layer.layer.activation.kind for layer in self.layers if layer.kernel.finishes(layer.job)}

    @property
    def model_id(self) -> int:
        """The first 32 bits of the model's hash."""
        return int(self.model_hash[:8], 16)

    @property
    def hash_bytes(self) -> bytes:
        return bytes.fromhex(self.model_hash)

    @property
    def input_layout(self) -> str:
        """Size and order of the inputs in words."""
        *sides, channels = self.layers[0].inputs[0].shape
        if self.input_copy is not None:
            size, what = f"{self.input_size} bytes of packed signs", "comparisons"
        else:
            size, what = f"{self.input_size} bytes in 0..255", "features"
        if not sides:
            return f"{size}: {channels} {what}"
        order = f"{'x'.join(map(str, (*sides, channels)))}, row by row"
        return f"{size}: {order}, the {channels} values of a pixel side by side" if channels > 1 else f"{size}: {order}"

    @property
    def scratch_words(self) -> int:
        return (self.scratch_bytes - aligned(COUNT_BYTES * self.scratch_counts)) // WORD_BYTES

    @property
    def input_range(self) -> tuple[int, int]:
        """Range of the inputs that layers see, after the shift."""
        value = next(source.value for layer in self.layers for source in layer.job.sources)
        return value.low, value.high

    @property
    def negligible_distance(self) -> int:
        """Distance below the best logit from which a probability counts as 0 (SPEC 7)."""
        return 16 << self.logit_shift

    @property
    def distance_shift(self) -> int:
        """Right shift of a distance of logits to units of 1/256."""
        return self.logit_shift - 8

    @property
    def scratch_counts(self) -> int:
        """int16_t in the scratch, besides its words."""
        return self.front_end.counts_size if self.front_end else 0

    @property
    def sensor_size(self) -> int:
        """int16_t from which an input is made, samples or counts; 0 if the model takes bytes."""
        if self.front_end is not None:
            return self.front_end.samples_size
        return self.input.counts_size if self.input else 0

    @property
    def streams(self) -> bool:
        """Whether samples may come hop by hop."""
        return self.front_end is not None and not self.front_end.is_counts

    @property
    def stream_bytes(self) -> int:
        """What a stream holds: the scratch, the window's features, and the samples of frames that are not whole."""
        held = self.front_end.held_size if self.front_end.hops_held > 1 else 0
        words = 2 + (self.front_end.hops_held > 1)
        return self.scratch_bytes + WORD_BYTES * words + aligned(COUNT_BYTES * held + self.input_size)

    @property
    def hop_instructions(self) -> float | None:
        """Predicted for a push without an answer: a frame of each channel, without the copying of samples."""
        if not self.streams or self.front_end.instructions is None:
            return None
        return self.front_end.frame_instructions * self.front_end.front_end.channels

    @property
    def table_bytes(self) -> int:
        """What PREFIX_features takes in flash."""
        if self.front_end is None:
            return 0
        return self.front_end.flash_bytes + (self.input.flash_bytes if self.input else 0)

    @property
    def data_bytes(self) -> int:
        """Weights and parameters in flash."""
        return sum(layer.flash_bytes for layer in self.layers)

    @property
    def trace_bytes(self) -> int:
        """Every layer's output together."""
        return sum(layer.output.size_bytes for layer in self.layers)

    @property
    def test_vector_bytes(self) -> int:
        return sum(vector.input.size_bytes + vector.logits.size_bytes for vector in self.test_vectors)

    @property
    def macs(self) -> int:
        return sum(layer.job.macs for layer in self.layers)

    @property
    def instructions(self) -> float | None:
        """Predicted instructions of one inference; None where a compiler decides."""
        parts = [layer.cost.instructions for layer in self.layers]
        return None if None in parts else sum(parts)

    @property
    def uses_arena(self) -> bool:
        """Whether inference itself needs the scratch, and not only predict for its logits."""
        has_scratch = any(layer.cost.scratch_bytes for layer in self.layers)
        return self.input_copy is not None or len(self.layers) > 1 or has_scratch

    @property
    def makes_rows(self) -> bool:
        """Whether rows of some layer are made as the next one asks for them."""
        return any(layer.job.rows_at_once for layer in self.layers)

    @property
    def packs(self) -> bool:
        """Whether values of some layer lie two a byte."""
        return any(layer.is_packed for layer in self.layers)

    @property
    def activation_kinds(self) -> set[str]:
        """Kinds of activation that the kernels' common functions have to serve."""
        return {layer.layer.activation.kind for layer in self.layers if layer.parameter_bytes}


def make_plan(
    model: QuantizedModel,
    prefix: str | None = None,
    target: str = PORTABLE,
    optimize: str = SPEED,
    test_vectors: int = 0,
    kernel: str | None = None,
    limits: Limits = NO_LIMITS,
    is_swappable: bool = False,
    pack: bool | None = None,
) -> Plan:
    """Resolve everything for `model`.

    `prefix` defaults to the model's name; `test_vectors` inputs with their logits are embedded for a self-test;
    `kernel` forces a kernel by its name wherever it fits; `limits` bounds the scratch, the flash (without code for the
    portable target, whose compiler nobody knows) and the instructions; `is_swappable` lets other models of the same
    layout take the model's place; `pack` says whether values of at most 15 lie two a byte wherever they can, and None
    leaves it to what that saves and costs.  Raises SignbitError for an invalid prefix or number, and where the model
    does not fit.
    """
    prefix = check_prefix(prefix) if prefix is not None else prefix_from(model.name)
    if not 0 <= test_vectors <= TEST_VECTORS_MAX:
        raise SignbitError(f"--test-vectors is {test_vectors}, but must be 0 to {TEST_VECTORS_MAX}")
    if target == PORTABLE and limits.instructions is not None:
        raise SignbitError("--max-instructions needs a core; choose one with --target")
    vectors = tuple(_test_vector(model, number) for number in range(test_vectors))

    def plan_with(packed: frozenset[int] = frozenset(), made: Mapping[int, Made] = NONE_MADE) -> Plan:
        held = held_values(model, packed, made)
        jobs = jobs_of(model, target, optimize, is_swappable, packed, made)
        kernels = [
            [made[index + 1].kernel] if index + 1 in made else _forced(candidates(job), kernel)
            for index, job in enumerate(jobs)
        ]

        def plan_of(chosen: list[Option]) -> Plan:
            return _plan(model, prefix, TARGETS[target], optimize, vectors, jobs, held, chosen)

        plan = _cheapest(plan_of, model, jobs, kernels, limits)
        return swappable(plan) if is_swappable else plan

    packed = frozenset() if pack is False else packable(model, target, optimize, is_swappable)
    if pack or limits.ram_bytes is None or is_swappable:
        return plan_with(packed) if pack or not packed else packed_where_it_pays(plan_with, packed, limits)
    return by_row_where_it_pays(plan_with, packed, limits, ways_by_row(model, target, optimize))


def _cheapest(
    plan_with: Callable[[list[Option]], Plan],
    model: QuantizedModel,
    jobs: list[Job],
    kernels: list[list[Kernel]],
    limits: Limits,
) -> Plan:
    """The plan of the best kernels within the limits."""
    target, optimize = jobs[0].target, jobs[0].optimize
    weights = code_size.weights_for(target, optimize) if optimize == SIZE or limits.flash_bytes is not None else None
    options = [[Option.of(kernel, job) for kernel in choices] for job, choices in zip(jobs, kernels, strict=True)]
    draft = plan_with([choices[0] for choices in options]) if weights or model.front_end else None
    if model.front_end is not None and limits.flash_bytes is not None:
        # what is left for the layers
        taken_bytes = draft.table_bytes + code_size.front_end_bytes(draft)
        limits = replace(limits, flash_bytes=limits.flash_bytes - taken_bytes)

    def code_bytes(index: int, option: Option) -> dict[str, int]:
        values = option.kernel.values(jobs[index])
        layer = replace(draft.layers[index], kernel=option.kernel, values=values, cost=option.cost, arrays=())
        return code_size.layer_bytes(draft, layer, weights)

    plan = plan_with(choose(jobs, options, optimize, limits, code_bytes if weights else None))
    if limits.ram_bytes is not None and plan.scratch_bytes > limits.ram_bytes:
        over = plan.scratch_bytes - limits.ram_bytes
        raise SignbitError(f"the layers need {plan.scratch_bytes:,} bytes of RAM together, {over:,} more than allowed")
    return plan


def _plan(
    model: QuantizedModel,
    prefix: str,
    target: Target,
    optimize: str,
    test_vectors: tuple[SelfTestVector, ...],
    jobs: list[Job],
    held: dict[int, Buffer],
    options: list[Option],
) -> Plan:
    """The plan in which `options` compute `jobs`, with the values that are `held` in the arena, by their numbers."""
    scratch = (Buffer(option.cost.scratch_bytes, step, step) for step, option in enumerate(options))
    arena = place([*held.values(), *scratch])
    offsets = [offset // WORD_BYTES for offset in arena.offsets]
    places = dict(zip(held, offsets, strict=False))
    layers = tuple(
        LayerPlan(
            index=index,
            symbol=f"{prefix}_layer{index}",
            job=job,
            inputs=model.inputs_of(index),
            output=model.values[index + 1],
            kernel=option.kernel,
            arrays=option.arrays,
            values=option.kernel.values(job),
            cost=option.cost,
            range=model.ranges[index],
            input_offsets=tuple(places.get(source) for source in model.graph.sources[index - bool(jobs[index].maker)]),
            output_offset=places.get(index + 1) if index < len(jobs) - 1 else None,
            scratch_offset=offsets[len(held) + index],
        )
        for index, (option, job) in enumerate(zip(options, jobs, strict=True))
    )
    front_end = front_end_plan(model, target.name, optimize)
    return Plan(
        tool_version=__version__,
        model_name=model.name,
        model_hash=model.hash,
        prefix=prefix,
        macro_prefix=prefix.upper(),
        target=target,
        optimize=optimize,
        input_size=model.input_size,
        output_size=model.output_size,
        input_shift=model.input_shift,
        logit_shift=model.logit_shift,
        labels=model.labels,
        layers=layers,
        logits_offset=places[len(jobs)],
        scratch_bytes=_scratch_bytes(arena.size_bytes, front_end),
        test_vectors=test_vectors,
        accuracy=_accuracy(model.provenance),
        input=input_plan(model),
        front_end=front_end,
        input_copy=input_copy(model.values[0], places[0]) if 0 in held else None,
        reject=None if model.reject is None else RejectPlan(model.reject.margins, model.labels, model.logit_shift),
        decision=model.decision,
    )


def _scratch_bytes(arena_bytes: int, front_end: FrontEndPlan | None) -> int:
    """The front end runs before inference, in the same words; features that are counts lie after them."""
    if front_end is None:
        return arena_bytes
    return max(arena_bytes, front_end.scratch_bytes) + aligned(COUNT_BYTES * front_end.counts_size)


def _forced(kernels: list[Kernel], name: str | None) -> list[Kernel]:
    named = [kernel for kernel in kernels if kernel.name == name]
    return named or kernels


def _test_vector(model: QuantizedModel, number: int) -> SelfTestVector:
    """A fixed pseudo-random input, every second one dark, with its logits."""
    octets = hashlib.shake_256(f"signbit test vector {number}".encode()).digest(model.input_size)
    inputs = np.frombuffer(octets, np.uint8) >> np.uint8(2 * (number % 2))
    logits = model.run(inputs[None])[0]
    return SelfTestVector(CArray("inputs", "uint8_t", inputs), CArray("expected", "int32_t", logits))


def _accuracy(provenance: dict) -> str | None:
    """Test accuracy of the integer model, as the trainer recorded it; only numbers get into the header."""
    try:
        record = provenance["accuracy"]["test"]
        correct, count = int(record["integer_correct"]), int(record["count"])
    except (KeyError, TypeError, ValueError):
        return None
    return f"{100 * correct / count:.2f} % of {count} test inputs" if 0 <= correct <= count and count else None
