"""Data sets by their name or path, with a split that is the same for every seed and machine."""

import os
from importlib import resources
from pathlib import Path

import numpy as np

from signbit.qmodel.command import note
from signbit.qmodel.data.dataset import Dataset, Split
from signbit.qmodel.data.mnist import read_mnist
from signbit.qmodel.data.own import load_for, load_own
from signbit.qmodel.data.readers.loading import LoadingOptions
from signbit.qmodel.data.split import every_nth, split_rule, split_samples
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.model import QuantizedModel
from signbit.qmodel.untrusted import shown

__all__ = ["Dataset", "Split", "dataset_for", "load_dataset", "load_digits", "load_mnist"]

DIGIT_LABELS = tuple("0123456789")
MNIST_VALIDATION_EVERY = 12
NAMES = ("digits", "mnist")

Folder = str | os.PathLike | None


def load_dataset(name: str, data_dir: Folder = None, options: LoadingOptions | None = None) -> Dataset:
    """The data set `digits` (in the package), `mnist` (IDX files, see `mnist`), or own data at a path.

    `options` say how own data are read (`own`).
    """
    options = options or LoadingOptions()
    if name == "digits":
        options.refuse("the data set digits", "fold")
        return load_digits(options.fold)
    if name == "mnist":
        options.refuse("the data set mnist, which has its own test part")
        return load_mnist(data_dir)
    return load_own(own_path(name), options)


def dataset_for(model: QuantizedModel, name: str | None = None, data_dir: Folder = None) -> Dataset:
    """The data set `name`, by default the one that `model` was trained on, if it fits the model's input.

    Own data are read by the options that the model keeps, so that a path is enough; if they are not those that it was
    trained on, a note on stderr says so.
    """
    record = model.provenance.get("data")
    record = record if isinstance(record, dict) else {}
    if name is None:
        name = _recorded_name(record)
    if name not in NAMES:
        return _own_data_for(model, name, record)
    is_its_own = record.get("name") == name
    dataset = load_dataset(name, data_dir, LoadingOptions.from_dict(record.get("options", {})) if is_its_own else None)
    if dataset.input_shape != model.input_shape:
        raise SignbitError(f"{name} has inputs of {dataset.input_shape}, but the model takes {model.input_shape}")
    return dataset


def load_digits(fold: int = 0) -> Dataset:
    """The 1,797 real 8x8 digits of the package; 0..16 is scaled to 0..255, as a camera would give it."""
    with resources.as_file(resources.files("signbit.qmodel") / "data" / "digits.npz") as path, np.load(path) as arrays:
        pixels, classes = arrays["pixels"], arrays["classes"].astype(np.int64)
    x = (pixels.reshape(len(pixels), -1).astype(np.uint16) * 255 // 16).astype(np.uint8)
    return Dataset(
        "digits",
        (8, 8, 1),
        DIGIT_LABELS,
        *(Split(x[part], classes[part]) for part in split_samples(classes, fold)),
        split_rule=f"stratified: {split_rule(fold)}",
        options=LoadingOptions(fold=fold) if fold else None,
    )


def load_mnist(data_dir: Folder = None) -> Dataset:
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


def _recorded_name(record: dict) -> str:
    """The name of the data set that a model was trained on, if that is enough to find it again."""
    name = record.get("name")
    if not isinstance(name, str):
        raise SignbitError("the model does not say what it was trained on; name a data set with --data")
    if name not in NAMES:
        raise SignbitError(f"the model was trained on own data, {name}; say where they are with --data PATH")
    return name


def _own_data_for(model: QuantizedModel, name: str, record: dict) -> Dataset:
    dataset = load_for(own_path(name), model, record, LoadingOptions.from_dict(record.get("options", {})))
    if dataset.is_whole:
        for text in dataset.notes:
            note(f"{dataset.name}: {text}")
        note(
            f"{dataset.name} is not what the model was trained on, so all of its {len(dataset.test)} inputs are taken; "
            "training may have seen some of them"
        )
    return dataset


def own_path(name: str) -> Path:
    """The path of own data; raises SignbitError if nothing is there."""
    path = Path(name)
    if not path.exists():
        raise SignbitError(
            f"--data {shown(name)!r} is unknown; there are {', '.join(NAMES)}, and no file or folder of that name"
        )
    return path
