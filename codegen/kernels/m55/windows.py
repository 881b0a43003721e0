"""Kernels for Cortex-M55, with Helium (MVE)."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

from signbit.codegen.kernels.base import CArray, Job, Piece, activation_arrays
from signbit.codegen.kernels.listing import Run
from signbit.codegen.kernels.m55 import assembly
from signbit.codegen.kernels.m55.bit_places import BitPlaces
from signbit.codegen.kernels.m55.channel_places import ChannelPlaces
from signbit.codegen.kernels.m55.outputs import HeliumKernel
from signbit.codegen.kernels.m55.places import Places
from signbit.qmodel.value import WORD_BYTES, size_of

COPY = Piece("m55/copy", values={"listing": assembly.copy})


@dataclass(frozen=True)
class Strip:
    """The rows of a padded image that one row of outputs needs, copied into the scratch between pixels of padding."""

    rows: int
    pitch_bytes: int

    @property
    def size_bytes(self) -> int:
        return self.rows * self.pitch_bytes


class Windows(HeliumKernel):
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
        strip = (assembly.FILL, COPY, Piece("m55/strip")) if self._strip(job) else ()
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
