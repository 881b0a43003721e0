"""The protocol: the C codec and device, compiled for this computer, against the Python codec and docs/PROTOCOL.md."""

import ctypes
import random
import re
import struct
import subprocess
import zlib

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from signbit import __version__
from signbit.line.frame import (
    ANSWER,
    ENCODED_BYTES_MAX,
    ERROR,
    PAYLOAD_BYTES,
    Frame,
    FrameError,
    FrameReader,
    cobs_decode,
    cobs_encode,
    decode,
    encode,
)
from signbit.line.link import Link
from signbit.line.protocol import ErrorCode, InferAnswer, Request, WordsAnswer
from tests.host_device import HostDevice, compile_device

OFFSET_0 = struct.pack("<I", 0)

# reads the whole line from stdin, writes what the device sends to stdout
PIPE_C = """
#include <stdio.h>
#include "ports/host.h"
int main(void)
{
    static unsigned char sent[4096];
    int byte;
    host_reset();
    while ((byte = getchar()) != EOF) {
        unsigned char received = (unsigned char)byte;
        fwrite(sent, 1, host_serve(&received, 1, sent, sizeof sent), stdout);
    }
    return 0;
}
"""

frames = st.builds(
    Frame,
    type=st.integers(0, 255),
    sequence=st.integers(0, 0xFFFF),
    payload=st.binary(max_size=PAYLOAD_BYTES),
    version=st.integers(0, 255),
)


def ask(host_device, kind, payload=b"", sequence=77, version=1):
    """The one answer to one request, decoded."""
    answer = host_device.serve(encode(Frame(kind, sequence, payload, version)))
    assert answer.endswith(b"\0") and answer.count(b"\0") == 1 and len(answer) <= ENCODED_BYTES_MAX + 1
    frame = decode(answer[:-1])
    assert frame.sequence == sequence and frame.version == 1
    return frame


def send_input(host_device, x):
    for offset in range(0, len(x), 48):
        answer = ask(host_device, Request.INPUT, struct.pack("<I", offset) + x[offset : offset + 48])
        assert answer.type == Request.INPUT | ANSWER and answer.payload == b""


def refused(host_device, kind, payload=b"", version=1):
    answer = ask(host_device, kind, payload, version=version)
    assert answer.type == ERROR and len(answer.payload) == 1
    return ErrorCode(answer.payload[0])


# -- codec ----------------------------------------------------------------------------------------------------------


@given(st.binary(max_size=253))
def test_cobs_has_no_zeros_and_goes_back(plain):
    encoded = cobs_encode(plain)
    assert b"\0" not in encoded and len(encoded) == len(plain) + 1
    assert cobs_decode(encoded) == plain


@given(frame=frames)
def test_python_reads_what_it_writes(frame):
    encoded = encode(frame)
    assert len(encoded) <= 62 and encoded.index(b"\0") == len(encoded) - 1
    assert decode(encoded[:-1]) == frame


@given(frame=frames)
def test_c_writes_the_same_bytes(host_library, frame):
    content = struct.pack("<BBH", frame.version, frame.type, frame.sequence) + frame.payload
    wire = ctypes.create_string_buffer(b"\xaa" + content, 64)
    length = host_library.protocol_encode(wire, len(content))
    assert wire.raw[:length] == encode(frame)


@given(frame=frames)
def test_c_reads_what_python_writes(host_library, frame):
    encoded = encode(frame)[:-1]
    wire = ctypes.create_string_buffer(encoded, 64)
    length = host_library.protocol_decode(wire, len(encoded))
    assert wire.raw[1 : 1 + length] == struct.pack("<BBH", frame.version, frame.type, frame.sequence) + frame.payload


@given(st.binary(max_size=300))
def test_c_has_the_crc_of_zlib(host_library, data):
    assert host_library.protocol_crc32(data, len(data)) == zlib.crc32(data)


@given(line=st.lists(st.integers(1, 255), max_size=70).map(bytes))
@example(line=b"")
@example(line=bytes([5, 1, 1, 2, 1]))
def test_c_and_python_refuse_the_same_lines(host_library, line):
    wire = ctypes.create_string_buffer(line, 80)
    try:
        frame = decode(line)
    except FrameError:
        assert host_library.protocol_decode(wire, len(line)) == 0
    else:
        assert host_library.protocol_decode(wire, len(line)) == 4 + len(frame.payload)


@given(frame=frames, data=st.data())
def test_a_damaged_frame_is_no_frame(host_library, frame, data):
    encoded = bytearray(encode(frame)[:-1])
    at = data.draw(st.integers(0, len(encoded) - 1))
    kind = data.draw(st.sampled_from(("change", "drop", "insert", "cut")))
    other = data.draw(st.integers(1, 255).filter(lambda byte: byte != encoded[at]))
    if kind == "change":
        encoded[at] = other
    elif kind == "drop":
        del encoded[at]
    elif kind == "insert":
        encoded.insert(at, other)
    else:
        del encoded[at:]
    with pytest.raises(FrameError):
        decode(bytes(encoded))
    assert host_library.protocol_decode(ctypes.create_string_buffer(bytes(encoded), 80), len(encoded)) == 0


@given(parts=st.lists(st.one_of(frames, st.binary(min_size=1, max_size=200)), max_size=8), data=st.data())
def test_the_reader_finds_every_sound_frame(parts, data):
    """However the stream is cut: noise between frames, ended by a delimiter, costs nothing but itself."""
    wanted = [part for part in parts if isinstance(part, Frame)]
    line = b"".join(encode(part) if isinstance(part, Frame) else part + b"\0" for part in parts)
    reader, found = FrameReader(), []
    while line:
        count = data.draw(st.integers(1, len(line)))
        found += reader.feed(line[:count])
        line = line[count:]
    assert found == wanted


def test_the_longest_frame_may_come_in_any_pieces():
    frame = Frame(Request.INPUT, 7, bytes(range(1, 53)))
    line = encode(frame)
    assert len(line) == ENCODED_BYTES_MAX + 1
    for count in range(len(line)):
        reader = FrameReader()
        assert reader.feed(line[:count]) == [] and reader.feed(line[count:]) == [frame]


def test_too_long_a_payload_is_not_sent():
    with pytest.raises(FrameError, match="at most 52"):
        encode(Frame(Request.INPUT, 1, bytes(53)))


def test_every_frame_of_the_document_is_right(repository, host_device):
    """docs/PROTOCOL.md shows frames byte by byte; the codec and the device agree with each."""
    text = (repository / "docs" / "PROTOCOL.md").read_text()
    examples = re.findall(
        r"^    frame +((?:[0-9a-f]{2} )*[0-9a-f]{2})\n    wire +((?:[0-9a-f]{2} )*[0-9a-f]{2})$", text, re.M
    )
    assert len(examples) >= 3
    for plain, wire in examples:
        content = bytes.fromhex(plain)
        frame = decode(bytes.fromhex(wire)[:-1])
        assert encode(frame) == bytes.fromhex(wire)
        assert struct.pack("<BBH", 1, frame.type, frame.sequence) + frame.payload == content[:-4]


@pytest.mark.parametrize(("numbers", "heading"), [(Request, "type"), (ErrorCode, "code")])
def test_every_number_is_that_of_the_document_and_of_the_firmware(repository, numbers, heading):
    text = (repository / "docs" / "PROTOCOL.md").read_text()
    rows = re.search(rf"^\| {heading} \| name .*?\n\n", text, re.M | re.S)[0]
    documented = {name: int(number, 0) for number, name in re.findall(r"^\| (\w+) \| ([A-Z_]+) \|", rows, re.M)}
    assert documented == {member.name: member.value for member in numbers}
    header = (repository / "firmware" / "src" / "protocol.h").read_text()
    compiled = {name: int(number, 0) for name, number in re.findall(r"PROTOCOL_(\w+) = (\w+),", header)}
    assert documented == {name: compiled[name] for name in documented}


def test_an_answer_without_a_word_has_none():
    assert WordsAnswer.parse(struct.pack("<II", 3, 40)) == WordsAnswer(3, 40, None, 0, 0, 0)
    assert WordsAnswer.parse(struct.pack("<IIIIHH", 3, 40, 2, 30, 1, 987)) == WordsAnswer(3, 40, 2, 30, 1, 987)


# -- device ---------------------------------------------------------------------------------------------------------


def test_info_describes_the_model(host_device, host_model):
    info = Link(host_device).info()
    assert (info.model_hash, info.model_name, info.labels) == (host_model.hash, host_model.name, host_model.labels)
    assert info.model_id == int(host_model.hash[:8], 16)
    assert (info.input_size, info.output_size, info.layer_count) == (100, 13, 2)
    assert (info.input_shift, info.logit_shift) == (host_model.input_shift, host_model.logit_shift)
    assert info.protocol_version == 1 and not info.emulated


def test_infer_equals_python(host_device, host_model):
    link = Link(host_device)
    x = np.random.default_rng(1).integers(0, 256, (50, 100), np.uint8)
    logits = host_model.run(x)
    for row, expected, confidence in zip(x, logits, host_model.confidence(logits), strict=True):
        result = link.infer(row)
        assert result.logits == tuple(expected)
        assert result.class_index == expected.argmax()
        assert result.confidence_per_mille == confidence
    assert link.repeated == 0


def test_infer_answer_carries_both_sums(host_device, host_model):
    x = bytes(range(100))
    send_input(host_device, x)
    answer = InferAnswer.parse(ask(host_device, Request.INFER, struct.pack("<I", zlib.crc32(x))).payload)
    logits = host_model.run(np.frombuffer(x, np.uint8)[None])
    assert answer.input_crc == zlib.crc32(x)
    assert answer.logits_crc == zlib.crc32(logits.astype("<i4").tobytes())
    assert answer.output_size == 13


def test_each_error_has_its_code(host_device):
    assert refused(host_device, 0x0A) == ErrorCode.UNKNOWN_TYPE
    assert refused(host_device, 0x00) == ErrorCode.UNKNOWN_TYPE
    assert refused(host_device, Request.INFO, OFFSET_0, version=2) == ErrorCode.BAD_VERSION
    lengths = {Request.TRACE: 10, Request.PROFILE: 6, Request.SELFTEST: 0, Request.STATS: 0, Request.RESET: 0}
    for kind, length in {Request.INFO: 4, Request.INFER: 4, Request.LOGITS: 4, **lengths}.items():
        for wrong in {max(length - 1, 1), length + 1}:
            assert refused(host_device, kind, bytes(wrong)) == ErrorCode.BAD_LENGTH
    assert refused(host_device, Request.INPUT, bytes(4)) == ErrorCode.BAD_LENGTH
    assert refused(host_device, Request.LOGITS, OFFSET_0) == ErrorCode.NOT_INFERRED
    assert refused(host_device, Request.INFER, struct.pack("<I", zlib.crc32(bytes(100)) ^ 1)) == ErrorCode.INPUT_DIFFERS
    for offset in (100, 101, 53, 0xFFFFFFFF, 0xFFFFFFD0):
        assert refused(host_device, Request.INPUT, struct.pack("<I", offset) + bytes(48)) == ErrorCode.BAD_OFFSET
    for offset in (1000, 0xFFFFFFFF, 0xFFFFFFD0):
        assert refused(host_device, Request.INFO, struct.pack("<I", offset)) == ErrorCode.BAD_OFFSET
    assert ask(host_device, Request.INFER, struct.pack("<I", zlib.crc32(bytes(100)))).type == Request.INFER | ANSWER
    assert refused(host_device, Request.LOGITS, struct.pack("<I", 52)) == ErrorCode.BAD_OFFSET


def test_trace_and_profile_check_input_and_layer(host_device):
    crc, layer, beyond = (struct.pack("<I", zlib.crc32(bytes(100))), struct.pack("<H", 1), struct.pack("<H", 2))
    for kind, offset in ((Request.TRACE, OFFSET_0), (Request.PROFILE, b"")):
        assert refused(host_device, kind, b"\1\2\3\4" + layer + offset) == ErrorCode.INPUT_DIFFERS
        assert refused(host_device, kind, crc + beyond + offset) == ErrorCode.NO_SUCH_LAYER
        assert ask(host_device, kind, crc + layer + offset).type == kind | ANSWER
    assert refused(host_device, Request.TRACE, crc + layer + struct.pack("<I", 52)) == ErrorCode.BAD_OFFSET
    assert ask(host_device, Request.LOGITS, OFFSET_0).type == Request.LOGITS | ANSWER


def test_stats_count_what_came(host_device):
    link = Link(host_device)
    assert (link.stats().answered, link.stats().refused, link.stats().dropped) == (1, 0, 0)
    refused(host_device, 0x7E)
    host_device.serve(b"noise\0\0" + encode(Frame(ERROR, 1, b"\1")))
    assert (link.stats().answered, link.stats().refused, link.stats().dropped) == (5, 1, 1)


def test_reset_forgets_the_input_and_the_counts(host_device):
    link = Link(host_device)
    link.infer(bytes([1] * 100))
    link.reset()
    assert link.stats().answered == 1
    assert refused(host_device, Request.LOGITS, OFFSET_0) == ErrorCode.NOT_INFERRED
    assert ask(host_device, Request.INFER, struct.pack("<I", zlib.crc32(bytes(100)))).type == Request.INFER | ANSWER


def test_a_person_at_a_terminal_is_answered(host_device, host_model):
    model = f"model {host_model.name}, id {host_model.hash[:8]}"
    text = f"\r\nsignbit {__version__}\r\n{model}\r\nself-test passed\r\n\0".encode()
    for newline in (b"\r\n", b"\n\n", b"\r\r"):
        assert host_device.serve(newline) == text
    assert host_device.serve(b"\n") == b"" and host_device.idle() == b"" and host_device.idle() == text
    assert host_device.idle() == host_device.idle() == b""
    assert host_device.serve(b"ab\r\n") == b"" and host_device.idle() == host_device.idle() == b""


def test_a_frame_that_begins_with_a_newline_is_a_frame(host_device):
    """INFER's first code is mostly 13: nothing in it is zero."""
    x = bytes([7] * 100)
    send_input(host_device, x)
    frame = encode(Frame(Request.INFER, 0x0101, struct.pack("<I", zlib.crc32(x))))
    assert frame.startswith(b"\r")
    host_device.serve(frame[:1])
    assert host_device.idle() == b""
    assert decode(host_device.serve(frame[1:])[:-1]).type == Request.INFER | ANSWER


def test_the_last_byte_of_the_input_can_be_written(host_device):
    x = bytes(99) + b"\x07"
    assert ask(host_device, Request.INPUT, struct.pack("<I", 99) + b"\x07").type == Request.INPUT | ANSWER
    assert ask(host_device, Request.INFER, struct.pack("<I", zlib.crc32(x))).type == Request.INFER | ANSWER


def test_every_request_may_be_repeated(host_device):
    x = bytes(range(100))
    for _ in range(2):
        send_input(host_device, x)
        answers = {ask(host_device, Request.INFER, struct.pack("<I", zlib.crc32(x))).payload for _ in range(2)}
        answers |= {ask(host_device, Request.INFER, struct.pack("<I", zlib.crc32(x))).payload}
        assert len(answers) == 1
        assert len({ask(host_device, Request.LOGITS, OFFSET_0).payload for _ in range(2)}) == 1


def test_an_answer_is_never_answered(host_device):
    """Else a line that echoes would keep a device talking to itself."""
    answer = host_device.serve(encode(Frame(Request.INFO, 1, OFFSET_0)))
    assert answer and host_device.serve(answer) == b""
    assert host_device.serve(encode(Frame(ERROR, 1, b"\x01"))) == b""


@given(noise=st.binary(max_size=300))
def test_any_bytes_leave_the_device_answering(host_library, noise):
    host_device = HostDevice(host_library)
    host_device.serve(noise + b"\0")
    assert ask(host_device, Request.INFO, OFFSET_0).type == Request.INFO | ANSWER


@given(requests=st.lists(frames.map(lambda frame: Frame(frame.type % 11, frame.sequence, frame.payload)), max_size=20))
def test_any_sound_frames_are_answered_one_by_one(host_library, requests):
    host_device = HostDevice(host_library)
    for request in requests:
        answer = decode(host_device.serve(encode(request))[:-1])
        assert answer.sequence == request.sequence and answer.type in (request.type | ANSWER, ERROR)


def test_addresses_stay_inside_memory_whatever_comes(tmp_path):
    """A million bytes of noise and half-valid frames, under the sanitizers."""
    (tmp_path / "pipe.c").write_text(PIPE_C)
    options = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover")
    path = compile_device(tmp_path, "pipe", *options, tmp_path / "pipe.c")
    rng = random.Random(11)
    line = bytearray()
    while len(line) < 1_000_000:
        payload = rng.randbytes(rng.choice((0, 4, 5, 30, 52)))
        if rng.random() < 0.5:
            payload = struct.pack("<I", rng.choice((0, 52, 99, 100, 2**32 - 1))) + payload[:48]
        frame = bytearray(encode(Frame(rng.choice((*Request, rng.randrange(256))), rng.randrange(65536), payload)))
        if rng.random() < 0.2:
            frame[rng.randrange(len(frame))] = rng.randrange(256)
        line += frame
        if rng.random() < 0.1:
            line += rng.randbytes(rng.randrange(200))
    last = Frame(Request.INFO, 4711, OFFSET_0)
    done = subprocess.run([path], input=bytes(line) + b"\0" + encode(last), capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    answers = FrameReader().feed(done.stdout)
    assert len(answers) > 10_000
    assert answers[-1].sequence == 4711 and answers[-1].type == Request.INFO | ANSWER
