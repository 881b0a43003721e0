"""Kernels for Cortex-M0 and M0+ (ARMv6-M): convolutions."""

from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np

from signbit.codegen.kernels.base import BYTES, CArray, Job, Piece, activation_arrays, function, is_hidden
from signbit.codegen.kernels.listing import Listing, Run
from signbit.codegen.kernels.m0 import conv_assembly as assembly
from signbit.codegen.kernels.m0.outputs import CLEAR, FinishingKernel, clear
from signbit.qmodel.activations import Sign
from signbit.qmodel.layers import Conv2D
from signbit.qmodel.value import WORD_BYTES, size_of

CAPACITY = {1: 6, 2: 12, 3: 16, 4: 20}
"""Inputs whose tables fit into 256 bytes, by the number of groups."""
ACCUMULATOR_BYTES_MAX = 2048
"""Above, the outputs are cut into tiles."""


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


POOLED = {"kept": 0.5}
"""What a max-pool is supposed to meet: how often a place before has the larger sum."""

pool = Listing("""
    push {r4}
    cmp r3, #0
    beq 2f
    1: ldmia r1!, {r3} @* first * count
    stmia r0!, {r3}
    subs r2, #1
    bne 1b
    @* first
    b 4f
    2: ldmia r1!, {r3} @* later * count
    ldr r4, [r0]
    cmp r3, r4
    bge 3f
    @* kept
    mov r3, r4
    3: stmia r0!, {r3}
    subs r2, #1
    bne 2b
    4: pop {r4}
    bx lr
    """)
POOL = function(
    "m0_pool",
    pool,
    "void (int32_t *most, const int32_t *acc, uint32_t count, uint32_t first)",
    "Max-pool: most[i] = max(most[i], acc[i]), or acc[i] at the first place.",
)


class ConvLut(FinishingKernel):
    """Tables of all sums over groups of a pixel's channels, used by all taps of the kernel."""

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
        left, full = f"{job.neurons}u - start", f"{cut.neurons}u"
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
            "tile_count": f"(uint16_t)({left} < {full} ? {left} : {full})" if job.neurons % cut.neurons else full,
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
        return (*super().pieces(job), CLEAR, *_shared(job), *self._functions(job))

    def _functions(self, job: Job) -> tuple[Piece, Piece]:
        cut = _layout(job)
        return _unit_piece("m0_unit", cut.sizes, _constant_shift(job)), _column_piece(
            "m0_column", job.layer.kernel[1], cut.units, len(cut.sizes)
        )

    def scratch_bytes(self, job: Job) -> int:
        cut = _layout(job)
        return self._table_bytes(job, cut) + WORD_BYTES * cut.accumulator_words

    def runs(self, job: Job) -> list[Run]:
        cut = _layout(job)
        unit, column = (piece.values["listing"] for piece in self._functions(job))
        columns, tiles = _places(job)[1], -(-job.neurons // cut.neurons)
        once, map_words = size_of(_places(job)), cut.accumulator_words - _pooled_words(job, cut.neurons)
        calls = Counter(
            targets for row in self._targets(job) for targets in ((1, row[0] - 1) if row[1] else (row[0],)) if targets
        )
        return [
            *super().runs(job),
            unit.run(tiles * len(self._targets(job)) * self._columns_read(job) * cut.units),
            *(assembly.column_run(column, tiles * columns * n, targets, cut.rows) for targets, n in calls.items()),
            clear.run(tiles, rounds=map_words // 4),
            clear.run(tiles * once, rounds=cut.rows // 4),
            *_pool_runs(job, self.tiles(job)),
        ]

    def tiles(self, job: Job) -> list[int]:
        tile = _layout(job).neurons
        return [min(tile, job.neurons - start) for start in range(0, job.neurons, tile)]

    def terms(self, job: Job) -> dict[str, float]:
        cut, targets = _layout(job), self._targets(job)
        channels = job.input_shape[2]
        tiles, columns = -(-job.neurons // cut.neurons), _places(job)[1]
        read = tiles * len(targets) * self._columns_read(job)
        exact = cut.units * cut.unit_inputs == channels and not job.input_shift
        return super().terms(job) | {
            "tile": tiles,
            "row": tiles * len(targets),
            "row tap": tiles * len(targets) * job.layer.kernel[0],
            "target": tiles * sum(count for count, _ in targets),
            "pixel": read,
            "padded pixel": read * any(job.layer.window.padding),
            "unit": read * (cut.units - 1),
            "copied": 0 if exact else read * cut.units * cut.unit_inputs,
            "place": tiles * columns * sum(count > 0 for count, _ in targets),
            "finished place": tiles * columns * sum(finishes for _, finishes in targets),
            "pooled place": _pooled_places(job) * tiles,
            "output pixel": tiles * size_of(job.output_shape[:2]),
        }

    def _targets(self, job: Job) -> list[tuple[int, bool]]:
        """For each row of the image and its padding the rows of outputs that see it, and whether one is finished."""
        height, stride = job.layer.kernel[0], job.layer.window.stride[0]
        starts = range(0, _places(job)[0] * stride, stride)
        rows = range(starts[-1] + height)
        return [(sum(row - height < start <= row for start in starts), row - height + 1 in starts) for row in rows]

    def _columns_read(self, job: Job) -> int:
        return (_places(job)[1] - 1) * job.layer.window.stride[1] + job.layer.kernel[1]

    def _table_bytes(self, job: Job, cut: Layout) -> int:
        return job.layer.kernel[1] * cut.units * cut.table_bytes

    def _constant(self, job: Job, cut: Layout) -> int:
        """The excess in the accumulators."""
        return job.layer.kernel[0] * job.layer.kernel[1] * cut.units * (2 << _constant_shift(job))


def _shared(job: Job) -> tuple[Piece, ...]:
    pool = (POOL,) if job.layer.window.pool != (1, 1) else ()
    return (*pool, Piece("m0/target"))


def _unit_piece(name: str, sizes: tuple[int, ...], constant_shift: int, shift: int = 0) -> Piece:
    symbol = "_".join(map(str, (name, *sizes, constant_shift, *(["shifted"] * shift))))
    summary = f"Tables of one unit, groups of {', '.join(map(str, sizes))} inputs."
    listing = assembly.unit(sizes, shift, constant_shift)
    return function(symbol, listing, "void (const uint8_t *x, uint8_t *tables)", summary)


def _column_piece(name: str, taps: int, units: int, groups: int, fresh: bool = False) -> Piece:
    summary = (
        f"{'Set' if fresh else 'Add to'} the accumulators of each target {'to ' * fresh}the sums over {taps} taps of "
        f"{units} x {groups} groups; targets move on to the next pixel."
    )
    prototype = (
        "void (PREFIX_m0_target_t *target, const PREFIX_m0_target_t *end, const uint8_t *const *bases, "
        "uint32_t pixel_bytes)"
    )
    return function(f"{name}_{taps}_{units}_{groups}", assembly.column(taps, units, groups, fresh), prototype, summary)


def _constant_shift(job: Job) -> int:
    """2 << this is added to the sums of a unit, and never less than the sum of its inputs."""
    return 11 if 20 * job.input.high <= 4096 else 12


def _table_bytes(sizes: tuple[int, ...]) -> int:
    return sum(2 ** (size + 1) for size in sizes)


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
        words = slots * columns * filled + _pooled_words(job, neurons)
        small = WORD_BYTES * words <= ACCUMULATOR_BYTES_MAX or neurons <= 8
        if small or isinstance(job.layer.activation, Sign):
            return Layout(units, sizes, neurons, filled, slots, words)
        tiles += 1


def _priority(job: Job, units: int, sizes: tuple[int, ...]) -> float:
    """Instructions for 4 rows and one row of the kernel, with about their share of the tables."""
    width = job.layer.kernel[1]
    column = assembly.column(width, 1, len(sizes), False)
    two, one = (assembly.column_run(column, 1, 1, rows).instructions for rows in (8, 4))
    return units * (two - one + assembly.unit(sizes, 0, 0).run().instructions / 40)


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


def _pooled_words(job: Job, neurons: int) -> int:
    return job.output_shape[1] * neurons if job.layer.window.pool != (1, 1) else 0


def _pooled_places(job: Job) -> int:
    """Places of the kernel whose maximum is taken."""
    return size_of(_places(job)) if job.layer.window.pool != (1, 1) else 0


def _pool_runs(job: Job, tiles: list[int]) -> list[Run]:
    """The maximum of each place and those before it, for tiles of so many outputs."""
    places = _pooled_places(job)
    if not places:
        return []
    first = Fraction(size_of(job.output_shape[:2]), places)
    return [pool.run(places, count=count, first=first, later=1 - first, **POOLED) for count in tiles]


KERNELS = (ConvLut(),)
