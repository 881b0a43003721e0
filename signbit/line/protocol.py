"""The bytes on the line between host and device: the Python side of docs/PROTOCOL.md, without any line."""

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import ClassVar

from signbit.qmodel.integer import REJECTED

VERSION = 1
DELIMITER = b"\0"
CHUNK_BYTES = 48
PAYLOAD_BYTES = 52
HEADER = struct.Struct("<BBH")
CRC = struct.Struct("<I")
FRAME_BYTES_MIN = HEADER.size + CRC.size
FRAME_BYTES_MAX = HEADER.size + PAYLOAD_BYTES + CRC.size
ENCODED_BYTES_MAX = FRAME_BYTES_MAX + 1
ANSWER = 0x80
ERROR = 0xFF

CLASS_REJECTED = 0xFFFF
"""In INFER's answer, instead of a class."""

FLAG_EMULATED = 0x01
FLAG_SELF_TEST_FAILED = 0x02
FLAG_LOADING = 0x08


class Request(IntEnum):
    """What a host may ask."""

    INFO = 0x01
    INPUT = 0x02
    INFER = 0x03
    LOGITS = 0x04
    TRACE = 0x05
    SELFTEST = 0x06
    STATS = 0x07
    RESET = 0x08
    PROFILE = 0x09
    LISTEN = 0x10
    SAMPLES = 0x11
    WORDS = 0x12
    LOAD_BEGIN = 0x0A
    LOAD_CHUNK = 0x0B
    LOAD_COMMIT = 0x0C


class ErrorCode(IntEnum):
    """Why a device could not do what a valid frame asked for."""

    UNKNOWN_TYPE = 1
    BAD_LENGTH = 2
    BAD_OFFSET = 3
    INPUT_DIFFERS = 4
    BAD_VERSION = 5
    NOT_INFERRED = 6
    NO_SUCH_LAYER = 7
    NOT_BEGUN = 8
    WRONG_SIZE = 9
    OUT_OF_ORDER = 10
    CHUNK_DIFFERS = 11
    WRITE_FAILED = 12
    INCOMPLETE = 13
    NOT_A_MODEL = 14
    BAD_CRC = 15
    NO_SUCH_SOURCE = 16
    NOT_LISTENING = 17
    BAD_HASH = 18
    OTHER_LAYOUT = 19
    RANGES_EXCEEDED = 20
    SELF_TEST_FAILED = 21


class Source(IntEnum):
    """Where the samples come from that a device listens to."""

    NOTHING = 0
    LINE = 1
    SENSOR = 2


class TickSource(IntEnum):
    """Which counter the ticks come from."""

    SYSTICK = 0
    DWT = 1


class ResetCause(IntEnum):
    """Cause of the device's last reset, as far as the part records it."""

    UNKNOWN = 0
    POWER = 1
    SOFTWARE = 2
    WATCHDOG = 3


class FrameError(ValueError):
    """Bytes that are not a frame, or not the one that was sent."""


@contextmanager
def _read(what: str) -> Iterator[None]:
    """Raises FrameError where the bytes that are read within it can't be `what` they should be."""
    try:
        yield
    except (struct.error, IndexError, TypeError, ValueError) as error:
        raise FrameError(f"{what} makes no sense: {error}") from None


@dataclass(frozen=True)
class Frame:
    """One request or answer."""

    type: int
    sequence: int
    payload: bytes = b""
    version: int = VERSION


def encode(frame: Frame) -> bytes:
    """The frame as it goes over the line, delimiter included."""
    if len(frame.payload) > PAYLOAD_BYTES:
        raise FrameError(f"payload of {len(frame.payload)} bytes, at most {PAYLOAD_BYTES}")
    plain = HEADER.pack(frame.version, frame.type, frame.sequence) + frame.payload
    return cobs_encode(plain + CRC.pack(zlib.crc32(plain))) + DELIMITER


def decode(encoded: bytes) -> Frame:
    """The frame of the bytes before a delimiter; raises FrameError when they are damaged."""
    if len(encoded) > ENCODED_BYTES_MAX:
        raise FrameError(f"frame of {len(encoded)} bytes, at most {ENCODED_BYTES_MAX}")
    plain = cobs_decode(encoded)
    if len(plain) < FRAME_BYTES_MIN:
        raise FrameError(f"frame of {len(plain)} bytes, at least {FRAME_BYTES_MIN}")
    content, crc = plain[: -CRC.size], plain[-CRC.size :]
    if CRC.unpack(crc)[0] != zlib.crc32(content):
        raise FrameError("CRC differs")
    version, kind, sequence = HEADER.unpack_from(content)
    return Frame(kind, sequence, content[HEADER.size :], version)


def cobs_encode(plain: bytes) -> bytes:
    """Consistent overhead byte stuffing of at most 253 bytes: no zeros, one byte more.

    Each code is the distance to the next code, which takes the place of a zero; the last one points at the end.
    """
    return b"".join(bytes([len(part) + 1]) + part for part in plain.split(b"\0"))


def cobs_decode(encoded: bytes) -> bytes:
    """Undo `cobs_encode`; raises FrameError when the codes do not lead to the end."""
    parts, at = [], 0
    while at < len(encoded):
        distance = encoded[at]
        if distance == 0:
            raise FrameError("zero inside a frame")
        parts.append(encoded[at + 1 : at + distance])
        at += distance
    if at != len(encoded) or not parts:
        raise FrameError("COBS does not end with the frame")
    return b"\0".join(parts)


class FrameReader:
    """Cuts a stream of bytes into frames; what is damaged is dropped and counted."""

    def __init__(self):
        self.dropped = 0
        self._rest = b""

    def feed(self, received: bytes) -> list[Frame]:
        """The valid frames that `received` completes, in order."""
        *ended, self._rest = (self._rest + received).split(DELIMITER)
        # a frame that never ends must not fill the memory; one byte more than allowed is enough to refuse it
        self._rest = self._rest[: ENCODED_BYTES_MAX + 1]
        frames = []
        for encoded in filter(None, ended):
            try:
                frames.append(decode(encoded))
            except FrameError:
                self.dropped += 1
        return frames


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
        with _read("INFO block"):
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


@dataclass(frozen=True)
class InferAnswer:
    """The payload of INFER's answer."""

    class_index: int
    """REJECTED if the model refuses the input."""
    output_size: int
    ticks: int
    tick_source: TickSource
    confidence_per_mille: int
    input_crc: int
    logits_crc: int

    LAYOUT = struct.Struct("<HHQBHII")

    @classmethod
    def parse(cls, payload: bytes) -> "InferAnswer":
        with _read("INFER's answer"):
            index, outputs, ticks, source, confidence, input_crc, logits_crc = cls.LAYOUT.unpack(payload)
            index = REJECTED if index == CLASS_REJECTED else index
            return cls(index, outputs, ticks, TickSource(source), confidence, input_crc, logits_crc)


@dataclass(frozen=True)
class SelfTest:
    """SELFTEST's answer: how many embedded vectors there are, and how many gave other logits than Python."""

    vectors: int
    failed: int

    LAYOUT = struct.Struct("<HH")

    @classmethod
    def parse(cls, payload: bytes) -> "SelfTest":
        with _read("SELFTEST's answer"):
            return cls(*cls.LAYOUT.unpack(payload))


@dataclass(frozen=True)
class Stats:
    """STATS' answer: what the device saw since its reset."""

    answered: int
    refused: int
    dropped: int
    stack_used_bytes: int
    stack_bytes: int

    LAYOUT = struct.Struct("<IIIII")

    @classmethod
    def parse(cls, payload: bytes) -> "Stats":
        with _read("STATS' answer"):
            return cls(*cls.LAYOUT.unpack_from(payload))


@dataclass(frozen=True)
class LayerTicks:
    """PROFILE's answer: the time one layer took."""

    ticks: int
    tick_source: TickSource

    LAYOUT = struct.Struct("<QB")

    @classmethod
    def parse(cls, payload: bytes) -> "LayerTicks":
        with _read("PROFILE's answer"):
            ticks, source = cls.LAYOUT.unpack(payload)
            return cls(ticks, TickSource(source))


@dataclass(frozen=True)
class Listening:
    """LISTEN's answer: how the device listens."""

    rate_hz: int
    """Rows a second; 0 if the model does not say."""
    hop_rows: int
    channels: int
    step: int
    """Hops from one answer to the next."""
    answers: int
    """How many of them a word looks back on; 0 if the model names none."""

    LAYOUT = struct.Struct("<IIHHH")

    @classmethod
    def parse(cls, payload: bytes) -> "Listening":
        with _read("LISTEN's answer"):
            found = cls(*cls.LAYOUT.unpack(payload))
            if not found.hop_size or not found.step:
                raise FrameError("it has no hops")
        return found

    @property
    def hop_size(self) -> int:
        """Samples of a hop, all channels together."""
        return self.hop_rows * self.channels

    @property
    def hop_s(self) -> float:
        """Seconds of a hop; 1 if nobody knows."""
        return self.hop_rows / self.rate_hz if self.rate_hz else 1.0


@dataclass(frozen=True)
class Progress:
    """SAMPLES' answer: what came of all samples since LISTEN."""

    samples: int
    answers: int
    words: int

    LAYOUT = struct.Struct("<III")

    @classmethod
    def parse(cls, payload: bytes) -> "Progress":
        with _read("SAMPLES' answer"):
            return cls(*cls.LAYOUT.unpack(payload))


@dataclass(frozen=True)
class WordsAnswer:
    """WORDS' answer: the words and hops so far, and one of the words; `number` is None where there is no such word."""

    words: int
    hops: int
    number: int | None = None
    word_hops: int = 0
    """Hops until the word was named."""
    class_index: int = 0
    confidence_per_mille: int = 0

    COUNTS = struct.Struct("<II")
    LAYOUT = struct.Struct("<IIIIHH")

    @classmethod
    def parse(cls, payload: bytes) -> "WordsAnswer":
        with _read("WORDS' answer"):
            return cls(*(cls.COUNTS if len(payload) == cls.COUNTS.size else cls.LAYOUT).unpack(payload))
