"""Convolutions on Cortex-M4, M7 and M33: each mask serves two pixels, each word of inputs two rows of weights."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from signbit.codegen.kernels import dsp_assembly as assembly
from signbit.codegen.kernels.base import BYTES, CArray, Cost, Job, Kernel, Piece, activation_arrays
from signbit.codegen.kernels.dsp_dense import (
    CHUNKS_MAX,
    adjacent_rows,
    clamp_instructions,
    finish_instructions,
    full_scale,
    mask_instructions,
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
STACK_BYTES = 40
FIXED_ARGUMENTS = 5
"""Arguments of the assembly of a pooled pixel, before the inputs of its places."""

PATCH_INSTRUCTIONS = 18


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

    def instructions(self, mask: int) -> int:
        """Instructions of the loop over all inputs of two pixels, for two rows."""
        step_count = self.runs * self.steps
        pair_loads = 2 * self.runs * (-(-self.steps // 2))
        moves = self.runs if self.iterations > 1 else self.runs - 1
        iteration = step_count * TILE_ROWS * (mask + 2) + pair_loads + self.words
        iteration += 0 if self.advances_in_load else moves * self._move_instructions()
        return self.iterations * (iteration + (2 if self.iterations > 1 else 0))

    def _move_instructions(self) -> int:
        return 2 if abs(self.advance_bytes) <= OFFSET_MAX else 3


class DspConv(Kernel):
    """USADA8 adds |x - mask| over four lanes, for tiles of two pixels and two rows of weights.

    The sums are those of `dsp_dense`, fused with max-pool and activation.

    Inputs in the arena with a multiple of four channels and no padding are read in place.  All others are
    copied, pixel by pixel, into patches: what the kernel sees, shifted, in order.
    """

    name = "dsp_conv"
    targets = CORTEX_DSP
    layer = Conv2D
    reads = BYTES

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

    def _assembly(self, job: Job) -> str:
        """Two pixels, or a pooled one, all outputs."""
        common = self.walk(job), full_scale(job), job.planes, job.neurons
        places, pixels = size_of(job.layer.window.pool), size_of(job.output_shape[:2])
        if places == 1:
            return assembly.pixels(*common, min(2, pixels), job.layer.activation)
        return assembly.pooled(*common, -(-places // 2), job.layer.activation)

    def _patch_assembly(self, job: Job) -> str:
        height, width = job.layer.kernel
        _, in_width, channels = job.input_shape
        aligned = not job.from_caller and channels % 4 == 0
        return assembly.patch(height, width * channels, in_width * channels, job.input_shift, aligned)

    def pieces(self, job: Job) -> tuple[Piece, ...]:
        return (Piece("dsp_edge"),) if any(job.layer.window.padding) else ()

    def finishes(self, job: Job) -> bool:
        return isinstance(job.layer.activation, Sign)

    def cost(self, job: Job) -> Cost:
        pixels, places = size_of(job.output_shape[:2]), job.layer.window.pool[0] * job.layer.window.pool[1]
        pairs = -(-places // 2)
        tiles = -(-job.planes * job.neurons // TILE_ROWS)
        a_pass = self.walk(job).instructions(mask_instructions(job)) + 5 + 4 * (job.planes - 1)
        if places == 1:
            groups = -(-pixels // 2)
            tile = a_pass + self._outputs(job, 2) + 3
            group = 45 + tiles * tile
        else:
            groups = pixels
            neurons = TILE_ROWS // job.planes
            a_pass += 1 + 3 * neurons + (5 + 3 * neurons if pairs > 1 else 0)
            passes = pairs * a_pass + 4 * (pairs - 1)
            group = 40 + 9 * places + tiles * (passes + self._outputs(job, 1) + (4 if pairs > 1 else 1))
        instructions = groups * group + pixels * finish_instructions(job) + self._patch_instructions(job)
        sums = (2 if places == 1 else 1) * job.neurons if self.finishes(job) else 0
        scratch_bytes = self._patch_bytes(job) * self._patches(job) + 4 * sums
        return Cost(instructions, scratch_bytes, STACK_BYTES)

    def _outputs(self, job: Job, pixels: int) -> int:
        """Finish a tile: its outputs for one or two pixels."""
        activation = job.layer.activation
        neurons = TILE_ROWS // job.planes
        odd = 3 if neurons == 2 and job.neurons % 2 else 0
        if isinstance(activation, Sign):
            return odd + 2 + neurons * pixels
        each = 2 + (clamp_instructions(activation.high) if isinstance(activation, Requantize) else 0)
        return odd + 4 + neurons * (2 + pixels * each)

    def _patch_instructions(self, job: Job) -> float:
        """Copies of what the kernel sees, inside the image and over its edge."""
        if self._direct(job):
            return 0
        height, width = job.layer.kernel
        channels = job.input_shape[2]
        words = self._patch_bytes(job) // 4
        once = 3 * words * self._patches(job) if 4 * words > job.layer.fan_in else 0
        inside = PATCH_INSTRUCTIONS + height * self._copy_instructions(job)
        window, total = job.layer.window, 0.0
        rows = self._seen(job.input_shape[0], height, window.padding[0], window.stride[0], self._places(job, 0))
        columns = self._seen(job.input_shape[1], width, window.padding[2], window.stride[1], self._places(job, 1))
        for seen_rows, row_count in Counter(rows).items():
            for seen_columns, column_count in Counter(columns).items():
                run_bytes = seen_columns * channels
                run = 13 + 6 * (run_bytes // 4) + 5 * (run_bytes % 4)
                edge = 52 + 3 * words + 5 * height + (seen_rows * run if run_bytes else 0)
                whole = (seen_rows, seen_columns) == (height, width)
                total += row_count * column_count * (inside if whole else edge)
        pixels = size_of(job.output_shape[:2])
        again = 2 - pixels if pixels == 1 else pixels % 2
        return once + total * (1 if job.layer.window.pool != (1, 1) else 1 + again / pixels)

    def _copy_instructions(self, job: Job) -> int:
        """One row of a patch."""
        run_bytes = job.layer.kernel[1] * job.input_shape[2]
        if not job.from_caller and job.input_shape[2] % 4 == 0:
            return 2 * -(-run_bytes // 32) + 1
        each = 3 if job.input_shift else 2
        return each * (run_bytes // 4 + run_bytes % 4 // 2 + run_bytes % 2) + 1

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
