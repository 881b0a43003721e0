"""What tools/demo and tools/check take.  Standard library only: help and mistakes come before all installs."""

from argparse import Namespace
from collections.abc import Callable, Mapping
from pathlib import Path

from signbit.qmodel.command import Parser
from signbit.qmodel.errors import SignbitError

DEMO_FOLDER = Path("build") / "demo"


def demo_options(arguments: list[str]) -> Namespace:
    """Raises SignbitError for options that do nothing together."""
    parser = Parser(prog="tools/demo", description="Train, export, verify and run on emulated microcontrollers.")
    parser.add_argument(
        "--out", metavar="FOLDER", type=Path, default=DEMO_FOLDER, help="for model and header (%(default)s)"
    )
    parser.add_argument("--keywords", action="store_true", help="spoken words, streamed to an emulated board")
    parser.add_argument("--data", metavar="FOLDER", type=Path, help="with --keywords: recordings, a folder a word")
    parser.add_argument("--stream", metavar="FILE", type=Path, help="with --keywords: a sound to be heard")
    options = parser.parse_args(arguments)
    if not options.keywords and (options.data or options.stream):
        raise SignbitError("--data and --stream are for --keywords; the digits come with the package")
    return options


def check_options(arguments: list[str]) -> tuple[Namespace, list[str]]:
    """What tools/check takes itself, and all else, for pytest."""
    parser = Parser(
        prog="tools/check",
        usage="%(prog)s [--help] [--version] [--coverage] [PYTEST ARGUMENT ...]",
        description="Run the linter, then all tests, or those that the arguments for pytest choose: "
        "tests/test_plan.py, -k NAME, -x and so on.",
    )
    parser.add_argument("--coverage", action="store_true", help="measure which branches of Python the tests take")
    return parser.parse_known_args(arguments)


READERS: Mapping[str, Callable[[list[str]], object]] = {"demo": demo_options, "check": check_options}
