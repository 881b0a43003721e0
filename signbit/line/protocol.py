"""What a host may ask, and what a device answers: the requests of docs/PROTOCOL.md."""

import struct
from dataclasses import dataclass
from enum import IntEnum

from signbit.line.frame import FrameError, parsing
from signbit.qmodel.integer import REJECTED

CLASS_REJECTED = 0xFFFF
"""In INFER's answer, instead of a class."""


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
        with parsing("INFER's answer"):
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
        with parsing("SELFTEST's answer"):
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
        with parsing("STATS' answer"):
            return cls(*cls.LAYOUT.unpack_from(payload))


@dataclass(frozen=True)
class LayerTicks:
    """PROFILE's answer: the time one layer took."""

    ticks: int
    tick_source: TickSource

    LAYOUT = struct.Struct("<QB")

    @classmethod
    def parse(cls, payload: bytes) -> "LayerTicks":
        with parsing("PROFILE's answer"):
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
        with parsing("LISTEN's answer"):
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
        with parsing("SAMPLES' answer"):
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
        with parsing("WORDS' answer"):
            return cls(*(cls.COUNTS if len(payload) == cls.COUNTS.size else cls.LAYOUT).unpack(payload))
