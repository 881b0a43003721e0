"""Cortex-M machines that QEMU emulates, with their UART or their semihosting in hand."""

import shutil
import socket
import subprocess
from argparse import ArgumentParser, ArgumentTypeError
from dataclasses import dataclass
from pathlib import Path

from signbit.qmodel.errors import SignbitError

QEMU = "qemu-system-arm"
QEMU_APT = "apt install --no-install-recommends qemu-system-arm"


@dataclass(frozen=True)
class Machine:
    """One emulated core: QEMU's machine, the PlatformIO environment and where its flash begins; `serial` is the number
    of the machine's UART that the firmware uses.
    """

    core: str
    title: str
    machine: str
    env: str
    code_base: int
    serial: int = 0

    @property
    def batch_env(self) -> str:
        """The environment that runs files through semihosting."""
        return f"{self.env}_batch"


MACHINES = {
    machine.core: machine
    for machine in (
        Machine("m0", "Cortex-M0", "microbit", "qemu_m0", 0x00000000),
        Machine("m3", "Cortex-M3", "mps2-an385", "qemu_m3", 0x00000000),
        Machine("m4", "Cortex-M4", "mps2-an386", "qemu_m4", 0x00000000),
        Machine("m7", "Cortex-M7", "mps2-an500", "qemu_m7", 0x00000000),
        Machine("m33", "Cortex-M33", "mps2-an505", "qemu_m33", 0x10000000),
        Machine("m55", "Cortex-M55", "mps3-an547", "qemu_m55", 0x00000000),
    )
}

# boards whose own image, not built for an emulator, starts and answers in QEMU as well
BOARDS = (
    Machine("m3", "Bluepill", "stm32vldiscovery", "bluepill_local", 0x08000000),
    Machine("m3", "Nucleo-F103RB", "stm32vldiscovery", "nucleo_f103rb_local", 0x08000000, serial=1),
    Machine("m4", "Nucleo-F401RE", "netduinoplus2", "nucleo_f401re_local", 0x08000000, serial=1),
    Machine("m4", "Nucleo-F446RE", "netduinoplus2", "nucleo_f446re_local", 0x08000000, serial=1),
    Machine("m0", "BBC micro:bit v1", "microbit", "microbit_v1_local", 0x00000000),
)


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
    """The command line that starts `elf` on `machine`, but for its UART; faults and exits end it with a code."""
    return [
        *(QEMU, "-M", machine.machine, "-display", "none", "-monitor", "none"),
        *("-semihosting-config", f"enable=on,target=native{semihosting_arguments}"),
        *("-kernel", str(elf.absolute())),
    ]


def run_batch(machine: Machine, elf: Path, inputs: bytes, folder: Path, timeout: float = 300) -> bytes:
    """Run the batch firmware `elf` over `inputs` and return the file it wrote.

    `folder` holds the two files.  Raises SignbitError when the emulator ends with another code than 0, or not at
    all within `timeout` seconds.
    """
    # the firmware gets file names on a command line that knows no quotes: short ones, relative to `folder`
    (folder / "inputs").write_bytes(inputs)
    outputs = folder / "outputs"
    outputs.unlink(missing_ok=True)
    batch = [*command(machine, elf, ",arg=inputs,arg=outputs"), "-serial", "null"]
    try:
        done = subprocess.run(batch, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout)
    except subprocess.TimeoutExpired:
        raise SignbitError(f"{machine.title}: the batch did not end within {timeout:g} s") from None
    if done.returncode:
        raise _ended_with(machine, "batch", done.returncode, done.stderr)
    return outputs.read_bytes()


class EmulatedUart:
    """A running machine whose UART is a stream for `signbit.line.link.Link`; a context manager that ends it."""

    def __init__(self, machine: Machine, elf: Path):
        self.machine = machine
        ours, theirs = socket.socketpair()
        with theirs:
            others = ("-serial", "null") * machine.serial
            uart = ["-chardev", f"socket,id=uart,fd={theirs.fileno()}", *others, "-serial", "chardev:uart"]
            try:
                self.process = subprocess.Popen(
                    [*command(machine, elf), *uart],
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
        """What the machine's end says; a fault in the firmware shows as its exit code."""
        try:
            code = self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        return _ended_with(self.machine, "emulator", code, self.process.stderr.read())


def _ended_with(machine: Machine, what: str, code: int, last_words: bytes) -> SignbitError:
    words = last_words.decode(errors="replace").strip()
    return SignbitError(f"{machine.title}: the {what} ended with code {code}{': ' if words else ''}{words}")
