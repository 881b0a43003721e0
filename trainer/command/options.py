"""The options of the trainer's commands; `prog` is what was typed so far, `signbit train` for example."""

import argparse
import math
from collections.abc import Callable

from signbit.qmodel.command import Parser
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.integer import FAN_IN_MAX
from signbit.qmodel.layer import LAYERS_MAX
from signbit.trainer.command import own_data
from signbit.trainer.learning.augment import AUGMENTATIONS
from signbit.trainer.learning.optim import OPTIMIZERS, SCHEDULES
from signbit.trainer.learning.settings import CLASS_WEIGHTS, DATA_SETS, HIDDEN, LR_SCALINGS, MODEL, PERCEPTRONS
from signbit.trainer.network import architecture, presets
from signbit.trainer.network.weights import BINARIZATIONS

PROG = "python -m trainer"
DEFAULT_DATA = "digits"
RESUME_OPTIONS = ("resume", "data", "data_dir", "json", "quiet")
"""What may stand beside --resume: all else the checkpoint knows."""


def check_resume(parser: Parser, options: argparse.Namespace) -> None:
    """Raises SignbitError for options that a run which goes on has already."""
    for name, value in vars(options).items():
        if value != parser.get_default(name) and name not in RESUME_OPTIONS:
            raise SignbitError(f"--{name.replace('_', '-')}: --resume goes on with what the run was started with")


def train_parser(prog: str = PROG) -> Parser:
    parser = Parser(
        prog=prog,
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
    training.add_argument(
        "--frozen-epochs",
        type=_whole(0, 100_000),
        metavar="N",
        help="the last epochs, trained through the integers of the model file (default: 0)",
    )
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
        "--mild-epochs",
        type=_whole(0, 100_000),
        metavar="N",
        help="the last epochs, in which images are moved half as far (default: 0)",
    )
    training.add_argument(
        "--input-noise",
        type=_not_negative,
        metavar="SPREAD",
        help="standard deviation of noise added to inputs, whose values are 0 to 255 (default: 0)",
    )
    training.add_argument(
        "--dropout",
        type=_fraction,
        metavar="PART",
        help="part of each dense layer's inputs left out in training, at random (default: 0)",
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
    output.add_argument(
        "--run", metavar="DIR", help="new folder for settings, metrics as CSV, model, scores and pictures"
    )
    output.add_argument(
        "--resume", metavar="PATH", help="go on with a run that was stopped: its --run folder, or FILE.checkpoint"
    )
    output.add_argument("--name", help="the model's name, part of it (default: the data set's)")
    _add_common(parser, output)
    output.add_argument("--quiet", action="store_true", help="no progress")
    return parser


def summary_parser(prog: str) -> Parser:
    parser = Parser(
        prog=prog,
        description="Layers, shapes, bits, bytes, MACs and estimated instructions of a network, before training.",
        epilog=architecture.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_network(parser)
    _add_common(parser, parser)
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
        "The command `evaluate MODEL` gives accuracy, figures of each class and confusion matrix of a saved model,\n"
        "and `summary --model ...` says what a network will cost before it is trained."
    )


def evaluate_parser(prog: str) -> Parser:
    parser = Parser(
        prog=prog,
        description="Integer accuracy, figures of each class and confusion matrix on a data set's test part.",
    )
    parser.add_argument("model", metavar="MODEL", help="model file (.npz)")
    _add_common(parser, parser, is_trained=True)
    return parser


def _add_common(parser: Parser, output, is_trained: bool = False) -> None:
    """Options of all commands; a model that `is_trained` knows its data."""
    data = parser.add_argument_group("data")
    default = "the one that the model was trained on" if is_trained else DEFAULT_DATA
    data.add_argument(
        "--data",
        metavar="DATA",
        help=f"{', '.join(DATA_SETS)}, or the path of a .npz, .csv or folder (default: {default})",
    )
    data.add_argument(
        "--data-dir", metavar="DIR", help="folder of MNIST's files (default: $SIGNBIT_DATA_DIR, then the cache)"
    )
    if not is_trained:
        own_data.add_loading_options(parser)
    output.add_argument("--json", action="store_true", help="print one JSON object instead of text")


def _by_data(defaults: dict) -> str:
    """`default: 32 for digits, 100 for mnist`"""
    shown = {data: value[0] if isinstance(value, tuple) else value for data, value in defaults.items()}
    return "default: " + ", ".join(f"{value} for {data}" for data, value in shown.items())


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


def _not_negative(text: str) -> float:
    return 0.0 if text in ("0", "0.0") else _positive(text)


def _fraction(text: str) -> float:
    value = _not_negative(text)
    if value >= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not from 0 to below 1")
    return value
