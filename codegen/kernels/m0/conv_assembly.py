"""Assembly of the convolutions for Cortex-M0: the tables of a unit of inputs, and their sum over the taps of a kernel.

A unit is up to 20 inputs, in groups of up to 6.  Each group has a table of all sums of 2x over its subsets; those of a
unit lie within 256 bytes, so that one byte of weights is the offset of an entry.  In the first group's table every
entry also holds 4096 (8192 for 8 bits) - (sum of x over the unit).  The sum of one entry of each group is then
sum(w * x) + 4096, and that constant is taken out of the bias.
"""

from fractions import Fraction
from functools import cache

from signbit.codegen.kernels.listing import Listing, Run

ROWS = ("r4", "r5", "r6", "r7")
BASES = ("r8", "r9", "r10", "r11", "r12")
DIFFERENCES = ("r2", "r3", "r2", "lr", "r2", "r3", "r2")
OFFSET_MAX = 32
"""LDRB reaches this many bytes."""

LOOP_MAX = 115
"""Instructions that a conditional branch back passes over."""


@cache
def unit(sizes: tuple[int, ...], shift: int, constant_shift: int) -> Listing:
    """Write the tables of groups of `sizes` inputs, r0 x, r1 tables."""
    lines = ["push {r4-r7, lr}", "movs r7, #2", "lsls r4, r7, #16", "adds r7, r7, r4", "mov r12, r7"]
    first, *others = sizes
    start = first
    for number, size in enumerate(others):
        lines.append("mov r7, r12" if number else f"adds r1, #{_bytes(first)}")
        lines += [*_inputs(size, start, shift), *_table(size), "lsrs r7, r7, #16", "push {r7} @ twice the group's sum"]
        start += size
    if others:
        others_bytes = sum(map(_bytes, others))
        lines += [f"subs r1, #{others_bytes}", f"subs r1, #{_bytes(first)}", "mov r7, r12"]
    lines += [*_inputs(first, 0, shift, adds=False), "adds r7, r4, r5", "adds r7, r7, r6"]
    lines += [f"add r7, {register}" for register in ("r2", "r3", "lr")[: first - 3]]
    lines.append("lsrs r7, r7, #16")
    if others:
        lines += ["mov r12, r4", *(["pop {r4}", "adds r7, r7, r4"] * len(others)), "mov r4, r12"]
    lines += ["lsrs r7, r7, #1", "subs r4, r4, r7", "lsls r7, r7, #16", "subs r4, r4, r7 @ - sum of x, in both halves"]
    lines += ["movs r7, #2", f"lsls r7, r7, #{constant_shift}", "adds r4, r4, r7", "lsls r7, r7, #16"]
    lines += ["adds r4, r4, r7", "adds r5, r5, r4", *_table(first), "pop {r4-r7, pc}"]
    return Listing("\n".join(lines))


@cache
def column(taps: int, units: int, groups: int, fresh: bool) -> Listing:
    """Add the tables of `taps` taps to each target's accumulators, or with `fresh` set them.

    r0 target, r1 end of targets, r2 bases, r3 bytes of a pixel's accumulators.  On the stack, above the base of the
    unit and the units that are left if there are several, are the arguments.
    """
    bases, saved = BASES[-taps:], ROWS[: taps - 1]
    far = 12 * taps * groups + taps > LOOP_MAX
    frame = 8 if units > 1 else 0
    load_bases = [line for tap, base in enumerate(bases) for line in (f"ldr r4, [r2, #{4 * tap}]", f"mov {base}, r4")]
    lines = ["push {r4-r7, lr}", *(f"mov {low}, {base}" for low, base in zip(saved, bases, strict=False))]
    lines += [f"push {{{', '.join(saved)}}}"] * bool(saved) + ["push {r0-r3}"]
    lines += ["sub sp, #8 @ base of the unit, units left"] if units > 1 else load_bases
    lines += [f"1: ldr r0, [sp, #{frame}] @* targets", "ldmia r0!, {r3} @ acc", "ldr r0, [r0] @ weights"]
    if units > 1:
        lines += [f"ldr r2, [sp, #{frame + 8}]", f"movs r1, #{units}", f"4: str r1, [sp, #4] @* {units}", *load_bases]
        lines += [f"adds r2, #{4 * (2 * taps - 1)}", "str r2, [sp]"]
    lines += [f"ldr r4, [sp, #{frame + 12}]", "adds r4, r4, r3", "mov lr, r4 @ end of the pixel's accumulators"]
    lines += (
        ["2: movs r4, #0 @* blocks", *(f"movs {row}, #0" for row in ROWS[1:])]
        if fresh
        else ["2: ldmia r3!, {r4-r7} @* blocks", "subs r3, #16"]
    )
    for tap, base in enumerate(bases):
        lines.append(f"mov r1, {base}")
        for group in range(groups):
            byte = 4 * (tap * groups + group)
            if byte and byte % OFFSET_MAX == 0:
                lines.append(f"adds r0, #{OFFSET_MAX}")
            for number, row in enumerate(ROWS, byte % OFFSET_MAX):
                lines += [f"ldrb r2, [r0, #{number}]", "ldrh r2, [r1, r2]", f"adds {row}, {row}, r2"]
    lines += [f"adds r0, #{(4 * taps * groups - 1) % OFFSET_MAX + 1}", "stmia r3!, {r4-r7}", "cmp r3, lr"]
    lines += ["bhs 3f", "@* blocks again", "b 2b", "3:"] if far else ["blo 2b"]
    if units > 1:
        lines += ["ldr r1, [sp, #4]", "ldr r2, [sp]", "subs r1, #1", "beq 5f", f"@* {units - 1}/{units}"]
        lines += [f"ldr r4, [sp, #{frame + 12}]", "subs r3, r3, r4", "b 4b", "5:"]
    lines += [f"ldr r0, [sp, #{frame}]", "stmia r0!, {r3}", "adds r0, #4", f"str r0, [sp, #{frame}]"]
    lines += [
        f"ldr r1, [sp, #{frame + 4}]",
        "cmp r0, r1",
        "bhs 6f",
        "@* targets again",
        "b 1b",
        f"6: add sp, #{16 + frame}",
    ]
    lines += [f"pop {{{', '.join(saved)}}}"] * bool(saved)
    lines += [*(f"mov {base}, {low}" for low, base in zip(saved, bases, strict=False)), "pop {r4-r7, pc}"]
    return Listing("\n".join(lines))


def column_run(listing: Listing, times: int, targets: int, rows: int) -> Run:
    """Run `column` for so many targets of `rows` accumulators each."""
    blocks = rows // len(ROWS)
    again = {"blocks again": Fraction(blocks - 1, blocks), "targets again": Fraction(targets - 1, targets)}
    return listing.run(times, blocks=blocks, targets=targets, **again)


def _bytes(size: int) -> int:
    """Bytes of a table of 2^size entries."""
    return 2 << size


def _inputs(size: int, start: int, shift: int, adds: bool = True) -> list[str]:
    """A group's inputs from `start` on into r4, r5, r6, r2, r3 and lr; with `adds`, r5 becomes the sum of r4 and r5."""
    lines = [*_load("r2", start + 5, shift), "mov lr, r2"] if size == 6 else []
    lines += [*_load("r4", start, shift, first=True), *_load("r5", start + 1, shift)]
    lines += ["adds r5, r5, r4"] * adds
    for number, register in enumerate(("r6", "r2", "r3")[: size - 2], start + 2):
        lines += _load(register, number, shift)
    return lines


def _load(register: str, index: int, shift: int, first: bool = False) -> list[str]:
    """An input, times 2 in both halves, the first one in the upper half only."""
    scale = f"lsls {register}, {register}, #17" if first else f"muls {register}, r7, {register}"
    return [f"ldrb {register}, [r0, #{index}]", *([f"lsrs {register}, {register}, #1"] * shift), scale]


def _table(size: int) -> list[str]:
    """2^size entries from the inputs: the first eight in r4-r7, then one difference from each eight to the next."""
    lines = ["mov r7, lr", "subs r7, r7, r2", "subs r7, r7, r3", "mov lr, r7"] if size == 6 else []
    lines += ["subs r3, r3, r2"] * (size >= 5)
    lines += ["adds r7, r6, r5", "adds r6, r6, r4", "stmia r1!, {r4-r7}"]
    for difference in DIFFERENCES[: 2 ** (size - 3) - 1]:
        lines += [*(f"add {row}, {difference}" for row in ROWS), "stmia r1!, {r4-r7}"]
    return lines
