"""Files and folders written whole or not at all."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from signbit.qmodel.errors import SignbitError


def write_whole(path: str | os.PathLike, data: bytes) -> None:
    """Write `data` to `path` so that a crash or power cut leaves the old file or the new one, never a part.

    Temporary file in the same folder, flush, fsync, `os.replace`, fsync of the folder.  A symbolic link keeps
    pointing where it did; a device such as /dev/stdout is written directly.  Raises OSError, after removing
    the temporary file.
    """
    target = Path(os.path.realpath(path))
    try:
        if is_device(path):
            # by the name that was given: a pipe that /dev/stdout leads to has no path of its own
            Path(path).write_bytes(data)
            return
        _replace(target, data)
    except OSError as error:
        # the user knows the file by the name that was given, not by the temporary one
        raise type(error)(error.errno, error.strerror, os.fspath(path)) from None
    _sync_folder(target.parent)


def write_folder(folder: str | os.PathLike, files: Mapping[str, bytes]) -> None:
    """Write `files`, by their paths below `folder`, all or none; the folder must be new or empty.

    Every file, and the folders that hold them, are on the disk before the folder has its name.  Where the folder is
    there already, a power cut between the last renames leaves some of the files, each of them whole.  Raises
    SignbitError when something is in it, or OSError that names the file.
    """
    folder = Path(folder)
    if is_new := not folder.exists():
        beside = folder.absolute().parent
    elif folder.is_dir() and not any(folder.iterdir()):
        beside = folder
    else:
        raise SignbitError(f"{folder} is there already and not an empty folder; remove it, or name another")
    try:
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=beside))
    except OSError as error:
        raise type(error)(error.errno, error.strerror, os.fspath(folder)) from None
    try:
        for name, data in files.items():
            _write_below(folder, temporary, name, data)
        for path in (temporary, *(path for path in temporary.rglob("*") if path.is_dir())):
            _sync_folder(path)
        if is_new:
            temporary.chmod(0o755)
            temporary.rename(folder)
        else:
            for path in temporary.iterdir():
                path.rename(folder / path.name)
            temporary.rmdir()
    except BaseException:
        shutil.rmtree(temporary)
        raise
    _sync_folder(folder.absolute().parent if is_new else folder)


def _write_below(folder: Path, temporary: Path, name: str, data: bytes) -> None:
    """Write and fsync the file that is going to be `folder / name`."""
    path = temporary / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise type(error)(error.errno, error.strerror, os.fspath(folder / name)) from None


def is_device(path: str | os.PathLike) -> bool:
    """Such as /dev/stdout, a pipe or a terminal."""
    path = Path(path)
    return path.exists() and not path.is_file() and not path.is_dir()


def _replace(target: Path, data: bytes) -> None:
    descriptor, temporary = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fchmod(stream.fileno(), _mode_for(target))
            os.fsync(stream.fileno())
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def _mode_for(target: Path) -> int:
    """Permission bits: those of the file that is replaced, else what the umask grants."""
    if target.exists():
        return target.stat().st_mode & 0o777
    umask = os.umask(0)
    os.umask(umask)
    return 0o666 & ~umask


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable; some file systems have no fsync for folders and don't need it."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
