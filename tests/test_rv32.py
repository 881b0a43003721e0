"""The look-up kernels for RV32 where they could go wrong: the ends of 16 bits, strips, chunks, few registers."""

from functools import cache

import numpy as np
import pytest

from signbit.codegen.choose import Limits
from signbit.codegen.kernels.rv32 import conv_layout
from signbit.codegen.kernels.rv32.conv_vectors import ConvVectors, ConvVectorsSmall
from signbit.codegen.plan import make_plan
from signbit.codegen.verify import compare_all
from signbit.emulate.machines import RISCV
from signbit.qmodel.activations import Logits, Requantize
from signbit.qmodel.file import load
from signbit.qmodel.layers import Conv2D, Dense
from signbit.qmodel.model import QuantizedModel
from signbit.qmodel.window import PLAIN, Window
from tests.c_programs import STRICT, inputs_for, run_here
from tools.cores import emulated as cores
from tools.measure.bench_layers import count
from tools.measure.bench_models import pictures

CORES = pytest.mark.parametrize(
    "core",
    [
        pytest.param(core, marks=pytest.mark.skipif(reason is not None, reason=str(reason)))
        for core in RISCV
        for reason in [cores.missing([core])]
    ],
)
KERNELS = (ConvVectors(), ConvVectorsSmall())
COMPILERS_DIFFER = 0.1
"""All but the inner loop of a convolution is compiled."""
# height, width, channels, neurons, kernel, window
SHAPES = {
    "31,875 in 16 bits": ((6, 9, 5), 3, (5, 5), PLAIN),
    "two chunks of 38,250": ((6, 7, 6), 3, (5, 5), PLAIN),
    "four chunks": ((6, 6, 17), 2, (5, 5), Window((1, 1), (0, 0, 0, 0), (2, 2))),
    "strips": ((4, 41, 2), 4, (3, 3), PLAIN),
    "pooled strips": ((6, 43, 1), 4, (3, 3), Window((1, 1), (1, 1, 1, 1), (2, 2))),
    "one pixel": ((3, 3, 4), 5, (3, 3), PLAIN),
    "stride beyond the kernel": ((9, 9, 3), 4, (2, 2), Window((3, 3), (1, 0, 0, 1))),
    "padding wider than the image": ((2, 2, 3), 4, (5, 5), Window((1, 1), (4, 4, 4, 4))),
}


def model(shape, neurons, kernel, window, signs, planes=1) -> QuantizedModel:
    """A convolution of the caller's bytes, of all signs alike or at random, and a layer that shows all its outputs."""
    rng = np.random.default_rng(5)
    size = (neurons, *kernel, shape[2])
    weights = rng.choice(np.array([-1, 1] if planes == 1 else [-1, 0, 1], np.int8), size)
    if signs:
        weights[:] = signs
    ones = np.ones(neurons, np.int32)
    conv = Conv2D(weights, Requantize((2 * ones).astype(np.int16), ones << 15, 8), window)
    _, *size = (None, *conv.output_shape(shape))
    last = np.ones((2, int(np.prod(size))), np.int8)
    last[1, ::2] = -1
    logits = Logits(np.ones(2, np.int16), np.zeros(2, np.int32))
    return QuantizedModel("conv", shape, 0, (conv, Dense(last, logits)), ("a", "b"), 8).validate()


@cache
def models():
    return [
        model(*shape, signs, planes) for shape in SHAPES.values() for signs, planes in ((1, 1), (-1, 1), (0, 1), (0, 2))
    ]


def plans(kernel, target):
    made = [make_plan(each, f"m{number}", target, kernel=kernel.name) for number, each in enumerate(models())]
    assert all(plan.layers[0].kernel.name == kernel.name for plan in made)
    return made


@cache
def inputs():
    made = [inputs_for(each, 4, number) for number, each in enumerate(models())]
    for x in made:
        x[0], x[1] = 255, 0
    return made


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)
def test_plain_c_agrees_at_the_ends_of_16_bits(kernel):
    made = plans(kernel, "riscv32")
    portable = [f"-D{plan.macro_prefix}_PORTABLE" for plan in made]
    results = run_here(models(), made, inputs(), ["gcc", "-std=c99", "-O1", *STRICT, *portable])
    assert [result.first for result in results if not result.equal] == []


@CORES
@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)
def test_assembly_agrees_at_the_ends_of_16_bits(kernel, core):
    """-O0 leaves the fewest registers to the assembly."""
    output = cores.run(plans(kernel, core), inputs(), core, optimize="-O0").output
    assert [result.first for result in compare_all(models(), inputs(), output) if not result.equal] == []


def test_a_sum_beyond_16_bits_is_found(monkeypatch):
    monkeypatch.setattr(conv_layout, "HALF_MAX", 1 << 20)
    conv_layout.layout.cache_clear()
    made = plans(KERNELS[0], "riscv32")
    portable = [f"-D{plan.macro_prefix}_PORTABLE" for plan in made]
    results = run_here(models(), made, inputs(), ["gcc", "-std=c99", "-O1", *STRICT, *portable])
    conv_layout.layout.cache_clear()
    assert not all(result.equal for result in results)


@CORES
@pytest.mark.parametrize("name, most", [("mnist-4k", {"riscv32": 540_000, "riscv32e": 740_000})])
def test_a_whole_model_is_fast_and_predicted(repository, core, name, most):
    shipped = load(repository / "models" / f"{name}.npz")
    plan = make_plan(shipped, "m", core)
    counted = sum(count(shipped, plan, pictures(shipped.input_size, 1), core).instructions)
    assert counted <= most[core]
    assert plan.instructions == pytest.approx(counted, rel=COMPILERS_DIFFER)


def test_less_memory_takes_the_small_tables(repository):
    shipped = load(repository / "models" / "mnist-4k.npz")
    usual = make_plan(shipped, target="riscv32")
    small = make_plan(shipped, target="riscv32", limits=Limits(ram_bytes=7000))
    assert small.scratch_bytes <= 7000 < usual.scratch_bytes
    assert usual.instructions < small.instructions < 2 * usual.instructions
