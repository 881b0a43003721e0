"""Assembly for the DSP extension (Cortex-M4, M7, M33).

A block of assembly is a statement whose only operand is `%[arguments]`, a pointer to its arguments.  The statement
saves r0 and r7, one of which holds it, and declares all others as clobbered.  Masks are made from words of sign
bits: r3 holds 0x80808080, or 0x01010101 for a full scale of 255; the mask goes to r2, and USADA8 adds |x - mask|.
"""

from signbit.codegen.kernels.listing import Listing, load_words
from signbit.qmodel.activations import Activation, Requantize, Sign

POOL = ("r6", "r7", "r8", "r9", "r10", "r11", "r12", "lr")
COUNT_ONE = "#0x1000000"
"""A 1 in the upper 8 bits of a sum, where loops count up to 0."""

OFFSET_MAX = 4095
PATCH_STRAIGHT_BYTES = 120
"""Patches up to this size are copied without a loop."""


edge_row = Listing("""
    subs %[bytes], %[bytes], #4
    blo 2f
    1: ldr %[values], [%[from]], #4 @* words
    lsr %[values], %[values], %[shift]
    and %[values], %[values], %[lanes]
    str %[values], [%[to]], #4
    subs %[bytes], %[bytes], #4
    bhs 1b
    2: adds %[bytes], %[bytes], #4
    beq 4f
    3: ldrb %[values], [%[from]], #1 @* rest
    lsr %[values], %[values], %[shift]
    strb %[values], [%[to]], #1
    subs %[bytes], %[bytes], #1
    bne 3b
    4:
    """)
"""Copies a row of a patch over the image's edge, shifted."""

add = Listing("""
    ldr r12, [sp]
    push {r4, r5, lr}
    subs r3, #4
    blo 2f
    1: ldr r4, [r0], #4 @* words
    ldr r5, [r1], #4
    uqadd8 r4, r4, r5
    uqsub8 r5, r4, r12
    usub8 r4, r4, r5
    str r4, [r2], #4
    subs r3, #4
    bhs 1b
    2: adds r3, #4
    beq 4f
    3: ldrb r4, [r0], #1 @* rest
    ldrb r5, [r1], #1
    uqadd8 r4, r4, r5
    uqsub8 r5, r4, r12
    usub8 r4, r4, r5
    strb r4, [r2], #1
    subs r3, #1
    bne 3b
    4: pop {r4, r5, pc}
    """)
"""out = min(x + y, high): r0 x, r1 y, r2 out, r3 count; high in every byte of the word on the stack."""


def _statement(lines: list[str]) -> Listing:
    """A block, which saves r0 and r7."""
    return Listing("\n".join(["push {r0, r7}", *lines, "pop {r0, r7}"]))


def counted(rounds: int) -> str:
    """Initial value of a sum that counts `rounds` of a loop."""
    return f"#{(256 - rounds) % 256 << 24 if rounds > 1 else 0}"


def mask_bits(full_scale: int) -> str:
    return f"mov r3, #{'0x80808080' if full_scale == 128 else '0x01010101'}"


def _mask(word: str, index: int, full_scale: int) -> str:
    """r2 = mask number `index` of the register `word`."""
    bit = index % 8
    if full_scale == 128:
        return f"and r2, r3, {word}{f', lsl #{bit}' * (bit > 0)}"
    return f"and r2, r3, {word}{f', lsr #{7 - bit}' * (bit < 7)}; rsb r2, r2, r2, lsl #8"


def number(register: str, value: int) -> str:
    """register = value, in one or two instructions."""
    high = f"; movt {register}, #{value >> 16}" if value >> 16 else ""
    return f"movw {register}, #{value & 0xFFFF}{high}"


def scale(acc: str, activation: Activation, multiplier: str, bias: str) -> str:
    """acc = the output's value: multiplied, and for a requantize shifted and clamped."""
    text = f"mla {acc}, {acc}, {multiplier}, {bias}"
    if not isinstance(activation, Requantize):
        return text
    high, shift = activation.high, activation.shift
    if high & (high + 1) == 0:
        return f"{text}; usat {acc}, #{high.bit_length()}, {acc}, asr #{shift}"
    return f"{text}; usat {acc}, #8, {acc}, asr #{shift}; cmp {acc}, #{high}; it hi; movhi {acc}, #{high}"


def _store(activation: Activation, register: str, address: str) -> str:
    """Store an output and move `address` on."""
    return (
        f"strb {register}, [{address}], #1"
        if isinstance(activation, Requantize)
        else f"str {register}, [{address}], #4"
    )


def dense(blocks, planes: int, full_scale: int, activation: Activation) -> Listing:
    """All rows; arguments: x, out, multiplier, bias, weights.  x, out and the parameters lie on the stack."""
    first, count = blocks[0]
    lines = ["ldm %[arguments], {r1-r5} @ x, out, multiplier, bias, weights", number("r6", 4 * first.words * count)]
    lines += ["add r6, r6, r5", "push {r1-r4, r6, r8}", "mov r0, r1", "mov r1, r5", mask_bits(full_scale)]
    for block, block_count in blocks:
        lines += [f"1: @* {block_count}"] * (block_count > 1)
        lines += [*_dense_block(block, full_scale), *_dense_outputs(POOL[8 - block.rows :: planes], planes, activation)]
        if block_count > 1:
            lines += ["ldr r2, [sp, #16]", "cmp r1, r2", "bne 1b"]
    return _statement([*lines, "add sp, sp, #24"])


def _dense_block(block, full_scale: int) -> list[str]:
    """The sums of a block's rows: chunk label 2, entry label 3."""
    words, sums = POOL[: block.group_words], POOL[8 - block.rows :]
    looped, entry = block.chunks > 1, block.entry
    lines = [f"mov {sums[0]}, {counted(block.chunks)} @ {'chunks, counted up' if looped else 'sums'}"]
    lines += [f"mov {register}, #0" for register in sums[1:]]
    if block.enters_group:
        lines.append(load_words("r1", words[: block.rows - block.skipped], step=True))
    if looped:
        lines += ["b 3f"] * (entry > 0) + [f"2: @* {block.chunks}"]
        lines += [f"@* {block.chunks - 1}/{block.chunks}"] * (entry > 0)
    for pair in range(0 if looped else entry, 4):
        if looped and pair == entry > 0:
            lines.append("3:")
        for row in range(block.rows):
            for half in range(2):
                index = 2 * (pair * block.rows + row) + half
                if index % (8 * len(words)) == 0:
                    lines.append(load_words("r1", words[: block.rows - index // 8], step=True))
                if row == half == 0:
                    lines.append("ldrd r4, r5, [r0], #8")
                lines.append(_mask(words[index // 8 % len(words)], index, full_scale))
                lines.append(f"usada8 {sums[row]}, r{4 + half}, r2, {sums[row]}")
    return [*lines, f"adds {sums[0]}, {sums[0]}, {COUNT_ONE}", "bcc 2b"] if looped else lines


def _dense_outputs(sums: tuple[str, ...], planes: int, activation: Activation) -> list[str]:
    """Finish a block: x, out, multiplier and bias are on the stack."""
    lines = []
    if planes == 2:
        for total in sums:
            other = POOL[POOL.index(total) + 1]
            lines += [f"add {total}, {total}, {other}", f"asr {total}, {total}, #1"]
    if isinstance(activation, Sign):
        lines += ["ldr r0, [sp, #4]", *(f"str {total}, [r0], #4" for total in sums)]
    else:
        lines += ["ldrd r4, r5, [sp, #8] @ multiplier, bias", "ldr r0, [sp, #4]"]
        for total in sums:
            lines += ["ldrsh r2, [r4], #2", "ldr r6, [r5], #4", scale(total, activation, "r2", "r6")]
            lines.append(_store(activation, total, "r0"))
        lines.append("strd r4, r5, [sp, #8]")
    return [*lines, "str r0, [sp, #4]", "ldr r0, [sp]"]


def copy(fan_in: int, shift: int) -> Listing:
    """Copy the inputs, shifted, and zeros after them up to a pair's end; arguments: from, to."""
    words, rest = divmod(fan_in, 4)
    lines = ["ldm %[arguments], {r1, r2}", *(["mov lr, #0x7f7f7f7f"] * shift)]
    if words // 4:
        four = ("r4", "r5", "r6", "r8")
        lines += [number("r3", words // 4), f"1: @* {words // 4}", *(f"ldr {word}, [r1], #4" for word in four)]
        lines += [f"and {word}, lr, {word}, lsr #1" for word in four] * shift
        lines += ["stm r2!, {r4, r5, r6, r8}", "subs r3, r3, #1", "bne 1b"]
    halve = ["and r4, lr, r4, lsr #1"] * shift
    lines += ["ldr r4, [r1], #4", *halve, "str r4, [r2], #4"] * (words % 4)
    if rest:
        lines.append("ldrb r4, [r1]")
        for byte in range(1, rest):
            lines += [f"ldrb r5, [r1, #{byte}]", f"orr r4, r4, r5, lsl #{8 * byte}"]
        lines += [*halve, "str r4, [r2], #4"]
    if 0 < fan_in % 8 <= 4:
        lines += ["mov r4, #0", "str r4, [r2]"]
    return _statement(lines)


def bit_rows(counter: list[str], chunks: int, leaves_counts: bool, activation: Activation) -> Listing:
    """All rows of one-bit inputs; arguments: x, out, multiplier, bias, weights, end of weights."""
    lines = ["ldm %[arguments], {r1-r6}", "push {r1-r6}"]
    lines += ["sub sp, sp, #8 @ count, unused, x, out, multiplier, bias", "mov r1, r5", "1: ldr r0, [sp, #8] @* rows"]
    if chunks > 1:
        lines += ["mov r2, #0", "str r2, [sp]", f"mov r2, #{chunks}", "str r2, [sp, #4]", f"2: @* {chunks}"]
    lines += counter
    if chunks > 1:
        lines += ["ldrd r3, r4, [sp]", "add r2, r2, r3", "subs r4, r4, #1", "strd r2, r4, [sp]", "bne 2b"]
    if leaves_counts:
        lines += ["ldr r3, [sp, #12]", "str r2, [r3], #4", "str r3, [sp, #12]"]
    else:
        lines += ["ldrd r4, r5, [sp, #16]", "ldr r3, [sp, #12]", "ldrsh r6, [r4], #2", "ldr r7, [r5], #4"]
        lines += ["mov r8, #0", "sub r2, r8, r2, lsl #1", scale("r2", activation, "r6", "r7")]
        lines += [_store(activation, "r2", "r3"), "strd r4, r5, [sp, #16]", "str r3, [sp, #12]"]
    return _statement([*lines, "ldr r3, [sp, #28]", "cmp r1, r3", "bne 1b", "add sp, sp, #32"])


def pixels(walk, full_scale: int, planes: int, neurons: int, pixel_count: int, activation: Activation) -> Listing:
    """Two pixels, all their outputs; arguments: the pixels' inputs, out, multiplier, bias, end of weights, weights."""
    lines = [
        "ldm %[arguments], {r1-r6, r8}",
        "push {r1-r6}",
        "mov lr, r8",
        mask_bits(full_scale),
        f"1: ldrd r0, r1, [sp] @* {_tiles(planes, neurons)}",
    ]
    sums = [["r8", "r9"][:pixel_count], ["r10", "r11"][:pixel_count]][: 2 // planes]
    lines += _tile(walk, full_scale, planes)
    return _statement([*lines, *_outputs(sums, planes, neurons, activation), "add sp, sp, #24"])


def pooled(walk, full_scale: int, planes: int, neurons: int, pairs: int, activation: Activation) -> Listing:
    """One pooled pixel; arguments: out, multiplier, bias, end of weights, weights and the inputs of all places."""
    maxima = [("r8", "r9", "r4"), ("r10", "r11", "r5")][: 2 // planes]

    def maximum(register: str, other: str) -> list[str]:
        return [f"cmp {register}, {other}", "it lt", f"movlt {register}, {other}"]

    lines = ["ldm %[arguments], {r1-r4, lr}", "add r6, %[arguments], #20", "push {r1-r6}"]
    lines += ["sub sp, sp, #8 @ two maxima; out, multiplier, bias, end; pair, pairs", mask_bits(full_scale)]
    lines.append(f"1: ldr r2, [sp, #28] @* {_tiles(planes, neurons)}")
    if pairs > 1:
        lines += ["mov r4, #0", "mov r5, #0", "strd r4, r5, [sp]", f"2: @* {pairs}"]
    lines += ["ldrd r0, r1, [r2], #8", *(["str r2, [sp, #24]"] * (pairs > 1)), *_tile(walk, full_scale, planes)]
    for first, second, _ in maxima:
        lines += maximum(first, second)
    if pairs > 1:
        lines.append("ldrd r4, r5, [sp]")
        for first, _, before in maxima:
            lines += maximum(first, before)
        lines += ["ldrd r2, r4, [sp, #24]", "sub r4, r2, r4", f"cmp r4, #{8 * pairs}", "beq 5f"]
        lines += [f"@* {pairs - 1}/{pairs}", "strd r8, r10, [sp]"]
        lines += [number("r4", 4 * walk.tile_words), "sub lr, lr, r4", "b 2b", "5:"]
    sums = [[first] for first, _, _ in maxima]
    return _statement([*lines, *_outputs(sums, planes, neurons, activation), "add sp, sp, #32"])


def _tile(walk, full_scale: int, planes: int) -> list[str]:
    """The sums of a tile: pixels in r0 and r1, weights in lr; r8, r9 the first row's, r10, r11 the second's."""
    looped = walk.iterations > 1
    lines = [
        f"mov r8, {counted(walk.iterations)}",
        "mov r9, #0",
        "mov r10, #0",
        "mov r11, #0",
        *([f"3: @* {walk.iterations}"] * looped),
    ]
    mask = 0
    for run in range(walk.runs):
        moves = looped or run + 1 < walk.runs
        for step in range(0, walk.steps, 2):
            pair, ends_run = step + 1 < walk.steps, step + 2 >= walk.steps
            lines += _tile_inputs(walk, pair, ends_run, moves)
            for row in range(2):
                for half in range(2 if pair else 1):
                    if mask % 8 == 0:
                        lines.append("ldr r12, [lr], #4")
                    lines.append(_mask("r12", mask, full_scale))
                    for pixel in range(2):
                        total = f"r{8 + 2 * row + pixel}"
                        lines.append(f"usada8 {total}, r{4 + 2 * pixel + half}, r2, {total}")
                    mask += 1
        if moves and not walk.advances_in_load:
            lines += _move(walk.advance_bytes, "r2", "r0", "r1")
    if looped:
        lines += [f"adds r8, r8, {COUNT_ONE}", "bcc 3b"]
    if planes == 2:
        lines += ["add r8, r8, r10", "asr r8, r8, #1", "add r9, r9, r11", "asr r9, r9, #1"]
    return lines


def _tile_inputs(walk, pair: bool, ends_run: bool, moves: bool) -> list[str]:
    """One or two words of each pixel; the last load of a run may lead to the next run."""
    if not pair:
        return ["ldr r4, [r0]", "ldr r6, [r1]"]
    if ends_run and not (moves and walk.advances_in_load):
        return ["ldrd r4, r5, [r0]", "ldrd r6, r7, [r1]"]
    by = walk.advance_bytes if ends_run else 8
    return [f"ldrd r4, r5, [r0], #{by}", f"ldrd r6, r7, [r1], #{by}"]


def _move(distance: int, temporary: str, *registers: str) -> list[str]:
    """Move addresses by `distance` bytes, with `temporary` for what does not fit an immediate."""
    operation, size = ("sub", -distance) if distance < 0 else ("add", distance)
    if size <= OFFSET_MAX:
        return [f"{operation} {register}, {register}, #{size}" for register in registers]
    return [number(temporary, size), *(f"{operation} {register}, {register}, {temporary}" for register in registers)]


def _tiles(planes: int, neurons: int) -> int:
    """Tiles of two rows."""
    return -(-planes * neurons // 2)


def _outputs(sums: list[list[str]], planes: int, neurons: int, activation: Activation) -> list[str]:
    """Outputs of a tile, for the pixels whose sums are in `sums`, one list per neuron; then the loop over tiles."""
    signs, tiles = isinstance(activation, Sign), _tiles(planes, neurons)
    value_bytes = 1 if isinstance(activation, Requantize) else 4
    lines = ["ldr r0, [sp, #8]", *(["ldrd r4, r5, [sp, #12]"] * (not signs))]
    for neuron, registers in enumerate(sums):
        if neuron and neurons % 2:
            lines += ["ldr r2, [sp, #20]", "cmp lr, r2", "beq 4f", f"@* {tiles - 1}/{tiles}"]
        if not signs:
            lines += ["ldrsh r2, [r4], #2", "ldr r6, [r5], #4"]
            lines += [scale(register, activation, "r2", "r6") for register in registers]
        if len(registers) == 2:
            lines.append(f"{'strb' if value_bytes == 1 else 'str'} {registers[1]}, [r0, #{value_bytes * neurons}]")
        lines.append(_store(activation, registers[0], "r0"))
    lines += ["strd r4, r5, [sp, #12]"] * (not signs)
    return [*lines, "str r0, [sp, #8]", "ldr r2, [sp, #20]", "cmp lr, r2", "bne 1b", "4:"]


def patch(rows: int, row_bytes: int, stride_bytes: int, shift: int, aligned: bool) -> Listing:
    """Copy a patch that lies inside the image; arguments: from, to.

    Lines of `row_bytes`, `stride_bytes` apart; `aligned` where both ends are at whole words.
    """
    looped = rows > 1 and rows * row_bytes > PATCH_STRAIGHT_BYTES
    lines = ["ldm %[arguments], {r1, r2}", *(["mov r3, #0x7f7f7f7f"] * shift)]
    lines += [f"mov lr, #{rows}", f"1: @* {rows}"] * looped
    for row in range(1 if looped else rows):
        if aligned:
            lines += _aligned_row(row_bytes // 4)
            if stride_bytes != row_bytes:
                lines += _move(stride_bytes - row_bytes, "r4", "r1")
        else:
            lines += _unaligned_row(row_bytes, shift)
            if looped or row + 1 < rows:
                lines += _move(stride_bytes, "r4", "r1")
    return _statement([*lines, *(["subs lr, lr, #1", "bne 1b"] * looped)])


def _aligned_row(words: int) -> list[str]:
    lines = []
    for first in range(0, words, 8):
        registers = ("r4", "r5", "r6", "r8", "r9", "r10", "r11", "r12")[: words - first]
        block = f"{{{', '.join(registers)}}}"
        lines += (
            [f"ldm r1!, {block}", f"stm r2!, {block}"]
            if len(registers) > 1
            else ["ldr r4, [r1], #4", "str r4, [r2], #4"]
        )
    return lines


def _unaligned_row(row_bytes: int, shift: int) -> list[str]:
    halve, lines = ["and r4, r3, r4, lsr #1"] * shift, []
    for byte in range(0, row_bytes - 3, 4):
        lines += [f"ldr r4, [r1, #{byte}]", *halve, "str r4, [r2], #4"]
    if row_bytes % 4 >= 2:
        lines += [f"ldrh r4, [r1, #{row_bytes // 4 * 4}]", *halve, "strh r4, [r2], #2"]
    if row_bytes % 2:
        lines += [f"ldrb r4, [r1, #{row_bytes - 1}]", *(["lsr r4, r4, #1"] * shift), "strb r4, [r2], #1"]
    return lines
