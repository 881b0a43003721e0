"""Samples from a folder with IDX files, the format of MNIST and its relatives."""

import re
from pathlib import Path

import numpy as np

from signbit.qmodel.data.readers.idx import read_idx
from signbit.qmodel.data.readers.loading import LoadingOptions
from signbit.qmodel.data.readers.samples import Samples, classes_of
from signbit.qmodel.errors import SignbitError

IMAGES = re.compile(r"images[-.]idx3-ubyte", re.I)
"""Some programs that unpack replace the hyphen by a dot."""
TEST = re.compile(r"(?<![a-z])test|t10k", re.I)


def has_idx(folder: Path) -> bool:
    return bool(_image_files(folder))


def read_idx_folder(folder: Path, options: LoadingOptions) -> Samples:
    """uint8 images (n, height, width, 1) of NAMEimages-idx3-ubyte and NAMElabels-idx1-ubyte, gzipped or not.

    There is one such pair, or two, of which one has `test` or `t10k` in its name and becomes the test part.  A class's
    label is its number.
    """
    options.refuse("IDX files", "fold")
    pairs = sorted(_image_files(folder), key=_is_test)
    if [_is_test(images) for images in pairs] not in ([False], [False, True]):
        names = ", ".join(images.name for images in pairs)
        raise SignbitError(
            f"{folder.name}: must hold one pair of IDX files, or one to train and one to test (t10k), but has {names}"
        )
    parts = [_read_pair(images) for images in pairs]
    if len({images.shape[1:] for images, _ in parts}) != 1:
        raise SignbitError(f"{folder.name}: the images to train and to test differ in size")
    classes, labels = classes_of([str(label) for _, numbers in parts for label in numbers])
    is_test = np.repeat([_is_test(images) for images in pairs], [len(numbers) for _, numbers in parts])
    values = np.concatenate([images for images, _ in parts])[..., None]
    return Samples(values, classes, labels, part=2 * is_test.astype(np.int8) if len(pairs) == 2 else None)


def _image_files(folder: Path) -> list[Path]:
    """Files of images; where one exists both gzipped and not, the latter."""
    found = {
        file.name.removesuffix(".gz"): file
        for file in sorted(folder.iterdir(), reverse=True)
        if IMAGES.search(file.name.removesuffix(".gz")[-len("images-idx3-ubyte") :])
    }
    return sorted(found.values())


def _is_test(images: Path) -> bool:
    return TEST.search(images.name) is not None


def _read_pair(images_path: Path) -> tuple[np.ndarray, np.ndarray]:
    plain = images_path.name.removesuffix(".gz")
    plain = plain[: IMAGES.search(plain).start()]
    names = [f"{plain}labels{mark}idx1-ubyte{packed}" for packed in ("", ".gz") for mark in "-."]
    labels_path = next((images_path.with_name(name) for name in names if images_path.with_name(name).is_file()), None)
    if labels_path is None:
        raise SignbitError(f"{images_path.name}: its labels are not there; they are looked for in {names[0]}")
    images, labels = read_idx(images_path, axes=3), read_idx(labels_path, axes=1)
    if len(labels) != len(images):
        raise SignbitError(f"{labels_path.name}: {len(labels)} labels for {len(images)} images")
    if not images.size:
        raise SignbitError(f"{images_path.name}: holds no images")
    return images, labels
