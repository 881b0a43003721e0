"""Cortex-M machines that QEMU emulates, reached through their UART or through semihosting."""

import shutil
import socket
import subprocess
from argparse import ArgumentParser, ArgumentTypeError
from dataclasses import dataclass
from pathlib import Path

from signbit.emulate import pio
from signbit.emulate.project import Project
from signbit.qmodel.errors import SignbitError

QEMU = "qemu-system-arm"
QEMU_APT = "apt install --no-install-recommends qemu-system-arm"


@dataclass(frozen=True)
class Machine:
    """A board that QEMU emulates: `core` is its core (m0), `machine` QEMU's name, `env` the PlatformIO environment,
    `linker_script` its file in firmware/ld, `uart` the number of the machine's UART that the firmware uses.
    """

    core: str
    title: str
    machine: str
    env: str
    clock_hz: int
    linker_script: str
    uart: int

    @property
    def batch_env(self) -> str:
        """The environment that runs files through semihosting."""
        return f"{self.env}_batch"


def read_machines(firmware: Path = pio.FIRMWARE) -> list[Machine]:
    """Every board of `firmware` whose file names a QEMU machine: the emulated cores first, from small to large."""
    project, machines = Project(firmware), []
    for name, board in project.boards().items():
        build = board["build"]
        qemu, core = build.get("qemu"), build["cpu"].removeprefix("cortex-")
        if not qemu:
            continue
        emulated = name.startswith(EMULATED)
        title = f"Cortex-{core.upper()}" if emulated else board["name"]
        env = name if emulated else f"{name}_local"
        script = Path(project.option(name, "board_build.ldscript")).name
        clock_hz = int(build["f_cpu"].removesuffix("L"))
        machines.append(Machine(core, title, qemu["machine"], env, clock_hz, script, qemu["uart"]))
    return sorted(machines, key=lambda machine: (not machine.env.startswith(EMULATED), int(machine.core[1:])))


EMULATED = "qemu_"
"""Prefix of the names of boards that exist in QEMU only."""
_FOUND = read_machines()
MACHINES = {machine.env.removeprefix(EMULATED): machine for machine in _FOUND if machine.env.startswith(EMULATED)}
BOARDS = [machine for machine in _FOUND if machine not in MACHINES.values()]
"""Boards whose own image, not built for an emulator, starts and answers in QEMU as well."""


def add_cores_option(parser: ArgumentParser) -> None:
    """`--cores m0,m3`, by default all."""
    names = ",".join(MACHINES)
    parser.add_argument(
        "--cores", metavar="LIST", type=_cores, default=list(MACHINES), help=f"some of {names} (default: all)"
    )


def _cores(text: str) -> list[str]:
    cores = text.split(",")
    for core in cores:
        if core not in MACHINES:
            raise ArgumentTypeError(f"core {core!r} is unknown; there are {', '.join(MACHINES)}")
    return cores


def missing() -> str | None:
    """Why nothing can be emulated here, with the line that installs what is missing; None if it can."""
    return None if shutil.which(QEMU) else f"{QEMU} is missing: {QEMU_APT}"


def command(machine: Machine, elf: Path, semihosting_arguments: str = "") -> list[str]:
    """The command line that starts `elf` on `machine`, without its UART; faults and exits end it with a code."""
    return [
        *(QEMU, "-M", machine.machine, "-display", "none", "-monitor", "none"),
        *("-semihosting-config", f"enable=on,target=native{semihosting_arguments}"),
        *("-kernel", str(elf.absolute())),
    ]


def run_batch(machine: Machine, elf: Path, inputs: bytes, folder: Path, timeout: float = 300) -> bytes:
    """Run the batch firmware `elf` over `inputs` and return the file it wrote.

    `folder` holds the two files.  Raises SignbitError when the emulator ends with another code than 0, or writes
    nothing for `timeout` seconds.
    """
    # the firmware's command line has no quotes: file names are short and relative to `folder`
    (folder / "inputs").write_bytes(inputs)
    return run_program(machine, "batch", command(machine, elf, ",arg=inputs,arg=outputs"), folder, timeout)


def run_program(machine: Machine, what: str, words: list[str], folder: Path, timeout: float) -> bytes:
    """Run the command line `words` in `folder` until it ends; returns the file `outputs` that the program wrote there.

    The limit is one of progress, since a busy computer is slow: `timeout` seconds in which the file does not grow.
    """
    outputs = folder / "outputs"
    outputs.unlink(missing_ok=True)
    with subprocess.Popen(
        [*words, "-serial", "null"],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        written = 0
        while True:
            try:
                last_words = process.communicate(timeout=timeout)[1]
                break
            except subprocess.TimeoutExpired:
                before, written = written, outputs.stat().st_size if outputs.exists() else 0
                if written == before:
                    process.kill()
                    raise SignbitError(f"{machine.title}: the {what} wrote nothing for {timeout:g} s") from None
    if process.returncode:
        raise _ended_with(machine, what, process.returncode, last_words)
    return outputs.read_bytes()


class EmulatedUart:
    """A running machine whose UART is a stream for `signbit.line.link.Link`; a context manager that ends it.

    `options` are further words of QEMU's command line.
    """

    def __init__(self, machine: Machine, elf: Path, *options: str):
        self.machine = machine
        ours, theirs = socket.socketpair()
        with theirs:
            others = ("-serial", "null") * machine.uart
            uart = ["-chardev", f"socket,id=uart,fd={theirs.fileno()}", *others, "-serial", "chardev:uart"]
            try:
                self.process = subprocess.Popen(
                    [*command(machine, elf), *uart, *options],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                )
            except OSError:
                ours.close()
                raise SignbitError(f"{QEMU} is missing: {QEMU_APT}") from None
        self._socket = ours

    def __enter__(self) -> "EmulatedUart":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def read(self, timeout: float) -> bytes:
        self._socket.settimeout(max(timeout, 0.001))
        try:
            received = self._socket.recv(4096)
        except TimeoutError:
            return b""
        except ConnectionError:
            received = b""
        if not received:
            raise self._ended()
        return received

    def write(self, data: bytes) -> None:
        self._socket.settimeout(10)
        try:
            self._socket.sendall(data)
        except TimeoutError:
            raise SignbitError(f"{self.machine.title}: the emulator takes no more bytes") from None
        except ConnectionError:
            raise self._ended() from None

    def close(self) -> None:
        """End the machine, whatever it does."""
        self._socket.close()
        self.process.kill()
        self.process.wait()
        self.process.stderr.close()

    def _ended(self) -> SignbitError:
        """How the machine ended; a fault in the firmware shows as its exit code."""
        try:
            code = self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        return _ended_with(self.machine, "emulator", code, self.process.stderr.read())


def _ended_with(machine: Machine, what: str, code: int, last_words: bytes) -> SignbitError:
    words = last_words.decode(errors="replace").strip()
    return SignbitError(f"{machine.title}: the {what} ended with code {code}{': ' if words else ''}{words}")
