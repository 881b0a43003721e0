"""Whole models on emulated cores: exact instructions of one inference, and flash as linked."""

import numpy as np

from signbit.codegen import measure as compiled
from signbit.codegen.plan import make_plan
from signbit.emulate.machines import CORES
from signbit.qmodel.data.named import load_dataset
from signbit.qmodel.file import load
from tools.documents.blocks import ROOT
from tools.measure.bench_layers import Measured, count, rounded

# the zoo has more, which `python -m tools zoo measure` counts
MODELS = {name: ROOT / "models" / f"{name}.npz" for name in ("digits-mlp", "mnist-mlp")}
DIGITS_SIDE = 8
MNIST_SIDE = 28
SEED = 1


def layer_name(name: str) -> str:
    """What a whole model is called in the column of layers."""
    return f"model {name}"


def measure(name: str, core: str) -> list[Measured]:
    """One inference of models/NAME.npz with the plan for speed, after checking that it computes what Python does."""
    model = load(MODELS[name])
    plan = make_plan(model, "bench", CORES[core].target.name)
    run = count(model, plan, pictures(model.input_size, 1), core)
    measured = Measured(
        core=core,
        layer=layer_name(name),
        kernel=", ".join(layer.kernel.name for layer in plan.layers),
        chosen=True,
        macs=plan.macs,
        instructions=sum(run.instructions),
        predicted_instructions=rounded(plan.instructions),
        estimated_cycles=sum(run.cycles[core]) if core in run.cycles else None,
        estimated_cycles_m0plus=sum(run.cycles["m0plus"]) if core == "m0" else None,
        flash_bytes=compiled.measure(plan).flash_bytes,
        scratch_bytes=plan.scratch_bytes,
    )
    return [measured]


def pictures(input_size: int, number: int) -> np.ndarray:
    """Inputs uint8 (number, input_size): handwritten digits where the size is 8x8 or 28x28, else random bytes.

    The large ones are the small ones, each pixel drawn 3x3, with a border of 2: real pictures without a download.
    """
    digits = load_dataset("digits").test.x[:number]
    if input_size == DIGITS_SIDE**2:
        return digits
    if input_size == MNIST_SIDE**2:
        return enlarge(digits)
    return np.random.default_rng(SEED).integers(0, 256, (number, input_size), dtype=np.uint8)


def enlarge(digits: np.ndarray) -> np.ndarray:
    """Digits of 8x8 pixels, (n, 64), as pictures of 28x28, (n, 784)."""
    factor = MNIST_SIDE // DIGITS_SIDE
    border = (MNIST_SIDE - factor * DIGITS_SIDE) // 2
    large = digits.reshape(-1, DIGITS_SIDE, DIGITS_SIDE).repeat(factor, axis=1).repeat(factor, axis=2)
    return np.pad(large, ((0, 0), (border, border), (border, border))).reshape(len(digits), -1)
