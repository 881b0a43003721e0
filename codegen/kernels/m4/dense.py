"""Dense layers on Cortex-M4, M7 and M33: four weights in an AND and a USADA8."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from signbit.codegen.kernels.base import BYTES, CArray, Job, Kernel, Piece, activation_arrays
from signbit.codegen.kernels.listing import Listing, Run
from signbit.codegen.kernels.m4 import assembly
from signbit.codegen.kernels.targets import CORTEX_DSP
from signbit.qmodel.activations import Sign
from signbit.qmodel.layers import Dense
from signbit.qmodel.value import size_of

BLOCK_SIZES = (4, 5, 6)
CHUNK_PAIRS = 4
PAIR_INPUTS = 8
CHUNKS_MAX = 255
"""The loop counts its chunks in the upper eight bits of an accumulator, which needs less than 24."""

NARROW_MAX = 128


def full_scale(job: Job) -> int:
    """The lane of a negative weight's mask: |x - full_scale| is full_scale - x for every input."""
    return 128 if job.input.high <= NARROW_MAX else 255


def adjacent_rows(job: Job) -> np.ndarray:
    """One-bit rows with the two planes of a ternary neuron side by side."""
    rows = job.rows
    return rows.reshape(job.planes, job.neurons, -1).swapaxes(0, 1).reshape(len(rows), -1)


def raw_constant(job: Job) -> np.ndarray:
    """Difference between acc and a kernel's sums of |x - mask|, halved for two planes: acc - (its sum)."""
    negative = (job.rows.reshape(job.planes, job.neurons, -1) < 0).sum(axis=(0, 2), dtype=np.int64)
    return -(full_scale(job) * negative // job.planes)


def pack_steps(steps: np.ndarray) -> np.ndarray:
    """Words of sign bits in the order in which masks are made of them, steps int8 (masks, 4).

    Mask i takes its lane's bit 7 - i mod 8 from byte lane 0..3 of word i // 8.
    """
    padded = np.zeros((-(-len(steps) // 8) * 8, 4), np.uint32)
    padded[: len(steps)] = steps < 0
    shifts = 7 - np.arange(8, dtype=np.uint32)[:, None] + 8 * np.arange(4, dtype=np.uint32)
    return (padded.reshape(-1, 8, 4) << shifts).sum(axis=(1, 2), dtype=np.uint32)


def finished(job: Job) -> dict[str, float]:
    """The outputs that C makes of sums: bits."""
    return {"sign": size_of(job.output_shape)} if isinstance(job.layer.activation, Sign) else {}


@dataclass(frozen=True)
class Block:
    """Code for `rows` rows at once, over `pairs` pairs of words of inputs.

    Chunks are of four pairs, and the first has only the rest of them, its end: it begins at pair `entry`.  A chunk's
    words are loaded in groups; those of the groups before the entry, `skipped` words, are not stored.
    """

    rows: int
    pairs: int

    @property
    def chunks(self) -> int:
        return -(-self.pairs // CHUNK_PAIRS)

    @property
    def entry(self) -> int:
        return -self.pairs % CHUNK_PAIRS

    @property
    def group_words(self) -> int:
        """Words loaded at once: as many as registers are left, at most a chunk's."""
        return min(8 - self.rows, self.rows)

    @property
    def skipped(self) -> int:
        return self.entry * self.rows // 4 // self.group_words * self.group_words

    @property
    def enters_group(self) -> bool:
        """Whether the entry lies inside a group, which is then loaded before the jump."""
        return self.entry * self.rows != self.skipped * 4

    @property
    def words(self) -> int:
        return self.rows * self.chunks - self.skipped

    @property
    def first_mask(self) -> int:
        """Number of the first mask among those of the words stored."""
        return 2 * self.entry * self.rows - 8 * self.skipped

    def pack(self, rows: np.ndarray) -> np.ndarray:
        padded = np.ones((self.rows, self.chunks * CHUNK_PAIRS * PAIR_INPUTS), np.int8)
        start = self.entry * PAIR_INPUTS
        padded[:, start : start + rows.shape[1]] = rows
        steps = padded.reshape(self.rows, -1, 2, 4).swapaxes(0, 1).reshape(-1, 4)
        return pack_steps(steps)[self.skipped :]


class DenseMasks(Kernel):
    """USADA8 adds |x - mask| over four lanes, with a mask of 128 (255 for inputs beyond 128) where w is -1.

    Since |x - 128| is 128 - x, the sum is acc + 128 * (negative weights).  A block of rows shares its loads of x.
    """

    targets = CORTEX_DSP
    layer = Dense
    reads = BYTES

    def swaps(self, job: Job) -> bool:
        return not job.gets_shift  # it is in the code

    def fits(self, job: Job) -> bool:
        return self._pairs(job) <= CHUNKS_MAX * CHUNK_PAIRS

    def arrays(self, job: Job) -> tuple[CArray, ...]:
        rows = adjacent_rows(job)
        words, start = [], 0
        for block, count in self.blocks(job):
            for _ in range(count):
                words.append(block.pack(rows[start : start + block.rows]))
                start += block.rows
        weights = CArray("weights", "uint32_t", np.concatenate(words))
        return (weights, *activation_arrays(job, raw_constant(job)))

    def blocks(self, job: Job) -> list[tuple[Block, int]]:
        """The kinds of blocks and how many of each; the last may be smaller."""
        return min((self._blocks(job, size) for size in BLOCK_SIZES), key=lambda blocks: self._weight(job, blocks))

    def values(self, job: Job) -> dict[str, Any]:
        blocks = self.blocks(job)
        ends = np.cumsum([count * block.rows // job.planes for block, count in blocks]).tolist()
        return {
            "blocks": [
                {"rows": block.rows, "words": block.words, "first_mask": block.first_mask, "end": end}
                for (block, _), end in zip(blocks, ends, strict=True)
            ],
            "full_scale": full_scale(job),
            "copy_assembly": assembly.copy(job.layer.fan_in, job.input_shift) if self._copies(job) else "",
            "copy_words": self._copy_bytes(job) // 4,
            "assembly": self._assembly(job, blocks),
        }

    def pieces(self, job: Job) -> tuple[Piece, ...]:
        return (Piece("m4/row"),)

    def finishes(self, job: Job) -> bool:
        return isinstance(job.layer.activation, Sign)

    def scratch_bytes(self, job: Job) -> int:
        return self._copy_bytes(job) + (4 * job.neurons if self.finishes(job) else 0)

    def runs(self, job: Job) -> list[Run]:
        copies = [assembly.copy(job.layer.fan_in, job.input_shift).run()] if self._copies(job) else []
        return [*copies, self._assembly(job, self.blocks(job)).run()]

    def terms(self, job: Job) -> dict[str, float]:
        return super().terms(job) | finished(job)

    def _blocks(self, job: Job, size: int) -> list[tuple[Block, int]]:
        rows = job.planes * job.neurons
        size = min(size - size % job.planes, rows)
        blocks = [(Block(size, self._pairs(job)), rows // size)]
        rest = rows % size
        return [*blocks, (Block(rest, self._pairs(job)), 1)] if rest else blocks

    def _weight(self, job: Job, blocks: list[tuple[Block, int]]) -> float:
        """Instructions; code for a second kind of block has to save 1 % of them."""
        return self._assembly(job, blocks).instructions({}) * (1.01 if len(blocks) > 1 else 1)

    def _assembly(self, job: Job, blocks: list[tuple[Block, int]]) -> Listing:
        return assembly.dense(blocks, job.planes, full_scale(job), job.layer.activation)

    def _pairs(self, job: Job) -> int:
        return -(-job.layer.fan_in // PAIR_INPUTS)

    def _copies(self, job: Job) -> bool:
        """Whether inputs have to be shifted, aligned or followed by zeros first."""
        return job.from_caller or job.layer.fan_in % PAIR_INPUTS != 0

    def _copy_bytes(self, job: Job) -> int:
        return self._pairs(job) * PAIR_INPUTS if self._copies(job) else 0


KERNELS = (DenseMasks(),)
