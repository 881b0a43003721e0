"""The command line of codegen."""

from signbit.codegen.commands import export, inspect, package, verify
from signbit.qmodel.command import Parser


def main(arguments: list[str]) -> int | None:
    """Run one subcommand; returns its exit code."""
    parser = Parser(
        prog="python -m codegen", description="Turn a quantized model into C for a microcontroller, and check the C."
    )
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in (export, inspect, verify, package):
        command.add_parser(subparsers)
    options = parser.parse_args(arguments)
    return options.run(options)
