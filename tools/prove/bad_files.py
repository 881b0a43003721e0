"""Damaged files of every kind, each refused in one line, in little time and memory.

Good files of each format are damaged at random: bits, bytes and pieces changed, moved, doubled and cut, numbers made
extreme, inside of zip archives with checksums that are right again, and inside of ONNX graphs.  A reader may take a
damaged file or refuse it with SignbitError or OSError.  Anything else is a finding, and so are a process that dies, a
read that takes longer than SECONDS_MAX, and a process that holds more than BYTES_MAX.
"""

import io
import re
import resource
import tempfile
import time
import warnings
import wave
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from signbit.jobs.executor import Jobs, result
from signbit.qmodel.data.own import load_own
from signbit.qmodel.data.readers.loading import LoadingOptions
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.file import load, to_bytes
from signbit.trainer.learning.checkpoint import Checkpoint, Task, save
from signbit.trainer.learning.run import begin
from signbit.trainer.learning.settings import default_settings
from signbit.trainer.network.architecture import read_toml
from tools.documents.blocks import ROOT
from tools.networks.random import FRONT_ENDS, front_end_model
from tools.prove.row import MOST, SEED, Outcome, Row

CHUNK = 500
SECONDS_MAX = 2.0
BYTES_MAX = 256 << 20
MODELS = ("digits-mlp", "digits-conv", "activity-600")
GRAPHS = ("torch_residual", "torch_signal", "brevitas_relu", "larq_conv", "digits-conv", "activity-600")
"""Files of the tests, where there are such, else what models are exported as."""
LIBRARIES = ("PIL", "scipy", "pyarrow", "soundfile", "onnx")
IR_VERSION_TAG = b"\x08"
"""With which an ONNX file begins."""
EXTREMES = (b"0", b"-1", b"1e999", b"NaN", b"9" * 30, b"2147483648", b"", b"0.5", b'"', b"[", b"\xff", b"\x00")


@dataclass(frozen=True)
class Format:
    """`make` gives a good file's content, `read` reads the file at a path; in a folder the file is `name`."""

    name: str
    make: Callable[[], bytes]
    read: Callable[[Path], object]
    in_folder: bool = False
    """`read` gets the folder, in which the other files are good."""


def formats() -> dict[str, Format]:
    """Every format that a reader takes, by a name that says which."""
    own = partial(load_own, options=LoadingOptions())
    images = {
        kind: Format(f"a/0.{kind}", partial(_image, kind), own, True) for kind in ("png", "gif", "bmp", "jpg", "tif")
    }
    tables = {
        "csv": Format("data.csv", _csv, own),
        "csv with semicolons": Format("data.txt", lambda: _csv().replace(b",", b";").replace(b".", b","), own),
        "csv packed": Format("data.csv.gz", _packed, own),
        "arff": Format("data.arff", _arff, own),
        "parquet": Format("data.parquet", partial(_arrow, "parquet"), own),
        "feather": Format("data.feather", partial(_arrow, "feather"), own),
        "npz": Format("data.npz", _npz, own),
        "wav": Format("a/0.wav", _wav, own, True),
        "flac": Format("a/0.flac", partial(_sound, "FLAC"), own, True),
        "wav by libsndfile": Format("a/0.wav", partial(_sound, "WAVEX"), own, True),
        "idx": Format("my-images-idx3-ubyte", _idx, own, True),
    }
    sound = partial(front_end_model, 0, *FRONT_ENDS[0])
    models = {"model with a front end": Format("m.npz", lambda: to_bytes(sound()), load)}
    models |= {f"model {name}": Format("m.npz", (ROOT / "models" / f"{name}.npz").read_bytes, load) for name in MODELS}
    graphs = {f"onnx {name}": Format("m.onnx", partial(_graph, name), _import) for name in GRAPHS}
    rest = {"checkpoint": Format("c.npz", _checkpoint, _resume), "toml": Format("net.toml", _toml, read_toml)}
    return {**models, **graphs, **rest, **tables, **images}


def damage(content: bytes, rng: np.random.Generator) -> bytes:
    """The content with one to four faults; those of a zip archive may lie inside of its entries."""
    if content[:2] == b"PK" and rng.random() < 0.7:
        return _damaged_entry(content, rng)
    if content[:1] == IR_VERSION_TAG and rng.random() < 0.7:
        from tools.prove import bad_graphs

        return bad_graphs.damaged(content, rng)
    for _ in range(rng.integers(1, 5)):
        content = _FAULTS[rng.integers(len(_FAULTS))](bytearray(content), rng)
    return bytes(content)


def run(first: int, count: int) -> Outcome:
    """Damaged files of one format, in a process of their own, which holds nothing that other formats need."""
    with Jobs(1) as jobs:
        return result(jobs.submit(_run_here, first, count))


def _run_here(first: int, count: int) -> Outcome:
    """The formats take turns."""
    found = tuple(formats().items())
    return read_damaged(*found[first // CHUNK % len(found)], first, count)


def read_damaged(name: str, kind: Format, first: int, count: int) -> Outcome:
    """Read `count` damaged files of the format `kind`, in this process."""
    rng = np.random.default_rng((SEED, first))
    warnings.simplefilter("ignore")
    findings: dict[str, None] = {}
    slowest = 0.0
    with tempfile.TemporaryDirectory(prefix="signbit-") as folder:
        path = Path(folder) / kind.name
        _write_good(kind, Path(folder))
        good = kind.make()
        path.write_bytes(good)
        # the time to import a library must not count against the file
        kind.read(Path(folder) if kind.in_folder else path)
        before = _peak_bytes()
        for number in range(first, first + count):
            path.write_bytes(damage(good, rng))
            # of this process: the machine may be busy with others
            start = time.process_time()
            try:
                kind.read(Path(folder) if kind.in_folder else path)
            except (SignbitError, OSError) as error:
                if "\n" in str(error):
                    findings[f"{name}, file {number}: a message of several lines"] = None
            except Exception as error:
                findings[f"{name}, file {number}: {type(error).__name__}: {str(error)[:100]}"] = None
            seconds = time.process_time() - start
            if seconds > SECONDS_MAX:
                findings[f"{name}, file {number}: took {seconds:.1f} s"] = None
            slowest = max(slowest, seconds)
    peak = _peak_bytes()
    # a process that held more before, such as one that runs tests, must not grow by as much
    if peak > BYTES_MAX + (before if before > BYTES_MAX else 0):
        findings[f"{name}, files from {first} on: {peak >> 20} MB held"] = None
    return Outcome({f"{MOST}ms for a file": round(1000 * slowest), f"{MOST}MB held": peak >> 20}, tuple(findings))


def _peak_bytes() -> int:
    """The most memory that this process has held.

    Linux counts in `ru_maxrss` what the parent held when it started the process, but not in VmHWM.
    """
    status = Path("/proc/self/status")
    peak = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return (int(peak[1]) if peak else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * 1024


def unchecked() -> Outcome:
    """A reader of text that lets errors out."""
    return read_damaged("text", Format("a.txt", lambda: b"abc" * 9, lambda path: path.read_bytes().decode()), 0, 300)


def missing() -> str | None:
    absent = [name for name in LIBRARIES if not find_spec(name)]
    return f"{', '.join(absent)} missing: pip install 'signbit[images,tables,sound,onnx]'" if absent else None


# --- faults


def _flip(content: bytearray, rng: np.random.Generator) -> bytearray:
    if content:
        content[rng.integers(len(content))] ^= 1 << rng.integers(8)
    return content


def _set(content: bytearray, rng: np.random.Generator) -> bytearray:
    if content:
        content[rng.integers(len(content))] = rng.choice([0, 1, 127, 128, 255])
    return content


def _cut(content: bytearray, rng: np.random.Generator) -> bytearray:
    return content[: rng.integers(len(content) + 1)]


def _remove(content: bytearray, rng: np.random.Generator) -> bytearray:
    first = rng.integers(len(content) + 1)
    del content[first : first + rng.integers(1, 64)]
    return content


def _double(content: bytearray, rng: np.random.Generator) -> bytearray:
    first, size, place = rng.integers(len(content) + 1), rng.integers(1, 256), rng.integers(len(content) + 1)
    content[place:place] = content[first : first + size]
    return content


def _number(content: bytearray, rng: np.random.Generator) -> bytearray:
    """Replace a number by something extreme, or put it anywhere in a file without numbers."""
    found = list(re.finditer(rb"-?\d+(\.\d+)?", content[:20_000]))
    extreme = EXTREMES[rng.integers(len(EXTREMES))]
    if found:
        match = found[rng.integers(len(found))]
        content[match.start() : match.end()] = extreme
    else:
        place = rng.integers(len(content) + 1)
        content[place:place] = extreme
    return content


_FAULTS = (_flip, _set, _cut, _remove, _double, _number, _number)


def _damaged_entry(content: bytes, rng: np.random.Generator) -> bytes:
    """The archive with faults in one of its entries, repacked so that sizes and checksums fit."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    name = list(entries)[rng.integers(len(entries))] if rng.random() < 0.5 else next(iter(entries))
    entry = bytearray(entries[name])
    for _ in range(rng.integers(1, 4)):
        entry = _FAULTS[rng.integers(len(_FAULTS))](entry, rng)
    entries[name] = bytes(entry)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry_name, data in entries.items():
            archive.writestr(zipfile.ZipInfo(entry_name), data, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


# --- good files


def _write_good(kind: Format, folder: Path) -> None:
    """The files that a folder needs besides the damaged one."""
    path = folder / kind.name
    path.parent.mkdir(exist_ok=True)
    if not kind.in_folder:
        return
    if "idx3" in kind.name:
        labels = np.arange(30, dtype=np.uint8) % 3
        (folder / "my-labels-idx1-ubyte").write_bytes(bytes((0, 0, 8, 1, 0, 0, 0, 30)) + labels.tobytes())
        return
    for label in "ab":
        (folder / label).mkdir(exist_ok=True)
        for number in range(10):
            (folder / label / f"{number}{path.suffix}").write_bytes(kind.make())


def _csv() -> bytes:
    rows = (f"{n % 7 + n % 3 * 9}.{n % 10},{n},{'abc'[n % 3]}" for n in range(40))
    return ("x,y,kind\n" + "\n".join(rows) + "\n").encode()


def _packed() -> bytes:
    import gzip

    return gzip.compress(_csv(), mtime=0)


def _arff() -> bytes:
    head = "@relation r\n@attribute x numeric\n@attribute y real\n@attribute kind {a,b,c}\n@data\n"
    return (head + "\n".join(f"{n % 7}.5,{n},{'abc'[n % 3]}" for n in range(40)) + "\n").encode()


def _arrow(kind: str) -> bytes:
    import pyarrow as arrow
    from pyarrow import feather, parquet

    columns = {"x": [n % 7 + 0.5 for n in range(40)], "y": list(range(40)), "kind": ["abc"[n % 3] for n in range(40)]}
    buffer = io.BytesIO()
    (parquet.write_table if kind == "parquet" else feather.write_feather)(arrow.table(columns), buffer)
    return buffer.getvalue()


def _npz() -> bytes:
    buffer = io.BytesIO()
    y = np.arange(40) % 3
    np.savez(
        buffer, x=(np.arange(120.0).reshape(40, 3) / 7), y=y, labels=np.array(["a", "b", "c"]), groups=np.arange(40)
    )
    return buffer.getvalue()


def _wav() -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes((np.arange(64) * 100).astype("<i2").tobytes())
    return buffer.getvalue()


def _sound(kind: str) -> bytes:
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, (np.arange(64) * 100).astype("<i2"), 8000, format=kind)
    return buffer.getvalue()


def _idx() -> bytes:
    return bytes((0, 0, 8, 3, 0, 0, 0, 30, 0, 0, 0, 4, 0, 0, 0, 4)) + bytes(range(240)) * 2


def _image(kind: str) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    pixels = (np.arange(8 * 8 * 3).reshape(8, 8, 3) * 5 % 256).astype(np.uint8)
    image = Image.fromarray(pixels)
    if kind == "gif":
        image = image.quantize(16)
    image.save(buffer, format={"jpg": "JPEG", "tif": "TIFF"}.get(kind, kind.upper()))
    return buffer.getvalue()


def _toml() -> bytes:
    layers = ('kind = "conv"\noutputs = 4\nkernel = [3, 3]\npool = [2, 2]', 'kind = "dense"')
    return "\n".join(f"[[layers]]\n{layer}\n" for layer in layers).encode()


def _graph(name: str) -> bytes:
    from signbit.bridge.export_onnx import export

    path = ROOT / "tests" / "golden" / "onnx" / f"{name}.onnx"
    return path.read_bytes() if path.exists() else export(load(ROOT / "models" / f"{name}.npz")).SerializeToString()


def _import(path: Path) -> None:
    from signbit.bridge.importing import Options, import_file

    import_file(path, Options())


def _task_and_training():
    with tempfile.TemporaryDirectory(prefix="signbit-") as folder:
        path = Path(folder) / "data.csv"
        path.write_bytes(_csv())
        data = load_own(path, LoadingOptions())
    settings = default_settings(data="data.csv", model="mlp", hidden=(4,), epochs=3)
    return Task(settings, "m", None, None, "data.csv", None, data.hash, LoadingOptions()), begin(settings, data)


def _checkpoint() -> bytes:
    with tempfile.TemporaryDirectory(prefix="signbit-") as folder:
        path = Path(folder) / "c.npz"
        save(path, *_task_and_training())
        return path.read_bytes()


def _resume(path: Path) -> None:
    """Resume the run, to its end, if the damaged file still is one of the same settings."""
    found = Checkpoint(path)
    task, training = _task_and_training()
    if found.task.settings == task.settings:
        found.restore(training)
        training.run()


ROW = Row(
    "bad-files",
    "a damaged file of any format ends in one line, within 2 s and 256 MB",
    "files",
    short=CHUNK * len(formats()),
    total=2_000_000,
    step=CHUNK,
    covers=("qmodel", "bridge", "trainer", "tools/prove/bad_files.py", "tools/prove/bad_graphs.py"),
    run=run,
    controls={"a reader that lets an error out": unchecked},
    missing=missing,
)
