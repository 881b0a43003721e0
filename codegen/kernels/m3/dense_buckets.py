"""Buckets for Cortex-M3: a dense layer of few neurons, by the inputs that share a pattern of signs.

Among m neurons an input has one of 2^m patterns of signs.  Its index is in its pattern's bucket, and the buckets are in
Gray order, so that from one to the next a single neuron's sign changes: one running sum over all buckets, added to or
subtracted from that neuron's register at each border, gives every neuron the sum of its negative inputs.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import chain
from typing import Any

import numpy as np

from signbit.codegen.kernels.base import BYTES, CArray, Job, Piece, activation_arrays
from signbit.codegen.kernels.listing import Run
from signbit.codegen.kernels.m3 import assembly
from signbit.codegen.kernels.m3.tables import FinishingKernel
from signbit.qmodel.layers import Dense
from signbit.qmodel.value import WORD_BYTES

NEURONS_MAX = 31
"""With 32 neurons or more, a weight may not take much more than a bit."""
WIDTH_MAX = 7
"""Registers for neurons."""

CHAIN = 48
"""Inputs that are summed without a branch."""


@dataclass(frozen=True)
class Variant:
    """One assembly function: neurons at once, bytes of an index, shift of the inputs."""

    width: int
    index_bytes: int
    shift: int

    @property
    def element_bytes(self) -> int:
        """Code for one input."""
        return 10 if self.shift else 8

    @property
    def more(self) -> int:
        """Entry for a bucket that goes on after a whole chain."""
        return CHAIN * self.element_bytes + 2

    @property
    def piece(self) -> Piece:
        values = {
            "width": self.width,
            "index_bytes": self.index_bytes,
            "shift": self.shift,
            "patterns": 2**self.width,
            "chain": CHAIN,
            "more": self.more,
            "element_bytes": self.element_bytes,
            "assembly": assembly.buckets(self.width, self.index_bytes, self.shift, CHAIN),
        }
        symbol = f"m3_buckets{self.width}_{8 * self.index_bytes}{'_shifted' * self.shift}"
        return Piece("m3/buckets", symbol, values)

    def run(self, inputs: int, entries: int) -> Run:
        """Run it for so many inputs, of which some buckets have more than one entry."""
        longer = entries - 2**self.width
        listing = assembly.buckets(self.width, self.index_bytes, self.shift, CHAIN)
        return listing.run(summed=Fraction(inputs, CHAIN), returns=entries, longer=longer)

    def entries(self, count: int) -> list[int]:
        """Where the chain is entered for a bucket of `count` inputs."""
        rounds = max(0, -(-count // CHAIN) - 1)
        return [self.more] * rounds + [(CHAIN - (count - rounds * CHAIN)) * self.element_bytes]


@cache
def widths(neurons: int, fan_in: int) -> tuple[int, ...]:
    """Neurons of each set, for the fewest instructions."""

    def balanced(sets: int) -> tuple[int, ...]:
        return tuple(neurons // sets + (index < neurons % sets) for index in range(sets))

    options = [balanced(sets) for sets in range(-(-neurons // WIDTH_MAX), neurons + 1)]
    return min(options, key=lambda option: sum(Variant(n, 1, 0).run(fan_in, 2**n).instructions for n in option))


class DenseBuckets(FinishingKernel):
    """Inputs in buckets by their pattern of signs: one running sum serves up to 7 neurons."""

    layer = Dense
    reads = BYTES

    def swaps(self, job: Job) -> bool:
        return False  # the lists are as long as the weights make them

    def fits(self, job: Job) -> bool:
        return job.planes == 1 and job.neurons <= NEURONS_MAX

    def pieces(self, job: Job) -> tuple[Piece, ...]:
        return tuple(variant.piece for variant in self.variants(job))

    def values(self, job: Job) -> dict[str, Any]:
        sets, entry, neuron = [], 0, 0
        for variant, entries in zip(self.variants(job), self._lists(job)[1], strict=True):
            sets.append({"symbol": variant.piece.symbol, "entry": entry, "neuron": neuron})
            entry, neuron = entry + len(entries), neuron + variant.width
        return {**self.finish_values(job), "sets": sets, "index_ctype": self._index_ctype(job)}

    def variants(self, job: Job) -> list[Variant]:
        """The function for each set of neurons."""
        index_bytes = 1 if self._index_ctype(job) == "uint8_t" else 2
        return [Variant(width, index_bytes, job.input_shift) for width in widths(job.neurons, job.layer.fan_in)]

    def arrays(self, job: Job) -> tuple[CArray, ...]:
        indices, entries = self._lists(job)
        ctype = self._index_ctype(job)
        return (
            CArray("indices", ctype, np.array(indices, ctype[:-2])),
            CArray("entries", "uint16_t", np.array([*chain.from_iterable(entries)], np.uint16)),
            *activation_arrays(job),
        )

    def scratch_bytes(self, job: Job) -> int:
        return WORD_BYTES * job.neurons

    def runs(self, job: Job) -> list[Run]:
        sets = zip(self.variants(job), self._lists(job)[1], strict=True)
        return [*(variant.run(job.layer.fan_in, len(entries)) for variant, entries in sets), *self.finish_runs(job)]

    def terms(self, job: Job) -> dict[str, float]:
        return super().terms(job) | {"set": len(self.variants(job))}

    def _index_ctype(self, job: Job) -> str:
        return "uint8_t" if job.layer.fan_in <= 256 else "uint16_t"

    def _lists(self, job: Job) -> tuple[list[int], list[list[int]]]:
        """Indices of all sets' buckets in Gray order, and each set's entries."""
        indices, entries, first = [], [], 0
        for variant in self.variants(job):
            negative = job.rows[first : first + variant.width] < 0
            patterns = (negative << np.arange(variant.width)[:, None]).sum(axis=0)
            buckets = [np.flatnonzero(patterns == (step ^ step >> 1)) for step in range(2**variant.width)]
            indices += np.concatenate(buckets).tolist()
            entries.append([entry for bucket in buckets for entry in variant.entries(len(bucket))])
            first += variant.width
        return indices, entries


KERNELS = (DenseBuckets(),)
