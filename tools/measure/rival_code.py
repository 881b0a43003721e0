"""Somebody else's C on an emulated core: compiled as its users do, by two compilers, and counted like ours."""

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from signbit.codegen.kernels.targets import ARM, TARGETS
from signbit.codegen.measure import section_bytes
from signbit.codegen.process import output_of
from signbit.emulate.machines import MACHINES, Machine
from signbit.qmodel.errors import SignbitError
from tools.cores import emulated as cores

LIBC_APT = "apt install --no-install-recommends libnewlib-arm-none-eabi"
LIBRARIES = ("-lm", "-lc_nano", "-lgcc")
STACK_BYTES = 16 << 10


@dataclass(frozen=True)
class Compiler:
    """A compiler for Arm cores; `words` begin its command line."""

    name: str
    words: tuple[str, ...]

    @property
    def title(self) -> str:
        """Its name and major version."""
        version = output_of([self.words[0], "-dumpversion"])
        return f"{self.name} {version.strip().partition('.')[0]}"


def compilers() -> list[Compiler]:
    """GCC for Arm, and clang if it is installed; clang takes GCC's C library."""
    found = [Compiler("GCC", (ARM.compiler,))]
    if shutil.which("clang"):
        headers = Path(output_of([ARM.compiler, "-mthumb", "-print-file-name=libc_nano.a"]).strip()).resolve()
        include = next(parent / "include" for parent in headers.parents if (parent / "include" / "string.h").exists())
        found.append(Compiler("clang", ("clang", "--target=arm-none-eabi", "-isystem", str(include))))
    return found


def missing() -> str | None:
    """Why no C of others can be counted, with the line that installs what is missing; None if it can."""
    return cores.missing() or (None if has_libc() else f"the C library for Arm is missing: {LIBC_APT}")


def has_libc() -> bool:
    command = [ARM.compiler, "-mcpu=cortex-m0", "-mthumb", "-print-file-name=libc_nano.a"]
    return Path(subprocess.run(command, capture_output=True, text=True).stdout.strip()).is_absolute()


@dataclass(frozen=True)
class Counted:
    """One row: a rival's layer or network on a core, built by `compiler` with `flags`.

    `version` is the commit or release of the sources.  `flash_bytes` and `ram_bytes` are what linking the function
    alone takes, with its weights, code and the compiler's helpers; None where only a layer's kernel was counted.
    """

    rival: str
    version: str
    subject: str
    core: str
    compiler: str
    flags: str
    instructions: int
    estimated_cycles: int | None
    flash_bytes: int | None = None
    ram_bytes: int | None = None

    def as_row(self) -> dict:
        """Plain JSON values."""
        return asdict(self)


def machine_for(core: str) -> Machine:
    """A machine with room for a large network: M0 code runs as it is on an M3 with 4 MiB."""
    return cores.LARGE_M0 if core == "m0" else MACHINES[core]


def compile_all(
    compiler: Compiler, core: str, flags: Sequence[str], sources: Sequence[Path], folder: Path
) -> list[Path]:
    """Objects in `folder`, one for each of `sources`; warnings in code of others are no concern of ours."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [*compiler.words, *TARGETS[f"cortex-{core}"].flags, "-ffunction-sections", "-fdata-sections", "-w"]
    output_of([*command, *flags, "-c", *(str(source.absolute()) for source in sources)], folder)
    return [folder / f"{source.stem}.o" for source in sources]


def run(main: str, objects: Sequence[Path], core: str, includes: Sequence[Path], inputs: bytes) -> cores.CoreRun:
    """Compile the program `main`, which calls the rival between the marks of stream.h, link it and count."""
    folder = objects[0].parent
    source = folder / "main.c"
    source.write_text(main)
    flags = (*TARGETS[f"cortex-{core}"].flags, *(f"-isystem{folder.absolute()}" for folder in includes))
    libraries = (*(str(path) for path in objects), *LIBRARIES)
    machine = machine_for(core)
    elf = cores.build(source, machine, flags=flags, libraries=libraries, stack_bytes=STACK_BYTES)
    return cores.execute(elf, machine, inputs, count=True)


def linked_bytes(objects: Sequence[Path], core: str, entry: str) -> tuple[int, int]:
    """Bytes of flash and of RAM, without the stack, that a firmware takes which does nothing but call `entry`."""
    elf = objects[0].with_name("alone.elf")
    link = ("-nostdlib", "-nostartfiles", "-Wl,--gc-sections", f"-Wl,-e,{entry}")
    words = [ARM.compiler, *TARGETS[f"cortex-{core}"].flags, *link, *map(str, objects), *LIBRARIES, "-o", str(elf)]
    output_of(words)
    listing = output_of([ARM.size_tool, "-A", "-d", str(elf)])
    return section_bytes(listing), section_bytes(listing, (".data", ".bss"))


def commit_of(folder: Path) -> str:
    """The commit of a checkout; "unknown" where the folder is none."""
    done = subprocess.run(["git", "-C", str(folder), "rev-parse", "--short=7", "HEAD"], capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def need(folder: Path, *names: str) -> None:
    """Raise SignbitError unless `folder` has what the sources of a rival have."""
    for name in names:
        if not (folder / name).exists():
            raise SignbitError(f"{folder} has no {name}; give the folder of the rival's sources")
