"""`signbit tune`: search networks and training options within a budget of flash, RAM and instructions."""

import argparse
import json
from dataclasses import replace
from pathlib import Path

from signbit.console import console
from signbit.jobs.bars import Bars
from signbit.jobs.executor import Jobs, add_cluster
from signbit.jobs.signals import Stopped
from signbit.qmodel.command import EXIT_OK, Parser, note
from signbit.qmodel.counted import counted
from signbit.qmodel.data.named import NAMES, load_dataset
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.option_types import number, size_bytes, whole
from signbit.trainer.command import options as command_lines
from signbit.trainer.command.cli import print_notes
from signbit.trainer.command.output import model_name
from signbit.trainer.learning.settings import Settings
from signbit.trainer.report.figure import require_matplotlib
from signbit.trainer.tune import export, study
from signbit.trainer.tune.cost import Budget, cores
from signbit.trainer.tune.front import Found, front, front_json, print_front
from signbit.trainer.tune.search import Problem, Search
from signbit.trainer.tune.space import NOT_TRAINING, default_space, read_space
from signbit.trainer.tune.training import FOLDS, Place

DEFAULT_TARGET = "cortex-m0"
DEFAULT_TRIALS = 100
MANY_SAMPLES, MANY_FOLDS = 10_000, 2
"""With so many samples fewer folds distinguish networks."""
RUNS = "tune"
DATABASE = "study.db"


def main(arguments: list[str], prog: str) -> int:
    options = _parser(prog).parse_args(arguments)
    study.require_optuna()
    options.data = options.data or command_lines.DEFAULT_DATA
    runs = Path(options.runs).resolve()
    url = options.storage or f"sqlite:///{(runs / DATABASE).as_posix()}"
    name = options.study or f"{model_name(options.data)}-{options.target}"
    return study.work_on(url, lambda: _run(options, runs, url, name, prog))


def _run(options: argparse.Namespace, runs: Path, url: str, name: str, prog: str) -> int:
    is_known = options.front or options.reap or options.export is not None
    if is_known and options.storage is None and not (runs / DATABASE).is_file():
        raise SignbitError(f"--runs {options.runs}: holds no study; search first")
    if options.front:
        known = study.open_study(url, name)
        return _print_front(known, front(known) if options.json else _front_of(known), options)
    if options.reap:
        print(f"given back: {counted(study.reap(study.open_study(url, name)), 'trial')}")
        return EXIT_OK
    problem = _problem(options)
    if options.export is not None:
        return _export(problem, study.open_study(url, name), runs, options)
    runs.mkdir(parents=True, exist_ok=True)
    return _search(problem, study.begin_study(url, name, problem.facts), runs, options, prog)


def _search(problem: Problem, begun, runs: Path, options: argparse.Namespace, prog: str) -> int:
    trials = options.trials or (None if options.timeout else DEFAULT_TRIALS)
    try:
        with Jobs(options.jobs, options.cluster) as jobs, Bars("networks", trials, options.quiet) as bars:
            reason = Search(problem, begun, runs, jobs, bars).run(trials, options.timeout)
    except Stopped as stop:
        note(f"stopped; what was begun goes on with the same command, {prog}")
        return stop.exit_code
    found = front(begun)
    if not found:
        raise SignbitError(reason)
    if reason:
        note(reason)
    return _print_front(begun, found, options)


def _front_of(begun) -> list[Found]:
    """The study's; raises SignbitError where it is empty."""
    if found := front(begun):
        return found
    raise SignbitError(f"study {begun.study_name!r} has no network that is trained and within the budget yet")


def _print_front(begun, found: list[Found], options: argparse.Namespace) -> int:
    if options.json:
        print(json.dumps({"command": "tune", "study": begun.study_name, "front": front_json(found)}))
    else:
        print_front(console(), found, study.facts_of(begun)["folds"])
    return EXIT_OK


def _export(problem: Problem, begun, runs: Path, options: argparse.Namespace) -> int:
    study.check_facts(begun, problem.facts)
    folder = Path(options.export)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SignbitError(f"--export {folder}: is there already and not an empty folder; remove it, or name another")
    found = _front_of(begun)
    try:
        require_matplotlib()
        draws = True
    except SignbitError as missing:
        note(f"{folder}: {missing}")
        draws = False
    count = len(found) * len(export.SEEDS)
    try:
        with Jobs(options.jobs, options.cluster) as jobs, Bars("runs", count, options.quiet) as bars:
            exported = export.retrained(found, problem, model_name(problem.data.name), runs, jobs, bars)
    except Stopped as stop:
        note("stopped; the same command goes on")
        return stop.exit_code
    title = f"{problem.data.name} on {problem.budget.target}"
    export.write(exported, folder, title, problem.budget, draws)
    if options.json:
        print(json.dumps({"command": "tune", "study": begun.study_name, "export": export.rows(exported)}))
    else:
        print(f"{folder}: {counted(len(exported), 'model')} with headers; see {folder / 'README.md'}")
    return EXIT_OK


def _problem(options: argparse.Namespace) -> Problem:
    path, loading = command_lines.place(options)
    data_dir = None if options.data_dir is None else str(Path(options.data_dir).resolve())
    data = load_dataset(path, data_dir, loading)
    if path not in NAMES:
        print_notes(data)
    space = read_space(Path(options.space)) if options.space else default_space(data.input_shape)
    given = Settings.given_in(options)
    for name in NOT_TRAINING:
        given.pop(name, None)
    # what is given is not drawn
    space = replace(space, training={name: one for name, one in space.training.items() if name not in given})
    folds = options.folds or (FOLDS if len(data.train) + len(data.validation) < MANY_SAMPLES else MANY_FOLDS)
    budget = Budget(options.target, options.max_flash, options.max_ram, options.max_instructions)
    return Problem(data, Place(path, data_dir, loading), space, budget, given, 1 if data.is_kept_apart else folds)


def _parser(prog: str) -> Parser:
    parser = Parser(
        prog=prog,
        description="Search networks and training options within a budget of flash, RAM and instructions.  The same "
        "command once more, here or on another machine with the same --storage, is one worker more.",
        epilog="docs/TUNE.md has the whole way, and says how a --space is written.",
    )
    budget = parser.add_argument_group("budget, of the figures that `signbit inspect` predicts")
    budget.add_argument(
        "--target", choices=cores(), default=DEFAULT_TARGET, help="core to search for (default: %(default)s)"
    )
    budget.add_argument("--max-flash", **size_bytes().argument(), help="most flash, code included")
    budget.add_argument("--max-ram", **size_bytes().argument(), help="most scratch")
    budget.add_argument("--max-instructions", **whole(1).argument(), help="most instructions of one inference")
    search = parser.add_argument_group("search")
    search.add_argument("--space", metavar="FILE", help="what to draw from, in TOML (default: by the data)")
    search.add_argument(
        "--folds",
        **whole(1, FOLDS).argument(),
        help=f"how many of {FOLDS} folds a network is trained on (default: {FOLDS}; {MANY_FOLDS} from "
        f"{MANY_SAMPLES:,} samples on)",
    )
    search.add_argument(
        "--trials",
        **whole(1).argument(),
        help=f"end when the study has so many trained networks (default: {DEFAULT_TRIALS}, or no limit with --timeout)",
    )
    search.add_argument("--timeout", **number("S", 0, ends="()").argument(), help="begin nothing after S seconds")
    search.add_argument("--jobs", **whole(1).argument(), help="networks to train at once (default: one for each core)")
    add_cluster(search)
    place = parser.add_argument_group("study")
    place.add_argument("--runs", metavar="DIR", default=RUNS, help="folder of the training runs (default: %(default)s)")
    place.add_argument("--storage", metavar="URL", help=f"database of the study (default: {DATABASE} in --runs)")
    place.add_argument("--study", metavar="NAME", help="the study's name (default: by data and target)")
    what = parser.add_argument_group("what to do instead of searching").add_mutually_exclusive_group()
    what.add_argument("--front", action="store_true", help="print the networks than which none is better in all")
    what.add_argument(
        "--export",
        metavar="DIR",
        help=f"train these with {len(export.SEEDS)} seeds, read the test part, and write models, headers, table and "
        "picture",
    )
    what.add_argument(
        "--reap", action="store_true", help="give back the trials of workers that died; no other may be at work"
    )
    fixed = (name for name in Settings.declared() if name not in NOT_TRAINING)
    Settings.add_arguments(parser.add_argument_group("training, the same for all networks"), *fixed)
    output = parser.add_argument_group("output")
    command_lines.add_common(parser, output)
    output.add_argument("--quiet", action="store_true", help="no progress")
    return parser
