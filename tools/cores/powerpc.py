"""Generated code on a big-endian computer: a PowerPC, which QEMU's user mode emulates."""

import shutil

import numpy as np

from signbit.codegen.host import Host
from signbit.codegen.plan import Plan

COMPILER = ["powerpc-linux-gnu-gcc", "-static", "-std=c99", "-O1"]
EMULATOR = ("qemu-ppc",)
APT = "apt install gcc-powerpc-linux-gnu libc6-dev-powerpc-cross qemu-user"


def missing() -> str | None:
    """Why nothing can be run, with the apt line; None if it can."""
    absent = [name for name in (COMPILER[0], *EMULATOR) if not shutil.which(name)]
    return f"{', '.join(absent)} missing: {APT}" if absent else None


def run(plans: list[Plan], inputs: list[np.ndarray]) -> bytes:
    """What the plans' plain C writes for the inputs, uint8 (n, input_size), n the same for all."""
    return Host(COMPILER, (), EMULATOR).run(plans, inputs, predict=True)
