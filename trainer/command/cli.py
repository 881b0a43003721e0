"""The command line of the trainer: train a network, evaluate a model, or say what a network will cost."""

import argparse
import json
from dataclasses import replace
from pathlib import Path

from signbit.console import console
from signbit.jobs.signals import Signals, Stopped
from signbit.qmodel.command import note, run_named
from signbit.qmodel.data.named import NAMES, Dataset, dataset_for, load_dataset, own_path
from signbit.qmodel.data.readers.loading import LSB_ALL
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.file import load
from signbit.qmodel.front_end import NONE
from signbit.qmodel.model import check_name
from signbit.qmodel.untrusted import shown
from signbit.trainer.command import COMMANDS
from signbit.trainer.command import options as command_lines
from signbit.trainer.command.decide import check_minutes, evaluate_stream
from signbit.trainer.command.keeper import Keeper
from signbit.trainer.command.output import Output, beside, find_checkpoint, model_name
from signbit.trainer.learning.checkpoint import Checkpoint, Task
from signbit.trainer.learning.evaluate import Confusion, evaluate
from signbit.trainer.learning.run import Run, run
from signbit.trainer.learning.settings import AUTO, Settings, default_settings, fronted_shape, own_defaults
from signbit.trainer.report import confusion as confusion_report
from signbit.trainer.report import look as look_report
from signbit.trainer.report import results as report
from signbit.trainer.report import summary
from signbit.trainer.report.choice import settings_shown
from signbit.trainer.report.pictures import draw
from signbit.trainer.report.progress import Watch

LSB_SHOWN = 64
"""Columns whose lsb is printed."""


def main(arguments: list[str], prog: str = command_lines.PROG) -> int | None:
    """Run the command named first; `train` may be left out."""
    if not arguments or arguments[0].startswith("-"):
        return train_command(arguments, prog)
    return run_named(COMMANDS, arguments, prog)


def train_command(arguments: list[str], prog: str) -> int | None:
    parser = command_lines.train_parser(prog)
    options = parser.parse_args(arguments)
    if options.resume is None:
        checkpoint = None
        task, data = _new_task(options)
    else:
        command_lines.check_resume(parser, options)
        checkpoint = Checkpoint(find_checkpoint(options.resume))
        task, data = _old_task(options, checkpoint)
    output = Output(task)
    if checkpoint is None:
        output.prepare()
    settings = task.settings
    try:
        with Watch(settings.epochs, options.quiet) as watch, Signals() as signals:
            keeper = Keeper(output, task, signals)
            result = run(settings, data, task.name, output.name, watch, keeper, checkpoint)
    except Stopped as stop:
        _say_stopped(keeper.epochs_done, settings.epochs, output.checkpoint, prog)
        return stop.exit_code
    confusion = None if output.folder is None or result.model is None else evaluate(result.model, data)
    output.finish(result, confusion)
    if output.folder is not None:
        _draw(result, confusion, data, output.folder)
    keeper.discard()
    _print(options, report.run_json(result, output.model), report.run_text(result, output.model))
    return None


def evaluate_command(arguments: list[str], prog: str) -> None:
    options = command_lines.evaluate_parser(prog).parse_args(arguments)
    model = load(options.model)
    if options.stream is not None:
        evaluate_stream(model, options)
        return
    check_minutes(options)
    data = dataset_for(model, options.data, options.data_dir)
    confusion = evaluate(model, data)
    part = "of all inputs" if data.is_whole else "of the test part"
    _print(
        options,
        confusion_report.confusion_json(confusion, model.name, model.hash, data.name),
        confusion_report.confusion_text(confusion, model.name, data.name, console().width, part),
    )


def look_command(arguments: list[str], prog: str) -> None:
    options = command_lines.look_parser(prog).parse_args(arguments)
    found = look_report.look(own_path(options.path), command_lines.loading_of(options))
    if options.json:
        print(json.dumps(look_report.look_json(found)))
    else:
        look_report.print_look(console(), found)


def summary_command(arguments: list[str], prog: str) -> None:
    options = command_lines.summary_parser(prog).parse_args(arguments)
    data, settings = _data_and_settings(options, chooses=False)
    data = settings.prepared(data)
    layers = settings.architecture(data.input_shape, len(data.labels))
    stages = data.quantization, data.front_end
    result = summary.summarize(layers, data.input_shape, len(data.labels), settings.high, *stages)
    if options.json:
        print(json.dumps(summary.summary_json(result)))
    else:
        summary.print_summary(console(), result)


def _new_task(options: argparse.Namespace) -> tuple[Task, Dataset]:
    """What to do, and the data with the network's inputs."""
    data, settings = _data_and_settings(options, chooses=True)
    name = model_name(settings.data) if options.name is None else options.name
    check_name(name)
    if options.out is not None and settings.binarize == "none":
        raise SignbitError("a float network has no integer model to save; leave out --out or choose --binarize")
    prepared = settings.prepared(data)
    architecture = settings.architecture(prepared.input_shape, len(data.labels))
    if settings.binarize != "none":
        # what can't become a model is refused now, and not after hours of training
        stages = prepared.quantization, prepared.front_end
        summary.untrained(architecture, prepared.input_shape, len(data.labels), settings.high, *stages)
    # the run may be resumed from another folder
    path, loading = command_lines.place(options)
    return Task(settings, name, options.out, options.run, path, options.data_dir, data.hash, loading), prepared


def _old_task(options: argparse.Namespace, checkpoint: Checkpoint) -> tuple[Task, Dataset]:
    """What was started, with everything where it is now."""
    given = {key: value for key in ("data", "data_dir") if (value := getattr(options, key)) is not None}
    task = replace(beside(checkpoint.path, checkpoint.task), **given)
    data = load_dataset(task.data, task.data_dir, task.loading)
    if data.hash != task.data_hash:
        raise SignbitError(f"{data.name} is not the data that the run was started with; name those with --data")
    return task, task.settings.prepared(data)


def _data_and_settings(options: argparse.Namespace, chooses: bool) -> tuple[Dataset, Settings]:
    """The data set, and the settings for it, which depend on what own data are.

    Only a command that `chooses` trains candidates for `--model auto`; for others it is an mlp.
    """
    options.data = options.data or command_lines.DEFAULT_DATA
    given = Settings.given_in(options)
    if options.data in NAMES:
        settings = default_settings(**given)
        return load_dataset(options.data, options.data_dir, command_lines.loading_of(options)), settings
    data = load_dataset(options.data, options.data_dir, command_lines.loading_of(options))
    print_notes(data)
    if not chooses and given.get("model", own_defaults(data, given.get("front_end"))["model"]) == AUTO:
        given["model"] = "mlp"
    settings = settings_shown(data, given, getattr(options, "quiet", True))
    if settings.front_end != NONE and "front_end" not in given:
        shape = "x".join(map(str, fronted_shape(data, settings.front_end)))
        note(f"{data.name}: front end {settings.front_end} gives inputs of {shape}; see --front-end")
    return data, settings


def print_notes(data: Dataset) -> None:
    """What was guessed, left out and chosen in reading, one line each."""
    given = data.options.lsb
    chosen = [column for column in data.lsb if column not in given and LSB_ALL not in given]
    worth = [f"a count of column {shown(column)!r} is worth {data.lsb[column]:g}; see --lsb" for column in chosen]
    if len(worth) > LSB_SHOWN:
        worth[LSB_SHOWN:] = [f"{len(worth) - LSB_SHOWN} more columns have an lsb that was chosen likewise; see `look`"]
    for text in (*data.notes, *worth):
        note(f"{data.name}: {text}")


def _draw(result: Run, confusion: Confusion | None, data: Dataset, folder: Path) -> None:
    """Pictures into the run folder; a note where the library for them is missing."""
    try:
        draw(result.history, confusion, result.model, data, folder)
    except SignbitError as missing:
        note(f"{folder}: {missing}")


def _say_stopped(done: int, epochs: int, kept: Path | None, prog: str) -> None:
    where = f"stopped in epoch {min(done + 1, epochs)} of {epochs}"
    if kept is None:
        note(f"{where}; nothing is saved, since neither --out nor --run names a place")
    else:
        note(f"{where}; go on with: {prog} --resume {kept}")


def _print(options: argparse.Namespace, values: dict, text: str) -> None:
    print(json.dumps(values) if options.json else text)
