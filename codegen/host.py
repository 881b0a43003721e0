"""This computer as a machine that runs programs: its C compiler, stdin and stdout."""

import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from signbit.codegen.plan import Plan
from signbit.codegen.program import STREAM_HERE, Reads, write_program
from signbit.qmodel.errors import SignbitError

COMPILERS = ("cc", "gcc", "clang")
ZIG = [sys.executable, "-m", "ziglang", "cc"]
"""PyPI's C compiler, where `has_zig`."""
FLAGS = ("-std=c99", "-O3", "-Wall", "-Wextra", "-Werror")
TIMEOUT_S = 600


def find_compiler(named: str | None = None) -> list[str]:
    """The C compiler's command: `named`, $CC, or the first that is installed; raises SignbitError if none is."""
    wanted = named or os.environ.get("CC")
    if wanted:
        return split_compiler(wanted)
    for name in COMPILERS:
        if shutil.which(name):
            return [name]
    if has_zig():
        return ZIG
    raise SignbitError("no C compiler was found; install one (apt install gcc) or name it with --cc")


def split_compiler(text: str) -> list[str]:
    """The words of a compiler's command; raises SignbitError if there is none by that name."""
    command = shlex.split(text)
    if not command or not shutil.which(command[0]):
        raise SignbitError(f"C compiler {text!r} was not found")
    return command


def has_zig() -> bool:
    return importlib.util.find_spec("ziglang") is not None


def fast_flags(compiler: list[str]) -> tuple[str, ...]:
    """FLAGS, and the one for all instructions of this computer if the compiler knows it."""
    native = "-march=native"
    probe = [*compiler, native, "-E", "-x", "c", os.devnull]
    return FLAGS if subprocess.run(probe, capture_output=True, timeout=TIMEOUT_S).returncode else (*FLAGS, native)


@dataclass(frozen=True)
class Host:
    """A machine that runs plans as compiled by `compiler` with `flags`; of a core's kernels it runs the plain C.

    `emulator` runs the program where it is for another computer; `suffix` makes it another language than C.
    """

    compiler: list[str] = field(default_factory=find_compiler)
    flags: tuple[str, ...] = FLAGS
    emulator: tuple[str, ...] = ()
    suffix: str = ".c"

    def run(
        self, plans: list[Plan], inputs: list[np.ndarray], reads: Reads = Reads.SAMPLES, predict: bool = False
    ) -> bytes:
        """What one program writes for all `inputs`, the same number for each plan; see `write_program`.

        Raises SignbitError with the first words of the compiler, or of the program when it stops early.
        """
        plain = tuple(f"-D{plan.macro_prefix}_PORTABLE" for plan in plans if plan.target.flags)
        with tempfile.TemporaryDirectory(prefix="signbit-") as name:
            source = write_program(Path(name), plans, len(inputs[0]), self.suffix, predict=predict, reads=reads)
            program = source.with_suffix(".exe")  # Windows runs nothing else
            command = [*self.compiler, *self.flags, *plain, f"-I{STREAM_HERE}", "-o", str(program), str(source)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
            if done.returncode:
                compiler = shlex.join(self.compiler)
                raise SignbitError(f"{compiler} could not compile the header: {first_line(done.stderr)}")
            stdin, stdout = program.with_suffix(".in"), program.with_suffix(".out")
            stdin.write_bytes(b"".join(x.tobytes() for x in inputs))
            # files, since pipes of this size take longer to read than some models to run
            with stdin.open("rb") as given, stdout.open("wb") as written:
                command = [*self.emulator, str(program)]
                done = subprocess.run(
                    command, stdin=given, stdout=written, stderr=subprocess.PIPE, timeout=TIMEOUT_S, errors="replace"
                )
            if done.returncode:
                words = first_line(done.stderr)
                raise SignbitError(f"the compiled model stopped with exit code {done.returncode}: {words}")
            return stdout.read_bytes()


def first_line(text: str) -> str:
    """A compiler's first error, or first words."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return next((line for line in lines if "error" in line), lines[0] if lines else "it said nothing")
