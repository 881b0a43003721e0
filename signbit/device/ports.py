"""Lines to a device, by name: a serial port, `socket://HOST:PORT`, or `qemu:CORE[:MODEL]` for an emulated board."""

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from signbit.emulate import pio
from signbit.emulate.emulation import build_folder, missing
from signbit.emulate.machines import MACHINES, EmulatedUart
from signbit.line.link import Stream
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.file import load
from signbit.qmodel.shipped import model_path

BAUD = 115200
SOCKET = "socket://"
QEMU = "qemu:"
QEMU_MODEL = "digits-mlp"

# what keeps a serial port from being opened
OPEN_ERRORS = {
    errno.ENOENT: "there is no such port; `signbit device list` shows those there are",
    errno.EACCES: "no permission; on Linux: sudo usermod -aG dialout $USER, then log in again",
    errno.EBUSY: "another program has the port open: close its monitor",
    errno.EAGAIN: "another program has the port open: close its monitor",
}

# USB vendors of debug probes and serial adapters that boards carry
VENDORS = {
    0x0483: "ST-Link",
    0x0D28: "DAPLink",
    0x1366: "J-Link",
    0x2E8A: "Raspberry Pi",
    0x0403: "FTDI",
    0x10C4: "CP210x",
    0x1A86: "CH340",
}


@dataclass(frozen=True)
class Candidate:
    """A serial port that may lead to a board."""

    name: str
    description: str


def candidates() -> list[Candidate]:
    """Serial ports of this computer that may lead to a board, by their USB vendor."""
    found = _pyserial("serial.tools.list_ports").comports()
    ports = sorted((port for port in found if port.vid in VENDORS), key=lambda port: port.device)
    return [Candidate(port.device, f"{VENDORS[port.vid]}: {port.description}") for port in ports]


def find_port() -> str:
    """The one port that may lead to a board; raises SignbitError when there is none, or more than one."""
    names = [candidate.name for candidate in candidates()]
    if not names:
        raise SignbitError("no board was found; plug one in, or name its port with --port (qemu:m3 is an emulated one)")
    if len(names) > 1:
        raise SignbitError(f"there are {len(names)} boards; name one with --port: {', '.join(names)}")
    return names[0]


@contextmanager
def open_port(name: str) -> Iterator[Stream]:
    """The line called `name`, closed at the end; raises SignbitError or OSError when it can't be opened."""
    if name.startswith(QEMU):
        machine, model = _emulated(name)
        elf = pio.build([machine.env], model, build_folder(load(model)))[machine.env]
        with EmulatedUart(machine, elf) as uart:
            yield uart
    elif name.startswith(SOCKET):
        with _connect(name) as connection:
            yield SocketStream(connection, name)
    else:
        with _open_serial(name) as port:
            yield SerialStream(port)


class SocketStream:
    """A TCP connection that carries a UART, as QEMU and ser2net offer it."""

    def __init__(self, connection: socket.socket, name: str):
        self.connection = connection
        self.name = name

    def read(self, timeout: float) -> bytes:
        self.connection.settimeout(max(timeout, 0.001))
        try:
            received = self.connection.recv(4096)
        except TimeoutError:
            return b""
        if not received:
            raise SignbitError(f"{self.name}: the other end closed the connection")
        return received

    def write(self, data: bytes) -> None:
        self.connection.settimeout(10)
        self.connection.sendall(data)


class SerialStream:
    """An open port of pyserial."""

    def __init__(self, port):
        self.port = port

    def read(self, timeout: float) -> bytes:
        with self._plugged():
            self.port.timeout = timeout
            return self.port.read(max(self.port.in_waiting, 1))

    def write(self, data: bytes) -> None:
        with self._plugged():
            self.port.write(data)

    @contextmanager
    def _plugged(self) -> Iterator[None]:
        """What pyserial raises on an open port, in words."""
        try:
            yield
        except OSError as error:
            raise SignbitError(f"{self.port.name}: the port is gone: was the board unplugged? ({error})") from None


def _open_serial(name: str):
    """A port of pyserial that no other program has open; the reason why not, and what to do, as SignbitError."""
    serial = _pyserial("serial")
    try:
        return serial.Serial(name, BAUD, exclusive=True)
    except OSError as error:
        raise SignbitError(f"{name}: {OPEN_ERRORS.get(error.errno, error)}") from None


def _emulated(name: str):
    """Machine and model file of `qemu:CORE[:MODEL]`."""
    core, _, model = name.removeprefix(QEMU).partition(":")
    if core not in MACHINES:
        raise SignbitError(f"{name}: core {core!r} is unknown; there are {', '.join(MACHINES)}")
    reason = missing()
    if reason:
        raise SignbitError(reason)
    return MACHINES[core], model_path(model or QEMU_MODEL)


def _connect(name: str) -> socket.socket:
    host, _, port = name.removeprefix(SOCKET).rpartition(":")
    if not host or not port.isdecimal():
        raise SignbitError(f"{name}: a socket is written {SOCKET}HOST:PORT")
    try:
        connection = socket.create_connection((host, int(port)), timeout=10)
    except (OSError, OverflowError) as error:
        raise SignbitError(f"{name}: {error}") from None
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _pyserial(module: str):
    """pyserial is needed for serial ports only."""
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError:
        raise SignbitError("pyserial is missing: python -m pip install 'signbit[firmware]'") from None
