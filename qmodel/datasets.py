"""Data sets, with a split that is the same for every seed and machine."""

import hashlib
import os
from dataclasses import dataclass
from functools import cached_property
from importlib import resources

import numpy as np

from qmodel.errors import SignbitError
from qmodel.mnist import read_mnist
from qmodel.model import QuantizedModel

DIGIT_LABELS = tuple("0123456789")
DIGITS_TEST_EVERY = 5
DIGITS_VALIDATION_EVERY = 8
MNIST_VALIDATION_EVERY = 12


@dataclass(frozen=True, eq=False)
class Split:
    """Inputs `x`, uint8 (n, input_size) in HWC order, and classes `y`, int64 (n,)."""

    x: np.ndarray
    y: np.ndarray

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Three parts: `train` for the weights, `validation` for every choice, `test` read once at the end."""

    name: str
    input_shape: tuple[int, ...]
    labels: tuple[str, ...]
    train: Split
    validation: Split
    test: Split
    split_rule: str

    @cached_property
    def hash(self) -> str:
        """SHA-256 over every input and class, part by part: it changes with the data and with the split."""
        digest = hashlib.sha256()
        for part in (self.train, self.validation, self.test):
            digest.update(len(part).to_bytes(8, "little"))
            digest.update(part.x.tobytes())
            digest.update(part.y.astype("<i8").tobytes())
        return digest.hexdigest()


def load_dataset(name: str, data_dir: str | os.PathLike | None = None) -> Dataset:
    """The data set `digits` (in the package) or `mnist` (IDX files, see `qmodel.mnist`)."""
    loaders = {"digits": lambda: load_digits(), "mnist": lambda: load_mnist(data_dir)}
    if name not in loaders:
        raise SignbitError(f"data set {name!r} is unknown; there are {', '.join(loaders)}")
    return loaders[name]()


def dataset_for(model: QuantizedModel, name: str | None = None, data_dir: str | os.PathLike | None = None) -> Dataset:
    """The data set `name`, by default the one that `model` was trained on, if it fits the model's input."""
    if name is None:
        data = model.provenance.get("data")
        name = data.get("name") if isinstance(data, dict) else None
    if not isinstance(name, str):
        raise SignbitError("the model does not say what it was trained on; name a data set with --data")
    dataset = load_dataset(name, data_dir)
    if dataset.input_shape != model.input_shape:
        raise SignbitError(f"{name} has inputs of {dataset.input_shape}, but the model takes {model.input_shape}")
    return dataset


def load_digits() -> Dataset:
    """The 1,797 real 8x8 digits of the package; 0..16 is scaled to 0..255, as a camera would give it."""
    with resources.as_file(resources.files("qmodel") / "data" / "digits.npz") as path, np.load(path) as arrays:
        pixels, classes = arrays["pixels"], arrays["classes"].astype(np.int64)
    x = (pixels.reshape(len(pixels), -1).astype(np.uint16) * 255 // 16).astype(np.uint8)
    rest, test = every_nth(classes, np.arange(len(classes)), DIGITS_TEST_EVERY)
    train, validation = every_nth(classes, rest, DIGITS_VALIDATION_EVERY)
    return Dataset(
        "digits",
        (8, 8, 1),
        DIGIT_LABELS,
        *(Split(x[part], classes[part]) for part in (train, validation, test)),
        split_rule=f"stratified: test every {DIGITS_TEST_EVERY}th, then validation every {DIGITS_VALIDATION_EVERY}th",
    )


def load_mnist(data_dir: str | os.PathLike | None = None) -> Dataset:
    """MNIST with its own test set; a twelfth of the training images is the validation part."""
    parts = read_mnist(data_dir)
    x, y = parts["train"]
    train, validation = every_nth(y, np.arange(len(y)), MNIST_VALIDATION_EVERY)
    return Dataset(
        "mnist",
        (28, 28, 1),
        DIGIT_LABELS,
        Split(x[train], y[train]),
        Split(x[validation], y[validation]),
        Split(*parts["test"]),
        split_rule=f"the data set's own test; validation stratified, every {MNIST_VALIDATION_EVERY}th training image",
    )


def every_nth(classes: np.ndarray, candidates: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Split `candidates` (indices into `classes`) into (rest, chosen), one of n chosen, stratified by class.

    The candidates are put in order of (class, scrambled index) and every n-th is chosen, so the parts depend on
    nothing but the classes' order.
    """
    order = candidates[np.lexsort((_scramble(candidates), classes[candidates]))]
    chosen = np.zeros(len(order), bool)
    chosen[::n] = True
    return np.sort(order[~chosen]), np.sort(order[chosen])


def _scramble(values: np.ndarray) -> np.ndarray:
    """SplitMix64's finalizer (Steele, Lea and Flood, OOPSLA 2014): a fixed bijection of uint64."""
    mixed = values.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
