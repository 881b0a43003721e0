"""Generated code on an emulated AVR, where int has 16 bits and constants stay in flash: many models in one program."""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from signbit.codegen.plan import Plan
from signbit.codegen.process import output_of
from signbit.codegen.program import Reads, write_program
from signbit.codegen.render import header_text
from signbit.qmodel.errors import SignbitError

STREAM = Path(__file__).resolve().parent / "streams" / "avr"
APT = "apt install gcc-avr binutils-avr avr-libc simavr"
MCU = "atmega1284p"
"""16 KiB of RAM, and 64 KiB of flash that __flash reaches."""
FLAGS = (f"-mmcu={MCU}", "-Os", "-std=gnu99", "-Wall", "-Wextra", "-Werror")
CLOCK_HZ = 16_000_000
TIMEOUT_S = 120
LINE = re.compile(r"(?m)\x1b\[32m([0-9a-f]+|\.)\.$")
"""A line of the program as simavr shows it: in green, a dot for its end."""
INPUTS = "static const __flash uint8_t stream_inputs[] = {{{}}};\n"


def missing() -> str | None:
    """Why nothing can be run, with the apt line; None if it can."""
    absent = [name for name in ("avr-gcc", "avr-size", "simavr") if not shutil.which(name)]
    return f"{', '.join(absent)} missing: {APT}" if absent else None


def run(plans: list[Plan], inputs: list[np.ndarray], *flags: str, reads: Reads = Reads.SAMPLES) -> bytes:
    """Compile `plans`, run each on its own inputs, uint8 (n, input_size), n the same for all; what they write.

    `reads` says what the inputs are.  Raises SignbitError when it can't be built or does not come to its end.
    """
    with tempfile.TemporaryDirectory(prefix="signbit-") as name:
        folder = Path(name)
        octets = b"".join(x.tobytes() for x in inputs)
        (folder / "inputs.h").write_text(INPUTS.format(", ".join(map(str, octets))))
        source = write_program(folder, plans, len(inputs[0]), reads=reads)
        elf = source.with_name("program.elf")
        compile_c(source, elf, f"-I{STREAM}", f"-I{folder}", *flags)
        command = ["simavr", "-m", MCU, "-f", str(CLOCK_HZ), str(elf)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
    *lines, end = LINE.findall(done.stderr) or [""]
    if end != ".":
        raise SignbitError(f"the program on {MCU} stopped early: {done.stderr.strip()[-500:]}")
    return bytes.fromhex("".join(lines))


def section_bytes(plan: Plan, folder: Path, *flags: str) -> dict[str, int]:
    """Sizes of the sections that the header's code and data become, by their names."""
    (folder / f"{plan.prefix}.h").write_text(header_text(plan))
    source, compiled = folder / f"{plan.prefix}.c", folder / f"{plan.prefix}.o"
    source.write_text(f'#define {plan.macro_prefix}_IMPLEMENTATION\n#include "{plan.prefix}.h"\n')
    compile_c(source, compiled, "-c", *flags)
    listing = output_of(["avr-size", "-A", compiled])
    return {name: int(size) for name, size in re.findall(r"(?m)^(\.\S+) +(\d+)", listing)}


def compile_c(source: Path, output: Path, *flags: str) -> None:
    """Raises SignbitError with the compiler's first words."""
    output_of(["avr-gcc", *FLAGS, *flags, source, "-o", output])
