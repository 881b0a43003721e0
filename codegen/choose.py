"""Which kernel computes each layer: the fastest or the smallest set that fits into RAM, flash and time."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import ceil

from signbit.codegen.arena import aligned
from signbit.codegen.kernels.base import CArray, Cost, Job, Kernel
from signbit.codegen.kernels.targets import SIZE, SPEED
from signbit.qmodel.errors import SignbitError

FRONT_MAX = 4096
UNKNOWN_INSTRUCTIONS_A_MAC = 10

TOO_LARGE = " need {:,} bytes of flash, {:,} more than allowed; the largest is layer {} with {:,} bytes"
TOO_SLOW = "one inference takes {:,} instructions, {:,} more than allowed; the slowest is layer {} with {:,}"

CodeBytes = Callable[[int, "Option"], Mapping[str, int]]
"""Bytes of each C function that the layer of that index needs with an option."""


@dataclass(frozen=True)
class Limits:
    """What a plan may take at most: bytes of arena, bytes of flash, and instructions of one inference."""

    ram_bytes: int | None = None
    flash_bytes: int | None = None
    instructions: int | None = None


NO_LIMITS = Limits()


@dataclass(frozen=True, eq=False)
class Option:
    """One kernel for one job, with what it costs; `functions` may be shared with other layers."""

    kernel: Kernel
    cost: Cost
    arrays: tuple[CArray, ...]
    instructions: float
    functions: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, kernel: Kernel, job: Job) -> "Option":
        cost = kernel.cost(job)
        # where a compiler decides, a guess keeps the layer comparable with others
        instructions = UNKNOWN_INSTRUCTIONS_A_MAC * job.macs if cost.instructions is None else cost.instructions
        return cls(kernel, cost, kernel.arrays(job), instructions)

    @cached_property
    def data_bytes(self) -> int:
        return sum(array.size_bytes for array in self.arrays)

    @property
    def flash_bytes(self) -> int:
        """Weights, parameters and all code, as if no other layer were there."""
        return self.data_bytes + sum(self.functions.values())


@dataclass(frozen=True, eq=False)
class Choice:
    """Kernels for the layers so far, and what they cost together."""

    flash_bytes: int = 0
    instructions: float = 0
    options: tuple[Option, ...] = ()

    def with_option(self, option: Option, known: frozenset[str]) -> "Choice":
        """With one more layer; the functions in `known` are there already."""
        code_bytes = sum(size for name, size in option.functions.items() if name not in known)
        return Choice(
            self.flash_bytes + option.data_bytes + code_bytes,
            self.instructions + option.instructions,
            (*self.options, option),
        )


def choose(
    jobs: list[Job],
    options: list[list[Option]],
    optimize: str,
    limits: Limits = NO_LIMITS,
    code_bytes: CodeBytes | None = None,
) -> list[Option]:
    """For each job one of its options, so that together they cost the least.

    `speed` minimizes instructions, `size` bytes of flash: weights, parameters, and code where `code_bytes` gives its
    size; the other breaks ties.  Raises SignbitError that says what does not fit, and by how much.
    """
    options = [
        _within(index, job, choices, limits.ram_bytes)
        for index, (job, choices) in enumerate(zip(jobs, options, strict=True))
    ]
    if code_bytes:
        options = [
            [replace(option, functions=code_bytes(index, option)) for option in choices]
            for index, choices in enumerate(options)
        ]
    front = _front(options)
    what = "weights, parameters and code" if code_bytes else "weights and parameters"
    _check(options, front, limits.flash_bytes, "flash_bytes", what + TOO_LARGE)
    _check(options, front, limits.instructions, "instructions", TOO_SLOW)
    allowed = [
        choice
        for choice in front
        if (limits.flash_bytes is None or choice.flash_bytes <= limits.flash_bytes)
        and (limits.instructions is None or choice.instructions <= limits.instructions)
    ]
    if not allowed:
        quick = min(choice.flash_bytes for choice in front if choice.instructions <= limits.instructions)
        raise SignbitError(
            f"within {limits.instructions:,} instructions the model needs {quick:,} bytes of flash, "
            f"{quick - limits.flash_bytes:,} more than allowed; allow more of either"
        )

    def objective(choice: Choice) -> tuple[float, float]:
        cost = choice.flash_bytes, choice.instructions
        return {SIZE: cost, SPEED: cost[::-1]}[optimize]

    return list(min(allowed, key=objective).options)


def _within(index: int, job: Job, options: list[Option], max_ram_bytes: int | None) -> list[Option]:
    """The options whose scratch fits into the arena beside the values that are in use."""
    if max_ram_bytes is None:
        return options
    fitting = [option for option in options if job.values_bytes + aligned(option.cost.scratch_bytes) <= max_ram_bytes]
    if not fitting:
        scratch_bytes = min(aligned(option.cost.scratch_bytes) for option in options)
        over = job.values_bytes + scratch_bytes - max_ram_bytes
        raise SignbitError(
            f"layer {index} ({job.layer.kind}) needs {job.values_bytes:,} bytes of RAM for its output and the values "
            f"that are still read, and {scratch_bytes:,} of scratch: {over:,} more than allowed"
        )
    return fitting


def _check(options: list[list[Option]], front: list[Choice], allowed: int | None, cost: str, message: str) -> None:
    """Raise where even the least `cost` of all choices exceeds what is allowed; `message` has fields for figures."""
    least = ceil(min(getattr(choice, cost) for choice in front))
    if allowed is not None and least > allowed:
        of_layers = [ceil(min(getattr(option, cost) for option in choices)) for choices in options]
        most = max(of_layers)
        raise SignbitError(message.format(least, least - allowed, of_layers.index(most), most))


def _front(options: list[list[Option]]) -> list[Choice]:
    """Layer by layer, keeping every choice so far that no other beats in both bytes and instructions.

    Choices compete with those that share the same functions with layers to come.
    """
    fronts: dict[frozenset[str], list[Choice]] = {frozenset(): [Choice()]}
    for index, choices in enumerate(options):
        to_come = frozenset(name for later in options[index + 1 :] for option in later for name in option.functions)
        grown = defaultdict(list)
        for known, front in fronts.items():
            for option in choices:
                shared = known.union(option.functions) & to_come
                grown[shared] += [choice.with_option(option, known) for choice in front]
        fronts = {shared: _pareto(found)[:FRONT_MAX] for shared, found in grown.items()}
    (front,) = fronts.values()
    return front


def _pareto(choices: list[Choice]) -> list[Choice]:
    """Sorted by bytes, each with fewer instructions than all before."""
    front: list[Choice] = []
    for choice in sorted(choices, key=lambda choice: (choice.flash_bytes, choice.instructions)):
        if not front or choice.instructions < front[-1].instructions:
            front.append(choice)
    return front
