"""Kernels for Cortex-M0 and M0+ (ARMv6-M): dense layers."""

from functools import cache
from typing import Any, ClassVar

import numpy as np

from signbit.codegen.kernels.base import BYTES, CArray, Job, Piece, activation_arrays, function
from signbit.codegen.kernels.listing import Listing, Run
from signbit.codegen.kernels.m0.outputs import FinishingKernel
from signbit.qmodel.layers import Dense
from signbit.qmodel.value import WORD_BYTES

ROWS = ("r4", "r5", "r6", "r7")


class DenseLut(FinishingKernel):
    """Tables of all sums over 7 or 8 inputs; an output takes one entry of each."""

    layer = Dense
    reads = BYTES
    inputs_per_group: ClassVar[int]
    groups_per_pass: ClassVar[int]

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
        return {"rows": len(job.rows), "function": self.symbol}

    def pieces(self, job: Job) -> tuple[Piece, ...]:
        k, slots = self.inputs_per_group, self.groups_per_pass
        shifted_table = k == 7 and job.input_shift
        summary = (
            f"Table of all sums of 2x over subsets of {k} inputs; returns 2 * (sum of x).  Four registers hold eight "
            "neighbouring\n * entries; the step from each eight to the next is one of the differences e3, e4 - e3, "
            "e5 - e4 - e3 and so on, where e\n * is the doubled input."
        )
        table = function(
            f"m0_table{k}{'_shifted' * shifted_table}",
            table_of_sums(k, shifted_table),
            "uint32_t (const uint8_t *x, uint16_t *table)",
            summary,
        )
        values = {
            "inputs": k,
            "inputs_max": k - 1,
            "slots": slots,
            "pass_inputs": k * slots,
            "entries": 2**k,
            "listing": look_up(k, slots),
        }
        needs = {
            "shifted table": shifted_table,
            "table": not shifted_table,
            "rows left": len(job.rows) % 4,
            "copies inputs": job.layer.fan_in % k,
            "copies shifted": k == 8 and job.input_shift,
        }
        lut = Piece("m0/lut", self.symbol, values, frozenset(need for need, is_needed in needs.items() if is_needed))
        return (table, lut, *super().pieces(job))

    def scratch_bytes(self, job: Job) -> int:
        k = self.inputs_per_group
        return WORD_BYTES * len(job.rows) + 2 * min(self._groups(job), self.groups_per_pass) * 2**k

    def runs(self, job: Job) -> list[Run]:
        k, slots = self.inputs_per_group, self.groups_per_pass
        table = table_of_sums(k, k == 7 and job.input_shift).run(self._groups(job))
        listing, blocks = look_up(k, slots), len(job.rows) // 4
        passes = [
            listing.run(blocks=blocks, **{f"group{group}": group >= slots - groups for group in range(slots)})
            for groups in self._passes(job)
            if blocks
        ]
        return [table, *passes, *super().runs(job)]

    def terms(self, job: Job) -> dict[str, float]:
        k, left = self.inputs_per_group, len(job.rows) % 4
        copies_all = k == 8 and job.input_shift
        return {
            **super().terms(job),
            "cleared": len(job.rows),
            "pass": len(self._passes(job)),
            "group": self._groups(job),
            "copied": job.layer.fan_in if copies_all else k if job.layer.fan_in % k else 0,
            "left row": left * len(self._passes(job)),
            "left entry": left * self._groups(job),
        }

    def _groups(self, job: Job) -> int:
        return -(-job.layer.fan_in // self.inputs_per_group)

    def _passes(self, job: Job) -> list[int]:
        """Groups of each pass."""
        full, rest = divmod(self._groups(job), self.groups_per_pass)
        return [self.groups_per_pass] * full + [rest] * (rest > 0)


class DenseLut7(DenseLut):
    """Tables of all sums over 7 inputs, looked up by one byte of weights: an offset in bytes."""

    variant = "7"
    inputs_per_group = 7
    groups_per_pass = 8


class DenseLut8(DenseLut):
    """Tables of all sums over 8 inputs, looked up by one byte of weights: one bit per weight."""

    variant = "8"
    inputs_per_group = 8
    groups_per_pass = 4


@cache
def table_of_sums(inputs: int, shift: int) -> Listing:
    """The sums of 2x over all subsets of 7 or 8 inputs: r0 x, r1 table; returns 2 * (sum of x)."""
    wide = inputs == 8
    lines = ["push {r4-r7, lr}", "movs r7, #2", "lsls r4, r7, #16", "adds r7, r7, r4"]
    lines += ["sub sp, #16", *_load("r2", 7, shift), "str r2, [sp, #4]"] * wide
    lines += [*_load("r4", 0, shift), *_load("r5", 1, shift), "adds r5, r5, r4", *_load("r6", 2, shift)]
    lines += [*_load("r2", 3, shift), "mov r12, r2", *_load("r3", 4, shift), "adds r2, r2, r3", "mov lr, r2 @ e3 + e4"]
    lines += [*_load("r2", 6, shift), *_load("r0", 5, shift), "mov r7, lr"]
    if wide:
        lines += ["mov lr, r3", "ldr r3, [sp, #4]", "subs r3, r3, r2", "subs r3, r3, r0", "subs r3, r3, r7"]
        lines += ["str r3, [sp, #4] @ fifth difference", "mov r3, lr", "subs r2, r2, r0", "subs r2, r2, r7"]
        lines += ["str r2, [sp] @ fourth difference", "str r2, [sp, #8]"]
        lines += ["movs r2, #1 @ no difference is odd", "str r2, [sp, #12]"]
    else:
        lines += ["subs r2, r2, r0", "subs r2, r2, r7", "mov lr, r2 @ fourth difference"]
    lines += ["subs r0, r0, r7 @ third", "mov r2, r12 @ first", "subs r3, r3, r2 @ second"]
    lines += ["adds r7, r6, r5", "adds r6, r6, r4", f"1: stmia r1!, {{r4-r7}}{' @* 4' * wide}"]
    middle = ["r2", "r3", "r2", "r0", "r2", "r3", "r2"]
    for difference in middle if wide else [*middle, "lr", *middle]:
        lines += [*(f"add {row}, {difference}" for row in ROWS), "stmia r1!, {r4-r7}"]
    if wide:
        lines += ["mov r12, r0", "pop {r0}", "cmp r0, #1", "beq 2f", "@* 3/4"]
        lines += [*(f"adds {row}, {row}, r0" for row in ROWS), "mov r0, r12", "b 1b", "2:"]
    return Listing("\n".join([*lines, "lsrs r0, r7, #16", "pop {r4-r7, pc}"]))


def _load(register: str, index: int, shift: int) -> list[str]:
    """An input, times 2 in both halves, the first one in the upper half only."""
    scale = f"muls {register}, r7, {register}" if index else f"lsls {register}, {register}, #17"
    return [f"ldrb {register}, [r0, #{index}]", *([f"lsrs {register}, {register}, #1"] * shift), scale]


@cache
def look_up(inputs: int, slots: int) -> Listing:
    """Add an entry of each table to the sums of 4 rows: r0 weights, r1 tables, r2 acc, r3 blocks; groups to skip."""
    doubled = ["adds r2, r2, r2"] * (inputs == 8)
    group_code_bytes = 8 * (3 + len(doubled)) + 2
    lines = ["push {r4-r7, lr}", "mov r4, r8", "mov r5, r9", "mov r6, r10", "push {r4-r6}", "mov r8, r1"]
    lines += ["ldr r4, [sp, #32] @ skip", "lsls r5, r4, #2", "subs r0, r0, r5", f"movs r6, #{4 * slots}"]
    lines += ["subs r6, r6, r5", "mov lr, r6 @ weights of a block, bytes", f"movs r6, #{group_code_bytes}"]
    lines += ["muls r6, r4, r6", "adr r5, 2f", "adds r5, r5, r6", "mov r12, r5 @ first group's code"]
    lines += ["lsls r3, r3, #4", "adds r3, r3, r2", "mov r9, r3 @ end of acc", "movs r6, #1"]
    lines += [f"lsls r6, r6, #{inputs + 1}", "mov r10, r6 @ bytes of a table", "mov r3, r2"]
    lines += ["1: ldmia r3!, {r4-r7} @* blocks", "subs r3, #16", "mov r1, r8", "mov pc, r12", ".p2align 2", "2:"]
    for group in range(slots):
        lines.append(f"@* group{group}")
        for number, row in enumerate(ROWS, 4 * group):
            lines += [f"ldrb r2, [r0, #{number}]", *doubled, "ldrh r2, [r1, r2]", f"adds {row}, {row}, r2"]
        lines += ["add r1, r10"] * (group + 1 < slots)
    lines += ["add r0, lr", "stmia r3!, {r4-r7}", "cmp r3, r9", "blo 1b"]
    lines += ["pop {r4-r6}", "mov r8, r4", "mov r9, r5", "mov r10, r6", "pop {r4-r7, pc}"]
    return Listing("\n".join(lines))


KERNELS = (DenseLut7(), DenseLut8())
