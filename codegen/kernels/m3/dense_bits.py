"""One-bit weights times one-bit inputs on Cortex-M3, 32 neurons at a time.

Only inputs of one sign are touched, the rarer one.  If L are the inputs that are -1,

    acc = sum of all w - 2 * sum of w over L,

and the same with the signs turned if L are those that are +1.  A word holds an input's weights for 32 neurons;
carry-save adders count the set bits of each neuron in planes, 16 words at a time.
"""

from typing import Any

import numpy as np

from signbit.codegen.kernels.base import BITS, CArray, Job, Piece, activation_arrays
from signbit.codegen.kernels.listing import Run
from signbit.codegen.kernels.m3 import assembly
from signbit.codegen.kernels.m3.tables import FinishingKernel
from signbit.qmodel import integer
from signbit.qmodel.layers import Dense
from signbit.qmodel.value import WORD_BYTES, size_of

NEURONS_MIN = 20
"""With fewer neurons, most bits of a word would be empty."""

BATCH = 16
LOW_PLANES = 4
POSITIONS_MAX = 16_000
"""Offsets of an input's weights fit 16 bits."""


class DenseBits(FinishingKernel):
    """Carry-save counters of 32 neurons at once, for each input of the rarer sign.

    Time depends on the inputs: it is longest when half of them are -1, which is what `cost` assumes.
    """

    layer = Dense
    reads = BITS

    def fits(self, job: Job) -> bool:
        return job.planes == 1 and job.neurons >= NEURONS_MIN and 32 * self._words(job) <= POSITIONS_MAX

    def pieces(self, job: Job) -> tuple[Piece, ...]:
        planes = self._planes(job)
        return Piece("m3/list", values={"assembly": assembly.numbers}), Piece(
            "m3/count", f"m3_count{planes}", {"planes": planes, "assembly": assembly.count(planes)}
        )

    def arrays(self, job: Job) -> tuple[CArray, ...]:
        channels = job.input_shape[-1]
        positions = 32 * integer.words_for(channels)
        pixels = size_of(job.input_shape[:-1])
        blocks = self._blocks(job)
        negative = np.zeros((32 * blocks, pixels, positions), bool)
        negative[: job.neurons, :, :channels] = job.rows.reshape(job.neurons, pixels, channels) < 0
        negative = negative.reshape(blocks, 32, -1).transpose(0, 2, 1)
        columns = np.zeros((blocks, pixels * positions + 1), np.uint32)
        columns[:, :-1] = (negative.astype(np.uint32) << np.arange(32, dtype=np.uint32)).sum(axis=2, dtype=np.uint32)
        total = np.zeros(32 * blocks, np.int16)
        total[: job.neurons] = job.rows.sum(axis=1, dtype=np.int64)
        weights = CArray("columns", "uint32_t", columns.reshape(-1))
        return (weights, CArray("totals", "int16_t", total), *activation_arrays(job))

    def values(self, job: Job) -> dict[str, Any]:
        words, planes = self._words(job), self._planes(job)
        list_words = self._entries(job) // 2
        return {
            **self.finish_values(job),
            "words": words,
            "blocks": self._blocks(job),
            "block_words": 32 * words + 1,
            "half": job.layer.fan_in // 2,
            "zero_offset": WORD_BYTES * 32 * words,
            "counter": self.pieces(job)[1].symbol,
            "planes": planes,
            "low_planes": range(1, min(planes, 8)),
            "high_planes": [(plane, plane - 8) for plane in range(8, planes)],
            "planes_at": list_words,
            "sums_at": list_words + planes,
            "scratch_words": list_words + planes + 32 * self._blocks(job),
        }

    def scratch_bytes(self, job: Job) -> int:
        return WORD_BYTES * self.values(job)["scratch_words"]

    def runs(self, job: Job) -> list[Run]:
        fan_in = job.layer.fan_in
        # the rarer sign of balanced inputs is a bit below half
        listed = fan_in / 2 - 0.4 * fan_in**0.5
        return [
            assembly.numbers.run(words=self._words(job), listed=listed / self._words(job)),
            assembly.count(self._planes(job)).run(self._blocks(job), batches=(listed + BATCH / 2) / BATCH),
            *self.finish_runs(job),
        ]

    def terms(self, job: Job) -> dict[str, float]:
        blocks = self._blocks(job)
        return super().terms(job) | {"word": self._words(job), "block": blocks, "plane": blocks * self._planes(job)}

    def _words(self, job: Job) -> int:
        return size_of(job.input_shape[:-1]) * integer.words_for(job.input_shape[-1])

    def _entries(self, job: Job) -> int:
        """The most inputs that are listed, whole batches."""
        spare = 32 * self._words(job) - job.layer.fan_in
        return -(-(job.layer.fan_in // 2 + spare) // BATCH) * BATCH

    def _planes(self, job: Job) -> int:
        """Bits of a count."""
        return max(LOW_PLANES + 1, self._entries(job).bit_length())

    def _blocks(self, job: Job) -> int:
        return -(-job.neurons // 32)


KERNELS = (DenseBits(),)
