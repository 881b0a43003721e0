"""Convolutions by look-up, two pixels a word and several words a look-up.

A table's entry is not a sum but a vector of them: one for each place of a strip of the row, two places in the halves of
a word.  So a look-up serves all places, and a tap further to the right reads the same tables, a few words on.
"""

from collections import Counter
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from signbit.codegen.kernels.base import BYTES, CArray, Job, Piece, activation_arrays, output_step
from signbit.codegen.kernels.c99.loops import PortableKernel
from signbit.codegen.kernels.rv32.conv_layout import IMMEDIATE_MAX, Layout, layout, visits
from signbit.codegen.kernels.rv32.sums import ENTRY_BYTES, pair_sums_piece
from signbit.codegen.kernels.targets import RISCV32
from signbit.qmodel.layers import Conv2D
from signbit.qmodel.value import WORD_BYTES, words_of

FEW_REGISTERS = "riscv32e"
HALVES = {"low": "(int32_t)({} << 16)", "high": "(int32_t)({} + 0x8000u)"}
"""How a half of a word becomes 2^16 of what it holds; a negative low half has borrowed from the high one."""


class ConvVectors(PortableKernel):
    """Tables of all signed sums of up to 6 channels or columns, each for a strip of places at once."""

    layer = Conv2D
    reads = BYTES
    targets = RISCV32
    size_max: ClassVar[int] = 6
    # a vector is in registers while weights are read
    words_max: ClassVar[Mapping[str, int]] = {"riscv32": 6, "riscv32e": 4}

    @property
    def template(self) -> str:
        return "kernels/rv32/conv_vectors.c.j2"

    def fits(self, job: Job) -> bool:
        return self._layout(job) is not None

    def arrays(self, job: Job) -> tuple[CArray, ...]:
        negative = (job.rows < 0).reshape(len(job.rows), job.layer.kernel[0], -1).astype(np.int64)
        offsets = [
            ENTRY_BYTES * (negative[..., start : start + group.size] @ (1 << np.arange(group.size)))
            for group in self._layout(job).groups
            for start in group.starts
        ]
        weights = np.stack(offsets, axis=-1).transpose(1, 0, 2).astype(np.uint8)
        return (CArray("weights", "uint8_t", weights.reshape(-1)), *activation_arrays(job))

    def values(self, job: Job) -> dict:
        cut = self._layout(job)
        height, width, channels = job.input_shape
        window, (kernel_height, kernel_width) = job.layer.window, job.layer.kernel
        top, _, left, right = window.padding
        conv_rows = job.output_shape[0] * window.pool[0]
        step = window.stride[1] * channels
        registers = _registers(cut, job.target)
        line_bytes = ((cut.units * window.pool[1] - 1) * window.stride[1] + kernel_width) * channels
        neuron_words = len(cut.chunks) * cut.words
        map_words = len(job.rows) * neuron_words
        image_rows = (conv_rows - 1) * window.stride[0] + kernel_height
        conditions = {
            "done < begun": window.stride[0] > kernel_height and conv_rows > 1,
            "y >= 0": top > 0,
            f"y < {height}": image_rows - top > height,
        }
        return {
            "cut": cut,
            "add": _add(cut, job.target),
            "registers": registers,
            "operands": _operands(registers, job.target),
            "entry_bytes": ENTRY_BYTES,
            "sums": {group.size: pair_sums_piece(group.size, job.input_shift).symbol for group in cut.groups},
            "rows": len(job.rows),
            "row_bytes": width * channels,
            "left_bytes": left * channels,
            "unit_bytes": window.pool[1] * step,
            "padded": bool(left or right),
            "line_bytes": line_bytes,
            "line_words": words_of(line_bytes) if left or right else 0,
            "step": step,
            "distance": (cut.units - cut.half) * window.pool[1] * step,
            "conv_rows": conv_rows,
            "image_rows": image_rows,
            "row_is_read": " && ".join(condition for condition, is_needed in conditions.items() if is_needed),
            "top": top,
            "kernel_height": kernel_height,
            "row_weights": len(job.rows) * cut.look_ups,
            "map_words": map_words,
            "maps_words": cut.slots * map_words,
            "neuron_words": neuron_words,
            "halves": [(half, _places(job, cut, neuron_words, half)) for half in HALVES],
            "rows_before_done": [window.pool[0] - row for row in range(window.pool[0])],
            "strips_before": cut.strips - 1,
            "high_offset": (cut.units - cut.half) * output_step(job),
            "scale": " / 2" if job.planes == 2 else " >> 16" if len(cut.chunks) == 1 else "",
            "last_strip": job.output_shape[1] - cut.units,
            "out_row": job.output_shape[1] * output_step(job),
            "out_unit": output_step(job),
        }

    def pieces(self, job: Job) -> tuple[Piece, ...]:
        sizes = sorted({group.size for group in self._layout(job).groups})
        return tuple(pair_sums_piece(size, job.input_shift) for size in sizes)

    def scratch_bytes(self, job: Job) -> int:
        v = self.values(job)
        return WORD_BYTES * (v["cut"].table_words + v["maps_words"] + v["line_words"])

    def loop_terms(self, job: Job) -> dict[str, int]:
        v = self.values(job)
        cut, pool_height, pool_width = v["cut"], *job.layer.window.pool
        pairs = visits(job)
        built = cut.strips * len({y for y, _ in pairs})
        added = cut.strips * len(pairs) * len(job.rows)
        units = cut.strips * cut.half * job.output_shape[0]
        terms = Counter(
            {
                "image row": cut.strips * v["image_rows"],
                "input row": built,
                "copied": built * v["line_bytes"] if v["padded"] else 0,
                "visit": cut.strips * len(pairs),
                "sum": added * len(cut.chunks),
                "sum word": added * len(cut.chunks) * cut.words,
                "look-up": added * cut.look_ups,
                "look-up word": added * cut.look_ups * cut.words,
                "cleared": cut.strips * v["conv_rows"] * v["map_words"],
                "pair of pixels": units,
                "pair of outputs": units * job.neurons,
                "pair of places": units * pool_height * pool_width * len(job.rows) * len(cut.chunks),
            }
        )
        for run in (run for runs in cut.runs for run in runs):
            terms[f"table {run.group.size}"] += built * run.count * run.words
            terms["tables"] += built * run.count
            terms["run"] += added * (run.count + 1)
        return dict(terms)

    def _layout(self, job: Job) -> Layout | None:
        return layout(job, self.size_max, self.words_max[job.target])


class ConvVectorsSmall(ConvVectors):
    """Tables of all signed sums of up to 4 channels or columns, each for a strip of a few places, to save memory."""

    variant = "_small"
    size_max = 4
    words_max: ClassVar[Mapping[str, int]] = {"riscv32": 2, "riscv32e": 2}


def _places(job: Job, cut: Layout, neuron_words: int, half: str) -> list[str]:
    """C for what a neuron has in one half of its words, at each place of its pool.

    That is its accumulator, or 2^16 of it where it is in a single word: their order is the same.
    """
    plane_words = job.neurons * neuron_words
    starts = [
        plane * plane_words + chunk * cut.words for plane in range(job.planes) for chunk in range(len(cut.chunks))
    ]
    pool_height, pool_width = job.layer.window.pool
    texts = []
    for row in range(pool_height):
        for column in range(pool_width):
            offsets = [f" + {start + column}u" if start + column else "" for start in starts]
            words = [HALVES[half].format(f"sums{row}[at{offset}]") for offset in offsets]
            texts.append(words[0] if len(words) == 1 else f"({' + '.join(f'({word} >> 16)' for word in words)})")
    return texts


def _registers(cut: Layout, target: str) -> list[str]:
    """What the assembly needs beside its arguments: no more together than -O0 leaves."""
    values = ["value0"] if target == FEW_REGISTERS else ["value0", "value1"]
    loops = any(run.count > 1 for runs in cut.runs for run in runs)
    return [*(f"sum{word}" for word in range(cut.words)), "entry", *values, *(["group"] if loops else [])]


def _operands(registers: list[str], target: str) -> list[str]:
    """The constraints of the assembly; what counts neurons is in memory where registers are few."""
    written = [f'[{name}] "=&r"({name})' for name in registers]
    changed = [f'[{name}] "+r"({name})' for name in ("table", "weights", "sums")]
    return [*written, *changed, f'[left] "+{"m" if target == FEW_REGISTERS else "r"}"(left)']


def _add(cut: Layout, target: str) -> list[str]:
    """The loop over neurons: to the sums of each, in registers, a vector is added for each byte of its weights."""
    values = [name for name in _registers(cut, target) if name.startswith("value")]
    words = range(cut.words)
    lines = ["1:"]
    for runs in cut.runs:
        lines += [f"lw %[sum{word}], {WORD_BYTES * word}(%[sums])" for word in words]
        for run in runs:
            pitch, taps = ENTRY_BYTES << run.group.size, run.group.taps
            if run.count > 1:
                lines += [f"li %[group], {run.count}", "2:"]
            for tap in range(taps):
                lines += [f"lbu %[entry], {tap}(%[weights])", "add %[entry], %[entry], %[table]"]
                # two loads before the first addition, which would wait for its own
                for first in words[:: len(values)]:
                    loaded = list(zip(words[first:], values, strict=False))
                    lines += [f"lw %[{value}], {pitch * (word + tap)}(%[entry])" for word, value in loaded]
                    lines += [f"add %[sum{word}], %[sum{word}], %[{value}]" for word, value in loaded]
            lines += _advance("weights", taps) + _advance("table", ENTRY_BYTES * run.table_words)
            if run.count > 1:
                lines += ["addi %[group], %[group], -1", "bnez %[group], 2b"]
        lines += [f"sw %[sum{word}], {WORD_BYTES * word}(%[sums])" for word in words]
        lines += _advance("sums", WORD_BYTES * cut.words)
    lines += [f"li %[entry], -{ENTRY_BYTES * cut.table_words}", "add %[table], %[table], %[entry]"]
    counter = "entry" if target == FEW_REGISTERS else "left"
    count = [f"addi %[{counter}], %[{counter}], -1"]
    if target == FEW_REGISTERS:
        count = ["lw %[entry], %[left]", *count, "sw %[entry], %[left]"]
    return [*lines, *count, f"bnez %[{counter}], 1b"]


def _advance(register: str, count: int) -> list[str]:
    """Adds a number that may need several instructions."""
    full, rest = divmod(count, IMMEDIATE_MAX)
    return [f"addi %[{register}], %[{register}], {step}" for step in [IMMEDIATE_MAX] * full + [rest] * bool(rest)]


KERNELS = (ConvVectors(), ConvVectorsSmall())
