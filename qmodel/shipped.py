"""The models that come with signbit, by name."""

import json
from argparse import ArgumentParser, ArgumentTypeError
from pathlib import Path

from signbit.places import MODELS
from signbit.qmodel.errors import SignbitError

SUFFIX = ".npz"


def shipped() -> list[dict]:
    """What models/zoo.json says of each model that is here: `name`, `path`, `data`, `test_accuracy`, `builds`, ...

    An installed package leaves out the largest.
    """
    rows = json.loads((MODELS / "zoo.json").read_text())
    named = [row | {"name": row["file"].removesuffix(SUFFIX), "path": MODELS / row["file"]} for row in rows]
    return [row for row in named if row["path"].is_file()]


def accuracy_text(row: dict) -> str:
    """A model's accuracy, as printed everywhere: mean and deviation over its runs, and that of the run which ships.

    `99.25 % ± 0.04 (shipped 99.28)`
    """
    mean, deviation, shipped_one = (100 * row[f"test_accuracy{part}"] for part in ("_mean", "_sd", ""))
    return f"{mean:.2f} % ± {deviation:.2f} (shipped {shipped_one:.2f})"


def model_path(text: str) -> Path:
    """The path `text`; where nothing is there, the file of the shipped model that has this name.

    Raises SignbitError for a bare name that is neither.
    """
    path = Path(text)
    if path.exists() or path.suffix or path.name != text:
        return path
    found = MODELS / (text + SUFFIX)
    if not found.is_file():
        raise SignbitError(f"there is no file {text!r}, and no model of this name (signbit models lists them)")
    return found


def model_argument(text: str) -> Path:
    """`model_path` as the type of an option."""
    try:
        return model_path(text)
    except SignbitError as error:
        raise ArgumentTypeError(str(error)) from None


def add_model(parser: ArgumentParser) -> None:
    """The argument MODEL of commands that read one."""
    parser.add_argument(
        "model", metavar="MODEL", type=model_argument, help="model file (.npz), or a name that `signbit models` lists"
    )
