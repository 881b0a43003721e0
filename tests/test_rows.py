"""Values whose rows are made as they are read: every kernel that makes or takes them, every core, and what it saves."""

import shutil

import numpy as np
import pytest

from signbit.codegen import plan as planning
from signbit.codegen.choose import Limits
from signbit.codegen.commands.cli import main
from signbit.codegen.jobs import readable_by_row
from signbit.codegen.kernels.targets import SPEED
from signbit.codegen.measure import measure, missing
from signbit.codegen.plan import make_plan
from signbit.codegen.rows import ways_by_row
from signbit.codegen.verify import compare_all
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.file import load
from signbit.qmodel.layers import AveragePool, Conv2D, Dense, DepthwiseConv2D
from signbit.qmodel.model import QuantizedModel
from signbit.qmodel.value import Encoding, Value
from signbit.qmodel.window import Window
from tests.c_programs import CORE_OF_TARGET, STRICT, inputs_for, run_here
from tools.cores import emulated as cores
from tools.networks.random import random_activation, random_weights

INPUTS_A_MODEL = 3
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
TARGETS = ("cortex-m0", "cortex-m3", "cortex-m4")


def conv(rng, value, neurons, kernel, window=Window(), layer=Conv2D):  # noqa: B008 -- frozen
    """A convolution of random weights; `neurons` is None for a depthwise one."""
    weights = random_weights(rng, (neurons, *kernel, value.shape[2]) if neurons else (value.shape[2], *kernel))
    activation = random_activation(rng, weights.reshape(len(weights), -1), (value.low, value.high), 127, "requantize")
    return layer(weights, activation, window)


def model_of(seed, shape, make_layers, shift=0):
    """Layers that `make_layers` adds, and the logits."""
    rng, value, layers = np.random.default_rng(seed), Value(shape, Encoding.UINT8, 0, 255 >> shift), []
    for make in make_layers:
        layers.append(make(rng, value))
        value = layers[-1].output(value)
    weights = random_weights(rng, (2, value.size))
    layers.append(Dense(weights, random_activation(rng, weights, (value.low, value.high), 127, "logits")))
    return QuantizedModel("rows", shape, shift, tuple(layers), ("a", "b"), 8).validate()


CASES = {
    "two convolutions": (
        (12, 13, 1),
        lambda rng, value: conv(rng, value, 5, (5, 5), Window((2, 2))),
        lambda rng, value: conv(rng, value, 6, (3, 3), Window(pool=(2, 2))),
    ),
    "padding in both": (
        (8, 7, 3),
        lambda rng, value: conv(rng, value, 5, (3, 3), Window(padding=(1, 1, 1, 1))),
        lambda rng, value: conv(rng, value, 3, (3, 3), Window(padding=(1, 1, 2, 1))),
    ),
    "a pooled maker, and a stride": (
        (13, 10, 2),
        lambda rng, value: conv(rng, value, 7, (2, 3), Window(pool=(2, 2))),
        lambda rng, value: conv(rng, value, 9, (3, 2), Window((3, 1))),
    ),
    "an average pool": (
        (8, 6, 4),
        lambda rng, value: AveragePool((2, 1), 4, 255),
        lambda rng, value: conv(rng, value, 2, (3, 3)),
    ),
    "a depthwise convolution of what is in the arena": (
        (7, 9, 2),
        lambda rng, value: conv(rng, value, 3, (2, 2)),
        lambda rng, value: conv(rng, value, None, (3, 3), Window(padding=(1, 1, 1, 1)), DepthwiseConv2D),
        lambda rng, value: conv(rng, value, 4, (1, 1)),
    ),
    "rows that no one reads": (
        (9, 9, 2),
        lambda rng, value: conv(rng, value, 4, (2, 2)),
        lambda rng, value: conv(rng, value, 4, (3, 3), Window((2, 2))),
        lambda rng, value: conv(rng, value, 4, (1, 1)),
    ),
}
MODELS = {
    name: model_of(number, shape, layers, number % 2) for number, (name, (shape, *layers)) in enumerate(CASES.items())
}


@pytest.fixture
def plans_by_row(monkeypatch):
    """Models, plans and inputs of a core: each way in which a value of MODELS can be made by row, after one another."""

    def plans_for(target):
        models, plans, inputs = [], [], []
        for model in MODELS.values():
            for way in ways_by_row(model, target, SPEED):
                monkeypatch.setattr(
                    planning, "by_row_where_it_pays", lambda plan_with, *_, way=way: plan_with(made=way)
                )
                models.append(model)
                plans.append(make_plan(model, f"m{len(plans)}", target, limits=Limits(ram_bytes=1 << 20)))
                inputs.append(inputs_for(model, INPUTS_A_MODEL, len(inputs)))
        return models, plans, inputs

    return plans_for


@pytest.mark.parametrize("target", TARGETS)
def test_plain_c_agrees_in_every_bit(target, plans_by_row):
    if not shutil.which("gcc"):
        pytest.skip("gcc is not installed (apt install gcc)")
    models, plans, inputs = plans_by_row(target)
    portable = [f"-D{plan.macro_prefix}_PORTABLE" for plan in plans]
    results = run_here(models, plans, inputs, ["gcc", "-std=c99", "-O1", *STRICT, *SANITIZE, *portable])
    assert [result.first for result in results if not result.equal] == []


@pytest.mark.parametrize("target", TARGETS)
def test_every_core_agrees_in_every_bit(target, plans_by_row):
    """One row at once and two, padding between them and below, a maker that reads the arena, all makers' kernels."""
    if cores.missing():
        pytest.skip(cores.missing())
    models, plans, inputs = plans_by_row(target)
    made = [layer for plan in plans for layer in plan.layers if layer.job.rows_at_once]
    assert len({layer.kernel.name for layer in made}) >= 4 and {layer.job.rows_at_once for layer in made} == {1, 2}
    assert {layer.kind for layer in made} == {"conv2d", "average_pool", "depthwise_conv2d"}
    output = cores.run(plans, inputs, CORE_OF_TARGET[target]).output
    assert [result.first for result in compare_all(models, inputs, output) if not result.equal] == []


def test_rows_that_no_one_reads_are_not_left_out():
    """All of a value is traced, so one of which rows are never read is made as a whole."""
    ways = [way for target in TARGETS for way in ways_by_row(MODELS["rows that no one reads"], target, SPEED)]
    assert ways and all(set(way) == {2} for way in ways)


def test_a_value_with_other_readers_is_held(repository):
    models = [load(path) for path in (repository / "models").glob("*.npz")]
    for model in models:
        for number in readable_by_row(model):
            assert [index for index, read in enumerate(model.graph.sources) if number in read] == [number]
    assert any(readable_by_row(model) for model in models)


@pytest.mark.parametrize(
    ("ram_bytes", "optimize", "most", "flash_bytes"), [(6656, "size", 425_000, 9216), (5120, "speed", 450_000, None)]
)
def test_mnist_4k_on_cortex_m0_in_little_memory(ram_bytes, optimize, most, flash_bytes, repository):
    """Its first layer's output took 3 of 6.5 KB, which left room for slow kernels alone: 569,000 instructions."""
    model = load(repository / "models" / "mnist-4k.npz")
    limits = Limits(ram_bytes=ram_bytes, instructions=most)
    plan = make_plan(model, target="cortex-m0", optimize=optimize, limits=limits)
    assert plan.scratch_bytes <= ram_bytes and plan.instructions <= most and plan.makes_rows
    if flash_bytes and not missing(plan):
        assert measure(plan).flash_bytes <= flash_bytes


def test_predictions_hold(repository):
    """Those of the whole network: the second layer's work lies between the traces of the first one's rows."""
    if cores.missing(["m0"]):
        pytest.skip(cores.missing(["m0"]))
    model = load(repository / "models" / "mnist-4k.npz")
    plan = make_plan(model, "m", "cortex-m0", limits=Limits(ram_bytes=5120))
    x = np.random.default_rng(0).integers(0, 256, (2, model.input_size), dtype=np.uint8)
    counts = cores.run([plan], [x], "m0", count=True).instructions
    assert [layer.trace_calls for layer in plan.layers] == [12, 1, 1, 1]
    assert abs(2 * plan.instructions - sum(counts)) <= 0.01 * sum(counts)


def test_memory_that_no_plan_fits_is_one_error(repository):
    with pytest.raises(SignbitError, match=r"layer 0 \(conv2d\) needs 3,024 bytes of RAM"):
        make_plan(load(repository / "models" / "mnist-4k.npz"), target="cortex-m0", limits=Limits(ram_bytes=1000))


def test_inspect_says_what_is_made_by_row(repository, capsys):
    model = str(repository / "models" / "mnist-4k.npz")
    main(["inspect", model, "--target", "cortex-m0", "--max-ram", "6656"], "codegen")
    assert "bytes of scratch, rows of layer 0 made as they are read" in capsys.readouterr().out
