"""Convolutions on Cortex-M4, M7 and M33: each mask serves two pixels, each word of inputs two rows of weights."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from signbit.codegen.kernels.base import BYTES, CArray, Job, Kernel, Piece, activation_arrays
from signbit.codegen.kernels.listing import Listing, Run
from signbit.codegen.kernels.m4 import assembly
from signbit.codegen.kernels.m4.dense import (
    CHUNKS_MAX,
    adjacent_rows,
    finished,
    full_scale,
    pack_steps,
    raw_constant,
)
from signbit.codegen.kernels.targets import CORTEX_DSP
from signbit.qmodel.activations import Requantize, Sign
from signbit.qmodel.layers import Conv2D
from signbit.qmodel.value import size_of

UNROLLED_STEPS = 24
"""A kernel of up to so many words of inputs is unrolled; more go in a loop, a few hundred bytes of code."""

RUN_STEPS_MAX = 100
TILE_ROWS = 2
OFFSET_MAX = 4095
PLACES_MAX = 64
LOAD_OFFSET_MAX = 1020
FIXED_ARGUMENTS = 5
"""Arguments of the assembly of a pooled pixel, before the inputs of its places."""


@dataclass(frozen=True)
class Walk:
    """How the code goes over a pixel's inputs: `iterations` of a loop, in each `runs` runs of `steps` words, and
    from the beginning of one run to that of the next `stride_bytes`."""

    steps: int
    runs: int
    iterations: int
    stride_bytes: int

    @property
    def words(self) -> int:
        """Words of weights in one iteration for two rows."""
        return -(-TILE_ROWS * self.runs * self.steps // 8)

    @property
    def tile_words(self) -> int:
        return self.words * self.iterations

    @property
    def advance_bytes(self) -> int:
        """Bytes from the last load of a run to the next run."""
        return self.stride_bytes - 4 * (self.steps - self.last_words)

    @property
    def last_words(self) -> int:
        return 1 if self.steps % 2 else 2

    @property
    def advances_in_load(self) -> bool:
        return self.last_words == 2 and abs(self.advance_bytes) <= LOAD_OFFSET_MAX

    def masks(self) -> np.ndarray:
        """(row, step) of each mask of an iteration, in order, shape (masks, 2)."""
        order = []
        for run in range(self.runs):
            for first in range(run * self.steps, (run + 1) * self.steps, 2):
                pair = range(first, min(first + 2, (run + 1) * self.steps))
                order += [(row, step) for row in range(TILE_ROWS) for step in pair]
        return np.array(order)

    def pack(self, rows: np.ndarray) -> np.ndarray:
        """Words of two rows of weights."""
        steps = self.steps * self.runs
        padded = np.ones((TILE_ROWS, self.iterations * steps * 4), np.int8)
        padded[:, : rows.shape[1]] = rows
        taken = padded.reshape(TILE_ROWS, self.iterations, steps, 4)
        row, step = self.masks().T
        return np.concatenate([pack_steps(taken[row, iteration, step]) for iteration in range(self.iterations)])


class ConvMasks(Kernel):
    """USADA8 adds |x - mask| over four lanes, for tiles of two pixels and two rows of weights.

    The sums are those of `m4_dense`, fused with max-pool and activation.

    Inputs in the arena with a multiple of four channels and no padding are read in place.  All others are
    copied, pixel by pixel, into patches: what the kernel sees, shifted, in order.
    """

    targets = CORTEX_DSP
    layer = Conv2D
    reads = BYTES

    def swaps(self, job: Job) -> bool:
        return not job.gets_shift  # it is in the code

    def fits(self, job: Job) -> bool:
        height, width = job.layer.window.pool
        if height * width > PLACES_MAX or job.layer.kernel[1] * job.input_shape[2] > OFFSET_MAX:
            return False
        value_bytes = 1 if isinstance(job.layer.activation, Requantize) else 4
        return job.neurons * value_bytes <= OFFSET_MAX and self.walk(job).iterations <= CHUNKS_MAX

    def arrays(self, job: Job) -> tuple[CArray, ...]:
        rows = adjacent_rows(job)
        if len(rows) % TILE_ROWS:
            rows = np.concatenate([rows, np.ones_like(rows[:1])])
        walk = self.walk(job)
        words = [walk.pack(rows[start : start + TILE_ROWS]) for start in range(0, len(rows), TILE_ROWS)]
        weights = CArray("weights", "uint32_t", np.concatenate(words))
        return (weights, *activation_arrays(job, raw_constant(job)))

    def walk(self, job: Job) -> Walk:
        if self._direct(job):
            height, width = job.layer.kernel
            steps, stride = width * job.input_shape[2] // 4, job.input_shape[1] * job.input_shape[2]
            unrolled = height * steps <= UNROLLED_STEPS
            return Walk(steps, height if unrolled else 1, 1 if unrolled else height, stride)
        steps = -(-job.layer.fan_in // 4)
        iterations = -(-steps // UNROLLED_STEPS)
        if iterations > 1:
            steps = -(-steps // (4 * iterations)) * 4
        return Walk(steps, 1, iterations, 4 * steps)

    def values(self, job: Job) -> dict[str, Any]:
        walk, window = self.walk(job), job.layer.window
        in_height, in_width, channels = job.input_shape
        height, width = job.layer.kernel
        places, pixels = size_of(window.pool), size_of(job.output_shape[:2])
        patch_words = self._patch_bytes(job) // 4
        edge = (in_height, in_width, channels, height, width, patch_words, job.input_shift)
        return {
            "full_scale": full_scale(job),
            "direct": self._direct(job),
            "row_step_pixels": window.stride[0] * in_width,
            "row_step_bytes": window.stride[0] * in_width * channels,
            "column_step_bytes": window.stride[1] * channels,
            "edge_shape": edge if any(window.padding) else None,
            "last_top": in_height - height,
            "last_left": in_width - width,
            "patch": self._patch_assembly(job),
            "patch_words": patch_words,
            "patches_words": patch_words * self._patches(job),
            "clears": not self._direct(job) and 4 * patch_words > job.layer.fan_in,
            "sums_at": patch_words * self._patches(job),
            "weight_words": walk.tile_words * -(-job.planes * job.neurons // TILE_ROWS),
            "assembly": self._assembly(job),
            "rows": self._places(job, 0),
            "columns": self._places(job, 1),
            "pixels": pixels,
            "odd_pixels": pixels % 2,
            "last_pixel": pixels - 1,
            "last_pair": pixels - 2,
            "places": places,
            "arguments": FIXED_ARGUMENTS + places + places % 2,
            "pool_places": [
                {"argument": FIXED_ARGUMENTS + number, "row": row, "column": column, "patch": place * patch_words}
                for number, place in enumerate([*range(places), *([places - 1] * (places % 2))])
                for row, column in [divmod(place, window.pool[1])]
            ],
            "steps": walk.steps,
            "tile_words": walk.tile_words,
            "iteration_words": walk.words,
            "iteration_steps": walk.steps * walk.runs,
            "iteration_inputs": 4 * walk.steps * walk.runs,
            "kernel_row_inputs": width * channels,
        }

    def _assembly(self, job: Job) -> Listing:
        """Two pixels, or a pooled one, all outputs."""
        common = self.walk(job), full_scale(job), job.planes, job.neurons
        places, pixels = size_of(job.layer.window.pool), size_of(job.output_shape[:2])
        if places == 1:
            return assembly.pixels(*common, min(2, pixels), job.layer.activation)
        return assembly.pooled(*common, -(-places // 2), job.layer.activation)

    def _patch_assembly(self, job: Job) -> Listing:
        height, width = job.layer.kernel
        _, in_width, channels = job.input_shape
        aligned = not job.from_caller and channels % 4 == 0
        return assembly.patch(height, width * channels, in_width * channels, job.input_shift, aligned)

    def pieces(self, job: Job) -> tuple[Piece, ...]:
        return (Piece("m4/edge", values={"listing": assembly.edge_row}),) if any(job.layer.window.padding) else ()

    def finishes(self, job: Job) -> bool:
        return isinstance(job.layer.activation, Sign)

    def scratch_bytes(self, job: Job) -> int:
        sums = (2 if job.layer.window.pool == (1, 1) else 1) * job.neurons if self.finishes(job) else 0
        return self._patch_bytes(job) * self._patches(job) + 4 * sums

    def runs(self, job: Job) -> list[Run]:
        channels = job.input_shape[2]
        edges = [
            assembly.edge_row.run(times * rows, words=columns * channels // 4, rest=columns * channels % 4)
            for (rows, columns), times in self._seen_places(job).items()
            if columns and (rows, columns) != job.layer.kernel
        ]
        patches = [] if self._direct(job) else [self._patch_assembly(job).run(self._seen_places(job)[job.layer.kernel])]
        return [self._assembly(job).run(self._groups(job)), *patches, *edges]

    def terms(self, job: Job) -> dict[str, float]:
        seen, height = self._seen_places(job), job.layer.kernel[0]
        patch_words, patches = self._patch_bytes(job) // 4, sum(seen.values())
        edges = patches - seen[job.layer.kernel]
        return (
            super().terms(job)
            | finished(job)
            | {
                "group": self._groups(job),
                "patch": patches,
                "argument": self._groups(job) * self.values(job)["arguments"] if job.layer.window.pool != (1, 1) else 0,
                "cleared": patch_words * self._patches(job) if 4 * patch_words > job.layer.fan_in else 0,
                "edge": edges,
                "edge word": edges * patch_words,
                "edge row": edges * height,
                "edge run": sum(times * rows for (rows, _), times in seen.items()) - seen[job.layer.kernel] * height,
            }
        )

    def _groups(self, job: Job) -> int:
        """Pairs of pixels, or pooled pixels."""
        pixels = size_of(job.output_shape[:2])
        return -(-pixels // 2) if job.layer.window.pool == (1, 1) else pixels

    def _seen_places(self, job: Job) -> Counter[tuple[int, int]]:
        """How often a patch is copied, by the rows and columns of the kernel that lie inside the image."""
        if self._direct(job):
            return Counter()
        window, (height, width) = job.layer.window, job.layer.kernel
        rows = self._seen(job.input_shape[0], height, window.padding[0], window.stride[0], self._places(job, 0))
        columns = self._seen(job.input_shape[1], width, window.padding[2], window.stride[1], self._places(job, 1))
        if window.pool == (1, 1):
            pixels = size_of(job.output_shape[:2])
            again = [pixels - 2] * (pixels % 2 and pixels > 1)
            places = [divmod(pixel, len(columns)) for pixel in [*range(pixels), *again]]
        else:
            places = [
                (row + place["row"], column + place["column"])
                for row in range(0, len(rows), window.pool[0])
                for column in range(0, len(columns), window.pool[1])
                for place in self.values(job)["pool_places"]
            ]
        return Counter((rows[row], columns[column]) for row, column in places)

    def _places(self, job: Job, axis: int) -> int:
        return job.output_shape[axis] * job.layer.window.pool[axis]

    def _seen(self, side: int, kernel: int, before: int, stride: int, places: int) -> list[int]:
        """How many of the kernel's rows or columns lie inside the image, for each place."""
        starts = (place * stride - before for place in range(places))
        return [max(0, min(start + kernel, side) - max(start, 0)) for start in starts]

    def _direct(self, job: Job) -> bool:
        channels, window = job.input_shape[2], job.layer.window
        if job.from_caller or any(window.padding) or channels % 4:
            return False
        return job.layer.kernel[1] * channels // 4 <= RUN_STEPS_MAX

    def _patches(self, job: Job) -> int:
        places = job.layer.window.pool[0] * job.layer.window.pool[1]
        return max(2, places)

    def _patch_bytes(self, job: Job) -> int:
        walk = self.walk(job)
        return 0 if self._direct(job) else 4 * walk.steps * walk.iterations


KERNELS = (ConvMasks(),)
