"""The command line of codegen."""

from signbit.codegen.commands import COMMANDS
from signbit.qmodel.command import run_named


def main(arguments: list[str], prog: str = "python -m codegen") -> int | None:
    """Run the command that the first argument names; returns its exit code."""
    return run_named(COMMANDS, arguments, prog)
