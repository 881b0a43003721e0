"""Kernels for Cortex-M55, with Helium (MVE)."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from signbit.codegen.kernels import helium_assembly as assembly
from signbit.codegen.kernels.base import BITS, BYTES, CArray, Job, Kernel, Piece, activation_arrays
from signbit.codegen.kernels.helium_bits import BitPlaces
from signbit.codegen.kernels.helium_depthwise import ChannelPlaces
from signbit.codegen.kernels.helium_places import Places
from signbit.codegen.kernels.helium_tables import Tables
from signbit.codegen.kernels.listing import Run
from signbit.codegen.kernels.targets import CORTEX_M55
from signbit.qmodel import integer
from signbit.qmodel.layers import Conv2D, Dense, DepthwiseConv2D
from signbit.qmodel.value import WORD_BYTES, size_of

LANES = 4
GATHER_BYTES = 256
GATHER_BLOCKS = 8
"""Offsets that a byte holds, and vectors of offsets that an immediate reaches."""

POPCOUNT = Piece(
    "mve_popcount", values={"counts": CArray("popcount", "uint8_t", np.array([*map(int.bit_count, range(256))]))}
)
"""The table of counts of set bits."""

COPY = Piece("mve_copy", values={"listing": assembly.copy})


class HeliumKernel(Kernel):
    targets = CORTEX_M55

    def pieces(self, job: Job) -> tuple[Piece, ...]:
        """The function that turns all accumulators of a place into outputs."""
        kind = job.layer.activation.kind
        return (Piece(f"mve_{kind}", values={"listing": getattr(assembly, kind)}),)

    def runs(self, job: Job) -> list[Run]:
        kind, places = job.layer.activation.kind, size_of(job.output_shape[:-1])
        if kind == "sign":
            return [assembly.sign_run(places, job.neurons)]
        return [assembly.vector_run(getattr(assembly, kind), places, job.neurons, LANES)]

    def terms(self, job: Job) -> dict[str, float]:
        return super().terms(job) | {"call for the caller": int(job.from_caller)}


class MveDense(HeliumKernel):
    """VMLADAVA multiplies 16 inputs by bytes that hold the signs of eight rows; see helium_places."""

    name = "mve_dense"
    layer = Dense
    reads = BYTES

    def arrays(self, job: Job) -> tuple[CArray, ...]:
        weights = CArray("weights", "uint8_t", self._places(job).weights())
        return (weights, *activation_arrays(job))

    def values(self, job: Job) -> dict[str, Any]:
        return self._places(job).values()

    def scratch_bytes(self, job: Job) -> int:
        return WORD_BYTES * self._places(job).accumulator_words

    def runs(self, job: Job) -> list[Run]:
        return [self._places(job).listing.run(), *super().runs(job)]

    def _places(self, job: Job) -> Places | BitPlaces:
        return Places(job, 1, job.layer.fan_in, job.layer.fan_in)


class MveDenseBits(MveDense):
    """Differing bits of 16 bytes and four rows, counted by a table; see helium_bits."""

    name = "mve_dense_bits"
    reads = BITS

    def pieces(self, job: Job) -> tuple[Piece, ...]:
        return (POPCOUNT, *super().pieces(job))

    def _places(self, job: Job) -> BitPlaces:
        return BitPlaces(job, 1, job.input.size_bytes, job.input.size_bytes)


class MveTables(HeliumKernel):
    """Tables of the signed sums over 8 inputs, gathered for eight rows at a time; see helium_tables."""

    name = "mve_tables"
    layer = Dense
    reads = BYTES

    def arrays(self, job: Job) -> tuple[CArray, ...]:
        return (CArray("weights", "uint8_t", Tables(job).weights()), *activation_arrays(job))

    def values(self, job: Job) -> dict[str, Any]:
        return Tables(job).values()

    def pieces(self, job: Job) -> tuple[Piece, ...]:
        return (assembly.FILL, *Tables(job).pieces(), *super().pieces(job))

    def scratch_bytes(self, job: Job) -> int:
        return Tables(job).scratch_bytes

    def runs(self, job: Job) -> list[Run]:
        return [*Tables(job).runs(), *super().runs(job)]

    def terms(self, job: Job) -> dict[str, float]:
        passes = Tables(job).full_passes + (Tables(job).last_tables > 0)
        return super().terms(job) | {"pass": passes, "mean": job.planes - 1}


@dataclass(frozen=True)
class Strip:
    """The rows of a padded image that one row of outputs needs, copied into the scratch between pixels of padding."""

    rows: int
    pitch_bytes: int

    @property
    def size_bytes(self) -> int:
        return self.rows * self.pitch_bytes


class MveWindows(HeliumKernel):
    """A convolution, place by place; a padded image is copied strip by strip."""

    def arrays(self, job: Job) -> tuple[CArray, ...]:
        return (CArray("weights", "uint8_t", self._places(job).weights()), *activation_arrays(job))

    def values(self, job: Job) -> dict[str, Any]:
        places, strip, window = self._places(job), self._strip(job), job.layer.window
        pixel_bytes, row_step = self._pixel_bytes(job), window.pool[0] * window.stride[0]
        return places.values() | {
            "accumulator_words": places.accumulator_words,
            "accumulator_bytes": WORD_BYTES * places.accumulator_words,
            "strip_rows": strip.rows if strip else 0,
            "strip_bytes": strip.size_bytes if strip else 0,
            "outside_word": self._outside_word(job),
            "row_bytes": job.input_shape[1] * pixel_bytes,
            "left_bytes": window.padding[2] * pixel_bytes,
            "row_step": row_step,
            "row_step_bytes": row_step * places.pitch_bytes,
            "line_step_bytes": window.stride[0] * places.pitch_bytes,
            "place_step_bytes": window.stride[1] * pixel_bytes,
            "pixel_step_bytes": window.pool[1] * window.stride[1] * pixel_bytes,
        }

    def pieces(self, job: Job) -> tuple[Piece, ...]:
        strip = (assembly.FILL, COPY, Piece("mve_strip")) if self._strip(job) else ()
        pool = (assembly.FILL,) if job.layer.window.pool != (1, 1) else ()
        return (*strip, *pool, *super().pieces(job))

    def scratch_bytes(self, job: Job) -> int:
        strip = self._strip(job)
        return WORD_BYTES * self._places(job).accumulator_words + (strip.size_bytes if strip else 0)

    def runs(self, job: Job) -> list[Run]:
        places, strip = self._places(job), self._strip(job)
        pixels, row_bytes = size_of(job.output_shape[:2]), job.input_shape[1] * self._pixel_bytes(job)
        runs = [places.listing.run(pixels * size_of(job.layer.window.pool)), *super().runs(job)]
        if job.layer.window.pool != (1, 1):
            runs.append(assembly.vector_run(assembly.fill, pixels, WORD_BYTES * places.accumulator_words))
        if strip:
            inside = self._rows_inside(job, strip)
            runs += [
                assembly.vector_run(assembly.fill, 1, strip.size_bytes),
                assembly.vector_run(assembly.copy, inside, row_bytes),
                assembly.vector_run(assembly.fill, job.output_shape[0] * strip.rows - inside, row_bytes),
            ]
        return runs

    def terms(self, job: Job) -> dict[str, float]:
        strip, (height, width) = self._strip(job), job.output_shape[:2]
        pooled = height * width if job.layer.window.pool != (1, 1) else 0
        return super().terms(job) | {
            "row": height,
            "pixel": height * width,
            "pooled pixel": pooled,
            "pool row": pooled * job.layer.window.pool[0],
            "pool place": pooled * size_of(job.layer.window.pool),
            "strip": height if strip else 0,
            "strip row": height * strip.rows if strip else 0,
        }

    def _rows_inside(self, job: Job, strip: Strip) -> int:
        """Rows of all strips that lie on the image."""
        window = job.layer.window
        step = window.pool[0] * window.stride[0]
        tops = (row * step - window.padding[0] for row in range(job.output_shape[0]))
        return sum(0 <= y < job.input_shape[0] for top in tops for y in range(top, top + strip.rows))

    def _strip(self, job: Job) -> Strip | None:
        window = job.layer.window
        _, _, left, right = window.padding
        if not any(window.padding):
            return None
        rows = (window.pool[0] - 1) * window.stride[0] + job.layer.kernel[0]
        return Strip(rows, (left + job.input_shape[1] + right) * self._pixel_bytes(job))

    def _pitch_bytes(self, job: Job) -> int:
        strip = self._strip(job)
        return strip.pitch_bytes if strip else job.input_shape[1] * self._pixel_bytes(job)

    @abstractmethod
    def _places(self, job: Job) -> Places | BitPlaces | ChannelPlaces:
        """How each place is computed."""

    @abstractmethod
    def _pixel_bytes(self, job: Job) -> int:
        """Bytes of an input pixel."""

    @abstractmethod
    def _outside_word(self, job: Job) -> int:
        """Any word of a pixel of padding."""


class MveConv(MveWindows):
    """VMLADAVA multiplies 16 inputs by bytes that hold the signs of eight rows, place by place.

    The runs of a place are the rows under the kernel; see helium_places.

    Where that takes fewer instructions, the inputs under a small kernel are gathered by a table of offsets.
    """

    name = "mve_conv"
    layer = Conv2D
    reads = BYTES

    def arrays(self, job: Job) -> tuple[CArray, ...]:
        places = self._places(job)
        offsets = (CArray("offsets", "uint8_t", places.offsets()),) if places.gathered else ()
        return (*super().arrays(job), *offsets)

    def _places(self, job: Job) -> Places:
        height, width = job.layer.kernel
        row_bytes = width * job.input_shape[2]
        pitch_bytes = self._pitch_bytes(job)
        maximum = job.layer.window.pool != (1, 1)
        runs = Places(job, height, row_bytes, pitch_bytes, maximum=maximum)
        gathered = Places(job, height, row_bytes, pitch_bytes, gathered=True, maximum=maximum)
        if (height - 1) * pitch_bytes + row_bytes > GATHER_BYTES or gathered.blocks > GATHER_BLOCKS:
            return runs
        return min((runs, gathered), key=lambda places: places.listing.instructions({}))

    def _pixel_bytes(self, job: Job) -> int:
        return job.input_shape[2]

    def _outside_word(self, job: Job) -> int:
        return 0


class MveConvBits(MveWindows):
    """Differing bits of 16 bytes and four rows, counted by a table, place by place.

    The runs are rows of whole words; a pixel of padding is -1, set bits.
    """

    name = "mve_conv_bits"
    layer = Conv2D
    reads = BITS

    def fits(self, job: Job) -> bool:
        if not self._places(job).fits:
            return False
        # padding must be made of equal words
        channels = job.input_shape[2]
        return not any(job.layer.window.padding) or channels < integer.WORD_BITS or channels % integer.WORD_BITS == 0

    def pieces(self, job: Job) -> tuple[Piece, ...]:
        return (POPCOUNT, *super().pieces(job))

    def _places(self, job: Job) -> BitPlaces:
        height, width = job.layer.kernel
        maximum = job.layer.window.pool != (1, 1)
        return BitPlaces(job, height, width * self._pixel_bytes(job), self._pitch_bytes(job), maximum)

    def _pixel_bytes(self, job: Job) -> int:
        return WORD_BYTES * integer.words_for(job.input_shape[2])

    def _outside_word(self, job: Job) -> int:
        return (1 << min(job.input_shape[2], integer.WORD_BITS)) - 1


class MveDepthwise(MveWindows):
    """Eight channels at a time, in lanes of 16 bits; see helium_depthwise."""

    name = "mve_depthwise"
    layer = DepthwiseConv2D
    reads = BYTES

    def fits(self, job: Job) -> bool:
        return ChannelPlaces.fits(job)

    def arrays(self, job: Job) -> tuple[CArray, ...]:
        return (CArray("weights", "int8_t", self._places(job).weights()), *activation_arrays(job))

    def _places(self, job: Job) -> ChannelPlaces:
        return ChannelPlaces(job, self._pitch_bytes(job), job.layer.window.pool != (1, 1))

    def _pixel_bytes(self, job: Job) -> int:
        return job.input_shape[2]

    def _outside_word(self, job: Job) -> int:
        return 0


KERNELS = (MveDense(), MveTables(), MveConv(), MveDenseBits(), MveConvBits(), MveDepthwise())
