"""Machines that QEMU emulates, reached through their UART or through semihosting."""

import shutil
import socket
import subprocess
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from signbit.codegen import bare_metal
from signbit.codegen.kernels.targets import TARGETS, Target
from signbit.emulate.project import Project
from signbit.places import FIRMWARE
from signbit.qmodel.errors import SignbitError

QEMU_PACKAGES = {"qemu-system-arm": "qemu-system-arm", "qemu-system-riscv32": "qemu-system-misc"}
"""Each emulator, and Debian's package that brings it."""
RISCV_SOURCES = ("riscv/startup.c", "semihost.c")


@dataclass(frozen=True)
class Machine:
    """A board that QEMU emulates: `core` is its core (m0), `machine` QEMU's name, `linker_script` its file in
    firmware/ld, `sources` those of firmware/src that start a program there.

    Where the firmware has a port, `env` is the PlatformIO environment and `uart` the number of the machine's UART that
    it uses; elsewhere `env` is "", and only programs over files run.
    """

    core: str
    target: Target
    title: str
    machine: str
    linker_script: str
    qemu: str = "qemu-system-arm"
    sources: tuple[str, ...] = bare_metal.CORTEX_M_SOURCES
    env: str = ""
    clock_hz: int = 0
    uart: int = 0

    @property
    def batch_env(self) -> str:
        """The environment that runs files through semihosting."""
        return f"{self.env}_batch"

    def missing(self) -> str | None:
        """Why no program can be compiled and run, with the line that installs what is missing; None if it can."""
        if shutil.which(self.qemu):
            return self.target.toolchain.missing()
        return f"{self.qemu} is missing: apt install --no-install-recommends {QEMU_PACKAGES[self.qemu]}"


def read_machines(firmware: Path = FIRMWARE) -> list[Machine]:
    """Every board of `firmware` whose file names a QEMU machine: the emulated cores first, from small to large."""
    project, machines = Project(firmware), []
    for name, board in project.boards().items():
        build = board["build"]
        qemu, target = build.get("qemu"), TARGETS[build["cpu"]]
        if not qemu:
            continue
        emulated = name.startswith(EMULATED)
        machine = Machine(
            core=target.name.removeprefix("cortex-"),
            target=target,
            title=target.title if emulated else board["name"],
            machine=qemu["machine"],
            linker_script=Path(project.option(name, "board_build.ldscript")).name,
            env=name if emulated else f"{name}_local",
            clock_hz=int(build["f_cpu"].removesuffix("L")),
            uart=qemu["uart"],
        )
        machines.append(machine)
    order = list(TARGETS.values())
    return sorted(machines, key=lambda machine: (not machine.env.startswith(EMULATED), order.index(machine.target)))


EMULATED = "qemu_"
"""Prefix of the names of boards that exist in QEMU only."""
MACHINES = {
    machine.env.removeprefix(EMULATED): machine for machine in read_machines() if machine.env.startswith(EMULATED)
}
RISCV = {
    name: Machine(
        core=name,
        target=TARGETS[name],
        title=TARGETS[name].title,
        machine="virt",
        linker_script="riscv_virt.ld",
        qemu="qemu-system-riscv32",
        sources=RISCV_SOURCES,
    )
    for name in ("riscv32", "riscv32e")
}
"""QEMU's generic machine runs RV32E's code as it is: the compiler keeps to 16 of the 32 registers."""
CORES = MACHINES | RISCV
"""Every emulated core; those of MACHINES carry the whole firmware."""


def add_cores_option(parser: ArgumentParser) -> None:
    """`--cores m0,m3`, by default all."""
    names = ",".join(CORES)
    parser.add_argument(
        "--cores", metavar="LIST", type=_cores, default=list(CORES), help=f"some of {names} (default: all)"
    )


def _cores(text: str) -> list[str]:
    cores = text.split(",")
    for core in cores:
        if core not in CORES:
            raise ArgumentTypeError(f"core {core!r} is unknown; there are {', '.join(CORES)}")
    return cores


def missing(cores: Iterable[str] = MACHINES) -> str | None:
    """Why some of `cores` can't be emulated here, with the line that installs what is missing; None if all can."""
    return next(filter(None, (CORES[core].missing() for core in cores)), None)


def build(
    machine: Machine,
    sources: Iterable[Path],
    elf: Path,
    *options: str,
    libraries: Iterable[str] = ("-lgcc",),
    stack_bytes: int = bare_metal.STACK_BYTES,
) -> None:
    """Compile and link a program for `machine`, as in `bare_metal.build`."""
    bare_metal.build(
        [machine.target.toolchain.compiler, "-nostdlib"],
        machine.title,
        sources,
        elf,
        *(*options, *libraries),
        memory=machine.linker_script,
        start=machine.sources,
        stack_bytes=stack_bytes,
    )


def command(machine: Machine, elf: Path, semihosting_arguments: str = "") -> list[str]:
    """The command line that starts `elf` on `machine`, without its UART; faults and exits end it with a code."""
    return [
        *(machine.qemu, "-M", machine.machine, "-bios", "none", "-display", "none", "-monitor", "none"),
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
                raise SignbitError(machine.missing()) from None
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
