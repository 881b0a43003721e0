"""Frames on the line between host and device, and the bytes that carry them: docs/PROTOCOL.md."""

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

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


class FrameError(ValueError):
    """Bytes that are not a frame, or not the one that was sent."""


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


@contextmanager
def parsing(what: str) -> Iterator[None]:
    """Raises FrameError where the bytes that are read within it can't be `what` they should be."""
    try:
        yield
    except (struct.error, IndexError, TypeError, ValueError) as error:
        raise FrameError(f"{what} makes no sense: {error}") from None
