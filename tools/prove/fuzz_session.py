"""libFuzzer on whole sessions: requests, noise, loads of models, power cuts and restarts, with ASan and UBSan."""

import tempfile
from functools import partial
from pathlib import Path

from tools.networks.random import random_model
from tools.networks.retrained import retrained
from tools.prove import planted
from tools.prove.fuzz import fuzz, missing
from tools.prove.load_cut import SWAP, block_of
from tools.prove.row import Outcome, Row

INPUT_BYTES_MAX = 256
HARNESS = Path(__file__).with_name("fuzz_session.c")
LOAD, RESTART, INFER, POWER_ON = bytes([2, 4, 0, 255, 6]), b"\x09", b"\x07", bytes([8, 255, 255, 0])
SEAL_STEP = 79
"""In the middle of the seal, for the model below."""
SEEDS = (
    LOAD + INFER + RESTART + INFER,
    bytes([2, 4, 0, 3]) + RESTART + LOAD + RESTART,
    bytes([2, 5, 110, 0, 6]) + RESTART + bytes([2, 5, 255, 255, 6]),
    bytes([8, SEAL_STEP, 0, 255]) + LOAD + POWER_ON + bytes([3, 9]) + INFER,
    bytes([0, 11, 8, 0, 0, 0, 0, 1, 2, 3, 4, 1, 2, 13, 10, 3, 5]),
)
"""Loads that are whole, interrupted, damaged and cut."""
PLANTED = {
    "a block that is refused stays in use": ("        model_use(before);\n", ""),
    "only the beginning of a block is checked": (
        "error = check(received);",
        "error = received->magic == MODEL_WEIGHTS_MAGIC ? PROTOCOL_OK : PROTOCOL_NOT_A_MODEL;",
    ),
}
CONTROL_RUNS = 2000


def run(first: int, count: int, changed: Path | None = None) -> Outcome:
    """`count` sessions, with the seed `first`; `changed` replaces swap.c."""
    model = random_model(7, (20, 5, 3))
    with tempfile.TemporaryDirectory(prefix="signbit-") as name:
        octets = ", ".join(map(str, block_of(retrained(model, 1))))
        Path(name, "other_block.h").write_text(f"static const uint8_t other_block[] = {{ {octets} }};\n")
        device = {"changed": changed, "is_swappable": True}
        return fuzz(model, HARNESS, Path(name), SEEDS, first, count, INPUT_BYTES_MAX, **device)


ROW = Row(
    "fuzz-session",
    "no session, with models loaded and power cut, leaves the device without a model that computes",
    "sessions",
    short=10_000,
    total=5_000_000,
    step=50_000,
    covers=("firmware/src", "firmware/include", "codegen", "tools/prove/fuzz_session.py", "tools/prove/fuzz_session.c"),
    run=run,
    controls={name: partial(planted.in_firmware, run, CONTROL_RUNS, SWAP, *change) for name, change in PLANTED.items()},
    missing=missing,
)
