"""Own data on the command line: the options that say how to read them, and what is chosen for them by default."""

import argparse
import re

import numpy as np

from signbit.qmodel.data.dataset import Dataset
from signbit.qmodel.data.readers.loading import LSB_ALL, LoadingOptions

NAME_LENGTH_MAX = 31
SAMPLES_SHOWN = 150_000
"""Training samples that a run shows the network by default, over all its epochs."""
EPOCHS = 10, 120
"""Fewest and most by default."""


def add_loading_options(parser) -> None:
    """Options of `LoadingOptions`, with the same names."""
    group = parser.add_argument_group("own data (docs/DATA.md); columns by name, or by position from 1")
    group.add_argument("--label-column", metavar="COLUMN", help="of a .csv (default: the last)")
    group.add_argument("--group-column", metavar="COLUMN", help="of a .csv: its samples stay on one side of the split")
    group.add_argument(
        "--ignore-column",
        dest="ignore_columns",
        action="append",
        default=[],
        metavar="COLUMN",
        help="of a .csv; may be repeated",
    )
    group.add_argument("--window", type=_whole, metavar="ROWS", help="make inputs of so many rows of a time series")
    group.add_argument("--stride", type=_whole, metavar="ROWS", help="from window to window (default: as --window)")
    group.add_argument(
        "--lsb",
        type=_lsb,
        action="append",
        default=[],
        metavar="[COLUMN=]VALUE",
        help="what one count of the sensor is worth, in the unit of the column (or of all columns); may be repeated",
    )
    group.add_argument("--resize", type=_size, metavar="HxW", help="size that images get")
    group.add_argument(
        "--fold",
        type=_whole,
        default=0,
        metavar="K",
        help="which fifth of the samples is the test part, 0 to 4, for cross-validation; of digits too (default: 0)",
    )
    group.add_argument("--grey", action="store_true", help="make images grey")


def loading_options(options: argparse.Namespace) -> LoadingOptions:
    """What was given; raises SignbitError for values that can't be."""
    return LoadingOptions(
        label_column=options.label_column,
        group_column=options.group_column,
        ignore_columns=tuple(options.ignore_columns),
        window=options.window,
        stride=options.stride,
        lsb=dict(options.lsb),
        resize=options.resize,
        grey=options.grey,
        fold=options.fold,
    )


def defaults(data: Dataset) -> dict:
    """Settings for own data, by what they are: perceptrons for vectors, convolutions for images and time series."""
    return {
        "data": data.name,
        "model": "mlp" if len(data.input_shape) == 1 else "small",
        "epochs": int(np.clip(SAMPLES_SHOWN // len(data.train), *EPOCHS)),
        # what may happen to an image without changing its class only its owner knows
        "augment": "none",
    }


def model_name(data_name: str) -> str:
    """A model's name after its data's: `my data.csv` gives `my_data`."""
    stem = data_name.rsplit(".", 1)[0] or data_name
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", stem).strip("_-")
    name = name if name[:1].isalpha() else f"data_{name}"
    return name[:NAME_LENGTH_MAX].rstrip("_-")


def _lsb(text: str) -> tuple[str, float]:
    column, equals, number = text.rpartition("=")
    try:
        return (column if equals else LSB_ALL), float(number)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not like acc_x=0.000061 or 0.000061") from None


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([0-9]{1,5})x([0-9]{1,5})", text, re.ASCII)
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is not a height and a width such as 28x28")
    return int(match[1]), int(match[2])


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)
