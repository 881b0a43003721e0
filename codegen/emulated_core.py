"""A Cortex-M core from PyPI alone, as a machine that runs programs: Zig's compiler and the emulator Unicorn.

It needs the extra `cross` and nothing that a package manager of the system brings, so that it works wherever those
packages have wheels.  The program is the one that QEMU runs: its files come through semihosting.
"""

import importlib.util
import struct
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from signbit.codegen import bare_metal
from signbit.codegen.host import ZIG, split_compiler
from signbit.codegen.kernels.targets import LEVELS, Target
from signbit.codegen.plan import Plan
from signbit.codegen.program import STREAM_ON_CORE, Reads, counts_of_layers, write_program
from signbit.qmodel.errors import SignbitError

CORES = {
    "cortex-m0": ("cortex_m0", "CORTEX_M0"),
    "cortex-m0plus": ("cortex_m0plus", "CORTEX_M0"),
    "cortex-m3": ("cortex_m3", "CORTEX_M3"),
    "cortex-m4": ("cortex_m4", "CORTEX_M4"),
    "cortex-m7": ("cortex_m7", "CORTEX_M7"),
    "cortex-m33": ("cortex_m33+dsp", "CORTEX_M33"),
}
"""Each target's name for Zig and for Unicorn, which has no M0+: an M0 executes the same instructions."""
PACKAGES = {"ziglang": "ziglang", "unicorn": "unicorn", "elftools": "pyelftools"}
"""What is imported, and the package that brings it."""
INSTALL = "pip install 'signbit[cross]'"
# the undefined-behaviour sanitizer is on by default, and an entry that the linker script names is not taken
ZIG_FLAGS = ("-target", "thumb-freestanding-eabi", "-fno-sanitize=all", "-Wl,--entry=Reset_Handler")
MEMORY_MAP = "mps2.ld"
MEMORIES = {0x0000_0000: 4 << 20, 0x2000_0000: 4 << 20, 0xE000_0000: 1 << 20}
"""Bytes at each address: flash and RAM of the linker script, and the core's own registers, here memory like any."""
STACK_BYTES = 2048
NEVER = 0xFFFF_FFFE
"""An address that no program comes to."""
SILENCE_S = 300
"""How long a program may write nothing: the limit is one of progress, since a busy computer is slow."""
MICROSECONDS = 10**6
BREAKPOINT = 7
"""Unicorn's number of the exception that `bkpt` raises."""
OPEN, CLOSE, WRITE, READ, EXIT = 0x01, 0x02, 0x05, 0x06, 0x20
"""Operations of semihosting (firmware/src/semihost.c)."""
START, STOP = 0x46C9, 0x46D2
"""`mov r9, r9` and `mov r10, r10`: instructions are counted between them."""
LONG = 0xE800
"""A first halfword from here on begins an instruction of four bytes."""
CALIBRATION = [0, 201, 501, 451]
"""The instructions of streams/core/calibration.h, worked out by hand."""


def missing(target: Target) -> str | None:
    """Why code for `target` can't run here, with what to do about it; None if it can."""
    if target.name not in CORES:
        return f"Unicorn has no {target.title}; QEMU has: signbit emulate --cores {target.name.removeprefix('cortex-')}"
    absent = [package for module, package in PACKAGES.items() if not importlib.util.find_spec(module)]
    return f"{' and '.join(absent)} missing: {INSTALL}" if absent else None


@dataclass(frozen=True)
class EmulatedCore:
    """A machine that runs plans for `target`, which `missing` finds nothing against.

    `compiler` is a command that takes GCC's options; by default Zig's.
    """

    target: Target
    compiler: list[str] = field(default_factory=list)

    @classmethod
    def named(cls, target: Target, compiler: str | None = None) -> "EmulatedCore":
        """With the compiler that a user names, if any; raises SignbitError if it is not installed."""
        return cls(target, split_compiler(compiler) if compiler else [])

    def run(self, plans: list[Plan], inputs: list[np.ndarray], reads: Reads = Reads.SAMPLES) -> bytes:
        """What one program writes for all `inputs`, the same number for each plan.

        Raises SignbitError when it can't be built, or does not come to its end.
        """
        return self._execution(plans, inputs, reads).output

    def count(self, plan: Plan, inputs: np.ndarray, reads: Reads = Reads.SAMPLES) -> list[int]:
        """Exact instructions for `inputs`: of each one's layers in order, after them the few of `infer` itself.

        A front end's come before them.
        """
        counts = self._execution([plan], [inputs], reads, count=True).instructions
        return counts_of_layers(counts, [plan], len(inputs), reads)

    def _execution(self, plans: list[Plan], inputs: list[np.ndarray], reads: Reads, count: bool = False) -> "Execution":
        with tempfile.TemporaryDirectory(prefix="signbit-") as name:
            source = write_program(
                Path(name), plans, len(inputs[0]), offset_bytes=0 if count else None, predict=False, reads=reads
            )
            elf = source.with_name("program.elf")
            self.build(source, elf, LEVELS[plans[0].optimize])
            execution = Execution(elf, self.target, b"".join(x.tobytes() for x in inputs), count)
        execution.go_on()
        return execution

    def build(self, source: Path, elf: Path, level: str) -> None:
        """Compile the program `source`, optimized by `level` (-O2)."""
        options = (level, "-Wall", "-Wextra", "-Werror", f"-I{STREAM_ON_CORE}")
        if self.compiler:
            self._link(self.compiler, source, elf, *self.target.flags, "-nostdlib", *options, "-lgcc")
            return
        command = [*ZIG, *ZIG_FLAGS, f"-mcpu={CORES[self.target.name][0]}"]
        try:
            self._link(command, source, elf, *options, "-nostdlib")
        except SignbitError as error:
            if "undefined symbol" not in str(error):
                raise
            # a division on an M0: Zig compiles its runtime library once, which takes some seconds
            self._link(command, source, elf, *options)

    def _link(self, compiler: list[str], source: Path, elf: Path, *options: str) -> None:
        bare_metal.build(
            compiler, self.target.title, [source], elf, *options, memory=MEMORY_MAP, stack_bytes=STACK_BYTES
        )


class Execution:
    """One run of a program in Unicorn: what it reads, what it has written, and what was counted."""

    def __init__(self, elf: Path, target: Target, inputs: bytes, count: bool = False):
        import unicorn
        from elftools.elf.elffile import ELFFile
        from unicorn import arm_const

        self._title, self._inputs, self._output = target.title, memoryview(inputs), bytearray()
        self._arm, self._error = arm_const, unicorn.UcError
        self._exit_code: int | None = None
        self._core = core = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
        core.ctl_set_cpu_model(getattr(arm_const, f"UC_CPU_ARM_{CORES[target.name][1]}"))
        for address, size_bytes in MEMORIES.items():
            core.mem_map(address, size_bytes)
        with elf.open("rb") as file:
            for segment in ELFFile(file).iter_segments("PT_LOAD"):
                core.mem_write(segment["p_paddr"], segment.data())
        core.hook_add(unicorn.UC_HOOK_INTR, self._on_exception)
        self._blocks: dict[tuple[int, int], list[tuple[int, int]]] = {}
        self._executed, self._counts = 0, []
        if count:
            core.hook_add(unicorn.UC_HOOK_BLOCK, self._on_block)

    @property
    def output(self) -> bytes:
        return bytes(self._output)

    @property
    def instructions(self) -> list[int]:
        """The counts after those of the calibration, which have to be right."""
        known, counts = self._counts[: len(CALIBRATION)], self._counts[len(CALIBRATION) :]
        if known != CALIBRATION:
            raise SignbitError(f"{self._title}: the counter reads {known} where {CALIBRATION} is known")
        return counts

    def go_on(self) -> None:
        """From reset to the program's exit; raises SignbitError if that is none of success."""
        stack, reset = struct.unpack("<II", self._core.mem_read(0, 8))
        self._core.reg_write(self._arm.UC_ARM_REG_SP, stack)
        next_one = reset
        while self._exit_code is None:
            written = len(self._output)
            try:
                self._core.emu_start(next_one | 1, NEVER, timeout=SILENCE_S * MICROSECONDS)
            except self._error as error:
                raise SignbitError(f"{self._title}: the program stopped at {self._address():#x}: {error}") from None
            if self._exit_code is None and len(self._output) == written:
                raise SignbitError(f"{self._title}: the program wrote nothing for {SILENCE_S} s")
            next_one = self._address()
        if self._exit_code:
            raise SignbitError(f"{self._title}: the program ended with code {self._exit_code}")

    def _address(self) -> int:
        return self._core.reg_read(self._arm.UC_ARM_REG_PC)

    def _on_exception(self, core, number: int, _) -> None:
        if number != BREAKPOINT:
            raise SignbitError(f"{self._title}: exception {number} at {self._address():#x}")
        operation, block = core.reg_read(self._arm.UC_ARM_REG_R0), core.reg_read(self._arm.UC_ARM_REG_R1)
        core.reg_write(self._arm.UC_ARM_REG_R0, self._semihost(operation, block))
        core.reg_write(self._arm.UC_ARM_REG_PC, (self._address() + 2) | 1)

    def _semihost(self, operation: int, block: int) -> int:
        """Do `operation` with the words at `block`; returns what the program gets."""
        # the first is a file's handle; one serves for both files, since `inputs` is only read, `outputs` only written
        _, second, third = struct.unpack("<III", self._core.mem_read(block, 12))
        if operation == OPEN:
            return 1
        if operation == READ:
            data, self._inputs = self._inputs[:third], self._inputs[third:]
            self._core.mem_write(second, bytes(data))
            return third - len(data)
        if operation == WRITE:
            self._output += self._core.mem_read(second, third)
        elif operation == EXIT:
            self._exit_code = second
            self._core.emu_stop()
        elif operation != CLOSE:
            raise SignbitError(f"{self._title}: operation {operation:#x} of semihosting is unknown")
        return 0

    def _on_block(self, core, address: int, size_bytes: int, _) -> None:
        """Add up a block of straight code that is about to run."""
        key = address, size_bytes
        if key not in self._blocks:
            self._blocks[key] = list(_pieces(bytes(core.mem_read(address, size_bytes))))
        for count, mark in self._blocks[key]:
            self._executed += count
            if mark == START:
                self._executed = 0
            elif mark == STOP:
                self._counts.append(self._executed)


def _pieces(code: bytes):
    """How many instructions `code` has up to each mark, with the mark, and up to its end, with 0."""
    count, at = 0, 0
    while at < len(code):
        (halfword,) = struct.unpack_from("<H", code, at)
        at += 4 if halfword >= LONG else 2
        if halfword in (START, STOP):
            yield count, halfword
            count = 0
        else:
            count += 1
    yield count, 0
