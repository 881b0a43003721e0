"""Set up the project's environment and run a command in it.  Standard library only: it runs before all installs.

`python3 -m tools.setup.environment COMMAND [ARGUMENT ...]` makes `.venv`, installs the package with its extras, gets
the compilers and the emulator from apt where that is possible, else from PyPI, and then runs `python -m tools COMMAND`
in that environment.  SIGNBIT_VENV names another folder than `.venv`.  With SIGNBIT_PINNED=1, as in CI, the packages of
the tests are the very files whose hashes are in lock.txt, and not the newest ones.  Where it has none for this Python
and machine, and for the demo, they have the versions of constraints.txt, which all tests were last seen to pass with.
"""

import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from signbit.qmodel.command import run_command
from tools.setup import options

ROOT = Path(__file__).resolve().parents[2]
VENV = Path(os.environ.get("SIGNBIT_VENV", ROOT / ".venv"))
CHECK = "firmware,plot,test,bench,cross,browser,site,notebook,tune,cluster"
PAGE_TOOLS = ("clang", "wasm-ld")
"""The first compiles for this computer, too."""
FIRMWARE_TOOLS = ("arm-none-eabi-gcc", "qemu-system-arm")
STAMP = VENV / "signbit-stamp"
CONSTRAINTS = Path(__file__).with_name("constraints.txt")
LOCK = Path(__file__).with_name("lock.txt")
PYTHON = f'python_version == "{sys.version_info.major}.{sys.version_info.minor}"'
MARKER = f'; {PYTHON} and sys_platform == "{sys.platform}" and platform_machine == "{platform.machine()}"'
"""How the lock marks lines for this Python on this kind of machine."""
OTHER_FILE = "Expected sha256"
"""pip's words for a file that is not the one with the hash."""
APT_PACKAGES = {
    # command, or file: packages that bring it
    "gcc": ("gcc", "libc6-dev"),
    "g++": ("g++",),
    "arm-none-eabi-gcc": ("gcc-arm-none-eabi",),
    "qemu-system-arm": ("qemu-system-arm",),
    "riscv64-unknown-elf-gcc": ("gcc-riscv64-unknown-elf",),
    "qemu-system-riscv32": ("qemu-system-misc",),
    "clang": ("clang",),
    "wasm-ld": ("lld",),
}
APT_PACKAGES_TO_CHECK = {
    "clang": ("clang", "libclang-rt-dev"),
    "node": ("nodejs",),
    "chromium": ("chromium",),
    "cmake": ("cmake",),
    "make": ("make",),
    "cppcheck": ("cppcheck",),
    "clang-tidy": ("clang-tidy",),
    "/usr/include/newlib/math.h": ("libnewlib-arm-none-eabi",),
    "avr-gcc": ("gcc-avr", "binutils-avr", "avr-libc"),
    "simavr": ("simavr",),
    "powerpc-linux-gnu-gcc": ("gcc-powerpc-linux-gnu", "libc6-dev-powerpc-cross"),
    "qemu-ppc": ("qemu-user",),
    "/usr/lib/postgresql": ("postgresql",),
}
LAST_LINES = 8
"""How many of a failed step's own lines are shown."""
PIP_QUIET = ("--quiet", "--disable-pip-version-check", "--no-input")


def main(arguments: list[str]) -> None:
    """Set up, then become the command; the help and mistakes of demo and check come before all installs."""
    command, *arguments = arguments
    if command in options.READERS:
        options.READERS[command](arguments)
    set_up(command, arguments)
    # the environment's commands (pio and friends) come first, also for subprocesses
    os.environ["PATH"] = f"{VENV / 'bin'}{os.pathsep}{os.environ['PATH']}"
    os.environ["PYTHONPATH"] = str(ROOT)
    python = str(VENV / "bin" / "python")
    os.execv(python, [python, "-m", "tools", command, *arguments])


def set_up(command: str, arguments: list[str]) -> None:
    """Install what the command needs."""
    wanted = APT_PACKAGES | ({} if command == "demo" else APT_PACKAGES_TO_CHECK)
    install_apt_packages(wanted)
    make_environment(extras_for_demo("--keywords" in arguments) if command == "demo" else CHECK)


def install_apt_packages(wanted: dict[str, tuple[str, ...]]) -> None:
    """Install what is missing, or say by name what to install; never fails, since the rest works without."""
    missing = [package for command, packages in wanted.items() if not is_there(command) for package in packages]
    if missing:
        apt_install(*missing)


def extras_for_demo(hears: bool) -> str:
    """The firmware's, where there are its compiler and emulator; where any tool is missing, PyPI's take its place.

    A demo that hears reads sounds, too.
    """
    has_firmware_tools = all(map(is_there, FIRMWARE_TOOLS))
    has_all = has_firmware_tools and all(map(is_there, PAGE_TOOLS))
    return ",".join(["firmware"] * has_firmware_tools + ["cross"] * (not has_all) + ["sound"] * hears)


def apt_install(*packages: str) -> None:
    """Install packages, or say why not and how to."""
    install = ["apt-get", "install", "-y", "--no-install-recommends", *packages]
    if not shutil.which("apt-get") or os.geteuid() != 0:
        say(f"not installed: {', '.join(packages)}. Packages from PyPI do what they can instead; to install all:")
        say(f"    sudo {shlex.join(install)}")
        return
    say(f"installing {', '.join(packages)} with apt-get ...")
    for step in (["apt-get", "update"], install):
        complaint = attempt(step, DEBIAN_FRONTEND="noninteractive")
        if complaint:
            say(f"{shlex.join(step)} failed:\n{complaint}")
            return


def is_there(name: str) -> bool:
    """Whether a command, or a file named by its whole path, is installed."""
    return Path(name).exists() if name.startswith("/") else bool(shutil.which(name))


def make_environment(extras: str) -> None:
    """The virtual environment with the package and `extras`; what is installed and fits pyproject.toml is kept."""
    parts = [
        (ROOT / "pyproject.toml").read_bytes(),
        str(ROOT).encode(),
        CONSTRAINTS.read_bytes() + LOCK.read_bytes() if pinned() else b"",
    ]
    stamp = hashlib.sha256(b"".join(parts)).hexdigest()
    made = STAMP.read_text().split() if STAMP.is_file() else []
    if stamp in made[:1] and extras in made[1:]:
        return
    known = made[1:] if stamp in made[:1] else []
    say(f"making the Python environment in {VENV} ...")
    if not (VENV / "bin" / "pip").is_file():
        make_venv()
    if not (pinned() and extras == CHECK and install_locked()):
        constraints = ("--constraint", str(CONSTRAINTS)) if pinned() else ()
        pip_install(*constraints, "-e", f"{ROOT}[{extras}]")
    STAMP.write_text(" ".join([stamp, *known, extras]))


def make_venv() -> None:
    command = [sys.executable, "-m", "venv", str(VENV)]
    complaint = attempt(command)
    if complaint and os.geteuid() == 0 and shutil.which("apt-get"):
        apt_install("python3-venv")
        complaint = attempt(command)
    if complaint:
        fail(f"this Python makes no virtual environment (apt install python3-venv):\n{complaint}")


def install_locked() -> bool:
    """Install the files of the lock, and no others; where they can't be had, say so and return False.

    A file with another hash than the lock's ends the set-up.
    """
    if f" {MARKER} " not in LOCK.read_text():
        is_recorded = f"; {PYTHON}\n" in CONSTRAINTS.read_text()
        instead = "only versions are pinned" if is_recorded else "the newest packages are taken"
        say(f"{LOCK.name} has no files for this Python and machine: {instead}")
        return False
    complaint = attempt(pip("--require-hashes", "--no-deps", "--requirement", str(LOCK)))
    # nothing is fetched here, so that a package which the lock lacks is named
    complaint = complaint or attempt(pip("--no-index", "--no-build-isolation", "-e", f"{ROOT}[{CHECK}]"))
    if OTHER_FILE in complaint:
        fail(f"a package is not the file that {LOCK.name} names:\n{complaint}")
    if complaint:
        say(f"only versions are pinned, since pip could not do with the files of {LOCK.name}:\n{complaint}")
    return not complaint


def pip_install(*what: str) -> None:
    complaint = attempt(pip(*what))
    if complaint:
        fail(f"pip could not install {what[-1]}:\n{complaint}")


def pip(*what: str) -> list[str]:
    return [str(VENV / "bin" / "python"), "-m", "pip", "install", *PIP_QUIET, *what]


def pinned() -> bool:
    return bool(os.environ.get("SIGNBIT_PINNED"))


def attempt(command: list[str], **variables: str) -> str:
    """Run one step with environment `variables`; "" if it went well, else the last lines that it wrote, indented."""
    done = subprocess.run(
        command,
        env=os.environ | variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    lines = [line.rstrip() for line in done.stdout.splitlines() if line.strip()][-LAST_LINES:]
    said = lines or [f"no word, exit code {done.returncode}"]
    return "\n".join(f"    {line}" for line in said) if done.returncode else ""


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def fail(text: str) -> None:
    say(f"error: {text}")
    sys.exit(2)


if __name__ == "__main__":
    sys.exit(run_command(main))
