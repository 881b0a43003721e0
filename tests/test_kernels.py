"""Every kernel of the table, on every core it is for and by its plain C on this computer, against Python.

A kernel that is added to the table is checked without being asked for.
"""

from collections import Counter
from dataclasses import replace
from enum import Enum

import numpy as np
import pytest

from signbit.codegen.front_end import FRONT_END
from signbit.codegen.kernels import KERNELS, candidates
from signbit.codegen.kernels.base import COSTS, PACKING, measured_costs
from signbit.codegen.kernels.targets import CORTEX_M3, LEVELS, SPEED, TARGETS, TWINS
from signbit.codegen.plan import make_plan
from signbit.codegen.verify import compare_all
from signbit.qmodel.activations import Logits, Sign
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.layers import Dense, DepthwiseConv2D
from signbit.qmodel.model import QuantizedModel
from tests.c_programs import CORE_OF_TARGET, SANITIZED, inputs_for, run_here, skip_unless_sanitized
from tools.cores import emulated as cores
from tools.measure.bench_layers import LAYERS
from tools.networks.forced import models_for
from tools.networks.hard import hard_network
from tools.networks.random import random_model

MODELS = 32
MODELS_A_CORE = 6
"""At least; each core has models of its own, and all of a kernel together at least MODELS."""
INPUTS_A_MODEL = 4
# M0+ and M7 have the instructions of M0 and M4; M33 shares M4's kernels, and what M3 has too is tried on M3 and M4
NOT_TRIED = {"cortex-m0plus", "cortex-m7"}
ON_A_CORE = [
    (kernel, target)
    for kernel in KERNELS
    for target in sorted(kernel.targets & set(CORE_OF_TARGET) - NOT_TRIED)
    if target != "cortex-m33" or not kernel.targets & CORTEX_M3
]
CORES_OF = Counter(kernel for kernel, _ in ON_A_CORE)
PORTABLE_C = [(kernel, sorted(kernel.targets)[0]) for kernel in KERNELS]


def name(pair) -> str:
    return f"{pair[0].name}-{pair[1]}"


def material(kernel, target, seed, count=MODELS):
    pairs = list(models_for(kernel, target, count, seed))
    models, plans = [model for model, _ in pairs], [plan for _, plan in pairs]
    return models, plans, [inputs_for(model, INPUTS_A_MODEL, seed) for seed, model in enumerate(models)]


@pytest.mark.parametrize("pair", PORTABLE_C, ids=name)
def test_plain_c_of_the_kernel_agrees(pair):
    kernel, target = pair
    skip_unless_sanitized()
    models, plans, inputs = material(kernel, target, seed=1)
    results = run_here(models, plans, inputs, SANITIZED)
    assert [result.first for result in results if not result.equal] == []


@pytest.mark.parametrize("pair", ON_A_CORE, ids=name)
def test_kernel_agrees_on_its_core(pair):
    """All four alignments of the caller's input take turns."""
    kernel, target = pair
    core = CORE_OF_TARGET[target]
    if cores.missing([core]):
        pytest.skip(cores.missing([core]))
    count = max(MODELS_A_CORE, -(-MODELS // CORES_OF[kernel]))
    models, plans, inputs = material(kernel, target, 2 + sorted(TARGETS).index(target), count)
    output = cores.run(plans, inputs, core).output
    assert [result.first for result in compare_all(models, inputs, output) if not result.equal] == []


@pytest.mark.parametrize("target", ["portable", "cortex-m55"])
def test_gcc_makes_no_helium_of_weights_known_to_it(target):
    """One channel under 2x2 weights: GCC 12 chose the lanes of -1 and +1 by a wrong constant."""
    if cores.missing():
        pytest.skip(cores.missing())
    one = np.ones(1, np.int32)
    weights = np.array([[[-1, -1], [1, -1]]], np.int8)
    signs = DepthwiseConv2D(weights[:, 1:, :1], Sign(64 * one, np.ones(1, np.int8)))
    taps = DepthwiseConv2D(weights, Sign(0 * one, -np.ones(1, np.int8)))
    last = Dense(np.array([[1, 1], [1, -1]], np.int8), Logits(np.ones(2, np.int16), np.zeros(2, np.int32)))
    model = QuantizedModel("taps", (3, 2, 1), 1, (signs, taps, last), ("a", "b"), 10).validate()
    inputs = np.random.default_rng(0).integers(0, 256, (16, model.input_size), dtype=np.uint8)
    plan = make_plan(model, "taps", target, kernel="c99/depthwise_taps")
    for optimize in ("-O2", "-O3"):
        output = cores.run([plan], [inputs], "m55", optimize=optimize).output
        assert [result.first for result in compare_all([model], [inputs], output) if not result.equal] == []


def test_gcc_warns_of_no_read_beyond_weights_of_one_row():
    """A kernel of one row that strides over rows: an offset that is always 0 looked as if it could pass the end."""
    if cores.missing(["m0"]):
        pytest.skip(cores.missing(["m0"]))
    models = [hard_network(seed) for seed in (2176, 4042)]
    plans = [make_plan(model, f"m{index}", "cortex-m0") for index, model in enumerate(models)]
    assert all("m0/conv_vectors_groups" in [layer.kernel.name for layer in plan.layers] for plan in plans)
    inputs = [inputs_for(model, INPUTS_A_MODEL, seed=0) for model in models]
    output = cores.run(plans, inputs, "m0", optimize="-O2").output
    assert [result.first for result in compare_all(models, inputs, output) if not result.equal] == []


def test_kernels_of_m3_compete_where_there_are_dsp_instructions():
    """Without them a layer of 1,024 neurons took 532,391 instructions on M4, and 453,782 on M3."""
    plan = make_plan(LAYERS["dense 1024→1024"](), "m", "cortex-m4")
    assert plan.layers[1].kernel.name == "m3/dense_lut"
    assert plan.layers[1].cost.instructions < 460_000


class MadeUp(Enum):
    INT4 = "made up values"


def jobs_of(kernel):
    """Jobs that the kernel computes."""
    target = sorted(kernel.targets)[0]
    plans = [plan for _, plan in models_for(kernel, target, 2, seed=3)]
    return [layer.job for plan in plans for layer in plan.layers if layer.kernel is kernel]


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)
def test_encoding_that_a_kernel_does_not_know_is_refused(kernel):
    """Nobody reads or writes values of a new encoding by accident."""
    for job in jobs_of(kernel):
        assert kernel.computes(job)
        for number, source in enumerate(job.sources):
            unknown = replace(source, value=replace(source.value, encoding=MadeUp.INT4))
            sources = (*job.sources[:number], unknown, *job.sources[number + 1 :])
            assert not kernel.computes(replace(job, sources=sources))
        assert not kernel.computes(replace(job, output=replace(job.output, encoding=MadeUp.INT4)))


def test_layer_of_an_unknown_encoding_has_no_kernel():
    job = jobs_of(KERNELS[-1])[0]
    source = replace(job.sources[0], value=replace(job.input, encoding=MadeUp.INT4))
    with pytest.raises(SignbitError, match=r"no kernel for .* of made up values"):
        candidates(replace(job, sources=(source,)))


def test_kernel_is_named_once(repository):
    """Room and module are the name of the template, of the entry in the table of costs, and in reports."""
    codegen, names = repository / "codegen", [kernel.name for kernel in KERNELS]
    modules = {f"kernels/{kernel.name.removesuffix(kernel.variant)}.py" for kernel in KERNELS}
    files = modules | {kernel.template for kernel in KERNELS}
    assert [file for file in sorted(files) if not (codegen / file).is_file()] == []
    assert len(set(names)) == len(names) and COSTS.keys() - {FRONT_END, PACKING} == set(names)


@pytest.mark.parametrize(("twin", "core"), TWINS.items())
def test_a_core_without_figures_of_its_own_has_its_twin_s(twin, core):
    """Its kernels would else be taken for free where only their assembly is counted."""
    for kernel in KERNELS:
        own, measured = COSTS[kernel.name].get(SPEED, {}), measured_costs(kernel.name, SPEED, core)
        if measured is not None and twin in kernel.targets:
            assert measured_costs(kernel.name, SPEED, twin) == own.get(twin, measured), kernel.name


def test_every_target_has_a_kernel_for_every_layer():
    """Some portable kernel of each kind of layer is there for each target, so that no model is refused."""
    everywhere = {kernel.layer for kernel in KERNELS if kernel.targets == set(TARGETS)}
    assert everywhere == {kernel.layer for kernel in KERNELS}


def test_portable_c_takes_planes_only_where_they_pay():
    """They cost RAM, which `size` and small layers do not spend."""
    model = random_model(0, (64, 16, 4))
    names = {
        optimize: [layer.kernel.name for layer in make_plan(model, optimize=optimize).layers] for optimize in LEVELS
    }
    assert names == {"speed": ["c99/dense_planes", "c99/dense_rows"], "size": ["c99/dense_rows"] * 2}
