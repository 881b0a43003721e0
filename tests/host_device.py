"""The firmware's protocol and device, compiled for this computer: what the protocol's and the link's tests share."""

import ctypes
import shutil
from pathlib import Path

import pytest

from signbit.qmodel.model import QuantizedModel
from tools.networks.random import random_model
from tools.prove import host_build

FLAGS = ("-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wsign-conversion", "-Wshadow", "-Werror")


def device_model() -> QuantizedModel:
    """100 inputs are three chunks, the last one short; 13 logits are two."""
    return random_model(7, (100, 12, 13))


def compile_device(
    folder: Path,
    output: str,
    *options: str | Path,
    model: QuantizedModel | None = None,
    sensor: Path = host_build.NO_SENSOR,
) -> Path:
    """Compile the device with `model` (default: `device_model`) in `folder`; `options` may name more sources."""
    if not shutil.which("cc"):
        pytest.skip("no C compiler: apt install gcc")
    return host_build.build(model or device_model(), folder / output, (*FLAGS, *options), sensor=sensor)


def load_device(folder: Path, model: QuantizedModel | None = None, sensor: Path = host_build.NO_SENSOR) -> ctypes.CDLL:
    """The device as a library, under the sanitizer of undefined behaviour."""
    options = ("-O1", "-shared", "-fPIC", "-fsanitize=undefined", "-fno-sanitize-recover")
    library = ctypes.CDLL(str(compile_device(folder, "device.so", *options, model=model, sensor=sensor)))
    library.protocol_crc32.restype = ctypes.c_uint32
    return library


class HostDevice:
    """The C device of this computer, as a stream for Link.  `damage` gets hold of the bytes of both directions."""

    def __init__(self, library: ctypes.CDLL, damage=lambda data: data):
        self.library = library
        self.damage = damage
        self.sent = b""
        library.host_reset()

    def serve(self, line: bytes) -> bytes:
        room = 256 + 64 * line.count(b"\0") + 128 * (line.count(b"\r") + line.count(b"\n"))
        buffer = ctypes.create_string_buffer(room)
        length = self.library.host_serve(line, len(line), buffer, room)
        assert length <= room
        return buffer.raw[:length]

    def idle(self) -> bytes:
        buffer = ctypes.create_string_buffer(256)
        length = self.library.host_idle(buffer, 256)
        return buffer.raw[:length]

    def write(self, data: bytes) -> None:
        self.sent += self.damage(self.serve(self.damage(data)))

    def read(self, timeout: float) -> bytes:
        sent, self.sent = self.sent, b""
        return sent
