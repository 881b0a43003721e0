"""All tests of the project, quickly first: `tools/check [--coverage] [PYTEST ARGUMENT ...]`."""

import os
import subprocess
import sys
from pathlib import Path

from tools.setup import coverage
from tools.setup.options import check_options

ROOT = Path(__file__).resolve().parents[2]


def main(arguments: list[str]) -> int:
    """Run the linter, then pytest with `arguments`; returns the first exit code that is not 0."""
    options, given = check_options(arguments)
    python = coverage.command() if options.coverage else [sys.executable]
    steps = (
        [sys.executable, "-m", "ruff", "check", "."],
        [sys.executable, "-m", "ruff", "format", "--check", "--quiet", "."],
        [*python, "-m", "pytest", "-m", "not slow", "-n", "auto", "--dist", "worksteal", *given],
    )
    # bytecode is kept, or each of a thousand processes would compile the project anew
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    for step in steps:
        code = subprocess.run(step, cwd=ROOT, env=environment).returncode
        if code:
            break
    if options.coverage:
        coverage.report(is_whole=not given)
    return code
