"""Samples from a .npz: arrays x and y, and if wanted labels and groups."""

from pathlib import Path

import numpy as np

from signbit.qmodel.archive import plain_arrays
from signbit.qmodel.data.readers.loading import LoadingOptions
from signbit.qmodel.data.readers.samples import BYTES_MAX, Samples, classes_of, groups_of
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.untrusted import read_file, shown

NEEDED = {"x", "y"}
ALLOWED = NEEDED | {"labels", "groups"}
KERAS = {"x_train", "y_train", "x_test", "y_test"}
"""Names that a data set which is split already often has."""


def read_npz(path: Path, options: LoadingOptions) -> Samples:
    """x is uint8 (inputs, used unchanged) or any other number (see `signbit.qmodel.data.counts`), (n, ...).

    uint8 may be (n, features), (n, height, width) or (n, height, width, channels); counts (n, features), or windows
    (n, time, channels).  y is whole numbers, indices into `labels` if that is there, or texts.  `groups` is a text or
    number per sample.  x_train, y_train, x_test and y_test may replace x and y.  Nothing is unpickled.
    """
    options.refuse("a .npz", "fold", "window", "stride", "lsb", "rare_classes", "unknown")
    arrays, part = _read_arrays(path)
    x = arrays["x"]
    classes, labels = _classes(path, arrays["y"], arrays.get("labels"))
    groups = arrays.get("groups")
    for name, array in (("y", classes), ("groups", groups)):
        if array is not None and array.shape != (len(x),):
            raise SignbitError(f"{path.name}: {name} has shape {array.shape}, but x has {len(x)} samples")
    values, columns = _values(path, x, options)
    groups = None if groups is None else groups_of(groups.astype(str))
    return Samples(values, classes, labels, groups, part, columns)


def _read_arrays(path: Path) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
    try:
        arrays = plain_arrays(read_file(path, BYTES_MAX), BYTES_MAX)
    except SignbitError as error:
        raise SignbitError(f"{path.name}: {error}") from None
    part = None
    if KERAS >= set(arrays) >= {"x_train", "y_train"}:
        arrays, part = _joined(path, arrays)
    names = set(arrays)
    if NEEDED - names or names - ALLOWED:
        found = ", ".join(map(shown, sorted(names)[:10])) or "nothing"
        raise SignbitError(
            f"{path.name}: needs x and y (or x_train, y_train, ...), may have labels and groups, but has {found}"
        )
    if arrays["x"].ndim == 0 or not arrays["x"].size:
        raise SignbitError(f"{path.name}: x is empty")
    return arrays, part


def _joined(path: Path, arrays: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
    """x and y of arrays that are split already, and which sample is of which part."""
    if len(arrays) == 2:
        return {"x": arrays["x_train"], "y": arrays["y_train"]}, None
    joined = {}
    for name in ("x", "y"):
        train, test = (arrays.get(f"{name}_{part}") for part in ("train", "test"))
        if test is None or train.ndim == 0 or train.shape[1:] != test.shape[1:] or train.dtype.kind != test.dtype.kind:
            raise SignbitError(f"{path.name}: {name}_train and {name}_test must be there and alike")
        joined[name] = np.concatenate([train, test])
        part = np.repeat(np.int8([0, 2]), [len(train), len(test)])
    return joined, part if len(part) == len(joined["x"]) else None


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
            raise SignbitError(f"{path.name}: x is uint8 and used unchanged; leave out --lsb")
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
    return x[:, :, None, :] if x.ndim == 3 else x, tuple(map(str, range(1, x.shape[-1] + 1)))
