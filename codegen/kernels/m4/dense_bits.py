"""Dense layers of one-bit weights and one-bit inputs on Cortex-M4, M7 and M33: carry-save counting of running XORs."""

from typing import Any

import numpy as np

from signbit.codegen.kernels.base import BITS, CArray, Job, Kernel, activation_arrays
from signbit.codegen.kernels.c99.loops import pixel_words
from signbit.codegen.kernels.listing import Listing, Run
from signbit.codegen.kernels.m4 import assembly
from signbit.codegen.kernels.targets import CORTEX_DSP
from signbit.qmodel.activations import Sign
from signbit.qmodel.layers import Dense
from signbit.qmodel.value import WORD_BYTES

CHUNK_WORDS_MAX = 32


class Counter:
    """Straight code that counts the bits in which `words` words of weights (r1) and inputs (r0) differ, into r2.

    Both are stored as running XORs, so p_k = weights ^ inputs is the running XOR of the differences d_k.  A bit of p
    falls wherever it was set and d_k is set, and it has to rise before it can fall again.  So the number of differences
    at a bit is twice the falls plus the last p, and of two words the falls never meet: three instructions give the
    carry that a full adder needs five for.  Carries of the same weight go through full adders, three to one and a
    carry; in the end one word per weight is left, whose bits are counted.
    """

    def __init__(self, words: int):
        self.lines: list[str] = []
        self.free = ["r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "lr"]
        self.levels: list[list[str]] = []
        last = self._differences(words)
        self._halve()
        self._count([last, *(level[0] for level in self.levels)])

    def _emit(self, *instructions: str) -> None:
        self.lines += instructions

    def _differences(self, words: int) -> str:
        """Read all words, push their carries; returns the register with the last running XOR."""
        before = None
        for first in range(0, words, 2):
            if first + 1 < words:
                p, q, x, y = (self.free.pop(0) for _ in range(4))
                self._emit(f"ldrd {p}, {q}, [r1], #8", f"ldrd {x}, {y}, [r0], #8")
                self._emit(f"eor {p}, {p}, {x}", f"eor {q}, {q}, {y}")
                self._emit(f"bic {x}, {p}, {q}")
                if before:
                    self._emit(f"bic {y}, {before}, {p}", f"orr {x}, {x}, {y}")
                self._release(p, y)
                carry, last = x, q
            else:
                last, carry = self.free.pop(0), self.free.pop(0)
                self._emit(f"ldr {last}, [r1], #4", f"ldr {carry}, [r0], #4", f"eor {last}, {last}, {carry}")
                if before:
                    self._emit(f"bic {carry}, {before}, {last}")
            if before:
                self._release(before)
            if words > 1:
                self._push(carry, 0)
            else:
                self._release(carry)
            before = last
        return before

    def _release(self, *registers: str) -> None:
        self.free = sorted([*self.free, *registers], key=lambda name: 14 if name == "lr" else int(name[1:]))

    def _push(self, word: str, weight: int) -> None:
        """One more word of a weight; a full adder turns three of them into one and a carry."""
        while len(self.levels) <= weight:
            self.levels.append([])
        level = self.levels[weight]
        level.append(word)
        if len(level) < 3:
            return
        a, b, c = level
        t = self.free[0]
        self._emit(f"eor {t}, {a}, {b}", f"and {b}, {a}, {b}", f"eor {a}, {t}, {c}")
        self._emit(f"and {c}, {t}, {c}", f"orr {b}, {b}, {c}")
        level[:] = [a]
        self._release(c)
        self._push(b, weight + 1)

    def _halve(self) -> None:
        """Half adders where two words are left."""
        for weight, level in enumerate(self.levels):
            if len(level) == 2:
                a, b = level
                t = self.free[0]
                self._emit(f"and {t}, {a}, {b}", f"eor {a}, {a}, {b}")
                level[:] = [a]
                self.free.remove(t)
                self._release(b)
                self._push(t, weight + 1)

    def _count(self, words: list[str]) -> None:
        """r2 = the sum of the words' bits, word i with weight 2^i, for at most 6 words."""
        t = self.free[0]
        for word in words:
            self._emit(f"and {t}, {word}, #0xaaaaaaaa", f"sub {word}, {word}, {t}, lsr #1")
            self._emit(f"and {t}, {word}, #0xcccccccc", f"bic {word}, {word}, #0xcccccccc")
            self._emit(f"add {word}, {word}, {t}, lsr #2")
        for low, high in zip(words[::2], words[1::2], strict=False):
            self._emit(f"add {low}, {low}, {high}, lsl #1")
        for word in words[::2]:
            self._emit(f"and {t}, {word}, #0xf0f0f0f0", f"bic {word}, {word}, #0xf0f0f0f0")
            self._emit(f"add {word}, {word}, {t}, lsr #4")
        lanes = words[::2]
        if len(lanes) > 1:
            self._emit(f"add {lanes[0]}, {lanes[0]}, {lanes[1]}, lsl #2")
        self._emit(f"mov {t}, #0", f"usad8 {lanes[0]}, {lanes[0]}, {t}")
        if len(lanes) > 2:
            self._emit(f"usad8 {lanes[2]}, {lanes[2]}, {t}", f"add {lanes[0]}, {lanes[0]}, {lanes[2]}, lsl #4")
        if lanes[0] != "r2":
            self._emit(f"mov r2, {lanes[0]}")


class DenseBits(Kernel):
    """acc = n - 2 * (bits in which weights and inputs differ), up to 32 words at a time."""

    targets = CORTEX_DSP
    layer = Dense
    reads = BITS

    def swaps(self, job: Job) -> bool:
        return not job.gets_shift  # it is in the code

    def arrays(self, job: Job) -> tuple[CArray, ...]:
        rows = pixel_words(job)
        rows = rows.reshape(job.planes, job.neurons, -1).swapaxes(0, 1).reshape(len(rows), -1)
        padded = np.zeros((len(rows), self._chunks(job) * self._chunk_words(job)), np.uint32)
        padded[:, : rows.shape[1]] = rows
        running = np.bitwise_xor.accumulate(padded.reshape(len(rows), self._chunks(job), -1), axis=2)
        return (CArray("weights", "uint32_t", running.reshape(-1)), *activation_arrays(job, job.layer.fan_in))

    def values(self, job: Job) -> dict[str, Any]:
        chunks, chunk_words, rows = self._chunks(job), self._chunk_words(job), job.planes * job.neurons
        return {
            "rows": rows,
            "words": self._words(job),
            "chunks": chunks,
            "chunk_words": chunk_words,
            "row_words": chunks * chunk_words,
            "weight_words": rows * chunks * chunk_words,
            "leaves_counts": self._leaves_counts(job),
            "assembly": self._assembly(job),
        }

    def scratch_bytes(self, job: Job) -> int:
        rows = job.planes * job.neurons if self._leaves_counts(job) else 0
        return WORD_BYTES * (self._chunks(job) * self._chunk_words(job) + rows)

    def runs(self, job: Job) -> list[Run]:
        return [self._assembly(job).run(rows=job.planes * job.neurons)]

    def terms(self, job: Job) -> dict[str, float]:
        words, kind = self._chunks(job) * self._chunk_words(job), job.layer.activation.kind
        terms = {"word": words, "word of chunks": words * (self._chunks(job) > 1)}
        return super().terms(job) | terms | ({kind: job.neurons} if self._leaves_counts(job) else {})

    def _assembly(self, job: Job) -> Listing:
        counter = Counter(self._chunk_words(job)).lines
        return assembly.bit_rows(counter, self._chunks(job), self._leaves_counts(job), job.layer.activation)

    def _leaves_counts(self, job: Job) -> bool:
        """Whether the assembly leaves its counts to C: two planes to be added, or bits to be made of them."""
        return job.planes == 2 or isinstance(job.layer.activation, Sign)

    def _words(self, job: Job) -> int:
        return job.input_bytes // WORD_BYTES

    def _chunks(self, job: Job) -> int:
        return -(-self._words(job) // CHUNK_WORDS_MAX)

    def _chunk_words(self, job: Job) -> int:
        return -(-self._words(job) // self._chunks(job))


KERNELS = (DenseBits(),)
