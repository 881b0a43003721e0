"""The firmware on this computer, through sessions that show all its cases: what they have run of its C."""

import dataclasses
import re
import struct
import subprocess
import tempfile
import zlib
from collections.abc import Callable, Iterable
from configparser import ConfigParser
from functools import partial
from pathlib import Path

import numpy as np

from signbit.codegen.plan import COUNT_BYTES, Plan, make_plan
from signbit.codegen.render import header_text
from signbit.codegen.swap import DIGEST_AT, HEAD, sealed, with_crc
from signbit.line.frame import CHUNK_BYTES, Frame, encode
from signbit.line.protocol import Request
from signbit.places import FIRMWARE
from signbit.qmodel.decision import Decision
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.integer import INT32_MAX, INT32_MIN
from signbit.qmodel.model import QuantizedModel
from tools.networks.random import FRONT_ENDS, front_end_model, random_model, with_counts
from tools.networks.retrained import retrained
from tools.prove import gcov
from tools.prove.gcov import Coverage

SOURCE = FIRMWARE / "src"
SOURCES = ("main.c", "protocol.c", "device.c", "listener.c", "swap.c", "sha256.c", "slots_ram.c")
CORE_SOURCES = ("core.c", "ticks.c", "semihost.c")
BOARD, REGISTERS = Path(__file__).with_suffix(".c"), Path(__file__).with_name("registers.c")
SEMIHOST = Path(__file__).with_name("semihost_here.c")
REGISTERS_HERE = REGISTERS.with_suffix(".h")
SILENCE, IDLE = b"\1\0", b"\2\0"
PROTECT, UNPROTECT, FAULT = b"\3\1", b"\3\0", b"\4\1"
ANOTHER_BLOCK, ANOTHER_FIRMWARE, DAMAGE = b"\5\1", b"\5\2", b"\5\40"
LOADS = Request.LOAD_BEGIN, Request.LOAD_CHUNK, Request.LOAD_COMMIT
NAME_AT, LOGIT_SHIFT_AT = 104, 136
"""In a block -- SPEC 15."""
OFFSET, FAR = struct.pack("<I", 0), struct.pack("<I", 1 << 20)
INPUTS = 100
ENDINGS = {
    None: 10,
    "in": 10,
    "nothing out": 11,
    "in no/folder": 12,
    "cut out": 13,
    "in /dev/full": 14,
    "in out": 0,
}
"""Command lines for batch.c, with the exit codes that they must give."""


def line(data: bytes) -> bytes:
    """The events of bytes that come one by one."""
    return b"".join(bytes([0, byte]) for byte in data)


def ask(*requests: tuple[int, bytes]) -> bytes:
    return line(b"".join(encode(Frame(kind, 1, payload)) for kind, payload in requests))


RESET = ask((Request.RESET, b""))


def covered() -> Coverage:
    """All sessions together."""
    coverage = Coverage()
    asked, heard = model(), front_end_model(0, *FRONT_ENDS[0])
    eager = dataclasses.replace(heard, decision=Decision(1, 2, 1, np.array([1, 1, 1], np.uint32)))
    silent = dataclasses.replace(heard, decision=None)
    run(coverage, plan_of(asked), requests() + FAULT + RESET + terminal() + requests())
    run(coverage, plan_of(asked), requests() + terminal(), is_spoilt=True)
    run(coverage, plan_of(eager), listening(eager), ("-DBOARD_SENSOR",))
    run(coverage, plan_of(silent), listening(silent), ("-DBOARD_SENSOR",))
    run(coverage, plan_of(eager), listening(eager))
    swappable = plan_of(asked, is_swappable=True)
    run(coverage, swappable, loading(asked))
    run(coverage, swappable, loading(asked), ("-DPORT_HAS_SLOTS",))
    in_batches(coverage, plan_of(asked), INPUTS)
    in_batches(coverage, plan_of(with_counts(asked, 1)), COUNT_BYTES * INPUTS)
    on_registers(coverage)
    return coverage


def on_registers(coverage: Coverage) -> None:
    """Each board's port and sensor, and what all cores share, on registers of random content."""
    config = ConfigParser(interpolation=None)
    config.read([FIRMWARE / "platformio.ini", *sorted((FIRMWARE / "boards").glob("*.ini"))])
    seen, once = set(), partial(subprocess.run, check=True)
    for board in config.values():
        port = board.get("custom_port", "none")
        if not (FIRMWARE / "src" / "ports" / f"{port}.c").exists():
            continue
        flags = board.get("build_flags", "")
        flags = re.findall(r"-D\S+", re.sub(r"\$\{(\w+)\.(\w+)\}", lambda found: config.get(*found.groups()), flags))
        build = port, board.get("custom_sensor", "none"), *flags
        if build not in seen:
            seen.add(build)
            names = [f"ports/{port}.c", f"sensors/{build[1]}.c", *CORE_SOURCES]
            core = ["-D__ARM_ARCH_6M__"] * (port == "rp2040")
            measure(coverage, [REGISTERS, *sources(names)], [*flags, *core, "-include", str(REGISTERS_HERE)], once)


def model() -> QuantizedModel:
    """100 inputs are three chunks, the last one short; 13 logits are two."""
    return random_model(7, (INPUTS, 12, 13))


def plan_of(model: QuantizedModel, **options) -> Plan:
    return make_plan(model, "model", test_vectors=2, **options)


def run(coverage: Coverage, plan: Plan, events: bytes, options: Iterable[str] = (), is_spoilt: bool = False) -> None:
    """One session; with `is_spoilt` the model computes other logits than its test vectors have."""
    with tempfile.TemporaryDirectory(prefix="signbit-") as name:
        folder, text = Path(name), header_text(plan)
        (folder / "model.h").write_text(
            text.replace("expected[vector][index]", "expected[vector][index] + 1") if is_spoilt else text
        )
        names = [*SOURCES, *["sensors/none.c"] * ("-DBOARD_SENSOR" not in options)]
        options = [f"-I{folder}", *options, "-Dmain=firmware_main"]
        use = partial(subprocess.run, input=events, stdout=subprocess.DEVNULL, check=True)
        measure(coverage, [BOARD, *sources(names)], options, use)


def in_batches(coverage: Coverage, plan: Plan, item_bytes: int) -> None:
    """All ways in which inputs from a file can end, each of so many bytes.  Raises SignbitError if one is another."""

    def use(program: list[Path]) -> None:
        for name, size in (("in", 20 * item_bytes), ("cut", item_bytes - 1)):
            (folder / name).write_bytes(bytes(size))
        for words, code in ENDINGS.items():
            words = {} if words is None else {"WORDS": words}
            found = subprocess.run(program, cwd=folder, env=words).returncode
            if found != code:
                raise SignbitError(f"batch.c ends with {found} and not {code}, given {words}")

    with tempfile.TemporaryDirectory(prefix="signbit-") as name:
        folder = Path(name)
        (folder / "model.h").write_text(header_text(plan))
        measure(coverage, [SEMIHOST, *sources(["batch.c"])], [f"-I{folder}"], use)


def sources(names: Iterable[str]) -> list[Path]:
    return [SOURCE / name for name in names]


def measure(
    coverage: Coverage,
    sources: list[Path],
    options: Iterable[str],
    use: Callable[[list[Path]], object],
) -> None:
    """Run one program, as `use` does with its command."""
    with tempfile.TemporaryDirectory(prefix="signbit-") as name:
        folder = Path(name)
        includes = [f"-I{FIRMWARE / 'include'}", f"-I{SOURCE}"]
        use([gcov.build(folder / "program", sources, [*includes, *options])])
        for each in gcov.lines(folder):
            path = Path(each.file)
            if path.is_relative_to(SOURCE):
                coverage.add(f"{path.relative_to(SOURCE)}:{each.number}", each)


def requests() -> bytes:
    """What a host may ask of any device, valid and invalid, and noise."""
    crc, layer = struct.pack("<I", zlib.crc32(bytes(INPUTS))), struct.pack("<H", 1)
    asked = [
        *(Frame(kind, 1, bytes(1)) for kind in Request if kind != Request.INPUT),
        *(Frame(kind, 1) for kind in (Request.SELFTEST, Request.STATS, Request.INPUT)),
        *(Frame(kind, 1, OFFSET) for kind in (Request.LOGITS, Request.INFO)),
        *(Frame(Request.INPUT, 1, at + b"\0") for at in (OFFSET, FAR, struct.pack("<I", INPUTS))),
        *(Frame(Request.INFER, 1, sum) for sum in (crc, bytes(4))),
        *(Frame(Request.TRACE, 1, crc + layer + at) for at in (OFFSET, FAR)),
        Frame(Request.TRACE, 1, crc + bytes(2) + OFFSET),
        *(Frame(Request.TRACE, 1, bytes(10)), Frame(Request.TRACE, 1, crc + b"\xff\0" + OFFSET)),
        *(Frame(Request.PROFILE, 1, head) for head in (crc + layer, bytes(6), crc + b"\xff\0")),
        *(Frame(Request.LOGITS, 1, at) for at in (OFFSET, FAR)),
        *(Frame(Request.INFO, 1, struct.pack("<I", at)) for at in range(0, 400, CHUNK_BYTES)),
        *(Frame(0x7E, 1), Frame(0xFF, 1), Frame(Request.INFO, 1, OFFSET, version=2)),
    ]
    broken = b"\0abc\0" + b"\x01" * 90 + b"\0" + b"\x09" * 20 + b"\0" + b"\x01" * 20 + b"\0"
    return line(b"".join(encode(request) for request in asked) + broken) + IDLE


def terminal() -> bytes:
    """What somebody types who has no host, and silence."""
    return line(b"\0\r\n") + SILENCE + line(b"\n") + 3 * SILENCE + line(b"\ra\0a\n") + 2 * SILENCE + line(b"\0")


def listening(model: QuantizedModel) -> bytes:
    """Sources of all kinds, samples that come twice or not in order, and words until the device has forgotten some."""
    hop, known = OFFSET, struct.pack("<I", 1)
    start = [bytes([source]) + struct.pack("<H", step) for source, step in ((1, 3), (2, 0), (3, 0), (2, 0))]
    asked = [
        *((Request.WORDS, hop), (Request.SAMPLES, hop + bytes(2)), (Request.LISTEN, b""), (0x7E, b"")),
        *((Request.LISTEN, start[0]), (Request.SAMPLES, b""), (Request.SAMPLES, hop + bytes(3))),
        *((Request.SAMPLES, hop + bytes(4)), (Request.SAMPLES, known + bytes(4)), (Request.SAMPLES, FAR + bytes(4))),
        *((Request.LISTEN, start[1]), (Request.LISTEN, start[2]), (Request.LISTEN, start[3])),
        *((Request.WORDS, hop), (Request.WORDS, b"")),
    ]
    polls = 16 * model.front_end.samples_shape[0] // 64
    return SILENCE + ask(*asked) + polls * IDLE + ask((Request.WORDS, hop), (Request.WORDS, FAR)) + RESET


def loading(compiled: QuantizedModel) -> bytes:
    """Models in both slots, requests out of order, blocks that are refused, and a flash that keeps what it has."""
    plans = [plan_of(retrained(compiled, seed), is_swappable=True) for seed in (1, 2, 3)]
    first, second, third = (plan.swap.block for plan in plans)
    size, crc, begin, chunk, commit = number(len(first)), first[-4:], *LOADS
    asked = [
        *((commit, crc), (commit, b""), (chunk, b""), (chunk, bytes(8)), (begin, b""), (begin, bytes(8))),
        *((begin, size + crc), (begin, size + crc), (begin, size + bytes(4)), (begin, size + crc)),
        *((chunk, bytes(7)), (chunk, FAR + bytes(4)), (chunk, size + bytes(4)), (chunk, number(8) + bytes(4))),
        *((chunk, OFFSET + first[:8]), (chunk, OFFSET + first[:8]), (chunk, OFFSET + bytes(8))),
        *((chunk, OFFSET + first[:12]), (chunk, number(4) + first[4:12]), (commit, crc), (commit, bytes(4))),
    ]
    events = [
        ask((Request.INFO, OFFSET), *asked),
        PROTECT,
        ask((chunk, number(8) + first[8:12])),
        UNPROTECT,
        load(first),
    ]
    events += [load(block) for block in refused(plans[1]) for _ in range(2)]
    events += [ask((begin, size + bytes(4)), *chunks(second), (commit, bytes(4)))]
    events += [load(second)[: -len(ask((commit, crc)))], PROTECT, ask((commit, second[-4:])), UNPROTECT]
    events += [load(second), ask((commit, second[-4:]), (commit, crc), (Request.INFO, OFFSET))]
    events += [RESET, load(third), load(second), RESET]
    # the slot holds the block already, but its seal is an old one
    events += [PROTECT, load(third), UNPROTECT]
    for change in (ANOTHER_BLOCK, ANOTHER_FIRMWARE, DAMAGE):
        events += [load(third), load(second), change, RESET]
    return b"".join([*events, ask((Request.INFO, OFFSET)), requests(), terminal()])


def load(block: bytes) -> bytes:
    begin, _, commit = LOADS
    return ask((begin, number(len(block)) + block[-4:]), *chunks(block), (commit, block[-4:]))


def chunks(block: bytes) -> list[tuple[Request, bytes]]:
    parts = range(0, len(block), CHUNK_BYTES)
    return [(Request.LOAD_CHUNK, number(at) + block[at : at + CHUNK_BYTES]) for at in parts]


def refused(plan: Plan) -> list[bytes]:
    """Blocks with one thing that is wrong, each for another check."""
    block, members, at = plan.swap.block, {}, HEAD.size
    for member in plan.swap.members:
        members[member.name] = at
        at += member.size_bytes
    low, high = (struct.pack("<i", end) for end in (INT32_MIN, INT32_MAX))
    changes = [
        (0, b"?"),
        (4, b"?"),
        (NAME_AT + 31, b"?"),
        (8, b"?"),
        (LOGIT_SHIFT_AT, number(27)),
        (members["shifts"], b"\x20"),
        (members["ranges"], low),
        (members["ranges"] + 4, high),
        (members["expected"], low),
    ]
    whole = [sealed(block[:at] + wrong + block[at + len(wrong) : -4]) for at, wrong in changes]
    # a wrong CRC, and a wrong digest
    digest = bytes(32) + block[DIGEST_AT + 32 : -4]
    return [*whole, block[:-4] + bytes(4), with_crc(block[:DIGEST_AT] + digest)]


def number(value: int) -> bytes:
    return struct.pack("<I", value)
