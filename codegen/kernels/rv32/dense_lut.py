"""Dense layers by look-up: a table of all signed sums for each few inputs, which every output reads once."""

from dataclasses import dataclass

import numpy as np

from signbit.codegen.kernels.base import BYTES, CArray, Job, Piece, activation_arrays
from signbit.codegen.kernels.c99.loops import ACCUMULATOR_BYTES, PortableKernel
from signbit.codegen.kernels.rv32.sums import ENTRY_BYTES, SIZES, sums_instructions, sums_piece
from signbit.codegen.kernels.targets import RISCV32
from signbit.qmodel.layers import Dense
from signbit.qmodel.value import WORD_BYTES

TABLES = 4
"""Tables in memory together: an accumulator is loaded and stored once for all of them."""


@dataclass(frozen=True)
class Layout:
    """Blocks of TABLES tables of `size` inputs each; the last block has only `tail` inputs, if that is not 0."""

    size: int
    blocks: int
    tail: int

    @property
    def block_inputs(self) -> int:
        return TABLES * self.size

    @property
    def table_words(self) -> int:
        return TABLES << self.size

    @property
    def tail_words(self) -> int:
        return -(-self.block_inputs // WORD_BYTES) if self.tail else 0


class DenseLut(PortableKernel):
    """Tables of all signed sums of up to 6 inputs: one look-up and one addition for as many weights."""

    layer = Dense
    reads = BYTES
    targets = RISCV32

    def arrays(self, job: Job) -> tuple[CArray, ...]:
        cut = _layout(job)
        negative = np.zeros((len(job.rows), cut.blocks * cut.block_inputs), np.int64)
        negative[:, : job.layer.fan_in] = job.rows < 0
        patterns = negative.reshape(len(negative), cut.blocks, TABLES, cut.size) @ (1 << np.arange(cut.size))
        offsets = (ENTRY_BYTES * patterns).transpose(1, 0, 2).astype(np.uint8)
        return (CArray("weights", "uint8_t", offsets.reshape(-1)), *activation_arrays(job))

    def values(self, job: Job) -> dict:
        cut = _layout(job)
        last, acc = cut.blocks - 1, "(int32_t)sums[index]"
        block = f"x + block * {cut.block_inputs}u" if last else "x"
        return {
            "cut": cut,
            "inputs": block if not cut.tail else f"block == {last}u ? tail : {block}" if last else "tail",
            "acc": acc if job.planes == 1 else f"({acc} + (int32_t)sums[index + {job.neurons}u]) / 2",
            "rows": len(job.rows),
            "tables": TABLES,
            "look_up": _look_up_piece(cut).symbol,
            "tail_at": job.layer.fan_in - cut.tail,
            "sums": sums_piece(cut.size, job.input_shift).symbol,
        }

    def pieces(self, job: Job) -> tuple[Piece, ...]:
        cut = _layout(job)
        return (sums_piece(cut.size, job.input_shift), _look_up_piece(cut))

    def scratch_bytes(self, job: Job) -> int:
        cut = _layout(job)
        return WORD_BYTES * (cut.table_words + cut.tail_words) + ACCUMULATOR_BYTES * len(job.rows)

    def loop_terms(self, job: Job) -> dict[str, int]:
        cut, rows = _layout(job), len(job.rows)
        tables = cut.blocks * TABLES
        return {
            "block": cut.blocks,
            f"table {cut.size}": tables,
            "block row": cut.blocks * rows,
            "row": rows,
            "tail": cut.tail,
            "filled up": cut.block_inputs if cut.tail else 0,
        }


def _look_up_piece(cut: Layout) -> Piece:
    """The loop over neurons: all loads of a block come before the additions, which would wait for them."""
    tables = [number << cut.size for number in range(TABLES)]
    entries = [f"entry{number}" for number in range(TABLES)]
    lines = [
        "1:",
        "lw %[sum], 0(%[sums])",
        *(f"lbu %[{entry}], {number}(%[weights])" for number, entry in enumerate(entries)),
        *(f"add %[{entry}], %[{entry}], %[tables]" for entry in entries),
        *(f"lw %[{entry}], {ENTRY_BYTES * table}(%[{entry}])" for entry, table in zip(entries, tables, strict=True)),
        *(f"add %[sum], %[sum], %[{entry}]" for entry in entries),
        "sw %[sum], 0(%[sums])",
        f"addi %[weights], %[weights], {TABLES}",
        f"addi %[sums], %[sums], {ACCUMULATOR_BYTES}",
        "bne %[sums], %[end], 1b",
    ]
    changed = [f'[{name}] "+r"({name})' for name in ("weights", "sums")]
    parameters = ("const uint32_t *tables", "const uint8_t *weights", "uint32_t *sums", "uint32_t count")
    values = {
        "tables": tables,
        "entries": entries,
        "entry_bytes": ENTRY_BYTES,
        "lines": lines,
        "operands": [*(f'[{name}] "=&r"({name})' for name in ("sum", *entries)), *changed],
        "parameters": parameters,
    }
    return Piece("rv32/look_up", f"look_up{cut.size}", values)


def _layout(job: Job) -> Layout:
    """The size of tables that takes the fewest instructions, about."""

    def instructions(size: int) -> int:
        blocks = -(-job.layer.fan_in // (TABLES * size))
        return blocks * (TABLES * sums_instructions(size) + len(job.rows) * (4 * TABLES + 5))

    size = min(SIZES, key=instructions)
    blocks, tail = divmod(job.layer.fan_in, TABLES * size)
    return Layout(size, blocks + bool(tail), tail)


KERNELS = (DenseLut(),)
