"""One input of a model, from a file."""

import io
from pathlib import Path

import numpy as np

from signbit.line.info import Info
from signbit.qmodel.archive import LIBRARY_ERRORS
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.untrusted import read_file, shown

HEAD_BYTES_MAX = 1 << 16


def read_input(path: Path, info: Info) -> bytes:
    """An input's bytes from a file: .npy (uint8), a binary PGM or PPM picture, or the bytes themselves."""
    data = read_file(path, HEAD_BYTES_MAX + info.input_size)
    if path.suffix == ".npy":
        array = _array(path, data)
        if array.dtype != np.uint8:
            raise SignbitError(f"{path}: it holds {array.dtype}, but an input is uint8")
        data = array.tobytes()
    elif data[:2] in (b"P5", b"P6"):
        data = _pixels(path, data)
    if len(data) != info.input_size:
        raise SignbitError(f"{path}: it holds {len(data)} bytes, but the model takes {info.input_size}")
    return data


def _array(path: Path, data: bytes) -> np.ndarray:
    try:
        return np.load(io.BytesIO(data), allow_pickle=False)
    except LIBRARY_ERRORS as error:
        raise SignbitError(f"{path}: is no array of numpy's ({shown(error)})") from None


def _pixels(path: Path, data: bytes) -> bytes:
    """What follows the header of a netpbm picture: four words, comments between them."""
    words, at = [], 0
    while len(words) < 4 and at < len(data):
        line, _, _ = data[at:].partition(b"\n")
        words += line.partition(b"#")[0].split()
        at += len(line) + 1
    if len(words) != 4 or words[3] != b"255":
        raise SignbitError(f"{path}: only pictures with a header of its own lines and 255 grey levels can be read")
    return data[at:]
