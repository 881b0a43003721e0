"""Assembly of convolutions by vector tables, for Thumb-1 (Cortex-M0) and, where `wide`, for Thumb-2 (M3 and above).

An entry of a table is a vector of places: word i holds the sums for columns i and i + n of a row, in two lanes of 16
bits.  Lanes are added by plain 32-bit additions: a word is low + 65536 * high modulo 2^32, whatever the signs, and once
both lanes are known to lie in 0..65535 they are the word's halves.
"""

from dataclasses import dataclass
from functools import cache, cached_property

from signbit.codegen.kernels.listing import Listing

LOADED = ("r2", "r3", "r4", "r5", "r6", "r7")
SUMS = ("r8", "r9", "r10", "r11", "r12", "lr")
INPUTS = ("r6", "r7", *SUMS)
"""What one input adds to each word of an entry; fewer words use the last ones."""
WORDS_MAX = len(SUMS)
ENTRY_WORDS_MAX = len(INPUTS)
BYTE_OFFSETS = 32
"""LDRB of Thumb-1 reaches this many bytes."""
IMMEDIATE_MAX = 255
NEAR_LINES = 110
"""Lines over which a conditional branch of Thumb-1 surely reaches."""


@dataclass(frozen=True)
class Entry:
    """The words of an entry: where in a row their low lanes come from, and bytes from there to their high lanes."""

    columns: tuple[int, ...]
    lane_bytes: int
    shift: int

    @cached_property
    def words(self) -> int:
        return len(self.columns)


@cache
def table(entry: Entry, wide: bool) -> Listing:
    """Table of all signed sums: r0 x, r1 table, r2 its upper half, r3 upper half + an entry per input; returns its end.

    First the words that each input adds are written from the middle of the table on.  Entry 0 is minus half their sum;
    then each input doubles the number of entries.  On the stack: end of the entries that there are, table, next input's
    words and their end.
    """
    inputs = INPUTS[-entry.words :]
    data = LOADED[: 6 if entry.words <= 6 else 4]
    end = "r8" if entry.words < 6 else "r6" if entry.words == 7 else ""
    is_doubled = not wide or entry.shift > 0
    lines = [*_save(wide), "push {r0-r3}", "mov r1, r2", "movs r2, #0", *(f"mov {total}, r2" for total in inputs)]
    if not wide:
        lines += [*_constant("r3", entry.lane_bytes), *(_constant("r2", 0x10001) if entry.shift else [])]
    lines.append("1: @* inputs")
    following = [*entry.columns[1:], 1]
    for number, (column, total) in enumerate(zip(entry.columns, inputs, strict=True)):
        word = f"r{2 + number % 3}" if wide else "r4"
        if wide:
            lines += [f"ldrb {word}, [r0, #{column}]", f"ldrb r5, [r0, #{column + entry.lane_bytes}]"]
            lines += [f"orr {word}, {word}, r5, lsl #16", *[f"bic {word}, #0x00010001"] * (entry.shift > 0)]
        else:
            lines += ["ldrb r4, [r0]", "ldrb r5, [r0, r3]", "lsls r5, r5, #16", "orrs r4, r5"]
            lines += ["bics r4, r2" if entry.shift else "adds r4, r4, r4", *_advance("r0", following[number] - column)]
        lines.append(f"add {total}, {word}")
        if not wide or number % 3 == 2 or number == entry.words - 1:
            lines += _store("r1", LOADED[: number % 3 + 1] if wide else ["r4"], wide)
    lines += [*["adds r0, #1"] * wide, "ldr r4, [sp, #12]", "cmp r1, r4", *_repeat("1", "2", len(lines), wide)]
    lines.append("ldr r1, [sp, #4]")
    for part in _parts(inputs, data):
        lines += [f"mov {register}, {total}" for total, register in part]
        lines += [f"lsrs {register}, {register}, #1" for _, register in part if is_doubled]
        lines += [f"rsbs {register}, {register}, #0" for _, register in part]
        lines += _store("r1", [register for _, register in part], wide)
    lines += ["3: ldr r0, [sp, #8] @* inputs"]
    if wide:
        lines += _load("r0", list(inputs), wide)
    else:
        for part in _parts(inputs, data):
            lines += _load("r0", [register for _, register in part], wide)
            lines += [f"mov {total}, {register}" for total, register in part]
    lines += ["str r0, [sp, #8]", "ldr r0, [sp, #4]", f"mov {end}, r1" if end else "str r1, [sp]", "4: @* entries"]
    for part in _parts(inputs, data):
        lines += _load("r0", [register for _, register in part], wide)
        lines += [f"add {data}, {word}" if is_doubled else f"add {data}, {data}, {word}, lsl #1" for word, data in part]
        lines += _store("r1", [register for _, register in part], wide)
    lines += [f"cmp r0, {end}"] if end else ["ldr r2, [sp]", "cmp r0, r2"]
    lines += ["bne 4b", "ldr r2, [sp, #8]", "ldr r3, [sp, #12]", "cmp r2, r3", "bne 3b", "mov r0, r1", "add sp, #16"]
    return Listing("\n".join([*lines, *_restore(wide)]))


@dataclass(frozen=True)
class Pass:
    """A pass over all neurons, which adds to their sums `taps` words of each group's table in each of `sections`.

    A sum is `words` words.  `bases` are where in a section, in words, weights count from; each is for some groups.
    """

    words: int
    sections: int
    bases: tuple[tuple[int, int], ...]
    taps: int

    @property
    def lookups(self) -> int:
        return self.sections * self.taps * sum(groups for _, groups in self.bases)

    @cache  # noqa: B019 -- of values
    def listing(self, wide: bool) -> Listing:
        """r0 weights, r1 addresses of the sections' tables, r2 sums, r3 their end.

        r1 is a base, and r2 to r7 are an entry.  The place of the sums is in r7 and their end in lr, or where these are
        taken on the stack above all bases.
        """
        if not wide and self.lookups == 1:
            return self._single()
        loaded, sums = LOADED[: self.words], SUMS[: self.words]
        at = 4 * self.sections * len(self.bases)
        end = at + 4
        is_free = self.words < WORDS_MAX
        lines = [*_save(wide), f"sub sp, #{at if is_free else at + 8}"]
        for section in range(self.sections):
            lines.append(f"ldr r4, [r1, #{4 * section}]")
            start = 0
            for number, (base, _) in enumerate(self.bases):
                lines += [*_constant("r5", 4 * (base - start)), "adds r4, r4, r5"] if base > start else []
                lines.append(f"str r4, [sp, #{4 * (section * len(self.bases) + number)}]")
                start = base
        lines += ["mov r7, r2", "mov lr, r3"] if is_free else [f"str r2, [sp, #{at}]", f"str r3, [sp, #{end}]"]
        pointer = "r7" if is_free else "r1"
        lines.append("1: @* neurons")
        lines += [] if is_free else [f"ldr r1, [sp, #{at}]"]
        if wide:
            lines.append(f"ldm {pointer}, {_block(sums)}" if self.words > 1 else f"ldr r8, [{pointer}]")
        else:
            lines.append(f"ldmia {pointer}!, {_block(loaded)}")
            lines += [f"mov {total}, {register}" for total, register in zip(sums, loaded, strict=True)]
        starts, total = {}, 0
        for number, (_, groups) in enumerate(self.bases * self.sections):
            starts[total] = 4 * number
            total += groups * self.taps
        for lookup in range(self.lookups):
            lines += [f"ldr r1, [sp, #{starts[lookup]}]"] if lookup in starts else []
            if wide:
                lines += ["ldrb r2, [r0], #1", "add r2, r1, r2, lsl #2"]
            else:
                lines += [f"adds r0, #{BYTE_OFFSETS}"] * (lookup > 0 and lookup % BYTE_OFFSETS == 0)
                lines += [f"ldrb r2, [r0, #{lookup % BYTE_OFFSETS}]", "lsls r2, r2, #2", "adds r2, r2, r1"]
            lines.append(f"ldm r2, {_block(loaded)}" if self.words > 1 else "ldr r2, [r2]")
            lines += [f"add {total}, {register}" for total, register in zip(sums, loaded, strict=True)]
        lines += [] if wide else [f"adds r0, #{(self.lookups - 1) % BYTE_OFFSETS + 1}"]
        lines += [] if wide else [f"mov {register}, {total}" for total, register in zip(sums, loaded, strict=True)]
        if not is_free:
            lines.append(f"ldr r1, [sp, #{at}]")
        elif not wide:
            lines.append(f"subs r7, #{4 * self.words}")
        lines += _store(pointer, list(sums if wide else loaded), wide)
        lines += ["cmp r7, lr"] if is_free else [f"str r1, [sp, #{at}]", f"ldr r2, [sp, #{end}]", "cmp r1, r2"]
        lines += [*_repeat("1", "2", len(lines), wide), f"add sp, #{at if is_free else at + 8}", *_restore(wide)]
        return Listing("\n".join(lines))

    def _single(self) -> Listing:
        """The same for one look-up, two words at a time: r12 is the table, and the end of the sums is in lr."""
        lines = ["push {r4-r7, lr}", "ldr r1, [r1]", "mov r12, r1", "mov lr, r3", "1: @* neurons"]
        lines += ["ldrb r1, [r0]", "adds r0, #1", "lsls r1, r1, #2", "add r1, r12"]
        for word in range(0, self.words, 2):
            pairs = [("r3", "r5"), ("r4", "r6")][: self.words - word]
            entries = [entry for entry, _ in pairs]
            lines.append(f"ldmia r1!, {_block(entries)}")
            lines += [f"ldr {total}, [r2, #{4 * number}]" for number, (_, total) in enumerate(pairs)]
            lines += [f"adds {entry}, {entry}, {total}" for entry, total in pairs]
            lines.append(f"stmia r2!, {_block(entries)}")
        return Listing("\n".join([*lines, "cmp r2, lr", "bne 1b", "pop {r4-r7, pc}"]))


@dataclass(frozen=True)
class Outputs:
    """How sums become outputs: `places` columns in `words` words, pools of `pool` = (height, width), then a requantize.

    `neurons` is their number and the step from an output pixel to the next.  A sum comes in `parts`; `each_start` says
    that each neuron has its own start, an array of words, and `has_lanes` that the core compares two lanes at once.
    With `is_small` the words of a sum are a loop where nothing is pooled and each has two columns.
    """

    words: int
    places: int
    pool: tuple[int, int]
    neurons: int
    shift: int
    high: int
    parts: int
    each_start: bool
    wide: bool
    has_lanes: bool
    is_small: bool

    @cache  # noqa: B019 -- of values
    def listing(self) -> Listing:
        """r0 a row of sums, r1 the other one of a pool or part, r2 outputs, r3 activation, on the stack the start.

        A neuron has its multiplier in r4, its bias in r5 and its next output in r6; sums are in r2 and r3.  r7 is the
        step from an output to the next; r8 and r9 are the next multiplier and bias, r10 the next neuron's outputs, r11
        the start, and r12 the end of the sums.
        """
        bytes_a_row = 4 * self.words * self.neurons
        saved = 36
        lines = [*_save(self.wide), "mov r10, r2", "ldr r4, [r3]", "mov r8, r4", "ldr r4, [r3, #4]", "mov r9, r4"]
        lines += [f"ldr r4, [sp, #{saved}]", "mov r11, r4", *_constant("r7", bytes_a_row), "adds r7, r7, r0"]
        lines += ["mov r12, r7", *_constant("r7", self.neurons)]
        is_plain = self.pool == (1, 1) and self.parts == 1
        if is_plain:
            lines += [*_constant("r1", self.words * self.neurons)]
        lines.append("1: @* neurons")
        if self.wide:
            lines += ["ldrsh r4, [r8], #2", "ldr r5, [r9], #4", "mov r6, r10", "add r10, #1"]
        else:
            lines += ["mov r3, r8", "ldrh r4, [r3]", "sxth r4, r4", "adds r3, #2", "mov r8, r3"]
            lines += ["mov r3, r9", "ldmia r3!, {r5}", "mov r9, r3", "mov r6, r10", "adds r3, r6, #1", "mov r10, r3"]
        start = ["mov r2, r11", "ldmia r2!, {r3}", "mov r11, r2"] if self.each_start else ["mov r3, r11"]
        if is_plain and self.is_small and self.places == 2 * self.words:
            lines += [*start, *self._looped()]
        else:
            lines += [*(self._plain() if is_plain else self._pooled()), *start]
            for row in range(max(self.pool[0], self.parts)):
                lines += [f"stmia r{row}!, {{r3}}"] * self.words
        lines += ["cmp r0, r12", *_repeat("1", "99", len(lines), self.wide), *_restore(self.wide)]
        return Listing("\n".join(lines))

    def _plain(self) -> list[str]:
        """Both lanes of each word."""
        return [line for word in range(min(self.words, self.places)) for line in self._word(word)]

    def _looped(self) -> list[str]:
        """Both lanes of a word, which begins anew with r3; the sum's end is in lr."""
        lines = ["mov r2, r0", f"adds r2, #{4 * self.words}", "mov lr, r2", f"2: @* {self.words}", *self._word(0)]
        return [*lines, "stmia r0!, {r3}", "cmp r0, lr", "bne 2b"]

    def _word(self, word: int) -> list[str]:
        """The outputs of a word's lanes, the high one's first."""
        lines = []
        if word + self.words < self.places:
            lines += [self._lane("r2", "r0", word + self.words), *self._requantize(2 * word), "strb r2, [r6, r1]"]
        return [*lines, self._lane("r2", "r0", word), *self._requantize(2 * word + 1), *self._write()]

    def _lane(self, register: str, row: str, column: int) -> str:
        """Load a column's sum."""
        return f"ldrh {register}, [{row}, #{4 * (column % self.words) + 2 * (column // self.words)}]"

    def _pooled(self) -> list[str]:
        """The largest sum of each pool, or the sum of two parts."""
        height, width = max(self.pool[0], self.parts), self.pool[1]
        lines = []
        if self.has_lanes and self.pool[0] == 2:
            for word in range(self.words):
                lines += [f"ldr r2, [r0, #{4 * word}]", f"ldr r3, [r1, #{4 * word}]"]
                lines += ["usub16 lr, r2, r3", "sel r2, r2, r3", f"str r2, [r0, #{4 * word}]"]
            height = 1
        for output in range(self.places // width):
            for place in range(height * width):
                row, column = place // width, output * width + place % width
                register, other = ("r2", "r3") if (height * width - place) % 2 else ("r3", "r2")
                lines.append(self._lane(register, f"r{row}", column))
                if place and self.parts > 1:
                    lines.append(f"adds {register}, {register}, {other}")
                elif place:
                    kept = ["it lo"] if self.wide else ["bhs 9f", "@* kept"]
                    move = f"{'movlo' if self.wide else 'mov'} {register}, {other}"
                    lines += [f"cmp {register}, {other}", *kept, move, *["9:"] * (not self.wide)]
            lines += [*self._requantize(output), *self._write()]
        return lines

    def _write(self) -> list[str]:
        """An output, and on to the next."""
        if self.wide and self.neurons <= IMMEDIATE_MAX:
            return [f"strb r2, [r6], #{self.neurons}"]
        return ["strb r2, [r6]", "adds r6, r6, r7"]

    def _requantize(self, number: int) -> list[str]:
        """r2 = clamp((r2 * multiplier + bias) >> shift, 0, high); a negative sum is 0 before any shift."""
        is_mask = self.high & (self.high + 1) == 0
        if self.wide:
            shift = f", asr #{self.shift}" if self.shift else ""
            lines = ["mla r2, r2, r4, r5", f"usat r2, #{self.high.bit_length()}, r2{shift}"]
            return lines if is_mask else [*lines, f"cmp r2, #{self.high}", "it hi", f"movhi r2, #{self.high}"]
        positive, store = 100 + 2 * number, 101 + 2 * number
        lines = ["muls r2, r4", "adds r2, r2, r5", f"bpl {positive}f", "@* negative", "movs r2, #0", f"b {store}f"]
        lines += [f"{positive}: @* positive", *[f"lsrs r2, r2, #{self.shift}"] * (self.shift > 0)]
        return [
            *lines,
            f"cmp r2, #{self.high}",
            f"bls {store}f",
            "@* clamped",
            f"movs r2, #{self.high}",
            f"{store}:",
        ]


@cache
def fill() -> Listing:
    """r0 words, r1 their end, r2 what they become."""
    return Listing("\n".join(["1: stmia r0!, {r2} @* words", "cmp r0, r1", "bne 1b", "bx lr"]))


def _save(wide: bool) -> list[str]:
    if wide:
        return ["push {r4-r11, lr}"]
    return ["push {r4-r7, lr}", *(f"mov r{low}, r{low + 4}" for low in range(4, 8)), "push {r4-r7}"]


def _restore(wide: bool) -> list[str]:
    if wide:
        return ["pop {r4-r11, pc}"]
    return ["pop {r4-r7}", *(f"mov r{low + 4}, r{low}" for low in range(4, 8)), "pop {r4-r7, pc}"]


def _parts(inputs: tuple[str, ...], data: tuple[str, ...]) -> list[list[tuple[str, str]]]:
    """The words of an entry, as many at a time as there are registers for data."""
    starts = range(0, len(inputs), len(data))
    return [list(zip(inputs[start : start + len(data)], data, strict=False)) for start in starts]


def _load(base: str, registers: list[str], wide: bool) -> list[str]:
    """Words from `base` on, which moves on to what follows them."""
    if wide and len(registers) == 1:
        return [f"ldr {registers[0]}, [{base}], #4"]
    return [f"ldmia {base}!, {_block(registers)}"]


def _store(base: str, registers: list[str], wide: bool) -> list[str]:
    if wide and len(registers) == 1:
        return [f"str {registers[0]}, [{base}], #4"]
    return [f"stmia {base}!, {_block(registers)}"]


def _block(registers) -> str:
    first, *_, last = registers = [*registers, registers[-1]]
    is_run = first != last and last.startswith("r") and int(last[1:]) - int(first[1:]) == len(registers) - 2
    return f"{{{first}-{last}}}" if is_run else f"{{{', '.join(registers[:-1])}}}"


def _repeat(start: str, end: str, lines: int, wide: bool) -> list[str]:
    """Back to `start` unless equal."""
    if wide:
        return [f"bne.w {start}b"]
    return [f"bne {start}b"] if lines < NEAR_LINES else [f"beq {end}f", "@* again", f"b {start}b", f"{end}:"]


def _constant(register: str, value: int) -> list[str]:
    """A positive constant, in the 8-bit pieces that Thumb-1 takes."""
    pieces = value.to_bytes(4, "big").lstrip(b"\0")
    lines, shift = [f"movs {register}, #{pieces[0]}"], 0
    for piece in pieces[1:]:
        shift += 8
        if piece:
            lines += [f"lsls {register}, {register}, #{shift}", f"adds {register}, #{piece}"]
            shift = 0
    return lines + [f"lsls {register}, {register}, #{shift}"] * (shift > 0)


def _advance(register: str, count: int) -> list[str]:
    """Add a constant, in the pieces that Thumb-1 takes."""
    pieces = [IMMEDIATE_MAX] * (abs(count) // IMMEDIATE_MAX) + [abs(count) % IMMEDIATE_MAX]
    return [f"{'adds' if count > 0 else 'subs'} {register}, #{piece}" for piece in pieces if piece]
