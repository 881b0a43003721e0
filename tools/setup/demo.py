"""From training to firmware on real data: `tools/demo [--out FOLDER]`.

Trains a network on the 1,797 handwritten digits of the package, exports it as a C header, compares the C with Python
on this computer, builds the firmware for six Cortex-M cores, boots it on emulated ones and compares again, and writes a
page that runs the C in a browser.
"""

import json
import os
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from signbit.codegen import wasm
from signbit.console import Column, console, print_table
from signbit.emulate.emulation import CoreResult, emulate, missing
from signbit.qmodel.command import EXIT_DIFFERENT, EXIT_OK, Parser
from signbit.qmodel.data.named import load_dataset
from signbit.qmodel.errors import SignbitError

FOLDER = Path("build") / "demo"
CALLER_DIR = "SIGNBIT_CALLER_DIR"
"""Where tools/demo was called from; it works in the checkout."""


@dataclass(frozen=True)
class Outcome:
    """What the demo found and wrote; what could not be done is empty, and its `not_run` says why."""

    training: dict
    export: str
    host: dict | None
    host_not_run: str
    page: str
    page_not_run: str | None
    cores: list[CoreResult]
    not_run: str | None

    @property
    def equal(self) -> bool:
        host = self.host is None or all(part["equal"] for part in self.host.values())
        return host and all(core.equal for core in self.cores)


def main(arguments: list[str]) -> int:
    """Returns 0 if every value agreed."""
    parser = Parser(prog="tools/demo", description="Train, export, verify and run on emulated microcontrollers.")
    parser.add_argument("--out", metavar="FOLDER", type=Path, default=FOLDER, help="for model and header (%(default)s)")
    options = parser.parse_args(arguments)
    return EXIT_OK if run(options.out, console(), console(stderr=True)).equal else EXIT_DIFFERENT


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
        host, host_not_run = json.loads(_step(progress, "verify", str(model), "--json")), ""
    except SignbitError as error:
        host, host_not_run = None, str(error)
    page_not_run, not_run = wasm.missing(), missing()
    written = "" if page_not_run else _step(progress, "page", str(model), "-o", str(page))
    cores = []
    if not not_run:
        with progress.status("") as status:
            cores = emulate(model, load_dataset("digits").test.x, progress=status.update)
    return Outcome(training, export, host, host_not_run, written, page_not_run, cores, not_run)


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
        screen.print("Sizes are those of the whole firmware, model and UART included, without the stack.")
        screen.print("The cores are emulated by QEMU; no physical board took part.\n")
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
    headings = ("inputs", "values", "different", "UART", "flash bytes", "RAM bytes")
    if outcome.host is None:
        rows = [("this computer", "NOT RUN", *[""] * 5)]
    else:
        parts = outcome.host.values()
        totals = [sum(part[key] for part in parts) for key in ("inputs", "values", "different")]
        rows = [("this computer", *(f"{total:,}" for total in totals), "", "", "")]
    for core in outcome.cores:
        trips = f"{core.uart_trips - core.uart_different}/{core.uart_trips}"
        sizes = f"{core.flash_bytes:,}", f"{core.ram_bytes:,}"
        rows.append((core.title, f"{core.inputs:,}", f"{core.values:,}", f"{core.different:,}", trips, *sizes))
    print_table(screen, [Column("C == Python", left=True), *map(Column, headings)], rows)


def _step(progress: Console, *arguments: str) -> str:
    """Run a command of signbit with its progress on our stderr; returns its stdout."""
    progress.print(f"$ signbit {shlex.join(arguments)}", style="dim", soft_wrap=True)
    done = subprocess.run([sys.executable, "-m", "signbit", *arguments], stdout=subprocess.PIPE, text=True)
    if done.returncode not in (EXIT_OK, EXIT_DIFFERENT):
        raise SignbitError(f"signbit {arguments[0]} ended with exit code {done.returncode}")
    return done.stdout
