"""Headers through every compiler, target and level of optimization that is at hand, with all warnings as errors."""

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from signbit.codegen.kernels.targets import ARM, PORTABLE, RISCV, TARGETS
from signbit.codegen.plan import make_plan
from signbit.codegen.render import header_text
from signbit.places import MODELS
from signbit.qmodel.file import load
from tools.cores import avr, powerpc
from tools.networks.hard import hard_network
from tools.networks.random import FRONT_ENDS, front_end_model, random_network
from tools.prove.row import Outcome, Row

LEVELS = ("-O0", "-O1", "-O2", "-O3", "-Os")
C99, CPP = "-std=c99", "-std=c++11"
STRICT = ("-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wsign-conversion", "-Wshadow", "-Wundef", "-Werror")
CLANG = {ARM: "--target=thumbv6m-none-eabi", RISCV: "--target=riscv32"}
"""clang has no -mcpu for every core under Thumb's generic name."""
NO_CLANG = {"riscv32e"}
"""clang before 20 has no RV32E."""
SHIPPED = ("digits-mlp", "digits-conv", "activity-600")
NETWORKS = 4


@dataclass(frozen=True)
class Compiler:
    """A command for headers of `target`; AVR's constants need GNU C."""

    command: tuple[str, ...]
    target: str = PORTABLE


def compilers() -> tuple[Compiler, ...]:
    """Those of this computer, of each core, and of machines with other integers."""
    here = [Compiler((name, C99)) for name in ("gcc", "clang")] + [Compiler((name, CPP)) for name in ("g++", "clang++")]
    cores = [target for target in TARGETS.values() if target.flags]
    gcc = [Compiler((each.toolchain.compiler, C99, "-ffreestanding", *each.flags), each.name) for each in cores]
    clang = [
        Compiler(("clang", CLANG[each.toolchain], C99, "-ffreestanding", *each.flags), each.name)
        for each in cores
        if each.name not in NO_CLANG
    ]
    others = [Compiler((powerpc.COMPILER[0], C99)), Compiler(("avr-gcc", f"-mmcu={avr.MCU}", "-std=gnu99"))]
    return (*here, *gcc, *clang, *others)


ALL = compilers()
CASES = tuple(
    (ALL[number % len(ALL)], LEVELS[(number // len(ALL) + number) % len(LEVELS)])
    for number in range(len(ALL) * len(LEVELS))
)
"""Every compiler once, then again with other levels."""


def run(first: int, count: int, wrong: str = "") -> Outcome:
    """Some builds; `wrong` is C that is added to each: a planted bug."""
    outcome = Outcome()
    for compiler, level in CASES[first : first + count]:
        words = [*compiler.command, level, *_warnings(compiler)]
        with tempfile.TemporaryDirectory(prefix="signbit-") as name:
            folder = Path(name)
            source, lines = folder / ("models.cpp" if CPP in words else "models.c"), []
            for index, text in enumerate(headers(compiler.target)):
                (folder / f"m{index}.h").write_text(text)
                lines += [f"#define M{index}_IMPLEMENTATION", f'#include "m{index}.h"']
            source.write_text("\n".join([*lines, wrong, ""]))
            done = subprocess.run([*words, "-c", source, "-o", folder / "models.o"], capture_output=True, text=True)
            if done.returncode:
                first_line = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr)
                outcome += Outcome({}, (f"{' '.join(words[:4])} {level}: {first_line}",))
        outcome += Outcome({"headers": len(headers(compiler.target))})
    return outcome


def _warnings(compiler: Compiler) -> tuple[str, ...]:
    """An address space is no standard C."""
    return tuple(flag for flag in STRICT if flag != "-Wpedantic" or compiler.command[0] != "avr-gcc")


@cache
def headers(target: str) -> tuple[str, ...]:
    models = [load(MODELS / f"{name}.npz") for name in SHIPPED]
    models += [random_network(seed, layers=3) for seed in range(NETWORKS)]
    models += [hard_network(seed) for seed in range(NETWORKS)]
    models += [front_end_model(seed, *FRONT_ENDS[seed]) for seed in range(2)]
    return tuple(header_text(make_plan(model, f"m{index}", target)) for index, model in enumerate(models))


def missing() -> str | None:
    absent = sorted({each.command[0] for each in ALL if not shutil.which(each.command[0])})
    return f"{', '.join(absent)} missing; tools/check installs them" if absent else None


ROW = Row(
    "compilers",
    "no compiler has a warning for a header, at any level of optimization",
    "builds",
    short=len(ALL),
    total=len(CASES),
    step=3,
    covers=("codegen", "qmodel", "tools/networks", "tools/prove/compilers.py"),
    run=run,
    controls={"a conversion that loses bits": lambda: run(0, 1, "int narrow(long x) { return x; }")},
    missing=missing,
)
