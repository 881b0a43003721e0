"""One arena for all buffers that live only while inference runs: those that never live together share bytes."""

from dataclasses import dataclass

ALIGNMENT_BYTES = 4


@dataclass(frozen=True)
class Buffer:
    """`size_bytes` that are alive from step `first` to step `last`, both included."""

    size_bytes: int
    first: int
    last: int

    def meets(self, other: "Buffer") -> bool:
        return self.first <= other.last and other.first <= self.last


def place(buffers: list[Buffer]) -> tuple[list[int], int]:
    """Offsets of the buffers, in their order, and the arena's size; all multiples of 4 bytes.

    Largest first, each at the lowest offset where it meets no buffer that is alive with it.
    """
    offsets: dict[int, int] = {}
    for index in sorted(range(len(buffers)), key=lambda i: (-buffers[i].size_bytes, i)):
        offset = 0
        for other in sorted(offsets, key=offsets.__getitem__):
            if not buffers[index].meets(buffers[other]):
                continue
            if offset + _aligned(buffers[index].size_bytes) <= offsets[other]:
                break
            offset = max(offset, offsets[other] + _aligned(buffers[other].size_bytes))
        offsets[index] = offset
    size_bytes = max((offsets[i] + _aligned(buffers[i].size_bytes) for i in offsets), default=0)
    return [offsets[i] for i in range(len(buffers))], size_bytes


def _aligned(size_bytes: int) -> int:
    return -(-size_bytes // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
