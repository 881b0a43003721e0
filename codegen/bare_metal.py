"""C programs for a core without an operating system: the firmware's start-up code and memory map around them."""

from collections.abc import Iterable
from pathlib import Path

from signbit.codegen.process import output_of
from signbit.places import FIRMWARE

CORTEX_M_SOURCES = ("startup.c", "semihost.c", "core.c", "ticks.c")
LINKER_SCRIPTS = FIRMWARE / "ld"
SCRIPT = 'STACK_BYTES = {};\nINCLUDE "{}"\n'
STACK_BYTES = 1024


def build(
    compiler: list[str],
    title: str,
    sources: Iterable[Path],
    elf: Path,
    *options: str,
    memory: str,
    start: Iterable[str] = CORTEX_M_SOURCES,
    stack_bytes: int = STACK_BYTES,
) -> None:
    """Compile and link a program over files: `sources`, and those of firmware/src that `start` names.

    `compiler` is GCC's command or that of a compiler that takes its options; `memory` a linker script of firmware/ld.
    Raises SignbitError with what the compiler says after `title`.
    """
    script = elf.absolute().with_suffix(".ld")
    script.write_text(SCRIPT.format(stack_bytes, memory))
    command = [
        *(*compiler, "-std=c11", "-ffreestanding", "-ffunction-sections", "-fdata-sections"),
        *("-DSIGNBIT_SEMIHOSTING", "-Wl,--gc-sections", f"-Wl,-T,{script}"),
        *(f"-I{FIRMWARE / 'include'}", f"-I{FIRMWARE / 'src'}"),
        *(str(source.absolute()) for source in sources),
        *(str(FIRMWARE / "src" / name) for name in start),
        *(*options, "-o", str(elf.absolute())),
    ]
    # where the linker looks for what a script includes
    output_of(command, LINKER_SCRIPTS, title)
