"""Entry point of `python -m codegen`."""

import sys

from codegen.cli import main
from qmodel.command import run_command

if __name__ == "__main__":
    sys.exit(run_command(main))
