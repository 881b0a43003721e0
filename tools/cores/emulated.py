"""Generated code on an emulated core, outside the firmware: many models in one program, instructions counted."""

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from signbit.codegen.kernels.targets import TARGETS
from signbit.codegen.plan import Plan
from signbit.emulate import machines as emulator
from signbit.emulate.machines import MACHINES, Machine
from signbit.emulate.pio import COMPILER, COMPILER_APT, FIRMWARE
from signbit.qmodel.errors import SignbitError
from tools.cores.programs import write_program

TOOLS = Path(__file__).resolve().parent
STREAM = TOOLS / "streams" / "core"
SOURCES = ("startup.c", "semihost.c", "core.c", "ticks.c")
LARGE_M0 = replace(MACHINES["m3"], title="Cortex-M0 (large)", core="m0")
"""For models beyond the 256 KiB of the micro:bit: a machine with 4 MiB and an M3, which executes M0 code as it is, so
that counts are the M0's."""
M0_MODEL_BYTES = 245 << 10
"""What weights and parameters may take on the micro:bit, so that the code fits as well."""
CORE_OF_TARGET = {f"cortex-{core}": core for core in MACHINES} | {"cortex-m0plus": "m0"}
STACK_BYTES = 2048
OPTIMIZE = "-O2"
TIMEOUT_S = 600
# columns after the instructions in what counter.c writes, in the order of cycles.h
CYCLE_MODELS = ("m0", "m0plus", "m3", "m4")
CYCLE_MODELS_OF = {"m0": ("m0", "m0plus"), "m3": ("m3",), "m4": ("m4",)}
# instructions and cycles of streams/core/calibration.h, worked out by hand
CALIBRATION = [[0, 0, 0, 0, 0], [201, 399, 300, 399, 399], [501, 699, 600, 699, 699], [451, 1249, 1100, 999, 999]]


@dataclass(frozen=True)
class CoreRun:
    """What a program wrote, and the exact instructions of each layer, in order: one number for each layer of each input
    of each model, and after them the few of `infer` itself.

    `cycles` are the estimates of cycles.h for the same pieces, by model: m0 and m0plus on an M0, m3 on an M3, m4 on an
    M4, and none on M7, M33 and M55, for which Arm publishes no timings that can be added up.
    """

    output: bytes
    instructions: list[int]
    cycles: dict[str, list[int]]


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
    machine = machine_for(plans, core)
    with tempfile.TemporaryDirectory(prefix="signbit-") as name:
        folder = Path(name)
        source = write_program(folder, plans, len(inputs[0]), offset=offset, predict=not count)
        elf = build(source, machine, optimize)
        return execute(elf, machine, b"".join(x.tobytes() for x in inputs), count)


def machine_for(plans: list[Plan], core: str) -> Machine:
    """The core's machine, or the large one."""
    is_large = core == "m0" and sum(plan.data_bytes for plan in plans) > M0_MODEL_BYTES
    return LARGE_M0 if is_large else MACHINES[core]


def build(
    source: Path,
    machine: Machine,
    optimize: str = OPTIMIZE,
    flags: tuple[str, ...] | None = None,
    libraries: tuple[str, ...] = ("-lgcc",),
) -> Path:
    """The program `source` as an elf beside it, with the firmware's start-up code and memory map.

    `flags` replace the target's.
    """
    elf = source.with_name("program.elf")
    sources = [str(FIRMWARE / "src" / name) for name in SOURCES]
    command = [
        COMPILER,
        *(TARGETS[f"cortex-{machine.core}"].flags if flags is None else flags),
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
        *(f"-L{FIRMWARE / 'ld'}", "-T", machine.linker_script),
        *(str(source), *sources, *libraries, "-o", str(elf)),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SignbitError(f"{machine.title}: {done.stderr.strip()[:2000]}")
    return elf


def execute(elf: Path, machine: Machine, inputs: bytes, count: bool = False) -> CoreRun:
    """Run a program that reads `inputs` through streams/core/stream.h; its files are next to `elf`.

    Raises SignbitError when it ends with a fault, and when the counter does not read what is known.
    """
    folder = elf.parent
    (folder / "inputs").write_bytes(inputs)
    command = emulator.command(machine, elf)
    if count:
        command += ["-plugin", f"{_plugin(folder)},out={folder / 'counts'}"]
    output = emulator.run_program(machine, "program", command, folder, TIMEOUT_S)
    return _counted(output, machine, (folder / "counts").read_text()) if count else CoreRun(output, [], {})


def _counted(output: bytes, machine: Machine, text: str) -> CoreRun:
    """The lines that counter.c wrote, without those of the calibration, which have to be right."""
    lines = [[int(word) for word in line.split()] for line in text.splitlines()]
    known, counts = lines[: len(CALIBRATION)], lines[len(CALIBRATION) :]
    if known != CALIBRATION:
        raise SignbitError(f"{machine.title}: the counter reads {known} where {CALIBRATION} is known")
    columns = {model: CYCLE_MODELS.index(model) + 1 for model in CYCLE_MODELS_OF.get(machine.core, ())}
    cycles = {model: [line[column] for line in counts] for model, column in columns.items()}
    return CoreRun(output, [line[0] for line in counts], cycles)


def _plugin(folder: Path) -> Path:
    plugin = folder / "counter.so"
    version = f"-DPLUGIN_VERSION={_plugin_version()}"
    command = ["cc", "-O2", "-shared", "-fPIC", version, "-o", str(plugin), str(TOOLS / "counter.c")]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SignbitError(f"the instruction counter could not be compiled: {done.stderr.strip()[:500]}")
    return plugin


def _plugin_version() -> int:
    """The plugin interface that this QEMU takes; tried with QEMU 7.2 and 10.0, which still takes 3."""
    text = subprocess.run([emulator.QEMU, "--version"], capture_output=True, text=True).stdout
    found = re.search(r"version (\d+)\.(\d+)", text)
    release = (int(found[1]), int(found[2])) if found else (0, 0)
    return 1 if release < (9, 0) else 2 if release < (9, 1) else 3
