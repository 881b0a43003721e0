"""Kernels for Cortex-M0 and M0+ (ARMv6-M): convolutions."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from signbit.codegen.kernels import armv6m_conv_assembly as assembly
from signbit.codegen.kernels.armv6m_shared import FinishingKernel, finish_instructions
from signbit.codegen.kernels.base import BYTES, CArray, Cost, Job, Piece, activation_arrays, is_hidden, output_step
from signbit.qmodel.activations import Sign
from signbit.qmodel.layers import Conv2D
from signbit.qmodel.value import WORD_BYTES, size_of

CAPACITY = {1: 6, 2: 12, 3: 16, 4: 20}
"""Inputs whose tables fit into 256 bytes, by the number of groups."""
ACCUMULATOR_BYTES_MAX = 2048
"""Above, the outputs are cut into tiles."""
# instructions of the C around the assembly, as gcc -O2 compiles it
PIXEL, PIXEL_PADDED, ROW, ROW_TAP = 14, 10, 40, 20
PLACE, PLACE_POOLED, FINISH = 3, 25, 8
WINDOW, WINDOW_PADDED, COPY, COPY_INPUT = 16, 8, 10, 36


@dataclass(frozen=True)
class Layout:
    """How a job's channels and outputs are cut.

    Units of `unit_inputs` channels, in groups of `sizes`; tiles of `neurons` outputs, whose one-bit rows are filled up
    to `rows`, a multiple of 4.  `slots` is the number of output rows whose accumulators are in memory.
    """

    units: int
    sizes: tuple[int, ...]
    neurons: int
    rows: int
    slots: int
    accumulator_words: int

    @property
    def unit_inputs(self) -> int:
        return sum(self.sizes)

    @property
    def table_bytes(self) -> int:
        return _table_bytes(self.sizes)


class ConvTables(FinishingKernel):
    """Tables of all sums over groups of a pixel's channels, used by all taps of the kernel."""

    name = "m0_conv"
    layer = Conv2D
    reads = BYTES
    KERNEL_WIDTH_MAX: ClassVar[int] = 5

    def fits(self, job: Job) -> bool:
        return job.layer.kernel[1] <= self.KERNEL_WIDTH_MAX and 4 * _layout(job).rows < 2**16

    def arrays(self, job: Job) -> tuple[CArray, ...]:
        cut = _layout(job)
        height, width = job.layer.kernel
        channels = job.input_shape[2]
        planes = (job.rows > 0).reshape(job.planes, job.neurons, height, width, channels)
        parts = []
        for start in range(0, job.neurons, cut.neurons):
            tile = planes[:, start : start + cut.neurons].reshape(-1, height, width, channels)
            filled = np.zeros((cut.rows, height, width, cut.units * cut.unit_inputs), np.int64)
            filled[: len(tile), :, :, :channels] = tile
            parts.append(_offsets(filled, cut))
        constant = self._constant(job, cut)
        weights = CArray("weights", "uint8_t", np.concatenate(parts).astype(np.uint8))
        return (weights, *activation_arrays(job, -constant))

    def values(self, job: Job) -> dict[str, Any]:
        cut = _layout(job)
        height, width, channels = job.input_shape
        kernel_height, kernel_width = job.layer.kernel
        window = job.layer.window
        rows, columns = _places(job)
        unit_inputs, groups = cut.unit_inputs, len(cut.sizes)
        row_bytes = cut.units * cut.rows * kernel_width * groups
        first_column = -window.padding[2]
        last_from = (rows - 1) * window.stride[0]
        end_column = (columns - 1) * window.stride[1] + kernel_width - window.padding[2]
        column = "column" if end_column - first_column > 1 else str(first_column)
        top, bottom = window.padding[0], window.padding[0] + height
        inside = {
            f"row >= {top}": top,
            f"row < {bottom}": last_from + kernel_height > bottom,
            f"{column} >= 0": first_column < 0,
            f"{column} < {width}": end_column > width,
        }
        tiles = -(-job.neurons // cut.neurons)
        unit_piece, column_piece = self._functions(job)
        return {
            "unit": unit_piece.symbol,
            "column": column_piece.symbol,
            "units": cut.units,
            "unit_inputs": unit_inputs,
            "inputs": cut.units * unit_inputs,
            "unit_places": [(unit * unit_inputs, unit * cut.table_bytes) for unit in range(cut.units)],
            "groups": groups,
            "last_group": groups - 1,
            "starts": [sum(cut.sizes[:group]) for group in range(groups)],
            "bases": cut.units * (2 * kernel_width - 1),
            "bases_per_unit": 2 * kernel_width - 1,
            "table_bytes": cut.table_bytes,
            "slot_bytes": cut.units * cut.table_bytes,
            "last_slot": kernel_width - 1,
            "table_words": self._table_bytes(job, cut) // WORD_BYTES,
            "constant": self._constant(job, cut),
            "tiles": tiles,
            "tile_struct": tiles > 1 and is_hidden(job),
            "tile_bytes": kernel_height * row_bytes,
            "neurons": cut.neurons,
            "rows": cut.rows,
            "slots": cut.slots,
            "pixel_bytes": WORD_BYTES * cut.rows,
            "row_words": columns * cut.rows,
            "map_words": cut.slots * columns * cut.rows,
            "row_bytes": row_bytes,
            "blocks": cut.rows // 4,
            "block_bytes": 4 * kernel_width * groups,
            "targets": -(-kernel_height // window.stride[0]),
            "last_tap_row": kernel_height - 1,
            "last_from": last_from,
            "image_rows": last_from + kernel_height,
            "image_row_bytes": width * channels,
            "kernel_row_inputs": kernel_width * channels,
            "left_bytes": window.padding[2] * channels,
            "first_column": first_column,
            "end_column": end_column,
            "columns_read": end_column - first_column,
            "pixels": size_of(job.output_shape[:2]),
            "places": size_of(window.pool),
            "exact": cut.units * unit_inputs == channels and not job.input_shift,
            "inside": " && ".join(condition for condition, is_needed in inside.items() if is_needed),
        }

    def pieces(self, job: Job) -> tuple[Piece, ...]:
        return (*super().pieces(job), Piece("m0_clear"), *_shared(job), *self._functions(job))

    def _functions(self, job: Job) -> tuple[Piece, Piece]:
        cut = _layout(job)
        return _unit_piece("m0_unit", cut.sizes, _constant_shift(job)), _column_piece(
            "m0_column", job.layer.kernel[1], cut.units, len(cut.sizes)
        )

    def cost(self, job: Job) -> Cost:
        cut = _layout(job)
        scratch = self._table_bytes(job, cut) + WORD_BYTES * cut.accumulator_words
        return Cost(_instructions(job, cut), scratch, stack_bytes=60)

    def _table_bytes(self, job: Job, cut: Layout) -> int:
        return job.layer.kernel[1] * cut.units * cut.table_bytes

    def _constant(self, job: Job, cut: Layout) -> int:
        """The excess in the accumulators."""
        return job.layer.kernel[0] * job.layer.kernel[1] * cut.units * (2 << _constant_shift(job))


def _shared(job: Job) -> tuple[Piece, ...]:
    pool = (Piece("m0_pool"),) if job.layer.window.pool != (1, 1) else ()
    return (*pool, Piece("m0_target"))


def _unit_piece(name: str, sizes: tuple[int, ...], constant_shift: int, shift: int = 0) -> Piece:
    symbol = "_".join(map(str, (name, *sizes, constant_shift, *(["shifted"] * shift))))
    return Piece("m0_conv_unit", symbol, {"sizes": sizes, "assembly": assembly.unit(sizes, shift, constant_shift)})


def _column_piece(name: str, taps: int, units: int, groups: int, fresh: bool = False) -> Piece:
    text = assembly.column(taps, units, groups, fresh, _is_far(taps * groups, taps))
    values = {"fresh": fresh, "taps": taps, "units": units, "groups": groups, "assembly": text}
    return Piece("m0_conv_column", f"{name}_{taps}_{units}_{groups}", values)


def _constant_shift(job: Job) -> int:
    """2 << this is added to the sums of a unit, and never less than the sum of its inputs."""
    return 11 if 20 * job.input.high <= 4096 else 12


def _table_bytes(sizes: tuple[int, ...]) -> int:
    return sum(2 ** (size + 1) for size in sizes)


def _is_far(lookups: int, taps: int) -> bool:
    """Whether a block's code is too long for a conditional branch over it."""
    return 12 * lookups + taps > 115


def _unit(sizes: tuple[int, ...], shift: int = 0) -> int:
    """Instructions to make the tables of a unit."""
    others = len(sizes) - 1
    return 10 + sum(_table(size) + size * shift for size in sizes) + others * 4 + (5 if others else 0)


def _table(size: int) -> int:
    """Instructions to write one table, beside those that every unit has once."""
    return 2 * size + 3 + 5 * 2 ** (size - 3) + (1 if size >= 5 else 0) + (5 if size == 6 else 0) + size - 3


def _block(lookups: int, taps: int) -> int:
    """Instructions to add the tables of some taps to 4 accumulators."""
    return 5 + taps + 12 * lookups + -(-lookups // 8) + _is_far(lookups, taps)


def _layout(job: Job) -> Layout:
    units, sizes = min(
        (_units(job.input_shape[2], groups) for groups in CAPACITY),
        key=lambda option: _priority(job, *option),
    )
    columns = _places(job)[1]
    slots = max(1, -(-(job.layer.kernel[0] - 1) // job.layer.window.stride[0]))
    tiles = 1
    while True:
        neurons = -(-job.neurons // tiles)
        if tiles > 1:
            neurons = -(-neurons // 4) * 4
        filled = -(-neurons * job.planes // 4) * 4
        pooled = job.output_shape[1] * neurons if job.layer.window.pool != (1, 1) else 0
        words = slots * columns * filled + pooled
        small = WORD_BYTES * words <= ACCUMULATOR_BYTES_MAX or neurons <= 8
        if small or isinstance(job.layer.activation, Sign):
            return Layout(units, sizes, neurons, filled, slots, words)
        tiles += 1


def _priority(job: Job, units: int, sizes: tuple[int, ...]) -> float:
    """Instructions for 4 rows and one row of the kernel, with about their share of the tables."""
    width = job.layer.kernel[1]
    return units * (_block(width * len(sizes), width) + _unit(sizes) / 40)


def _units(channels: int, groups: int) -> tuple[int, tuple[int, ...]]:
    """Number of units with at most so many groups each, and the groups' sizes, at least 3 inputs each."""
    units = -(-channels // CAPACITY[groups])
    inputs = -(-channels // units)
    used = min(count for count in CAPACITY if CAPACITY[count] >= inputs)
    inputs = max(inputs, 3 * used)
    return units, tuple(inputs // used + (group < inputs % used) for group in range(used))


def _places(job: Job) -> tuple[int, int]:
    """Rows and columns of accumulators that the outputs need."""
    pool = job.layer.window.pool
    return job.output_shape[0] * pool[0], job.output_shape[1] * pool[1]


def _offsets(rows: np.ndarray, cut: Layout) -> np.ndarray:
    """Bytes of weights of a tile: rows (rows, height, width, units * unit_inputs) of bits, 1 for +1."""
    count, height, width, _ = rows.shape
    bits = rows.reshape(count, height, width, cut.units, cut.unit_inputs)
    groups, start, base = [], 0, 0
    for size in cut.sizes:
        groups.append(base + 2 * (bits[..., start : start + size] @ (1 << np.arange(size))))
        start, base = start + size, base + 2 ** (size + 1)
    blocks = np.stack(groups, axis=-1).reshape(count // 4, 4, height, width, cut.units, len(cut.sizes))
    return blocks.transpose(2, 4, 0, 3, 5, 1).reshape(-1)


def _instructions(job: Job, cut: Layout) -> float:
    height, width = job.layer.kernel
    stride_y, stride_x = job.layer.window.stride
    rows, columns = _places(job)
    pool_height, pool_width = job.layer.window.pool
    tiles = -(-job.neurons // cut.neurons)
    input_rows, input_columns = (rows - 1) * stride_y + height, (columns - 1) * stride_x + width
    exact = cut.units * cut.unit_inputs == job.input_shape[2] and not job.input_shift
    padded = any(job.layer.window.padding)
    copied = 0 if exact else 10 * cut.units * cut.unit_inputs
    pixel = cut.units * (_unit(cut.sizes) + 6) + PIXEL + PIXEL_PADDED * padded + copied
    block = _block(width * len(cut.sizes), width)
    units = (7 + 2 * width) * (cut.units > 1) + (12 + 2 * width) * (cut.units - 1)
    target = 14 + units + cut.units * cut.rows // 4 * block
    call = 20 + 2 * width + 2 * width * (cut.units == 1)
    place = rows * columns * (PLACE + call + 3 * cut.rows / 4)
    if (pool_height, pool_width) != (1, 1):
        place += rows * columns * (7.5 * job.neurons / tiles + PLACE_POOLED)
    # on rows that both finish an output row and serve others, the column is added in two calls
    calls = columns * (input_rows - (input_rows - rows) / 2) if height > 1 else 0
    return tiles * (
        input_rows * (input_columns * pixel + ROW + ROW_TAP * height)
        + rows * columns * height * target
        + place
        + calls * call
        + rows * columns / (pool_height * pool_width) * (finish_instructions(job) / tiles + FINISH)
        + 0.75 * cut.accumulator_words
    )


class ConvWindows(FinishingKernel):
    """Tables of the inputs under each row of the kernel, for few channels."""

    name = "m0_conv_window"
    layer = Conv2D
    reads = BYTES
    TAPS_MAX: ClassVar[int] = 5

    def fits(self, job: Job) -> bool:
        height, width = job.layer.kernel
        return height <= self.TAPS_MAX and width * job.input_shape[2] <= max(CAPACITY.values())

    def arrays(self, job: Job) -> tuple[CArray, ...]:
        sizes, rows = self._cut(job)
        height = job.layer.kernel[0]
        bits = np.zeros((rows, 1, height, sum(sizes)), np.int64)
        bits[: len(job.rows), 0, :, : job.layer.fan_in // height] = (job.rows > 0).reshape(len(job.rows), height, -1)
        offsets = _offsets(bits, Layout(1, sizes, job.neurons, rows, 0, 0))
        weights = CArray("weights", "uint8_t", offsets.astype(np.uint8))
        return (weights, *activation_arrays(job, -self._constant(job)))

    def values(self, job: Job) -> dict[str, Any]:
        sizes, rows = self._cut(job)
        _, width, channels = job.input_shape
        height, kernel_width = job.layer.kernel
        window = job.layer.window
        places = _places(job)
        row_inputs = kernel_width * channels
        always_copies = row_inputs < sum(sizes)
        unit_piece, column_piece = self._functions(job)
        return {
            "unit": unit_piece.symbol,
            "column": column_piece.symbol,
            "unit_inputs": sum(sizes),
            "row_inputs": row_inputs,
            "groups": len(sizes),
            "last_group": len(sizes) - 1,
            "starts": [sum(sizes[:group]) for group in range(len(sizes))],
            "bases": 2 * height - 1,
            "table_bytes": _table_bytes(sizes),
            "last_slot": height - 1,
            "table_words": height * _table_bytes(sizes) // WORD_BYTES,
            "constant": self._constant(job),
            "rows": rows,
            "pixel_bytes": WORD_BYTES * rows,
            "block_bytes": 4 * height * len(sizes),
            "columns": places[1],
            "row_count": places[0],
            "first_row": -window.padding[0],
            "end_row": (places[0] - 1) * window.stride[0] + height - window.padding[0],
            "last_side": width - kernel_width,
            "top_bytes": window.padding[0] * width * channels,
            "image_row_bytes": width * channels,
            "last_pool_column": window.pool[1] - 1,
            "output_row_step": job.output_shape[1] * output_step(job),
            "copies": any(window.padding) or always_copies,
            "always_copies": always_copies,
        }

    def pieces(self, job: Job) -> tuple[Piece, ...]:
        return (*super().pieces(job), *_shared(job), *self._functions(job))

    def _functions(self, job: Job) -> tuple[Piece, Piece]:
        sizes, _ = self._cut(job)
        return _unit_piece("m0_window", sizes, _constant_shift(job), job.input_shift), _column_piece(
            "m0_rows", job.layer.kernel[0], 1, len(sizes), fresh=True
        )

    def cost(self, job: Job) -> Cost:
        sizes, rows = self._cut(job)
        window = job.layer.window
        height = job.layer.kernel[0]
        places = _places(job)
        pooled = job.output_shape[0] * job.neurons if window.pool != (1, 1) else 0
        scratch = height * _table_bytes(sizes) + WORD_BYTES * (rows + pooled)
        built = places[1] * ((places[0] - 1) * window.stride[0] + height)
        block = 2 + _block(height * len(sizes), height)
        always = job.layer.fan_in // height < sum(sizes)
        copied = built if always else self._border_windows(job)
        instructions = (
            built * (_unit(sizes, job.input_shift) + WINDOW + WINDOW_PADDED * any(window.padding))
            + copied * (COPY + COPY_INPUT * sum(sizes))
            + places[0] * places[1] * (23 + 4 * height + rows // 4 * block)
            + (places[0] * places[1] * (7.5 * job.neurons + PLACE_POOLED) if pooled else 0)
            + job.output_shape[0] * job.output_shape[1] * (finish_instructions(job) + FINISH)
            + 30 * places[1]
        )
        return Cost(instructions, scratch, stack_bytes=60)

    @staticmethod
    def _border_windows(job: Job) -> int:
        """Windows that are not wholly inside the image."""
        rows, columns = _places(job)
        top, _, left, _ = job.layer.window.padding
        stride_y, stride_x = job.layer.window.stride
        height, width = job.layer.kernel
        ys = np.arange((rows - 1) * stride_y + height) - top
        xs = np.arange(columns) * stride_x - left
        inside_y = ((ys >= 0) & (ys < job.input_shape[0])).sum()
        inside_x = ((xs >= 0) & (xs + width <= job.input_shape[1])).sum()
        return int(len(ys) * len(xs) - inside_y * inside_x)

    @staticmethod
    def _cut(job: Job) -> tuple[tuple[int, ...], int]:
        """Sizes of the groups in a kernel's row, and the one-bit rows, padded to a multiple of 4."""
        inputs = job.layer.kernel[1] * job.input_shape[2]
        groups = min(count for count in CAPACITY if CAPACITY[count] >= inputs)
        return _units(inputs, groups)[1], -(-len(job.rows) // 4) * 4

    @staticmethod
    def _constant(job: Job) -> int:
        return job.layer.kernel[0] * (2 << _constant_shift(job))


CONV_KERNELS = (ConvTables(), ConvWindows())
