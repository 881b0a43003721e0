"""Networks of every kind of layer: their integer models, and that they learn."""

import subprocess
import sys

import numpy as np
import pytest

from signbit.qmodel.data.named import load_dataset
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.file import load
from signbit.qmodel.layers import AveragePool, Conv2D, Dense, DepthwiseConv2D
from signbit.trainer.learning.quantize import quantize
from signbit.trainer.learning.run import run
from signbit.trainer.learning.settings import default_settings
from signbit.trainer.network import network as network_module
from signbit.trainer.network.architecture import parse, resolve
from signbit.trainer.network.layer import Mode
from signbit.trainer.network.layers import BatchNorm
from signbit.trainer.network.network import build

SHAPE = (9, 8, 2)
LABELS = ("a", "b", "c")
EVERYTHING = (
    "conv3x3pad:6 pool2",
    "conv3x2s2pad1:5, dense:7",
    "conv5x5s2:6 pool2 sign, dense:5",
    "conv3x3:4 sign, conv3x3pad:6 sign, dense",
    "depthwise3x3pad sign, conv1x1:8 sign, depthwise3x3s2pad, globalavg",
    "conv3x3:6, avgpool2, conv2x2:5 ternary",
    "conv3x3:6 ternary sign, dense:9 ternary sign, dense ternary",
    "avgpool2x3, conv2x2:8 pool3x1",
    "dense:20 sign, dense:20",
)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("conv3x2:4, dense", 3 * 2 * 2 * 4 + 7 * 7 * 4 * 3),
        ("depthwise3x2, dense", 3 * 2 * 2 + 7 * 7 * 2 * 3),
        ("dense:5, dense", 9 * 8 * 2 * 5 + 5 * 3),
    ],
)
def test_the_limit_of_weights_counts_every_kernel_s_rows_and_columns(monkeypatch, rng, text, count):
    layers = resolve(parse(text), SHAPE, 3)
    monkeypatch.setattr(network_module, "WEIGHTS_MAX", count)
    build(layers, SHAPE, "deterministic", rng)
    monkeypatch.setattr(network_module, "WEIGHTS_MAX", count - 1)
    with pytest.raises(SignbitError, match=f"more than {count - 1} weights"):
        build(layers, SHAPE, "deterministic", rng)


def calibrated(text, rng, high=127, shape=SHAPE):
    """A network with batch norms of both signs, calibrated on random images; and those images."""
    text = text if text.endswith(("dense", "dense ternary")) else f"{text}, dense"
    network = build(resolve(parse(text), shape, 3), shape, "deterministic", rng, high=high)
    inputs = rng.integers(256, size=(300, int(np.prod(shape))), dtype=np.uint8)
    for layer in network.layers:
        if isinstance(layer, BatchNorm):
            layer.gamma.value[:] = rng.normal(size=layer.gamma.value.shape)
            layer.beta.value[:] = rng.normal(size=layer.beta.value.shape)
    network.calibrate(inputs)
    return network, inputs


# --- the integer model


@pytest.mark.parametrize("high", [15, 127, 255])
@pytest.mark.parametrize("text", EVERYTHING)
def test_every_layer_of_the_integer_model_is_the_networks(rng, text, high):
    """Fed with the same inputs, each integer layer gives what the float layers give, except for rounding."""
    network, inputs = calibrated(text, rng, high)
    model = quantize(network, "m", SHAPE, LABELS)
    values = (inputs >> model.input_shift).reshape(-1, *SHAPE)
    for index, (layer, block) in enumerate(zip(model.layers, network.blocks, strict=True)):
        x = block.forward(values.astype(np.float32), Mode.EVALUATE)
        values = layer.run([values], model.inputs_of(index))
        if index == len(model.layers) - 1:
            np.testing.assert_allclose(values * 2.0**-model.logit_shift, x, atol=1e-2 * np.abs(x).max())
        elif isinstance(layer, AveragePool):
            np.testing.assert_array_equal(values, x)
        else:
            different = values.reshape(x.shape) != x
            assert different.mean() < 0.02
            if values.dtype == np.uint8:
                assert np.abs(values.reshape(x.shape).astype(int) - x).max() <= 1


def test_integer_layers_are_of_the_kind_that_was_asked_for(rng):
    network, _ = calibrated("conv3x2s2pad1:6 pool2 sign, depthwise2x2pad ternary, avgpool2", rng)
    conv, depthwise, pool, dense = quantize(network, "m", SHAPE, LABELS).layers
    assert isinstance(conv, Conv2D) and conv.kernel == (3, 2)
    assert (conv.window.stride, conv.window.padding, conv.window.pool) == ((2, 2), (1, 1, 1, 1), (2, 2))
    assert conv.activation.kind == "sign" and set(conv.activation.direction) == {-1, 1}
    assert isinstance(depthwise, DepthwiseConv2D) and depthwise.window.padding == (0, 1, 0, 1)
    assert isinstance(pool, AveragePool) and pool.size == (2, 2)
    assert isinstance(dense, Dense) and dense.activation.kind == "logits"


def test_constant_neuron_before_a_sign(rng):
    network, inputs = calibrated("dense:6 sign", rng, shape=(12,))
    norm = network.blocks[0].norm
    norm.variance[0, :2] = 0
    norm.beta.value[0, :2] = 0.5, -0.5
    model = quantize(network, "m", (12,), LABELS)
    values = model.layers[0].run([inputs >> 1], model.inputs_of(0))
    assert (values[:, 0] == 1).all() and (values[:, 1] == -1).all()


def test_ternary_weights_become_two_planes(rng):
    network, _ = calibrated("conv3x3:6 ternary", rng)
    layer = quantize(network, "m", SHAPE, LABELS).layers[0]
    assert layer.ternary and set(np.unique(layer.weights)) == {-1, 0, 1} and len(layer.planes) == 2


def test_a_float_network_has_a_relu_after_every_layer_but_the_last(rng):
    network = build(resolve(parse("dense:20, dense:30, dense"), (12,), 3), (12,), "none", rng)
    inputs = rng.integers(256, size=(50, 12), dtype=np.uint8)
    x = inputs / 255
    for number, block in enumerate(network.blocks, start=1):
        x = x @ block.weights.weight.value + block.weights.bias.value
        x = x if number == 3 else np.maximum(x, 0)
    np.testing.assert_allclose(network.logits(inputs), x, rtol=1e-4, atol=1e-5)
    assert (x < 0).any()


def test_float_convolutions_have_no_integer_model(rng):
    network = build(resolve(parse("conv3x3:4, dense"), SHAPE, 3), SHAPE, "none", rng)
    with pytest.raises(SignbitError, match="--binarize"):
        quantize(network, "m", SHAPE, LABELS)


# --- memory

ANEW = {("AveragePool", "forward"), ("AveragePool", "backward"), ("Sign", "backward")}
"""Passes whose results are new arrays in each step."""


def traced_step(network, inputs, mode):
    """All arrays that the layers' passes of a step give, each with its layer's kind and the pass."""
    given = []

    def traced(layer, name):
        run = getattr(layer, name)

        def traced_run(*values, **options):
            result = run(*values, **options)
            parts = result if isinstance(result, list) else [result]
            given.extend((type(layer).__name__, name, part) for part in parts if part is not None)
            return result

        return traced_run

    with pytest.MonkeyPatch.context() as patch:
        for layer in network.layers:
            for name in ("forward", "backward"):
                patch.setattr(layer, name, traced(layer, name))
        logits = network.forward(inputs, mode)
        if mode is Mode.TRAIN:
            network.backward(np.ones_like(logits) / 8)
    return given


@pytest.mark.parametrize("text", [*EVERYTHING, "conv3x3pad:6, conv3x3pad:6, add(-2), concat(-2)"])
def test_a_training_step_writes_where_the_last_one_wrote_and_an_evaluation_does_not(rng, text):
    network, inputs = calibrated(text, rng)
    for mode in (Mode.TRAIN, Mode.EVALUATE):
        first, second = (traced_step(network, inputs, mode) for _ in range(2))
        for (kind, name, array), (_, _, other) in zip(first, second, strict=True):
            is_kept = mode is Mode.TRAIN and (kind, name) not in ANEW
            assert np.shares_memory(array, other) is is_kept, (kind, name, mode)


# --- training


def test_convolutions_learn_digits():
    """One short run through every kind of layer but depthwise, which comes next."""
    digits = load_dataset("digits")
    result = run(default_settings("digits", "conv3x3pad:12 pool2, conv3x3pad:16 ternary, dense", epochs=12), digits)
    scores = result.scores["validation"]
    assert scores["integer"].accuracy >= 0.95
    assert abs(scores["integer"].right - scores["fake_quantized"].right) <= 1
    assert result.model.layers[1].ternary


@pytest.mark.parametrize(
    "text",
    [
        "conv3x3pad:16, depthwise3x3pad pool2, conv1x1:24, dense",
        "conv3x3pad:16 pool2 sign, conv3x3pad:32 sign, dense",
        "conv3x3pad:16, conv3x3pad:32 pool2, globalavg, dense",
    ],
)
def test_other_kinds_of_networks_learn_digits(text):
    digits = load_dataset("digits")
    result = run(default_settings("digits", text, epochs=12), digits)
    scores = result.scores["validation"]
    assert scores["integer"].accuracy >= 0.85
    assert abs(scores["integer"].right - scores["fake_quantized"].right) <= 2


def test_smoothing_and_class_weights_train(tmp_path):
    digits = load_dataset("digits")
    settings = default_settings(epochs=3, label_smoothing=0.1, class_weights="balanced")
    plain = default_settings(epochs=3)
    assert run(settings, digits).model.hash != run(plain, digits).model.hash


def test_provenance_of_a_toml_file_needs_no_file(tmp_path, repository):
    """The command in the model holds the text form."""
    path, out = tmp_path / "net.toml", tmp_path / "m.npz"
    path.write_text('layers = [{kind = "conv", outputs = 4, kernel = [3, 3]}, {kind = "dense"}]')
    command = [sys.executable, "-m", "trainer", "--model", str(path), "--epochs", "1", "--out", str(out), "--quiet"]
    subprocess.run(command, cwd=repository, check=True, stdout=subprocess.DEVNULL)
    provenance = load(out).provenance
    assert "--model 'conv3x3:4, dense'" in provenance["command"] and "toml" not in provenance["command"]
