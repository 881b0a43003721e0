"""The live page: its WebAssembly in Node against Python, what it may load, and whose text it holds."""

import base64
import hashlib
import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from signbit.codegen import wasm
from signbit.codegen.commands.cli import main
from signbit.codegen.page import centring, channels, input_kind, live_page, slider_ends
from signbit.codegen.plan import make_plan
from signbit.codegen.verify import compare, edge_inputs, edge_samples
from signbit.qmodel.command import run_command
from signbit.qmodel.file import load, save
from signbit.qmodel.input_quantization import Affine, Pieces, Thermometer
from signbit.qmodel.reject import Reject
from tools.networks.random import (
    FRONT_ENDS,
    RANDOM_QUANTIZATIONS,
    front_end_model,
    random_model,
    random_network,
    with_counts,
)

HARNESS = Path(__file__).with_name("page_in_node.js")
HOSTILE = "</script><script>alert(1)</script>&\"'"


@pytest.fixture(scope="module", autouse=True)
def needs_a_compiler():
    if wasm.missing():
        pytest.skip(wasm.missing())


@pytest.fixture
def in_node(tmp_path):
    """Compares what a model's page computes in Node with Python."""
    if not shutil.which("node"):
        pytest.skip("needs Node (apt install nodejs)")

    def run(model, inputs, text=None):
        page = tmp_path / "page.html"
        page.write_text(text or live_page(model, make_plan(model)))
        done = subprocess.run(["node", HARNESS, page], input=inputs.tobytes(), capture_output=True)
        assert done.returncode == 0, done.stderr.decode()
        # a page answers each window alone
        return compare(replace(model, decision=None), inputs, done.stdout)

    return run


def shipped(repository, name):
    return load(repository / "models" / name)


def sensor_values(model, count=16):
    rng = np.random.default_rng(0)
    size = int(np.prod(model.sensor_shape))
    return rng.integers(-(2**15), 2**15, (count, size), dtype=np.int16)


def test_a_thousand_digits_give_python_s_every_value(repository, digits, in_node):
    model = shipped(repository, "digits-conv.npz")
    inputs = np.concatenate([digits.test.x, digits.train.x])[:1000]
    found = in_node(model, inputs)
    assert found.equal and found.inputs == 1000, found


@pytest.mark.parametrize("seed", range(8))
def test_random_networks_give_python_s_every_value(seed, in_node):
    model = random_network(seed)
    found = in_node(model, edge_inputs(model)[::8])
    assert found.equal, found


def test_a_refusing_model_gives_python_s_decisions(in_node):
    model = random_model(5, (20, 12, 4))
    logits = np.sort(model.run(edge_inputs(model)))
    margin = np.uint32(np.median(logits[:, -1] - logits[:, -2]))
    model = replace(model, reject=Reject(np.full(4, margin))).validate()
    assert in_node(model, edge_inputs(model)).equal


def test_counts_of_a_sensor_give_python_s_every_value(repository, in_node):
    model = shipped(repository, "activity-600.npz")
    assert in_node(model, sensor_values(model, 64)).equal


@pytest.mark.parametrize("number", range(len(FRONT_ENDS)))
def test_front_ends_give_python_s_every_value(number, in_node):
    model = front_end_model(number, *FRONT_ENDS[number])
    assert in_node(model, edge_samples(model)[::4]).equal


def test_a_flipped_bit_is_found(repository, digits, in_node):
    model = shipped(repository, "digits-mlp.npz")
    layer = model.layers[0]
    weights = layer.weights.copy()
    weights[0, 20] *= -1
    other = replace(model, layers=(replace(layer, weights=weights), *model.layers[1:]))
    assert not in_node(model, digits.test.x, live_page(other, make_plan(other))).equal


def test_both_compilers_make_the_same_values(repository, digits, in_node, monkeypatch):
    pytest.importorskip("ziglang", reason="needs zig (pip install 'signbit[cross]')")
    monkeypatch.setattr(wasm, "find_compiler", lambda: wasm.ZIG)
    assert in_node(shipped(repository, "digits-mlp.npz"), digits.test.x).equal


def test_policy_allows_the_page_s_own_scripts_and_nothing_from_elsewhere(repository):
    model = shipped(repository, "activity-600.npz")
    text = live_page(model, make_plan(model))
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    hashes = {
        f"'sha256-{base64.b64encode(hashlib.sha256(part.encode()).digest()).decode()}'"
        for part in re.findall(r"<(?:script|style)>(.*?)</(?:script|style)>", text, re.DOTALL)
    }
    assert hashes == set(re.findall(r"'sha256-[^']*'", policy)) and len(hashes) == 3
    assert policy.startswith("default-src 'none';") and "unsafe-inline" not in policy and "http" not in policy
    assert not re.search(r"""(src|href)=(?!"data:,")""", text)


def test_labels_and_columns_cannot_leave_the_json(repository):
    model = with_counts(random_model(1, (3, 2)), 1)
    data = {"name": "x", "columns": [HOSTILE, "b", "c"], "lsb": {"b": 0.25}}
    model = replace(model, labels=(HOSTILE, "ü"), provenance={"data": data}).validate()
    text = live_page(model, make_plan(model))
    facts = re.search(r'id="facts">(.*?)</script>', text)[1]
    assert json.loads(facts)["labels"] == [HOSTILE, "ü"]
    assert text.count("<script") == 3 and "alert(1)" in facts


def test_kinds_of_input(repository):
    assert input_kind(shipped(repository, "mnist-4k.npz")) == "picture"
    assert input_kind(shipped(repository, "activity-600.npz")) == "recording"
    assert input_kind(random_model(1, (3, 2))) == "values"
    kinds = {text.partition(":")[0]: input_kind(front_end_model(0, text, *rest)) for text, *rest in FRONT_ENDS}
    assert kinds["logmel"] == "sound" and kinds["stats"] == "recording"


def test_digits_are_centred_as_in_their_data_and_other_pictures_not_at_all(repository):
    assert centring(shipped(repository, "mnist-4k.npz")) == "mass"
    digits = shipped(repository, "digits-mlp.npz")
    assert centring(digits) == "box"
    assert centring(replace(digits, labels=tuple("abcdefghij"))) is None


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", [Affine, Pieces, Thermometer])
def test_sliders_reach_every_input(kind, seed):
    """Counts beyond a slider's ends give the same inputs as its ends, and counts just inside give others."""
    quantization = RANDOM_QUANTIZATIONS[kind](seed, 6)
    for index, (low, high) in enumerate(slider_ends(quantization)):
        counts = np.zeros((5, quantization.channels), np.int16)
        counts[:, index] = [-(2**15), low, low + 1, high, 2**15 - 1]
        inputs = quantization.run(counts)
        assert np.array_equal(inputs[0], inputs[1]) and np.array_equal(inputs[3], inputs[4])
        assert (low, high) == (0, 1) or not np.array_equal(inputs[1], inputs[2])


def test_columns_have_names_units_and_worth(repository):
    found = channels(shipped(repository, "activity-600.npz"))
    assert [channel["name"] for channel in found] == [
        f"{sensor}_{axis}" for sensor in ("acc", "gyro") for axis in "xyz"
    ]


def test_command_writes_one_page(repository, tmp_path, capsys):
    page = tmp_path / "digits.html"
    assert run_command(main, ["page", "digits-mlp", "-o", str(page)]) == 0
    assert capsys.readouterr().out == f"{page}: {page.stat().st_size:,} bytes; open it in a browser\n"
    assert page.read_text().startswith("<!doctype html>")


def test_page_of_mnist_4k_is_small(repository):
    model = shipped(repository, "mnist-4k.npz")
    # compilers differ by some hundred bytes; bench/page.json has the figure of one
    assert len(live_page(model, make_plan(model)).encode()) <= 25 << 10


def test_without_a_compiler_the_command_says_what_to_install(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(wasm, "find_compiler", lambda: None)
    save(random_model(1, (4, 2)), tmp_path / "m.npz")
    assert run_command(main, ["page", str(tmp_path / "m.npz"), "-o", str(tmp_path / "m.html")]) == 2
    assert "(apt install clang lld, or pip install 'signbit[cross]')" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["m.npz"]


def test_a_compiler_that_fails_is_quoted(tmp_path):
    with pytest.raises(ValueError, match="false could not compile the model to WebAssembly: it said nothing"):
        wasm.build(make_plan(random_model(1, (4, 2))), ("false",))
