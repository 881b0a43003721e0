"""`python -m tools bench`: count every kernel on every core, write bench/results.json and bench/README.md.

Instructions are exact, counted between two marks on emulated cores by a counter that is checked in each run on code of
known length.  Cycles are estimates from Arm's timing tables.  Each output is compared with Python before it counts.
"""

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

from signbit.console import console
from signbit.emulate.machines import CORES, add_cores_option
from signbit.jobs.bars import Bars
from signbit.qmodel.atomic import write_whole
from signbit.qmodel.command import EXIT_DIFFERENT, EXIT_OK, Parser
from signbit.qmodel.errors import SignbitError
from tools.cores import emulated as cores
from tools.measure import bench_host, bench_layers, bench_models, bench_tables, rival_emlearn
from tools.measure.bench_layers import Measured, WrongOutput


@dataclass(frozen=True)
class Job:
    """One piece of the work, for the progress bar and for messages."""

    title: str
    run: Callable[[], list[Measured]]


@dataclass
class Outcome:
    """What came of all jobs: `not_run` lack a tool, `failed` had a wrong output, a fault or a counter that is off."""

    rows: list[dict] = field(default_factory=list)
    timings: list[dict] = field(default_factory=list)
    not_run: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        return not self.not_run and not self.failed


def main(arguments: list[str]) -> int:
    """Measure and print; a run over all layers and models writes its cores' rows.  Returns 1 if anything failed."""
    options = _parser().parse_args(arguments)
    outcome = Outcome()
    reason = cores.missing(options.cores)
    if reason:
        outcome.not_run.append(f"emulated cores: {reason}")
    else:
        _run_all(_jobs(options, outcome), outcome)
    whole = not (options.models or options.quick or options.layers)
    if whole and options.cores == list(CORES):
        _time_here(outcome)
    if options.json:
        print(json.dumps(vars(outcome), indent=2))
    else:
        _print(outcome)
    if whole and outcome.complete:
        _say(_write(outcome, options.cores))
    else:
        _say("bench/results.json stays as it is: not everything was measured")
    return EXIT_DIFFERENT if outcome.failed else EXIT_OK


def layer_rows(name: str, core: str, chosen_only: bool = False) -> list[Measured]:
    """The layer with every kernel that can compute it, or with the plan's."""
    kernels = [None] if chosen_only else bench_layers.kernels_for(name, core)
    return [bench_layers.measure(name, core, kernel) for kernel in kernels]


def _jobs(options, outcome: Outcome) -> Iterator[Job]:
    layers = [] if options.models else [name for name in bench_layers.LAYERS if (options.layers or "") in name]
    if options.layers and not layers:
        raise SignbitError(f"no layer has {options.layers!r} in its name: {'; '.join(bench_layers.LAYERS)}")
    for name in layers:
        for core in options.cores:
            yield Job(f"{name} on {core}", partial(layer_rows, name, core, options.quick))
    if options.layers:
        return
    for name in bench_models.MODELS:
        for core in options.cores:
            yield Job(f"model {name} on {core}", partial(bench_models.measure, name, core))
    if options.quick:
        return
    if rival_emlearn.missing():
        outcome.not_run.append(f"{rival_emlearn.KERNEL}: {rival_emlearn.missing()}")
        return
    for name in bench_tables.rival_models():
        for core in (core for core in rival_emlearn.BUILDS if core in options.cores):
            yield Job(f"{rival_emlearn.KERNEL}, {name} on {core}", partial(rival_emlearn.measure, name, core))


def _run_all(jobs: Iterator[Job], outcome: Outcome) -> None:
    jobs = list(jobs)
    with Bars("measurements", len(jobs)) as bars:
        for number, job in enumerate(jobs):
            bars.done(number)
            bars.show("now", job.title)
            try:
                outcome.rows += [measured.as_row() for measured in job.run()]
            except (WrongOutput, SignbitError) as error:
                outcome.failed.append(f"{job.title}: {error}")


def _time_here(outcome: Outcome) -> None:
    if bench_host.missing():
        outcome.not_run.append(f"times on this computer: {bench_host.missing()}")
        return
    try:
        outcome.timings += [bench_host.measure(name).as_row() for name in bench_tables.rival_models()]
    except (WrongOutput, SignbitError) as error:
        outcome.failed.append(f"times on this computer: {error}")


def _print(outcome: Outcome) -> None:
    screen = console()
    if outcome.rows:
        bench_tables.print_rows(screen, outcome.rows)
        calibrated = ", ".join(str(counts[0]) for counts in cores.CALIBRATION)
        screen.print(f"Calibrated in each run: code of {calibrated} instructions read so. Cycles are estimates.")
        worst = bench_tables.worst_prediction(outcome.rows)
        if worst:
            where = f"{worst['layer']} on {worst['core']}, {worst['kernel']}"
            screen.print(f"Largest error of a prediction for a plan: {bench_tables.error_text(worst)}, {where}")
    if outcome.timings:
        screen.print(bench_tables.host_table(outcome.timings), soft_wrap=True)
    for line in outcome.not_run:
        screen.print(f"NOT RUN: {line}", soft_wrap=True)
    for line in outcome.failed:
        screen.print(f"FAILED: {line}", style="bold red", soft_wrap=True)


def _write(outcome: Outcome, measured: list[str]) -> str:
    """Write the files and the tables, in which other cores than `measured` keep their rows; returns what was done."""
    kept = [row for row in json.loads(bench_tables.RESULTS.read_text()) if row["core"] not in measured]
    files = {bench_tables.RESULTS: kept + outcome.rows} | ({bench_tables.HOST: outcome.timings} if not kept else {})
    for path, rows in files.items():
        write_whole(path, (json.dumps(rows, indent=1, ensure_ascii=False) + "\n").encode())
    written = " and ".join(f"bench/{path.name}" for path in files)
    try:
        bench_tables.write_block()
    except SignbitError as error:
        return f"{written} written, bench/README.md is not: {error}"
    return f"{written} and bench/README.md written"


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _parser() -> Parser:
    parser = Parser(prog="python -m tools bench", description=__doc__.split("\n\n")[0].partition(": ")[2])
    add_cores_option(parser)
    parser.add_argument("--layers", metavar="TEXT", help="only layers with TEXT in their name, and no whole models")
    parser.add_argument("--models", action="store_true", help="only whole models, and emlearn's")
    parser.add_argument("--quick", action="store_true", help="only the kernels that the plan picks, and no rivals")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser
