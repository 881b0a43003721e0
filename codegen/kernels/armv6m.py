"""Kernels for Cortex-M0 and M0+ (ARMv6-M): dense layers."""

from typing import Any, ClassVar

import numpy as np

from signbit.codegen.kernels.armv6m_bits import DenseBits
from signbit.codegen.kernels.armv6m_conv import CONV_KERNELS
from signbit.codegen.kernels.armv6m_shared import FinishingKernel, finish_instructions
from signbit.codegen.kernels.base import BYTES, CArray, Cost, Job, Piece, activation_arrays
from signbit.qmodel.layers import Dense
from signbit.qmodel.value import WORD_BYTES


class DenseTables(FinishingKernel):
    """Tables of all sums over 7 or 8 inputs; an output takes one entry of each."""

    layer = Dense
    reads = BYTES
    template = "kernels/m0_lut.c.j2"
    inputs_per_group: ClassVar[int]
    groups_per_pass: ClassVar[int]
    group_code_bytes: ClassVar[int]
    differences: ClassVar[tuple[str, ...]]
    """The registers that hold the differences from each eight entries of a table to the next."""

    def arrays(self, job: Job) -> tuple[CArray, ...]:
        k = self.inputs_per_group
        rows = np.pad(job.rows > 0, ((0, 0), (0, -job.layer.fan_in % k)))
        values = rows.reshape(len(rows), -1, k) @ (1 << np.arange(k)) * (2 if k == 7 else 1)
        blocked = len(rows) // 4 * 4
        parts = []
        for start in range(0, values.shape[1], self.groups_per_pass):
            groups = values[:, start : start + self.groups_per_pass]
            blocks = groups[:blocked].reshape(-1, 4, groups.shape[1]).transpose(0, 2, 1)
            parts += [blocks.reshape(-1), groups[blocked:].reshape(-1)]
        return (CArray("weights", "uint8_t", np.concatenate(parts).astype(np.uint8)), *activation_arrays(job))

    def values(self, job: Job) -> dict[str, Any]:
        return {"rows": len(job.rows), "function": self.name}

    def pieces(self, job: Job) -> tuple[Piece, ...]:
        k, slots = self.inputs_per_group, self.groups_per_pass
        shifted_table = k == 7 and job.input_shift
        table = Piece(
            "m0_table",
            f"m0_table{k}{'_shifted' * shifted_table}",
            {"inputs": k, "shift": shifted_table, "differences": self.differences},
        )
        values = {
            "inputs": k,
            "inputs_max": k - 1,
            "slots": slots,
            "pass_inputs": k * slots,
            "entries": 2**k,
            "table_bytes_log2": k + 1,
            "block_bytes": 4 * slots,
            "group_code_bytes": self.group_code_bytes,
            "group_offsets": [range(4 * group, 4 * group + 4) for group in range(slots)],
        }
        needs = {
            "shifted table": shifted_table,
            "table": not shifted_table,
            "rows left": len(job.rows) % 4,
            "copies inputs": job.layer.fan_in % k,
            "copies shifted": k == 8 and job.input_shift,
        }
        lut = Piece("m0_lut", self.name, values, frozenset(need for need, is_needed in needs.items() if is_needed))
        return (table, lut, *super().pieces(job))

    def cost(self, job: Job) -> Cost:
        k, rows = self.inputs_per_group, len(job.rows)
        groups = -(-job.layer.fan_in // k)
        passes = -(-groups // self.groups_per_pass)
        blocks, left = divmod(rows, 4)
        lookup = 3 if k == 7 else 4
        copied = k if job.layer.fan_in % k else 0
        if k == 7:
            table = self.table_instructions + k * job.input_shift
        else:
            table = self.table_instructions
            copied = job.layer.fan_in if job.input_shift else copied
        instructions = (
            groups * (table + 18)
            + passes * (60 + 7 * blocks + left * 60)
            + 12 * copied
            + groups * (blocks * (4 * lookup + 1) + left * 7)
            + 4 * rows
            + finish_instructions(job)
            + 10
        )
        scratch = WORD_BYTES * rows + 2 * min(groups, self.groups_per_pass) * 2**k
        return Cost(instructions, scratch, stack_bytes=36)


class DenseTables7(DenseTables):
    """Tables of all sums over 7 inputs, looked up by one byte of weights: an offset in bytes."""

    name = "m0_lut7"
    inputs_per_group = 7
    groups_per_pass = 8
    group_code_bytes = 26
    differences = ("r2", "r3", "r2", "r0", "r2", "r3", "r2", "lr", "r2", "r3", "r2", "r0", "r2", "r3", "r2")
    table_instructions = 109


class DenseTables8(DenseTables):
    """Tables of all sums over 8 inputs, looked up by one byte of weights: one bit per weight."""

    name = "m0_lut8"
    inputs_per_group = 8
    groups_per_pass = 4
    group_code_bytes = 34
    differences = ("r2", "r3", "r2", "r0", "r2", "r3", "r2")
    table_instructions = 224


class DenseLists(FinishingKernel):
    """Lists of inputs that have the same weights in a few rows; for few outputs."""

    name = "m0_bucket"
    layer = Dense
    reads = BYTES
    ROWS_MAX: ClassVar[int] = 31
    BYTE_INDEX_MAX: ClassVar[int] = 256

    def fits(self, job: Job) -> bool:
        return len(job.rows) <= self.ROWS_MAX

    def arrays(self, job: Job) -> tuple[CArray, ...]:
        inputs, steps, groups = [], [], []
        for rows in self._groups(job):
            order, pairs = _lists(rows, self._longest(job))
            pairs.append((self._end_step(job), 0))
            inputs.append(order)
            steps += pairs
            groups += [len(rows), 2 * len(pairs)]
        ctype = "uint8_t" if self._index_bytes(job) == 1 else "uint16_t"
        return (
            CArray("inputs", ctype, np.concatenate(inputs).astype(ctype[:-2])),
            CArray("steps", "uint8_t", np.array(steps, np.uint8).reshape(-1)),
            CArray("groups", "uint16_t", np.array(groups, np.uint16)),
            *activation_arrays(job),
        )

    def values(self, job: Job) -> dict[str, Any]:
        return {
            "groups": len(self._groups(job)),
            "index_bytes": self._index_bytes(job),
            "longest": self._longest(job),
            "end_step": self._end_step(job),
            "lists": self._lists_piece(job).symbol,
        }

    def pieces(self, job: Job) -> tuple[Piece, ...]:
        return (self._lists_piece(job), *super().pieces(job))

    def _lists_piece(self, job: Job) -> Piece:
        index_bytes = self._index_bytes(job)
        list_bytes = index_bytes * self._longest(job)
        return Piece(
            "m0_bucket",
            f"m0_bucket_{index_bytes}{'_shifted' * job.input_shift}",
            {
                "index_bytes": index_bytes,
                "shift": job.input_shift,
                "list_bytes": list_bytes,
                "offsets": range(0, list_bytes, index_bytes),
            },
        )

    def cost(self, job: Job) -> Cost:
        groups = self._groups(job)
        instructions = sum(self._group_instructions(job, rows) for rows in groups) + finish_instructions(job)
        return Cost(instructions, WORD_BYTES * (len(job.rows) + 1), stack_bytes=24)

    def _groups(self, job: Job) -> list[np.ndarray]:
        """The rows, in groups of the size that takes the fewest instructions."""
        options = [np.array_split(job.rows, -(-len(job.rows) // size)) for size in range(1, 8)]
        return min(options, key=lambda groups: sum(self._group_instructions(job, rows) for rows in groups))

    def _group_instructions(self, job: Job, rows: np.ndarray) -> float:
        _, pairs = _lists(rows, self._longest(job))
        step = 12 + (self._index_bytes(job) == 1) - job.input_shift
        return (3 + job.input_shift) * rows.shape[1] + step * len(pairs) + 20 + 10 * len(rows)

    def _index_bytes(self, job: Job) -> int:
        return 1 if job.layer.fan_in <= self.BYTE_INDEX_MAX else 2

    def _longest(self, job: Job) -> int:
        """The longest list that one step sums up."""
        return 16 * self._index_bytes(job)

    def _end_step(self, job: Job) -> int:
        """The step that leads out of the loop."""
        return 2 * self._longest(job) + 6


def _lists(rows: np.ndarray, longest: int) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Inputs in the order of their patterns of signs, and the steps: (2 * (longest - length), 4 * row that flips).

    Patterns follow a Gray code down to 0, all +1, so that between two of them mostly one row flips.
    """
    count = len(rows)
    patterns = (rows < 0).T @ (1 << np.arange(count))
    codes = np.arange(1 << count)
    place = np.empty_like(codes)
    place[codes ^ codes >> 1] = codes[::-1]
    order = np.argsort(place[patterns], kind="stable")
    seen, lengths = np.unique(place[patterns], return_counts=True)
    visited = [*((codes ^ codes >> 1)[::-1][seen]), 0]
    steps = []
    for number, length in enumerate(lengths.tolist()):
        while length > longest:
            steps.append((0, 4 * count))
            length -= longest
        changed = int(visited[number] ^ visited[number + 1])
        flips = [row for row in range(count) if changed >> row & 1] or [count]
        steps.append((2 * (longest - length), 4 * flips[0]))
        steps += [(2 * longest, 4 * row) for row in flips[1:]]
    return order, steps


KERNELS = (DenseTables7(), DenseTables8(), DenseLists(), DenseBits(), *CONV_KERNELS)
