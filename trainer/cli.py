"""python -m trainer: train a network, evaluate a model, or say what a network will cost."""

import argparse
import json
import math
import tempfile
from collections.abc import Callable
from pathlib import Path

from qmodel.command import Parser
from qmodel.datasets import Dataset, dataset_for, load_dataset
from qmodel.errors import SignbitError
from qmodel.file import load, save
from qmodel.integer import FAN_IN_MAX
from qmodel.model import LAYERS_MAX, QuantizedModel, check_name
from trainer import architecture, own_data, presets, report, summary
from trainer.augment import AUGMENTATIONS
from trainer.evaluate import evaluate
from trainer.optim import OPTIMIZERS, SCHEDULES
from trainer.progress import Watch
from trainer.run import run
from trainer.settings import (
    CLASS_WEIGHTS,
    DATA_SETS,
    HIDDEN,
    LR_SCALINGS,
    MODEL,
    PERCEPTRONS,
    Settings,
    default_settings,
)
from trainer.weights import BINARIZATIONS

PROG = "python -m trainer"


def main(arguments: list[str]) -> int | None:
    """Run the command named first; `train` may be left out."""
    commands = {"train": train_command, "evaluate": evaluate_command, "summary": summary_command}
    first = arguments[0] if arguments else "-"
    if first.startswith("-"):
        return train_command(arguments)
    if first not in commands:
        raise SignbitError(f"command {first!r} is unknown; there are {', '.join(commands)} (see {PROG} --help)")
    return commands[first](arguments[1:])


def train_command(arguments: list[str]) -> None:
    options = _train_parser().parse_args(arguments)
    data, settings = _data_and_settings(options)
    name = own_data.model_name(settings.data) if options.name is None else options.name
    check_name(name)
    if options.out is not None:
        if settings.binarize == "none":
            raise SignbitError("a float network has no integer model to save; leave out --out or choose --binarize")
        _check_writable(Path(options.out))
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


def summary_command(arguments: list[str]) -> None:
    options = _summary_parser().parse_args(arguments)
    data, settings = _data_and_settings(options)
    layers = settings.architecture(data.input_shape, len(data.labels))
    result = summary.summarize(layers, data.input_shape, len(data.labels), settings.high)
    _print(options, summary.summary_json(result), summary.summary_text(result))


def _train_parser() -> Parser:
    parser = Parser(
        prog=f"{PROG} [train]",
        description="Train a network with one-bit weights and save its integer model.",
        epilog=_epilog(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    network = parser.add_argument_group("network")
    _add_network(network)
    network.add_argument(
        "--binarize",
        choices=BINARIZATIONS,
        default="deterministic",
        help="weights as sign(latent), as random signs while training, or real numbers (default: %(default)s)",
    )
    training = parser.add_argument_group("training")
    training.add_argument("--optimizer", choices=OPTIMIZERS, default="adam", help="default: %(default)s")
    training.add_argument("--schedule", choices=SCHEDULES, default="cosine", help="default: %(default)s")
    training.add_argument("--epochs", type=_whole(1, 100_000), metavar="N", help="default: by data and model")
    training.add_argument("--batch-size", type=_whole(2, 1_000_000), metavar="N", help="default: by data and model")
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
    training.add_argument(
        "--norm-rate",
        type=_positive,
        metavar="FACTOR",
        help="multiplies the rate of batch norm's scale and shift (default: 0.1 for convolutions, else 1)",
    )
    training.add_argument(
        "--logit-gamma",
        type=_positive,
        metavar="GAMMA",
        help="scale of the last batch norm at the start (default: 3 for convolutions, else 1)",
    )
    training.add_argument(
        "--augment",
        choices=AUGMENTATIONS,
        help="move, turn and bend images at random (default: affine for convolutions, else none)",
    )
    training.add_argument(
        "--augment-amount",
        type=_positive,
        metavar="FACTOR",
        help="multiplies how far (default: by data)",
    )
    training.add_argument(
        "--label-smoothing", type=_fraction, metavar="PART", help="part of the target given to all classes (default: 0)"
    )
    training.add_argument(
        "--class-weights", choices=CLASS_WEIGHTS, help="balanced: rare classes count more (default: none)"
    )
    training.add_argument("--seed", type=_whole(0, 2**63 - 1), default=0, metavar="N", help="default: %(default)s")
    output = parser.add_argument_group("output")
    output.add_argument("--out", metavar="FILE", help="model file to write, model.npz for example")
    output.add_argument("--name", help="the model's name, part of it (default: the data set's)")
    _add_common(parser, output, "digits")
    output.add_argument("--quiet", action="store_true", help="no progress")
    return parser


def _summary_parser() -> Parser:
    parser = Parser(
        prog=f"{PROG} summary",
        description="Layers, shapes, bits, bytes, MACs and estimated instructions of a network, before training.",
        epilog=architecture.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_network(parser)
    _add_common(parser, parser, "digits")
    return parser


def _add_network(network) -> None:
    """Options that decide the integer model's shape."""
    network.add_argument(
        "--model",
        metavar="MODEL",
        help=f"{', '.join((*PERCEPTRONS, *presets.NAMES))}, a FILE.toml, or layers as below ({_by_data(MODEL)})",
    )
    network.add_argument(
        "--hidden", type=_sizes, metavar="N,N,...", help=f"sizes of an mlp's hidden layers ({_by_data(HIDDEN)})"
    )
    network.add_argument(
        "--high",
        type=_whole(1, 255),
        default=127,
        metavar="N",
        help="largest activation; up to 127 inputs have 7 bits too (default: %(default)s)",
    )


def _epilog() -> str:
    return (
        f"{architecture.__doc__}\n"
        f"{PROG} evaluate MODEL gives accuracy, confusion matrix and recall of a saved model.\n"
        f"{PROG} summary --model ... says what a network will cost before it is trained."
    )


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
    data.add_argument(
        "--data",
        metavar="DATA",
        default=default_data,
        help=f"{', '.join(DATA_SETS)}, or the path of a .npz, .csv or folder (default: {default})",
    )
    data.add_argument(
        "--data-dir", metavar="DIR", help="folder of MNIST's files (default: $SIGNBIT_DATA_DIR, then the cache)"
    )
    if default_data is not None:
        own_data.add_loading_options(parser)
    output.add_argument("--json", action="store_true", help="print one JSON object instead of text")


def _by_data(defaults: dict) -> str:
    """`default: 32 for digits, 100 for mnist`"""
    shown = {data: value[0] if isinstance(value, tuple) else value for data, value in defaults.items()}
    return "default: " + ", ".join(f"{value} for {data}" for data, value in shown.items())


def _data_and_settings(options: argparse.Namespace) -> tuple[Dataset, Settings]:
    """The data set, and the settings for it; what own data are has a say in them."""
    loading = own_data.loading_options(options)
    if options.data in DATA_SETS:
        settings = _settings(options, {"model": MODEL[options.data]})
        return load_dataset(options.data, options.data_dir, loading), settings
    data = load_dataset(options.data, options.data_dir, loading)
    return data, _settings(options, own_data.defaults(data))


def _settings(options: argparse.Namespace, defaults: dict) -> Settings:
    """The defaults for what was chosen, with what was given; `defaults` go before those of `trainer.settings`."""
    model = options.model or defaults["model"]
    if options.hidden and model != "mlp":
        raise SignbitError(f"--model {model} has no --hidden layers to size; leave out --hidden or choose --model mlp")
    if getattr(options, "binarize", None) == "none" and options.lr_scaling != "none":
        raise SignbitError("--lr-scaling is for latent weights, which --binarize none does not have; leave it out")
    given = {key: value for key, value in vars(options).items() if key in Settings.names() and value is not None}
    # own data are known by their file's name, wherever that is
    return default_settings(**(defaults | given | {"data": defaults.get("data", options.data)}))


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


def _fraction(text: str) -> float:
    value = 0.0 if text in ("0", "0.0") else _positive(text)
    if value >= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not from 0 to below 1")
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
