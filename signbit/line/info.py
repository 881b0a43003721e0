"""What a device says of itself: the INFO block of docs/PROTOCOL.md."""

import struct
from dataclasses import dataclass, fields
from typing import ClassVar

from signbit.line.frame import FrameError, parsing
from signbit.line.protocol import ResetCause, TickSource

FLAG_EMULATED = 0x01
FLAG_SELF_TEST_FAILED = 0x02
FLAG_LOADING = 0x08


@dataclass(frozen=True)
class Fault:
    """The registers at the fault before the last reset; those that the core stacks are 0 if the stack was lost."""

    exception: int
    r0: int
    r1: int
    r2: int
    r3: int
    r12: int
    lr: int
    pc: int
    xpsr: int
    sp: int
    cfsr: int
    hfsr: int
    mmfar: int
    bfar: int

    NAMES: ClassVar = {
        2: "NMI (the watchdog)",
        3: "HardFault",
        4: "MemManage",
        5: "BusFault",
        6: "UsageFault",
        7: "SecureFault",
    }

    def __str__(self) -> str:
        name = self.NAMES.get(self.exception, f"exception {self.exception}")
        rest = ", ".join(f"{key} {value:#010x}" for key, value in vars(self).items() if key != "exception" and value)
        return f"{name}: {rest or 'the stack was lost'}"


@dataclass(frozen=True)
class Loading:
    """What INFO says of a device that other models can be loaded into; `slot` is 0 for the compiled model."""

    layout: str
    block_bytes: int
    block_crc: int
    slot: int

    LAYOUT: ClassVar = struct.Struct("<32sIIB")
    SLOTS: ClassVar = 2

    @classmethod
    def parse(cls, block: bytes) -> "Loading":
        """The fields that begin `block`; what later versions add after them is skipped."""
        digest, block_bytes, block_crc, slot = cls.LAYOUT.unpack_from(block)
        if block_bytes == 0 or block_bytes % 4 or slot > cls.SLOTS:
            raise FrameError(f"slot {slot}, blocks of {block_bytes} bytes")
        return cls(digest.hex(), block_bytes, block_crc, slot)


@dataclass(frozen=True)
class Info:
    """The INFO block: what runs on the device."""

    protocol_version: int
    flags: int
    tick_source: TickSource
    input_shift: int
    logit_shift: int
    layer_count: int
    input_size: int
    output_size: int
    scratch_bytes: int
    model_id: int
    model_hash: str
    core_id: int
    clock_hz: int
    firmware_version: str
    model_name: str
    labels: tuple[str, ...]
    reset_cause: ResetCause
    test_vectors: int
    test_vectors_failed: int
    fault: Fault | None
    loading: Loading | None
    """None if the device keeps the model that was compiled in."""

    FIXED = struct.Struct("<BBBBHHIIII32sII")
    TAIL = struct.Struct("<BHHB")

    @property
    def emulated(self) -> bool:
        """Built for an emulator: ticks are then not cycles of silicon."""
        return bool(self.flags & FLAG_EMULATED)

    @property
    def self_test_failed(self) -> bool:
        """The model on the device did not compute what Python did, when it was last tested."""
        return bool(self.flags & FLAG_SELF_TEST_FAILED)

    @classmethod
    def parse(cls, block: bytes) -> "Info":
        """Read a whole INFO block; what later versions add at its end is skipped."""
        with parsing("INFO block"):
            *head, digest, core_id, clock_hz = cls.FIXED.unpack_from(block)
            head[2] = TickSource(head[2])
            outputs = head[7]
            texts, at = [], cls.FIXED.size
            for _ in range(2 + outputs):
                end = at + 1 + block[at]
                if end > len(block):
                    raise FrameError("it is cut short")
                texts.append(block[at + 1 : end].decode())
                at = end
            cause, vectors, failed, fault_words = cls.TAIL.unpack_from(block, at)
            words = struct.unpack_from(f"<{fault_words}I", block, at + cls.TAIL.size)
            fault = Fault(*words[: len(fields(Fault))]) if words else None
            rest = block[at + cls.TAIL.size + 4 * fault_words :]
            loading = Loading.parse(rest) if head[1] & FLAG_LOADING else None
            tail = (ResetCause(cause), vectors, failed, fault, loading)
        return cls(*head, digest.hex(), core_id, clock_hz, texts[0], texts[1], tuple(texts[2:]), *tail)
