"""Time that a busy computer does not stretch: an emulated machine's own, and the processor time of a process."""

import os

EMULATED_TIME = ("-icount", "shift=10,sleep=off")
"""QEMU's words for a clock of 1,024 ns an instruction, which jumps to the next event while the core sleeps."""


def cpu_seconds(process: int) -> float:
    """What the process with that id has had of the processors."""
    with open(f"/proc/{process}/stat") as file:
        user, system = file.read().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
