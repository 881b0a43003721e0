"""libFuzzer on the protocol's decoder and device, with ASan and UBSan."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from signbit.line.frame import Frame, encode
from signbit.line.protocol import Request
from signbit.places import FIRMWARE, MODELS
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.file import load
from signbit.qmodel.model import QuantizedModel
from tools.prove import host_build, planted
from tools.prove.row import MOST, Outcome, Row

INPUT_BYTES_MAX = 128
SANITIZERS = "-fsanitize=fuzzer,address,undefined"
MODEL = MODELS / "digits-mlp.npz"
PROTOCOL = FIRMWARE / "src" / "protocol.c"
HARNESS = Path(__file__).with_name("fuzz.c")
PLANTED = {
    "a length that is not checked": ("if (length < PROTOCOL_WIRE_BYTES) {", "if (length < 256u) {"),
    "an offset that is not checked": (
        "if (offset > device->input_bytes || bytes > device->input_bytes - offset) {",
        "if (offset > 1u << 20) {",
    ),
}
CONTROL_RUNS = 2_000_000


def run(first: int, count: int, protocol: Path | None = None) -> Outcome:
    """`count` runs of libFuzzer, from one frame of each request, with the seed `first`; `protocol` replaces protocol.c.

    The finding is the first line of what a sanitizer or the harness says.
    """
    seeds = [encode(Frame(kind, 1, bytes(4))) for kind in Request]
    with tempfile.TemporaryDirectory(prefix="signbit-") as name:
        return fuzz(load(MODEL), HARNESS, Path(name), seeds, first, count, INPUT_BYTES_MAX, changed=protocol)


def fuzz(
    model: QuantizedModel,
    harness: Path,
    folder: Path,
    seeds: Iterable[bytes],
    first: int,
    count: int,
    input_bytes_max: int,
    **device,
) -> Outcome:
    """`count` runs of libFuzzer's `harness` in `folder`, from the inputs `seeds`; the build is told of `device`."""
    options = ("-O2", "-g", SANITIZERS, "-fno-sanitize-recover=all", harness)
    program = host_build.build(model, folder / "fuzz", options, "clang", **device)
    corpus = folder / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(seeds):
        (corpus / str(number)).write_bytes(seed)
    # libFuzzer takes 0 for a seed of its own choice
    limits = [f"-runs={count}", f"-seed={first + 1}", f"-max_len={input_bytes_max}", "-timeout=10", "-verbosity=1"]
    done = subprocess.run(
        [program, *limits, corpus], cwd=folder, capture_output=True, text=True, errors="replace", env=os.environ
    )
    found = re.search(r"^.*(?:ERROR: |runtime error: ).*$", done.stderr, re.MULTILINE)
    if done.returncode == 0 and not re.search(rf"^Done {count} runs", done.stderr, re.MULTILINE):
        raise SignbitError(f"libFuzzer ended without a result: {done.stderr.strip()[-200:]}")
    edges = max(map(int, re.findall(r"cov: (\d+)", done.stderr)), default=0)
    finding = found.group() if found else f"exit code {done.returncode}"
    return Outcome({f"{MOST}edges covered": edges}, (f"seed {first + 1}: {finding}",) if done.returncode else ())


def missing() -> str | None:
    return None if shutil.which("clang") else "clang is missing: apt install clang"


ROW = Row(
    "fuzz-frame",
    "no bytes on the line make the device read or write where it should not, or do what C leaves undefined",
    "runs",
    short=300_000,
    total=200_000_000,
    step=2_000_000,
    covers=("firmware/src", "firmware/include", "signbit/line", "tools/prove/fuzz.py", "tools/prove/fuzz.c"),
    run=run,
    controls={
        name: partial(planted.in_firmware, run, CONTROL_RUNS, PROTOCOL, *change) for name, change in PLANTED.items()
    },
    missing=missing,
)
