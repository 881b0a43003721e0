"""The real firmware on emulated cores against Python, every value of every layer.

For each core the whole test set goes through the batch firmware (semihosting), from the sensor's counts where the model
makes its inputs of them, and some inputs go through the real one, over its UART and protocol.
"""

import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from signbit.codegen.plan import make_plan
from signbit.codegen.render import header_text
from signbit.emulate import machines as emulator
from signbit.emulate import pio
from signbit.emulate.machines import CORES, MACHINES, EmulatedUart, Machine
from signbit.line.link import Link
from signbit.places import FIRMWARE, workspace
from signbit.qmodel.command import note
from signbit.qmodel.counted import counted
from signbit.qmodel.data.dataset import Split
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.file import load
from signbit.qmodel.model import QuantizedModel

UART_INPUTS = 20
STACK_WORD = np.dtype("<u4")


@dataclass(frozen=True)
class CoreResult:
    """What one emulated core computed, compared with Python.

    `values` counts the outputs of all layers, logits and inputs made of counts included, and `different` those of them
    that are not Python's;
    `uart_different` counts round trips whose class (or rejection), logits or confidence are not, and requests that were
    repeated.  `flash_bytes` and `ram_bytes` are those of the firmware with the UART, or of the batch firmware where
    there is none (then `uart_trips` is 0), the stack left out; `stack_used_bytes` is the batch firmware's high-water
    mark.
    """

    core: str
    title: str
    machine: str
    inputs: int
    values: int
    different: int
    uart_trips: int
    uart_different: int
    boot_ms: float
    stack_used_bytes: int
    flash_bytes: int
    ram_bytes: int
    seconds: float

    @property
    def equal(self) -> bool:
        return not self.different and not self.uart_different


def missing(cores: Iterable[str] = MACHINES) -> str | None:
    """Why some of `cores` can't be built and emulated here, with the line that installs it; None if all can."""
    return next(filter(None, (_missing(CORES[core]) for core in cores)), None)


def _missing(machine: Machine) -> str | None:
    return (pio.missing() if machine.env else None) or machine.missing()


def emulate(
    path: Path,
    given: np.ndarray,
    cores: Iterable[str] = MACHINES,
    uart_trips: int = UART_INPUTS,
    progress: Callable[[str], None] = lambda text: None,
) -> list[CoreResult]:
    """Run the model file `path` on each of `cores` over what is `given`: inputs, uint8 (n, input_size), or for a model
    that `takes_counts` a sensor's counts, int16 (n, counts).

    Where the firmware has no port, only the batch runs.  Needs what `missing` asks for.  A note names each core whose
    memory is too small for the model.  Raises SignbitError when a firmware can't be built, faults or does not end, and
    when no core can hold the model.
    """
    model = load(path)
    machines = [CORES[core] for core in cores]
    progress(f"building for {len(machines)} cores")
    elfs = _built([machine for machine in machines if machine.env], path, build_folder(model))
    machines = [machine for machine in machines if not machine.env or machine.env in elfs]
    inputs = model.quantize_input(given) if takes_counts(model) else given
    values = [*([inputs] if takes_counts(model) else []), *model.trace(inputs)]
    results = []
    for machine in machines:
        progress(f"{machine.title}: {counted(len(inputs), 'input')}")
        results.append(_run_core(machine, elfs, model, given, inputs, values, uart_trips))
    return results


def takes_counts(model: QuantizedModel) -> bool:
    """Whether the batch firmware reads a sensor's counts; of a model with a front end it reads inputs."""
    return model.input_quantization is not None and model.front_end is None


def given_by(part: Split, model: QuantizedModel) -> np.ndarray:
    """What `emulate` is given of a part of the data; raises SignbitError where it lacks the counts."""
    if not takes_counts(model):
        return part.x
    if part.samples is None:
        raise SignbitError("the model takes a sensor's counts, but the data are bytes; name other data with --data")
    return part.samples


def _built(machines: list[Machine], path: Path, folder: Path) -> dict[str, Path]:
    """The elf of each environment of `machines`, in one build or, where the model is too large for some, one by one."""
    try:
        return _build(machines, path, folder) if machines else {}
    except pio.DoesNotFit as error:
        first = error
    elfs: dict[str, Path] = {}
    for machine in machines:
        try:
            elfs |= _build([machine], path, folder)
        except pio.DoesNotFit as error:
            note(f"NOT RUN: {machine.title} on {machine.machine} can't hold the model: {error}")
    if not elfs:
        raise first
    return elfs


def _build(machines: list[Machine], path: Path, folder: Path) -> dict[str, Path]:
    return pio.build([env for machine in machines for env in (machine.env, machine.batch_env)], path, folder)


def build_folder(model: QuantizedModel) -> Path:
    """Where the firmware of a model is built: each model has its own folder, so that none is built twice."""
    return workspace() / "emulate" / f"{model.name}-{model.hash[:16]}"


def _run_core(
    machine: Machine,
    elfs: dict[str, Path],
    model: QuantizedModel,
    given: np.ndarray,
    inputs: np.ndarray,
    values: list[np.ndarray],
    uart_trips: int,
) -> CoreResult:
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        batch = elfs[machine.batch_env] if machine.env else _build_batch(machine, model, Path(folder))
        output = emulator.run_batch(machine, batch, given.tobytes(), Path(folder))
        size = pio.size(elfs.get(machine.env, batch), machine.target.toolchain)
    different, stack_used_bytes = compare_batch(output, values)
    uart_different, boot_ms = 0, 0.0
    if machine.env:
        uart_different, boot_ms = _round_trips(machine, elfs[machine.env], model, inputs, values[-1], uart_trips)
    else:
        uart_trips = 0
    return CoreResult(
        core=machine.core,
        title=machine.title,
        machine=machine.machine,
        inputs=len(inputs),
        values=sum(value.size for value in values),
        different=different,
        uart_trips=uart_trips,
        uart_different=uart_different,
        boot_ms=boot_ms,
        stack_used_bytes=stack_used_bytes,
        flash_bytes=size.flash_bytes,
        ram_bytes=size.ram_bytes,
        seconds=time.monotonic() - start,
    )


def _build_batch(machine: Machine, model: QuantizedModel, folder: Path) -> Path:
    """The batch firmware where PlatformIO has no environment for it."""
    (folder / "model.h").write_text(header_text(make_plan(model, "model", machine.target.name)))
    elf = folder / "batch.elf"
    emulator.build(machine, [FIRMWARE / "src" / "batch.c"], elf, *machine.target.flags, "-Os", f"-I{folder}")
    return elf


def compare_batch(output: bytes, values: list[np.ndarray]) -> tuple[int, int]:
    """Compare the file that firmware/src/batch.c writes with `QuantizedModel.trace`, after the inputs made of counts.

    Returns how many values differ, and the stack's high-water mark in bytes.  The logits are in the file twice, as
    the last layer's output and as what infer returned; one that is wrong in either place counts as one.
    """
    names = [f"value{index}" for index in range(len(values))]
    layers = [layer.reshape(len(layer), -1) for layer in values]
    columns = list(zip([*names, "returned"], [*layers, layers[-1]], strict=True))
    record = np.dtype([(name, layer.dtype.newbyteorder("<"), layer.shape[1:]) for name, layer in columns])
    expected_bytes = len(layers[-1]) * record.itemsize + STACK_WORD.itemsize
    if len(output) != expected_bytes:
        raise SignbitError(f"the batch wrote {len(output)} bytes, but {expected_bytes} were expected")
    records = np.frombuffer(output, record, len(layers[-1]))
    wrong = {name: records[name] != layer for name, layer in columns}
    wrong[names[-1]] |= wrong.pop("returned")
    (stack_used_bytes,) = np.frombuffer(output[-STACK_WORD.itemsize :], STACK_WORD)
    return sum(int(part.sum()) for part in wrong.values()), int(stack_used_bytes)


def _round_trips(
    machine: Machine, elf: Path, model: QuantizedModel, inputs: np.ndarray, logits: np.ndarray, trips: int
) -> tuple[int, float]:
    """Inputs over the UART of the real firmware, starting over from the first when they are used up.

    Returns how many answers were wrong or had to be asked for again, and milliseconds from power-on to the first one.
    """
    classes, confidence = model.decide(logits), model.confidence(logits)
    start = time.monotonic()
    with EmulatedUart(machine, elf) as uart:
        link = Link(uart, timeout=10)
        info = link.info()
        boot_ms = 1000 * (time.monotonic() - start)
        if info.model_hash != model.hash:
            raise SignbitError(f"{machine.title}: the firmware carries model {info.model_hash}, not {model.hash}")
        wrong = 0
        for trip in range(trips):
            index = trip % len(inputs)
            result = link.infer(inputs[index])
            expected = (int(classes[index]), tuple(logits[index].tolist()), int(confidence[index]))
            wrong += (result.class_index, result.logits, result.confidence_per_mille) != expected
    return wrong + link.repeated, boot_ms
