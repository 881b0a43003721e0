"""Helium: the levels of a front end's bands, a frame at a time; SPEC 13 has the equations.

A point of the FFT is a word of two halfwords, and a vector holds four of them.  VQRDMLADH and VQRDMLSDHX double the sum
of two products, round it and keep its upper half: a turn, rounded once as SPEC has it.  VRSHL is the rounded shift and
VCADD adds or subtracts i times a point.  A windowed sample and a power take 32-bit lanes, as their products do.

An angle is a halfword, 2^16 for a period, so that a wrap is a period and its absolute value a place in the cosines of
half a period; the sine is the cosine a quarter before.
"""

from dataclasses import dataclass
from functools import cached_property

from signbit.codegen.kernels.listing import Listing, Run
from signbit.qmodel import spectrum
from signbit.qmodel.front_end import FrontEnd, Statistics

LANES = 4
QUARTER_PERIOD = 1 << 14
EXPONENT_BITS = 63
"""The exponent of a total in 64 bits without a leading zero, whose level `bands` begins with."""

TRANSFORM = """
    vadd.i16 {spare}, q0, q1
    vsub.i16 q0, q0, q1
    vadd.i16 q1, q2, q3
    vsub.i16 q2, q2, q3
    vsub.i16 q3, {spare}, q1
    vadd.i16 q1, {spare}, q1
    vcadd.i16 {spare}, q0, q2, #90
    vcadd.i16 q2, q0, q2, #270
"""
"""Points a, b, c, d in q0..q3 become those of q1, q2, q3 and the spare register."""

TURNS = f"""
    mov lr, #{QUARTER_PERIOD << 16:#x}
    vmul.i32 q0, q0, r11 @ the angle, and its negative in the upper half
    vadd.i32 q1, q0, lr
    vadd.i32 q2, q1, q0
    vadd.i32 q3, q2, q0
    vabs.s16 q2, q2
    vabs.s16 q3, q3
    vshr.u16 q1, q1, #{{scale}}
    vshr.u16 q2, q2, #{{scale}}
    vshr.u16 q3, q3, #{{scale}}
    vldrh.u16 q4, [r12, q2, uxtw #1]
    vldrh.u16 q5, [r12, q1, uxtw #1]
    vldrh.u16 q6, [r12, q3, uxtw #1]
"""
"""Cosine and sine of the turns of b, c and d to q4, q5 and q6; q0 k, r11 the step of their angle, r12 cosines."""


def _turned(point: str, turn: str, address: str) -> str:
    return f"""
        vldrw.u32 q0, {address}
        vrshl.s16 q0, r5
        vqrdmladh.s16 {point}, q0, {turn}
        vqrdmlsdhx.s16 {point}, q0, {turn}
        """


def _extremes(*registers: str) -> str:
    """r8 the highest half of all so far, r9 the lowest."""
    return "\n".join(f"vmaxv.s16 r8, {register}\n vminv.s16 r9, {register}" for register in registers)


BITS = """
    mvn r9, r9
    cmp r8, r9
    it lt
    movlt r8, r9
    clz r8, r8
    rsb r0, r8, #32
"""
"""r0 = the bits that the extremes need beside a sign."""


@dataclass(frozen=True, eq=False)
class HeliumSpectrum:
    """The functions of a front end's frame."""

    front_end: FrontEnd

    @property
    def bits(self) -> int:
        return self.front_end.frame.bit_length() - 1

    @property
    def points(self) -> int:
        return self.front_end.frame // 2

    @property
    def segments(self) -> int:
        return self.front_end.bands + 1

    @property
    def starts_with_two(self) -> bool:
        return self.bits % 2 == 0

    @property
    def scale(self) -> int:
        """What an angle is shifted right by to be a place in the table."""
        return 16 - self.bits

    @property
    def quarters(self) -> list[int]:
        """How far apart the points of a transform are, in each pass by `turned_pass`."""
        quarters, quarter = [], 8 if self.starts_with_two else 4
        while quarter < self.points:
            quarters.append(quarter)
            quarter *= 4
        return quarters

    @cached_property
    def window(self) -> Listing:
        """r0 samples, r1 points, r2 cosines; r0 = the exponent.

        r3 later samples   r4 mean   r5 highest, shift   r6 the point   r7 lowest   r8 -shift   r9 points + 1
        q0, q1 cosines   q2, q3 samples   q4 places   q5 2^15   q6 offsets of a channel's samples
        """
        frame, channels = self.front_end.frame, self.front_end.channels
        return Listing(f"""
            push {{r4-r9, lr}}
            vpush {{d8-d13}}
            mov r3, r0
            ldrsh r5, [r0]
            mov r7, r5
            mov r4, #0
            mov r6, #0
            {f"vidup.u16 q6, r6, #1; mov r6, #{channels}; vmul.i16 q6, q6, r6; mov r6, #0" if channels > 1 else ""}
            mov lr, #{frame // 8}
            dls lr, lr
            1: {self._eight_samples("q0", "r3", f"@* {frame // 8}")}
            vaddva.s16 r4, q0
            vmaxv.s16 r5, q0
            vminv.s16 r7, q0
            le lr, 1b
            asr r4, r4, #{self.bits}
            sub r5, r5, r4
            sub r7, r4, r7
            cmp r5, r7
            it lt
            movlt r5, r7
            clz r5, r5
            rsb r5, r5, #{32 + 15 - spectrum.PASS_BITS}
            rsb r8, r5, #0
            add r9, r1, #4
            mov r12, #{channels}
            add r3, r0, r12, lsl #{self.bits}
            mov r12, #{self.bits - 1}
            vmov.i32 q5, #0x8000
            mov lr, #{frame // 16}
            dls lr, lr
            2: vldrh.u16 q0, [r2], #16 @* {frame // 16}
            vmovlt.s16 q1, q0
            vmovlb.s16 q0, q0
            {self._eight_samples("q2", "r0")}
            vmovlt.s16 q3, q2
            vmovlb.s16 q2, q2
            vsub.i32 q2, q2, r4
            vsub.i32 q3, q3, r4
            vhsub.s32 q4, q5, q0
            vmul.i32 q2, q2, q4
            vhsub.s32 q4, q5, q1
            vmul.i32 q3, q3, q4
            vrshl.s32 q2, r8
            vrshl.s32 q3, r8
            vmovnt.i32 q2, q3
            vidup.u32 q4, r6, #1
            vbrsr.32 q4, q4, r12
            vstrw.32 q2, [r1, q4, uxtw #2]
            {self._eight_samples("q2", "r3")}
            vmovlt.s16 q3, q2
            vmovlb.s16 q2, q2
            vsub.i32 q2, q2, r4
            vsub.i32 q3, q3, r4
            vhadd.s32 q0, q5, q0
            vhadd.s32 q1, q5, q1
            vmul.i32 q2, q2, q0
            vmul.i32 q3, q3, q1
            vrshl.s32 q2, r8
            vrshl.s32 q3, r8
            vmovnt.i32 q2, q3
            vstrw.32 q2, [r9, q4, uxtw #2] @ half a period later: the cosine is the negative one
            le lr, 2b
            sub r0, r5, #15
            vpop {{d8-d13}}
            pop {{r4-r9, pc}}
            """)

    def _eight_samples(self, register: str, pointer: str, count: str = "") -> str:
        channels = self.front_end.channels
        if channels == 1:
            return f"vldrh.u16 {register}, [{pointer}], #16 {count}"
        return f"vldrh.u16 {register}, [{pointer}, q6, uxtw #1] {count}\n addw {pointer}, {pointer}, #{16 * channels}"

    @cached_property
    def first_pass(self) -> Listing:
        """r0 points; r0 = their bits."""
        if self.starts_with_two:
            body = f"""
                mov lr, #{self.points // 8}
                dls lr, lr
                1: vld20.32 {{q0, q1}}, [r0] @* {self.points // 8}
                vld21.32 {{q0, q1}}, [r0]
                vadd.i16 q2, q0, q1
                vsub.i16 q3, q0, q1
                {_extremes("q2", "q3")}
                vst20.32 {{q2, q3}}, [r0]
                vst21.32 {{q2, q3}}, [r0]!
                """
        else:
            loads, stores = (
                "\n".join(f"{name}{part}.32 {registers}, [r0]" for part in range(LANES))
                for name, registers in (("vld4", "{q0, q1, q2, q3}"), ("vst4", "{q1, q2, q3, q4}"))
            )
            body = f"""
                mov lr, #{self.points // 16}
                dls lr, lr
                1: @* {self.points // 16}
                {loads}
                {TRANSFORM.format(spare="q4")}
                {_extremes("q1", "q2", "q3", "q4")}
                {stores}!
                """
        return Listing(f"""
            push {{r8, r9, lr}}
            vpush {{d8, d9}}
            mov r8, #0
            mov r9, #0
            {body}
            le lr, 1b
            {BITS}
            vpop {{d8, d9}}
            pop {{r8, r9, pc}}
            """)

    @cached_property
    def pass_of_twos(self) -> Listing:
        """The pass after one over two points: r0 points, r1 shift, r2 cosines; r0 = their bits.

        A vector has the two first points of two groups; q7 are addresses, and the turn of d is on the stack.
        """
        return Listing(f"""
            push {{r4-r11, lr}}
            vpush {{d8-d15}}
            rsb r5, r1, #0
            mov r12, r2
            mov r8, #0
            mov r9, #0
            mov r10, #0
            sub r0, r0, #{64 - 8}
            vidup.u32 q0, r10, #1
            vmov.i32 q1, #2
            vand q1, q0, q1
            mov r11, #3
            vmov q2, q0
            vmla.s32 q2, q1, r11
            vshl.i32 q2, q2, #2
            vadd.i32 q7, q2, r0
            vmov.i32 q1, #1
            vand q0, q0, q1
            mov r11, #{QUARTER_PERIOD // 2}
            sub r11, r11, r11, lsl #16
            {TURNS.format(scale=self.scale)}
            vpush {{d12, d13}}
            mov lr, #{self.points // 16}
            dls lr, lr
            1: @* {self.points // 16}
            {_turned("q1", "q4", "[q7, #64]!")}
            {_turned("q2", "q5", "[q7, #8]")}
            vldrw.u32 q6, [sp]
            {_turned("q3", "q6", "[q7, #16]")}
            vldrw.u32 q0, [q7, #-8]
            vrshl.s16 q0, r5
            {TRANSFORM.format(spare="q6")}
            vstrw.32 q1, [q7, #-8]
            vstrw.32 q2, [q7]
            vstrw.32 q3, [q7, #8]
            vstrw.32 q6, [q7, #16]
            {_extremes("q1", "q2", "q3", "q6")}
            le lr, 1b
            {BITS}
            vpop {{d12, d13}}
            vpop {{d8-d15}}
            pop {{r4-r11, pc}}
            """)

    @cached_property
    def turned_pass(self) -> Listing:
        """r0 points, r1 quarter, r2 shift, r3 cosines; r0 = their bits.

        r0..r3 a, b, c, d   r4 the first points   r5 -shift   r6 quarter   r7 groups   r10 k
        """
        return Listing(f"""
            push {{r4-r11, lr}}
            vpush {{d8-d15}}
            mov r4, r0
            rsb r5, r2, #0
            mov r6, r1
            mov r12, r3
            mov r7, #{self.points // 4}
            udiv r7, r7, r6
            mov r11, #{QUARTER_PERIOD}
            udiv r11, r11, r6
            sub r11, r11, r11, lsl #16
            mov r8, #0
            mov r9, #0
            mov r10, #0
            1: vidup.u32 q0, r10, #1 @* turns
            {TURNS.format(scale=self.scale)}
            mov r0, r4
            add r1, r0, r6, lsl #2
            add r2, r1, r6, lsl #2
            add r3, r2, r6, lsl #2
            dls lr, r7
            2: @* groups
            {_turned("q1", "q4", "[r1]")}
            {_turned("q2", "q5", "[r2]")}
            {_turned("q3", "q6", "[r3]")}
            vldrw.u32 q0, [r0]
            vrshl.s16 q0, r5
            {TRANSFORM.format(spare="q7")}
            vstrw.32 q1, [r0]
            vstrw.32 q2, [r1]
            vstrw.32 q3, [r2]
            vstrw.32 q7, [r3]
            {_extremes("q1", "q2", "q3", "q7")}
            add r0, r0, r6, lsl #4
            add r1, r1, r6, lsl #4
            add r2, r2, r6, lsl #4
            add r3, r3, r6, lsl #4
            le lr, 2b
            add r4, r4, #16
            cmp r10, r6
            bne 1b
            {BITS}
            vpop {{d8-d15}}
            pop {{r4-r11, pc}}
            """)

    @cached_property
    def split(self) -> Listing:
        """r0 points, r1 shift, r2 cosines.

        r2, r4 sines and cosines   r3 the mirrored points   q4 1 and -1, for the conjugate   q5 the mirrored order
        """
        frame = self.front_end.frame
        return Listing(f"""
            push {{r4, lr}}
            vpush {{d8-d11}}
            rsb r1, r1, #0
            addw r3, r0, #{4 * (self.points - LANES)}
            add r0, r0, #4
            add r2, r2, #2
            addw r4, r2, #{frame // 2}
            mov r12, #1
            movt r12, #0xffff
            vdup.32 q4, r12
            mov r12, #{LANES - 1}
            vddup.u32 q5, r12, #1
            mov lr, #{frame // 16}
            dls lr, lr
            1: vldrw.u32 q0, [r0] @* {frame // 16}
            vldrw.u32 q1, [r3, q5, uxtw #2]
            vrshl.s16 q0, r1
            vrshl.s16 q1, r1
            vmul.i16 q1, q1, q4
            vadd.i16 q2, q0, q1
            vsub.i16 q0, q0, q1
            vldrh.u32 q3, [r4], #8
            vldrh.u32 q1, [r2], #8
            vmovnt.i32 q3, q1
            vqrdmladh.s16 q1, q0, q3
            vqrdmlsdhx.s16 q1, q0, q3
            vhsub.s16 q0, q2, q1
            vhadd.s16 q2, q2, q1
            vmullb.s16 q1, q0, q0
            vmullt.s16 q0, q0, q0
            vadd.i32 q0, q0, q1
            vstrw.32 q0, [r3, q5, uxtw #2]
            vmullb.s16 q1, q2, q2
            vmullt.s16 q2, q2, q2
            vadd.i32 q2, q2, q1
            vstrw.32 q2, [r0], #16
            sub r3, r3, #16
            le lr, 1b
            vpop {{d8-d11}}
            pop {{r4, pc}}
            """)

    @cached_property
    def bands(self) -> Listing:
        """r0 powers, r1 rising weights, r2 levels, r3 the level of exponent 63, and on the stack sizes, logarithms.

        r4 sizes   r5 logarithms   r6, r7 the total   r8, r9 the next one   r10 segments left   r11 steps
        """
        size = "ldrh r12, [r4], #2" if self.front_end.sizes.max() > 255 else "ldrb r12, [r4], #1"
        vectors = int((-(-self.front_end.sizes.astype(int) // LANES)).sum())
        if isinstance(self.front_end, Statistics):
            store = "ldrsh lr, [r2]; cmp r12, lr; it lt; movlt r12, lr; strh r12, [r2], #2"
        else:
            store = "strb r12, [r2], #1"
        first, *others = store.split("; ")
        return Listing(f"""
            push {{r4-r11, lr}}
            ldrd r4, r5, [sp, #36]
            sub r5, r5, #64
            mov r10, #{self.segments}
            mov r11, #{self.front_end.steps}
            mov r8, #0
            mov r9, #0
            vmov.i32 q2, #{spectrum.WEIGHT_ONE}
            1: {size} @* {self.segments}
            mov r6, r8
            mov r7, r9
            mov r8, #0
            mov r9, #0
            wlstp.32 lr, r12, 3f
            2: vldrb.u32 q1, [r1], #4 @* {vectors}/{self.segments}
            vldrw.u32 q0, [r0], #16
            vmlaldava.u32 r8, r9, q0, q1
            vsub.i32 q1, q2, q1
            vmlaldava.u32 r6, r7, q0, q1
            letp lr, 2b
            3: rsb r12, r12, #0 @ the lanes that were left out
            and r12, r12, #3
            sub r1, r1, r12
            sub r0, r0, r12, lsl #2
            cmp r10, #{self.segments}
            beq 5f
            orrs r12, r6, r7 @* {self.front_end.bands}/{self.segments}
            beq 4f
            clz lr, r7
            cmp r7, #0
            itt eq
            clzeq lr, r6
            addeq lr, lr, #32
            lsll r6, r7, lr
            lsr r7, r7, #25
            ldrb r7, [r5, r7]
            mls r12, lr, r11, r3
            add r12, r12, r7
            usat r12, #{self.front_end.HIGH.bit_length()}, r12
            4: {first} @* {self.front_end.bands}/{self.segments}
            {"; ".join(others)}
            5: subs r10, r10, #1
            bne 1b
            pop {{r4-r11, pc}}
            """)

    def runs(self) -> list[Run]:
        """What runs for a frame."""
        passes = [
            self.turned_pass.run(turns=quarter // LANES, groups=self.points // (4 * quarter))
            for quarter in self.quarters
        ]
        twos = [self.pass_of_twos.run()] if self.starts_with_two else []
        return [self.window.run(), self.first_pass.run(), *twos, *passes, self.split.run(), self.bands.run()]
