"""One arena for all that lives only while inference runs: what never lives together shares bytes."""

from dataclasses import dataclass

ALIGNMENT_BYTES = 4


@dataclass(frozen=True)
class Arena:
    """Offsets in bytes of each layer's output and scratch, and the whole size; all multiples of 4."""

    outputs: tuple[int, ...]
    scratch: tuple[int, ...]
    size_bytes: int


def place(outputs_bytes: list[int], scratch_bytes: list[int]) -> Arena:
    """The smallest arena for a chain of layers.

    Step i writes output i, reads output i - 1, and needs scratch i.  Outputs lie at the two ends in turn and the
    scratch between them, so the arena is no larger than the step that needs most.
    """
    sizes = [aligned(size) for size in outputs_bytes]
    inputs = [0, *sizes[:-1]]
    needs = zip(inputs, sizes, map(aligned, scratch_bytes), strict=True)
    size_bytes = max(sum(need) for need in needs)
    outputs = [0 if step % 2 == 0 else size_bytes - size for step, size in enumerate(sizes)]
    scratch = [sizes[step] if step % 2 == 0 else inputs[step] for step in range(len(sizes))]
    return Arena(tuple(outputs), tuple(scratch), size_bytes)


def aligned(size_bytes: int) -> int:
    """The next multiple of 4."""
    return -(-size_bytes // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
