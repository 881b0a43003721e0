"""The portable header where int has 16 bits and flash has instructions of its own: an AVR, which simavr emulates."""

import dataclasses
import shutil
import subprocess

import numpy as np
import pytest

from signbit.codegen.plan import make_plan
from signbit.codegen.program import Reads
from signbit.codegen.render import header_text
from signbit.codegen.verify import compare_all, count_sweep, edge_inputs
from signbit.qmodel.activations import Logits, Requantize
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.file import load
from signbit.qmodel.input_quantization import Affine, Pieces, Thermometer
from signbit.qmodel.integer import INT16_MAX
from signbit.qmodel.layers import Conv2D, Dense
from signbit.qmodel.merge import Concatenate
from signbit.qmodel.model import QuantizedModel
from tests.c_programs import inputs_for, plans_for
from tools.cores import avr
from tools.networks.random import (
    FRONT_ENDS,
    front_end_model,
    quantizations_for,
    random_model,
    random_network,
    with_counts,
)

NETWORKS = 10
INPUTS_A_MODEL = 4
COUNTS_A_MODEL = 16
IN_FLASH = ("", "-DM_FLASH=__memx", "-DM_FLASH=")


@pytest.fixture
def emulated():
    if avr.missing():
        pytest.skip(avr.missing())


@pytest.fixture
def compiler():
    if not shutil.which("avr-gcc"):
        pytest.skip(f"avr-gcc is missing: {avr.APT}")


def described(repository):
    return load(repository / "tests/fixtures/version1_counts.npz")


def test_a_shipped_model_gives_the_values_of_python(emulated, repository, digits):
    """Every output of every layer, logits, class and confidence, from constants that are in flash alone."""
    model = load(repository / "models" / "digits-mlp.npz")
    inputs = np.concatenate([digits.test.x[:20], edge_inputs(model)[-30:]])
    output = avr.run([make_plan(model, "m")], [inputs])
    assert [result.first for result in compare_all([model], [inputs], output)] == [""]


@pytest.mark.parametrize("word", IN_FLASH)
def test_constants_are_where_the_word_for_flash_says(compiler, repository, tmp_path, word):
    """Weights, parameters, labels and test vectors: no byte of RAM, unless the word is nothing."""
    plan = make_plan(load(repository / "models" / "digits-mlp.npz"), "m", test_vectors=2)
    sizes = avr.section_bytes(plan, tmp_path, *filter(None, [word]))
    in_ram = sum(sizes.get(name, 0) for name in (".data", ".bss", ".rodata"))
    in_flash = sizes.get(".progmem.data", 0) + sizes.get(".progmemx.data", 0)
    constants = plan.data_bytes + 2 * (plan.input_size + 4 * plan.output_size)
    if word == "-DM_FLASH=":
        assert in_ram > constants and in_flash == 0
    else:
        assert in_flash > constants and in_ram == 0


@pytest.mark.parametrize("word", IN_FLASH[:2])
def test_networks_of_every_layer_agree_in_every_bit(emulated, word):
    models = [random_network(seed) for seed in range(NETWORKS)]
    reading_bits = [model for model in models if Thermometer in quantizations_for(model)]
    models += [with_counts(model, seed, Thermometer) for seed, model in enumerate(reading_bits)]
    plans = plans_for(models)
    assert {layer.kernel.name for plan in plans for layer in plan.layers} >= {
        "c99/conv_patches",
        "c99/depthwise_taps",
        "c99/add",
        "c99/dense_bits",
    }
    assert any(plan.input_copy for plan in plans)
    flags = [word.replace("M_", f"{plan.macro_prefix}_") for plan in plans if word]
    inputs = [inputs_for(model, INPUTS_A_MODEL, seed) for seed, model in enumerate(models)]
    output = avr.run(plans, inputs, *flags)
    assert [result.first for result in compare_all(models, inputs, output) if not result.equal] == []


def test_samples_of_full_scale_become_the_features_of_python(emulated):
    """Rounded shifts by more bits than int has, which show in the powers beside a loud tone's."""
    model = front_end_model(4, *FRONT_ENDS[4])
    model = dataclasses.replace(model, front_end=dataclasses.replace(model.front_end, steps=8, offset=128))
    turns = np.arange(555) / 8 + np.arange(8)[:, None] / 100
    inputs = np.rint(INT16_MAX * np.sin(2 * np.pi * turns)).astype(np.int16)
    result = compare_all([model], [inputs], avr.run(plans_for([model]), [inputs]))[0]
    assert result.equal, result.first


@pytest.mark.parametrize("kind", [Affine, Pieces, Thermometer])
def test_counts_become_the_inputs_of_python(emulated, kind):
    models = [with_counts(random_model(seed, (7 + 20 * seed, 3), input_shift=0), seed, kind) for seed in range(4)]
    sweeps = [count_sweep(model) for model in models]
    counts = [sweep[np.linspace(0, len(sweep) - 1, COUNTS_A_MODEL).astype(int)] for sweep in sweeps]
    output = avr.run(plans_for(models), counts, reads=Reads.COUNTS)
    assert output == b"".join(m.quantize_input(c).tobytes() for m, c in zip(models, counts, strict=True))


def test_a_model_that_stops_is_no_success(emulated, monkeypatch):
    def write_other(folder, *_, **options):
        source = folder / "main.c"
        source.write_text("#include <avr/sleep.h>\nint main(void) { sleep_mode(); return 0; }\n")
        return source

    monkeypatch.setattr(avr, "write_program", write_other)
    model = random_model(1, (8, 2))
    with pytest.raises(SignbitError, match="stopped early"):
        avr.run([make_plan(model, "m")], [edge_inputs(model)[:1]])


def write_header(folder, model):
    (folder / "m.h").write_text(header_text(make_plan(model, "m", test_vectors=1)))


def compiled(folder, command, text, suffix=".c"):
    source = folder / f"use{suffix}"
    source.write_text(text)
    return subprocess.run([*command, "-c", str(source), "-o", str(folder / "use.o")], capture_output=True, text=True)


def test_cpp_reads_labels_from_flash_and_leaves_the_code_to_c(compiler, repository, tmp_path):
    """In C++ a label has the type that Arduino prints from flash; it can't be taken for text in RAM."""
    write_header(tmp_path, described(repository))
    command = ("avr-g++", f"-mmcu={avr.MCU}", "-Wall", "-Wextra", "-Werror")
    use = '#include "m.h"\n%s text() { return m_label(0); }\n'
    assert compiled(tmp_path, command, use % "const __FlashStringHelper *", ".cpp").returncode == 0
    assert compiled(tmp_path, command, use % "const char *", ".cpp").returncode != 0
    assert compiled(tmp_path, (*command, "-DM_FLASH="), use % "const char *", ".cpp").returncode == 0
    code = '#define M_IMPLEMENTATION\n#include "m.h"\n'
    refused = compiled(tmp_path, command, code, ".cpp").stderr
    assert "on an AVR compile this as GNU C, or define M_FLASH as nothing" in refused
    assert compiled(tmp_path, (*command, "-DM_FLASH="), code, ".cpp").returncode == 0
    assert "compile this as GNU C" in compiled(tmp_path, ("avr-gcc", "-std=c99", *command[1:]), code).stderr
    assert compiled(tmp_path, ("avr-gcc", "-mmcu=attiny10", "-Wall", "-Wextra", "-Werror"), code).returncode == 0


def test_every_access_to_constants_goes_through_the_word_for_flash(repository, tmp_path):
    """By a named address space of this computer: gcc converts no pointer to it silently."""
    if not shutil.which("gcc"):
        pytest.skip("gcc is not installed (apt install gcc)")
    models = [described(repository), *map(random_network, range(8))]
    models += [with_counts(random_model(1, (40, 3), input_shift=0), 1, kind) for kind in (Affine, Pieces, Thermometer)]
    text = '#define M_DESCRIBE_INPUTS\n#define M_FLASH __seg_gs\n#define M_IMPLEMENTATION\n#include "m.h"\n'
    for model in models:
        write_header(tmp_path, model)
        done = compiled(tmp_path, ("gcc", "-std=gnu99", "-Wall", "-Wextra", "-Werror"), text)
        assert done.returncode == 0, done.stderr[:2000]


def test_a_concatenation_rounds_by_a_half_beyond_16_bits(emulated):
    """`1u << 20` is none where an unsigned int has 16 bits: a value that should have been 32 was 31."""
    weights = np.array([[[[1]]], [[[1]]]], np.int8)
    one = np.ones(2, np.int16), np.zeros(2, np.int32)
    branches = [Conv2D(weights, Requantize(*one, 1, 127), inputs=(-1 - number,)) for number in range(2)]
    merge = Concatenate((-2, -1), 255, (32_767, 16_384), 20)
    closing = Dense(np.ones((1, 16), np.int8), Logits(np.ones(1, np.int16), np.zeros(1, np.int32)))
    model = QuantizedModel("halves", (2, 2, 1), 0, (*branches, merge, closing), ("one",), 8).validate()
    inputs = np.arange(240, dtype=np.uint8).reshape(-1, 4)
    output = avr.run([make_plan(model, "m")], [inputs])
    assert [result.first for result in compare_all([model], [inputs], output)] == [""]
