"""The bytes on the line between host and device: the Python side of docs/PROTOCOL.md, without any line."""

import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum

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

FLAG_EMULATED = 0x01


class Request(IntEnum):
    """What a host may ask."""

    INFO = 0x01
    INPUT = 0x02
    INFER = 0x03
    LOGITS = 0x04


class ErrorCode(IntEnum):
    """Why a device could not do what a sound frame asked for."""

    UNKNOWN_TYPE = 1
    BAD_LENGTH = 2
    BAD_OFFSET = 3
    INPUT_DIFFERS = 4
    BAD_VERSION = 5
    NOT_INFERRED = 6


class TickSource(IntEnum):
    """Which counter the ticks come from."""

    SYSTICK = 0
    DWT = 1


class FrameError(ValueError):
    """Bytes that are no frame, or not the one that was sent."""


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

    Each code is the distance to the next code, which stands where a zero was; the last one points at the end.
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
        """The sound frames that `received` completes, in order."""
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

    FIXED = struct.Struct("<BBBBHHIIII32sII")

    @property
    def emulated(self) -> bool:
        """Built for an emulator: ticks are then no cycles of silicon."""
        return bool(self.flags & FLAG_EMULATED)

    @classmethod
    def parse(cls, block: bytes) -> "Info":
        """Read a whole INFO block; what later versions add behind the labels is skipped."""
        try:
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
        except (struct.error, IndexError, ValueError) as error:
            raise FrameError(f"INFO block makes no sense: {error}") from None
        return cls(*head, digest.hex(), core_id, clock_hz, texts[0], texts[1], tuple(texts[2:]))


@dataclass(frozen=True)
class InferAnswer:
    """The payload of INFER's answer."""

    class_index: int
    output_size: int
    ticks: int
    tick_source: TickSource
    confidence_per_mille: int
    input_crc: int
    logits_crc: int

    LAYOUT = struct.Struct("<HHQBHII")

    @classmethod
    def parse(cls, payload: bytes) -> "InferAnswer":
        try:
            index, outputs, ticks, source, confidence, input_crc, logits_crc = cls.LAYOUT.unpack(payload)
            return cls(index, outputs, ticks, TickSource(source), confidence, input_crc, logits_crc)
        except (struct.error, ValueError) as error:
            raise FrameError(f"INFER's answer makes no sense: {error}") from None
