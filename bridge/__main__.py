"""Entry point of `python -m bridge`."""

import sys

from signbit.bridge import COMMANDS
from signbit.qmodel.command import run_command, run_named

if __name__ == "__main__":
    sys.exit(run_command(lambda arguments: run_named(COMMANDS, arguments, "python -m bridge")))
