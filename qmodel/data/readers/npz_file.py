"""Samples from a .npz: arrays x and y, and if wanted labels and groups."""

import zipfile
import zlib
from pathlib import Path

import numpy as np

from signbit.qmodel.data.readers.loading import LoadingOptions
from signbit.qmodel.data.readers.samples import BYTES_MAX, Samples, classes_of, counts_of, groups_of
from signbit.qmodel.errors import SignbitError

NEEDED = {"x", "y"}
ALLOWED = NEEDED | {"labels", "groups"}


def read_npz(path: Path, options: LoadingOptions) -> Samples:
    """x is uint8 (inputs as they come) or any other number (counts, see `samples.counts_of`), (n, ...).

    uint8 may be (n, features), (n, height, width) or (n, height, width, channels); counts (n, features), or windows
    (n, time, channels).  y is whole numbers, indices into `labels` if that is there, or texts.  `groups` is a text or
    number a sample.  Nothing is unpickled.
    """
    options.refuse("a .npz", "fold", "window", "stride", "lsb")
    arrays = _read_arrays(path)
    x = arrays["x"]
    classes, labels = _classes(path, arrays["y"], arrays.get("labels"))
    groups = arrays.get("groups")
    for name, array in (("y", classes), ("groups", groups)):
        if array is not None and array.shape != (len(x),):
            raise SignbitError(f"{path.name}: {name} has shape {array.shape}, but x has {len(x)} samples")
    values, columns = _values(path, x, options)
    return Samples(values, classes, labels, None if groups is None else groups_of(groups.astype(str)), columns=columns)


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(info.file_size for info in archive.infolist()) > BYTES_MAX:
                raise SignbitError(f"{path.name}: unpacks to more than {BYTES_MAX} bytes")
        with np.load(path, allow_pickle=False) as file:
            names = set(file.files)
            if NEEDED - names or names - ALLOWED:
                found = ", ".join(sorted(names)) or "nothing"
                raise SignbitError(f"{path.name}: needs x and y, may have labels and groups, but has {found}")
            arrays = {name: file[name] for name in names}
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, NotImplementedError, KeyError, TypeError) as error:
        raise SignbitError(f"{path.name}: not a .npz of plain arrays, or damaged ({error})") from None
    if arrays["x"].ndim == 0 or not arrays["x"].size:
        raise SignbitError(f"{path.name}: x is empty")
    return arrays


def _classes(path: Path, y: np.ndarray, labels: np.ndarray | None) -> tuple[np.ndarray, tuple[str, ...]]:
    if y.ndim != 1 or y.dtype.kind not in "iubUf" or (y.dtype.kind == "f" and not np.array_equal(y, np.rint(y))):
        raise SignbitError(f"{path.name}: y must be one axis of whole numbers or texts, but is {y.dtype} {y.shape}")
    if y.dtype.kind == "U":
        if labels is not None:
            raise SignbitError(f"{path.name}: y holds texts already; leave out labels")
        return classes_of(y.tolist())
    if labels is None:
        return classes_of([str(int(value)) for value in y])
    if labels.ndim != 1 or labels.dtype.kind != "U":
        raise SignbitError(f"{path.name}: labels must be one axis of texts, but is {labels.dtype} {labels.shape}")
    outside = (y < 0) | (y >= len(labels))
    if outside.any():
        raise SignbitError(f"{path.name}: y holds {int(y[outside][0])}, but there are {len(labels)} labels, from 0 on")
    return y.astype(np.int64), tuple(labels.tolist())


def _values(path: Path, x: np.ndarray, options: LoadingOptions) -> tuple[np.ndarray, tuple[str, ...]]:
    if x.dtype == np.uint8:
        if options.lsb:
            raise SignbitError(f"{path.name}: x is uint8 and taken as it comes; leave out --lsb")
        if x.ndim not in (2, 3, 4):
            raise SignbitError(f"{path.name}: x has shape {x.shape}, but must have 2 to 4 axes")
        return x[..., None] if x.ndim == 3 else x, ()
    if x.dtype.kind not in "iuf" or x.ndim not in (2, 3):
        raise SignbitError(
            f"{path.name}: x is {x.dtype} {x.shape}; it must be uint8, or numbers as (samples, features) "
            "or (samples, time, channels)"
        )
    not_finite = np.argwhere(~np.isfinite(x))
    if len(not_finite):
        raise SignbitError(f"{path.name}: x{not_finite[0].tolist()} is {x[tuple(not_finite[0])]}, not a number")
    columns = tuple(str(number) for number in range(1, x.shape[-1] + 1))
    counts = counts_of(x, columns, options, range(1, len(x) + 1))
    return counts[:, :, None, :] if x.ndim == 3 else counts, columns
