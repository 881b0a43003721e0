"""Generated code on an emulated core, outside the firmware: many models in one program, instructions counted."""

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from codegen.plan import Plan
from codegen.targets import TARGETS
from qmodel.errors import SignbitError
from tools import emulator
from tools.emulator import MACHINES, Machine
from tools.pio import COMPILER, COMPILER_APT, FIRMWARE
from tools.programs import write_program

TOOLS = Path(__file__).resolve().parent
STREAM = TOOLS / "streams" / "core"
SOURCES = ("startup.c", "semihost.c", "core.c", "ticks.c")
LINKER_SCRIPTS = {"m0": "nrf51822.ld", "m33": "mps2_an505.ld", "m55": "mps3_an547.ld"}
LINKER_SCRIPT = "mps2.ld"
CORE_OF_TARGET = {f"cortex-{core}": core for core in MACHINES} | {"cortex-m0plus": "m0"}
STACK_BYTES = 2048
OPTIMIZE = "-O2"
TIMEOUT_S = 600


@dataclass(frozen=True)
class CoreRun:
    """What a program wrote, and the instructions of each layer, in order: one number for each layer of each input of
    each model, and behind them the few of `infer` itself."""

    output: bytes
    instructions: list[int]


def missing() -> str | None:
    """Why nothing can be run, with the apt line; None if it can."""
    if not shutil.which(COMPILER):
        return f"{COMPILER} is missing: {COMPILER_APT}"
    return emulator.missing()


def run(
    plans: list[Plan],
    inputs: list[np.ndarray],
    core: str,
    *,
    offset: int | None = None,
    count: bool = False,
    optimize: str = OPTIMIZE,
) -> CoreRun:
    """Compile `plans` for `core` and run each on its own inputs, uint8 (n, input_size), n the same for all.

    `count` also counts instructions, with QEMU's plugin `counter.c`.  Raises SignbitError when the program can't be
    built or ends with a fault.
    """
    machine = MACHINES[core]
    with tempfile.TemporaryDirectory(prefix="signbit-") as name:
        folder = Path(name)
        elf = build(plans, len(inputs[0]), machine, folder, offset, optimize)
        plugin = _plugin(folder) if count else None
        output = _run(machine, elf, b"".join(x.tobytes() for x in inputs), folder, plugin)
        counts = [int(line) for line in (folder / "counts").read_text().split()] if count else []
    return CoreRun(output, counts)


def build(
    plans: list[Plan], count: int, machine: Machine, folder: Path, offset: int | None, optimize: str = OPTIMIZE
) -> Path:
    """The program as an elf, with the firmware's start-up code and memory map."""
    source = write_program(folder, plans, count, offset=offset)
    elf = folder / "program.elf"
    sources = [str(FIRMWARE / "src" / name) for name in SOURCES]
    flags = [
        *TARGETS[f"cortex-{machine.core}"].flags,
        *(
            optimize,
            "-std=c11",
            "-ffreestanding",
            "-nostdlib",
            "-nostartfiles",
            "-ffunction-sections",
            "-fdata-sections",
        ),
        *("-Wall", "-Wextra", "-Werror", "-DSIGNBIT_SEMIHOSTING", f"-Wl,--defsym=STACK_BYTES={STACK_BYTES}"),
        *("-Wl,--gc-sections", f"-I{STREAM}", f"-I{FIRMWARE / 'include'}", f"-I{FIRMWARE / 'src'}"),
        *(f"-L{FIRMWARE / 'ld'}", "-T", LINKER_SCRIPTS.get(machine.core, LINKER_SCRIPT)),
    ]
    done = subprocess.run(
        [COMPILER, *flags, str(source), *sources, "-lgcc", "-o", str(elf)], capture_output=True, text=True
    )
    if done.returncode:
        raise SignbitError(f"{machine.title}: {done.stderr.strip()[:2000]}")
    return elf


def _run(machine: Machine, elf: Path, inputs: bytes, folder: Path, plugin: Path | None) -> bytes:
    (folder / "inputs").write_bytes(inputs)
    command = [*emulator.command(machine, elf), "-serial", "null"]
    if plugin:
        command += ["-plugin", f"{plugin},out={folder / 'counts'}"]
    try:
        done = subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        raise SignbitError(f"{machine.title}: the program did not end within {TIMEOUT_S} s") from None
    if done.returncode:
        raise SignbitError(f"{machine.title}: the program ended with code {done.returncode}: {done.stderr.strip()}")
    return (folder / "outputs").read_bytes()


def _plugin(folder: Path) -> Path:
    plugin = folder / "counter.so"
    command = ["cc", "-O2", "-shared", "-fPIC", "-o", str(plugin), str(TOOLS / "counter.c")]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SignbitError(f"the instruction counter could not be compiled: {done.stderr.strip()[:500]}")
    return plugin
