"""Random models: the generated C on this computer against Python, every layer's every output."""

import shutil
import subprocess
import sys

import numpy as np
import pytest

from signbit.codegen import host
from signbit.codegen.host import FLAGS, Host, fast_flags, find_compiler
from signbit.codegen.plan import make_plan
from signbit.codegen.verify import compare, edge_inputs, expected_output, verify, verify_sets
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.layers import Conv2D, Dense, DepthwiseConv2D
from signbit.qmodel.model import QuantizedModel
from signbit.qmodel.value import Encoding, Value
from signbit.qmodel.window import Window
from tests.c_programs import STRICT, STRICT_CPP, inputs_for, plans_for, run_here
from tools.networks.random import random_activation, random_model, random_network, random_weights

MODELS_A_PROGRAM = 32
INPUTS_A_MODEL = 8
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
BUILDS = {
    "gcc c99 -Os": (["gcc", "-std=c99", "-Os", *STRICT], ".c"),
    "gcc c11 -O3": (["gcc", "-std=c11", "-O3", *STRICT], ".c"),
    "gcc c99 sanitized": (["gcc", "-std=c99", "-O0", *STRICT, *SANITIZE], ".c"),
    "clang c99 -O2": (["clang", "-std=c99", "-O2", *STRICT], ".c"),
    "clang c11 sanitized": (["clang", "-std=c11", "-O0", *STRICT, *SANITIZE], ".c"),
    "g++ c++98": (["g++", "-std=c++98", "-O2", *STRICT_CPP], ".cpp"),
    "g++ c++17": (["g++", "-std=c++17", "-O2", *STRICT_CPP], ".cpp"),
    "clang++ c++11": (["clang++", "-std=c++11", "-O2", *STRICT_CPP], ".cpp"),
}


def random_models(count: int, seed: int):
    """Dense models with sizes around the words' ends, and networks of every kind of layer."""
    rng = np.random.default_rng(seed)
    for _ in range(count // 5):
        depth = rng.integers(1, 4)
        near_words = rng.choice([1, 2, 31, 32, 33, 63, 64, 65, 96, 127, 128], depth + 1)
        anything = rng.integers(1, 140, depth + 1)
        sizes = np.where(rng.random(depth + 1) < 0.5, near_words, anything)
        yield random_model(
            int(rng.integers(2**32)),
            tuple(int(size) for size in sizes),
            input_shift=int(rng.integers(0, 2)),
            high=int(rng.choice([1, 15, 127, 255])),
            logit_shift=int(rng.integers(0, 27)),
        )
    for _ in range(count - count // 5):
        yield random_network(int(rng.integers(2**32)))


@pytest.mark.parametrize("build", BUILDS)
def test_random_models_agree_in_every_bit(build):
    command, suffix = BUILDS[build]
    if not shutil.which(command[0]):
        pytest.skip(f"{command[0]} is not installed (apt install gcc g++ clang)")
    models = list(random_models(MODELS_A_PROGRAM, seed=list(BUILDS).index(build)))
    inputs = [inputs_for(model, INPUTS_A_MODEL, seed) for seed, model in enumerate(models)]
    results = run_here(models, plans_for(models), inputs, command, suffix)
    assert [result.first for result in results if not result.equal] == []


def test_widest_layer_agrees(tmp_path):
    """A fan-in of 65,793, the most that is allowed, at the largest inputs."""
    model = random_model(3, (65_793, 3), input_shift=0)
    result = verify(model, make_plan(model), edge_inputs(model), Host())
    assert result.equal, result.first


SERIES = {
    "a stride and a pool": ((7, 1), Window((2, 1), (3, 3, 0, 0), (2, 1)), True),
    "a kernel wider than the image": ((3, 3), Window((1, 1), (1, 0, 1, 1)), True),
    "outputs wider than the image": ((3, 1), Window((1, 1), (0, 0, 1, 0)), False),
}


@pytest.mark.parametrize("kind", [Conv2D, DepthwiseConv2D])
@pytest.mark.parametrize("name", SERIES)
def test_image_of_one_column_is_computed_as_a_row(name, kind):
    """Kernels work along rows: a network for accelerations took 79,000 instructions on M0, and then 45,000."""
    kernel, window, turns = SERIES[name]
    rng = np.random.default_rng(1)
    weights = random_weights(rng, (5, *kernel, 5) if kind is Conv2D else (5, *kernel))
    layer = kind(weights, random_activation(rng, weights.reshape(5, -1), (0, 127), 127, "requantize"), window)
    value = layer.output(Value((20, 1, 5), Encoding.UINT8, 0, 127))
    last = random_weights(rng, (3, value.size))
    closing = Dense(last, random_activation(rng, last, (0, 127), 127, "logits"))
    model = QuantizedModel("series", (20, 1, 5), 1, (layer, closing), ("a", "b", "c"), 8).validate()
    plan = make_plan(model, target="cortex-m0")
    assert plan.layers[0].job.input_shape == ((1, 20, 5) if turns else (20, 1, 5))
    assert plan.layers[0].shapes("x", "->").startswith("20x1x5 -> ")
    assert verify(model, plan, edge_inputs(model), Host()).equal


@pytest.mark.parametrize("prefix", ["int", "linux", "main", "memory", "p" * 31])
def test_a_program_compiles_whatever_the_prefix_means_to_c(prefix):
    """A keyword, a macro of gcc's, and the longest one there may be: header and program both have it."""
    compiler = find_compiler()
    for seed in range(3):
        model = random_network(seed)
        plan = make_plan(model, prefix)
        assert verify(model, plan, edge_inputs(model)[:5], Host(compiler, fast_flags(compiler))).equal


@pytest.mark.parametrize("place", range(4))
def test_one_flipped_bit_is_found(place):
    """The comparison itself: a single wrong bit, anywhere in the last record, is reported with its place.

    One of them is in the last logit of the last input.
    """
    model = random_model(5, (20, 6, 3))
    x = edge_inputs(model)[:4]
    output = bytearray(b"".join(b"".join(a[i].tobytes() for a in expected_output(model, x).values()) for i in range(4)))
    assert compare(model, x, bytes(output)).equal
    record = len(output) // 4
    offset = (0, 6, record - 9, record - 1)[place]
    output[3 * record + offset] ^= 4
    result = compare(model, x, bytes(output))
    assert result.different == 1
    places = ("layer 0, input 3", "layer 1, input 3", "layer 1, input 3, value 2", "class and confidence, input 3")
    assert result.first.startswith(places[place])


def test_short_output_is_no_success():
    model = random_model(5, (20, 6, 3))
    x = edge_inputs(model)[:4]
    assert not compare(model, x, b"").equal


class Replay:
    """A machine that writes Python's values, or what `spoil` makes of them; it counts its programs."""

    def __init__(self, model, spoil):
        self.model, self.spoil, self.programs = model, spoil, 0

    def run(self, plans, inputs, reads):
        self.programs += 1
        expected = expected_output(self.model, inputs[0]).values()
        return self.spoil(b"".join(array[n].tobytes() for n in range(len(inputs[0])) for array in expected))


@pytest.mark.parametrize(
    ("spoil", "wrong"),
    {
        "nothing": (lambda output: output, []),
        "last bit": (lambda output: output[:-1] + bytes([output[-1] ^ 1]), ["last"]),
        "first bit": (lambda output: bytes([output[0] ^ 1]) + output[1:], ["first"]),
        "a byte less": (lambda output: output[:-1], ["last"]),
        "a byte more": (lambda output: output + b"0", ["last"]),
        "nothing at all": (lambda output: b"", ["first", "middle", "last"]),
    }.values(),
)
def test_sets_of_inputs_go_through_one_program(spoil, wrong):
    """A difference is reported for the set that it is in; each set was compiled and run by itself."""
    model = random_model(5, (20, 6, 3))
    x = edge_inputs(model)
    sets = {"first": x[:4], "middle": x[4:7], "last": x[7:9]}
    machine = Replay(model, spoil)
    results = verify_sets(model, make_plan(model), sets, machine)
    assert machine.programs == 1
    assert [name for name, result in results.items() if not result.equal] == wrong
    assert [result.inputs for result in results.values()] == [4, 3, 2]


@pytest.mark.parametrize(
    ("correct", "wrong"),
    [("while (--left > 0u);", "while (--left > 1u);"), ("sum = 2 * sum +", "sum = sum +")],
    ids=["rows", "planes"],
)
def test_broken_kernel_is_found(correct, wrong, monkeypatch):
    """Drop the sign of one weight bit, or what a plane of inputs is worth, in the generated C."""
    import signbit.codegen.program as module

    model = random_model(6, (64, 10, 4))
    text = module.header_text(make_plan(model))
    broken = text.replace(correct, wrong)
    assert broken != text
    monkeypatch.setattr(module, "header_text", lambda plan: broken)
    assert not verify(model, make_plan(model), edge_inputs(model), Host()).equal


def test_missing_compiler_is_one_clear_line():
    with pytest.raises(SignbitError, match="C compiler 'no-such-cc' was not found"):
        find_compiler("no-such-cc")


@pytest.mark.parametrize("there", [True, False])
def test_where_no_compiler_is_installed_that_of_pypi_is_taken_if_it_is_there(monkeypatch, there):
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(host.shutil, "which", lambda name: None)
    monkeypatch.setattr(host.importlib.util, "find_spec", lambda name: (there and name == "ziglang") or None)
    if there:
        assert find_compiler()[-2:] == ["ziglang", "cc"]
    else:
        with pytest.raises(SignbitError, match="no C compiler was found; install one"):
            find_compiler()


FOR_EVER = (sys.executable, "-c", "import time; time.sleep(60)")


@pytest.mark.parametrize("machine", [Host([*FOR_EVER]), Host(emulator=FOR_EVER)], ids=["compiler", "program"])
def test_what_does_not_end_is_stopped(monkeypatch, machine):
    """The limit is short here for what never ends, and as ever for the compiler that does."""
    run = subprocess.run

    def hasty(command, *, timeout, **options):
        assert timeout == host.TIMEOUT_S
        return run(command, timeout=0.2 if command[0] == sys.executable else timeout, **options)

    monkeypatch.setattr(host.subprocess, "run", hasty)
    model = random_model(6, (8, 2))
    with pytest.raises(subprocess.TimeoutExpired):
        machine.run([make_plan(model)], [edge_inputs(model)[:2]])


def test_instructions_of_this_computer_are_for_compilers_that_know_it(tmp_path):
    old = tmp_path / "old-cc"
    old.write_text('#!/bin/sh\ncase "$*" in *native*) exit 1;; esac\n')
    old.chmod(0o755)
    assert fast_flags([str(old)]) == FLAGS
    old.write_text("#!/bin/sh\n")
    assert fast_flags([str(old)]) == (*FLAGS, "-march=native")
