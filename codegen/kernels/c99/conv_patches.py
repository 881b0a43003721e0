"""Convolutions in plain C99: the patch under the kernel, then rows as in a dense layer."""

from signbit.codegen.kernels.base import BITS, BYTES, CArray, Job, Piece, activation_arrays
from signbit.codegen.kernels.c99.loops import ACCUMULATOR_BYTES, PortableKernel, highest_bit_first, pixel_words, places
from signbit.qmodel import integer
from signbit.qmodel.layers import Conv2D
from signbit.qmodel.value import WORD_BYTES, size_of, words_of


class ConvPatches(PortableKernel):
    """Copies the patch under the kernel, with its padding, then goes row by row as a dense layer does."""

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
        return (
            (Piece("c99/bits_row"), Piece("c99/bits_patch"))
            if job.one_bit_inputs
            else (Piece("c99/row"), Piece("c99/patch"))
        )

    def finishes(self, job: Job) -> bool:
        return job.layer.window.pool != (1, 1)

    def scratch_bytes(self, job: Job) -> int:
        acc_bytes = ACCUMULATOR_BYTES * job.neurons if self.finishes(job) else 0
        return WORD_BYTES * self._patch_words(job) + acc_bytes

    def loop_terms(self, job: Job) -> dict[str, int]:
        height, width = job.layer.kernel
        count = places(job)
        rows = count * len(job.rows)
        kind = "bits" if job.one_bit_inputs else "values"
        per_row = self._patch_words(job) if job.one_bit_inputs else job.layer.fan_in
        return {
            f"{kind} place": count,
            f"{kind} pixel": count * height * width,
            f"{kind} patch": count * per_row,
            f"{kind} row": rows,
            f"{kind} weight": rows * per_row,
            "pool row": rows if self.finishes(job) else 0,
        }

    def _patch_words(self, job: Job) -> int:
        height, width = job.layer.kernel
        if job.one_bit_inputs:
            return height * width * integer.words_for(job.input_shape[-1])
        return words_of(job.layer.fan_in)


KERNELS = (ConvPatches(),)
