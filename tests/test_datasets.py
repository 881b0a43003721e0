"""Data sets: the fixed split, IDX files, and what is wrong with bad ones."""

import gzip
import hashlib

import numpy as np
import pytest

from signbit.qmodel.data import mnist as mnist_files
from signbit.qmodel.data.named import load_dataset
from signbit.qmodel.data.readers.idx import read_idx
from signbit.qmodel.errors import SignbitError
from tests.own_files import idx

DIGITS_HASH = "6de7c8903132b19a02df2184c09c5ed5843ba24e7e2ea2dd106ac5b7c0846567"


@pytest.fixture
def folder(tmp_path):
    """A small MNIST of random images."""
    rng = np.random.default_rng(0)
    for part, count in (("train", 240), ("t10k", 30)):
        images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        (tmp_path / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images)))
        (tmp_path / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(labels)))
    return tmp_path


def test_digits_are_split_the_same_for_good():
    digits = load_dataset("digits")
    assert [len(part) for part in (digits.train, digits.validation, digits.test)] == [1257, 180, 360]
    assert digits.hash == DIGITS_HASH
    for part in (digits.train, digits.validation, digits.test):
        share = np.bincount(part.y, minlength=10) / len(part)
        assert np.abs(share - 0.1).max() < 0.02
    assert digits.train.x.dtype == np.uint8 and digits.train.x.max() == 255


def test_parts_do_not_overlap():
    digits = load_dataset("digits")
    rows = [row.tobytes() for part in (digits.train, digits.validation, digits.test) for row in part.x]
    assert len(rows) == 1797 and len(set(rows)) == 1797


def test_mnist_is_split_the_same_for_good(mnist):
    assert [len(part) for part in (mnist.train, mnist.validation, mnist.test)] == [55_000, 5_000, 10_000]
    assert np.bincount(mnist.validation.y).min() > 440


def test_small_mnist_is_read_packed_and_unpacked(folder):
    packed = load_dataset("mnist", folder)
    assert len(packed.train) + len(packed.validation) == 240 and len(packed.validation) == 20
    for path in folder.iterdir():
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    assert load_dataset("mnist", folder).hash == packed.hash


def test_folder_above_and_environment_variable_work(folder, tmp_path, monkeypatch):
    (tmp_path / "mnist").mkdir()
    for path in list(folder.glob("*.gz")):
        path.rename(tmp_path / "mnist" / path.name)
    monkeypatch.setenv("SIGNBIT_DATA_DIR", str(tmp_path))
    assert len(load_dataset("mnist").test) == 30


def images(count=240):
    return idx(np.zeros((count, 28, 28), np.uint8))


BAD_FILES = {
    "wrong magic": ("train-images-idx3-ubyte.gz", gzip.compress(b"\0\0\x0d\x03" + bytes(12)), "wrong magic number"),
    "labels as images": ("train-images-idx3-ubyte.gz", gzip.compress(idx(np.zeros(9, np.uint8))), "wrong magic number"),
    "truncated gzip": ("train-images-idx3-ubyte.gz", gzip.compress(images())[:-9], "truncated or damaged gzip"),
    "no gzip": ("train-images-idx3-ubyte.gz", b"hello", "gzip"),
    "damaged gzip": ("train-images-idx3-ubyte.gz", gzip.compress(images())[:60] + b"\xff" * 30, "gzip"),
    "short data": ("train-images-idx3-ubyte.gz", gzip.compress(images()[:-5]), "shorter than its header says"),
    "long data": ("train-images-idx3-ubyte.gz", gzip.compress(images() + b"x"), "longer than its header says"),
    "huge header": ("t10k-images-idx3-ubyte.gz", gzip.compress(b"\0\0\x08\x03" + b"\xff" * 12), "more than"),
    "other image size": (
        "train-images-idx3-ubyte.gz",
        gzip.compress(idx(np.zeros((240, 27, 28), np.uint8))),
        "28x28",
    ),
    "label out of range": (
        "train-labels-idx1-ubyte.gz",
        gzip.compress(idx(np.full(240, 10, np.uint8))),
        "label 10 is out of range",
    ),
    "too few labels": ("train-labels-idx1-ubyte.gz", gzip.compress(idx(np.zeros(3, np.uint8))), "3 labels for 240"),
    "empty": ("train-images-idx3-ubyte.gz", b"", "wrong magic number"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_file_is_refused_by_name(folder, case):
    name, content, words = BAD_FILES[case]
    (folder / name).write_bytes(content)
    with pytest.raises(SignbitError, match=words) as caught:
        load_dataset("mnist", folder)
    assert name in str(caught.value) and "\n" not in str(caught.value)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(
        SignbitError, match=r"MNIST is not there; it needs train-images-idx3-ubyte.gz, .* in that folder"
    ):
        load_dataset("mnist", tmp_path)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("SIGNBIT_DATA_DIR", raising=False)
    return tmp_path / "cache" / "signbit" / "mnist"


def test_without_network_the_message_says_what_to_put_where(cache, monkeypatch):
    monkeypatch.setattr(mnist_files, "MIRRORS", ((cache.parent / "nowhere").as_uri() + "/",))
    with pytest.raises(SignbitError, match=r"could not be downloaded; put .* into .*mnist, or name their folder"):
        load_dataset("mnist")


def test_download_fills_the_cache_and_is_checked(cache, folder, monkeypatch):
    """A file:// mirror stands in for the network."""
    sums = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.gz")}
    monkeypatch.setattr(mnist_files, "SHA256", sums)
    monkeypatch.setattr(mnist_files, "MIRRORS", (folder.as_uri() + "/",))
    assert len(load_dataset("mnist").test) == 30
    assert sorted(path.name for path in cache.iterdir()) == sorted(sums)
    (folder / "t10k-labels-idx1-ubyte.gz").write_bytes(b"other")
    (cache / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(SignbitError, match="could not be downloaded"):
        load_dataset("mnist")
    assert not (cache / "t10k-labels-idx1-ubyte.gz").exists()


def test_unknown_data_set_is_refused():
    with pytest.raises(SignbitError, match="'cats' is unknown; there are digits, mnist"):
        load_dataset("cats")


@pytest.mark.parametrize(
    ("size", "words"), [(1 << 30, "shorter than its header says"), ((1 << 30) + 1, "more than 10")]
)
def test_an_idx_file_has_at_most_one_gibibyte(tmp_path, size, words):
    path = tmp_path / "labels"
    path.write_bytes(bytes((0, 0, 8, 1)) + size.to_bytes(4, "big") + b"few")
    with pytest.raises(SignbitError, match=words):
        read_idx(path, axes=1)
