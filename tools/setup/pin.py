"""`python -m tools pin`: record this environment's package versions, and the hashes of what pip takes for them.

To be called after all tests passed with the newest packages; `SIGNBIT_PINNED=1 tools/check` then takes these versions,
and these very files.  constraints.txt and lock.txt in tools/setup have lines for each version of Python, since packages
stop supporting the older ones.
"""

import json
import re
import subprocess
import sys
from importlib import metadata

from signbit.qmodel.atomic import write_whole
from signbit.qmodel.command import EXIT_OK, Parser
from signbit.qmodel.errors import SignbitError
from tools.setup.environment import CONSTRAINTS, LOCK, MARKER

HEADER = "# Versions that all tests passed with.  Written by `python -m tools pin`; used where SIGNBIT_PINNED is set."
LOCK_HEADER = "# The same with the hashes of the files for one kind of machine.  Written by `python -m tools pin`."
NOT_OURS = {"signbit", "pip"}


def constraints(text: str, python: str, versions: dict[str, str]) -> str:
    """The file `text` with the lines for `python` (3.11) replaced by `versions` (name: version)."""
    marker = f'; python_version == "{python}"'
    return _replaced(text, marker, HEADER, [f"{name}=={version} {marker}" for name, version in versions.items()])


def lock(text: str, versions: dict[str, str]) -> str:
    """The file `text` with new lines for this Python and machine: the file that pip takes for each version."""
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--ignore-installed", "--no-deps"]
    named = [f"{name}=={version}" for name, version in versions.items()]
    done = subprocess.run([*command, "--report", "-", *named], capture_output=True, text=True)
    if done.returncode:
        raise SignbitError(f"pip finds not all of these versions: {done.stderr.strip()[-300:]}")
    lines = []
    for found in json.loads(done.stdout)["install"]:
        name, version = _normal(found["metadata"]["name"]), found["metadata"]["version"]
        digest = found["download_info"]["archive_info"]["hashes"]["sha256"]
        lines.append(f"{name}=={version} {MARKER} --hash=sha256:{digest}")
    return _replaced(text, f" {MARKER} ", LOCK_HEADER, lines)


def _replaced(text: str, marker: str, header: str, ours: list[str]) -> str:
    """The lines of `text` without those that have the marker, and with ours, after `header`."""
    others = [line for line in text.splitlines()[1:] if marker not in line]
    return "\n".join([header, *sorted(others + ours)]) + "\n"


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def installed() -> dict[str, str]:
    """Version of each package of this environment, by its normalized name."""
    names = {_normal(found.name): found.version for found in metadata.distributions()}
    return {name: version for name, version in names.items() if name not in NOT_OURS}


def main(arguments: list[str]) -> int:
    Parser(prog="python -m tools pin", description=__doc__.partition(": ")[2]).parse_args(arguments)
    python, versions = f"{sys.version_info.major}.{sys.version_info.minor}", installed()
    locked = lock(LOCK.read_text(), versions)
    write_whole(CONSTRAINTS, constraints(CONSTRAINTS.read_text(), python, versions).encode())
    write_whole(LOCK, locked.encode())
    print(f"{CONSTRAINTS.name} and {LOCK.name}: {len(versions)} packages for Python {python}")
    return EXIT_OK
