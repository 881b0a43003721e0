"""`python -m tools pin`: record this environment's package versions in tools/setup/constraints.txt.

To be called after all tests passed with the newest packages; `SIGNBIT_PINNED=1 tools/check` then takes these versions.
The file has lines for each version of Python, since packages stop supporting the older ones.
"""

import re
import sys
from importlib import metadata

from signbit.qmodel.atomic import write_whole
from signbit.qmodel.command import EXIT_OK, Parser
from tools.setup.environment import CONSTRAINTS

HEADER = "# Versions that all tests passed with.  Written by `python -m tools pin`; used where SIGNBIT_PINNED is set."
NOT_OURS = {"signbit", "pip"}


def constraints(text: str, python: str, versions: dict[str, str]) -> str:
    """The file `text` with the lines for `python` (3.11) replaced by `versions` (name: version)."""
    marker = f'; python_version == "{python}"'
    others = [line for line in text.splitlines()[1:] if not line.endswith(marker)]
    ours = [f"{name}=={version} {marker}" for name, version in versions.items()]
    return "\n".join([HEADER, *sorted(others + ours)]) + "\n"


def installed() -> dict[str, str]:
    """Version of each package of this environment, by its normalized name."""
    names = {re.sub(r"[-_.]+", "-", found.name).lower(): found.version for found in metadata.distributions()}
    return {name: version for name, version in names.items() if name not in NOT_OURS}


def main(arguments: list[str]) -> int:
    Parser(prog="python -m tools pin", description=__doc__.partition(": ")[2]).parse_args(arguments)
    python, versions = f"{sys.version_info.major}.{sys.version_info.minor}", installed()
    write_whole(CONSTRAINTS, constraints(CONSTRAINTS.read_text(), python, versions).encode())
    print(f"{CONSTRAINTS.name}: {len(versions)} packages for Python {python}")
    return EXIT_OK
