"""Helium: the accumulators of one place for one-bit inputs."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from signbit.codegen.kernels.base import CArray, Job, Piece
from signbit.codegen.kernels.c99.loops import pixel_words
from signbit.codegen.kernels.listing import Listing
from signbit.codegen.kernels.m55 import assembly

VECTOR_BYTES = 16
ROWS = 4
STRAIGHT_BLOCKS = 8
"""Code has no loops for up to so many vectors of inputs in one run."""

SEGMENT_BLOCKS = 32
"""The same limit for a place of several runs."""


@dataclass(frozen=True, eq=False)
class BitPlaces:
    """acc = n - 2 * (number of bits in which weights and inputs differ), for 4 rows at a time and 128 bits each.

    The differing bits of a byte are looked up: a gather loads 16 of 256 counts, and VADDVA adds them up.  Inputs lie in
    `segments` runs of `segment_bytes`, `pitch_bytes` apart.  The weights are in the order of the work: groups of 4
    rows (for ternary weights, first of plane a, then of b), vectors, rows.
    """

    job: Job
    segments: int
    segment_bytes: int
    pitch_bytes: int
    maximum: bool = False
    unrolled_blocks: ClassVar[int] = 2
    """Vectors in a round of the loop."""

    @cached_property
    def listing(self) -> Listing:
        return assembly.bit_places(self)

    @property
    def full_groups(self) -> int:
        return self.job.neurons // ROWS

    @property
    def last_rows(self) -> int:
        return self.job.neurons % ROWS

    @property
    def accumulator_words(self) -> int:
        return -(-self.job.neurons // ROWS) * ROWS

    @property
    def vectors(self) -> int:
        return self.segment_bytes // VECTOR_BYTES

    @property
    def tail_bytes(self) -> int:
        return self.segment_bytes % VECTOR_BYTES

    @property
    def blocks(self) -> int:
        return self.segments * (self.vectors + bool(self.tail_bytes))

    @property
    def fits(self) -> bool:
        return self.segments == 1 or self.blocks <= SEGMENT_BLOCKS

    @property
    def loops(self) -> int:
        """Rounds of the loop; the other vectors are straight and come first."""
        return 0 if self.segments > 1 or self.blocks <= STRAIGHT_BLOCKS else self.vectors // self.unrolled_blocks

    @property
    def straight_vectors(self) -> int:
        return self.vectors - self.unrolled_blocks * self.loops

    @property
    def starts_with_block(self) -> bool:
        return self.straight_vectors + self.tail_bytes > 0

    def weights(self) -> np.ndarray:
        octets = pixel_words(self.job).astype("<u4").view(np.uint8)
        planes = octets.reshape(self.job.planes, self.job.neurons, self.segments, self.segment_bytes)
        parts = []
        for start in range(0, self.job.neurons, ROWS):
            for rows in planes[:, start : start + ROWS]:
                parts += [
                    rows[:, segment, first : first + size].reshape(-1)
                    for segment in range(self.segments)
                    for first, size in self._blocks()
                ]
        return np.concatenate(parts)

    def values(self) -> dict[str, Any]:
        runs = self.job.planes * self.segments
        last = self.last_rows or ROWS
        both = self.last_rows and self.full_groups
        return {
            "assembly": self.listing,
            "maximum": self.maximum,
            "inputs": self.job.planes * self.job.layer.fan_in,
            "rows": f"group < {self.full_groups}u ? {ROWS}u : {last}u" if both else f"{last}u",
            "runs": runs,
            "segments": self.segments,
            "segment_bytes": self.segment_bytes,
            "pitch_bytes": self.pitch_bytes,
            "group_bytes": ROWS * runs * self.segment_bytes,
            "tail_at": VECTOR_BYTES * self.straight_vectors,
            "tail_bytes": self.tail_bytes,
        }

    def _blocks(self) -> list[tuple[int, int]]:
        """First byte and size of a run's vectors, in the order of the work: those of the loop come last."""
        looped = self.straight_vectors * VECTOR_BYTES
        straight = [(first, VECTOR_BYTES) for first in range(0, looped, VECTOR_BYTES)]
        tail = [(looped, self.tail_bytes)] if self.tail_bytes else []
        start = looped + self.tail_bytes
        return straight + tail + [(first, VECTOR_BYTES) for first in range(start, self.segment_bytes, VECTOR_BYTES)]


POPCOUNT = Piece(
    "m55/popcount", values={"counts": CArray("popcount", "uint8_t", np.array([*map(int.bit_count, range(256))]))}
)
"""The table of counts of set bits."""
