"""`python -m tools prove bad-files`: damaged files of every kind, each refused in one line, in little time and memory.

Good files of each format are damaged at random: bits, bytes and pieces changed, moved, doubled and cut, numbers made
extreme, inside of zip archives with checksums that are right again, and inside of ONNX graphs.  A reader may take a
damaged file or refuse it with SignbitError or OSError.  Anything else is a finding, and so are a process that dies, a
read that takes longer than SECONDS_MAX, and a process that holds more than BYTES_MAX.
"""

import io
import json
import multiprocessing
import re
import resource
import tempfile
import time
import warnings
import wave
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from rich.progress import Progress

from signbit.console import console
from signbit.qmodel.atomic import write_whole
from signbit.qmodel.command import EXIT_DIFFERENT, EXIT_OK, Parser
from signbit.qmodel.data.own import load_own
from signbit.qmodel.data.readers.loading import LoadingOptions
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.file import load, to_bytes
from signbit.trainer.learning.checkpoint import Checkpoint, Task, save
from signbit.trainer.learning.run import begin
from signbit.trainer.learning.settings import default_settings
from signbit.trainer.network.architecture import read_toml
from tools.documents.blocks import ROOT, replace_block
from tools.networks.random import FRONT_ENDS, front_end_model

FILES = 100_000
CHUNK = 500
SECONDS_MAX = 2.0
BYTES_MAX = 256 << 20
SEED = 1
FIGURES = ROOT / "bench" / "bad_files.json"
DOCUMENT = ROOT / "docs" / "SECURITY.md"
BLOCK = "bad-files"
MODELS = ("digits-mlp", "digits-conv", "motion")
GRAPHS = ("torch_residual", "torch_signal", "brevitas_relu", "larq_conv", "digits-conv", "motion")
"""Files of the tests, where there are such, else what models are exported as."""
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


@dataclass(frozen=True)
class Outcome:
    files: int
    findings: tuple[str, ...]
    seconds_max: float
    bytes_max: int


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
        "flac": Format("a/0.flac", _flac, own, True),
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


def run_chunk(name: str, seed: int, count: int) -> Outcome:
    """Read `count` damaged files of a format."""
    kind, rng = formats()[name], np.random.default_rng(seed)
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
        for number in range(count):
            path.write_bytes(damage(good, rng))
            start = time.perf_counter()
            try:
                kind.read(Path(folder) if kind.in_folder else path)
            except (SignbitError, OSError) as error:
                if "\n" in str(error):
                    findings[f"{name}, seed {seed}, file {number}: a message of several lines"] = None
            except Exception as error:
                findings[f"{name}, seed {seed}, file {number}: {type(error).__name__}: {str(error)[:100]}"] = None
            seconds = time.perf_counter() - start
            if seconds > SECONDS_MAX:
                findings[f"{name}, seed {seed}, file {number}: took {seconds:.1f} s"] = None
            slowest = max(slowest, seconds)
    peak = _peak_bytes()
    # a process that held more before, such as one that runs tests, must not grow by as much
    if peak > BYTES_MAX + (before if before > BYTES_MAX else 0):
        findings[f"{name}, seed {seed}: {peak >> 20} MB held"] = None
    return Outcome(count, tuple(findings), slowest, peak)


def _peak_bytes() -> int:
    """The most memory that this process has held.

    Linux counts in `ru_maxrss` what the parent held when it started the process, but not in VmHWM.
    """
    status = Path("/proc/self/status")
    peak = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return (int(peak[1]) if peak else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * 1024


def prove(
    files: int, seed: int, names: tuple[str, ...] | None = None, workers: int = 2
) -> Iterator[tuple[str, Outcome]]:
    """Damaged files of all formats in turn, in processes of their own."""
    names = names or tuple(formats())
    context = multiprocessing.get_context("spawn")
    for index, name in enumerate(names):
        share = files // len(names) + (index < files % len(names))
        counts = [min(CHUNK, share - start) for start in range(0, share, CHUNK)]
        with ProcessPoolExecutor(workers, context) as pool:
            futures = [pool.submit(run_chunk, name, seed + number, count) for number, count in enumerate(counts)]
            for number, future in enumerate(futures):
                try:
                    yield name, future.result()
                except BrokenProcessPool:
                    yield name, Outcome(0, (f"{name}, seed {seed + number}: the process died",), 0.0, 0)


def main(arguments: list[str], prog: str = "python -m tools prove bad-files") -> int:
    """Returns 1 when there is a finding."""
    parser = Parser(prog=prog, description=__doc__.partition(": ")[2].partition("\n\n")[0])
    parser.add_argument("--files", metavar="N", type=int, default=FILES, help=f"in all (default: {FILES:,})")
    parser.add_argument("--seed", metavar="N", type=int, default=SEED, help="default: %(default)s")
    parser.add_argument("--format", action="append", choices=tuple(formats()), help="only this one; may be repeated")
    options = parser.parse_args(arguments)
    findings, files, slowest, most = [], Counter(), 0.0, 0
    with Progress(transient=True, console=console(stderr=True)) as progress:
        task = progress.add_task("files", total=options.files)
        for name, outcome in prove(options.files, options.seed, tuple(options.format or ())):
            findings += outcome.findings
            for finding in outcome.findings:
                print(finding)
            files[name] += outcome.files
            slowest, most = max(slowest, outcome.seconds_max), max(most, outcome.bytes_max)
            progress.update(task, description=name, advance=outcome.files)
    figures = {"seed": options.seed, "files": files, "findings": findings, "slowest_s": slowest, "peak_bytes": most}
    print(line(figures))
    if options.files >= FILES and not options.format:
        write_whole(FIGURES, (json.dumps(figures, indent=2) + "\n").encode())
        replace_block(BLOCK, line(figures), DOCUMENT)
    return EXIT_DIFFERENT if findings else EXIT_OK


def line(figures: dict) -> str:
    """What bench/bad_files.json says, in a sentence."""
    return (
        f"{sum(figures['files'].values()):,} damaged files of {len(figures['files'])} formats, "
        f"{len(figures['findings'])} findings; the slowest took {figures['slowest_s']:.2f} s, "
        f"a process held {figures['peak_bytes'] >> 20} MB at most"
    )


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


def _flac() -> bytes:
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, (np.arange(64) * 100).astype("<i2"), 8000, format="FLAC")
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
