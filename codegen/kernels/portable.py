"""Kernels in plain C99, one for every kind of layer: the fallback on each core, and the only ones elsewhere."""

from abc import abstractmethod

import numpy as np

from signbit.codegen.kernels.base import BITS, BYTES, CArray, Job, Kernel, Piece, activation_arrays
from signbit.codegen.kernels.targets import EVERY_TARGET
from signbit.qmodel import integer
from signbit.qmodel.layers import AveragePool, Conv2D, Dense, DepthwiseConv2D
from signbit.qmodel.value import WORD_BYTES, size_of

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
    """Loops that every C99 compiler takes.

    Their instructions are the compiler's business, so they are predicted from `terms`, counts of what the loops
    do, with coefficients that were measured.
    """

    targets = EVERY_TARGET

    @abstractmethod
    def loop_terms(self, job: Job) -> dict[str, int]:
        """How often each part of the loops runs in one inference."""

    def terms(self, job: Job) -> dict[str, int]:
        """All that instructions are predicted from: the loops, and an output by its activation's kind."""
        return {"call": 1, job.layer.activation.kind: size_of(job.output_shape), **self.loop_terms(job)}


class DenseRows(PortableKernel):
    """Row by row, one bit of weight at a time."""

    name = "dense_rows"
    layer = Dense
    reads = BYTES

    def arrays(self, job: Job) -> tuple[CArray, ...]:
        weights = CArray("weights", "uint32_t", highest_bit_first(job.rows).reshape(-1))
        return (weights, *activation_arrays(job))

    def values(self, job: Job) -> dict[str, int]:
        row_words = integer.words_for(job.layer.fan_in)
        return {"row_words": row_words, "plane_words": job.neurons * row_words}

    def pieces(self, job: Job) -> tuple[Piece, ...]:
        return (Piece("row"),)

    def loop_terms(self, job: Job) -> dict[str, int]:
        rows = len(job.rows)
        return {
            "input": job.layer.fan_in,
            "row": rows,
            "word": rows * integer.words_for(job.layer.fan_in),
            "weight": rows * job.layer.fan_in,
        }


class ConvPatches(PortableKernel):
    """Copies the patch under the kernel, with its padding, then goes row by row as a dense layer does."""

    name = "conv_patches"
    layer = Conv2D
    reads = BYTES | BITS

    def arrays(self, job: Job) -> tuple[CArray, ...]:
        words = pixel_words(job) if job.one_bit_inputs else highest_bit_first(job.rows)
        return (CArray("weights", "uint32_t", words.reshape(-1)), *activation_arrays(job))

    def values(self, job: Job) -> dict[str, int]:
        height, width = job.layer.kernel
        channels = job.input_shape[-1]
        words_per_pixel = integer.words_for(channels)
        row_words = height * width * words_per_pixel if job.one_bit_inputs else integer.words_for(job.layer.fan_in)
        return {
            "row_words": row_words,
            "plane_words": job.neurons * row_words,
            "patch_words": self._patch_words(job),
            "places": size_of(job.layer.window.pool),
            "shape": (*job.input_shape[:2], words_per_pixel if job.one_bit_inputs else channels, height, width),
            "last_word_mask": (1 << (channels - 32 * (words_per_pixel - 1))) - 1,
        }

    def pieces(self, job: Job) -> tuple[Piece, ...]:
        return (Piece("bits_row"), Piece("bits_patch")) if job.one_bit_inputs else (Piece("row"), Piece("patch"))

    def finishes(self, job: Job) -> bool:
        return job.layer.window.pool != (1, 1)

    def scratch_bytes(self, job: Job) -> int:
        acc_bytes = ACCUMULATOR_BYTES * job.neurons if self.finishes(job) else 0
        return WORD_BYTES * self._patch_words(job) + acc_bytes

    def loop_terms(self, job: Job) -> dict[str, int]:
        height, width = job.layer.kernel
        places = _places(job)
        rows = places * len(job.rows)
        kind = "bits" if job.one_bit_inputs else "values"
        per_row = self._patch_words(job) if job.one_bit_inputs else job.layer.fan_in
        return {
            f"{kind} place": places,
            f"{kind} pixel": places * height * width,
            f"{kind} patch": places * per_row,
            f"{kind} row": rows,
            f"{kind} weight": rows * per_row,
            "pool row": rows if self.finishes(job) else 0,
        }

    def _patch_words(self, job: Job) -> int:
        height, width = job.layer.kernel
        if job.one_bit_inputs:
            return height * width * integer.words_for(job.input_shape[-1])
        return -(-job.layer.fan_in // WORD_BYTES)


class DenseBits(PortableKernel):
    """One-bit weights times one-bit inputs, 32 at a time: acc = n - 2 * popcount(weights ^ inputs)."""

    name = "dense_bits"
    layer = Dense
    reads = BITS

    def arrays(self, job: Job) -> tuple[CArray, ...]:
        return (CArray("weights", "uint32_t", pixel_words(job).reshape(-1)), *activation_arrays(job))

    def values(self, job: Job) -> dict[str, int]:
        row_words = size_of(job.input_shape[:-1]) * integer.words_for(job.input_shape[-1])
        return {"row_words": row_words, "plane_words": job.neurons * row_words}

    def pieces(self, job: Job) -> tuple[Piece, ...]:
        return (Piece("bits_row"),)

    def loop_terms(self, job: Job) -> dict[str, int]:
        rows = len(job.rows)
        return {"row": rows, "word": rows * self.values(job)["row_words"]}


class DepthwiseTaps(PortableKernel):
    """Channel by channel, tap by tap."""

    name = "depthwise_taps"
    layer = DepthwiseConv2D
    reads = BYTES | BITS

    def arrays(self, job: Job) -> tuple[CArray, ...]:
        weights = CArray("weights", "uint32_t", integer.pack_bits(job.rows).reshape(-1))
        return (weights, *activation_arrays(job))

    def values(self, job: Job) -> dict[str, int]:
        row_words = integer.words_for(job.layer.fan_in)
        return {
            "row_words": row_words,
            "plane_words": job.neurons * row_words,
            "pixel_words": integer.words_for(job.input_shape[-1]),
            "places": size_of(job.layer.window.pool),
        }

    def loop_terms(self, job: Job) -> dict[str, int]:
        windows = _places(job) * job.neurons
        kind = ("bits" if job.one_bit_inputs else "values") + (" ternary" if job.planes == 2 else "")
        return {"window": windows, f"{kind} tap": windows * job.layer.fan_in}


class AveragePoolSums(PortableKernel):
    """Sums each window, channel by channel."""

    name = "average_pool"
    layer = AveragePool
    reads = BYTES
    writes = BYTES

    def values(self, job: Job) -> dict[str, int]:
        _, width, channels = job.input_shape
        pool_height, pool_width = job.layer.size
        return {
            "multiplier": int(job.layer.activation.multiplier[0]),
            "line_bytes": width * channels,
            "row_bytes": pool_height * width * channels,
            "column_bytes": pool_width * channels,
        }

    def loop_terms(self, job: Job) -> dict[str, int]:
        outputs = size_of(job.output_shape)
        return {"row": outputs * job.layer.size[0], "value": outputs * job.layer.fan_in}


def _places(job: Job) -> int:
    """Places of the kernel, pool included."""
    pool_height, pool_width = job.layer.window.pool
    return size_of(job.output_shape[:2]) * pool_height * pool_width


KERNELS = (DenseRows(), ConvPatches(), DenseBits(), DepthwiseTaps(), AveragePoolSums())
