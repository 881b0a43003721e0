"""All tests of the project, quickly first: `tools/check [PYTEST ARGUMENT ...]`."""

import subprocess
import sys
from pathlib import Path

from tools.setup.options import pytest_arguments

ROOT = Path(__file__).resolve().parents[2]


def main(arguments: list[str]) -> int:
    """Run the linter, then pytest with `arguments`; returns the first exit code that is not 0."""
    given = pytest_arguments(arguments)
    steps = (
        [sys.executable, "-m", "ruff", "check", "."],
        [sys.executable, "-m", "ruff", "format", "--check", "--quiet", "."],
        [sys.executable, "-m", "pytest", "-m", "not slow", "-n", "auto", "--dist", "worksteal", *given],
    )
    for step in steps:
        code = subprocess.run(step, cwd=ROOT).returncode
        if code:
            return code
    return 0
