"""How a convolution is cut for look-ups in tables of vectors: strips of places, groups of inputs, chunks of groups."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import groupby, pairwise

import numpy as np

from signbit.codegen.kernels.base import Job
from signbit.codegen.kernels.rv32.sums import ENTRY_BYTES, pair_sums_instructions

IMMEDIATE_MAX = 2047
"""Of a load's offset, and of an addition's number."""
CHUNKS_MAX = 4
HALF_MAX = (1 << 15) - 1
LAYOUTS_KEPT = 64


@dataclass(frozen=True)
class Group:
    """Inputs of one table: `size` bytes from `offset` on, counted from a place's first byte in a row of the image.

    The table serves `taps` columns of the kernel, each `step` bytes after the one before.
    """

    offset: int
    size: int
    taps: int
    step: int

    @property
    def starts(self) -> range:
        """The first byte of each tap."""
        return range(self.offset, self.offset + self.taps * self.step, self.step)


@dataclass(frozen=True)
class Run:
    """`count` groups alike, one after the other, each with a table of `words` vectors' words."""

    group: Group
    count: int
    words: int

    @property
    def entries(self) -> int:
        return 1 << self.group.size

    @property
    def table_words(self) -> int:
        return self.words * self.entries


@dataclass(frozen=True)
class Layout:
    """Strips of `units` outputs of a row, in the halves of `words` words.

    Unit u is in the low half of a word if u < `half`, else in the high half of the word of unit u - units + half.  Each
    of `chunks` has accumulators of its own, which fit into 16 bits.  `slots` rows of accumulators are in memory.
    """

    units: int
    half: int
    words: int
    strips: int
    slots: int
    chunks: tuple[tuple[Group, ...], ...]

    @cached_property
    def runs(self) -> list[list[Run]]:
        """The runs of each chunk."""
        return [self._runs(chunk) for chunk in self.chunks]

    @property
    def groups(self) -> list[Group]:
        """In the order of their tables, and of the bytes of a neuron's weights."""
        return [group for chunk in self.chunks for group in chunk]

    @property
    def table_words(self) -> int:
        return sum(run.count * run.table_words for runs in self.runs for run in runs)

    @property
    def look_ups(self) -> int:
        """Bytes of weights for a row of the kernel and a neuron."""
        return sum(group.taps for group in self.groups)

    def _runs(self, chunk: tuple[Group, ...]) -> list[Run]:
        alike = [list(groups) for _, groups in groupby(chunk, key=lambda group: (group.size, group.taps))]
        return [Run(groups[0], len(groups), self.words + groups[0].taps - 1) for groups in alike]


def visits(job: Job) -> list[tuple[int, int]]:
    """Pairs of a row inside the image and a row of accumulators that it is added to."""
    window, (height, _, _) = job.layer.window, job.input_shape
    starts = [row * window.stride[0] - window.padding[0] for row in range(job.output_shape[0] * window.pool[0])]
    return [
        (y, row)
        for row, start in enumerate(starts)
        for y in range(max(start, 0), min(start + job.layer.kernel[0], height))
    ]


@lru_cache(LAYOUTS_KEPT)
def layout(job: Job, size_max: int, words_max: int) -> Layout | None:
    """The cut that takes the fewest instructions, about, with tables of up to `size_max` inputs and vectors of up to
    `words_max` words; None where a unit has more, or where sums fit into no CHUNKS_MAX chunks.
    """
    window, rows = job.layer.window, len(job.rows)
    pool_height, pool_width = window.pool
    if pool_width > words_max:
        return None
    strips = -(-job.output_shape[1] // (2 * (words_max // pool_width)))
    units = -(-job.output_shape[1] // strips)
    half = -(-units // 2)
    words = half * pool_width
    pairs = visits(job)
    built = len({y for y, _ in pairs})

    def instructions(groups: list[Group]) -> int:
        build = sum((words + group.taps - 1) * pair_sums_instructions(group.size) for group in groups)
        add = sum(group.taps * (2 + 2 * words) + 4 for group in groups) + 2 * words + 6
        return built * build + len(pairs) * rows * add

    possible = [groups for size in range(1, size_max + 1) for groups in _groups(job, size)]
    slots = -(-job.layer.kernel[0] // window.stride[0]) + pool_height - 1
    for groups in sorted(possible, key=instructions):
        chunks = _chunks(job, groups) if _within_reach(groups, words) else None
        if chunks:
            return Layout(units, half, words, strips, slots, chunks)
    return None


def _chunks(job: Job, groups: list[Group]) -> tuple[tuple[Group, ...], ...] | None:
    """As few parts of `groups` as possible whose sums fit into 16 bits, if they are not more than CHUNKS_MAX."""
    for count in range(1, min(CHUNKS_MAX, len(groups)) + 1):
        bounds = [len(groups) * number // count for number in range(count + 1)]
        chunks = tuple(tuple(groups[start:end]) for start, end in pairwise(bounds))
        if all(_fits_half(job, chunk) for chunk in chunks):
            return chunks
    return None


def _groups(job: Job, size: int) -> Iterator[list[Group]]:
    """Groups of at most `size` inputs: of all columns together, or of one column's channels, which its taps share."""
    channels, width, stride = job.input_shape[2], job.layer.kernel[1], job.layer.window.stride[1]
    step = stride * channels
    yield [Group(start, length, 1, step) for start, length in _parts(width * channels, size)]
    yield [
        Group(column * channels + start, length, -(-(width - column) // stride), step)
        for column in range(min(stride, width))
        for start, length in _parts(channels, size)
    ]


def _parts(count: int, size: int) -> list[tuple[int, int]]:
    """Start and length of as few parts as possible, of about the same length; the longer ones first."""
    number = -(-count // size)
    short, longer = divmod(count, number)
    return [(short * index + min(index, longer), short + (index < longer)) for index in range(number)]


def _within_reach(groups: list[Group], words: int) -> bool:
    """Whether a load's offset reaches the last word of each group's vectors."""
    return all(ENTRY_BYTES * (words + group.taps - 2) << group.size <= IMMEDIATE_MAX for group in groups)


def _fits_half(job: Job, chunk: tuple[Group, ...]) -> bool:
    """Whether the sum over the chunk's inputs, whatever they are, has 16 bits for each row of weights."""
    rows = job.rows.reshape(len(job.rows), job.layer.kernel[0], -1)
    taken = np.concatenate([rows[..., at : at + group.size] for group in chunk for at in group.starts], axis=-1)
    of_one_sign = max((sign * taken > 0).sum(axis=(1, 2)).max() for sign in (1, -1))
    return job.input.high * of_one_sign <= HALF_MAX
