"""Which kernel computes each layer: the fastest or the smallest set that fits into RAM and flash."""

from dataclasses import dataclass

from signbit.codegen.arena import aligned
from signbit.codegen.kernels.base import Cost, Job, Kernel
from signbit.qmodel.errors import SignbitError

SIZE, SPEED = "size", "speed"
FRONT_MAX = 4096
UNKNOWN_INSTRUCTIONS_A_MAC = 10
SLOWDOWN_MAX = 4


@dataclass(frozen=True, eq=False)
class Option:
    """One kernel for one job, with what it costs."""

    kernel: Kernel
    cost: Cost
    flash_bytes: int
    instructions: float


def choose(
    jobs: list[Job],
    kernels: list[list[Kernel]],
    optimize: str,
    max_ram_bytes: int | None = None,
    max_flash_bytes: int | None = None,
) -> list[Option]:
    """For each job the kernel that together cost least.

    `speed` minimizes instructions; `size` the bytes of weights and parameters, among kernels that take at most
    SLOWDOWN_MAX times the instructions of the layer's fastest.  The other breaks ties;
    `max_ram_bytes` bounds the arena and `max_flash_bytes` weights and parameters.  Raises SignbitError that names the
    layer and by how much it does not fit.
    """
    options = [
        _within(index, job, [_option(kernel, job) for kernel in choices], max_ram_bytes)
        for index, (job, choices) in enumerate(zip(jobs, kernels, strict=True))
    ]
    if optimize == SIZE:
        options = [_not_too_slow(choices) for choices in options]
    least_bytes = sum(min(option.flash_bytes for option in choices) for choices in options)
    if max_flash_bytes is not None and least_bytes > max_flash_bytes:
        raise SignbitError(
            f"weights and parameters need {least_bytes:,} bytes of flash, {least_bytes - max_flash_bytes:,} more than "
            f"allowed; {_largest(options)}"
        )
    return _best(options, optimize, max_flash_bytes)


def _option(kernel: Kernel, job: Job) -> Option:
    cost = kernel.cost(job)
    # where a compiler decides, a guess keeps the layer comparable with others
    instructions = UNKNOWN_INSTRUCTIONS_A_MAC * job.macs if cost.instructions is None else cost.instructions
    return Option(kernel, cost, sum(array.size_bytes for array in kernel.arrays(job)), instructions)


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


def _not_too_slow(options: list[Option]) -> list[Option]:
    fastest = min(option.instructions for option in options)
    return [option for option in options if option.instructions <= SLOWDOWN_MAX * fastest]


def _best(options: list[list[Option]], optimize: str, max_flash_bytes: int | None) -> list[Option]:
    """Layer by layer, keeping every choice so far that no other beats in both bytes and instructions."""

    def objective(entry: tuple[int, float, list[Option]]) -> tuple[float, float]:
        flash_bytes, instructions, _ = entry
        return (flash_bytes, instructions) if optimize == SIZE else (instructions, flash_bytes)

    front: list[tuple[int, float, list[Option]]] = [(0, 0.0, [])]
    for choices in options:
        grown = [
            (flash_bytes + option.flash_bytes, instructions + option.instructions, [*chosen, option])
            for flash_bytes, instructions, chosen in front
            for option in choices
        ]
        front = _pareto(grown)[:FRONT_MAX]
    allowed = [entry for entry in front if max_flash_bytes is None or entry[0] <= max_flash_bytes]
    return min(allowed, key=objective)[2]


def _pareto(entries: list[tuple[int, float, list[Option]]]) -> list[tuple[int, float, list[Option]]]:
    """By bytes, each with fewer instructions than all before."""
    front: list[tuple[int, float, list[Option]]] = []
    for entry in sorted(entries, key=lambda entry: entry[:2]):
        if not front or entry[1] < front[-1][1]:
            front.append(entry)
    return front


def _largest(options: list[list[Option]]) -> str:
    sizes = [min(option.flash_bytes for option in choices) for choices in options]
    index = sizes.index(max(sizes))
    return f"the largest is layer {index} with {sizes[index]:,} bytes"
