"""Readers of own data: every format, and what is wrong with bad files."""

import gzip
import os
import re
import subprocess
import sys
import zlib

import numpy as np
import pytest

from signbit.qmodel.command import run_command
from signbit.qmodel.data import counts, reading
from signbit.qmodel.data import own as own_data
from signbit.qmodel.data.named import load_dataset
from signbit.qmodel.data.readers import image_folder
from signbit.qmodel.data.readers.loading import LoadingOptions
from signbit.qmodel.data.readers.samples import Samples
from signbit.qmodel.errors import SignbitError
from signbit.trainer.command.cli import main as trainer
from signbit.trainer.learning.settings import default_settings
from tests.own_files import CLASSES_OF_60 as Y
from tests.own_files import csv_text, idx, save_npz


def read(path, **options) -> Samples:
    return reading.read(path, LoadingOptions(**options))


def counts_of(path, **options) -> np.ndarray:
    samples = read(path, **options)
    lsb = own_data.lsb_of(samples, LoadingOptions(**options))
    counts.check_range(samples.values, lsb, samples.columns)
    return counts.to_counts(samples.values, lsb)


# --- .csv


def test_csv_columns_are_counts_and_the_last_is_the_label(parts):
    samples = read(parts(csv_text()))
    assert samples.columns == ("width", "height") and samples.labels == ("bolt", "nail", "nut")
    assert counts_of(parts(csv_text()))[:3].tolist() == [[0, 0], [21, 49], [42, 48]]
    assert samples.classes[:3].tolist() == [2, 0, 1]


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_csv_from_a_spreadsheet(parts, delimiter):
    """A byte order mark, other delimiters, quotes, spaces, Windows' line ends and empty lines."""
    text = csv_text().replace(",", delimiter).replace("nut", '" nut "').replace("\n", "\r\n\r\n")
    found, expected = read(parts("\ufeff" + text)), read(parts(csv_text(), "plain.csv"))
    assert np.array_equal(found.values, expected.values) and np.array_equal(found.classes, expected.classes)
    assert found.labels == expected.labels and found.columns == expected.columns


def test_columns_by_name_and_by_position(parts):
    path = parts("kind,a,b,who\nx,1,2,p\ny,3,4,q\n")
    for label, group, ignored in (("kind", "who", "a"), ("1", "4", "2")):
        samples = read(path, label_column=label, group_column=group, ignore_columns=(ignored,))
        assert samples.labels == ("x", "y") and samples.columns == ("b",)
        assert samples.values.tolist() == [[2], [4]] and samples.groups.tolist() == [0, 1]


def test_labels_that_are_numbers_are_in_their_order(parts):
    assert read(parts("a,kind\n1,10\n2,9\n3,-1\n")).labels == ("-1", "9", "10")


def test_physical_units_become_counts(parts):
    path = parts("acc,temp,steps,kind\n0.5,20.25,3,a\n-1,-0.125,4,b\n")
    assert counts_of(path, lsb={"acc": 0.001, "2": 0.25}).tolist() == [[500, 81, 3], [-1000, 0, 4]]
    assert counts_of(path, lsb={"": 0.5, "temp": 0.25}).tolist() == [[1, 81, 6], [-2, 0, 8]]


BAD_CSV = {
    "empty": ("", {}, "parts.csv: is empty"),
    "header only": ("a,b\n", {}, "is empty"),
    "one column": ("a\nx\n", {}, "has one column"),
    "ragged": ("a,b\n1,x\n1,2,y\n", {}, "row 3 has 3 values, but the header names 2 columns"),
    "ragged after an empty line": ("a,b\n\n1,x\n1\n", {}, "row 4 has 1 value,"),
    "missing value": ("a,b\n1,x\n,y\n", {}, "row 3, column 'a': the value is missing"),
    "NA": ("a,b\n1,x\nNA,y\n", {}, "row 3, column 'a': the value is missing"),
    "NaN": ("a,b\nnan,x\n2,y\n", {}, "row 2, column 'a': the value is missing"),
    "infinite": ("a,b\n1,x\n-inf,y\n", {}, "row 3, column 'a': '-inf' is not a number"),
    "text in numbers": ("a,b\n1,x\nhello,y\n", {}, "row 3, column 'a': 'hello' is not a number"),
    "decimal comma": ('a,b\n"1,5",x\n', {}, "row 2, column 'a': '1,5' is not a number"),
    "missing label": ("a,b\n1,x\n2,\n", {}, "row 3, column 'b': the value is missing"),
    "missing group": ("a,g,b\n1,p,x\n2,,y\n", {"group_column": "g"}, "row 3, column 'g': the value is missing; fill"),
    "unknown label column": (
        "a,b\n1,x\n",
        {"label_column": "c"},
        "--label-column: there is no column 'c'; there are a",
    ),
    "position 0": ("a,b\n1,x\n", {"label_column": "0"}, "no column '0'"),
    "position too high": ("a,b\n1,x\n", {"group_column": "3"}, "--group-column: there is no column '3'"),
    "label as group": ("a,b\n1,x\n", {"label_column": "b", "group_column": "b"}, "both the label and the group"),
    "ignored label": ("a,b\n1,x\n", {"label_column": "b", "ignore_columns": ("b",)}, "'b' is the label column"),
    "all ignored": ("a,b\n1,x\n", {"ignore_columns": ("a",)}, "no column is left"),
    "not UTF-8": (b"a,b\n1,\xff\xfe\n", {}, "not text in UTF-8"),
    "open quote": ('a,b\n1,"x\n', {}, "not readable as CSV"),
    "option for images": ("a,b\n1,x\n", {"resize": (2, 2)}, "--resize means nothing for a .csv"),
}


@pytest.mark.parametrize("case", BAD_CSV)
def test_bad_csv_is_refused_with_one_clear_line(parts, case):
    content, options, words = BAD_CSV[case]
    with pytest.raises(SignbitError, match=words) as caught:
        read(parts(content), **options)
    assert "\n" not in str(caught.value)


BAD_SETS = {
    "one class": (csv_text(classes=("nut",)), "all samples are of class 'nut'"),
    "too few samples": (csv_text(26), "class 'bolt' has only 9 of the 10 samples"),
    "a number as label": (
        "a,b\n" + "".join(f"{n},{n / 7}\n" for n in range(50)),
        "50 different values in 50 .* --label-",
    ),
    "label too long": (csv_text(classes=("a", "b" * 65)), "must be 1 to 64 bytes"),
}


@pytest.mark.parametrize("case", BAD_SETS)
def test_bad_set_is_refused_with_one_clear_line(parts, case):
    content, words = BAD_SETS[case]
    with pytest.raises(SignbitError, match=words):
        load_dataset(str(parts(content)))


# --- .npz


@pytest.mark.parametrize(
    ("shape", "expected"), [((60, 5), (5,)), ((60, 4, 3), (4, 3, 1)), ((60, 4, 3, 2), (4, 3, 2))], ids=str
)
def test_npz_of_bytes_is_taken_as_it_comes(tmp_path, shape, expected):
    x = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    data = load_dataset(str(save_npz(tmp_path, x=x, y=Y)))
    assert data.input_shape == expected and data.labels == ("0", "1", "2") and data.quantization is None
    rows = {row.tobytes() for part in (data.train, data.validation, data.test) for row in part.x}
    assert rows == {row.tobytes() for row in x}


@pytest.mark.parametrize(
    ("x", "options", "expected"),
    [
        (np.arange(120, dtype=np.int16).reshape(60, 2), {}, (2,)),
        (np.arange(120, dtype=np.int64).reshape(60, 2), {}, (2,)),
        (np.arange(120, dtype=np.float32).reshape(60, 2) / 8, {"lsb": {"": 0.125}}, (2,)),
        (np.arange(720, dtype=np.int16).reshape(60, 4, 3), {}, (4, 1, 3)),
    ],
    ids=["int16", "int64", "float32", "windows"],
)
def test_npz_of_counts_is_quantized(tmp_path, x, options, expected):
    path = str(save_npz(tmp_path, x=x, y=np.array(["b", "a", "c"])[Y]))
    data = default_settings().prepared(load_dataset(path, options=LoadingOptions(**options)))
    assert data.input_shape == expected and data.labels == ("a", "b", "c")
    assert data.quantization.channels == expected[-1] and data.train.x.max() >= 254


def test_npz_names_its_classes_and_groups(tmp_path):
    x = np.zeros((60, 2), np.uint8)
    samples = read(save_npz(tmp_path, x=x, y=Y, labels=np.array(["lo", "mid", "hi"]), groups=np.arange(60) // 6))
    assert samples.labels == ("lo", "mid", "hi") and samples.groups.max() == 9


def test_npz_may_hold_an_array_in_the_order_of_columns(tmp_path):
    x = np.arange(120, dtype=np.int16).reshape(60, 2)
    assert np.array_equal(read(save_npz(tmp_path, x=np.asfortranarray(x), y=Y)).values, x)


X = np.zeros((60, 2), np.uint8)
BAD_NPZ = {
    "no y": ({"x": X}, {}, "needs x and y .*, may have labels and groups, but has x"),
    "odd array": ({"x": X, "y": Y, "label": Y}, {}, "but has label, x, y"),
    "many odd arrays": ({"x": X} | {f"a{n}": Y for n in range(10, 30)}, {}, "but has a10, .*, a18, a19$"),
    "pickle": ({"x": X, "y": np.array([{}] * 60)}, {}, "entry 'y' is not a plain array"),
    "other length": ({"x": X, "y": Y[1:]}, {}, "y has shape .59,., but x has 60 samples"),
    "groups' length": ({"x": X, "y": Y, "groups": Y[1:]}, {}, "groups has shape"),
    "empty": ({"x": X[:0], "y": Y[:0]}, {}, "x is empty"),
    "y real": ({"x": X, "y": Y + 0.5}, {}, "y must be one axis of whole numbers or texts"),
    "y NaN": ({"x": X, "y": np.full(60, np.nan)}, {}, "y must be"),
    "y outside": ({"x": X, "y": Y, "labels": np.array(["a", "b"])}, {}, "y holds 2, but there are 2 labels"),
    "labels as numbers": ({"x": X, "y": Y, "labels": np.arange(3)}, {}, "labels must be one axis of texts"),
    "labels twice": ({"x": X, "y": Y.astype(str), "labels": np.array(["a"])}, {}, "leave out labels"),
    "x complex": ({"x": X + 1j, "y": Y}, {}, "x is complex128"),
    "x with one axis": ({"x": X[:, 0], "y": Y}, {}, "must have 2 to 4 axes"),
    "x NaN": ({"x": np.full((60, 2), np.nan), "y": Y}, {}, r"x\[0, 0\] is nan"),
    "lsb of bytes": ({"x": X, "y": Y}, {"lsb": {"": 0.1}}, "leave out --lsb"),
    "columns of csv": ({"x": X, "y": Y}, {"ignore_columns": ("1",)}, "--ignore-column means nothing for a .npz"),
}


@pytest.mark.parametrize("case", BAD_NPZ)
def test_bad_npz_is_refused_with_one_clear_line(tmp_path, case):
    arrays, options, words = BAD_NPZ[case]
    with pytest.raises(SignbitError, match=words) as caught:
        read(save_npz(tmp_path, **arrays), **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04" + b"x" * 50])
def test_what_is_no_npz_is_refused(parts, content):
    with pytest.raises(SignbitError, match=r"not a \.npz of plain arrays"):
        read(parts(content, "set.npz"))


# --- folders


@pytest.fixture
def photos(tmp_path):
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed (pip install 'signbit[images]')")
    rng = np.random.default_rng(0)
    for kind in ("cat", "dog"):
        (tmp_path / "photos" / kind).mkdir(parents=True)
        for number in range(12):
            pixels = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
            image.fromarray(pixels).save(tmp_path / "photos" / kind / f"{number}.png")
    return tmp_path / "photos"


def test_images_are_coloured_unless_grey(photos):
    from PIL import Image

    samples = read(photos)
    assert samples.values.shape == (24, 6, 8, 3) and samples.labels == ("cat", "dog")
    assert np.array_equal(samples.values[0], np.asarray(Image.open(photos / "cat" / "0.png")))
    assert read(photos, grey=True).values.shape == (24, 6, 8, 1)
    assert read(photos, grey=True, resize=(3, 5)).values.shape == (24, 3, 5, 1)
    for path in photos.rglob("*.png"):
        Image.open(path).convert("L").save(path)
    assert read(photos).values.shape == (24, 6, 8, 1)
    assert load_dataset(str(photos)).input_shape == (6, 8, 1)


def test_other_files_beside_images_do_not_matter(photos):
    (photos / "notes.txt").write_text("hello")
    (photos / ".cache").mkdir()
    (photos / "cat" / "Thumbs.db").write_text("hello")
    assert len(read(photos).values) == 24


def save_images(folder, images, suffix="png", **words):
    """`images` by class: Pillow's images, each a file of its own."""
    for kind, pictures in images.items():
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for number, picture in enumerate(pictures):
            picture.save(folder / kind / f"{number}.{suffix}", **words)
    return folder


def drawing(mask):
    """Black where `mask` is, transparent elsewhere: RGBA, and a palette whose entries all are black."""
    from PIL import Image

    palette = Image.fromarray(mask.astype(np.uint8))
    palette = Image.frombytes("P", palette.size, palette.tobytes())
    palette.putpalette([0, 0, 0] * 256)
    return {"rgba": Image.fromarray(np.dstack([mask * 0] * 3 + [mask * 255]).astype(np.uint8)), "palette": palette}


@pytest.mark.parametrize("kind", ["rgba", "palette"])
def test_transparent_pixels_get_a_background(tmp_path, kind):
    pytest.importorskip("PIL", reason="Pillow is not installed (pip install 'signbit[images]')")
    masks = [np.arange(64).reshape(8, 8) % 8 == n for n in range(4)]
    images = {label: [drawing(mask)[kind] for mask in masks] for label in "ab"}
    folder = save_images(tmp_path / "d", images, **({"transparency": 0} if kind == "palette" else {}))
    white, black = read(folder), read(folder, background="black")
    assert [np.array_equal(white.values[n, ..., 0], np.where(masks[n], 0, 255)) for n in range(4)] == [True] * 4
    assert black.values.max() == 0 and white.values.shape[-1] == 1
    assert white.notes == ("transparent pixels, of 8 images, are white here; see --background",)
    assert black.notes == ()


@pytest.mark.parametrize("suffix", ["gif", "png"])
def test_grey_images_are_grey_however_they_are_stored(tmp_path, suffix):
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed (pip install 'signbit[images]')")
    grey = image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8) * 3)
    stored = grey.convert("P") if suffix == "gif" else grey.convert("RGB")
    folder = save_images(tmp_path / "g", {"a": [stored], "b": [stored]}, suffix)
    assert read(folder).values.shape == (2, 8, 8, 1) and np.array_equal(
        read(folder).values[0, ..., 0], np.asarray(grey)
    )


def test_images_of_16_bits_are_refused_coloured_or_not(tmp_path):
    """Pillow cuts coloured ones to 8 bits without a word; this PNG is written by hand, since it can't write them."""
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed (pip install 'signbit[images]')")
    from signbit.codegen.report_page import png

    save_images(tmp_path / "d", {"a": [image.new("RGB", (2, 1))], "b": [image.new("RGB", (2, 1))]})
    deep = bytearray(png(np.zeros((1, 4, 3), np.uint8)))
    # the same bytes are two pixels of 16 bits; IHDR's checksum is made anew
    deep[16:20], deep[24] = (2).to_bytes(4, "big"), 16
    deep[29:33] = zlib.crc32(deep[12:29]).to_bytes(4, "big")
    (tmp_path / "d" / "a" / "0.png").write_bytes(deep)
    assert image.open(tmp_path / "d" / "a" / "0.png").mode == "RGB"
    with pytest.raises(SignbitError, match=r"a/0.png: has more than 8 bits per value; save it with 8"):
        read(tmp_path / "d")


def test_no_image_is_left_out_without_a_word(photos):
    (photos / "cat" / "more").mkdir()
    (photos / "cat" / "0.png").rename(photos / "cat" / "more" / "0.png")
    from PIL import Image

    Image.new("RGB", (8, 6)).save(photos / "dog" / "x.jfif", format="JPEG")
    (photos / "dog" / "notes.txt").write_text("hello")
    samples = read(photos)
    assert len(samples.values) == 25 and samples.notes == ("left out 1 file: 1 .txt",)


def test_bad_images_are_refused_by_name(photos, monkeypatch):
    from PIL import Image

    with monkeypatch.context() as patch:
        patch.setattr(image_folder, "PIXELS_MAX", 48)
        assert len(read(photos).values) > 0
        patch.setattr(image_folder, "PIXELS_MAX", 47)
        with pytest.raises(SignbitError, match=r"0\.png: has more than 47 pixels; make it smaller"):
            read(photos)
    Image.new("RGB", (9, 9)).save(photos / "dog" / "x.png")
    with pytest.raises(SignbitError, match=r"dog/x.png: is 9x9, but the first image is 6x8; .* --resize 6x8"):
        read(photos)
    Image.new("I;16", (8, 6)).save(photos / "dog" / "x.png")
    with pytest.raises(SignbitError, match=r"dog/x.png: has more than 8 bits"):
        read(photos)
    (photos / "dog" / "x.png").write_bytes(b"hello")
    with pytest.raises(SignbitError, match=r"dog/x.png: can't be read as an image"):
        read(photos)
    (photos / "bird").mkdir()
    with pytest.raises(SignbitError, match="bird: has no images"):
        read(photos)
    with pytest.raises(SignbitError, match="--window means nothing for a folder of images"):
        read(photos, window=3)


def test_folder_without_anything_is_refused(tmp_path):
    with pytest.raises(SignbitError, match="has neither folders of images, nor recordings"):
        read(tmp_path)


def test_missing_pillow_is_named_with_its_extra(photos, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(SignbitError, match=re.escape("pip install 'signbit[images]'")):
        read(photos)


def idx_pair(folder, name, count, side=5, packed=True):
    images = np.random.default_rng(count).integers(0, 256, (count, side, side), dtype=np.uint8)
    labels = (np.arange(count) % 3).astype(np.uint8)
    for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
        data = gzip.compress(idx(array)) if packed else idx(array)
        (folder / f"{name}-{kind}-ubyte{'.gz' if packed else ''}").write_bytes(data)


def test_idx_folder_with_its_own_test_part(tmp_path):
    idx_pair(tmp_path, "emnist-train", 90)
    idx_pair(tmp_path, "emnist-test", 30, packed=False)
    data = load_dataset(str(tmp_path))
    assert (len(data.train) + len(data.validation), len(data.test)) == (90, 30)
    assert data.input_shape == (5, 5, 1) and data.labels == ("0", "1", "2")
    assert "own test" in data.split_rule


def test_idx_folder_with_one_pair_is_split(tmp_path):
    idx_pair(tmp_path, "shapes", 60)
    assert len(load_dataset(str(tmp_path)).test) == 12


def test_bad_idx_folders_are_refused(tmp_path):
    idx_pair(tmp_path, "t10k", 30)
    with pytest.raises(SignbitError, match=r"must hold one pair of IDX files, .* but has t10k"):
        read(tmp_path)
    idx_pair(tmp_path, "train", 30, side=6)
    with pytest.raises(SignbitError, match="differ in size"):
        read(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(np.zeros(7, np.uint8))))
    with pytest.raises(SignbitError, match=r"train-labels-idx1-ubyte.gz: 7 labels for 30 images"):
        read(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte.gz").unlink()
    assert run_command(trainer, ["--data", str(tmp_path)]) == 2


def test_idx_files_with_a_dot_in_their_names(tmp_path):
    """As some programs unpack them."""
    idx_pair(tmp_path, "train", 60, packed=False)
    for path in list(tmp_path.iterdir()):
        path.rename(path.with_name(path.name.replace("-idx", ".idx")))
    assert len(load_dataset(str(tmp_path)).test) == 12


def test_of_a_packed_file_and_its_twin_one_is_read(tmp_path):
    idx_pair(tmp_path, "my", 60)
    idx_pair(tmp_path, "my", 60, packed=False)
    (tmp_path / "my-images-idx3-ubyte.gz").write_bytes(b"damaged, and not looked at")
    assert len(read(tmp_path).values) == 60


def test_a_word_that_holds_test_is_no_test_part(tmp_path):
    idx_pair(tmp_path, "latest", 60)
    assert read(tmp_path).part is None


# --- labels


def test_the_order_of_labels_does_not_depend_on_the_hash_seed(parts):
    """Numbers that are equal as float64, and 1 beside 1.0."""
    tags = [f"90011800012345678{digit}" for digit in (7, 8, 9)]
    path = parts("x,tag\n" + "".join(f"{n},{tags[n % 3]}\n" for n in range(9)), "tags.csv")
    program = (
        "from pathlib import Path; from signbit.qmodel.data import reading\n"
        "from signbit.qmodel.data.readers.loading import LoadingOptions\n"
        "from signbit.qmodel.data.readers.samples import classes_of\n"
        f"print(reading.read(Path({str(path)!r}), LoadingOptions()).labels, classes_of(['2', '1.0', '1'])[1])"
    )
    expected = f"{tuple(tags)} ('1', '1.0', '2')\n"
    for seed in "0123":
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
        assert done.stdout == expected, done.stderr
