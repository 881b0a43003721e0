"""What code can be generated for: each core with its compiler flags and the macros that identify it."""

import shutil
from dataclasses import dataclass

PORTABLE = "portable"
SIZE, SPEED = "size", "speed"
LEVELS = {SIZE: "-Os", SPEED: "-O2"}
"""Options of gcc and clang for what a plan is optimized for."""


@dataclass(frozen=True)
class Toolchain:
    """GCC and binutils for a family of cores: the `prefix` of their commands, and Debian's `package`."""

    prefix: str
    package: str

    @property
    def compiler(self) -> str:
        return f"{self.prefix}gcc"

    @property
    def size_tool(self) -> str:
        return f"{self.prefix}size"

    def missing(self) -> str | None:
        """Why nothing can be compiled here, with the line that installs the compiler; None if it can."""
        if shutil.which(self.compiler):
            return None
        return f"{self.compiler} is missing: apt install --no-install-recommends {self.package}"


ARM = Toolchain("arm-none-eabi-", "gcc-arm-none-eabi")
RISCV = Toolchain("riscv64-unknown-elf-", "gcc-riscv64-unknown-elf")


@dataclass(frozen=True)
class Target:
    """A core.  `condition` is the C preprocessor's test for it, `flags` are those of gcc and clang.

    `toolchain` compiles for it; None where any compiler does.
    """

    name: str
    title: str
    condition: str
    flags: tuple[str, ...] = ()
    toolchain: Toolchain | None = ARM


RV32 = "defined(__riscv) && __riscv_xlen == 32"
RV32E = "(defined(__riscv_e) || defined(__riscv_32e))"
"""With 16 registers; compilers call it by one of two names."""

TARGETS = {
    target.name: target
    for target in (
        Target(PORTABLE, "any C99 compiler", "1", toolchain=None),
        Target("cortex-m0", "Cortex-M0", "defined(__ARM_ARCH_6M__)", ("-mcpu=cortex-m0", "-mthumb")),
        Target("cortex-m0plus", "Cortex-M0+", "defined(__ARM_ARCH_6M__)", ("-mcpu=cortex-m0plus", "-mthumb")),
        Target("cortex-m3", "Cortex-M3", "defined(__ARM_ARCH_7M__)", ("-mcpu=cortex-m3", "-mthumb")),
        Target(
            "cortex-m4",
            "Cortex-M4",
            "defined(__ARM_ARCH_7EM__)",
            ("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=soft"),
        ),
        Target(
            "cortex-m7",
            "Cortex-M7",
            "defined(__ARM_ARCH_7EM__)",
            ("-mcpu=cortex-m7", "-mthumb", "-mfloat-abi=soft"),
        ),
        Target(
            "cortex-m33",
            "Cortex-M33",
            "defined(__ARM_ARCH_8M_MAIN__) && defined(__ARM_FEATURE_DSP) && !defined(__ARM_FEATURE_MVE)",
            ("-mcpu=cortex-m33", "-mthumb", "-mfloat-abi=soft"),
        ),
        Target(
            "cortex-m55",
            "Cortex-M55",
            "defined(__ARM_FEATURE_MVE)",
            ("-mcpu=cortex-m55", "-mthumb", "-mfloat-abi=hard"),
        ),
        Target(
            "riscv32",
            "RV32IMC",
            f"{RV32} && !{RV32E}",
            ("-march=rv32imc", "-mabi=ilp32", "-msmall-data-limit=0"),
            RISCV,
        ),
        Target(
            "riscv32e",
            "RV32EMC",
            f"{RV32} && {RV32E}",
            ("-march=rv32emc", "-mabi=ilp32e", "-msmall-data-limit=0"),
            RISCV,
        ),
    )
}
CORTEX_M0 = frozenset({"cortex-m0", "cortex-m0plus"})
CORTEX_M3 = frozenset({"cortex-m3"})
CORTEX_DSP = frozenset({"cortex-m4", "cortex-m7", "cortex-m33"})
CORTEX_M55 = frozenset({"cortex-m55"})
RISCV32 = frozenset({"riscv32", "riscv32e"})
EVERY_TARGET = frozenset(TARGETS)
TWINS = {"cortex-m0plus": "cortex-m0", "cortex-m7": "cortex-m4", "cortex-m33": "cortex-m4"}
"""Cores of equal instructions, for which compilers write nearly the same code."""
