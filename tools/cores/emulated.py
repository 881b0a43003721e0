"""Generated code on an emulated core, outside the firmware: many models in one program, instructions counted."""

import itertools
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

import numpy as np

from signbit.codegen.kernels.targets import TARGETS
from signbit.codegen.plan import COUNT_BYTES, Plan
from signbit.codegen.process import output_of
from signbit.codegen.program import STREAM_ON_CORE, Reads, counts_of_layers, write_program
from signbit.emulate import machines as emulator
from signbit.emulate.machines import CORES, MACHINES, Machine
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.value import WORD_BYTES

TOOLS = Path(__file__).resolve().parent
LARGE_M0 = replace(CORES["m3"], title="Cortex-M0 (large)", core="m0", target=TARGETS["cortex-m0"])
"""For models beyond the micro:bit's 256 KiB of flash or 16 KiB of RAM: a machine with 4 MiB and an M3, which executes
M0 code as it is, so that counts are the M0's."""
M0_MODEL_BYTES = 245 << 10
"""What weights and parameters may take on the micro:bit, so that the code fits as well."""
M0_MEMORY_BYTES = 13 << 10
"""What scratch, input and logits may take of its 16 KiB, beside the stack and what the program needs itself."""
STACK_BYTES = 2048
OPTIMIZE = "-O2"
NM = "arm-none-eabi-nm"
FIRST, LAST = "signbit_first_", "signbit_last_"
STATEMENT = re.compile(r"__asm volatile\(\n.*?\);\n", re.DOTALL)
ASSEMBLY_STRING = re.compile(r'^ *"((?:\w+:)? *([a-z]\w*)?.*)\\n"', re.MULTILINE)
OPERANDS = re.compile(r"^ *:", re.MULTILINE)
TIMEOUT_S = 600
# columns after the instructions in what counter.c writes, in the order of cycles.h
CYCLE_MODELS = ("m0", "m0plus", "m3", "m4")
CYCLE_MODELS_OF = {"m0": ("m0", "m0plus"), "m3": ("m3",), "m4": ("m4",)}
# instructions and cycles of streams/core/calibration.h, worked out by hand; on RISC-V the instructions alone
CALIBRATION = [[0, 0, 0, 0, 0], [201, 399, 300, 399, 399], [501, 699, 600, 699, 699], [451, 1249, 1100, 999, 999]]


@dataclass(frozen=True)
class CoreRun:
    """What a program wrote, and the exact instructions of each layer, in order: one number for each layer of each input
    of each model, and after them the few of `infer` itself; a front end's come before them.

    `cycles` are the estimates of cycles.h for the same pieces, by model: m0 and m0plus on an M0, m3 on an M3, m4 on an
    M4, and none on M7, M33 and M55, for which Arm publishes no timings that can be added up, and on RISC-V.
    `assembly` are the instructions in the headers' assembly.
    """

    output: bytes
    instructions: list[int]
    cycles: dict[str, list[int]]
    assembly: list[int]


def missing(cores: Iterable[str] = MACHINES) -> str | None:
    """Why nothing can be run on some of `cores`, with the apt line; None if it can on all."""
    return emulator.missing(cores)


def run(
    plans: list[Plan],
    inputs: list[np.ndarray],
    core: str,
    *,
    offset: int | None = None,
    count: bool = False,
    optimize: str = OPTIMIZE,
    reads: Reads = Reads.SAMPLES,
) -> CoreRun:
    """Compile `plans` for `core` and run each on its own inputs, n the same for all.

    Inputs are uint8 (n, input_size), or int16 (n, samples_size) for a plan with a front end.

    `count` also counts instructions, with QEMU's plugin `counter.c`.  `reads` says what
    the inputs are.  Raises SignbitError when the program can't be
    built or ends with a fault.
    """
    machine = machine_for(plans, core)
    with tempfile.TemporaryDirectory(prefix="signbit-") as name:
        folder = Path(name)
        source = write_program(folder, plans, len(inputs[0]), offset_bytes=offset, predict=not count, reads=reads)
        if count:
            for number, header in enumerate(folder.glob("*.h")):
                header.write_text(_mark_assembly(header.read_text(), number))
        elf = build(source, machine, optimize)
        done = execute(elf, machine, b"".join(x.tobytes() for x in inputs), count)
    if not count:
        return done
    of_layers = partial(counts_of_layers, plans=plans, inputs=len(inputs[0]), reads=reads)
    return CoreRun(
        done.output,
        of_layers(done.instructions),
        {model: of_layers(cycles) for model, cycles in done.cycles.items()},
        of_layers(done.assembly),
    )


def machine_for(plans: list[Plan], core: str) -> Machine:
    """The core's machine, or the large one."""
    models = sum(plan.data_bytes for plan in plans)
    memory = max(
        plan.scratch_bytes
        + plan.input_size
        + WORD_BYTES * plan.output_size
        + COUNT_BYTES * plan.sensor_size
        + (plan.stream_bytes if plan.streams else 0)
        for plan in plans
    )
    is_large = core == "m0" and (models > M0_MODEL_BYTES or memory > M0_MEMORY_BYTES)
    return LARGE_M0 if is_large else CORES[core]


def build(
    source: Path,
    machine: Machine,
    optimize: str = OPTIMIZE,
    flags: tuple[str, ...] | None = None,
    libraries: tuple[str, ...] = ("-lgcc",),
    stack_bytes: int = STACK_BYTES,
) -> Path:
    """The program `source` as an elf beside it, with the firmware's start-up code and memory map.

    `flags` replace the target's, and may name another C standard.
    """
    elf = source.with_name("program.elf")
    options = [
        *(machine.target.flags if flags is None else flags),
        *(optimize, "-Wall", "-Wextra", "-Werror", f"-I{STREAM_ON_CORE}"),
    ]
    emulator.build(machine, [source], elf, *options, libraries=libraries, stack_bytes=stack_bytes)
    return elf


def execute(elf: Path, machine: Machine, inputs: bytes, count: bool = False) -> CoreRun:
    """Run a program that reads `inputs` through streams/core/stream.h; its files are next to `elf`.

    Raises SignbitError when it ends with a fault, and when the counter does not read what is known.
    """
    folder = elf.parent
    (folder / "inputs").write_bytes(inputs)
    command = emulator.command(machine, elf)
    if count:
        command += ["-plugin", f"{_plugin(machine.qemu)},out={folder / 'counts'}"]
        if machine.core in MACHINES:  # elsewhere kernels are C
            (folder / "assembly").write_text("\n".join(f"{first} {last}" for first, last in _assembly(elf)))
            command[-1] += f",assembly={folder / 'assembly'}"
    output = emulator.run_program(machine, "program", command, folder, TIMEOUT_S)
    return _counted(output, machine, (folder / "counts").read_text()) if count else CoreRun(output, [], {}, [])


def _counted(output: bytes, machine: Machine, text: str) -> CoreRun:
    """The lines that counter.c wrote, without those of the calibration, which have to be right."""
    lines = [[int(word) for word in line.split()] for line in text.splitlines()]
    wanted = CALIBRATION if machine.core in MACHINES else [line[:1] for line in CALIBRATION]
    known, counts = [line[:5] for line in lines[: len(wanted)]], lines[len(wanted) :]
    if known != wanted:
        raise SignbitError(f"{machine.title}: the counter reads {known} where {wanted} is known")
    columns = {model: CYCLE_MODELS.index(model) + 1 for model in CYCLE_MODELS_OF.get(machine.core, ())}
    cycles = {model: [line[column] for line in counts] for model, column in columns.items()}
    return CoreRun(output, [line[0] for line in counts], cycles, [line[5] if line[5:] else 0 for line in counts])


def _mark_assembly(header: str, number: int) -> str:
    """`header` with a symbol at the first and the last instruction of each of its statements of assembly.

    Statements of a single line are not kernels, but loads and stores among the C.
    """
    numbers = itertools.count()

    def marked(match: re.Match) -> str:
        # a statement with operands may be there several times; %= is a number of its own for each
        statement = match[0]
        name = f"{number}_{next(numbers)}{'_%=' if OPERANDS.search(statement) else ''}"
        strings = list(ASSEMBLY_STRING.finditer(statement))
        first, last = strings[0].start(1), [string for string in strings if string[2]][-1].start(1)
        middle = f"{statement[first:last]}{LAST}{name}:"
        return f"{statement[:first]}{FIRST}{name}:{middle}{statement[last:]}"

    return STATEMENT.sub(marked, header)


def _assembly(elf: Path) -> Iterator[tuple[int, int]]:
    """The addresses of the first and the last instruction of each statement of assembly that is marked."""
    listing = output_of([NM, "--defined-only", elf])
    symbols = {name: int(address, 16) for address, _, name in (line.split() for line in listing.splitlines())}
    for name, address in symbols.items():
        if name.startswith(FIRST):
            yield address, symbols[LAST + name.removeprefix(FIRST)]


@cache
def _folder() -> tempfile.TemporaryDirectory:
    """Of this process, at whose end it goes."""
    return tempfile.TemporaryDirectory(prefix="signbit-")


@cache
def _plugin(qemu: str) -> Path:
    plugin = Path(_folder().name, f"{qemu}.so")
    version = f"-DPLUGIN_VERSION={_plugin_version(qemu)}"
    command = ["cc", "-O2", "-shared", "-fPIC", version, "-o", plugin, TOOLS / "counter.c"]
    output_of(command, title="the instruction counter can't be compiled")
    return plugin


def _plugin_version(qemu: str) -> int:
    """The plugin interface that this QEMU takes; tried with QEMU 7.2 and 10.0, which still takes 3."""
    text = subprocess.run([qemu, "--version"], capture_output=True, text=True).stdout
    found = re.search(r"version (\d+)\.(\d+)", text)
    release = (int(found[1]), int(found[2])) if found else (0, 0)
    return 1 if release < (9, 0) else 2 if release < (9, 1) else 3
