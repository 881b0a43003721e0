"""A host's end of the line: asks a device what it is and for inferences, and repeats requests without a valid answer.

Every request may be repeated without harm (docs/PROTOCOL.md), so a lost or damaged frame, of either direction, costs a
timeout and nothing else.
"""

import os
import struct
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from signbit.line.frame import ANSWER, CHUNK_BYTES, DELIMITER, ERROR, Frame, FrameError, FrameReader, encode
from signbit.line.info import Info
from signbit.line.protocol import (
    ErrorCode,
    InferAnswer,
    LayerTicks,
    Listening,
    Progress,
    Request,
    SelfTest,
    Source,
    Stats,
    TickSource,
    WordsAnswer,
)
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.integer import REJECTED

BLOCK_BYTES_MAX = 1 << 24
"""Size limit for INFO, LOGITS or a layer's TRACE: more than a core's memory has room for."""


class Stream(Protocol):
    """What a line has to do; a few lines of code wrap a serial port, a socket or an emulator."""

    def read(self, timeout: float) -> bytes:
        """Whatever has come in, after at most `timeout` seconds; b"" when nothing has."""

    def write(self, data: bytes) -> None:
        """Send all of `data`."""


class LinkError(SignbitError):
    """The device gave no valid answer, however often it was asked."""


class DeviceError(LinkError):
    """The device refused a request; `code` says why, an ErrorCode or a number of a later version."""

    def __init__(self, code: int):
        name = ErrorCode(code).name.lower().replace("_", " ") if code in set(ErrorCode) else "unknown"
        super().__init__(f"the device refused the request: error {code} ({name})")
        self.code = code


@dataclass(frozen=True)
class Result:
    """One inference, as the device did it."""

    class_index: int
    """`REJECTED` if the model refuses the input."""
    confidence_per_mille: int
    logits: tuple[int, ...]
    ticks: int
    tick_source: TickSource


class Link:
    """Requests over a stream; `timeout` seconds for one answer, `retries` more attempts."""

    def __init__(self, stream: Stream, timeout: float = 2.0, retries: int = 8):
        self.stream = stream
        self.timeout = timeout
        self.retries = retries
        self.asked = 0
        """Requests, each counted once."""
        self.repeated = 0
        """Requests that had to be sent again."""
        # not from 0: answers to an earlier session may still be on their way
        self._sequence = int.from_bytes(os.urandom(2))
        self._reader = FrameReader()
        self._info: Info | None = None
        # ends whatever the line carried before: the device drops it and listens
        stream.write(DELIMITER)

    def info(self) -> Info:
        """What runs on the device; asked for once."""
        if self._info is None:
            self._info = _parsed(Info, self._block(Request.INFO))
        return self._info

    def infer(self, x: bytes) -> Result:
        """Run the model on `x`, an input's bytes (bytes or a uint8 array); raises LinkError without a valid answer."""
        answer = self._infer(bytes(x))
        block = self._block(Request.LOGITS)
        if len(block) != 4 * answer.output_size or zlib.crc32(block) != answer.logits_crc:
            raise LinkError("the logits are not those of this inference: does somebody else use the line?")
        logits = struct.unpack(f"<{answer.output_size}i", block)
        return Result(answer.class_index, answer.confidence_per_mille, logits, answer.ticks, answer.tick_source)

    def trace(self, x: bytes) -> list[bytes]:
        """Every layer's output for `x`, as the device's memory holds it (little-endian); the last one is the logits."""
        data = bytes(x)
        self._infer(data)
        head = struct.pack("<I", zlib.crc32(data))
        layers = range(self.info().layer_count)
        return [self._block(Request.TRACE, head + struct.pack("<H", layer)) for layer in layers]

    def profile(self, x: bytes) -> list[LayerTicks]:
        """Time that each layer takes for `x`, each measured in an inference of its own."""
        data = bytes(x)
        self._infer(data)
        head = struct.pack("<I", zlib.crc32(data))
        layers = range(self.info().layer_count)
        return [_parsed(LayerTicks, self.request(Request.PROFILE, head + struct.pack("<H", k))) for k in layers]

    def listen(self, source: Source, step: int = 0) -> Listening:
        """Start listening, with an answer every `step` hops (0: as the model says), or stop."""
        return _parsed(Listening, self.request(Request.LISTEN, struct.pack("<BH", source, step)))

    def send_samples(self, number: int, samples: bytes) -> Progress:
        """Samples of the line, int16, the first of which has that number; at most CHUNK_BYTES."""
        return _parsed(Progress, self.request(Request.SAMPLES, struct.pack("<I", number & 0xFFFFFFFF) + samples))

    def word(self, number: int) -> WordsAnswer:
        """The word of that number, or the first one after it that the device has not forgotten."""
        return _parsed(WordsAnswer, self.request(Request.WORDS, struct.pack("<I", number)))

    def logits(self) -> tuple[int, ...]:
        """Those of the last inference or answer."""
        block = self._block(Request.LOGITS)
        return struct.unpack(f"<{len(block) // 4}i", block[: len(block) // 4 * 4])

    def self_test(self) -> SelfTest:
        """Have the device run its embedded test vectors."""
        return _parsed(SelfTest, self.request(Request.SELFTEST))

    def stats(self) -> Stats:
        """What the device counted since its reset, this request included."""
        return _parsed(Stats, self.request(Request.STATS))

    def reset(self) -> None:
        """Restart the device; `info` asks again afterwards."""
        self.request(Request.RESET)
        self._info = None

    def load(self, block: bytes, progress: Callable[[int], None] = lambda count: None) -> None:
        """Put the model whose block this is in the place of the one in use; an interrupted load goes on where it was.

        `progress` gets the bytes that are there.  Raises DeviceError if the device refuses it, and keeps its model.
        """
        crc = block[-4:]
        answer = self.request(Request.LOAD_BEGIN, struct.pack("<I", len(block)) + crc)
        if len(answer) != 4:
            raise LinkError("LOAD_BEGIN's answer makes no sense")
        (received,) = struct.unpack("<I", answer)
        for offset in range(received, len(block), CHUNK_BYTES):
            progress(offset)
            chunk = block[offset : offset + CHUNK_BYTES]
            self.request(Request.LOAD_CHUNK, struct.pack("<I", offset) + chunk)
        self.request(Request.LOAD_COMMIT, crc)
        progress(len(block))
        self._info = None

    def request(self, kind: int, payload: bytes = b"") -> bytes:
        """Payload of the answer to one request, which is repeated until a valid answer comes.

        Raises DeviceError when the device refuses it, LinkError when it does not answer.
        """
        self._sequence = (self._sequence + 1) & 0xFFFF
        self.asked += 1
        encoded = encode(Frame(kind, self._sequence, payload))
        for attempt in range(1 + self.retries):
            self.repeated += attempt > 0
            self.stream.write(encoded)
            answer = self._answer(kind)
            if answer and answer.type == ERROR:
                raise DeviceError(answer.payload[0] if answer.payload else 0)
            if answer:
                return answer.payload
            # a delimiter may have been lost: the next frame must not be taken for the rest of the last one
            self.stream.write(DELIMITER)
        raise LinkError(f"no valid answer after {1 + self.retries} attempts of {self.timeout:g} s")

    def _answer(self, kind: int) -> Frame | None:
        """The answer to the current request; everything else that comes in is stale and skipped."""
        deadline = time.monotonic() + self.timeout
        while (left := deadline - time.monotonic()) > 0:
            for frame in self._reader.feed(self.stream.read(left)):
                if frame.sequence == self._sequence and frame.type in (kind | ANSWER, ERROR):
                    return frame
        return None

    def _infer(self, data: bytes) -> InferAnswer:
        """Send the input and have it computed; the device checks the whole of it first."""
        if len(data) != self.info().input_size:
            raise SignbitError(f"the input has {len(data)} bytes, but the model takes {self.info().input_size}")
        for _ in range(1 + self.retries):
            for offset in range(0, len(data), CHUNK_BYTES):
                self.request(Request.INPUT, struct.pack("<I", offset) + data[offset : offset + CHUNK_BYTES])
            try:
                answer = _parsed(InferAnswer, self.request(Request.INFER, struct.pack("<I", zlib.crc32(data))))
            except DeviceError as error:
                if error.code != ErrorCode.INPUT_DIFFERS:
                    raise
            else:
                if answer.input_crc != zlib.crc32(data):
                    raise LinkError("the device answered for another input")
                outputs = self.info().output_size
                if answer.output_size != outputs or outputs <= answer.class_index != REJECTED:
                    raise LinkError(f"the device names class {answer.class_index} of {answer.output_size}")
                return answer
        raise LinkError("the input never arrived whole")

    def _block(self, kind: int, head: bytes = b"") -> bytes:
        """A whole block (INFO, LOGITS, TRACE), chunk by chunk; `head` precedes the offset."""
        block = b""
        while True:
            payload = self.request(kind, head + struct.pack("<I", len(block)))
            if len(payload) < 5:
                raise LinkError("a chunk of a block is empty")
            (total,) = struct.unpack_from("<I", payload)
            if total > BLOCK_BYTES_MAX:
                raise LinkError(f"the device says a block has {total} bytes, but none has more than {BLOCK_BYTES_MAX}")
            block += payload[4:]
            if len(block) >= total:
                return block[:total]


def _parsed(kind, payload: bytes):
    """`kind.parse(payload)`; intact bytes that make no sense are the device's fault."""
    try:
        return kind.parse(payload)
    except FrameError as error:
        raise LinkError(str(error)) from None
