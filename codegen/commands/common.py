"""Options that several commands share."""

import argparse

from signbit.codegen.choose import Limits
from signbit.codegen.kernels.targets import PORTABLE, SIZE, SPEED, TARGETS
from signbit.codegen.measure import measure, missing
from signbit.codegen.plan import TEST_VECTORS_MAX, Plan, make_plan
from signbit.qmodel.command import note
from signbit.qmodel.file import load
from signbit.qmodel.model import QuantizedModel
from signbit.qmodel.option_types import size_bytes, whole
from signbit.qmodel.shipped import add_model


def add_plan_options(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    parser.add_argument("--prefix", metavar="NAME", help="prefix of every C symbol (default: the model's name)")
    parser.add_argument(
        "--target", choices=list(TARGETS), default=PORTABLE, help="core to generate for (default: %(default)s)"
    )
    parser.add_argument(
        "--optimize",
        choices=(SIZE, SPEED),
        default=SPEED,
        help="fewest instructions, or fewest bytes of flash, code included (default: %(default)s)",
    )
    parser.add_argument("--max-ram", **size_bytes().argument(), help="most scratch that inference may take")
    parser.add_argument(
        "--max-flash",
        **size_bytes().argument(),
        help="most flash: weights, parameters, tables of a front end and, for a core, code as predicted",
    )
    parser.add_argument(
        "--max-instructions",
        **whole(1).argument(),
        help="most instructions of one inference on a core, as predicted",
    )


def add_test_vectors(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--test-vectors",
        **whole(0, TEST_VECTORS_MAX).argument(),
        default=0,
        help="embed N inputs with their logits and a self-test",
    )


def load_plan(
    options: argparse.Namespace, test_vectors: int = 0, is_swappable: bool = False
) -> tuple[QuantizedModel, Plan]:
    """The model and its plan; a note where a compiler makes more of the code than was predicted for --max-flash."""
    model = load(options.model)
    plan = make_plan(
        model,
        options.prefix,
        options.target,
        options.optimize,
        test_vectors,
        limits=Limits(options.max_ram, options.max_flash, options.max_instructions),
        is_swappable=is_swappable,
    )
    if options.max_flash is not None and not missing(plan):
        over = measure(plan).flash_bytes - options.max_flash
        if over > 0:
            note(f"compiled, it takes {over:,} bytes more than --max-flash; code is only predicted, so ask for less")
    return model, plan
