"""`python -m tools stack`: the stack's high-water mark on six emulated cores beside its static bound.

The real firmware runs every kind of request, and STATS reports what is left of the painted stack; the bound is read
from the machine code of the same image (`stack_depth`).  Writes bench/stack.json and the table in firmware/README.md.
"""

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from signbit.emulate import pio
from signbit.emulate.emulation import build_folder, missing
from signbit.emulate.machines import MACHINES, EmulatedUart, Machine
from signbit.line.frame import PAYLOAD_BYTES
from signbit.line.link import DeviceError, Link
from signbit.line.protocol import Request
from signbit.places import ROOT
from signbit.qmodel.atomic import write_whole
from signbit.qmodel.command import EXIT_DIFFERENT, EXIT_OK, Parser
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.file import load
from tools.documents.blocks import replace_block, table_of
from tools.measure.stack_depth import Bound, bound

MODELS = ("digits-mlp.npz", "mnist-mlp.npz")
FIGURES = ROOT / "bench" / "stack.json"
DOCUMENT = pio.FIRMWARE / "README.md"
BLOCK = "stack"
INPUTS = 5
UNKNOWN = 0x7E
NOISE_BYTES = 500


@dataclass(frozen=True)
class Mark:
    """One core: what was used at most, what may be, and the room there is."""

    model: str
    core: str
    used_bytes: int
    bound: Bound
    stack_bytes: int

    @property
    def held(self) -> bool:
        """Without a fault no more was used than can be, and there is room for all that can be."""
        return 0 < self.used_bytes <= self.bound.running_bytes and self.bound.bytes <= self.stack_bytes

    def __str__(self) -> str:
        verdict = "held" if self.held else "NOT HELD"
        return (
            f"{self.core:10}  {self.model:6}  used {self.used_bytes:4}  bound {self.bound.running_bytes:4}"
            f"  with faults {self.bound.bytes:4}  of {self.stack_bytes:5} bytes: {verdict}"
        )


def measure(path: Path, cores: Iterable[str] = MACHINES) -> list[Mark]:
    """The mark and the bound of the model file `path` on each of `cores`; needs what `emulate.missing` names."""
    model = load(path)
    machines = [MACHINES[core] for core in cores]
    elfs = pio.build([machine.env for machine in machines], path, build_folder(model))
    return [mark(model.name, machine, elfs[machine.env]) for machine in machines]


def mark(name: str, machine: Machine, elf: Path) -> Mark:
    """Run `elf` through every kind of request."""
    with EmulatedUart(machine, elf) as uart:
        used_bytes, stack_bytes = exercise(uart)
    return Mark(name, machine.title, used_bytes, bound(elf), stack_bytes)


def exercise(uart: EmulatedUart) -> tuple[int, int]:
    """Every kind of request, valid and invalid, and text; returns the high-water mark and the stack's size, bytes."""
    link = Link(uart, timeout=10)
    rng = np.random.default_rng(0)
    for x in rng.integers(0, 256, (INPUTS, link.info().input_size), np.uint8):
        link.infer(x)
        link.trace(x)
        link.profile(x)
    link.self_test()
    for kind in (*Request, UNKNOWN):
        # too long a payload for all but INPUT: RESET, which would clear the mark, is refused like the others
        with suppress(DeviceError):
            link.request(kind, bytes(PAYLOAD_BYTES))
    uart.write(rng.bytes(NOISE_BYTES) + b"\0\r\n")
    stats = link.stats()
    return stats.stack_used_bytes, stats.stack_bytes


def table(marks: list[Mark]) -> str:
    """One row per core, for each model in turn."""
    columns = (
        ("core", lambda found: found.core),
        ("model", lambda found: found.model),
        ("used, bytes", lambda found: str(found.used_bytes)),
        ("bound, bytes", lambda found: str(found.bound.running_bytes)),
        ("bound with faults, bytes", lambda found: str(found.bound.bytes)),
    )
    return table_of(marks, columns, left=2)


def main(arguments: list[str]) -> int:
    """Print a line per core, write both files; 1 if a bound does not hold."""
    parser = Parser(prog="python -m tools stack", description=__doc__.partition(": ")[2].partition("\n\n")[0])
    parser.parse_args(arguments)
    if missing():
        raise SignbitError(f"nothing was measured: {missing()}")
    marks = []
    for name in MODELS:
        for found in measure(ROOT / "models" / name):
            print(found)
            marks.append(found)
    write_whole(FIGURES, (json.dumps([asdict(found) for found in marks], indent=2) + "\n").encode())
    replace_block(BLOCK, table(marks), DOCUMENT)
    return EXIT_OK if all(found.held for found in marks) else EXIT_DIFFERENT
