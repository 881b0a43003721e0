"""Values of at most 15 that lie two a byte: every kernel row by row, every core, what it saves, and when it pays."""

import dataclasses
import json

import numpy as np
import pytest

from signbit.codegen.choose import Limits
from signbit.codegen.commands.cli import main
from signbit.codegen.jobs import of_four_bits
from signbit.codegen.kernels import KERNELS
from signbit.codegen.kernels.by_row import ByRow
from signbit.codegen.plan import make_plan
from signbit.codegen.verify import compare_all
from signbit.line.link import Link
from signbit.qmodel.activations import Requantize
from signbit.qmodel.file import load, save
from signbit.qmodel.value import Encoding
from tests.c_programs import SANITIZED, inputs_for, run_here, skip_unless_sanitized
from tests.host_device import HostDevice, load_device
from tools.cores import emulated as cores
from tools.cores import powerpc
from tools.networks.forced import random_layer_model

MODELS = 8
INPUTS_A_MODEL = 3
ON_CORES = ("m0", "m3", "m4", "m55", "riscv32")


def packed_plans(target: str, seed: int, count: int = MODELS):
    """Random models in whose plans values lie two a byte, some by a kernel that is forced."""
    rng = np.random.default_rng(seed)
    names = [kernel.name for kernel in KERNELS if target in kernel.targets]
    models, plans = [], []
    while len(plans) < count:
        model = random_layer_model(rng)
        if not of_four_bits(model):
            continue
        kernel = str(rng.choice(names)) if rng.random() < 0.7 else None
        plan = make_plan(model, f"m{len(plans)}", target, kernel=kernel, pack=True)
        if plan.packs:
            models, plans = [*models, model], [*plans, plan]
    return models, plans, [inputs_for(model, INPUTS_A_MODEL, number) for number, model in enumerate(models)]


def differences(models, inputs, output, order="<"):
    return [result.first for result in compare_all(models, inputs, output, order) if not result.equal]


@pytest.mark.parametrize("target", ["portable", "cortex-m0", "cortex-m4"])
def test_plain_c_agrees_in_every_bit(target):
    skip_unless_sanitized()
    models, plans, inputs = packed_plans(target, 1)
    results = run_here(models, plans, inputs, SANITIZED)
    assert [result.first for result in results if not result.equal] == []


@pytest.mark.parametrize("core", ON_CORES)
def test_every_core_agrees_in_every_bit(core):
    if cores.missing([core]):
        pytest.skip(cores.missing([core]))
    models, plans, inputs = packed_plans(cores.CORES[core].target.name, 2)
    assert any(isinstance(kernel, ByRow) for plan in plans for kernel in plan.kernels)
    assert differences(models, inputs, cores.run(plans, inputs, core).output) == []


def test_the_order_of_a_word_s_bytes_does_not_matter():
    if powerpc.missing():
        pytest.skip(powerpc.missing())
    models, plans, inputs = packed_plans("portable", 3)
    assert differences(models, inputs, powerpc.run(plans, inputs), ">") == []


@pytest.fixture
def four_bits(repository):
    """The network of mnist-4k with 15 as the largest activation."""
    model = load(repository / "models" / "mnist-4k.npz")
    layers = [
        dataclasses.replace(layer, activation=dataclasses.replace(layer.activation, high=15))
        if isinstance(layer.activation, Requantize)
        else layer
        for layer in model.layers
    ]
    return dataclasses.replace(model, layers=tuple(layers)).validate()


@pytest.mark.parametrize(("target", "share"), [("cortex-m0", 0.55), ("cortex-m4", 0.55), ("portable", 0.83)])
def test_half_the_scratch_holds_a_network_of_four_bits(four_bits, target, share):
    bytes_of = make_plan(four_bits, target=target, pack=False).scratch_bytes
    plan = make_plan(four_bits, target=target, limits=Limits(ram_bytes=int(share * bytes_of)), pack=True)
    assert plan.packs and plan.scratch_bytes <= share * bytes_of


def test_values_are_packed_where_that_saves_much_and_costs_little(four_bits):
    """As soon as a limit is given, where that is quicker within it."""
    plain, packed = (make_plan(four_bits, target="cortex-m4", pack=pack) for pack in (False, True))
    chosen = make_plan(four_bits, target="cortex-m4")
    assert packed.scratch_bytes <= chosen.scratch_bytes <= 0.9 * plain.scratch_bytes
    assert plain.instructions < chosen.instructions <= 1.1 * plain.instructions
    assert not make_plan(four_bits, target="cortex-m4", limits=Limits(ram_bytes=plain.scratch_bytes)).packs


def test_no_value_beyond_15_is_packed(repository):
    plan = make_plan(load(repository / "models" / "mnist-4k.npz"), target="cortex-m4", pack=True)
    assert not plan.packs


def test_a_layer_s_count_is_one_number_for_all_its_rows(four_bits):
    """Each row is traced: mnist-4k's first layers have 12 and 5, and the third's values take little RAM."""
    if cores.missing(["m4"]):
        pytest.skip(cores.missing(["m4"]))
    plan, x = make_plan(four_bits, "m", "cortex-m4"), np.full((2, four_bits.input_size), 99, np.uint8)
    counts = cores.run([plan], [x], "m4", count=True).instructions
    assert [layer.trace_calls for layer in plan.layers] == [12, 5, 1, 1]
    assert len(counts) == 2 * (len(plan.layers) + 1)
    for layer, count in zip(plan.layers, counts, strict=False):
        assert abs(layer.cost.instructions - count) <= 0.03 * count


def test_inspect_says_which_values_are_packed(four_bits, tmp_path, capsys):
    path = tmp_path / "four.npz"
    save(four_bits, path)
    main(["inspect", str(path), "--target", "cortex-m4"], "codegen")
    assert "bytes of scratch, outputs of layers 0, 1 two a byte" in capsys.readouterr().out
    main(["inspect", str(path), "--target", "cortex-m4", "--json"], "codegen")
    layers = json.loads(capsys.readouterr().out)["layers"]
    assert [layer["output_bytes"] for layer in layers][:3] == [12 * 128, 5 * 80, 3 * 3 * 49]
    assert four_bits.values[1].encoding is Encoding.UINT8


def test_a_device_traces_rows_as_one_output(four_bits, tmp_path):
    link = Link(HostDevice(load_device(tmp_path, four_bits)))
    x = np.random.default_rng(4).integers(0, 256, four_bits.input_size, dtype=np.uint8)
    assert make_plan(four_bits).packs
    outputs = [output.astype(output.dtype.newbyteorder("<")).tobytes() for output in four_bits.trace(x[None])]
    assert link.trace(x.tobytes()) == outputs
