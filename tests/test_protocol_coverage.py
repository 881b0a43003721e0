"""Every line and every branch of the protocol's C is run: measured with gcov, over one session that shows all cases."""

import gzip
import json
import shutil
import struct
import subprocess
import zlib

import pytest

from signbit.line.frame import Frame, encode
from signbit.line.protocol import Request
from tests.host_device import compile_device
from tests.test_listening import SENSOR, eager
from tools.networks.random import FRONT_ENDS, front_end_model

SOURCE = "protocol.c"
# the input that the device holds after reset
CRC = struct.pack("<I", zlib.crc32(bytes(100)))
LAYER = struct.pack("<H", 1)
OFFSET = struct.pack("<I", 0)

# stdin holds two bytes for each event: 0 and a byte of the line, or 1 and 0 when the line is silent
PROGRAM = """
#include <stdio.h>
#include <string.h>
#include "ports/host.h"
#include "protocol.h"
int main(void)
{
    static unsigned char sent[4096], event[2], chunk[48];
    static char long_text[300];
    protocol_window_t window = { chunk, 0, 0 };
    host_reset();
    while (fread(event, 1, 2, stdin) == 2) {
        if (event[0]) {
            host_idle(sent, sizeof sent);
        } else {
            host_serve(&event[1], 1, sent, sizeof sent);
        }
    }
    memset(long_text, 'x', sizeof long_text - 1);
    protocol_put_text(&window, long_text);
    return window.total == 256 ? 0 : 1;
}
"""
FAILS_ONCE = "#include <stdint.h>\nstatic uint32_t starts;\n"
SILENCE = b"\1\0"


def line(data: bytes) -> bytes:
    """The events of bytes that come one by one."""
    return b"".join(bytes([0, byte]) for byte in data)


def session() -> bytes:
    """What a host may send, valid and invalid."""
    far = struct.pack("<I", 1 << 20)
    requests = [
        *(Frame(kind, 1, bytes(1)) for kind in Request if kind != Request.INPUT),
        *(Frame(kind, 1) for kind in (Request.SELFTEST, Request.STATS, Request.INPUT)),
        *(Frame(kind, 1, OFFSET) for kind in (Request.LOGITS, Request.INFO)),
        *(Frame(Request.INPUT, 1, at + b"\0") for at in (OFFSET, far, struct.pack("<I", 100))),
        *(Frame(Request.INFER, 1, sum) for sum in (CRC, bytes(4))),
        *(Frame(Request.TRACE, 1, CRC + LAYER + at) for at in (OFFSET, far)),
        *(Frame(Request.TRACE, 1, bytes(10)), Frame(Request.TRACE, 1, CRC + b"\xff\0" + OFFSET)),
        *(Frame(Request.PROFILE, 1, head) for head in (CRC + LAYER, bytes(6), CRC + b"\xff\0")),
        *(Frame(Request.LOGITS, 1, at) for at in (OFFSET, far)),
        *(Frame(0x7E, 1), Frame(0xFF, 1), Frame(Request.INFO, 1, OFFSET, version=2)),
    ]
    frames = b"".join(encode(request) for request in requests)
    broken = b"\0abc\0" + b"\x01" * 90 + b"\0" + b"\x09" * 20 + b"\0" + b"\x01" * 20 + b"\0"
    silent = line(b"\n") + 3 * SILENCE + line(b"\ra\0a\n") + 2 * SILENCE
    return line(frames + broken + b"\r\n") + silent + line(b"\0" + encode(Frame(Request.RESET, 1)))


@pytest.mark.skipif(not shutil.which("gcov"), reason="gcov is missing: apt install gcc")
def test_every_line_and_branch_of_the_protocol_is_run(tmp_path):
    (tmp_path / "pipe.c").write_text(PROGRAM)
    program = compile_device(tmp_path, "pipe", "-O0", "--coverage", tmp_path / "pipe.c")
    subprocess.run([program], input=session(), check=True, cwd=tmp_path)
    missed = [place for place, count in counts(tmp_path) if not count]
    assert not missed


@pytest.mark.skipif(not shutil.which("gcov"), reason="gcov is missing: apt install gcc")
def test_a_shorter_session_is_found_wanting(tmp_path):
    """The measurement itself: without a single request something is missed."""
    (tmp_path / "pipe.c").write_text(PROGRAM)
    program = compile_device(tmp_path, "pipe", "-O0", "--coverage", tmp_path / "pipe.c")
    subprocess.run([program], input=session()[: -len(line(encode(Frame(Request.RESET, 1))))], check=True, cwd=tmp_path)
    assert [place for place, count in counts(tmp_path) if not count]


@pytest.mark.skipif(not shutil.which("gcov"), reason="gcov is missing: apt install gcc")
def test_every_line_and_branch_of_the_listener_is_run(tmp_path):
    """A board's sensor that fails once, then gives hops until the device has forgotten words."""
    (tmp_path / "pipe.c").write_text(PROGRAM)
    (tmp_path / "sensor.c").write_text(
        FAILS_ONCE + SENSOR.replace("return rate_hz == 16000u", "return rate_hz == 16000u && starts++ > 0u")
    )
    model, options = eager(front_end_model(0, *FRONT_ENDS[0])), ("-O0", "--coverage", tmp_path / "pipe.c")
    program = compile_device(tmp_path, "pipe", *options, model=model, sensor=tmp_path / "sensor.c")
    hop, known, far = (struct.pack("<I", number) for number in (0, 1, 1 << 20))
    start = [bytes([source]) + struct.pack("<H", step) for source, step in ((1, 3), (2, 0), (3, 0), (2, 0))]
    requests = [
        *((Request.WORDS, hop), (Request.SAMPLES, hop + bytes(2)), (Request.LISTEN, b""), (0x7E, b"")),
        *((Request.LISTEN, start[0]), (Request.SAMPLES, b""), (Request.SAMPLES, hop + bytes(3))),
        *((Request.SAMPLES, hop + bytes(4)), (Request.SAMPLES, known + bytes(4)), (Request.SAMPLES, far + bytes(4))),
        *((Request.LISTEN, start[1]), (Request.LISTEN, start[2]), (Request.LISTEN, start[3])),
        *((Request.WORDS, hop), (Request.WORDS, b"")),
    ]
    frames = line(b"".join(encode(Frame(kind, 1, payload)) for kind, payload in requests))
    later = line(encode(Frame(Request.WORDS, 1, hop)) + encode(Frame(Request.WORDS, 1, far)))
    subprocess.run([program], input=SILENCE + frames + 800 * SILENCE + later, check=True, cwd=tmp_path)
    assert [place for place, count in counts(tmp_path, "listener.c") if not count] == []


def counts(folder, source=SOURCE):
    """How often each line, and each branch of it, of a source was taken."""
    (notes,) = folder.glob(f"*{source.removesuffix('.c')}.gcda")
    subprocess.run(["gcov", "-b", "-j", notes.name], cwd=folder, check=True, capture_output=True)
    (report,) = folder.glob(f"*{source.removesuffix('.c')}*.gcov.json.gz")
    for file in json.loads(gzip.decompress(report.read_bytes()))["files"]:
        for line in file["lines"]:
            place = f"{source}:{line['line_number']}"
            yield place, line["count"]
            yield from ((f"{place} branch {k}", branch["count"]) for k, branch in enumerate(line["branches"]))
