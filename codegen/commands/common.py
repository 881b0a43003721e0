"""Options and words that several subcommands share."""

import argparse

from codegen.plan import SIZE, SPEED, Plan, make_plan
from codegen.targets import PORTABLE, TARGETS
from qmodel.file import load
from qmodel.model import QuantizedModel


def add_plan_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="model file (.npz), as `python -m trainer --out` writes it")
    parser.add_argument("--prefix", metavar="NAME", help="in front of every C symbol (default: the model's name)")
    parser.add_argument(
        "--target", choices=list(TARGETS), default=PORTABLE, help="core to generate for (default: %(default)s)"
    )
    parser.add_argument("--optimize", choices=(SIZE, SPEED), default=SPEED, help="what to save (default: %(default)s)")


def load_plan(options: argparse.Namespace, test_vectors: int = 0) -> tuple[QuantizedModel, Plan]:
    model = load(options.model)
    return model, make_plan(model, options.prefix, options.target, options.optimize, test_vectors)
