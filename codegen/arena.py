"""One arena for everything needed only while inference runs: buffers that are never live together share bytes."""

from collections.abc import Iterable
from dataclasses import dataclass

ALIGNMENT_BYTES = 4


@dataclass(frozen=True)
class Buffer:
    """Bytes that are in use from the start of step `first` to the end of step `last`."""

    size_bytes: int
    first: int
    last: int

    def meets(self, other: "Buffer") -> bool:
        """Whether both are in use in some step."""
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True)
class Arena:
    """Offsets in bytes of the buffers, in their order, and the whole size; all multiples of 4."""

    offsets: tuple[int, ...]
    size_bytes: int


def place(buffers: list[Buffer]) -> Arena:
    """A small arena for `buffers`.

    No arena is smaller than what is in use in one step.  In a chain of layers, outputs that go to the two ends in turn,
    with the scratch between them, need no more.  Where that does not fit, as with branches, each buffer takes the
    lowest free bytes: the largest first, or the longest-lived, or in order, whichever gives the smallest arena.
    """
    least_bytes = needed(buffers)
    outputs = [index for index, buffer in enumerate(buffers) if buffer.last > buffer.first]
    rest = [index for index in range(len(buffers)) if index not in outputs]
    ends = _placed(buffers, [*outputs, *rest], least_bytes, frozenset(outputs[1::2]))
    if ends.size_bytes <= least_bytes:
        return ends
    by_size = sorted(range(len(buffers)), key=lambda index: -buffers[index].size_bytes)
    by_life = sorted(by_size, key=lambda index: buffers[index].first - buffers[index].last)
    by_step = sorted(by_size, key=lambda index: buffers[index].first)
    arenas = [ends, *(_placed(buffers, order) for order in (by_size, by_life, by_step))]
    return min(arenas, key=lambda arena: arena.size_bytes)


def needed(buffers: list[Buffer]) -> int:
    """Bytes in use in the step that needs the most."""
    return max(in_use(buffers, buffer.first) for buffer in buffers)


def in_use(buffers: list[Buffer], step: int) -> int:
    """Bytes in use in `step`."""
    return sum(aligned(buffer.size_bytes) for buffer in buffers if buffer.first <= step <= buffer.last)


def aligned(size_bytes: int) -> int:
    """The next multiple of 4."""
    return -(-size_bytes // ALIGNMENT_BYTES) * ALIGNMENT_BYTES


def _placed(
    buffers: list[Buffer], order: Iterable[int], capacity: int = 0, high: frozenset[int] = frozenset()
) -> Arena:
    """Buffers in `order`, each at its lowest free offset, or those in `high` at the highest below `capacity`."""
    offsets: dict[int, int] = {}
    for index in order:
        size = aligned(buffers[index].size_bytes)
        taken = [
            (offset, offset + aligned(buffers[other].size_bytes))
            for other, offset in offsets.items()
            if buffers[other].meets(buffers[index])
        ]
        edges = {0, capacity - size, *(end for _, end in taken), *(start - size for start, _ in taken)}
        free = [at for at in edges if at >= 0 and all(at + size <= start or end <= at for start, end in taken)]
        below = [at for at in free if at + size <= capacity]
        offsets[index] = max(below) if index in high and below else min(free)
    ends = (offset + aligned(buffers[index].size_bytes) for index, offset in offsets.items())
    return Arena(tuple(offsets[index] for index in range(len(buffers))), max(ends))
