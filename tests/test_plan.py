"""The plan: the arena, the choice of kernels, what the compiler measures, and the reports."""

import itertools
import json
import struct
import zlib
from dataclasses import replace
from math import ceil

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from signbit.codegen import measure
from signbit.codegen.arena import Buffer, aligned, place
from signbit.codegen.choose import Limits, Option, choose
from signbit.codegen.code_size import predicted_code_bytes
from signbit.codegen.commands import common
from signbit.codegen.commands.cli import main
from signbit.codegen.kernels import candidates
from signbit.codegen.kernels.base import CArray, Cost, Kernel
from signbit.codegen.kernels.targets import SIZE, SPEED
from signbit.codegen.plan import make_plan
from signbit.codegen.report_page import png
from signbit.qmodel.command import run_command
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.file import load, save
from signbit.qmodel.layers import Conv2D, Dense
from signbit.qmodel.model import QuantizedModel
from tools.networks.random import random_activation, random_model, random_network, random_weights


def overlaps(buffers, arena):
    """Pairs of buffers that are in use in one step and share a byte."""
    spans = [(at, at + aligned(buffer.size_bytes)) for buffer, at in zip(buffers, arena.offsets, strict=True)]
    return [
        (one, other)
        for one, other in itertools.combinations(range(len(buffers)), 2)
        if buffers[one].first <= buffers[other].last and buffers[other].first <= buffers[one].last
        if max(spans[one][0], spans[other][0]) < min(spans[one][1], spans[other][1])
    ]


def most_in_use(buffers):
    """Bytes in use in the step that needs most: no arena can be smaller."""
    steps = range(max(buffer.last for buffer in buffers) + 1)
    return max(sum(aligned(b.size_bytes) for b in buffers if b.first <= step <= b.last) for step in steps)


@given(st.lists(st.tuples(st.integers(1, 300), st.integers(0, 300)), min_size=1, max_size=12))
@example([(68, 0), (72, 0), (68, 0), (84, 0), (96, 0), (20, 0)])  # needs its two ends
def test_arena_of_a_chain_is_the_smallest(layers):
    """Each output is read by the next layer."""
    outputs = [Buffer(size_bytes, step, step + 1) for step, (size_bytes, _) in enumerate(layers)]
    buffers = outputs + [Buffer(size_bytes, step, step) for step, (_, size_bytes) in enumerate(layers)]
    arena = place(buffers)
    assert overlaps(buffers, arena) == [] and all(at % 4 == 0 for at in arena.offsets)
    assert arena.size_bytes == most_in_use(buffers)


@given(st.lists(st.tuples(st.integers(1, 300), st.integers(0, 300), st.integers(1, 6)), min_size=1, max_size=12))
def test_what_lives_together_never_shares_a_byte(layers):
    """Outputs that are read by later layers too."""
    outputs = [Buffer(size_bytes, step, step + life) for step, (size_bytes, _, life) in enumerate(layers)]
    buffers = outputs + [Buffer(size_bytes, step, step) for step, (_, size_bytes, _) in enumerate(layers)]
    arena = place(buffers)
    assert overlaps(buffers, arena) == [] and all(at % 4 == 0 for at in arena.offsets)
    ends = [at + aligned(buffer.size_bytes) for buffer, at in zip(buffers, arena.offsets, strict=True)]
    assert max(ends) == arena.size_bytes
    assert most_in_use(buffers) <= arena.size_bytes <= sum(aligned(buffer.size_bytes) for buffer in buffers)


def test_arena_of_a_residual_network_holds_the_skipped_value():
    """Each block reads the value before it once more, two layers later."""
    buffers = [Buffer(100, step, step + (3 if step % 3 == 0 else 1)) for step in range(12)]
    assert place(buffers).size_bytes == most_in_use(buffers) == 300


@pytest.mark.parametrize(
    "layers",
    [
        [(40, 1), (52, 3), (24, 2), (76, 3), (8, 1), (68, 1)],
        [(72, 3), (24, 2), (24, 3), (92, 2), (52, 2), (84, 3), (64, 1)],
        [(64, 3), (44, 3), (68, 2), (12, 1), (100, 2), (68, 1), (96, 1)],
    ],
)
def test_arena_of_branches_is_the_smallest_of_several_orders(layers):
    """Outputs at the two ends in turn would take up to 100 bytes more."""
    buffers = [Buffer(size_bytes, step, step + life) for step, (size_bytes, life) in enumerate(layers)]
    assert place(buffers).size_bytes == most_in_use(buffers)


class Fake(Kernel):
    """A kernel that is nothing but its costs."""

    targets = frozenset({"portable"})

    def __init__(self, instructions, flash_bytes, scratch_bytes, calls):
        self.costs = (instructions, flash_bytes, scratch_bytes)
        self.calls = calls

    def arrays(self, job):
        return (CArray("weights", "uint8_t", np.zeros(self.costs[1], np.uint8)),)

    def cost(self, job):
        return Cost(self.costs[0], self.costs[2])


FUNCTION_BYTES = {"one": 3, "two": 20, "three": 40}
CALLS = st.frozensets(st.sampled_from(sorted(FUNCTION_BYTES)))
KERNELS = st.builds(Fake, st.integers(1, 50), st.integers(0, 50), st.integers(0, 50), CALLS)


@given(
    st.lists(st.lists(KERNELS, min_size=1, max_size=4), min_size=1, max_size=4),
    st.sampled_from([SIZE, SPEED]),
    st.builds(Limits, st.integers(0, 150), st.integers(0, 200), st.integers(1, 150)),
)
def test_choice_is_the_best_of_all(kernels, optimize, limits):
    """Functions that several layers call are there once."""
    jobs = [layer.job for layer in make_plan(random_model(1, (4,) * (len(kernels) + 1))).layers]

    def ram_fits(job, fake):
        inputs_bytes = 0 if job.from_caller else aligned(job.input.size_bytes)
        return aligned(job.output.size_bytes) + inputs_bytes + aligned(fake.costs[2]) <= limits.ram_bytes

    def value(combination):
        instructions, data_bytes = (sum(fake.costs[index] for fake in combination) for index in (0, 1))
        code_bytes = sum(FUNCTION_BYTES[name] for name in frozenset().union(*(fake.calls for fake in combination)))
        return (data_bytes + code_bytes, instructions)

    def code_bytes(index, option):
        return {name: FUNCTION_BYTES[name] for name in option.kernel.calls}

    in_ram = [[fake for fake in choices if ram_fits(job, fake)] for job, choices in zip(jobs, kernels, strict=True)]
    values = [value(combination) for combination in itertools.product(*in_ram)]
    allowed = [(size, work) for size, work in values if size <= limits.flash_bytes and work <= limits.instructions]
    options = [[Option.of(fake, job) for fake in choices] for job, choices in zip(jobs, kernels, strict=True)]
    if not allowed:
        with pytest.raises(SignbitError, match="more than allowed"):
            choose(jobs, options, optimize, limits, code_bytes)
        return
    chosen = [option.kernel for option in choose(jobs, options, optimize, limits, code_bytes)]
    assert value(chosen) == min(allowed, key=lambda cost: cost if optimize == SIZE else cost[::-1])


@pytest.mark.parametrize("optimize", [SIZE, SPEED])
def test_what_is_not_minimized_breaks_ties(optimize):
    """Of equally fast kernels the last was taken, of equally small ones the slowest."""
    (job,) = (layer.job for layer in make_plan(random_model(1, (4, 4))).layers)
    costs = {SIZE: [(9, 5), (3, 5), (6, 5)], SPEED: [(5, 9), (5, 3), (5, 6)]}[optimize]
    kernels = [Fake(instructions, flash_bytes, 0, frozenset()) for instructions, flash_bytes in costs]
    (option,) = choose([job], [[Option.of(kernel, job) for kernel in kernels]], optimize)
    assert option.kernel is kernels[1]


@pytest.mark.parametrize("optimize", [SIZE, SPEED])
def test_code_counts_against_the_limit_of_flash(optimize):
    """A limit of little more than the weights was taken for enough where speed is minimized."""
    model = random_model(1, (100, 60, 4))
    plan = make_plan(model, target="cortex-m4", optimize=SIZE)
    needed = plan.data_bytes + predicted_code_bytes(plan)
    within = make_plan(model, target="cortex-m4", optimize=optimize, limits=Limits(flash_bytes=needed + 2000))
    assert within.data_bytes + predicted_code_bytes(within) <= needed + 2000
    with pytest.raises(SignbitError, match="weights, parameters and code"):
        make_plan(model, target="cortex-m4", optimize=optimize, limits=Limits(flash_bytes=plan.data_bytes + 100))


def test_size_is_that_of_data_and_code_together(repository):
    model = load(repository / "models" / "digits-mlp.npz")

    def flash_bytes(plan):
        return plan.data_bytes + predicted_code_bytes(replace(plan, optimize=SIZE))

    smallest = make_plan(model, target="cortex-m4", optimize=SIZE)
    names = {kernel.name for layer in smallest.layers for kernel in candidates(layer.job)}
    others = [make_plan(model, target="cortex-m4", optimize=SIZE, kernel=name) for name in sorted(names)]
    assert len(others) > 2
    assert flash_bytes(smallest) <= min(map(flash_bytes, others))


def test_a_series_is_computed_as_the_row_that_it_is():
    """In memory a column of pixels is a row: it takes as many instructions."""
    rng = np.random.default_rng(0)
    weights = random_weights(rng, (8, 5, 1, 3))
    activation = random_activation(rng, weights.reshape(8, -1), (0, 127), 127, "requantize")
    closing = random_weights(rng, (4, 26 * 8))
    logits = Dense(closing, random_activation(rng, closing, (0, 127), 127, "logits"))
    plans = []
    for shape, turned in (((30, 1, 3), weights), ((1, 30, 3), weights.swapaxes(1, 2))):
        layers = (Conv2D(turned, activation), logits)
        model = QuantizedModel("series", shape, 1, layers, ("a", "b", "c", "d"), 8).validate()
        plans.append(make_plan(model, "m", "cortex-m0"))
    column, row = plans
    assert column.instructions == row.instructions


def test_a_tool_that_is_missing_is_why_nothing_is_measured(monkeypatch):
    monkeypatch.setenv("PATH", "")
    plan = make_plan(random_model(1, (4, 2)), target="cortex-m4")
    assert "arm-none-eabi" in measure.missing(plan)
    assert "any compiler" in measure.missing(make_plan(random_model(1, (4, 2))))


def test_model_that_does_not_fit_names_layer_and_bytes():
    model = random_model(1, (100, 60, 4))
    with pytest.raises(SignbitError, match=r"layer 0 \(dense\) needs 60 bytes of RAM .* 20 more than allowed"):
        make_plan(model, limits=Limits(ram_bytes=40))
    with pytest.raises(SignbitError, match=r"need 1,\d+ bytes of flash, \d+ more than allowed; the largest is layer 0"):
        make_plan(model, limits=Limits(flash_bytes=1000))


def test_budget_of_instructions_is_kept_or_refused():
    model = random_model(1, (100, 60, 4))
    fast, small = (make_plan(model, target="cortex-m0", optimize=optimize) for optimize in (SPEED, SIZE))
    between = round((fast.instructions + small.instructions) / 2)
    plan = make_plan(model, target="cortex-m0", optimize=SIZE, limits=Limits(instructions=between))
    assert fast.instructions <= plan.instructions <= between < small.instructions
    message = rf"takes {ceil(fast.instructions):,} instructions, [\d,]+ more than allowed; the slowest is layer 0"
    with pytest.raises(SignbitError, match=message):
        make_plan(model, target="cortex-m0", limits=Limits(instructions=1000))
    least = small.data_bytes + predicted_code_bytes(small)
    with pytest.raises(
        SignbitError, match=r"within [\d,]+ instructions the model needs [\d,]+ bytes .* more of either"
    ):
        make_plan(model, target="cortex-m0", optimize=SIZE, limits=Limits(None, least, between))
    with pytest.raises(SignbitError, match="choose one with --target"):
        make_plan(model, limits=Limits(instructions=1000))


def test_arena_of_branches_that_does_not_fit_says_by_how_much():
    model = next(model for model in map(random_network, range(500)) if model.parts and len(model.layers) > 4)
    scratch_bytes = make_plan(model).scratch_bytes
    assert make_plan(model, limits=Limits(scratch_bytes)).scratch_bytes == scratch_bytes
    with pytest.raises(SignbitError, match=r"bytes of RAM .* more than allowed"):
        make_plan(model, limits=Limits(scratch_bytes - 4))


def test_a_compiler_that_makes_more_code_than_predicted_is_noted(tmp_path, monkeypatch, capsys):
    save(random_model(1, (100, 60, 4)), tmp_path / "m.npz")
    arguments = ["export", str(tmp_path / "m.npz"), "-o", "-", "--target", "cortex-m0", "--max-flash", "8K"]
    monkeypatch.setattr(common, "missing", lambda plan: None)
    for compiled_bytes, noted in ((8 * 1024, ""), (8 * 1024 + 5, "it takes 5 bytes more than --max-flash")):
        monkeypatch.setattr(common, "measure", lambda plan, size=compiled_bytes: measure.Measured(size, 0, ()))
        assert run_command(main, arguments) == 0
        assert noted in (said := capsys.readouterr().err) and said.count("\n") == bool(noted)


@given(st.integers(0, 500))
def test_random_networks_have_a_plan(seed):
    plan = make_plan(random_network(seed))
    assert plan.scratch_bytes % 4 == 0
    assert plan.data_bytes == sum(array.size_bytes for layer in plan.layers for array in layer.arrays)


@pytest.fixture
def compiler():
    plan = make_plan(random_model(1, (100, 60, 4)), target="cortex-m0")
    if measure.missing(plan):
        pytest.skip(measure.missing(plan))
    return measure.measure


@pytest.mark.parametrize("target", ["cortex-m0", "cortex-m4", "cortex-m55"])
@pytest.mark.parametrize("optimize", [SIZE, SPEED])
def test_measured_flash_holds_the_data_and_some_code(compiler, target, optimize):
    plan = make_plan(random_model(1, (100, 60, 4)), target=target, optimize=optimize)
    measured = compiler(plan)
    assert plan.data_bytes + 100 < measured.flash_bytes < plan.data_bytes + 8000
    assert 16 <= measured.stack_bytes < 1000


def test_depth_is_that_of_the_deepest_path():
    graph = """node: { title: "f" label: "f\\nx.c:1:2\\n16 bytes (static)\\n0 dynamic objects" }
node: { title: "x.c:g" label: "g\\nx.c:2:3\\n24 bytes (static)\\n0 dynamic objects" }
node: { title: "h" label: "h\\nx.c:3:3\\n100 bytes (static)\\n0 dynamic objects" }
edge: { sourcename: "f" targetname: "x.c:g" label: "x.c:5:5" }
edge: { sourcename: "x.c:g" targetname: "__aeabi_uidiv" label: "x.c:5:5" }
"""
    assert measure._deepest_path(graph, "f") == 40


def test_png_holds_the_pixels():
    pixels = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    data = png(pixels)
    assert struct.unpack(">II", data[16:24]) == (3, 2)
    start = data.index(b"IDAT") + 4
    (length,) = struct.unpack(">I", data[start - 8 : start - 4])
    rows = np.frombuffer(zlib.decompress(data[start : start + length]), np.uint8).reshape(2, 10)
    assert (rows[:, 0] == 0).all() and np.array_equal(rows[:, 1:].reshape(2, 3, 3), pixels)


def test_report_of_another_kind_is_refused_before_anything_is_written(tmp_path, capsys):
    save(random_model(1, (4, 2)), tmp_path / "m.npz")
    arguments = ["export", str(tmp_path / "m.npz"), "-o", str(tmp_path / "m.h"), "--report", str(tmp_path / "m.pdf")]
    assert run_command(main, arguments) == 2
    assert "must end with .json or .html" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["m.npz"]


def test_inspect_limits_and_json(tmp_path, capsys):
    save(random_model(1, (100, 60, 4)), tmp_path / "m.npz")
    assert run_command(main, ["inspect", str(tmp_path / "m.npz"), "--max-ram", "40"]) == 2
    assert "20 more than allowed" in capsys.readouterr().err
    assert run_command(main, ["inspect", str(tmp_path / "m.npz"), "--max-ram", "1x"]) == 2
    assert "'1x' is not a number of bytes" in capsys.readouterr().err
    assert run_command(main, ["inspect", str(tmp_path / "m.npz"), "--max-flash", "16K", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["flash_bytes"] is None and figures["predicted_instructions"] is None
