"""Other machines, as far as one can imitate them: BLAS kernels, thread counts, SIMD instructions, numpy versions."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from signbit.qmodel.errors import SignbitError
from tools.documents.blocks import ROOT

NO_SIMD = {"NPY_DISABLE_CPU_FEATURES": "X86_V4 X86_V3 AVX512F AVX512CD AVX512_SKX AVX2 FMA3"}
MACHINES: tuple[dict[str, str], ...] = (
    {},
    {"OPENBLAS_CORETYPE": "Haswell"},
    {"OPENBLAS_CORETYPE": "Sandybridge"},
    {"OPENBLAS_CORETYPE": "Nehalem"},
    {"OPENBLAS_CORETYPE": "Prescott", "OPENBLAS_NUM_THREADS": "2"},
    {"OPENBLAS_NUM_THREADS": "2"},
    NO_SIMD,
)
"""Environments that imitate other processors; an unknown name is ignored by OpenBLAS and by numpy."""

RUNS: dict[str, dict] = {
    "mlp": {"model": "mlp", "hidden": [64], "epochs": 4},
    "stochastic": {"model": "mlp", "binarize": "stochastic", "epochs": 3, "schedule": "exponential", "dropout": 0.2},
    "conv": {
        "model": "conv3x3pad:12, conv3x3pad:16 pool2, dense",
        "epochs": 3,
        "frozen_epochs": 1,
        "augment": "elastic",
        "flip": "both",
        "mild_epochs": 1,
        "input_noise": 8.0,
        "label_smoothing": 0.1,
    },
    "all kinds": {
        "model": "conv3x3pad:8 sign, depthwise3x3pad pool2, conv3x3:12 ternary, avgpool2, dense",
        "epochs": 2,
        "optimizer": "sgd",
        "class_weights": "balanced",
    },
}
"""Settings of short runs on the digits that together use everything on the path to the weights."""

# Every bit of the latent weights counts: signs alone would take many epochs to show that a sum was not exact.
TRAIN_AND_HASH = """
import hashlib, json, sys
from signbit.codegen.plan import make_plan
from signbit.codegen.render import header_text
from signbit.qmodel.data.named import load_dataset
from signbit.trainer.exact.grid import Grid
from signbit.trainer.learning.run import run
from signbit.trainer.learning.settings import default_settings
settings, seed, grid = json.loads(sys.argv[1])
if not grid:
    Grid.round = lambda self, gradient: gradient
result = run(default_settings("digits", seed=seed, **settings), load_dataset("digits"))
digest = hashlib.sha256(result.model.hash.encode() + header_text(make_plan(result.model)).encode())
for array in result.network.arrays:
    digest.update(array.tobytes())
print(digest.hexdigest())
"""


@dataclass(frozen=True)
class Crash:
    """A signal ended the run, so that nothing is known about its bytes."""

    reason: str


def hash_of(
    settings: dict, machine: dict[str, str], seed: int = 5, grid: bool = True, packages: Path | None = None
) -> str | Crash:
    """SHA-256 over the model, its header and every latent weight of a run on `machine`.

    `packages` is a folder with another numpy.  A run that fails by itself, and not by a signal, is a SignbitError.
    """
    paths = [str(ROOT)] if packages is None else [str(packages), str(ROOT)]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", **machine, "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-W", "ignore", "-c", TRAIN_AND_HASH, json.dumps([settings, seed, grid])]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    name = " ".join(f"{variable}={value}" for variable, value in machine.items()) or "as it is"
    if done.returncode < 0:
        return Crash(f"{name}: ended by signal {-done.returncode} ({signal.strsignal(-done.returncode)})")
    if done.returncode:
        raise SignbitError(f"{name}: {done.stderr.strip()}")
    return done.stdout.strip()
