"""From training to firmware on real data: `tools/demo [--out FOLDER]`; with --keywords on spoken words.

Trains a network on the 1,797 handwritten digits of the package, exports it as a C header, compares the C with Python
on this computer, builds the firmware for six Cortex-M cores, boots it on emulated ones and compares again, and writes a
page that runs the C in a browser.  Without GCC for Arm and QEMU, packages from PyPI run the model's code on five
emulated cores.
"""

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console

from signbit.codegen import emulated_core, wasm
from signbit.codegen.emulated_core import EmulatedCore
from signbit.codegen.kernels.targets import TARGETS
from signbit.codegen.plan import make_plan
from signbit.codegen.verify import verify
from signbit.console import Column, console, print_table
from signbit.emulate.emulation import emulate, missing
from signbit.emulate.machines import MACHINES
from signbit.qmodel.command import EXIT_DIFFERENT, EXIT_OK
from signbit.qmodel.data.named import load_dataset
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.file import load
from tools.setup import keywords
from tools.setup.options import demo_options

CALLER_DIR = "SIGNBIT_CALLER_DIR"
"""Where tools/demo was called from; it works in the checkout."""


@dataclass(frozen=True)
class Row:
    """What a machine computed, compared with Python; `figures` are columns of one emulator, and None is NOT RUN."""

    title: str
    inputs: int | None
    values: int = 0
    different: int = 0
    figures: tuple[str, ...] = ()

    @property
    def cells(self) -> list[str]:
        if self.inputs is None:
            return [self.title, "NOT RUN", "", "", *self.figures]
        return [self.title, *(f"{count:,}" for count in (self.inputs, self.values, self.different)), *self.figures]


@dataclass(frozen=True)
class Emulated:
    """The emulated cores; `headings` are those of their figures, and `remark` says what these are."""

    rows: list[Row]
    headings: tuple[str, ...] = ()
    remark: str = ""


@dataclass(frozen=True)
class Outcome:
    """What the demo found and wrote; what could not be done is empty, and its `not_run` says why."""

    training: dict
    export: str
    host: Row
    host_not_run: str
    page: str
    page_not_run: str | None
    emulated: Emulated
    not_run: str | None

    @property
    def equal(self) -> bool:
        return not any(row.different for row in (self.host, *self.emulated.rows))


def main(arguments: list[str]) -> int:
    """Returns 0 if every value agreed."""
    options = demo_options(arguments)
    if options.keywords:
        step = partial(_step, console(stderr=True))
        return keywords.run(_place(options.data), _place(options.stream), options.out, console(), step)
    return EXIT_OK if run(options.out, console(), console(stderr=True)).equal else EXIT_DIFFERENT


def _place(path: Path | None) -> Path | None:
    """A path as it was meant where tools/demo was called."""
    return path and Path(os.environ.get(CALLER_DIR, "."), path)


def run(folder: Path, screen: Console, progress: Console) -> Outcome:
    """All steps, with model and header in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    model, header, page = (folder / f"digits.{suffix}" for suffix in ("npz", "h", "html"))
    start = time.monotonic()
    outcome = run_steps(model, header, page, progress)
    show(screen, outcome, model, header, page, time.monotonic() - start)
    return outcome


def run_steps(model: Path, header: Path, page: Path, progress: Console) -> Outcome:
    """The four commands that a user would type, and the emulated cores."""
    training = json.loads(_step(progress, "train", "--data", "digits", "--out", str(model), "--json"))
    export = _step(progress, "export", str(model), "-o", str(header), "--test-vectors", "4")
    try:
        parts, host_not_run = json.loads(_step(progress, "verify", str(model), "--json")).values(), ""
        host = Row("this computer", *(sum(part[key] for part in parts) for key in ("inputs", "values", "different")))
    except SignbitError as error:
        host, host_not_run = Row("this computer", None), str(error)
    page_not_run = wasm.missing()
    written = "" if page_not_run else _step(progress, "page", str(model), "-o", str(page))
    on_qemu, from_pypi = missing(), emulated_core.missing(TARGETS["cortex-m4"])
    emulated, not_run = Emulated([]), f"{on_qemu}; or {from_pypi}" if on_qemu and from_pypi else None
    if not not_run:
        with progress.status("") as status:
            run_all = run_on_unicorn if on_qemu else run_on_qemu
            emulated = run_all(model, load_dataset("digits").test.x, status.update)
    return Outcome(training, export, host, host_not_run, written, page_not_run, emulated, not_run)


def run_on_qemu(model: Path, inputs: np.ndarray, progress: Callable[[str], None]) -> Emulated:
    """The real firmware on every core, with its UART."""
    rows = []
    for core in emulate(model, inputs, progress=progress):
        trips = f"{core.uart_trips - core.uart_different}/{core.uart_trips}"
        figures = trips, f"{core.flash_bytes:,}", f"{core.ram_bytes:,}"
        rows.append(Row(core.title, core.inputs, core.values, core.different + core.uart_different, figures))
    remark = (
        "Sizes are those of the whole firmware, model and UART included, without the stack.\n"
        "The cores are emulated by QEMU; no physical board took part."
    )
    return Emulated(rows, ("UART", "flash bytes", "RAM bytes"), remark)


def run_on_unicorn(path: Path, inputs: np.ndarray, progress: Callable[[str], None]) -> Emulated:
    """The model's code on the cores that packages from PyPI can emulate."""
    model, rows, remarks = load(path), [], []
    for target in (machine.target for machine in MACHINES.values()):
        if reason := emulated_core.missing(target):
            rows.append(Row(target.title, None, figures=("",)))
            remarks.append(f"{target.title}: NOT RUN, {reason}.")
            continue
        progress(f"{target.title}: {len(inputs)} inputs")
        plan, core = make_plan(model, target=target.name), EmulatedCore(target)
        result, counts = verify(model, plan, inputs, core), core.count(plan, inputs[:1])
        rows.append(Row(target.title, result.inputs, result.values, result.different, (f"{sum(counts):,}",)))
    remarks += [
        "Instructions are those of one inference, by the core's own code as Zig compiles it.",
        "The cores are emulated by Unicorn; no physical board took part.",
    ]
    return Emulated(rows, ("instructions",), "\n".join(remarks))


def show(screen: Console, outcome: Outcome, model: Path, header: Path, page: Path, seconds: float) -> None:
    """One screen: accuracy, agreement, size, and what to do next."""
    accuracy = outcome.training["accuracy"]["test"]
    count = accuracy["count"]
    figures = ", ".join(f"{name} {100 * accuracy[f'{name}_correct'] / count:.2f} %" for name in ("float", "integer"))
    screen.print(f"\nOne-bit weights, from data to microcontroller in {seconds:.0f} s\n", style="bold")
    screen.print(f"accuracy  {figures}, on {count} digits that it never saw")
    screen.print(f"header    {outcome.export.strip()}", soft_wrap=True)
    screen.print(f"page      {outcome.page.strip() or f'NOT RUN, {outcome.page_not_run}'}", soft_wrap=True)
    _print_agreement(screen, outcome)
    if outcome.host_not_run:
        screen.print(f"This computer: NOT RUN, {outcome.host_not_run}\n")
    if outcome.not_run:
        screen.print(f"Emulated Cortex-M cores: NOT RUN, {outcome.not_run}\n")
    else:
        screen.print(f"{outcome.emulated.remark}\n", soft_wrap=True)
    screen.print("Next:")
    caller = os.environ.get(CALLER_DIR)
    for command, purpose in (
        *(
            [(f"cd {shlex.quote(str(Path.cwd()))}", "where all this is")]
            if caller not in (None, str(Path.cwd()))
            else []
        ),
        (". .venv/bin/activate", "use this Python environment"),
        (f"signbit inspect {shlex.quote(str(model))}", "what each layer costs"),
        (f"less {shlex.quote(str(header))}", "the C, to include in your own project"),
        *([(f"xdg-open {shlex.quote(str(page))}", "draw a digit, and see every layer")] if outcome.page else []),
        ("less firmware/README.md", "flash it to a board"),
        ("less docs/TUTORIAL.md", "how it works, from logistic regression on"),
    ):
        screen.print(f"  {command:<50}{purpose}", soft_wrap=True)


def _print_agreement(screen: Console, outcome: Outcome) -> None:
    headings = ("inputs", "values", "different", *outcome.emulated.headings)
    rows = [outcome.host.cells + [""] * len(outcome.emulated.headings)]
    rows += [row.cells for row in outcome.emulated.rows]
    print_table(screen, [Column("C == Python", left=True), *map(Column, headings)], rows)


def _step(progress: Console, *arguments: str) -> str:
    """Run a command of signbit with its progress on our stderr; returns its stdout."""
    progress.print(f"$ signbit {shlex.join(arguments)}", style="dim", soft_wrap=True)
    done = subprocess.run([sys.executable, "-m", "signbit", *arguments], stdout=subprocess.PIPE, text=True)
    if done.returncode not in (EXIT_OK, EXIT_DIFFERENT):
        raise SignbitError(f"signbit {arguments[0]} ended with exit code {done.returncode}")
    return done.stdout
