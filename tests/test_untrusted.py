"""Files and texts of strangers: bounded, regular, and shown without tricks; every reader opens its files so."""

import ast
import gzip
import io
import json
import os
import re
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from signbit.codegen.commands.cli import main as codegen
from signbit.line.link import BLOCK_BYTES_MAX, Link, LinkError
from signbit.qmodel import archive
from signbit.qmodel.command import run_command
from signbit.qmodel.data import own
from signbit.qmodel.data.readers.loading import LoadingOptions
from signbit.qmodel.data.reading import read
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.file import load
from signbit.qmodel.untrusted import open_file, read_file, shown
from signbit.trainer.learning.checkpoint import Checkpoint
from signbit.trainer.network.architecture import parse, read_toml, resolve
from tests.own_files import csv_text, save_npz
from tools.prove import bad_files

READERS = {
    "m.npz": load,
    "c.checkpoint": Checkpoint,
    "net.toml": read_toml,
    "data.csv": lambda path: read(path, LoadingOptions()),
    "data.csv.gz": lambda path: read(path, LoadingOptions()),
    "data.npz": lambda path: read(path, LoadingOptions()),
    "data.arff": lambda path: read(path, LoadingOptions()),
    "data.parquet": lambda path: read(path, LoadingOptions()),
}


@pytest.mark.parametrize("name", READERS)
def test_a_pipe_is_refused_and_not_waited_for(tmp_path, name):
    path = tmp_path / name
    os.mkfifo(path)
    with pytest.raises(SignbitError, match="is a pipe or device; write its content to a file first"):
        READERS[name](path)


@pytest.mark.parametrize("name", READERS)
def test_a_device_is_refused(tmp_path, name):
    """/dev/zero has no end; /dev/null would do this test no harm if it were read."""
    path = tmp_path / name
    path.symlink_to("/dev/null")
    with pytest.raises(SignbitError, match="is a pipe or device"):
        READERS[name](path)


def test_files_are_no_larger_than_the_reader_allows(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"x" * 100)
    assert read_file(path, 100) == b"x" * 100
    with pytest.raises(SignbitError, match=r"is larger than 99 bytes"):
        read_file(path, 99)
    packed = tmp_path / "a.gz"
    packed.write_bytes(gzip.compress(b"x" * 1_000_000))
    assert len(read_file(packed, 1_000_000)) == 1_000_000
    with pytest.raises(SignbitError, match=r"unpacks to more than 999,999 bytes"):
        read_file(packed, 999_999)
    packed.write_bytes(gzip.compress(b"x" * 1000)[:-9])
    with pytest.raises(SignbitError, match="truncated or damaged gzip file"):
        read_file(packed, 10_000)
    with pytest.raises(SignbitError, match="is a folder"), open_file(tmp_path, 10):
        pass


def test_a_line_without_an_end_is_refused(parts):
    with pytest.raises(SignbitError, match="has a line of 4,194,304 characters"):
        read(parts("x" * (1 << 22) + "\n"), LoadingOptions())


def test_no_reader_opens_files_on_its_own(repository):
    """`open`, `read_bytes` and their like are called in one module, and where files are the project's own."""
    allowed = {"untrusted.py", "atomic.py", "named.py", "mnist.py", "command.py", "shipped.py"}
    calls = {"open", "read_bytes", "read_text", "load", "fromfile"}
    for path in sorted((repository / "qmodel").rglob("*.py")):
        if path.name in allowed:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                owner = getattr(getattr(node.func, "value", None), "id", "")
                on_content = owner in ("archive", "image_module", "wave", "self", "_archive") or name == "load"
                assert name not in calls or on_content or "_archive" in ast.dump(node.func), (
                    f"{path.name}:{node.lineno}"
                )


# --- archives


def zipped(entries: dict[str, bytes], compression=zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        for name, content in entries.items():
            file.writestr(name, content)
    return buffer.getvalue()


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_entries_are_stored_or_deflated(repository, tmp_path, method):
    """SPEC 9 knows no other methods."""
    with zipfile.ZipFile(repository / "models" / "digits-mlp.npz") as file:
        content = zipped({name: file.read(name) for name in file.namelist()}, method)
    (tmp_path / "m.npz").write_bytes(content)
    with pytest.raises(SignbitError, match="is compressed in a way that such files never are"):
        load(tmp_path / "m.npz")
    with pytest.raises(SignbitError, match="is compressed in a way"):
        archive.plain_arrays(zipped({"x.npy": npy(np.arange(3))}, method), 1000)


def test_arrays_that_unpack_to_more_than_their_reader_allows_are_refused():
    content = zipped({"x.npy": npy(np.zeros(1000)), "y.npy": npy(np.zeros(1000))})
    assert set(archive.plain_arrays(content, 20_000)) == {"x", "y"}
    with pytest.raises(SignbitError, match="unpacks to more than 10,000 bytes"):
        archive.plain_arrays(content, 10_000)


def test_a_header_without_finite_numbers_is_refused(repository, tmp_path):
    with zipfile.ZipFile(repository / "models" / "digits-mlp.npz") as file:
        entries = {name: file.read(name) for name in file.namelist()}
    start = entries["header.npy"].index(b"{", 100)
    header = json.loads(entries["header.npy"][start:])
    header["provenance"]["seconds"] = "INFINITE"
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).replace('"INFINITE"', "1e999")
    entries["header.npy"] = npy(np.frombuffer(text.encode(), np.uint8))
    (tmp_path / "m.npz").write_bytes(zipped(entries))
    with pytest.raises(SignbitError, match="the header is not JSON"):
        load(tmp_path / "m.npz")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("position", -1),
        ("position", 1.5),
        ("epochs", 99),
        ("chosen", 0),
        ("order", -1),
        ("grids", [5000]),
        ("grids", 3),
    ],
)
def test_numbers_that_no_run_has_are_refused(tmp_path, name, value):
    with zipfile.ZipFile(io.BytesIO(bad_files.formats()["checkpoint"].make())) as file:
        entries = {entry: file.read(entry) for entry in file.namelist()}
    header = json.loads(entries["header.npy"][entries["header.npy"].index(b"{", 100) :])
    header[name] = value
    text = json.dumps(header, sort_keys=True, separators=(",", ":"))
    entries["header.npy"] = npy(np.frombuffer(text.encode(), np.uint8))
    (tmp_path / "c.npz").write_bytes(zipped(entries))
    with pytest.raises(SignbitError, match=r"must be a whole number|small whole numbers|can't be understood"):
        bad_files.formats()["checkpoint"].read(tmp_path / "c.npz")


BAD_ARRAYS = {
    "object": (npy(np.array([None], object)), "is not a plain array"),
    "size": (npy(np.arange(3))[:-1], "does not have the size that its header says"),
    "huge": (npy(np.arange(3)).replace(b"(3,)", b"(3333333333,)").replace(b"          \n", b" \n"), "."),
    "characters": (npy(np.array([0x7FFFFFFF, 0x41], "<u4").view("<U2")), "characters that do not exist"),
}


@pytest.mark.parametrize("case", BAD_ARRAYS)
def test_arrays_that_are_not_what_they_say_are_refused(case):
    content, words = BAD_ARRAYS[case]
    with pytest.raises(SignbitError, match=words):
        archive.plain_arrays(zipped({"x.npy": content}), 1 << 20)


# --- images, networks, devices


def test_only_a_few_formats_of_images_are_opened(tmp_path):
    """A PostScript file would start Ghostscript, whatever its name."""
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed (pip install 'signbit[images]')")
    for kind in "ab":
        (tmp_path / kind).mkdir()
        image.new("L", (4, 4)).save(tmp_path / kind / "0.png", format="PCX")
    with pytest.raises(SignbitError, match=r"a/0.png: can't be read as an image"):
        read(tmp_path, LoadingOptions())
    (tmp_path / "a" / "0.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n")
    with pytest.raises(SignbitError, match=r"a/0.png: can't be read as an image"):
        read(tmp_path, LoadingOptions())


def test_libraries_add_no_lines_of_their_own(tmp_path, capfd):
    """libtiff writes to stderr itself when a compressed image is damaged."""
    Image = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(1)
    for number in range(20):
        path = tmp_path / "ab"[number % 2] / f"{number}.tif"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (16, 16), dtype=np.uint8)).save(path, compression="tiff_lzw")
    content = bytearray(path.read_bytes())
    content[20:40] = b"\xff" * 20
    path.write_bytes(content)
    with pytest.raises(SignbitError, match=f"{path.name}: can't be read"):
        own.load_own(tmp_path, LoadingOptions())
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "text", ["dense:" + "9" * 5000, "conv3x3:4, " * 5000 + "dense", "conv" + "9" * 5000 + ":3, dense"]
)
def test_long_networks_are_refused(text):
    with pytest.raises(SignbitError):
        parse(text)


def test_deep_toml_is_refused(tmp_path):
    path = tmp_path / "net.toml"
    for content in ("a = " + "[" * 5000 + "]" * 5000, "a = " + "9" * 5000, "x" * (2 << 20)):
        path.write_text(content)
        with pytest.raises(SignbitError):
            read_toml(path)


@pytest.mark.parametrize(("text", "shape"), [("conv1x1:65535, dense", (28, 28, 1)), ("dense:8, dense", (480, 640, 1))])
def test_a_network_that_no_model_can_be_takes_no_memory(text, shape):
    import tracemalloc

    tracemalloc.start()
    with pytest.raises(SignbitError, match=r"inputs per neuron|too many weights or outputs"):
        resolve(parse(text), shape, 10)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_what_can_be_known_before_training_is_refused_before(tmp_path, trainer):
    path = save_npz(tmp_path, x=np.zeros((40, 300, 300), np.uint8), y=np.arange(40) % 2)
    out = tmp_path / "m.npz"
    code, _, err = trainer("--data", path, "--model", "mlp", "--hidden", "8", "--epochs", "99999", "--out", out)
    assert code == 2 and "has 90,000 inputs per neuron" in err and "epoch" not in err
    assert sorted(tmp_path.iterdir()) == [path]


def test_a_device_that_names_an_endless_block_is_not_believed(monkeypatch):
    class Silent:
        def write(self, data):
            pass

    link = Link(Silent())
    monkeypatch.setattr(link, "request", lambda kind, payload: (BLOCK_BYTES_MAX + 1).to_bytes(4, "little") + b"x")
    with pytest.raises(LinkError, match="says a block has"):
        link.info()


# --- texts


def test_texts_are_shown_on_one_line_without_tricks():
    assert shown("a\x1b[2Jb\nc\u202ed\u2066e\x00") == "a?[2Jb?c?d?e?"
    assert shown("x" * 100) == "x" * 59 + "…" and shown("ü→中") == "ü→中"


def test_names_in_messages_can_not_move_the_cursor(parts, trainer):
    for content in ("a,\x1b[31mred\u202e\n1,x\n2,y\n" * 2, "\x1b[2J" * 9000 + ",b\n1,x\nz,y\n"):
        code, _, err = trainer("--data", parts(content), "--epochs", "1", "--quiet")
        assert code == 2 and "\x1b" not in err and "\u202e" not in err and len(err) < 1100


def test_the_name_of_a_data_file_can_not_move_the_cursor(trainer, tmp_path, capsys):
    """Wherever a command says what it went through; labels too."""
    path = tmp_path / "new\nline\x1b[2J.csv"
    labels = "b", "a\x1b[31m"
    path.write_text("x,c\n" + "".join(f"{n % 2 * 9 + n % 4},{labels[n % 2]}\n" for n in range(60)))
    model = tmp_path / "m.npz"
    assert trainer("--data", path, "--model", "logistic", "--epochs", "1", "--quiet", "--out", model)[0] == 0
    code, out, _ = trainer("evaluate", model, "--data", path)
    assert code == 0 and out.startswith("new_line_2J on new?line?[2J.csv: integer accuracy") and "\x1b" not in out
    assert run_command(codegen, ["verify", str(model), "--data", str(path), "--limit", "1"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("new?line?[2J.csv test set: 1 input,") and "\x1b" not in out
    path.write_text(path.read_text().replace(",b", "," + "b" * 500))
    code, _, err = trainer("--data", path, "--model", "logistic")
    assert code == 2 and "must be 1 to 64 bytes long" in err and len(err) < 120


def run_main(tmp_path, arguments, redirect="", **environment):
    path = os.pathsep.join(sys.path)
    command = f"{sys.executable} -m signbit {arguments} {redirect}"
    return subprocess.run(
        command, shell=True, cwd=tmp_path, capture_output=True, env=os.environ | {"PYTHONPATH": path, **environment}
    )


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_any_output_takes_any_text(tmp_path, encoding):
    (tmp_path / "t.csv").write_text(csv_text(classes=("warm", "heiß 中", "kühl"), header="größe,x→,kind"), "utf-8")
    done = run_main(tmp_path, "look t.csv", PYTHONIOENCODING=encoding)
    assert done.returncode == 0 and done.stderr == b"" and b"warm" in done.stdout
    assert b"hei" in done.stdout and "x->" in done.stdout.decode(encoding)


def test_a_closed_output_is_one_line_and_exit_code_2(tmp_path):
    for arguments in ("look t.csv", "train --epochs 1", "inspect m.npz", "--help"):
        done = run_main(tmp_path, arguments, ">&-")
        assert done.returncode == 2 and re.fullmatch(rb"error: standard output is closed; [^\n]+\n", done.stderr)


def test_a_full_disk_at_the_output_is_one_line(repository):
    done = run_main(repository, "inspect models/digits-mlp.npz", "> /dev/full")
    assert done.returncode == 2 and re.fullmatch(rb"error: No space left on device\n", done.stderr)


def test_too_little_memory_is_one_line(capsys):
    def main(_):
        raise MemoryError

    assert run_command(main, []) == 2 and re.fullmatch(
        r"error: there is not enough memory [^\n]+\n", capsys.readouterr().err
    )


def test_good_files_are_read(tmp_path):
    """What `python -m tools prove bad-files` finds is the damage's, and not the readers'."""
    for name in ("csv", "npz", "toml", "checkpoint", "model digits-mlp"):
        kind = bad_files.formats()[name]
        (tmp_path / kind.name).write_bytes(kind.make())
        kind.read(tmp_path / kind.name)
