"""MNIST: where its four IDX files are looked for, and how they are fetched when not found."""

import hashlib
import os
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np

from signbit.places import cache_folder
from signbit.qmodel.atomic import write_whole
from signbit.qmodel.data.readers.idx import read_idx
from signbit.qmodel.errors import SignbitError

DATA_DIR_VARIABLE = "SIGNBIT_DATA_DIR"
MIRRORS = (
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
)
SHA256 = {
    "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}
FILES = tuple(SHA256)
IMAGE_SHAPE = (28, 28)
CLASSES = 10
TIMEOUT_S = 20


def read_mnist(data_dir: str | os.PathLike | None = None) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """`train` and `test`, each (images uint8 [n, 784], classes int64 [n]).

    Looks in `data_dir`, else in $SIGNBIT_DATA_DIR, else in the cache, which it fills by a download; each may
    hold the files itself or in a folder `mnist`.  Raises SignbitError with the files to put where.
    """
    folder = find_folder(data_dir) or download()
    return {
        "train": _read_pair(folder, "train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
        "test": _read_pair(folder, "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
    }


def find_folder(data_dir: str | os.PathLike | None = None) -> Path | None:
    """The folder that holds the files; None if only the cache was asked and is empty."""
    named = data_dir or os.environ.get(DATA_DIR_VARIABLE)
    root = Path(named) if named else cache_folder()
    for folder in (root, root / "mnist"):
        if all(_present(folder, name) for name in FILES):
            return folder
    if named:
        raise SignbitError(f"{root}: MNIST is not there; it needs {', '.join(FILES)} in that folder or in mnist/ below")
    return None


def download() -> Path:
    """Fetch the files into the cache, each checked against its SHA-256; raises SignbitError without a network."""
    folder = cache_folder() / "mnist"
    folder.mkdir(parents=True, exist_ok=True)
    for name, digest in SHA256.items():
        write_whole(folder / name, _fetch(name, digest))
    return folder


def _fetch(name: str, digest: str) -> bytes:
    for mirror in MIRRORS:
        try:
            with urllib.request.urlopen(mirror + name, timeout=TIMEOUT_S) as answer:
                data = answer.read()
        except (urllib.error.URLError, OSError):
            continue
        if hashlib.sha256(data).hexdigest() == digest:
            return data
    raise SignbitError(
        f"MNIST could not be downloaded; put {', '.join(FILES)} into {cache_folder() / 'mnist'}, "
        f"or name their folder with --data-dir or {DATA_DIR_VARIABLE}"
    )


def _present(folder: Path, name: str) -> bool:
    return _existing(folder, name.removesuffix(".gz")).is_file()


def _read_pair(folder: Path, images_name: str, labels_name: str) -> tuple[np.ndarray, np.ndarray]:
    images_path, labels_path = (_existing(folder, name) for name in (images_name, labels_name))
    images, labels = read_idx(images_path, axes=3), read_idx(labels_path, axes=1)
    if images.shape[1:] != IMAGE_SHAPE or not len(images):
        raise SignbitError(f"{images_path}: has {images.shape}, but MNIST's images are 28x28")
    if len(labels) != len(images):
        raise SignbitError(f"{labels_path}: {len(labels)} labels for {len(images)} images")
    if labels.max() >= CLASSES:
        raise SignbitError(f"{labels_path}: label {labels.max()} is out of range, digits are 0 to 9")
    return images.reshape(len(images), -1), labels.astype(np.int64)


def _existing(folder: Path, name: str) -> Path:
    """The file, gzipped or not; some programs that unpack replace a hyphen by a dot."""
    dotted = name.replace("-idx", ".idx")
    names = (f"{name}.gz", name, dotted, f"{dotted}.gz")
    return next((folder / found for found in names if (folder / found).is_file()), folder / name)
