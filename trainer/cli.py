"""python -m trainer: train a network, or evaluate a model."""

import argparse
import json
import math
import tempfile
from collections.abc import Callable
from pathlib import Path

from qmodel.command import Parser
from qmodel.datasets import dataset_for, load_dataset
from qmodel.errors import SignbitError
from qmodel.file import load, save
from qmodel.integer import FAN_IN_MAX
from qmodel.model import LAYERS_MAX, QuantizedModel, check_name
from trainer import report
from trainer.evaluate import evaluate
from trainer.layers import BINARIZATIONS
from trainer.network import MODELS
from trainer.optim import OPTIMIZERS, SCHEDULES
from trainer.progress import Watch
from trainer.run import run
from trainer.settings import BATCH_SIZE, DATA_SETS, EPOCHS, HIDDEN, LR_SCALINGS, Settings, default_settings

PROG = "python -m trainer"


def main(arguments: list[str]) -> int | None:
    """Run the command named first; `train` may be left out."""
    commands = {"train": train_command, "evaluate": evaluate_command}
    first = arguments[0] if arguments else "-"
    if first.startswith("-"):
        return train_command(arguments)
    if first not in commands:
        raise SignbitError(f"command {first!r} is unknown; there are {', '.join(commands)} (see {PROG} --help)")
    return commands[first](arguments[1:])


def train_command(arguments: list[str]) -> None:
    options = _train_parser().parse_args(arguments)
    settings = _settings(options)
    name = settings.data if options.name is None else options.name
    check_name(name)
    if options.out is not None:
        if settings.binarize == "none":
            raise SignbitError("a float network has no integer model to save; leave out --out or choose --binarize")
        _check_writable(Path(options.out))
    data = load_dataset(settings.data, options.data_dir)
    with Watch(settings.epochs, options.quiet) as watch:
        result = run(settings, data, name, Path(options.out).name if options.out else None, watch)
    if options.out is not None:
        _save(result.model, options.out)
    _print(options, report.run_json(result, options.out), report.run_text(result, options.out))


def evaluate_command(arguments: list[str]) -> None:
    options = _evaluate_parser().parse_args(arguments)
    model = load(options.model)
    data = dataset_for(model, options.data, options.data_dir)
    confusion = evaluate(model, data)
    _print(
        options,
        report.confusion_json(confusion, model.name, model.hash, data.name),
        report.confusion_text(confusion, model.name, data.name),
    )


def _train_parser() -> Parser:
    parser = Parser(
        prog=f"{PROG} [train]",
        description="Train a network with one-bit weights and save its integer model.",
        epilog=f"{PROG} evaluate MODEL gives accuracy, confusion matrix and recall of a saved model.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    network = parser.add_argument_group("network")
    network.add_argument("--model", choices=MODELS, default="mlp", help="default: %(default)s")
    network.add_argument(
        "--hidden", type=_sizes, metavar="N,N,...", help=f"sizes of an mlp's hidden layers ({_by_data(HIDDEN)})"
    )
    network.add_argument(
        "--binarize",
        choices=BINARIZATIONS,
        default="deterministic",
        help="weights as sign(latent), as random signs while training, or real numbers (default: %(default)s)",
    )
    network.add_argument(
        "--high",
        type=_whole(1, 255),
        default=127,
        metavar="N",
        help="largest activation; up to 127 inputs have 7 bits too (default: %(default)s)",
    )
    training = parser.add_argument_group("training")
    training.add_argument("--optimizer", choices=OPTIMIZERS, default="adam", help="default: %(default)s")
    training.add_argument("--schedule", choices=SCHEDULES, default="cosine", help="default: %(default)s")
    training.add_argument("--epochs", type=_whole(1, 100_000), metavar="N", help=_by_data(EPOCHS))
    training.add_argument("--batch-size", type=_whole(2, 1_000_000), metavar="N", help=_by_data(BATCH_SIZE))
    training.add_argument(
        "--lr",
        type=_positive,
        metavar="RATE",
        help="learning rate at the start (default: by model, weights, optimizer and scaling; the result names it)",
    )
    training.add_argument(
        "--lr-scaling",
        choices=LR_SCALINGS,
        default="none",
        help="scale the latent weights' rates by their layer's size, as in the paper (default: %(default)s)",
    )
    training.add_argument("--seed", type=_whole(0, 2**63 - 1), default=0, metavar="N", help="default: %(default)s")
    output = parser.add_argument_group("output")
    output.add_argument("--out", metavar="FILE", help="model file to write, model.npz for example")
    output.add_argument("--name", help="the model's name, part of it (default: the data set's)")
    _add_common(parser, output, "digits")
    output.add_argument("--quiet", action="store_true", help="no progress")
    return parser


def _evaluate_parser() -> Parser:
    parser = Parser(
        prog=f"{PROG} evaluate",
        description="Integer accuracy, confusion matrix and recall of a model on a data set's test part.",
    )
    parser.add_argument("model", metavar="MODEL", help="model file (.npz)")
    _add_common(parser, parser, None)
    return parser


def _add_common(parser: Parser, output, default_data: str | None) -> None:
    """Options of both commands; `default_data` None means the data set that the model was trained on."""
    data = parser.add_argument_group("data")
    default = default_data or "the one that the model was trained on"
    data.add_argument("--data", choices=DATA_SETS, default=default_data, help=f"default: {default}")
    data.add_argument(
        "--data-dir", metavar="DIR", help="folder of MNIST's files (default: $SIGNBIT_DATA_DIR, then the cache)"
    )
    output.add_argument("--json", action="store_true", help="print one JSON object instead of text")


def _by_data(defaults: dict) -> str:
    """`default: 32 for digits, 100 for mnist`"""
    shown = {data: value[0] if isinstance(value, tuple) else value for data, value in defaults.items()}
    return "default: " + ", ".join(f"{value} for {data}" for data, value in shown.items())


def _settings(options: argparse.Namespace) -> Settings:
    """The defaults for what was chosen, with what was given."""
    if options.model == "logistic" and options.hidden:
        raise SignbitError("--model logistic has no hidden layers; leave out --hidden or choose --model mlp")
    if options.binarize == "none" and options.lr_scaling != "none":
        raise SignbitError("--lr-scaling is for latent weights, which --binarize none does not have; leave it out")
    given = {key: value for key, value in vars(options).items() if key in Settings.names() and value is not None}
    return default_settings(**given)


def _sizes(text: str) -> tuple[int, ...]:
    size = _whole(1, FAN_IN_MAX)
    sizes = tuple(size(word) for word in text.split(","))
    if len(sizes) >= LAYERS_MAX:
        raise argparse.ArgumentTypeError(f"has {len(sizes)} layers, but a model has at most {LAYERS_MAX}")
    return sizes


def _whole(low: int, high: int) -> Callable[[str], int]:
    def convert(text: str) -> int:
        # int() would take "1_0" and other scripts' digits
        if not (text.isascii() and text.isdigit() and len(text) <= 20 and low <= int(text) <= high):
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {low} to {high}")
        return int(text)

    return convert


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def _check_writable(out: Path) -> None:
    """Find out before training, not after, that `out` can't be written."""
    if out.is_dir():
        raise SignbitError(f"--out {out}: is a folder; name a file in it")
    if out.exists() and not out.is_file():
        return  # a device such as /dev/stdout, which `write_whole` writes directly
    folder = out.resolve().parent
    if not folder.is_dir():
        raise SignbitError(f"--out {out}: there is no folder {folder}; make it first")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise SignbitError(f"--out {out}: can't write to the folder {folder} ({error.strerror})") from None


def _save(model: QuantizedModel, out: str) -> None:
    try:
        save(model, out)
    except OSError as error:
        raise SignbitError(f"--out {out}: the model could not be written ({error.strerror})") from None


def _print(options: argparse.Namespace, values: dict, text: str) -> None:
    print(json.dumps(values) if options.json else text)
