"""The machine code of a linked firmware: its functions and instructions, as reported by the compiler's own tools."""

import re
import struct
import tempfile
from dataclasses import dataclass
from pathlib import Path

from signbit.codegen.process import output_of
from signbit.qmodel.errors import SignbitError

OBJDUMP, READELF, OBJCOPY = (f"arm-none-eabi-{tool}" for tool in ("objdump", "readelf", "objcopy"))
HELIUM_TAG, HELIUM_MACHINE = "Tag_CPU_arch: v8.1-M", "armv8.1-m.main"

# an instruction that may move the stack pointer or leave the path, and its condition within an IT block
CONDITIONAL = re.compile(
    r"(push|pop|vpush|vpop|stmdb|vstmdb|ldmia|vldmia|ldr|ldrd|str|strd|sub|subw|add|addw|mov|bl|blx|bx|b)"
    r"(eq|ne|cs|cc|mi|pl|vs|vc|hi|ls|ge|lt|gt|le)$"
)


@dataclass(frozen=True)
class Instruction:
    """One line of the disassembly; `next` is the address after it, `mnemonic` has neither width nor condition."""

    address: int
    next: int
    mnemonic: str
    conditional: bool
    operands: str


@dataclass(frozen=True)
class Function:
    """A symbol with code."""

    name: str
    start: int
    end: int


class MachineCode:
    """What an elf holds: `functions`, `instructions` by address, and the `words` of the image."""

    def __init__(self, elf: Path):
        self.functions = _functions(output_of([READELF, "-sW", elf]))
        # by itself objdump reads vector instructions as those of an older architecture, where they are others
        machine = ("-m", HELIUM_MACHINE) if HELIUM_TAG in output_of([READELF, "-A", elf]) else ()
        self.instructions = _instructions(output_of([OBJDUMP, "-d", "-z", "--show-raw-insn", *machine, elf]))
        self.words = _words(elf)

    def entry(self, name: str) -> int:
        """Address of a function."""
        return next(function.start for function in self.functions if function.name == name)

    def function_at(self, address: int) -> Function:
        """The function that `address` lies in."""
        for function in self.functions:
            if function.start <= address < function.end:
                return function
        raise SignbitError(f"there is code outside all functions, at {address:#x}")


def _functions(symbols: str) -> list[Function]:
    """Those of readelf's table; aliases of one address count once."""
    found = {}
    for value, size, name in re.findall(r"^\s*\d+: ([0-9a-f]+)\s+(\d+) FUNC\s+\S+\s+\S+\s+\S+ (\S+)$", symbols, re.M):
        start = int(value, 16) & ~1
        found.setdefault(start, Function(name, start, start + int(size)))
    return list(found.values())


def _instructions(listing: str) -> dict[int, Instruction]:
    """Lines of objdump by address, except those of data."""
    found = {}
    for line in listing.splitlines():
        match = re.match(r"\s*([0-9a-f]+):\t((?:[0-9a-f]{4} ?){1,2})\s*\t(\S+)\s*(.*)$", line)
        if match:
            address = int(match[1], 16)
            operands = re.split(r"\s*[@;]", match[4])[0].strip()
            mnemonic = match[3].removesuffix(".w").removesuffix(".n")
            condition = CONDITIONAL.match(mnemonic)
            width = 2 * len(match[2].split())
            name = condition[1] if condition else mnemonic
            found[address] = Instruction(address, address + width, name, bool(condition), operands)
    return {address: line for address, line in found.items() if not line.mnemonic.startswith(".")}


def _words(elf: Path) -> set[int]:
    """The words of the image."""
    with tempfile.TemporaryDirectory(prefix="signbit-") as name:
        image = Path(name) / "image"
        output_of([OBJCOPY, "-O", "binary", elf, image])
        data = image.read_bytes()
    return {word for (word,) in struct.iter_unpack("<I", data[: len(data) // 4 * 4])}
