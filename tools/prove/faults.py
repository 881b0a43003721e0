"""Millions of faults on the line between a host and the firmware's own protocol.

Bits flip, bytes are lost, doubled, overwritten or drowned in bursts of noise, in both directions.  A wrong answer that
is accepted, or a request that is never answered, is a finding.  A shorter checksum must have some.
"""

import shutil
import subprocess
import tempfile
from functools import partial
from pathlib import Path

from signbit.places import FIRMWARE, MODELS
from signbit.qmodel.file import load
from tools.prove import host_build
from tools.prove.row import Outcome, Row

MODEL = MODELS / "digits-mlp.npz"
HARNESS = Path(__file__).with_name("faults.c")
PROTOCOL = FIRMWARE / "src" / "protocol.c"
TIMEOUT_S = 3600
CHECK = "return protocol_u32(wire + 1u + length) == protocol_crc32(wire + 1, length) ? length : 0u;"
SHORTER = {
    8: (0xAB, "wire[1u + length] == (protocol_crc32(wire + 1, length) & 0xFFu)"),
    16: (0xA001, "protocol_u16(wire + 1u + length) == (protocol_crc32(wire + 1, length) & 0xFFFFu)"),
}
"""Reflected polynomials of shorter checksums, and how their frames are checked."""


def run(first: int, count: int, protocol: Path | None = None) -> Outcome:
    """`count` faults on the line to a device of this computer; `protocol` replaces protocol.c."""
    with tempfile.TemporaryDirectory(prefix="signbit-") as name:
        program = host_build.build(load(MODEL), Path(name, "faults"), ("-O2", HARNESS), changed=protocol)
        command = [program, str(count), str(first)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=True)
    _, _, requests, repeats, inferences, wrong, lost = map(int, done.stdout.split())
    return outcome_of(first, {"requests": requests, "repeats": repeats, "inferences": inferences}, wrong, lost)


def outcome_of(first: int, counts: dict[str, int], wrong: int, lost: int) -> Outcome:
    found = ((wrong, "wrong answers were accepted"), (lost, "requests were never answered"))
    return Outcome(counts, tuple(f"faults from {first} on: {number} {text}" for number, text in found if number))


def with_shorter_crc(bits: int, faults: int) -> Outcome:
    """The same with a protocol whose frames have a CRC of 8 or 16 bits."""
    with tempfile.TemporaryDirectory(prefix="signbit-") as name:
        path = Path(name, PROTOCOL.name)
        path.write_text(shorter(PROTOCOL.read_text(), bits))
        return run(1, faults, path)


def shorter(source: str, bits: int) -> str:
    """protocol.c with a CRC of `bits` in place of CRC-32, everything else the same."""
    polynomial, check = SHORTER[bits]
    start, end = source.index("0x00000000u, 0x1DB71064u"), source.index("};", source.index("0x1DB71064u"))
    source = source[:start] + ", ".join(f"0x{entry:04X}u" for entry in _table(polynomial)) + source[end:]
    source = host_build.replaced(source, "#define CRC_BYTES 4u", f"#define CRC_BYTES {bits // 8}u")
    return host_build.replaced(source, CHECK, f"return {check} ? length : 0u;")


def _table(polynomial: int) -> list[int]:
    """CRC of each value of four bits."""
    table = []
    for value in range(16):
        for _ in range(4):
            value = value >> 1 ^ (polynomial if value & 1 else 0)
        table.append(value)
    return table


def missing() -> str | None:
    return None if shutil.which("cc") else "cc is missing: apt install gcc"


ROW = Row(
    "uart-faults",
    "no wrong answer is accepted and none is lost, whatever the line changes",
    "faults",
    short=1_000_000,
    total=100_000_000,
    step=1_000_000,
    covers=("firmware/src", "firmware/include", "tools/prove/faults.py", "tools/prove/faults.c"),
    run=run,
    controls={
        "CRC-8 in place of CRC-32": partial(with_shorter_crc, 8, 20_000),
        "CRC-16 in place of CRC-32": partial(with_shorter_crc, 16, 1_000_000),
    },
    missing=missing,
)
