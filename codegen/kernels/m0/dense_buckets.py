"""Dense layers of few outputs on Cortex-M0 and M0+: lists of inputs that have the same weights."""

from fractions import Fraction
from functools import cache, lru_cache
from typing import Any, ClassVar

import numpy as np

from signbit.codegen.kernels.base import BYTES, CArray, Job, Piece, activation_arrays, function
from signbit.codegen.kernels.listing import Listing, Run
from signbit.codegen.kernels.m0.outputs import FinishingKernel
from signbit.qmodel.layers import Dense
from signbit.qmodel.value import WORD_BYTES

KEPT = 64
"""Jobs whose groups are kept: each is asked about several times."""


class DenseBuckets(FinishingKernel):
    """Lists of inputs that have the same weights in a few rows; for few outputs."""

    layer = Dense
    reads = BYTES
    ROWS_MAX: ClassVar[int] = 31
    BYTE_INDEX_MAX: ClassVar[int] = 256

    def swaps(self, job: Job) -> bool:
        return False  # the lists are as long as the weights make them

    def fits(self, job: Job) -> bool:
        return len(job.rows) <= self.ROWS_MAX

    def arrays(self, job: Job) -> tuple[CArray, ...]:
        inputs, steps, groups = [], [], []
        for rows in self._groups(job):
            order, pairs = _lists(rows, self._longest(job))
            pairs.append((self._end_step(job), 0))
            inputs.append(order)
            steps += pairs
            groups += [len(rows), 2 * len(pairs)]
        ctype = "uint8_t" if self._index_bytes(job) == 1 else "uint16_t"
        return (
            CArray("inputs", ctype, np.concatenate(inputs).astype(ctype[:-2])),
            CArray("steps", "uint8_t", np.array(steps, np.uint8).reshape(-1)),
            CArray("groups", "uint16_t", np.array(groups, np.uint16)),
            *activation_arrays(job),
        )

    def values(self, job: Job) -> dict[str, Any]:
        return {
            "groups": len(self._groups(job)),
            "index_bytes": self._index_bytes(job),
            "longest": self._longest(job),
            "end_step": self._end_step(job),
            "lists": self._lists_piece(job).symbol,
        }

    def pieces(self, job: Job) -> tuple[Piece, ...]:
        return (self._lists_piece(job), *super().pieces(job))

    def _lists_piece(self, job: Job) -> Piece:
        index_bytes = self._index_bytes(job)
        return function(
            f"m0_dense_buckets_{index_bytes}{'_shifted' * job.input_shift}",
            lists(index_bytes, self._longest(job), job.input_shift),
            "int32_t (const void *inputs, const uint8_t *x, const uint8_t *steps, int32_t *acc)",
            "All lists of some rows; returns T, and leaves A[j] in acc.",
        )

    def scratch_bytes(self, job: Job) -> int:
        return WORD_BYTES * (len(job.rows) + 1)

    def runs(self, job: Job) -> list[Run]:
        return [*(self._run(job, rows) for rows in self._groups(job)), *super().runs(job)]

    def terms(self, job: Job) -> dict[str, float]:
        return super().terms(job) | {"group": len(self._groups(job)), "row": len(job.rows)}

    @lru_cache(KEPT)  # noqa: B019 -- kernels live as long as their table
    def _groups(self, job: Job) -> list[np.ndarray]:
        """The rows, in groups of the size that takes the fewest instructions."""
        options = [np.array_split(job.rows, -(-len(job.rows) // size)) for size in range(1, 8)]
        return min(options, key=lambda groups: sum(self._run(job, rows).instructions for rows in groups))

    def _run(self, job: Job, rows: np.ndarray) -> Run:
        """The lists of a group of rows."""
        inputs, longest = rows.shape[1], self._longest(job)
        steps = len(_lists(rows, longest)[1]) + 1
        listing = lists(self._index_bytes(job), longest, job.input_shift)
        return listing.run(steps=steps, summed=Fraction(inputs, longest * steps), lists=Fraction(steps - 1, steps))

    def _index_bytes(self, job: Job) -> int:
        return 1 if job.layer.fan_in <= self.BYTE_INDEX_MAX else 2

    def _longest(self, job: Job) -> int:
        """The longest list that one step sums up."""
        return 16 * self._index_bytes(job)

    def _end_step(self, job: Job) -> int:
        """The step that leads out of the loop."""
        return 2 * self._longest(job) + 6


@cache
def lists(index_bytes: int, longest: int, shift: int) -> Listing:
    """All lists of some rows: r0 inputs, r1 x, r2 steps, r3 acc; r4 T, which is returned."""
    lines = ["push {r4-r7, lr}", "movs r4, #0 @ T", "1: ldrb r5, [r2] @* steps"]
    lines += ["subs r0, r0, r5"] if index_bytes == 2 else ["lsrs r6, r5, #1", "subs r0, r0, r6"]
    lines += ["lsls r6, r5, #2"] if shift else ["lsls r6, r5, #1", "adds r6, r6, r5"]
    lines += ["add pc, r6", "@* 0", "nop @ pc is two instructions ahead", "@* summed"]
    for offset in range(0, index_bytes * longest, index_bytes):
        lines += [f"{'ldrh' if index_bytes == 2 else 'ldrb'} r6, [r0, #{offset}]", "ldrb r6, [r1, r6]"]
        lines += [*(["lsrs r6, r6, #1"] * shift), "adds r4, r4, r6"]
    lines += ["@* lists", f"adds r0, #{index_bytes * longest}", "ldrb r5, [r2, #1]", "adds r2, #2", "ldr r6, [r3, r5]"]
    lines += ["subs r6, r4, r6", "str r6, [r3, r5]", "b 1b", "@* 0"]
    lines += ["nop @ never reached: the last step leads beyond them"] * (5 if shift else 2)
    return Listing("\n".join([*lines, "@* 1", "movs r0, r4", "pop {r4-r7, pc}"]))


def _lists(rows: np.ndarray, longest: int) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Inputs in the order of their patterns of signs, and the steps: (2 * (longest - length), 4 * row that flips).

    Patterns follow a Gray code down to 0, all +1, so that between two of them mostly one row flips.
    """
    count = len(rows)
    patterns = (rows < 0).T @ (1 << np.arange(count))
    codes = np.arange(1 << count)
    place = np.empty_like(codes)
    place[codes ^ codes >> 1] = codes[::-1]
    order = np.argsort(place[patterns], kind="stable")
    seen, lengths = np.unique(place[patterns], return_counts=True)
    visited = [*((codes ^ codes >> 1)[::-1][seen]), 0]
    steps = []
    for number, length in enumerate(lengths.tolist()):
        while length > longest:
            steps.append((0, 4 * count))
            length -= longest
        changed = int(visited[number] ^ visited[number + 1])
        flips = [row for row in range(count) if changed >> row & 1] or [count]
        steps.append((2 * (longest - length), 4 * flips[0]))
        steps += [(2 * longest, 4 * row) for row in flips[1:]]
    return order, steps


KERNELS = (DenseBuckets(),)
