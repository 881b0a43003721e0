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


def pytest_arguments(arguments: list[str]) -> list[str]:
    """What tools/check hands to pytest: all that is not its own."""
    parser = Parser(
        prog="tools/check",
        usage="%(prog)s [--help] [--version] [PYTEST ARGUMENT ...]",
        description="Run the linter, then all tests, or those that the arguments for pytest choose: "
        "tests/test_plan.py, -k NAME, -x and so on.",
    )
    return parser.parse_known_args(arguments)[1]


READERS: Mapping[str, Callable[[list[str]], object]] = {"demo": demo_options, "check": pytest_arguments}
