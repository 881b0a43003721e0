"""`python -m tools fuzz`: libFuzzer on the protocol's decoder and device, with ASan and UBSan.

A run of at least the default length writes bench/fuzz.json and its line in docs/PROTOCOL.md.
"""

import json
import os
import re
import subprocess
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from signbit.line.protocol import Frame, Request, encode
from signbit.places import MODELS, ROOT
from signbit.qmodel.atomic import write_whole
from signbit.qmodel.command import EXIT_DIFFERENT, EXIT_OK, Parser
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.file import load
from signbit.qmodel.option_types import whole
from tools.documents.blocks import replace_block
from tools.prove import host_build

RUNS = 25_000_000
SEED = 1
INPUT_BYTES_MAX = 128
SANITIZERS = "-fsanitize=fuzzer,address,undefined"
MODEL = MODELS / "digits-mlp.npz"
HARNESS = Path(__file__).with_name("fuzz.c")
FIGURES = ROOT / "bench" / "fuzz.json"
DOCUMENT = ROOT / "docs" / "PROTOCOL.md"
BLOCK = "fuzz"


@dataclass(frozen=True)
class Outcome:
    """`finding` is the first line of what a sanitizer or the harness found, None when there is nothing."""

    runs: int
    coverage_edges: int
    finding: str | None


def fuzz(runs: int, seed: int, protocol: Path | None = None) -> Outcome:
    """Run libFuzzer, from one frame of each request; `protocol` replaces protocol.c.

    Raises SignbitError when there is no clang.
    """
    with tempfile.TemporaryDirectory(prefix="signbit-") as name:
        folder = Path(name)
        options = ("-O2", "-g", SANITIZERS, "-fno-sanitize-recover=all", HARNESS)
        program = host_build.build(load(MODEL), folder / "fuzz", options, "clang", protocol)
        corpus = folder / "corpus"
        corpus.mkdir()
        for kind in Request:
            (corpus / kind.name).write_bytes(encode(Frame(kind, 1, bytes(4))))
        limits = [f"-runs={runs}", f"-seed={seed}", f"-max_len={INPUT_BYTES_MAX}", "-timeout=10", "-verbosity=1"]
        done = subprocess.run(
            [program, *limits, corpus], cwd=folder, capture_output=True, text=True, errors="replace", env=os.environ
        )
    log = done.stderr
    found = re.search(r"^.*(?:ERROR: |runtime error: ).*$", log, re.MULTILINE)
    edges = re.findall(r"cov: (\d+)", log)
    done_runs = re.findall(r"^#(\d+)", log, re.MULTILINE)
    if done.returncode == 0 and not re.search(r"^Done \d+ runs", log, re.MULTILINE):
        raise SignbitError(f"libFuzzer ended without a result: {log.strip()[-200:]}")
    finding = found.group() if found else f"exit code {done.returncode}" if done.returncode else None
    return Outcome(int(done_runs[-1]) if done_runs else 0, int(edges[-1]) if edges else 0, finding)


def line(outcome: dict) -> str:
    """The sentence of the document."""
    edges, finding = outcome["coverage_edges"], outcome["finding"] or "nothing found"
    return f"libFuzzer, {outcome['runs']:,} runs, {edges} edges covered: {finding}."


def main(arguments: list[str]) -> int:
    """Returns 1 when there is a finding."""
    parser = Parser(prog="python -m tools fuzz", description=__doc__.partition(": ")[2].partition("\n\n")[0])
    parser.add_argument("--runs", **whole(1).argument(), default=RUNS, help=f"of the fuzzer (default: {RUNS:,})")
    parser.add_argument("--seed", **whole(0).argument(), default=SEED, help=f"of the fuzzer (default: {SEED})")
    options = parser.parse_args(arguments)
    start = time.monotonic()
    outcome = fuzz(options.runs, options.seed)
    print(
        f"{outcome.runs:,} runs, seed {options.seed}, {outcome.coverage_edges} edges covered,"
        f" {time.monotonic() - start:.0f} s: {outcome.finding or '0 findings'}"
    )
    if options.runs >= RUNS:
        write_whole(FIGURES, (json.dumps({"seed": options.seed, **asdict(outcome)}, indent=2) + "\n").encode())
        replace_block(BLOCK, line(asdict(outcome)), DOCUMENT)
    return EXIT_DIFFERENT if outcome.finding else EXIT_OK
