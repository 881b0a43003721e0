"""Kernel for Cortex-M0 and M0+ (ARMv6-M): one-bit weights and one-bit inputs."""

from typing import ClassVar

import numpy as np

from signbit.codegen.kernels.base import BITS, CArray, Job, Piece, activation_arrays, function
from signbit.codegen.kernels.listing import Listing, Run
from signbit.codegen.kernels.m0.outputs import CLEAR, FinishingKernel, clear
from signbit.qmodel import integer
from signbit.qmodel.layers import Dense
from signbit.qmodel.value import WORD_BYTES, size_of

LANES = 32
GROUP_INPUTS = 8


def _add(total: str, a: str, b: str, carry: str) -> list[str]:
    """Full adder in 32 lanes: `total` += a + b, the carry goes to `carry`; a and b are lost."""
    return [
        *(f"eors {a}, {b}", f"movs {carry}, {total}", f"eors {carry}, {b}"),
        *(f"ands {carry}, {a}", f"eors {carry}, {b}", f"eors {total}, {a}"),
    ]


def _count() -> Listing:
    """Count the listed inputs' bits of 32 rows: r0 list, r1 its end, r2 weights, r3 planes."""
    lines = ["push {r4-r7, lr}", "mov r4, r8", "mov r5, r9", "mov r6, r10", "push {r4-r6}", "mov r12, r1", "mov r1, r2"]
    lines += ["adds r3, #12", "mov r10, r3 @ plane 3", "movs r2, #0 @ plane 0", "movs r3, #0 @ plane 1"]
    lines += ["mov r8, r2 @ plane 2", "1: @* eights"]
    for first, carry in ((0, "r4"), (4, "r7"), (8, "r4"), (12, "r7")):
        lines += [f"ldrh r5, [r0, #{first}]", "ldr r5, [r1, r5]", f"ldrh r6, [r0, #{first + 2}]", "ldr r6, [r1, r6]"]
        lines += [*_add("r2", "r5", "r6", carry), *(_add("r3", "r4", "r7", "r5") if carry == "r7" else [])]
        lines += ["mov r9, r5"] * (first == 4)
    lines += ["mov r6, r9", "mov r4, r8", *_add("r4", "r6", "r5", "r7"), "mov r8, r4", "adds r0, #16", "mov r6, r10"]
    lines += ["2: ldr r5, [r6] @ carry r7 into the next plane @* ripples", "movs r4, r7", "eors r4, r5"]
    lines += ["stmia r6!, {r4}", "ands r7, r5", "bne 2b", "cmp r0, r12", "blo 1b", "mov r6, r10", "subs r6, #12"]
    lines += ["mov r4, r8", "stmia r6!, {r2-r4}", "pop {r4-r6}", "mov r8, r4", "mov r9, r5", "mov r10, r6"]
    return Listing("\n".join([*lines, "pop {r4-r7, pc}"]))


count = _count()
COUNT = function(
    "m0_dense_bits_count",
    count,
    "void (const uint16_t *list, const uint16_t *end, const uint32_t *weights, uint32_t *planes)",
    "Count the listed inputs' bits of 32 rows, 8 inputs at a time; `planes` from plane 3 on are 0 at first.",
)
lanes = Listing("""
    push {r4-r7, lr}
    mov r12, r0
    adds r0, #128
    ldmia r1!, {r3-r7}
    1: subs r0, #4 @* 32
    ldr r2, [r0]
    lsls r7, r7, #1
    adcs r2, r2
    lsls r6, r6, #1
    adcs r2, r2
    lsls r5, r5, #1
    adcs r2, r2
    lsls r4, r4, #1
    adcs r2, r2
    lsls r3, r3, #1
    adcs r2, r2
    str r2, [r0]
    cmp r0, r12
    bne 1b
    pop {r4-r7, pc}
    """)
LANES_PIECE = function(
    "m0_dense_bits_lanes",
    lanes,
    "void (int32_t *acc, const uint32_t *planes)",
    "acc[32] = 32 * acc + the lanes' numbers in 5 planes, lowest first.  The top bit is lane 31.",
)


class DenseBits(FinishingKernel):
    """Counters in 32 lanes at once, for each input that is -1.

    The prediction assumes that half of the inputs are.
    """

    layer = Dense
    reads = BITS
    INPUTS_MAX: ClassVar[int] = 16_000
    ZERO_PLANES: ClassVar[int] = 2
    PLANES_A_CHUNK: ClassVar[int] = 5

    def fits(self, job: Job) -> bool:
        return job.layer.fan_in <= self.INPUTS_MAX

    def arrays(self, job: Job) -> tuple[CArray, ...]:
        bits = np.pad(job.rows < 0, ((0, -len(job.rows) % LANES), (0, 1)))
        slices = bits.reshape(-1, LANES, bits.shape[1]).transpose(0, 2, 1)
        words = slices @ (np.int64(1) << np.arange(LANES))
        weights = CArray("weights", "uint32_t", words.reshape(-1).astype(np.uint32))
        return (weights, *activation_arrays(job, job.layer.rows.sum(axis=1, dtype=np.int64)))

    def values(self, job: Job) -> dict[str, int]:
        channels = job.input_shape[-1]
        pixel_words = integer.words_for(channels)
        last_bits = channels - LANES * (pixel_words - 1)
        return {
            "slices": self._slices(job),
            "slice_words": job.layer.fan_in + 1,
            "lanes": LANES * self._slices(job),
            "chunks": self._chunks(job),
            "last_chunk": self._chunks(job) - 1,
            "planes": self._planes(job),
            "words": size_of(job.input_shape[:-1]) * pixel_words,
            "pixel_words": pixel_words,
            "last_word": pixel_words - 1,
            "last_bits": last_bits,
            "last_offset": WORD_BYTES * last_bits,
            "end_offset": WORD_BYTES * job.layer.fan_in,
        }

    def pieces(self, job: Job) -> tuple[Piece, ...]:
        return (*super().pieces(job), CLEAR, COUNT, LANES_PIECE)

    def scratch_bytes(self, job: Job) -> int:
        lists = 2 * (-(-job.layer.fan_in // GROUP_INPUTS) * GROUP_INPUTS)
        return WORD_BYTES * (LANES * self._slices(job) + self._planes(job)) + lists

    def runs(self, job: Job) -> list[Run]:
        slices = self._slices(job)
        eights = -(-job.layer.fan_in // 2 // GROUP_INPUTS)
        return [
            *super().runs(job),
            clear.run(rounds=LANES * slices // 4),
            clear.run(slices, rounds=self._planes(job) // 4),
            count.run(slices, eights=eights, ripples=max(1.0, np.log2(eights) / 2)),
            lanes.run(slices * self._chunks(job)),
        ]

    def terms(self, job: Job) -> dict[str, float]:
        return super().terms(job) | {
            "word": size_of(job.input_shape[:-1]) * integer.words_for(job.input_shape[-1]),
            "input": job.layer.fan_in,
            "slice": self._slices(job),
            "chunk": self._slices(job) * self._chunks(job),
        }

    def _chunks(self, job: Job) -> int:
        """Groups of five planes that hold any count, times 4."""
        return -(-(job.layer.fan_in.bit_length() + self.ZERO_PLANES) // self.PLANES_A_CHUNK)

    def _planes(self, job: Job) -> int:
        """Words for them, at least one more for the carry out of the last, a multiple of 4."""
        return -(-(self.PLANES_A_CHUNK * self._chunks(job) + 4) // 4) * 4

    @staticmethod
    def _slices(job: Job) -> int:
        return -(-len(job.rows) // LANES)


KERNELS = (DenseBits(),)
