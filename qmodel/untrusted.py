"""Untrusted files and texts: opened with bounds, shown without tricks.

Every reader opens its files here.  A file is a regular one (a pipe has no size and may never end, a device such as
/dev/zero has none either), no larger than the reader allows, gzipped or not.
"""

import gzip
import io
import os
import stat
import unicodedata
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from signbit.qmodel.errors import SignbitError

STDERR = 2
BLOCK_BYTES = 1 << 20
VALUE_CHARACTERS = 60
"""Characters of a name, label or cell inside a message."""

HIDDEN_CATEGORIES = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
"""Unicode's control, format (bidirectional marks too), surrogate, private and unassigned characters, line ends."""


@contextmanager
def open_file(path: str | os.PathLike, bytes_max: int) -> Iterator[BinaryIO]:
    """The file's bytes, unpacked if its name ends in .gz; reads no more than `bytes_max` of them.

    Raises SignbitError for a file that is not regular, or too large, or whose compressed form is damaged; OSError.
    """
    name = os.fspath(path)
    # a pipe that nobody writes to would block here forever
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        _check(name, os.fstat(descriptor), bytes_max)
    except SignbitError:
        os.close(descriptor)
        raise
    with os.fdopen(descriptor, "rb") as stream:
        if not name.endswith(".gz"):
            yield stream
            return
        try:
            with gzip.GzipFile(fileobj=stream) as unpacked:
                yield io.BufferedReader(_Bounded(unpacked, bytes_max, name), BLOCK_BYTES)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise SignbitError(f"{name}: truncated or damaged gzip file ({error})") from None


def _check(name: str, status: os.stat_result, bytes_max: int) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise SignbitError(f"{name}: is a folder; name a file")
    if not stat.S_ISREG(status.st_mode):
        raise SignbitError(f"{name}: is a pipe or device; write its content to a file first, and name that")
    if status.st_size > bytes_max:
        raise SignbitError(f"{name}: is larger than {bytes_max:,} bytes")


def read_file(path: str | os.PathLike, bytes_max: int) -> bytes:
    """The whole content, see `open_file`."""
    with open_file(path, bytes_max) as stream:
        return stream.read()


@contextmanager
def silent_libraries() -> Iterator[None]:
    """Drops what libraries write to stderr about a file, in their own words and the file's: the reader's line says it.

    Nothing of this process is shown there meanwhile.
    """
    try:
        stderr = os.dup(STDERR)
    except OSError:  # it is closed
        yield
        return
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), STDERR)
        yield
    finally:
        os.dup2(stderr, STDERR)
        os.close(stderr)


class _Bounded(io.RawIOBase):
    """A stream to read that raises SignbitError after `bytes_max` bytes."""

    def __init__(self, stream: BinaryIO, bytes_max: int, name: str):
        self._stream = stream
        self._bytes_max = bytes_max
        self._name = name
        self._bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        block = self._stream.read(len(buffer))
        self._bytes += len(block)
        if self._bytes > self._bytes_max:
            raise SignbitError(f"{self._name}: unpacks to more than {self._bytes_max:,} bytes")
        buffer[: len(block)] = block
        return len(block)


def shown(text: object, characters_max: int = VALUE_CHARACTERS) -> str:
    """One line of `text` that a terminal can show: no control or bidirectional character, cut with an ellipsis."""
    text = str(text)
    head = text[:characters_max] if len(text) <= characters_max else text[: characters_max - 1] + "…"
    return "".join("?" if unicodedata.category(character) in HIDDEN_CATEGORIES else character for character in head)
