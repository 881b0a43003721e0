"""Vector tables at their limits: lanes that are full, images that end within a table's entry, strips, padding."""

import re

import numpy as np
import pytest

from signbit.codegen import code_size
from signbit.codegen.choose import Limits
from signbit.codegen.kernels.m0 import conv_vectors as narrow
from signbit.codegen.kernels.m0.vectors_assembly import Pass
from signbit.codegen.kernels.m3 import conv_vectors as wide
from signbit.codegen.plan import make_plan
from signbit.codegen.verify import compare_all
from signbit.qmodel.activations import Logits, Requantize
from signbit.qmodel.file import load
from signbit.qmodel.layers import AveragePool, Conv2D, Dense
from signbit.qmodel.model import QuantizedModel
from signbit.qmodel.value import Encoding, Value
from signbit.qmodel.window import Window
from tools.cores import emulated as cores

KERNELS = (*narrow.KERNELS, *wide.KERNELS)
# M7 and M33 execute what M4 does: test_kernels.py
ON_CORES = [(kernel, core) for kernel in KERNELS for core in ("m0", "m3", "m4") if f"cortex-{core}" in kernel.targets]


def model_of(shape, kernel, neurons=3, window=Window(), high=127, weights=None, top=255):  # noqa: B008 -- frozen
    """A convolution of values in 0..high to 0..top, and logits; random weights if none are given."""
    rng = np.random.default_rng(shape[1])
    if weights is None:
        weights = rng.choice(np.array([-1, 1], np.int8), (neurons, *kernel, shape[2]))
    ones = np.ones(len(weights), np.int32)
    reach = high * weights[0].size
    activation = Requantize(
        (40 * ones).astype(np.int16), ones * (20 * reach), max(0, (80 * reach).bit_length() - top.bit_length()), top
    )
    layers = [AveragePool((1, 1), shape[2], high), Conv2D(weights, activation, window)]
    value = Value(shape, Encoding.UINT8, 0, 255)
    for layer in layers:
        value = layer.output(value)
    logits = Logits(np.ones(2, np.int16), np.zeros(2, np.int32))
    closing = Dense(rng.choice(np.array([-1, 1], np.int8), (2, value.size)), logits)
    return QuantizedModel("vectors", shape, 0, (*layers, closing), ("a", "b"), 8).validate()


def signs(*shape, negative):
    """All -1 in every neuron whose number is in `negative`, else +1."""
    weights = np.ones(shape, np.int8)
    weights[list(negative)] = -1
    return weights


CASES = {
    "lanes full of negative sums": {
        "shape": (4, 3, 129),
        "kernel": (2, 2),
        "weights": signs(2, 2, 2, 129, negative=(0, 1)),
    },
    "a start for each neuron": {"shape": (4, 3, 129), "kernel": (2, 2), "weights": signs(3, 2, 2, 129, negative=(1,))},
    "eight bits": {"shape": (5, 7, 16), "kernel": (4, 4), "high": 255, "weights": signs(4, 4, 4, 16, negative=(0, 3))},
    "copied rows at the end of an image with padding above": {
        "shape": (7, 1, 12),
        "kernel": (5, 1),
        "window": Window(padding=(2, 2, 0, 0), pool=(2, 1)),
    },
    "sums of two parts": {"shape": (5, 6, 17), "kernel": (4, 4), "high": 255},
    "one input at a place": {"shape": (3, 3, 1), "kernel": (2, 1)},
    "one pixel": {"shape": (1, 1, 5), "kernel": (1, 1)},
    "one pixel in padding": {"shape": (1, 1, 4), "kernel": (3, 3), "window": Window(padding=(2, 2, 2, 2))},
    "strips that overlap": {"shape": (4, 29, 2), "kernel": (3, 3), "window": Window(padding=(1, 0, 1, 1), pool=(2, 2))},
    "strips with a stride": {"shape": (5, 40, 1), "kernel": (2, 3), "window": Window(stride=(3, 2))},
    "a stride beyond the kernel": {"shape": (9, 9, 3), "kernel": (2, 2), "window": Window(stride=(4, 3))},
    "two a byte": {"shape": (6, 7, 5), "kernel": (3, 3), "high": 15, "top": 15},
    "two a byte in padding": {
        "shape": (5, 9, 3),
        "kernel": (3, 3),
        "window": Window((1, 1), (1, 2, 2, 1), (2, 2)),
        "high": 15,
        "top": 15,
        "neurons": 9,
    },
    "two a byte with a stride": {
        "shape": (9, 9, 7),
        "kernel": (4, 3),
        "window": Window((2, 3), (2, 0, 1, 0)),
        "high": 15,
        "neurons": 5,
    },
    "two a byte in strips": {
        "shape": (4, 29, 3),
        "kernel": (3, 3),
        "window": Window(padding=(1, 0, 1, 1)),
        "high": 15,
        "top": 15,
    },
    "a wide pool": {"shape": (4, 17, 3), "kernel": (2, 2), "window": Window(pool=(2, 3))},
}


@pytest.mark.parametrize(("kernel", "core"), ON_CORES, ids=lambda value: getattr(value, "name", value))
def test_cases_on_a_core(kernel, core):
    """The first row below padding was once taken for one at the end, and its copy wrote over the sums."""
    if cores.missing():
        pytest.skip(cores.missing())
    models, plans, inputs = [], [], []
    for number, case in enumerate(CASES.values()):
        model = model_of(**case)
        plan = make_plan(model, f"m{number}", f"cortex-{core}", kernel=kernel.name, pack=True)
        if plan.layers[1].kernel is kernel:
            x = np.random.default_rng(number).integers(0, 256, (4, model.input_size), dtype=np.uint8)
            x[0], x[1] = 255, 0
            models, plans, inputs = [*models, model], [*plans, plan], [*inputs, x]
    assert len(models) > len(CASES) // 2
    output = cores.run(plans, inputs, core).output
    assert [result.first for result in compare_all(models, inputs, output) if not result.equal] == []


LOOPED = ("eight bits", "a start for each neuron", "strips with a stride", "two a byte in strips")


@pytest.mark.parametrize("core", ["m0", "m3", "m4"])
def test_small_code_on_a_core(core):
    """For size the words of a sum are a loop: mnist-4k's first layer had 382 bytes of code for its twelve columns."""
    if cores.missing():
        pytest.skip(cores.missing())
    target = f"cortex-{core}"
    kernels = [kernel for kernel in KERNELS if target in kernel.targets and not kernel.variant]
    models = [model_of(**CASES[name]) for name in LOOPED for _ in kernels]
    plans = [
        make_plan(model, f"m{number}", target, "size", kernel=kernels[number % len(kernels)].name, pack=True)
        for number, model in enumerate(models)
    ]
    for plan in plans:
        (outputs,) = (piece for piece in plan.pieces if "_outputs_" in piece.symbol)
        assert "bne 2b" in str(outputs.values["listing"])
    inputs = [np.random.default_rng(0).integers(0, 256, (4, model.input_size), dtype=np.uint8) for model in models]
    output = cores.run(plans, inputs, core).output
    assert [result.first for result in compare_all(models, inputs, output) if not result.equal] == []


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)
def test_sums_that_do_not_fit_a_lane_are_refused(kernel):
    """Sums of two halves of the channels may be twice as large, unless all weights of a neuron agree."""
    target = min(kernel.targets)
    mixed = signs(2, 4, 4, 17, negative=(1,))
    for channels, weights, fits in ((16, None, True), (17, None, kernel.chunks == 2), (17, mixed, False)):
        model = model_of((5, 5, channels), (4, 4), high=255, weights=weights)
        plan = make_plan(model, "m", target, kernel=kernel.name)
        assert (plan.layers[1].kernel is kernel) == fits


@pytest.mark.parametrize("kernel", narrow.KERNELS, ids=lambda kernel: kernel.name)
def test_cortex_m0_is_asked_for_no_remainder(kernel):
    """It has no instruction for one: __udivsi3 took 276 bytes of a model of 9,323, for a loop over nine addresses."""
    for case in CASES.values():
        plan = make_plan(model_of(**case), "m", "cortex-m0", kernel=kernel.name)
        layer = plan.layers[1]
        text = "".join(part for part in code_size.parts(plan, layer) if part.startswith("static"))
        divisors = [int(number) for number in re.findall(r"% (\d+)u", text)]
        assert layer.kernel is not kernel or all(number & (number - 1) == 0 for number in divisors)


def test_one_look_up_of_a_neuron_moves_no_sums():
    """On M0 sums went to high registers for it and back again: 32 instructions for six words of sums."""
    one = Pass(6, 1, ((0, 1),), 1).listing(wide=False)
    counted = [one.instructions({"neurons": neurons}) for neurons in (1, 2)]
    assert counted[1] - counted[0] == 24


def test_the_last_row_s_copy_takes_no_scratch(repository):
    """It lies where sums are done: 192 bytes kept mnist-4k's third layer out of 6.5 KB."""
    plan = make_plan(load(repository / "models" / "mnist-4k.npz"), target="cortex-m0", kernel="m0/conv_vectors")
    layer = plan.layers[2]
    assert layer.values["copies"] == "last" and layer.cost.scratch_bytes == 5272
    assert layer.values["sums_at"] <= layer.values["copy_at"] < layer.values["sums_at"] + layer.values["ring_words"]


@pytest.mark.parametrize(("target", "most"), [("cortex-m0", 405_000), ("cortex-m4", 305_000)])
def test_little_ram_still_holds_vector_tables(target, most, repository):
    """Within 6.5 KB mnist-4k took 735,539 instructions on M0 and 451,000 on M4: only other kernels' tables fitted."""
    model = load(repository / "models" / "mnist-4k.npz")
    plan = make_plan(model, target=target, limits=Limits(ram_bytes=6656))
    assert plan.scratch_bytes <= 6656 and plan.instructions <= most
