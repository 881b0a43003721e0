"""`python -m tools faults`: millions of faults on the line between a host and the firmware's own protocol.

Bits flip, bytes are lost, doubled, overwritten or drowned in bursts of noise, in both directions.  A wrong answer that
is accepted, or a request that is never answered, fails.  So does the check itself if CRC-16 would have sufficed.

A run with at least the default numbers writes bench/faults.json and the table in docs/PROTOCOL.md.
"""

import json
import random
import subprocess
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from signbit.emulate import machines as emulator
from signbit.emulate import pio
from signbit.emulate.emulation import build_folder, missing
from signbit.emulate.machines import EmulatedUart
from signbit.line.link import Link, LinkError, Stream
from signbit.places import FIRMWARE, MODELS, ROOT
from signbit.qmodel.atomic import write_whole
from signbit.qmodel.command import EXIT_DIFFERENT, EXIT_OK, Parser
from signbit.qmodel.file import load
from signbit.qmodel.model import QuantizedModel
from signbit.qmodel.option_types import whole
from tools.documents.blocks import replace_block, table_of
from tools.prove import host_build

FAULTS = 10_000_000
CORE_FAULTS = 10_000
SEED = 1
# at a rate of 1 %, half of all attempts fail
RETRIES = 1000
CORE_RATE = 0.01
CORE_TIMEOUT_S = 0.015
MODEL = MODELS / "digits-mlp.npz"
HARNESS = Path(__file__).with_name("faults.c")
FIGURES = ROOT / "bench" / "faults.json"
DOCUMENT = ROOT / "docs" / "PROTOCOL.md"
BLOCK = "faults"
HOST, WEAK, CORE = "this computer", "this computer, CRC-16 instead", "emulated Cortex-M0"

# how protocol.c looks with CRC-16 (polynomial 0xA001 reflected) in place of CRC-32
CRC_16 = (
    ("#define CRC_BYTES 4u", "#define CRC_BYTES 2u"),
    (
        "return read_u32(wire + 1u + length) == protocol_crc32(wire + 1, length) ? length : 0u;",
        "return read_u16(wire + 1u + length) == (protocol_crc32(wire + 1, length) & 0xFFFFu) ? length : 0u;",
    ),
)


@dataclass(frozen=True)
class Outcome:
    """Faults on `bytes` of the line; `wrong` answers were accepted, `lost` requests never answered."""

    faults: int
    bytes: int
    requests: int
    repeats: int
    inferences: int
    wrong: int
    lost: int

    def __str__(self) -> str:
        return (
            f"{self.faults:,} faults in {self.bytes:,} bytes, {self.requests:,} requests, {self.repeats:,} repeats,"
            f" {self.inferences:,} inferences: {self.wrong:,} wrong accepted, {self.lost:,} lost"
        )


def inject(model: QuantizedModel, faults: int, seed: int, crc_16: bool = False, timeout: float = 3600) -> Outcome:
    """Put `faults` faults into the line to a device of this computer; raises TimeoutExpired when it hangs."""
    with tempfile.TemporaryDirectory(prefix="signbit-") as name:
        folder = Path(name)
        protocol = None
        if crc_16:
            protocol = folder / "protocol_crc16.c"
            protocol.write_text(with_crc_16((FIRMWARE / "src" / "protocol.c").read_text()))
        program = host_build.build(model, folder / "faults", ("-O2", HARNESS), protocol=protocol)
        command = [program, str(faults), str(seed)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=True)
    return Outcome(*map(int, done.stdout.split()))


def with_crc_16(source: str) -> str:
    """protocol.c with CRC-16 in place of CRC-32, everything else the same."""
    start, end = source.index("0x00000000u, 0x1DB71064u"), source.index("};", source.index("0x1DB71064u"))
    source = source[:start] + ", ".join(f"0x{entry:04X}u" for entry in _crc_16_table()) + source[end:]
    for before, after in CRC_16:
        if source.count(before) != 1:
            raise ValueError(f"protocol.c has changed: {before!r} is not there once")
        source = source.replace(before, after)
    return source


def _crc_16_table() -> list[int]:
    """CRC of each value of four bits."""
    table = []
    for value in range(16):
        for _ in range(4):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
        table.append(value)
    return table


class BadLine:
    """A stream through which faults pass with the bytes; counts both."""

    def __init__(self, stream: Stream, rate: float, seed: int):
        self.stream = stream
        self.rate = rate
        self.random = random.Random(seed)
        self.faults = 0
        self.bytes = 0

    def read(self, timeout: float) -> bytes:
        return self._spoil(self.stream.read(timeout))

    def write(self, data: bytes) -> None:
        self.stream.write(self._spoil(data))

    def _spoil(self, data: bytes) -> bytes:
        self.bytes += len(data)
        out, at = bytearray(), 0
        while at < len(data):
            if self.random.random() >= self.rate:
                out.append(data[at])
                at += 1
                continue
            self.faults += 1
            fault = self.random.choice(("flip", "drop", "double", "overwrite", "burst"))
            burst = self.random.randint(2, 8) if fault == "burst" else 1
            if fault == "flip":
                out.append(data[at] ^ 1 << self.random.randrange(8))
            elif fault == "double":
                out += data[at : at + 1] * 2
            elif fault != "drop":
                out += self.random.randbytes(burst)
            at += burst
        return bytes(out)


def inject_core(path: Path, faults: int, seed: int, core: str = "m0") -> Outcome:
    """The same with `signbit.line.link` and the real firmware on a core; needs what `emulation.missing` names."""
    model = load(path)
    machine = emulator.MACHINES[core]
    elf = pio.build([machine.env], path, build_folder(model))[machine.env]
    rng = np.random.default_rng(seed)
    inferences = wrong = lost = 0
    with EmulatedUart(machine, elf) as uart:
        line = BadLine(uart, CORE_RATE, seed)
        link = Link(line, timeout=CORE_TIMEOUT_S, retries=RETRIES)
        while line.faults < faults:
            x = rng.integers(0, 256, (1, model.input_size), np.uint8)
            logits = model.run(x)
            try:
                result = link.infer(x[0])
            except LinkError:
                lost += 1
                continue
            expected = (tuple(logits[0].tolist()), int(model.decide(logits)[0]), int(model.confidence(logits)[0]))
            wrong += (result.logits, result.class_index, result.confidence_per_mille) != expected
            inferences += 1
    return Outcome(line.faults, line.bytes, link.asked, link.repeated, inferences, wrong, lost)


def table(outcomes: dict[str, dict]) -> str:
    """What every device went through."""
    columns = (
        *((name, name) for name in ("device", "faults", "requests", "repeats", "inferences")),
        *(("wrong accepted", "wrong"), ("never answered", "lost")),
    )
    return table_of([{"device": name} | outcome for name, outcome in outcomes.items()], columns)


def main(arguments: list[str]) -> int:
    """Returns 1 when an answer was wrong or lost, or when CRC-16 would have sufficed."""
    options = _parser().parse_args(arguments)
    model = load(MODEL)
    start = time.monotonic()
    outcomes = {}
    for name, crc_16 in ((HOST, False), (WEAK, True)):
        outcomes[name] = inject(model, options.faults, options.seed, crc_16)
        print(f"{name}, seed {options.seed}: {outcomes[name]}{' (has to be wrong at least once)' if crc_16 else ''}")
    if options.core_faults and missing():
        print(f"{CORE}: NOT RUN: {missing()}")
    elif options.core_faults:
        outcomes[CORE] = inject_core(MODEL, options.core_faults, options.seed)
        print(f"{CORE}, seed {options.seed}: {outcomes[CORE]}")
    weak = outcomes[WEAK]
    others = [outcome for outcome in outcomes.values() if outcome is not weak]
    passed = bool(weak.wrong) and not any(outcome.wrong or outcome.lost for outcome in others)
    print(f"{'passed' if passed else 'FAILED'} in {time.monotonic() - start:.0f} s")
    if CORE in outcomes and options.faults >= FAULTS and options.core_faults >= CORE_FAULTS:
        rows = {name: asdict(outcome) for name, outcome in outcomes.items()}
        write_whole(FIGURES, (json.dumps({"seed": options.seed, "devices": rows}, indent=2) + "\n").encode())
        replace_block(BLOCK, table(rows), DOCUMENT)
    return EXIT_OK if passed else EXIT_DIFFERENT


def _parser() -> Parser:
    parser = Parser(prog="python -m tools faults", description=__doc__.partition(": ")[2].partition("\n\n")[0])
    for name, default, text in (
        ("--faults", FAULTS, "put into the line of a host build"),
        ("--core-faults", CORE_FAULTS, "put into the UART of an emulated Cortex-M0, 0 for none"),
        ("--seed", SEED, "of all that is random"),
    ):
        parser.add_argument(name, **whole(0).argument(), default=default, help=f"{text} (default: {default:,})")
    return parser
