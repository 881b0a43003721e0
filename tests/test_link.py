"""The host's end of the line, against the C device of this computer: bad lines, stale answers, refusals."""

import random
import struct
import zlib
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from signbit.line.frame import ANSWER, Frame, decode, encode
from signbit.line.link import DeviceError, Link, LinkError
from signbit.line.protocol import ErrorCode, Request
from tests.host_device import HostDevice

OFFSET_0 = struct.pack("<I", 0)


def damager(seed: int, rate: float):
    """Flips, drops, doubles and overwrites bytes of what passes, each byte with probability `rate`."""
    rng = random.Random(seed)

    def damage(data: bytes) -> bytes:
        out = bytearray()
        for byte in data:
            fault = rng.choice(("flip", "drop", "double", "overwrite")) if rng.random() < rate else None
            if fault == "flip":
                out.append(byte ^ 1 << rng.randrange(8))
            elif fault == "double":
                out += bytes([byte, byte])
            elif fault == "overwrite":
                out.append(rng.randrange(256))
            elif fault is None:
                out.append(byte)
        return bytes(out)

    return damage


def test_a_bad_line_gives_right_answers_all_the_same(host_library, host_model):
    host_device = HostDevice(host_library, damager(5, 0.01))
    link = Link(host_device, timeout=0.001, retries=50)
    x = np.random.default_rng(2).integers(0, 256, (100, 100), np.uint8)
    logits = host_model.run(x)
    for row, expected in zip(x, logits, strict=True):
        assert link.infer(row).logits == tuple(expected)
    assert link.repeated > 100


def test_each_time_that_a_request_is_sent_again_is_counted(host_device):
    """One is lost twice, another once."""
    lost = {0, 1, 3}
    sent = []

    def write(data):
        if len(data) > 1:
            sent.append(data)
        if len(data) == 1 or len(sent) - 1 not in lost:
            host_device.write(data)

    link = Link(SimpleNamespace(write=write, read=host_device.read), timeout=0.01)
    link.self_test()
    link.stats()
    assert (link.asked, link.repeated, len(sent)) == (2, 3, 5)


def test_an_input_that_arrived_wrong_is_sent_again(host_device, host_model):
    """A chunk acknowledged but not stored (here: overwritten behind the host's back) is found by INFER's check."""
    link = Link(host_device)
    x = bytes(range(100))
    send, spoiled = host_device.write, []

    def write(data):
        if not spoiled and len(data) > 1 and decode(data[:-1]).type == Request.INFER:
            spoiled.append(host_device.serve(encode(Frame(Request.INPUT, 9, OFFSET_0 + b"\xff"))))
        send(data)

    host_device.write = write
    assert link.infer(x).logits == tuple(host_model.run(np.frombuffer(x, np.uint8)[None])[0])
    assert spoiled


def test_a_stale_answer_is_not_taken(host_device, host_model):
    """An answer to another request, sound as it is, is not the one that was asked for."""
    link = Link(host_device)
    link.info()
    old = host_device.serve(encode(Frame(Request.INFO, (link._sequence - 1) & 0xFFFF, OFFSET_0)))
    host_device.sent = old
    x = bytes(100)
    assert link.infer(x).logits == tuple(host_model.run(np.zeros((1, 100), np.uint8))[0])


def changing(device, kind, change):
    """Let `change` make other payloads of the device's answers to requests of that kind; they arrive intact."""
    send = device.write

    def write(data):
        send(data)
        frames = [decode(part) for part in device.sent.split(b"\0") if part]
        changed = [
            replace(each, payload=change(each.payload)) if each.type == kind | ANSWER else each for each in frames
        ]
        device.sent = b"".join(map(encode, changed))

    device.write = write


@pytest.mark.parametrize(
    ("kind", "change", "words"),
    [
        (Request.INFER, lambda payload: payload[:15] + bytes(4) + payload[19:], "answered for another input"),
        (Request.INFER, lambda payload: payload[:19] + bytes(4), "not those of this inference"),
        (Request.LOGITS, lambda payload: payload[:-1] + bytes([payload[-1] ^ 1]), "not those of this inference"),
    ],
    ids=["input", "sum of the logits", "logits"],
)
def test_an_intact_answer_of_another_inference_is_refused(host_device, kind, change, words):
    link = Link(host_device)
    link.info()
    changing(host_device, kind, change)
    with pytest.raises(LinkError, match=words):
        link.infer(bytes(range(100)))


def test_an_answer_to_an_earlier_request_of_the_same_kind_is_not_taken(host_device, host_model):
    """It has the same type, and only its sequence number is old."""
    link = Link(host_device)
    x = bytes(range(100))
    link.infer(x)
    sequence = (link._sequence - 5) & 0xFFFF
    stale = host_device.serve(encode(Frame(Request.INFER, sequence, struct.pack("<I", zlib.crc32(x)))))
    send = host_device.write

    def write(data):
        if len(data) > 1 and decode(data[:-1]).type == Request.INFER:
            host_device.sent = stale
        send(data)

    host_device.write = write
    assert link.infer(bytes(100)).logits == tuple(host_model.run(np.zeros((1, 100), np.uint8))[0])


def test_every_layer_can_be_seen(host_device, host_model):
    x = np.random.default_rng(6).integers(0, 256, (1, 100), np.uint8)
    assert Link(host_device).trace(x[0]) == [layer.tobytes() for layer in host_model.trace(x)]


def test_every_layer_has_its_ticks(host_device):
    assert [layer.ticks for layer in Link(host_device).profile(bytes(100))] == [0, 0]


def test_the_self_test_runs_the_embedded_vectors(host_device):
    link = Link(host_device)
    assert (link.self_test().vectors, link.self_test().failed) == (2, 0)
    assert (link.info().test_vectors, link.info().self_test_failed) == (2, False)


def test_a_dead_line_is_given_up(host_device):
    host_device.damage = lambda data: b""
    with pytest.raises(LinkError, match="no valid answer after 3 attempts"):
        Link(host_device, timeout=0.01, retries=2).info()


def test_a_refusal_says_why(host_device):
    with pytest.raises(DeviceError, match="bad offset") as refusal:
        Link(host_device).request(Request.INFO, struct.pack("<I", 1 << 20))
    assert refusal.value.code == ErrorCode.BAD_OFFSET


def test_an_input_of_the_wrong_size_is_not_sent(host_device):
    with pytest.raises(ValueError, match="99 bytes, but the model takes 100"):
        Link(host_device).infer(bytes(99))


@pytest.mark.parametrize("change", [lambda data: b"\x0d\0" + data[2:], lambda data: data[:2] + b"\x0c\0" + data[4:]])
def test_a_class_that_the_model_does_not_have_is_not_taken(host_device, change):
    changing(host_device, Request.INFER, change)
    with pytest.raises(LinkError, match=r"the device names class 1?[0-9] of 1[23]"):
        Link(host_device).infer(bytes(100))
