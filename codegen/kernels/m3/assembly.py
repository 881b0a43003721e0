"""Assembly for Cortex-M3: tables of signed sums, their look-up, buckets, bit columns, and a layer's outputs.

A table holds the 2^bits sums of +x and -x over pairs of inputs, one of each group in a half of a word, plus 2048 in
each half; bit j of an entry's index is 1 where input j counts positive.
"""

from functools import cache

from signbit.codegen.kernels.base import Piece
from signbit.codegen.kernels.listing import Listing, Run, load_words, store_words
from signbit.qmodel.activations import Requantize

PAIRS = ("r5", "r6", "r8", "r12", "lr", "r7", "r9", "r10")
"""Registers of the pairs of inputs that a table is built from, doubled."""

DIFFERENCES = ("r12", "lr", "r0", "r2", "r3")
"""Differences that lead from 8 entries to the next 8: the one for bit k of their number."""

PUSH, POP = "push {r4-r11, lr}", "pop {r4-r11, pc}"

# r0 words, r1 their end, r2 value; an odd number of words begins with one alone


fill = Listing("""
    subs r1, r0
    mov r3, r2
    tst r1, #4
    beq 1f
    @* odd
    str r2, [r0], #4
    subs r1, #4
    beq 2f
    1: strd r2, r3, [r0], #8 @* pairs
    subs r1, #8
    bne 1b
    2: bx lr
    """)
FILL = Piece("m3/fill", values={"assembly": fill})


def fill_run(times: int, words: int) -> Run:
    return fill.run(times, odd=words % 2, pairs=words // 2)


# r0 words, r1 their end, r2 what is inverted, r3 the list of 4 * the number of each set bit
numbers = Listing("""
    push {r4-r7, lr}
    movs r7, #0
    1: ldr r4, [r0], #4 @* words
    eors r4, r2
    beq 3f
    2: rbit r5, r4 @* listed
    clz r5, r5
    subs r6, r4, #1
    add r5, r7, r5, lsl #2
    strh r5, [r3], #2
    ands r4, r6
    bne 2b
    3: adds r7, #128
    cmp r0, r1
    bne 1b
    mov r0, r3
    pop {r4-r7, pc}
    """)
# r0 sums, r1 others, r2 end of the sums
maximum_of_words = Listing("""
    1: ldr r3, [r0] @* words
    ldr r12, [r1], #4
    cmp r3, r12
    it lt
    movlt r3, r12
    str r3, [r0], #4
    cmp r0, r2
    bne 1b
    bx lr
    """)
maximum_of_halves = Listing("""
    push {r4, r5}
    1: ldr r3, [r0] @* words
    ldr r12, [r1], #4
    uxth r4, r3
    uxth r5, r12
    cmp r4, r5
    it lo
    movlo r4, r5
    cmp r3, r12 @ compared as words, the high halves decide
    it lo
    movlo r3, r12
    bfi r3, r4, #0, #16
    str r3, [r0], #4
    cmp r0, r2
    bne 1b
    pop {r4, r5}
    bx lr
    """)


@cache
def table(bits: int, half: int) -> Listing:
    """r0 x, read by whole words, r1 table, r2 shift, r3 mask; pairs from every second byte, from byte `half` on."""
    lines = [PUSH]
    for word in range(-(-bits // 2)):
        lines += [f"ldr r4, [r0, #{4 * word}]", "lsrs r4, r2"]
        for odd, scale in enumerate(("lsl #1", "lsr #7")):
            pair = 2 * word + odd - half
            if 0 <= pair < bits:
                lines.append(f"and {PAIRS[pair]}, r3, r4, {scale}")
    return Listing("\n".join([*lines, *_entries(bits), POP]))


def _entries(bits: int) -> list[str]:
    """The table at r1 from its pairs."""
    if bits >= 5:
        lines = ["add r11, r12, lr @ differences, and in r11 the sum of all", "sub lr, lr, r12"]
        for difference, pair in zip(DIFFERENCES[2:], PAIRS[5:bits], strict=False):
            lines += [f"sub {difference}, {pair}, r11", f"add r11, {pair}"]
        lines += ["add r11, r5", "add r11, r6", "add r11, r8"]
    else:
        lines = ["add r11, r5, r6 @ the sum of all", "add r11, r8", *(["add r11, r12"] * (bits == 4))]
    lines += ["mov r4, #0x08000800 @ the first entry has every input negative", "sub r4, r4, r11, lsr #1"]
    lines += ["add r5, r4", "add r7, r5, r6", "add r6, r4", "add r9, r5, r8", "add r10, r6, r8"]
    lines += ["add r11, r7, r8", "add r8, r4", "stm r1!, {r4-r11}"]
    for number in range(1, 2 ** (bits - 3)):
        difference = DIFFERENCES[(number & -number).bit_length() - 1]
        lines += [*(f"add r{entry}, {difference}" for entry in range(4, 12)), "stm r1!, {r4-r11}"]
    return lines


@cache
def look_up(groups: int, bits: int, registers: int, packed: bool) -> Listing:
    """r0 weights, r1 tables, r2 sums, r3 their end; r8-r11 are sums; r7, r12 and lr indices and then entries."""
    neurons = registers * (2 if packed else 1)
    sums = [f"r{8 + register}" for register in range(registers)]
    bases, temporaries = ("r1", "r4", "r5", "r6"), ("r7", "r12", "lr")
    tables = ["add r4, r1, #2", f"add r5, r1, #{4 << bits}", f"add r6, r4, #{4 << bits}"]
    lines = [PUSH, *tables[: groups - 1], ".p2align 2", "1: @* blocks", load_words("r2", sums)]
    for items in _batches(neurons * groups, len(temporaries)):
        used = list(zip(items, temporaries, strict=False))
        lines += [f"ldrb {register}, {_weight(item, neurons * groups)}" for item, register in used]
        lines += [f"ldrh {register}, [{bases[item % groups]}, {register}, lsl #2]" for item, register in used]
        for item, register in used:
            sum_register, high = divmod(item // groups, 2) if packed else (item // groups, 0)
            lines.append(f"add r{8 + sum_register}, r{8 + sum_register}, {register}{', lsl #16' * high}")
    return Listing("\n".join([*lines, store_words("r2", sums, step=True), "cmp r2, r3", "bne 1b", POP]))


def _weight(item: int, count: int) -> str:
    """Address of weight `item` of `count`, where the first moves r0 on to the next block."""
    return f"[r0, #{item - count}]" if item else f"[r0], #{count}"


@cache
def buckets(width: int, index_bytes: int, shift: int, chain: int) -> Listing:
    """r0 x, r1 indices, r2 entries, r3 running sum, r4 index and input, r5 chain, r6-r12 sums of negative inputs."""
    sums = [f"r{6 + neuron}" for neuron in range(width)]
    lines = ["push {r3-r11, lr}", "adr.w r5, 1f", "adds r5, #1", "movs r3, #0", *(f"mov {total}, #0" for total in sums)]
    for step in range(2**width):
        if step:
            bit = (step & -step).bit_length() - 1
            lines.append(f"{'sub' if step >> bit & 2 == 0 else 'add'} {sums[bit]}, r3")
        lines += ["ldrh r4, [r2], #2", "add r4, r5", "blx r4"]
    lines.append(f"add {sums[-1]}, r3 @ acc = all - 2 * negative")
    lines += [f"sub {total}, r3, {total}, lsl #1" for total in sums]
    lines += ["ldr r3, [sp], #4", store_words("r3", sums), "mov r0, r1", POP]
    lines += [
        ".p2align 2",
        "1: @* summed",
        f".rept {chain}",
        "ldrh r4, [r1], #2" if index_bytes == 2 else "ldrb r4, [r1], #1",
    ]
    lines += [
        "ldrb r4, [r0, r4]",
        f"add.w r3, r3, r4, lsr #{shift}" if shift else "adds r3, r4",
        ".endr",
        "@* returns",
        "bx lr",
    ]
    lines += [
        "@* longer",
        "str lr, [sp, #-4]! @ a bucket longer than the chain",
        "blx r5",
        "ldr lr, [sp], #4",
        "ldrh r4, [r2], #2",
    ]
    return Listing("\n".join([*lines, "add r4, r5", "bx r4"]))


@cache
def count(planes: int) -> Listing:
    """r0 list, r1 its end, r2 columns, r3 planes: ones in r4, twos r5, fours r6, eights r7; r8-r11 carry."""
    lines = ["push {r1, r4-r11, lr}", "mov r1, r2", "mov r2, r3", *(f"movs r{plane}, #0" for plane in range(4, 8))]
    lines += [f"str r4, [r2, #{4 * plane}]" for plane in range(4, planes)]
    lines += ["ldr r3, [sp]", "cmp r0, r3", "beq 2f", "1: @* batches"]
    for eights in ("r10", "r9"):
        for fours in (eights, "r8"):
            for twos in (fours, "r11"):
                lines += [*_column(twos), *_column("r3"), *_adder("r4", twos, "r3")]
            lines += _adder("r5", fours, "r11")
        lines += _adder("r6", eights, "r8")
    lines += [*_adder("r7", "r10", "r9"), "add r3, r2, #16 @ r10, the sixteens, into the planes above"]
    for block in _batches(planes - 4, 4):
        registers = ["r8", "r9", "r11", "lr"][: len(block)]
        lines.append(load_words("r3", registers))
        for number, register in enumerate(registers):
            carry, following = ("r12", "r10") if number % 2 else ("r10", "r12")
            lines += [f"and {following}, {register}, {carry}", f"eor {register}, {carry}"]
        lines.append(store_words("r3", registers, step=True))
    return Listing(
        "\n".join([*lines, "ldr r3, [sp]", "cmp r0, r3", "bne.w 1b", "2: stm r2, {r4-r7}", "pop {r1, r4-r11, pc}"])
    )


def _column(register: str) -> list[str]:
    return [f"ldrh {register}, [r0], #2", f"ldr {register}, [r1, {register}]"]


def _adder(total: str, a: str, b: str) -> list[str]:
    """Full adder: `total` becomes the sum of all three, and a the carry; b is spent."""
    return [f"eor r12, {a}, {b}", f"and {a}, {b}", f"and {b}, r12, {total}", f"orr {a}, {b}", f"eor {total}, r12"]


def finish(neurons: int, packed: bool, ternary: bool, activation) -> Listing:
    """Outputs from sums: r0 sums, r1 outputs, r2 multipliers, r3 biases.

    Sums are planes * acc + offset in words, or in halves of words; the offset is folded into the bias.  Four neurons at
    a time, r4-r7 their sums, r8-r11 their biases and then results.
    """
    lines = [PUSH]
    if neurons >= 4:
        lines += [
            f"movw lr, #{neurons // 4}",
            f"1: @* {neurons // 4}",
            *_outputs(4, packed, ternary, activation),
            "subs lr, #1",
            "bne 1b",
        ]
    for rest in (2, 1):
        if neurons & rest:
            lines += _outputs(rest, packed, ternary, activation)
    return Listing("\n".join([*lines, POP]))


def _outputs(count: int, packed: bool, ternary: bool, activation) -> list[str]:
    loads = {
        (4, True): ["ldm r0!, {r4, r6}", "ldm r3!, {r8-r11}"],
        (4, False): ["ldm r0!, {r4-r7}", "ldm r3!, {r8-r11}"],
        (2, True): ["ldr r4, [r0], #4", "ldm r3!, {r8, r9}"],
        (2, False): ["ldm r0!, {r4, r5}", "ldm r3!, {r8, r9}"],
    }
    lines = loads.get((count, packed), ["ldr r4, [r0], #4", "ldr r8, [r3], #4"])
    low = "ubfx {0}, {0}, #1, #15" if ternary else "uxth {0}, {0}"
    if packed:
        for index in range(0, count, 2):
            if count > 1:
                lines.append(f"lsr r{5 + index}, r{4 + index}, #{17 if ternary else 16}")
            lines.append(low.format(f"r{4 + index}"))
    elif ternary:
        lines += [f"asr r{4 + index}, r{4 + index}, #1" for index in range(count)]
    for index in range(count):
        lines += ["ldrsh r12, [r2], #2", f"mla r{8 + index}, r12, r{4 + index}, r{8 + index}"]
        if isinstance(activation, Requantize):
            bits = activation.high.bit_length()
            lines.append(f"usat r{8 + index}, #{bits}, r{8 + index}, asr #{activation.shift}")
            lines.append(f"strb r{8 + index}, [r1], #1")
        else:
            lines.append(f"str r{8 + index}, [r1], #4")
    return lines


def _batches(count: int, size: int) -> list[range]:
    return [range(start, min(start + size, count)) for start in range(0, count, size)]
