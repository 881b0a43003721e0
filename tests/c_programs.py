"""Random models on this computer: many in one program, compiled as strictly as a compiler can."""

import shutil

import numpy as np
import pytest

from signbit.codegen.host import Host
from signbit.codegen.plan import Plan, make_plan
from signbit.codegen.verify import RANDOM_INPUTS, Comparison, compare_all, edge_inputs
from signbit.emulate.machines import CORES
from signbit.qmodel.model import QuantizedModel

WARNINGS = (
    "all extra pedantic conversion sign-conversion shadow cast-align undef strict-aliasing=2 missing-prototypes error"
)
CORE_OF_TARGET = {machine.target.name: core for core, machine in CORES.items()} | {"cortex-m0plus": "m0"}
"""The emulated core that runs a target's code."""
STRICT = [f"-W{name}" for name in WARNINGS.split(" ")]
STRICT_CPP = [flag for flag in STRICT if flag != "-Wmissing-prototypes"]
BOTH = 'gcc -fsyntax-only "$@" && clang -fsanitize=address,undefined -fsanitize-trap=undefined "$@"'
SANITIZED = ["sh", "-c", BOTH, "cc", "-std=c99", "-O0", *STRICT]
"""The warnings of both compilers, and clang's sanitizers, which take half the time of gcc's.  What C leaves undefined
ends a program with SIGILL."""


def skip_unless_sanitized() -> None:
    if not (shutil.which("gcc") and shutil.which("clang")):
        pytest.skip("gcc or clang is not installed (apt install gcc clang)")


def plans_for(models: list[QuantizedModel], **options) -> list[Plan]:
    """A plan for each model, with prefixes m0, m1, ..."""
    return [make_plan(model, prefix=f"m{index}", **options) for index, model in enumerate(models)]


def inputs_for(model: QuantizedModel, count: int, seed: int) -> np.ndarray:
    """`count` inputs: half of them extreme, the others random."""
    extreme = edge_inputs(model)[RANDOM_INPUTS:]
    rng = np.random.default_rng(seed)
    chosen = extreme[rng.integers(0, len(extreme), count // 2)]
    random = rng.integers(0, 256, (count - len(chosen), model.input_size), dtype=np.uint8)
    return np.concatenate([chosen, random])


def run_here(
    models: list[QuantizedModel],
    plans: list[Plan],
    inputs: list[np.ndarray],
    command: list[str],
    suffix: str = ".c",
) -> list[Comparison]:
    """Compile the plans into one program, run it and compare all it writes with Python."""
    return compare_all(models, inputs, Host(command, (), suffix=suffix).run(plans, inputs, predict=True))
