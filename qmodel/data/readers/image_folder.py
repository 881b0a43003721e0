"""Samples from a folder with a folder of images a class."""

from pathlib import Path

import numpy as np

from signbit.qmodel.data.readers.loading import LoadingOptions
from signbit.qmodel.data.readers.samples import BYTES_MAX, Samples
from signbit.qmodel.errors import SignbitError

SUFFIXES = frozenset((".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"))
GREY_MODES = frozenset(("1", "L", "LA"))
DEEP_MODES = ("I", "F")


def read_images(path: Path, options: LoadingOptions) -> Samples:
    """uint8 images (n, height, width, channels), one channel if all are grey or `options.grey`, else three.

    The labels are the folders' names.  Files that are no images by their suffix are left out.  Raises SignbitError with
    the name of a file that can't be read or has another size than the first.
    """
    options.refuse("a folder of images", "fold", "resize", "grey")
    pillow = _pillow()
    folders = sorted(folder for folder in path.iterdir() if folder.is_dir() and not folder.name.startswith("."))
    if not folders:
        raise SignbitError(f"{path.name}: has neither a folder of images a class nor IDX files in it")
    files = [(index, file) for index, folder in enumerate(folders) for file in _images_in(folder)]
    images: list[np.ndarray] = []
    for _, file in files:
        images.append(_read(pillow, path, file, options))
        _check_size(path, file, images[-1], images[0], len(files))
    channels = 1 if all(image.ndim == 2 for image in images) else 3
    values = np.stack([_with_channels(image, channels) for image in images])
    return Samples(values, np.array([index for index, _ in files], np.int64), tuple(folder.name for folder in folders))


def _pillow():
    """The extra, imported where it is needed."""
    try:
        from PIL import Image, ImageOps
    except ImportError:
        raise SignbitError("reading images needs Pillow; install it with: pip install 'signbit[images]'") from None
    return Image, ImageOps


def _images_in(folder: Path) -> list[Path]:
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES and file.name[0] != ".")
    if not files:
        raise SignbitError(f"{folder.name}: has no images in it ({', '.join(sorted(SUFFIXES))})")
    return files


def _read(pillow, path: Path, file: Path, options: LoadingOptions) -> np.ndarray:
    """uint8 (height, width) of a grey image, (height, width, 3) of a coloured one."""
    image_module, operations = pillow
    try:
        with image_module.open(file) as opened:
            image = operations.exif_transpose(opened)
            if image.mode.startswith(DEEP_MODES):
                raise SignbitError(f"{file.relative_to(path)}: has more than 8 bits a value; save it with 8")
            image = image.convert("L" if options.grey or image.mode in GREY_MODES else "RGB")
    except (OSError, SyntaxError, ValueError, image_module.DecompressionBombError) as error:
        raise SignbitError(f"{file.relative_to(path)}: can't be read as an image ({error})") from None
    if options.resize is not None:
        height, width = options.resize
        image = image.resize((width, height), image_module.Resampling.BILINEAR)
    return np.asarray(image)


def _check_size(path: Path, file: Path, image: np.ndarray, first: np.ndarray, count: int) -> None:
    """Refuses, before more are read, an image of another size than the first, and more than memory may hold."""
    size, wanted = (f"{height}x{width}" for height, width in (image.shape[:2], first.shape[:2]))
    if size != wanted:
        raise SignbitError(
            f"{file.relative_to(path)}: is {size}, but the first image is {wanted}; "
            f"give all one size with --resize {wanted}"
        )
    if image.size * count > BYTES_MAX:
        raise SignbitError(f"{path.name}: {count} images of {size} are too many; make them smaller with --resize")


def _with_channels(image: np.ndarray, channels: int) -> np.ndarray:
    return np.repeat(image[..., None], channels, axis=2) if image.ndim == 2 else image
