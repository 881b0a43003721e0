"""Kernels in plain C99, one for every kind of layer: the fallback on each core, and all there is elsewhere."""

from typing import ClassVar

import numpy as np

from codegen.kernels.base import WORD_BYTES, CArray, Cost, Job, Kernel, activation_arrays
from codegen.targets import EVERY_TARGET, PORTABLE
from qmodel import integer
from qmodel.layers import AveragePool, Conv2D, Dense, DepthwiseConv2D, size_of

ACCUMULATOR_BYTES = 4


def pixel_words(job: Job) -> np.ndarray:
    """Rows for one-bit inputs: each pixel's channels begin a new word, as the inputs do -- SPEC 5."""
    channels = job.input_shape[-1]
    pixels = job.rows.reshape(len(job.rows), -1, channels)
    return integer.pack_last_axis(pixels).reshape(len(job.rows), -1)


def highest_bit_first(rows: np.ndarray) -> np.ndarray:
    """Rows packed so that a row's first weight is the highest bit of its first word."""
    bits = np.zeros((len(rows), integer.words_for(rows.shape[1]) * integer.WORD_BITS), np.uint8)
    bits[:, : rows.shape[1]] = rows < 0
    return np.packbits(bits, axis=1).view(">u4").astype(np.uint32)


class PortableKernel(Kernel):
    """Loops that every C99 compiler takes; instructions a MAC as compiled by gcc -O2."""

    targets = EVERY_TARGET
    instructions_a_mac: ClassVar[float]

    def _instructions(self, job: Job) -> float | None:
        return None if job.target == PORTABLE else self.instructions_a_mac * job.macs * job.planes

    def cost(self, job: Job) -> Cost:
        return Cost(self._instructions(job))


class DenseRows(PortableKernel):
    """Row by row, one bit of weight at a time."""

    name = "dense_rows"
    instructions_a_mac = 6.0

    def fits(self, job: Job) -> bool:
        return isinstance(job.layer, Dense) and not job.one_bit_inputs

    def arrays(self, job: Job) -> tuple[CArray, ...]:
        weights = CArray("weights", "uint32_t", highest_bit_first(job.rows).reshape(-1))
        return (weights, *activation_arrays(job))

    def values(self, job: Job) -> dict[str, int]:
        return {"row_words": integer.words_for(job.layer.fan_in)}

    def pieces(self, job: Job) -> tuple[str, ...]:
        return ("row",)


class ConvPatches(PortableKernel):
    """Copies the patch under the kernel, with its padding, then goes row by row as a dense layer does."""

    name = "conv_patches"
    instructions_a_mac = 6.0

    def fits(self, job: Job) -> bool:
        return isinstance(job.layer, Conv2D)

    def arrays(self, job: Job) -> tuple[CArray, ...]:
        words = pixel_words(job) if job.one_bit_inputs else highest_bit_first(job.rows)
        return (CArray("weights", "uint32_t", words.reshape(-1)), *activation_arrays(job))

    def values(self, job: Job) -> dict[str, int]:
        height, width = job.layer.kernel
        channels = job.input_shape[-1]
        words_a_pixel = integer.words_for(channels)
        return {
            "row_words": height * width * words_a_pixel if job.one_bit_inputs else integer.words_for(job.layer.fan_in),
            "patch_words": self._patch_words(job),
            "pixel_words": words_a_pixel,
            "last_word_mask": (1 << (channels - 32 * (words_a_pixel - 1))) - 1,
        }

    def pieces(self, job: Job) -> tuple[str, ...]:
        return ("bits_row", "bits_patch") if job.one_bit_inputs else ("row", "patch")

    def finishes(self, job: Job) -> bool:
        return job.layer.window.pool != (1, 1)

    def cost(self, job: Job) -> Cost:
        acc_bytes = ACCUMULATOR_BYTES * job.neurons if self.finishes(job) else 0
        return Cost(self._instructions(job), WORD_BYTES * self._patch_words(job) + acc_bytes)

    def _patch_words(self, job: Job) -> int:
        height, width = job.layer.kernel
        if job.one_bit_inputs:
            return height * width * integer.words_for(job.input_shape[-1])
        return -(-job.layer.fan_in // WORD_BYTES)


class DenseBits(PortableKernel):
    """One-bit weights times one-bit inputs, 32 at a time: acc = n - 2 * popcount(weights ^ inputs)."""

    name = "dense_bits"
    instructions_a_mac = 0.6

    def fits(self, job: Job) -> bool:
        return isinstance(job.layer, Dense) and job.one_bit_inputs

    def arrays(self, job: Job) -> tuple[CArray, ...]:
        return (CArray("weights", "uint32_t", pixel_words(job).reshape(-1)), *activation_arrays(job))

    def values(self, job: Job) -> dict[str, int]:
        return {"row_words": size_of(job.input_shape[:-1]) * integer.words_for(job.input_shape[-1])}

    def pieces(self, job: Job) -> tuple[str, ...]:
        return ("bits_row",)


class DepthwiseTaps(PortableKernel):
    """Channel by channel, tap by tap."""

    name = "depthwise_taps"
    instructions_a_mac = 15.0

    def fits(self, job: Job) -> bool:
        return isinstance(job.layer, DepthwiseConv2D)

    def arrays(self, job: Job) -> tuple[CArray, ...]:
        weights = CArray("weights", "uint32_t", integer.pack_bits(job.rows).reshape(-1))
        return (weights, *activation_arrays(job))

    def values(self, job: Job) -> dict[str, int]:
        return {
            "row_words": integer.words_for(job.layer.fan_in),
            "pixel_words": integer.words_for(job.input_shape[-1]),
        }


class AveragePoolSums(PortableKernel):
    """Sums each window, channel by channel."""

    name = "average_pool"
    instructions_a_mac = 8.0

    def fits(self, job: Job) -> bool:
        return isinstance(job.layer, AveragePool)

    def arrays(self, job: Job) -> tuple[CArray, ...]:
        return ()

    def values(self, job: Job) -> dict[str, int]:
        return {"multiplier": int(job.layer.activation.multiplier[0])}


KERNELS = (DenseRows(), ConvPatches(), DenseBits(), DepthwiseTaps(), AveragePoolSums())
