"""Kernels for Cortex-M55, with Helium (MVE)."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from signbit.codegen.kernels.base import BITS, BYTES, CArray, Cost, Job, Kernel, Piece, activation_arrays
from signbit.codegen.kernels.helium_bits import BitPlaces
from signbit.codegen.kernels.helium_depthwise import ChannelPlaces
from signbit.codegen.kernels.helium_places import Places
from signbit.codegen.kernels.helium_tables import Tables
from signbit.codegen.kernels.targets import CORTEX_M55
from signbit.qmodel import integer
from signbit.qmodel.layers import Conv2D, Dense, DepthwiseConv2D
from signbit.qmodel.value import WORD_BYTES

LANES = 4
GATHER_BYTES = 256
GATHER_BLOCKS = 8
"""Offsets that a byte holds, and vectors of offsets that an immediate reaches."""

VECTOR_BYTES = 16

# instructions of the C around the assembly of a convolution, as gcc -O2 compiles it
ROW, PIXEL, POOL, POOL_ROW, POOL_PLACE = 9, 8.5, 5.4, 5.4, 3.7
STRIP, STRIP_CALL, STRIP_ROW = -5, 0, 19
TABLES_STACK_BYTES = 88
CALL = 4
"""Instructions of a call with its arguments."""


POPCOUNT = Piece(
    "mve_popcount", values={"counts": CArray("popcount", "uint8_t", np.array([*map(int.bit_count, range(256))]))}
)
"""The table of counts of set bits."""


def finish_piece(job: Job) -> Piece:
    """The piece that turns all accumulators of a place into outputs."""
    return Piece(f"mve_{job.layer.activation.kind}")


def finish_instructions(job: Job) -> int:
    """Instructions of one place, call included."""
    rounds = -(-job.neurons // LANES)
    if job.layer.activation.kind == "requantize":
        return CALL + 9 + 10 * rounds
    if job.layer.activation.kind == "logits":
        return CALL + 5 + 7 * rounds
    return CALL + 4 + 8 * rounds + 13 * integer.words_for(job.neurons)


def driver_instructions(job: Job) -> int:
    """Instructions of a dense layer's C function, and of `infer` that calls it."""
    return 11 if job.from_caller else 6


class HeliumKernel(Kernel):
    targets = CORTEX_M55

    def pieces(self, job: Job) -> tuple[Piece, ...]:
        return (finish_piece(job),)


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

    def cost(self, job: Job) -> Cost:
        places = self._places(job)
        instructions = driver_instructions(job) + places.instructions() + finish_instructions(job)
        return Cost(instructions, WORD_BYTES * places.accumulator_words, places.stack_bytes)

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
        return (Piece("mve_fill"), *Tables(job).pieces(), *super().pieces(job))

    def cost(self, job: Job) -> Cost:
        tables = Tables(job)
        instructions = driver_instructions(job) + tables.instructions() + finish_instructions(job)
        return Cost(instructions, tables.scratch_bytes, TABLES_STACK_BYTES)


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
        strip = (Piece("mve_fill"), Piece("mve_copy"), Piece("mve_strip")) if self._strip(job) else ()
        pool = (Piece("mve_fill"),) if job.layer.window.pool != (1, 1) else ()
        return (*strip, *pool, *super().pieces(job))

    def cost(self, job: Job) -> Cost:
        places, strip = self._places(job), self._strip(job)
        height, width = job.output_shape[:2]
        pool = job.layer.window.pool
        pixel = pool[0] * pool[1] * places.instructions() + finish_instructions(job)
        if pool == (1, 1):
            pixel += PIXEL
        else:
            pixel += 2 * -(-places.accumulator_words // LANES) + POOL + pool[0] * (POOL_ROW + pool[1] * POOL_PLACE)
        instructions = (-6 if job.from_caller else -9) + height * ((ROW if width > 1 else 2) + width * pixel)
        scratch_bytes = WORD_BYTES * places.accumulator_words
        if strip:
            row = STRIP_ROW + 3 * -(-job.input_shape[1] * self._pixel_bytes(job) // VECTOR_BYTES)
            instructions += STRIP + 2 * -(-strip.size_bytes // VECTOR_BYTES) + height * (STRIP_CALL + strip.rows * row)
            scratch_bytes += strip.size_bytes
        return Cost(instructions, scratch_bytes, places.stack_bytes)

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
        return min((runs, gathered), key=Places.instructions)

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
