"""Samples from a folder with one folder of images per class."""

import io
from pathlib import Path

import numpy as np

from signbit.qmodel.counted import counted
from signbit.qmodel.data.readers.doubts import folders_below
from signbit.qmodel.data.readers.loading import LoadingOptions
from signbit.qmodel.data.readers.recordings import RECORDINGS, files_below, groups_by_pattern, left_out
from signbit.qmodel.data.readers.samples import BYTES_MAX, Samples
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.untrusted import read_file, shown, silent_libraries

SUFFIXES = frozenset(
    (".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
)
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""Those of Pillow's that are read, told apart by content; others start programs or are rarely reviewed."""
DEEP_MODES = ("I", "F")
DEEP_DATA = ";16"
"""In Pillow's name for a file's pixel layout: it silently cuts coloured pixels to 8 bits."""
FILE_BYTES_MAX = 1 << 27
PIXELS_MAX = 1 << 24
GREYS = {"white": 255, "black": 0}


def has_images(path: Path) -> bool:
    """Whether a folder is one of images: most of its files in folders are."""
    kinds = [file.suffix.lower() for file in files_below(path) if file.parent != path]
    images = sum(kind in SUFFIXES for kind in kinds)
    return images > 0 and images >= sum(kind in RECORDINGS for kind in kinds)


def read_images(path: Path, options: LoadingOptions) -> Samples:
    """uint8 images (n, height, width, channels), one channel if all are grey or `options.grey`, else three.

    The labels are the folders' names.  Files whose suffix is not an image's are left out and counted.  Raises
    SignbitError with the name of a file that can't be read or differs in size from the first.
    """
    options.refuse(
        "a folder of images", "fold", "resize", "grey", "background", "rare_classes", "unknown", "group_pattern"
    )
    pillow = _pillow()
    folders = sorted(folder for folder in path.iterdir() if folder.is_dir() and not folder.name.startswith("."))
    files, others = [], []
    for index, folder in enumerate(folders):
        below = sorted(files_below(folder))
        images_below = [(index, file) for file in below if file.suffix.lower() in SUFFIXES]
        if not images_below:
            raise SignbitError(f"{folder.name}: has no images in it ({', '.join(sorted(SUFFIXES))})")
        files += images_below
        others += [file for file in below if file.suffix.lower() not in SUFFIXES]
    images: list[np.ndarray] = []
    transparent = 0
    for _, file in files:
        image, is_transparent = _read(pillow, path, file, options)
        images.append(image)
        transparent += is_transparent
        _check_size(path, file, image, images[0], len(files))
    notes = (*folders_below(path, [file for _, file in files]), *left_out(others))
    if transparent and options.background is None:
        notes += (f"transparent pixels, of {counted(transparent, 'image')}, are white here; see --background",)
    channels = 1 if all(image.ndim == 2 for image in images) else 3
    values = np.stack([_with_channels(image, channels) for image in images])
    classes = np.array([index for index, _ in files], np.int64)
    groups = groups_by_pattern([file for _, file in files], options.group_pattern)
    return Samples(values, classes, tuple(folder.name for folder in folders), groups, notes=notes)


def _pillow():
    """The extra, imported where it is needed."""
    try:
        from PIL import Image, ImageOps
    except ImportError:
        raise SignbitError("reading images needs Pillow; install it with: pip install 'signbit[images]'") from None
    return Image, ImageOps


def _read(pillow, path: Path, file: Path, options: LoadingOptions) -> tuple[np.ndarray, bool]:
    """uint8 (height, width) of a grey image, (height, width, 3) of a coloured one; whether pixels are transparent."""
    image_module, operations = pillow
    place = shown(file.relative_to(path), 200)
    content = read_file(file, FILE_BYTES_MAX)
    try:
        with silent_libraries(), image_module.open(io.BytesIO(content), formats=FORMATS) as opened:
            if opened.width * opened.height > PIXELS_MAX:
                raise SignbitError(f"{place}: has more than {PIXELS_MAX:,} pixels; make it smaller")
            if opened.mode.startswith(DEEP_MODES) or any(DEEP_DATA in str(tile.args) for tile in opened.tile):
                raise SignbitError(f"{place}: has more than 8 bits per value; save it with 8")
            image = operations.exif_transpose(opened)
            is_transparent, image = _opaque(image_module, image, options)
    except SignbitError:
        raise
    except Exception as error:
        # Pillow's plug-ins raise errors of a dozen kinds for a damaged file
        raise SignbitError(f"{place}: can't be read as an image ({shown(error, 100)})") from None
    if options.grey or _is_grey(image):
        image = image.convert("L")
    if options.resize is not None:
        height, width = options.resize
        image = image.resize((width, height), image_module.Resampling.BILINEAR)
    return np.asarray(image), is_transparent


def _opaque(image_module, image, options: LoadingOptions):
    """Whether the image has transparent pixels, and the image in L or RGB with `background` filled in."""
    if "A" not in image.getbands() and "transparency" not in image.info:
        return False, image.convert("L" if image.mode in ("1", "L") else "RGB")
    image = image.convert("RGBA")
    is_transparent = image.getchannel("A").getextrema()[0] < 255
    ground = image_module.new("RGBA", image.size, (GREYS[options.background or "white"],) * 3 + (255,))
    return is_transparent, image_module.alpha_composite(ground, image).convert("RGB")


def _is_grey(image) -> bool:
    """Whether its colours are greys, however they are stored."""
    if image.mode == "L":
        return True
    pixels = np.asarray(image)
    return bool((pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 0] == pixels[..., 2]).all())


def _check_size(path: Path, file: Path, image: np.ndarray, first: np.ndarray, count: int) -> None:
    """Refuses, before more are read, an image that differs in size from the first, and more than fit in memory."""
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
