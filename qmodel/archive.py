"""Named arrays and a JSON header in a .npz, read and never run: sizes are checked before anything is unpacked."""

import io
import json
import math
import struct
import sys
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.lib import format as npy

from signbit.qmodel.activations import Entries
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.model import canonical_json

HEADER = "header"
HEADER_BYTES_MAX = 1 << 20
NPY_HEADER_BYTES_MAX = 4096
LIBRARY_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    tokenize.TokenError,
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)
"""What zipfile, zlib, and numpy's reader of .npy, which parses its header as Python, raise for a damaged file."""


def pack(header: dict, arrays: dict[str, np.ndarray], compress: bool = True) -> bytes:
    """The file's content; the same values give the same bytes."""
    entries = {HEADER: np.frombuffer(canonical_json(header).encode(), np.uint8), **arrays}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in entries.items():
            content = io.BytesIO()
            little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
            npy.write_array(content, little, version=(1, 0), allow_pickle=False)
            # ZipInfo's default date is 1980: no clock gets into the file
            info = zipfile.ZipInfo(f"{name}.npy")
            info.compress_type = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
            archive.writestr(info, content.getvalue())
    return buffer.getvalue()


class Archive:
    """An open file: its header, and arrays whose names, dtypes and shapes are known beforehand."""

    def __init__(self, archive: zipfile.ZipFile, what: str):
        self._archive = archive
        self._what = what
        self._members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        if len(self._members) != len(archive.infolist()) or HEADER not in self._members:
            raise SignbitError(f"not a {what} (it has no header, or an entry twice)")
        self.header = self._read_header()

    def check_format(self, name: str, version_max: int) -> int:
        """The file's version, 1 to `version_max`; refuses a header that is of another format or version."""
        if self.header.get("format") != name:
            raise SignbitError(f"not a {self._what} (its header says otherwise)")
        found = self.header.get("version")
        if not isinstance(found, int) or isinstance(found, bool) or not 1 <= found <= version_max:
            known = " to ".join(map(str, sorted({1, version_max})))
            raise SignbitError(f"file version {found!r} is unknown; this signbit reads version {known}")
        return found

    def arrays(self, wanted: Entries) -> dict[str, np.ndarray]:
        """Every array of the file, which must be the `wanted` ones: name -> (dtype, shape)."""
        odd = sorted(set(self._members) ^ {HEADER, *wanted})
        if odd:
            raise SignbitError(
                f"entry {odd[0]!r} is {'missing' if odd[0] in wanted else f'not one a {self._what} has'}"
            )
        return {name: self.array(name, *entry) for name, entry in wanted.items()}

    def array(self, name: str, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
        """One of them."""
        if name not in self._members:
            raise SignbitError(f"entry {name!r} is missing")
        info = self._members[name]
        size_bytes = math.prod(shape) * np.dtype(dtype).itemsize
        if not size_bytes < info.file_size <= size_bytes + NPY_HEADER_BYTES_MAX:
            raise SignbitError(f"entry {info.filename!r} is not {dtype} of shape {shape}")
        content = self._member(info)
        start = _npy_start(content, dtype, shape)
        if len(content) - start != size_bytes:
            raise SignbitError(f"entry {info.filename!r} is not {dtype} of shape {shape}")
        return np.frombuffer(content, np.dtype(dtype).newbyteorder("<"), offset=start).astype(dtype).reshape(shape)

    def _read_header(self) -> dict:
        info = self._members[HEADER]
        if info.file_size > HEADER_BYTES_MAX:
            raise SignbitError("the header is too large")
        content = self._member(info)
        start = _npy_start(content, "uint8")
        try:
            header = json.loads(content[start:].decode(), parse_constant=_refuse_constant, parse_float=_finite)
        except (UnicodeDecodeError, ValueError, RecursionError):
            raise SignbitError("the header is not JSON") from None
        if not isinstance(header, dict):
            raise SignbitError(f"not a {self._what} (its header says otherwise)")
        return header

    def _member(self, info: zipfile.ZipInfo) -> bytes:
        with zip_errors(self._what):
            return _content(self._archive, info)


def plain_arrays(data: bytes, bytes_max: int) -> dict[str, np.ndarray]:
    """The arrays of an untrusted .npz, of any names, numbers and texts, none of them pickled.

    Raises SignbitError for any other file, and for one that unpacks to more than `bytes_max`.
    """
    with zip_errors(".npz of plain arrays"), zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
        names = [info.filename.removesuffix(".npy") for info in members]
        if len(set(names)) != len(names):
            raise SignbitError("has an entry twice")
        if sum(info.file_size for info in members) > bytes_max:
            raise SignbitError(f"unpacks to more than {bytes_max:,} bytes")
        return {name: _plain_array(name, _content(archive, info)) for name, info in zip(names, members, strict=True)}


def _plain_array(name: str, content: bytes) -> np.ndarray:
    stream = io.BytesIO(content)
    version = npy.read_magic(stream)
    if version not in ((1, 0), (2, 0), (3, 0)):
        raise SignbitError(f"entry {name!r} is in a version of .npy that is unknown")
    # the layouts differ only in the header's encoding and in its length field, of two or four bytes
    read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, is_fortran, dtype = read_header(stream, max_header_size=NPY_HEADER_BYTES_MAX)
    size_bytes = math.prod(shape) * dtype.itemsize
    if dtype.hasobject or dtype.names or any(side < 0 for side in shape):
        raise SignbitError(f"entry {name!r} is not a plain array of numbers or texts")
    if len(content) - stream.tell() != size_bytes:
        raise SignbitError(f"entry {name!r} does not have the size that its header says")
    array = np.frombuffer(content, dtype, offset=stream.tell()) if size_bytes else np.empty(math.prod(shape), dtype)
    # numpy takes any 32 bits for a character, which Python then can't read
    if dtype.kind == "U" and size_bytes and array.view(f"{dtype.str[0]}u4").max() > sys.maxunicode:
        raise SignbitError(f"entry {name!r} has texts with characters that do not exist")
    return array.reshape(shape, order="F" if is_fortran else "C")


def _content(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """Content of an entry, never more than its declared size, even if its stream unpacks to more."""
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise SignbitError(f"entry {info.filename!r} is compressed in a way that such files never are")
    with archive.open(info) as stream:
        content = stream.read(info.file_size + 1)
    if len(content) != info.file_size:
        raise SignbitError(f"entry {info.filename!r} does not have the size that the file says")
    return content


@contextmanager
def zip_errors(what: str) -> Iterator[None]:
    """What zipfile, zlib and numpy raise for a damaged file becomes SignbitError."""
    try:
        yield
    except SignbitError:
        raise
    except LIBRARY_ERRORS as error:
        raise SignbitError(f"not a {what}, or damaged ({error})") from None


@contextmanager
def opened(data: bytes, what: str) -> Iterator[Archive]:
    """The archive of a file's content; raises SignbitError for anything that is no `what`."""
    with zip_errors(what):
        archive = zipfile.ZipFile(io.BytesIO(data))
        content = Archive(archive, what)
    with archive:
        yield content


def _npy_start(content: bytes, dtype: str, shape: tuple[int, ...] | None = None) -> int:
    """Offset of the data in an .npy of `dtype` (and `shape`); refuses any other."""
    stream = io.BytesIO(content)
    try:
        if npy.read_magic(stream) != (1, 0):
            raise ValueError
        found_shape, fortran, found_dtype = npy.read_array_header_1_0(stream, max_header_size=NPY_HEADER_BYTES_MAX)
    except LIBRARY_ERRORS:
        raise SignbitError("an entry is not an array in .npy format 1.0") from None
    right_shape = len(found_shape) == 1 if shape is None else found_shape == shape
    if found_dtype != np.dtype(dtype).newbyteorder("<") or fortran or not right_shape:
        raise SignbitError(f"an entry is {found_dtype} of shape {found_shape}, where {dtype} of {shape} is expected")
    return stream.tell()


def _refuse_constant(name: str):
    raise ValueError(name)


def _finite(text: str) -> float:
    """A number of the header; 1e999 would be infinite."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value
