"""Assembly for Helium: the accumulators of a place, and what a pass over tables adds; equations are in places.py.

A place of values: a vector of 16 inputs meets a vector of 16 bytes of weights, which hold eight rows.  Even registers
accumulate: for inputs up to 127, U and T of bits 1 and 0 in r0 and r2, of bits 3 and 2 in r4 and r6, and so on; for
inputs up to 255, bit k in the k-th of them.  A group of fewer rows has the highest bits, and begins in r0 all the same.

    r1 inputs   r3 weights   r5 loops, carry   r7 groups, or the last run's end   r9 accumulators   r11 the place
    q0 inputs   q1 weights   q3 sum of the inputs

A place of bits:

    r0, r2, r4, r6 differing bits of 4 rows   r1 inputs   r3 weights   r5 table   r7 loops   r8 groups
    r9 accumulators   r11 the place   q0 counts   q1 inputs   q2 weights   q3 number of inputs
"""

import itertools
from fractions import Fraction

from signbit.codegen.kernels.base import Piece
from signbit.codegen.kernels.listing import Listing, Run

EVEN = ("r0", "r2", "r4", "r6", "r8", "r10", "r12", "lr")
VECTOR_BYTES = 16
STEP_MAX = 4095
PUSH, POP = "push {r3-r11, lr}", "pop {r3-r11, pc}"


# functions of one loop, over vectors of 16 bytes or 4 words
add = Listing("""
    ldr r12, [sp]
    push {r4, lr}
    vdup.8 q2, r12
    dlstp.8 lr, r3
    1: vldrb.u8 q0, [r0], #16 @* vectors
    vldrb.u8 q1, [r1], #16
    vqadd.u8 q0, q0, q1
    vmin.u8 q0, q0, q2
    vstrb.8 q0, [r2], #16
    letp lr, 1b
    pop {r4, pc}
    """)
copy = Listing("""
    push {r4, lr}
    dlstp.8 lr, r2
    1: vldrb.u8 q0, [r1], #16 @* vectors
    vstrb.8 q0, [r0], #16
    letp lr, 1b
    pop {r4, pc}
    """)
fill = Listing("""
    push {r4, lr}
    vdup.32 q0, r1
    dlstp.8 lr, r2
    1: vstrb.8 q0, [r0], #16 @* vectors
    letp lr, 1b
    pop {r4, pc}
    """)
mean = Listing("""
    push {r4, lr}
    dlstp.32 lr, r2
    1: vldrw.u32 q0, [r0] @* vectors
    vldrw.u32 q1, [r1], #16
    vhadd.s32 q0, q0, q1
    vstrw.32 q0, [r0], #16
    letp lr, 1b
    pop {r4, pc}
    """)
logits = Listing("""
    push {r4, lr}
    ldrh r3, [r0, #8]
    dlstp.32 lr, r3
    ldrd r3, r4, [r0]
    1: vldrw.u32 q0, [r1], #16 @* vectors
    vldrh.s32 q1, [r3], #8
    vldrw.u32 q2, [r4], #16
    vmul.i32 q0, q0, q1
    vadd.i32 q0, q0, q2
    vstrw.32 q0, [r2], #16
    letp lr, 1b
    pop {r4, pc}
    """)
requantize = Listing("""
    push {r4, lr}
    ldrh r3, [r0, #8]
    ldrb r12, [r0, #10]
    ldrb r4, [r0, #11]
    dlstp.32 lr, r3
    vdup.32 q3, r4
    ldrd r3, r4, [r0]
    rsb r12, r12, #0
    1: vldrw.u32 q0, [r1], #16 @* vectors
    vldrh.s32 q1, [r3], #8
    vldrw.u32 q2, [r4], #16
    vmul.i32 q0, q0, q1
    vadd.i32 q0, q0, q2
    vshl.s32 q0, r12
    vqmovunb.s32 q0, q0 @ the lanes' upper halves are never stored
    vmin.u16 q0, q0, q3
    vstrb.32 q0, [r2], #4
    letp lr, 1b
    pop {r4, pc}
    """)

# 32 bits make a word: r3 rows left, r6 rows of this word
sign = Listing("""
    push {r4-r6, r8, r9, lr}
    ldrh r3, [r0, #8]
    ldrd r4, r5, [r0]
    1: cmp r3, #32 @* words
    ite hi
    movhi r6, #32
    movls r6, r3
    mov r8, #0
    vidup.u32 q0, r8, #1
    vmov.i32 q3, #1
    vshl.u32 q3, q3, q0
    mov r8, #0
    dlstp.32 lr, r6
    2: vldrw.u32 q0, [r1], #16 @* vectors in a word
    vldrb.s32 q1, [r5], #4
    vldrw.u32 q2, [r4], #16
    veor q0, q0, q1
    vpt.s32 gt, q2, q0
    vaddvat.u32 r8, q3
    vshl.i32 q3, q3, #4
    letp lr, 2b
    str r8, [r2], #4
    subs r3, r3, r6
    bne 1b
    pop {r4-r6, r8, r9, pc}
    """)

# the next 64 inputs, shifted, and zeros after them
inputs = Listing("""
    rsb r3, r3, #0
    add r12, r0, #64
    1: vctp.8 r2 @* 4
    vpst
    vldrbt.u8 q0, [r1], #16
    vshl.u8 q0, r3
    vstrb.8 q0, [r0], #16
    subs r2, r2, #16
    it mi
    movmi r2, #0
    cmp r0, r12
    bne 1b
    bx lr
    """)


def _build() -> Listing:
    """Tables of 256 sums over 8 inputs each: r0 x, r1 table, r2 count; q0..q3 are 32 entries."""
    lines = """
        push {r3-r10, r12, lr}
        vpush {d8-d13}
        mov lr, r2
        movs r2, #0
        vidup.u16 q0, r2, #1
        vmov.i16 q1, #1
        vand q4, q0, q1
        vshr.u16 q0, q0, #1
        vand q5, q0, q1
        vshr.u16 q6, q0, #1
        dls lr, lr
        1: vldrb.u16 q0, [r0], #8 @* tables
        vaddv.u16 r12, q0
        vshl.i16 q0, q0, #1
        vneg.s16 q0, q0
        vmov.s16 r3, q0[0]
        vmov.s16 r4, q0[1]
        vmov.s16 r5, q0[2]
        vmov.s16 r6, q0[3]
        vmov.s16 r7, q0[4]
        vmov.s16 r8, q0[5]
        vmov.s16 r9, q0[6]
        vmov.s16 r10, q0[7]
        vdup.16 q0, r12
        vmla.s16 q0, q4, r3
        vmla.s16 q0, q5, r4
        vmla.s16 q0, q6, r5
        vadd.i16 q1, q0, r6
        vadd.i16 q2, q0, r7
        vadd.i16 q3, q1, r7
        sub r10, r10, r9
        sub r10, r10, r8
        sub r9, r9, r8
        """.splitlines()
    for register in ("", "r8", "r9", "r8", "r10", "r8", "r9", "r8"):
        for quarter in ("q0", "q1", "q2", "q3"):
            lines += [f"vadd.i16 {quarter}, {quarter}, {register}"] * bool(register)
            lines.append(f"vstrh.16 {quarter}, [r1], #16")
    return Listing("\n".join([*lines, "le lr, 1b", "vpop {d8-d13}", "pop {r3-r10, r12, pc}"]))


build = _build()

FILL = Piece("m55/fill", values={"listing": fill})


def vector_run(listing: Listing, times: int, count: int, size: int = VECTOR_BYTES) -> Run:
    """Run a function of one loop for `count` elements, of which a vector has `size`."""
    return listing.run(times, vectors=-(-count // size))


def sign_run(times: int, neurons: int) -> Run:
    words = -(-neurons // 32)
    return sign.run(times, words=words, **{"vectors in a word": Fraction(-(-neurons // 4), words)})


def places(place) -> Listing:
    """All accumulators of a place: r0 x, r1 acc, r2 weights, r3 offsets if the inputs are gathered."""
    segment_loop = not place.straight and place.runs > 1
    lines = [PUSH, "mov r9, r1", f"mov r11, {'r3' if place.gathered else 'r0'}", "mov r1, r0", "mov r3, r2"]
    lines += _tail_predicate("r5", place.tail_bytes)
    if segment_loop:
        end = place.runs * (place.gap_bytes + place.run_bytes)
        lines += [f"movw r7, #{end & 0xFFFF}", *([f"movt r7, #{end >> 16}"] * (end > 0xFFFF)), "add r7, r7, r0"]
    lines += [*_walk(place, 0), "vdup.32 q3, r0"]
    if place.full_groups > 1:
        lines += (
            [f"movw r5, #{place.full_groups}", "str r5, [sp]"] if segment_loop else [f"movw r7, #{place.full_groups}"]
        )
        lines.append(f"3: @* {place.full_groups}")
    if place.full_groups:
        lines += _group(place, place.full_group.slots)
    if place.full_groups > 1:
        lines += ["ldr r5, [sp]", "subs r5, r5, #1", "str r5, [sp]"] if segment_loop else ["subs r7, r7, #1"]
        lines.append("bne 3b")
    if place.last_group:
        lines += _group(place, place.last_group.slots)
    return Listing("\n".join([*lines, POP]))


def _tail_predicate(register: str, tail_bytes: int) -> list[str]:
    return [f"movs {register}, #{tail_bytes}", f"vctp.8 {register}"] if tail_bytes else []


def _group(place, slots: int) -> list[str]:
    """A group of rows."""
    return [*(["mov r1, r11"] * (not place.gathered)), *_walk(place, slots), *_decode(place, slots)]


def _walk(place, slots: int) -> list[str]:
    """Go over all inputs of a place: add them up, or with `slots` multiply them."""
    lines = [] if place.starts_with_block else [f"mov {register}, #0" for register in EVEN[: max(slots, 1)]]
    gap = advance("r1", place.gap_bytes)
    if not place.straight and place.runs > 1:
        return [*lines, f"1: @* {place.runs}", *_run(place, slots, False), *gap, "cmp r1, r7", "bne 1b"]
    lines += _run(place, slots, place.starts_with_block)
    return lines + repeated(place.runs - 1, [*gap, *_run(place, slots, False)], always=True)


def advance(register: str, distance: int) -> list[str]:
    """Move a pointer on, 4095 bytes at most with each instruction."""
    return [f"addw {register}, {register}, #{min(STEP_MAX, distance - at)}" for at in range(0, distance, STEP_MAX)]


def repeated(count: int, lines: list[str], always: bool = False) -> list[str]:
    """`lines`, `count` times; `always` by the assembler, so that the text has one form."""
    if count < 1:
        return []
    return [f".rept {count}", *lines, ".endr"] if count > 1 or always else lines


def _run(place, slots: int, first: bool) -> list[str]:
    """One run of inputs; with `first` its first block begins the sums."""
    vectors, lines = place.straight_vectors, []
    if place.gathered:
        for number in range(vectors):
            lines += _block(place, slots, VECTOR_BYTES, number, first and number == 0)
    else:
        if first and vectors:
            lines += _block(place, slots, VECTOR_BYTES, 0, True)
        lines += repeated(vectors - first, _block(place, slots, VECTOR_BYTES, 0, False))
    if place.tail_bytes:
        lines += _block(place, slots, place.tail_bytes, vectors, first and vectors == 0)
    if place.loops:
        blocks = repeated(place.unrolled_blocks, _block(place, slots, VECTOR_BYTES, 0, False))
        lines += [f"movw r5, #{place.loops}", f"2: @* {place.loops}", *blocks, "subs r5, r5, #1", "bne 2b"]
    return lines


def _block(place, slots: int, size: int, number: int, first: bool) -> list[str]:
    """One vector of inputs: times `slots` rows, or for none of them added up in r0."""
    lines = _load(place, size, number, slots > 0)
    if not slots:
        return [*lines, f"{'vaddv' if first else 'vaddva'}.u8 r0, q0"]
    multiply = "vmladav" if first else "vmladava"
    rounds = range(0, slots, 2) if place.signed else range(slots)
    for slot in reversed(rounds):
        lines.append(f"{multiply}.u8 {EVEN[slot]}, q0, q1")
        if place.signed:
            lines.append(f"{multiply}.s8 {EVEN[slot + 1]}, q0, q1")
        lines += [f"vshl.i8 q1, q1, #{rounds.step}"] * (slot > 0)
    return lines


def _load(place, size: int, number: int, weights: bool) -> list[str]:
    """The next inputs into q0, with `weights` their weights into q1; after the last both are 0, and nothing is read."""
    partial = size < VECTOR_BYTES
    load = "vldrbt.u8" if partial else "vldrb.u8"
    lines = [f"vldrb.u8 q1, [r11, #{VECTOR_BYTES * number}]"] * place.gathered
    lines += [f"vpst{'t' * weights}"] * partial
    lines.append(f"{load} q0, [r1{', q1]' if place.gathered else f'], #{size}'}")
    lines += [f"{load} q1, [r3], #{size}"] * weights
    return lines + [f"vshr.u8 q0, q0, #{place.job.input_shift}"] * (place.job.input_shift > 0)


def _decode(place, slots: int) -> list[str]:
    """From sums over bytes to accumulators: sum x - 2 S, or sum x - S_a - S_b."""
    lanes = slots // 2 if place.signed else slots
    second, partial = place.signed or slots > 4, place.signed and slots < 8
    both = second and place.job.planes == 1
    lines = _signed_differences(slots // 2) if place.signed else _unsigned_differences(slots)
    if place.job.planes == 2:
        lines += ["vshr.u32 q2, q2, #8", "vsub.i32 q2, q3, q2", "vshr.u32 q1, q1, #8", "vsub.i32 q2, q2, q1"]
    else:
        lines += ["vshr.u32 q2, q2, #7", "vsub.i32 q2, q3, q2"]
        lines += ["vshr.u32 q1, q1, #7", "vsub.i32 q1, q3, q1"] * second
    if not partial:
        return lines + [
            line for result in ("q2", "q1")[: 1 + both] for line in _write(place, result, "[r9]", ", #16", "")
        ]
    lines += [f"movs r5, #{lanes}", "vctp.32 r5", *([f"vpst{'t' * both}"] * (not place.maximum))]
    lines += _write(place, "q2", "[r9]", "", "t")
    return lines + _write(place, "q1", f"[r9, #{4 * lanes}]", "", "t") * both


def _write(place, result: str, address: str, step: str, t: str) -> list[str]:
    """Write a vector of accumulators, or the larger ones of it and those that are there."""
    lines = []
    if place.maximum:
        lines += ["vpsttt"] * bool(t)
        lines += [f"vldrw{t}.u32 q0, {address}", f"vmax{t}.s32 {result}, {result}, q0"]
    return [*lines, f"vstrw{t}.32 {result}, {address}{step}"]


def _signed_differences(pairs: int) -> list[str]:
    """U in q0 and T in q1, one pair per lane: q2 = U - T, and q1 = 2 (U + T) - (U of the pair below)."""
    lines = []
    for lane in range(min(pairs, 2)):
        upper = 2 * lane + 4 if pairs > lane + 2 else 2 * lane
        for vector in range(2):
            low, high = EVEN[2 * lane + vector], EVEN[upper + vector]
            lines.append(f"vmov q{vector}[{lane + 2}], q{vector}[{lane}], {low}, {high}")
    lines += ["movs r5, #0", "vsub.i32 q2, q0, q1", "vadd.i32 q1, q0, q1", "vshlc q0, r5, #32"]
    return [*lines, "vshl.i32 q1, q1, #1", "vsub.i32 q1, q1, q0"]


def _unsigned_differences(slots: int) -> list[str]:
    """A in q0 and q1, one bit per lane: 2 A - (A of the bit below), in q2 and q1."""
    second = slots > 4
    lines = ["vmov q0[2], q0[0], r0, r4", "vmov q0[3], q0[1], r2, r6"]
    lines += ["vmov q1[2], q1[0], r8, r12", "vmov q1[3], q1[1], r10, lr"] * second
    lines += ["movs r5, #0", "vshl.i32 q2, q0, #1", "vshlc q0, r5, #32", "vsub.i32 q2, q2, q0"]
    return lines + ["vshl.i32 q0, q1, #1", "vshlc q1, r5, #32", "vsub.i32 q1, q0, q1"] * second


def bit_places(place) -> Listing:
    """All accumulators of a place of bits: r0 x, r1 acc, r2 weights, r3 counts."""
    fan_in, ternary = place.job.layer.fan_in, place.job.planes == 2
    lines = [PUSH, *(["vpush {d8, d9}"] * ternary), "mov r9, r1", "mov r11, r0", "mov r5, r3", "mov r3, r2"]
    lines += [f"movw r0, #{fan_in & 0xFFFF}", f"movt r0, #{fan_in >> 16}", "vdup.32 q3, r0"]
    lines += _tail_predicate("r0", place.tail_bytes)
    if place.full_groups > 1:
        lines += [f"movw r8, #{place.full_groups}", f"2: @* {place.full_groups}"]
    if place.full_groups:
        lines += _bit_group(place, 4)
    if place.full_groups > 1:
        lines += ["subs r8, r8, #1", "bne 2b"]
    if place.last_rows:
        lines += _bit_group(place, place.last_rows)
    return Listing("\n".join([*lines, *(["vpop {d8, d9}"] * ternary), POP]))


def _bit_group(place, rows: int) -> list[str]:
    """Accumulators of up to 4 rows; what a last group of fewer writes after them is never read."""
    lines = _count(place, rows)
    if place.job.planes == 2:
        lines += ["vsub.i32 q4, q3, q0", *_count(place, rows), "vsub.i32 q0, q4, q0"]
    else:
        lines += ["vshl.i32 q0, q0, #1", "vsub.i32 q0, q3, q0"]
    lines += ["vldrw.u32 q1, [r9]", "vmax.s32 q0, q0, q1"] * place.maximum
    return [*lines, "vstrw.32 q0, [r9], #16"]


def _count(place, rows: int) -> list[str]:
    """Differing bits of `rows` rows into q0."""
    lines = ["mov r1, r11"]
    if place.starts_with_block:
        lines += _bit_run(place, rows, True)
    else:
        lines += [f"movs {register}, #0" for register in EVEN[:rows]]
    gap = advance("r1", place.pitch_bytes - place.segment_bytes)
    lines += repeated(place.segments - 1, [*gap, *_bit_run(place, rows, False)], always=True)
    if place.loops:
        blocks = repeated(place.unrolled_blocks, _bit_block(VECTOR_BYTES, rows, False))
        lines += [f"movw r7, #{place.loops}", f"1: @* {place.loops}", *blocks, "subs r7, r7, #1", "bne 1b"]
    return [*lines, "vmov q0[2], q0[0], r0, r4", "vmov q0[3], q0[1], r2, r6"]


def _bit_run(place, rows: int, first: bool) -> list[str]:
    """One run of inputs without its loop; with `first` its first block begins the sums."""
    vectors = place.straight_vectors
    lines = _bit_block(VECTOR_BYTES, rows, True) if first and vectors else []
    lines += repeated(vectors - first, _bit_block(VECTOR_BYTES, rows, False))
    return lines + (_bit_block(place.tail_bytes, rows, first and vectors == 0) if place.tail_bytes else [])


def _bit_block(size: int, rows: int, first: bool) -> list[str]:
    """One vector of inputs against `rows` rows.  After the last input both are 0, and nothing is read."""
    partial = size < VECTOR_BYTES
    load = [*(["vpst"] * partial), f"{'vldrbt.u8' if partial else 'vldrb.u8'} {{}}, [{{}}], #{size}"]
    lines = [line.format("q1", "r1") for line in load]
    for register in EVEN[:rows]:
        lines += [line.format("q2", "r3") for line in load]
        lines += ["veor q2, q2, q1", "vldrb.u8 q0, [r5, q2]", f"{'vaddv' if first else 'vaddva'}.u8 {register}, q0"]
    return lines


def channel_places(place) -> Listing:
    """The accumulators of a depthwise place: r0 x, r1 acc, r2 weights; sums of 16 bits go after the accumulators."""
    height, width = place.job.layer.kernel
    label = ".Lrow"
    channels, sums_at = place.job.neurons, 32 * place.groups
    lines = ["push {r3-r7, lr}", f"addw r4, r1, #{sums_at % 4096}"]
    lines += [f"add r4, r4, #{sums_at // 4096 * 4096}"] * (sums_at > STEP_MAX)
    lines += [
        "mov r5, r4",
        f"movw r6, #{channels}",
        "dlstp.16 lr, r6",
        f"1: mov r3, r0 @* {place.groups}",
        "vmov.i16 q2, #0",
    ]
    lines += [f".set {label}, 0", f".rept {height}", f".rept {width}", "vldrb.u16 q0, [r3]", "vldrb.s16 q1, [r2], #8"]
    lines += [f"addw r3, r3, #{channels}", *([f"vshr.u16 q0, q0, #{place.job.input_shift}"] * place.job.input_shift)]
    lines += ["vmul.i16 q0, q0, q1", "vadd.i16 q2, q2, q0", ".endr"]
    gap = advance("r3", place.pitch_bytes - width * channels)
    if gap:
        lines += [f".set {label}, {label} + 1", f".if {label} < {height}", f"@* {height - 1}/{height}", *gap, ".endif"]
    lines += [".endr", "adds r0, r0, #8", "vstrh.16 q2, [r4], #16", "letp lr, 1b", "dlstp.32 lr, r6"]
    lines += [
        f"2: vldrh.s32 q0, [r5], #8 @ widen the sums @* {-(-channels // 4)}",
        *(["vldrw.u32 q1, [r1]", "vmax.s32 q0, q0, q1"] * place.maximum),
    ]
    return Listing("\n".join([*lines, "vstrw.32 q0, [r1], #16", "letp lr, 2b", "pop {r3-r7, pc}"]))


def table_pass(tables: int) -> Listing:
    """Add the sums from `tables` tables to the accumulators: r0 acc, r1 weights, r2 table, r3 groups."""
    bases = [f"r{2 + table}" for table in range(tables)]
    lines = ["push {r4-r10, lr}", "dls lr, r3"]
    lines += [f"add {base}, {before}, #512" for before, base in itertools.pairwise(bases)]
    lines += ["1: vldrb.u16 q1, [r1], #8 @* groups", "vldrh.u16 q0, [r2, q1, uxtw #1]"]
    for base in bases[1:]:
        lines += ["vldrb.u16 q1, [r1], #8", f"vldrh.u16 q2, [{base}, q1, uxtw #1]", "vadd.i16 q0, q0, q2"]
    for half in ("vmovlb", "vmovlt"):
        lines += ["vldrw.u32 q1, [r0]", f"{half}.s16 q2, q0", "vadd.i32 q1, q1, q2", "vstrw.32 q1, [r0], #16"]
    return Listing("\n".join([*lines, "le lr, 1b", "mov r0, r1", "pop {r4-r10, pc}"]))
