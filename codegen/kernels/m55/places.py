"""Helium: how the accumulators of one place, a dense layer's or one position of a convolution's kernel, are computed.

A byte of weights holds the sign bits of eight rows for one input.  VMLADAVA multiplies 16 such bytes W by 16 inputs
and adds the products up, so that it gives sums over all bits at once.  With P_k = sum x * (W mod 2^(k+1)) and S_k the
sum of the inputs whose bit k is set, P_k = P_(k-1) + 2^k * S_k:

* for inputs up to 127, W as unsigned and as signed bytes gives U and T with U - T = 256 * S_7 and U + T = 2 * P_6;
  shifted left by 2, the same instructions serve the next two bits;
* for inputs up to 255, W as unsigned bytes is shifted left by 1 for each bit.

Then acc = sum x - 2 * S_k.  All of it is exact modulo 2^32, since 256 * S_k < 2^32 for any layer (SPEC 3).
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from signbit.codegen.kernels.base import Job
from signbit.codegen.kernels.listing import Listing
from signbit.codegen.kernels.m55 import assembly

VECTOR_BYTES = 16
SLOTS = 8
STRAIGHT_BLOCKS = 20
"""Code has no loops for up to so many vectors of inputs."""


@dataclass(frozen=True)
class Group:
    """Rows whose weights share bytes: `slots` of them, that give `outputs` accumulators."""

    slots: int
    outputs: int


@dataclass(frozen=True, eq=False)
class Places:
    """The code for a job's places.

    Inputs lie in `segments` runs of `segment_bytes`, `pitch_bytes` apart; or they are gathered by a table of offsets.
    """

    job: Job
    segments: int
    segment_bytes: int
    pitch_bytes: int
    gathered: bool = False
    maximum: bool = False
    unrolled_blocks: ClassVar[int] = 4
    """Vectors in a round of a loop."""

    @cached_property
    def listing(self) -> Listing:
        return assembly.places(self)

    @property
    def signed(self) -> bool:
        """Whether the inputs, after the shift, are signed bytes too."""
        return self.job.input.high <= 127

    @cached_property
    def full_group(self) -> Group:
        return Group(SLOTS, SLOTS // self.job.planes)

    @property
    def full_groups(self) -> int:
        return self.job.neurons // self.full_group.outputs

    @cached_property
    def last_group(self) -> Group | None:
        """The rows that are left after the full groups, in as few slots as the code can do."""
        left = self.job.neurons % self.full_group.outputs
        if not left:
            return None
        if self.job.planes == 2:
            slots = 2 * left if self.signed else SLOTS
            return Group(slots, slots // 2)
        slots = left + left % 2 if self.signed else -(-left // 4) * 4
        return Group(slots, slots)

    @property
    def accumulator_words(self) -> int:
        last = self.last_group.outputs if self.last_group else 0
        return self.full_groups * self.full_group.outputs + last

    @property
    def fan_in(self) -> int:
        return self.segments * self.segment_bytes

    @property
    def run_bytes(self) -> int:
        """Inputs that lie together, for the code: gathered ones are one run."""
        return self.fan_in if self.gathered else self.segment_bytes

    @property
    def runs(self) -> int:
        return 1 if self.gathered else self.segments

    @property
    def vectors(self) -> int:
        """Full vectors in a run; `tail_bytes` are left."""
        return self.run_bytes // VECTOR_BYTES

    @property
    def straight_vectors(self) -> int:
        """Full vectors of a run that come before its loop."""
        return self.vectors - self.unrolled_blocks * self.loops

    @property
    def gap_bytes(self) -> int:
        """Bytes from the end of a run to the next one."""
        return 0 if self.gathered else self.pitch_bytes - self.segment_bytes

    @property
    def tail_bytes(self) -> int:
        return self.run_bytes % VECTOR_BYTES

    @property
    def blocks(self) -> int:
        """Vectors in a place, full or not."""
        return self.runs * (self.vectors + bool(self.tail_bytes))

    @property
    def straight(self) -> bool:
        return self.blocks <= STRAIGHT_BLOCKS

    @property
    def loops(self) -> int:
        """Rounds of the loop over a run's vectors; the rest of the run is straight and comes first."""
        return 0 if self.straight else self.vectors // self.unrolled_blocks

    @property
    def starts_with_block(self) -> bool:
        """Whether the first block is outside of every loop, so that it needs no zeroed accumulators."""
        return self.straight or (self.runs == 1 and self.straight_vectors + self.tail_bytes > 0)

    def weights(self) -> np.ndarray:
        """uint8: for each group, a byte for each input."""
        bits = (self.job.rows < 0).astype(np.uint8).reshape(self.job.planes, self.job.neurons, -1)
        parts, start = [], 0
        for group in self._groups():
            octets = np.zeros(self.fan_in, np.uint8)
            for index in range(min(group.outputs, self.job.neurons - start)):
                for plane in range(self.job.planes):
                    octets |= bits[plane, start + index] << self._bit(group, plane * group.outputs + index)
            parts.append(octets)
            start += group.outputs
        return np.concatenate(parts)

    def offsets(self) -> np.ndarray:
        """uint8: where the gathered inputs lie, from the place's first; whole vectors."""
        rows = np.arange(self.segments)[:, None] * self.pitch_bytes + np.arange(self.segment_bytes)
        padded = np.zeros(self.blocks * VECTOR_BYTES, np.uint8)
        padded[: self.fan_in] = rows.reshape(-1)
        return padded

    def values(self) -> dict[str, Any]:
        last = self.last_group.slots if self.last_group else SLOTS
        both = last != SLOTS and self.full_groups
        return {
            "assembly": self.listing,
            "signed": self.signed,
            "maximum": self.maximum,
            "gathered": self.gathered,
            "fan_in": self.fan_in,
            "segments": self.segments,
            "segment_bytes": self.segment_bytes,
            "pitch_bytes": self.pitch_bytes,
            "outputs_per_group": self.full_group.outputs,
            "slots": f"group < {self.full_groups}u ? {SLOTS}u : {last}u" if both else f"{last}u",
        }

    def _groups(self) -> list[Group]:
        return [self.full_group] * self.full_groups + ([self.last_group] if self.last_group else [])

    def _bit(self, group: Group, slot: int) -> int:
        """Which bit of a byte is a slot's.  The lanes that the code decodes go up from a group's lowest bits."""
        lowest = SLOTS - group.slots
        if not self.signed:
            return lowest + slot
        pairs = group.slots // 2
        return lowest + 2 * (slot % pairs) + (1 if slot < pairs else 0)
