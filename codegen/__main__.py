"""Entry point of `python -m codegen`."""

import sys

from signbit.codegen.commands.cli import main
from signbit.qmodel.command import run_command

if __name__ == "__main__":
    sys.exit(run_command(main))
