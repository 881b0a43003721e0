"""Tables of sums for Cortex-M3: how inputs are grouped, how weights become table indices, and what both cost.

A group of up to 8 inputs has 2^bits signed sums; a table holds them once, and then every neuron takes its own with one
byte of weights: a load of the index, a load of the sum, an addition.  Two groups share a table, one in the low and one
in the high half of its words, so that one addition builds two entries.  Entries are kept positive by `ENTRY_OFFSET`.
"""

from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from signbit.codegen.kernels.base import BYTES, COSTS, CArray, Job, Kernel, Piece, activation_arrays
from signbit.codegen.kernels.listing import Listing, Run
from signbit.codegen.kernels.m3 import assembly
from signbit.codegen.kernels.targets import CORTEX_DSP, CORTEX_M3, SPEED
from signbit.qmodel.activations import Logits, Requantize
from signbit.qmodel.value import WORD_BYTES, size_of

ENTRY_OFFSET = 2048
"""Added to each entry: above 8 inputs of 255."""

BITS_MIN, BITS_MAX = 3, 8
GROUPS_MAX = 4
HALF_MAX = 0xFFFF


@dataclass(frozen=True)
class Chunk:
    """Up to 4 groups of `bits` inputs, looked up together.

    A pair of groups takes its inputs from every second byte: groups 0 and 1 take bytes 4i, 4i + 1 and 4i + 2, 4i + 3
    of their words.  With an odd number of bits the word in the middle serves both pairs.
    """

    groups: int
    bits: int

    @property
    def inputs(self) -> int:
        return self.groups * self.bits

    @property
    def tables(self) -> int:
        return -(-self.groups // 2)

    @property
    def table_words(self) -> int:
        """Words of one table."""
        return 1 << self.bits

    @property
    def words_read(self) -> int:
        """Words of input that building the tables reads."""
        return self.bits if self.tables == 2 else -(-self.bits // 2)

    @property
    def is_whole(self) -> bool:
        """Whether the words read hold just the chunk's inputs."""
        return self.words_read * WORD_BYTES == self.inputs

    @property
    def table_pieces(self) -> list[Piece]:
        """The functions that build the chunk's tables, one after the other."""
        halves = [self.bits % 2 * table for table in range(self.tables)]
        return [
            Piece(
                "m3/table",
                f"m3_table{self.bits}{'b' * half}",
                {
                    "bits": self.bits,
                    "half": half,
                    "entries": 1 << self.bits,
                    "assembly": assembly.table(self.bits, half),
                },
            )
            for half in halves
        ]

    def order(self) -> np.ndarray:
        """Byte of the chunk's words for each (group, bit), shape (groups, bits)."""
        pairs = np.arange(4 * self.words_read).reshape(-1, 2, 2).transpose(0, 2, 1).reshape(-1, 2)
        tables = [pairs[table * self.bits :][: self.bits].T for table in range(self.tables)]
        return np.concatenate(tables)[: self.groups]

    def indices(self, positive: np.ndarray) -> np.ndarray:
        """Table indices, uint8 (..., groups), of weights (..., n <= inputs), True where +1; missing ones add 0."""
        octets = np.zeros((*positive.shape[:-1], 4 * self.words_read), np.int64)
        rank = np.empty(4 * self.words_read, np.int64)
        used = np.sort(self.order(), axis=None)
        rank[used] = np.arange(len(used))
        octets[..., used[: positive.shape[-1]]] = positive
        return (octets[..., self.order()] << np.arange(self.bits)).sum(axis=-1).astype(np.uint8)

    def places(self) -> list[int]:
        """Byte of the chunk's words that holds each input, in the inputs' order."""
        return [int(place) for place in np.sort(self.order(), axis=None)]

    def build_runs(self, times: int) -> list[Run]:
        return [piece.values["assembly"].run(times) for piece in self.table_pieces]


@dataclass(frozen=True)
class Block:
    """Neurons whose sums are held in registers at once: `registers` words of one sum, or of two if `packed`."""

    registers: int
    packed: bool

    @property
    def neurons(self) -> int:
        return self.registers * (2 if self.packed else 1)

    def padded(self, neurons: int) -> int:
        """Neurons rounded up to whole blocks."""
        return -(-neurons // self.neurons) * self.neurons

    def words(self, neurons: int) -> int:
        """Words of sums for `neurons`, rounded up to whole blocks."""
        return self.padded(neurons) // (2 if self.packed else 1)

    def look_up_run(self, times: int, neurons: int, chunk: Chunk) -> Run:
        """Run the look-up of `chunk` for so many neurons."""
        listing = assembly.look_up(chunk.groups, chunk.bits, self.registers, self.packed)
        return listing.run(times, blocks=self.padded(neurons) // self.neurons)

    def look_up_piece(self, chunk: Chunk) -> Piece:
        name = f"m3_{'halves' if self.packed else 'words'}{self.registers}x{chunk.groups}"
        values = {
            "groups": chunk.groups,
            "packed": self.packed,
            "item_count": chunk.groups * (2 if self.packed else 1),
            "entries": 1 << chunk.bits,
            "assembly": assembly.look_up(chunk.groups, chunk.bits, self.registers, self.packed),
        }
        return Piece("m3/look_up", name if chunk.groups <= 2 else f"{name}_{chunk.bits}", values)

    def calls(self, chunk: Chunk) -> dict[str, Any]:
        """What a template calls to look up `chunk`: its tables, each with its first byte of inputs and its word."""
        tables = [
            {"symbol": piece.symbol, "input_bytes": table * (chunk.bits // 2 * 4), "word": table * chunk.table_words}
            for table, piece in enumerate(chunk.table_pieces)
        ]
        return {"tables": tables, "look_up": self.look_up_piece(chunk).symbol, "inputs": chunk.inputs}

    def pieces(self, chunks: Iterable[Chunk]) -> tuple[Piece, ...]:
        tables = [piece for chunk in chunks for piece in chunk.table_pieces]
        return (*tables, *map(self.look_up_piece, chunks), assembly.FILL)


@dataclass(frozen=True)
class Sums:
    """How a layer's sums are stored: value = planes * acc + offset, in words or in two halves of a word."""

    packed: bool
    offset: int


def sums_of(job: Job) -> Sums:
    """Half words if the proved range of the accumulators fits them."""
    low, high = (end * job.planes for end in job.accumulator_range.overall())
    offset = -low + (-low & 1)
    return Sums(True, offset) if high + offset <= HALF_MAX else Sums(False, 0)


def block_for(neurons: int, packed: bool) -> Block:
    blocks = [Block(registers, packed) for registers in (4, 2, 1)]
    chunk = Chunk(GROUPS_MAX, BITS_MAX)
    return min(blocks, key=lambda block: block.look_up_run(1, neurons, chunk).instructions)


COPY_INSTRUCTIONS = COSTS["m3/dense_lut"][SPEED]["cortex-m3"]["copied"]
"""Instructions for each input that is copied, by C, so that nothing is read after the last one."""


@cache
def split(inputs: int, uses: int, bits: tuple[int, ...]) -> tuple[Chunk, int, Chunk | None]:
    """Full chunks, their number, and the one for the rest, that take the fewest instructions.

    `uses` is how many neurons look up each group.
    """

    def cost(chunk: Chunk) -> float:
        copied = 0 if chunk.is_whole else COPY_INSTRUCTIONS * chunk.words_read * 4
        block = Block(4, packed=False)
        two, one = (block.look_up_run(1, blocks * block.neurons, chunk).instructions for blocks in (2, 1))
        built = sum(run.instructions for run in chunk.build_runs(1))
        return built + copied + uses * (two - one) / block.neurons

    def rest_of(left: int) -> Chunk:
        # a bit more than needed costs time but no flash
        sizes = range(BITS_MIN, BITS_MAX + 1)
        fitting = [Chunk(g, b) for g in range(1, GROUPS_MAX + 1) for b in sizes if g * b >= left]
        fewest = min(chunk.groups for chunk in fitting)
        if min(bits) >= 7:
            fitting = [chunk for chunk in fitting if chunk.groups == fewest]
        return min(fitting, key=cost)

    def whole(size: int) -> tuple[float, Chunk, int, Chunk | None]:
        full = Chunk(GROUPS_MAX, size)
        count, left = divmod(inputs, full.inputs)
        rest = rest_of(left) if left else None
        return count * cost(full) + (cost(rest) if rest else 0), full, count, rest

    return min((whole(size) for size in bits), key=lambda option: option[0])[1:]


def table_indices(chunks: tuple[Chunk, int, Chunk | None], positive: np.ndarray) -> CArray:
    """Packed weights: indices of `positive` (bool, (..., inputs), True where +1), chunk by chunk as `split` says."""
    full, count, rest = chunks
    parts = [full.indices(positive[..., n * full.inputs :][..., : full.inputs]) for n in range(count)]
    if rest:
        parts.append(rest.indices(positive[..., count * full.inputs :]))
    return CArray("weights", "uint8_t", np.concatenate([part.reshape(-1) for part in parts]))


def can_finish(job: Job) -> bool:
    """Whether the assembly finish serves the job's activation: logits, or a requantize with a high of 2^n - 1."""
    activation = job.layer.activation
    if isinstance(activation, Requantize):
        return not job.gets_shift and activation.high & (activation.high + 1) == 0
    return isinstance(activation, Logits)


class FinishingKernel(Kernel):
    """Ends with the layer's own finish, which turns the sums of a pixel into outputs."""

    targets = CORTEX_M3 | CORTEX_DSP

    def finish_values(self, job: Job, packed: bool = False) -> dict[str, Any]:
        """Values of m3_finish.c.j2."""
        return {"finish": finish(job, packed) if can_finish(job) else "", "packed": packed}

    def finish_runs(self, job: Job, packed: bool = False) -> list[Run]:
        return [finish(job, packed).run(size_of(job.output_shape[:-1]))] if can_finish(job) else []

    def terms(self, job: Job) -> dict[str, float]:
        finished = {} if can_finish(job) else {job.layer.activation.kind: size_of(job.output_shape)}
        return super().terms(job) | {"output pixel": size_of(job.output_shape[:-1])} | finished


class LutKernel(FinishingKernel):
    """Looks sums up in tables, chunk by chunk of the inputs of a vector or a cell."""

    reads = BYTES

    @abstractmethod
    def inputs(self, job: Job) -> int:
        """Inputs of a vector or a cell."""

    @abstractmethod
    def split(self, job: Job) -> tuple[Chunk, int, Chunk | None]:
        """Full chunks, their number, and the one for the rest."""

    def block(self, job: Job) -> Block:
        return block_for(job.neurons, sums_of(job).packed)

    def chunks(self, job: Job) -> Counter[Chunk]:
        """Each kind of chunk, and how many there are: the rest may take one more of the full ones."""
        full, count, rest = self.split(job)
        return +Counter({full: count}) + Counter([rest] if rest else [])

    def groups(self, job: Job) -> int:
        """Entries that a sum is made of."""
        return sum(chunk.groups * count for chunk, count in self.chunks(job).items()) * job.planes

    def table_words(self, job: Job) -> int:
        """Words of all tables of a chunk."""
        return max(chunk.tables * chunk.table_words for chunk in self.chunks(job))

    def rest_inputs(self, job: Job) -> int:
        full, count, _ = self.split(job)
        return self.inputs(job) - count * full.inputs

    def copy_words(self, job: Job) -> int:
        """Words of a copy of the rest's inputs, unless its tables can be built from the input itself."""
        rest, inputs = self.split(job)[2], self.rest_inputs(job)
        return rest.words_read if rest and not (rest.is_whole and inputs == rest.inputs) else 0

    def chunk_values(self, job: Job, copy_at: int) -> dict[str, Any]:
        """What a template says of the chunks, and of the copy at the end of the scratch."""
        full, count, rest = self.split(job)
        rest_inputs, copy_words = self.rest_inputs(job), self.copy_words(job)
        return {
            "count": count,
            "full": self.calls(job, full) if count else None,
            "rest": self.calls(job, rest) | {"places": rest.places()[:rest_inputs]} if rest else None,
            "rest_inputs": rest_inputs,
            "copy_at": copy_at,
            "copy_words": copy_words,
            "copy_end": copy_at + copy_words,
        }

    def calls(self, job: Job, chunk: Chunk) -> dict[str, Any]:
        return self.block(job).calls(chunk)

    def scratch_bytes(self, job: Job) -> int:
        return WORD_BYTES * self.values(job)["copy_end"]


def finish(job: Job, packed: bool) -> Listing:
    return assembly.finish(job.neurons, packed, job.planes == 2, job.layer.activation)


def max_piece(packed: bool) -> Piece:
    listing = assembly.maximum_of_halves if packed else assembly.maximum_of_words
    return Piece("m3/max", f"m3_max_{'halves' if packed else 'words'}", {"packed": packed, "assembly": listing})


def parameters(job: Job, sums: Sums) -> tuple[CArray, ...]:
    """The activation's arrays for what the finish gets: acc + offset / planes."""
    return activation_arrays(job, constant=-sums.offset // job.planes)
