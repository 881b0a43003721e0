"""The front end resolved for the templates: tables, sizes and costs of PREFIX_features -- SPEC 13."""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from signbit.codegen.kernels.base import CArray, measured_costs
from signbit.codegen.kernels.listing import Run
from signbit.codegen.kernels.m55.spectrum import EXPONENT_BITS, HeliumSpectrum
from signbit.codegen.kernels.targets import CORTEX_DSP, CORTEX_M55
from signbit.qmodel import spectrum
from signbit.qmodel.front_end import STATISTICS, FrontEnd, Statistics
from signbit.qmodel.model import QuantizedModel
from signbit.qmodel.value import WORD_BYTES, size_of

FRONT_END = "front_end"
"""Its name among the costs of compiled C."""


@dataclass(frozen=True, eq=False)
class FrontEndPlan:
    """How samples become inputs; `target` and `optimize` say for which core its instructions are predicted."""

    front_end: FrontEnd
    target: str
    optimize: str

    @property
    def is_counts(self) -> bool:
        """Features are counts, from which a quantization makes inputs."""
        return isinstance(self.front_end, Statistics)

    @property
    def has_dsp(self) -> bool:
        """Whether a point of the FFT is two halfwords of a register."""
        return self.target in CORTEX_DSP

    @cached_property
    def helium(self) -> HeliumSpectrum | None:
        """The functions of a frame in assembly, where the core has Helium."""
        return HeliumSpectrum(self.front_end) if self.target in CORTEX_M55 else None

    @property
    def kernel(self) -> str:
        """The name of its arithmetic, as layers' kernels are named: room and file."""
        return "m55/spectrum" if self.helium else f"{'m4' if self.has_dsp else 'c99'}/points"

    @property
    def level_ctype(self) -> str:
        return "int16_t" if self.is_counts else "uint8_t"

    @property
    def samples_size(self) -> int:
        return size_of(self.front_end.samples_shape)

    @property
    def frame_bits(self) -> int:
        return self.front_end.frame.bit_length() - 1

    @property
    def points(self) -> int:
        """Complex numbers that the FFT transforms."""
        return self.front_end.frame // 2

    @property
    def quarter(self) -> int:
        """A quarter of a period, in angles."""
        return self.front_end.frame // 4

    @property
    def three_quarters(self) -> int:
        return 3 * self.quarter

    @property
    def last_angle(self) -> int:
        """The last angle whose cosine is in the table; Helium finds those of half a period without a sign."""
        return self.points if self.helium else self.quarter

    @property
    def last_frequency(self) -> int:
        return self.points - 1

    @property
    def frame_size(self) -> int:
        """int16_t from the first sample of a frame to the first after it, other channels included."""
        return self.front_end.frame * self.front_end.channels

    @property
    def half_size(self) -> int:
        """int16_t to the sample half a frame on."""
        return self.points * self.front_end.channels

    @property
    def last_pair(self) -> int:
        """int16_t to the last two samples of the first half."""
        return (self.points - 2) * self.front_end.channels

    @property
    def last_even(self) -> int:
        """The last point but one."""
        return self.points - 2

    @property
    def pair_size(self) -> int:
        """int16_t of two samples."""
        return 2 * self.front_end.channels

    @property
    def window_bits(self) -> int:
        """What a windowed sample, of 15 bits and those that it had, is shifted by at least."""
        return 15 - self.pass_bits

    @property
    def segments(self) -> int:
        """Runs of frequencies between the centres of neighbouring bands."""
        return self.front_end.bands + 1

    @property
    def features(self) -> int:
        """Features of a channel, where they are counts."""
        return STATISTICS + self.front_end.bands

    @property
    def exponent_steps(self) -> int:
        """Steps of a level by which the exponent of points counts; that of powers is twice as large."""
        return 2 * self.front_end.steps

    @property
    def offset_text(self) -> str:
        """What is taken from a level, as C."""
        return _plus(-self.front_end.offset)

    @property
    def highest_text(self) -> str:
        """What is added to the exponent's steps for the level of a total of 2^63, as C."""
        return _plus(EXPONENT_BITS * self.front_end.steps - self.front_end.offset)

    @property
    def starts_with_two(self) -> bool:
        """Whether the first pass is over two points each, not four as all others."""
        return self.frame_bits % 2 == 0

    @property
    def first_size(self) -> int:
        """Points that the first pass transforms together."""
        return 2 if self.starts_with_two else 4

    pass_bits = spectrum.PASS_BITS
    split_bits = spectrum.SPLIT_BITS

    @property
    def formula(self) -> str:
        """What PREFIX_features computes, in words."""
        chosen = self.front_end
        what = f"{chosen.bands} bands of a spectrum of {chosen.frame} samples, {chosen.steps} steps an octave of power"
        if self.is_counts:
            return f"Of each channel mean, mean absolute deviation, log2 of the energy, zero crossings; {what}"
        return f"{chosen.frames} frames every {chosen.hop} rows: {what}"

    @cached_property
    def arrays(self) -> tuple[CArray, ...]:
        chosen = self.front_end
        sizes = chosen.sizes if chosen.sizes.max() > np.iinfo(np.uint8).max else chosen.sizes.astype(np.uint8)
        return (
            CArray("cosines", "int16_t", spectrum.cosines(chosen.frame)[: self.last_angle + 1].astype(np.int16)),
            CArray("logarithms", "uint8_t", spectrum.logarithms(chosen.steps)),
            CArray("sizes", f"{sizes.dtype}_t", sizes),
            CArray("rising", "uint8_t", chosen.rising),
        )

    @property
    def flash_bytes(self) -> int:
        """What the tables take."""
        return sum(array.size_bytes for array in self.arrays)

    @property
    def scratch_bytes(self) -> int:
        return WORD_BYTES * self.points

    @property
    def counts_size(self) -> int:
        """int16_t in the scratch besides, for features that are counts."""
        return size_of(self.front_end.features_shape) if self.is_counts else 0

    @property
    def hop_size(self) -> int:
        """int16_t that a stream takes at once."""
        return self.front_end.hop * self.front_end.channels

    @property
    def hops_held(self) -> int:
        """Hops that a frame reaches into; a stream keeps their samples if they are more than one."""
        return self.front_end.frame_hops

    @property
    def held_size(self) -> int:
        """int16_t of them."""
        return self.hops_held * self.hop_size

    @property
    def hops_before(self) -> int:
        """Hops that fill the samples before the first frame."""
        return self.hops_held - 1

    @property
    def kept_size(self) -> int:
        """int16_t that a stream keeps when a hop comes."""
        return self.held_size - self.hop_size

    @property
    def hop_levels(self) -> int:
        """Levels that a hop gives."""
        return self.front_end.bands * self.front_end.channels

    @property
    def frame_count(self) -> int:
        """Frames of all channels."""
        return self.front_end.frames * self.front_end.channels

    def terms(self) -> dict[str, int]:
        """How often each part of the compiled C runs for one input."""
        chosen, count = self.front_end, self.frame_count
        rows = {"row": chosen.rows * chosen.channels * self.is_counts}
        if self.helium:
            return rows | {"frame": count}
        passes = (self.frame_bits - 2) // 2
        return rows | {
            "sample": count * chosen.frame,
            "butterfly": count * passes * self.points // 4,
            "pair": count * self.points // 2 * self.starts_with_two,
            "frequency": count * len(chosen.rising),
            "band": count * chosen.bands,
        }

    @property
    def code_terms(self) -> Counter[str]:
        """What the size of its code depends on, as `signbit.codegen.code_size` has it."""
        own = {"pass_of_twos": self.starts_with_two} if self.helium else {"pass_of_four": not self.starts_with_two}
        return Counter(front_end=1, statistics=int(self.is_counts), **{name: int(has) for name, has in own.items()})

    @property
    def instructions(self) -> float | None:
        """Predicted for one input; None where a compiler decides."""
        costs = measured_costs(FRONT_END, self.optimize, self.target)
        if costs is None:
            return None
        return self.assembly_instructions + sum(costs.get(term, 0.0) * count for term, count in self.terms().items())

    @property
    def assembly_instructions(self) -> float:
        return self.frame_count * sum(run.instructions for run in self.runs)

    @property
    def stack_bytes(self) -> int:
        """What its assembly pushes, which the compiler does not count."""
        return max((run.listing.stack_bytes for run in self.runs), default=0)

    @property
    def runs(self) -> list[Run]:
        """The assembly that runs for a frame."""
        return self.helium.runs() if self.helium else []

    @property
    def frame_instructions(self) -> float | None:
        """Predicted for a frame of one channel."""
        return None if self.instructions is None else self.instructions / self.frame_count


def _plus(number: int) -> str:
    return "" if number == 0 else f" {'+' if number > 0 else '-'} {abs(number)}"


def front_end_plan(model: QuantizedModel, target: str, optimize: str) -> FrontEndPlan | None:
    return None if model.front_end is None else FrontEndPlan(model.front_end, target, optimize)
