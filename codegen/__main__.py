"""Entry point of `python -m codegen`."""

import sys

from signbit.threads import one_blas_thread

one_blas_thread()

from signbit.codegen.commands.cli import main  # noqa: E402
from signbit.qmodel.command import run_command  # noqa: E402

if __name__ == "__main__":
    sys.exit(run_command(main))
