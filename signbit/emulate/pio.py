"""PlatformIO with everything it needs taken from this computer: `python -m signbit.emulate.pio run -e qemu_m3`.

PlatformIO Core downloads one package of its own, tool-scons (a repack of SCons), before the first build.  Here the
SCons of the Python environment is registered in its place, in a core folder of our own, so that building needs no
network and leaves the user's own PlatformIO alone.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import util
from pathlib import Path

from signbit.codegen.kernels.targets import ARM, Toolchain
from signbit.codegen.process import output_of
from signbit.emulate.project import Project
from signbit.places import FIRMWARE, IS_CHECKOUT, workspace
from signbit.qmodel.command import run_command
from signbit.qmodel.errors import SignbitError

CORE_DIR = workspace() / "core"
INSTALL = "python -m pip install 'signbit[firmware]'"
CHECKERS = {"tool-cppcheck": "cppcheck", "tool-clangtidy": "clang-tidy"}
# PlatformIO hands the C++ compiler's own macros to clang-tidy, which then cannot read C, and does not report it
CHECKER_SCRIPT = """#!/bin/sh
for argument do
    shift
    case "$argument" in
        -D__*) ;;
        *) set -- "$@" "$argument" ;;
    esac
done
exec "{program}" "$@"
"""


class DoesNotFit(SignbitError):
    """A firmware with this model is larger than the memory of its core."""


def build(envs: Iterable[str], model: Path | None = None, build_dir: Path | None = None) -> dict[str, Path]:
    """Build the environments `envs` of firmware/ for `model`; returns each one's elf.

    Without `model` it is the one platformio.ini names; without `build_dir` the build folder is PlatformIO's usual
    one, which holds one model at a time.  Raises SignbitError with the first line that says what went wrong, and
    DoesNotFit where that is a memory which is too small.
    """
    envs = list(envs)
    arguments = ["run", *(word for env in envs for word in ("-e", env))]
    folder = build_dir.absolute() if build_dir else workspace() / "build"
    with _alone_in(folder):
        done = subprocess.run(
            command(arguments),
            cwd=FIRMWARE,
            env=environment(model, build_dir) | {"PLATFORMIO_WORKSPACE_DIR": str(workspace())},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
        )
    if done.returncode:
        line = _first_error(done.stdout + done.stderr)
        if "will not fit in region" in line or "RAM is full" in line:
            raise DoesNotFit(re.sub(r"^\S*ld: (\S+\.elf )?", "", line))
        raise SignbitError(line)
    return {env: folder / env / "firmware.elf" for env in envs}


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """One build at a time in a folder: PlatformIO clears it when it thinks that the project has changed."""
    try:
        import fcntl
    except ImportError:  # Windows has none
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def command(arguments: Iterable[str]) -> list[str]:
    """The command line that runs PlatformIO; raises SignbitError when it is not installed."""
    if not util.find_spec("platformio"):
        raise SignbitError(f"PlatformIO is missing: {INSTALL}")
    register_scons()
    register_checkers()
    return [sys.executable, "-m", "platformio", *arguments]


def environment(model: Path | None = None, build_dir: Path | None = None) -> dict[str, str]:
    """Environment variables for PlatformIO: its own core folder, no telemetry, no look for updates."""
    variables = os.environ | {
        "PLATFORMIO_CORE_DIR": str(CORE_DIR),
        "PLATFORMIO_SETTING_ENABLE_TELEMETRY": "false",
        "PLATFORMIO_DISABLE_UPGRADE_CHECK": "true",
        "PLATFORMIO_NO_ANSI": "true",
    }
    if model:
        variables["SIGNBIT_MODEL"] = str(Path(model).absolute())
    if build_dir:
        variables["PLATFORMIO_BUILD_DIR"] = str(build_dir.absolute())
    return variables


@dataclass(frozen=True)
class Size:
    """What a firmware takes; `ram_bytes` is all that is fixed at link time, the stack beside it."""

    flash_bytes: int
    ram_bytes: int
    stack_bytes: int


def size(elf: Path, toolchain: Toolchain = ARM) -> Size:
    """Sizes of the sections that firmware/ld/sections.ld lays out."""
    listing = output_of([toolchain.size_tool, "-A", "-d", elf])
    sections = dict.fromkeys((".text", ".data", ".bss", ".noinit", ".stack"), 0)
    sections |= {name: int(count) for name, count in re.findall(r"^(\.\w+)\s+(\d+)", listing, re.MULTILINE)}
    ram_bytes = sections[".data"] + sections[".bss"] + sections[".noinit"]
    return Size(sections[".text"] + sections[".data"], ram_bytes, sections[".stack"])


def missing() -> str | None:
    """Why nothing can be built here, with the line that installs what is missing; None if it can."""
    if not util.find_spec("platformio") or not util.find_spec("SCons"):
        return f"PlatformIO is missing: {INSTALL}"
    return ARM.missing()


def register_scons() -> None:
    """Put a package `tool-scons` into the core folder that hands over to the SCons of this Python.

    Raises SignbitError when that SCons is missing or not the one this PlatformIO was made for.
    """
    if not util.find_spec("SCons"):
        raise SignbitError(f"SCons is missing: {INSTALL}")
    import SCons
    from platformio.dependencies import get_core_dependencies
    from semantic_version import SimpleSpec, Version

    # the registry's numbering: SCons 4.11.1 is tool-scons 4.41101.0
    major, minor, patch = (int(part) for part in SCons.__version__.split(".")[:3])
    version = f"4.{major}{minor:02}{patch:02}.0"
    wanted = get_core_dependencies()["tool-scons"]
    if Version(version) not in SimpleSpec(wanted):
        raise SignbitError(f"PlatformIO wants tool-scons {wanted}, but SCons {SCons.__version__} is here: {INSTALL}")
    starter = "from SCons.Script.Main import main\n\nmain()\n"
    _write_package("tool-scons", version, "SCons of the Python environment", {"scons.py": starter})


def register_checkers() -> None:
    """Put packages into the core folder that hand over to cppcheck and clang-tidy, where they are on PATH."""
    from platformio.dependencies import get_core_dependencies

    for package, program in CHECKERS.items():
        # the version that PlatformIO would download, so that it does not
        version = get_core_dependencies()[package].lstrip("~^=")
        found = shutil.which(program)
        if found:
            script = CHECKER_SCRIPT.format(program=found)
            _write_package(package, version, f"{program} of this computer", {program: script})


def _write_package(name: str, version: str, description: str, files: dict[str, str]) -> None:
    """A package of PlatformIO's, with its manifests; files that are there already stay untouched."""
    package = {"name": name, "version": version}
    installed = {"type": "tool", **package, "spec": {"owner": "platformio", "name": name}}
    manifests = {
        "package.json": json.dumps({**package, "description": description, "system": "*"}),
        ".piopm": json.dumps(installed),
    }
    folder = CORE_DIR / "packages" / name
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in (manifests | files).items():
        path = folder / file
        if not path.is_file() or path.read_text() != text:
            path.write_text(text)
            path.chmod(0o755 if text.startswith("#!") else 0o644)


def _first_error(output: str) -> str:
    """The most telling line: our own `error:`, else the compiler's or linker's, else the last one."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for pattern in (r"^error: ", r"error: (?!ld returned)|/ld: (?!warning)|undefined reference", r"Error\b"):
        for line in lines:
            if re.search(pattern, line):
                return line.removeprefix("error: ")
    return lines[-1] if lines else "PlatformIO ended without a message"


def main(arguments: list[str]) -> int:
    """Pass `arguments` on to PlatformIO; returns its exit code.

    The project is the one in the current folder, or else the checkout's; an installed package has none of its own.
    Where no environment is named, it takes those that need only the compiler on PATH.
    """
    project = Path.cwd()
    if not (project / "platformio.ini").is_file():
        if not IS_CHECKOUT:
            raise SignbitError("there is no platformio.ini in this folder: signbit firmware init DIR makes a project")
        project = FIRMWARE
    default = {"PLATFORMIO_DEFAULT_ENVS": "\n".join(Project(project).local_envs())}
    return subprocess.run(command(arguments), cwd=project, env=environment() | default).returncode


if __name__ == "__main__":
    sys.exit(run_command(main))
