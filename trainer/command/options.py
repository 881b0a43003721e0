"""The options of the trainer's commands; `prog` is what was typed so far, `signbit train` for example."""

import argparse
from dataclasses import replace
from pathlib import Path

from signbit.qmodel.command import Parser
from signbit.qmodel.data.named import NAMES
from signbit.qmodel.data.readers.loading import LoadingOptions
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.shipped import add_model
from signbit.trainer.command.decide import COMPOSED, add_minutes
from signbit.trainer.learning.settings import Settings
from signbit.trainer.network import architecture

PROG = "python -m trainer"
DEFAULT_DATA = "digits"
RESUME_OPTIONS = ("resume", "data", "data_dir", "json", "quiet")
"""What may be given with --resume; the checkpoint holds all the rest."""
SHAPE_OPTIONS = ("model", "hidden", "high", "front_end", "input_encoding")
"""Settings that decide the integer model's shape."""


def check_resume(parser: Parser, options: argparse.Namespace) -> None:
    """Raises SignbitError for options that a resumed run has already."""
    for name, value in vars(options).items():
        if value != parser.get_default(name) and name not in RESUME_OPTIONS:
            raise SignbitError(f"--{name.replace('_', '-')}: --resume goes on with what the run was started with")


def place(options: argparse.Namespace) -> tuple[str, LoadingOptions]:
    """Where own data are and how they are read, by paths that hold in any folder."""
    loading = loading_of(options)
    if loading.test_data is not None:
        loading = replace(loading, test_data=str(Path(loading.test_data).resolve()))
    return options.data if options.data in NAMES else str(Path(options.data).resolve()), loading


def loading_of(options: argparse.Namespace) -> LoadingOptions:
    return LoadingOptions(**LoadingOptions.given_in(options))


def train_parser(prog: str = PROG) -> Parser:
    parser = Parser(
        prog=prog,
        description="Train a network with one-bit weights and save its integer model.",
        epilog=_epilog(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    network = (*SHAPE_OPTIONS, "binarize")
    Settings.add_arguments(parser.add_argument_group("network"), *network)
    training = (name for name in Settings.declared() if name not in (*network, "data"))
    Settings.add_arguments(parser.add_argument_group("training"), *training)
    output = parser.add_argument_group("output")
    output.add_argument("--out", metavar="FILE", help="model file to write, model.npz for example")
    output.add_argument(
        "--run", metavar="DIR", help="new folder for settings, metrics as CSV, model, scores and pictures"
    )
    output.add_argument(
        "--resume", metavar="PATH", help="go on with a run that was stopped: its --run folder, or FILE.checkpoint"
    )
    output.add_argument("--name", help="the model's name, part of it (default: the data set's)")
    add_common(parser, output)
    output.add_argument("--quiet", action="store_true", help="no progress")
    return parser


def look_parser(prog: str) -> Parser:
    parser = Parser(prog=prog, description="What own data are, what training would do with them, and what helps.")
    parser.add_argument("path", metavar="DATA", help="a file or folder of own data")
    _add_loading(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    return parser


def summary_parser(prog: str) -> Parser:
    parser = Parser(
        prog=prog,
        description="Layers, shapes, bits, bytes, MACs and estimated instructions of a network, before training.",
        epilog=architecture.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    Settings.add_arguments(parser, *SHAPE_OPTIONS)
    add_common(parser, parser)
    return parser


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
    add_model(parser)
    parser.add_argument(
        "--stream",
        nargs="?",
        const=COMPOSED,
        metavar="PATH",
        help="count what a model with a decision names in a recording or a folder of them, whose words NAME.csv beside "
        "each gives as rows of second and word; without PATH, in sounds composed of the test part",
    )
    add_minutes(parser)
    add_common(parser, parser, is_trained=True)
    return parser


def add_common(parser: Parser, output, is_trained: bool = False) -> None:
    """Options of all commands; a model that `is_trained` knows its data."""
    data = parser.add_argument_group("data")
    default = "the one that the model was trained on" if is_trained else DEFAULT_DATA
    data.add_argument("--data", metavar="DATA", help=f"{Settings.help('data')} (default: {default})")
    data.add_argument(
        "--data-dir", metavar="DIR", help="folder of MNIST's files (default: $SIGNBIT_DATA_DIR, then the cache)"
    )
    if not is_trained:
        _add_loading(parser)
    output.add_argument("--json", action="store_true", help="print one JSON object instead of text")


def _add_loading(parser: Parser) -> None:
    own = parser.add_argument_group("own data (docs/DATA.md); columns by name, or by position from 1")
    LoadingOptions.add_arguments(own, *LoadingOptions.declared())
