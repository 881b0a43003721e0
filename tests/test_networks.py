"""Architectures from text, TOML and presets; their integer models; augmentation; and the same bytes everywhere."""

import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from qmodel.activations import Logits, Requantize
from qmodel.datasets import load_dataset
from qmodel.errors import SignbitError
from qmodel.file import load
from qmodel.layers import AveragePool, Conv2D, Dense, DepthwiseConv2D
from tools.machines import MACHINES, RUNS, hash_of
from trainer import arithmetic, noise, presets
from trainer.architecture import LayerSpec, architecture_text, mlp, parse, read_toml, resolve
from trainer.augment import AUGMENTATIONS, Augmenter, add_noise
from trainer.frozen import Folded, IntegerActivation
from trainer.grid import EXACT, Grid
from trainer.layer import Mode
from trainer.layers import BatchNorm, QuantizedRelu, Sign
from trainer.network import build
from trainer.pool import AveragePool as FloatAveragePool
from trainer.quantize import freeze, quantize
from trainer.run import begin, run
from trainer.settings import default_settings
from trainer.summary import summarize, summary_json, summary_text
from trainer.weights import Weighted

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


# --- noise


def test_noise_has_its_spread_and_stays_in_range(rng):
    grey = np.full((200, 300), 128, np.uint8)
    noisy = add_noise(grey, 12.0, rng).astype(float)
    assert noisy.mean() == pytest.approx(128, abs=0.3) and noisy.std() == pytest.approx(12, rel=0.02)
    ends = add_noise(np.tile(np.array([0, 255], np.uint8), (100, 1)), 40.0, rng)
    assert ends.min() == 0 and ends.max() == 255 and len(np.unique(ends)) > 20


def test_noise_makes_another_network(digits):
    one, other = (run(default_settings(epochs=1, input_noise=spread), digits) for spread in (0.0, 20.0))
    assert one.model.hash != other.model.hash


# --- frozen integers


@pytest.mark.parametrize("text", EVERYTHING)
@pytest.mark.parametrize("any_weights", [False, True])
def test_a_frozen_network_is_the_integer_model(rng, text, any_weights):
    network, inputs = calibrated(text, rng)
    frozen = freeze(network, any_weights)
    model = quantize(frozen, "m", SHAPE, LABELS)
    np.testing.assert_array_equal(frozen.logits(inputs), model.run(inputs) * 2.0**-model.logit_shift)
    if not any_weights:
        assert model.hash == quantize(network, "m", SHAPE, LABELS).hash


@pytest.mark.parametrize("text", EVERYTHING)
def test_integers_for_any_weights_have_room_for_the_worst_ones(rng, text):
    """All weights +1, all -1: no accumulator is larger, and `quantize` proves the ranges."""
    network, _ = calibrated(text, rng)
    frozen = freeze(network, any_weights=True)
    for value in (0.9, -0.9):
        for layer in frozen.layers:
            if isinstance(layer, Weighted):
                layer.weight.value[:] = value
        quantize(frozen, "m", SHAPE, LABELS)


def test_gradients_of_frozen_integers_are_those_of_the_unrounded_function(rng):
    """d/dx of clip((acc * M + B) / 2^s, 0, high), and of the logits, by differences over many accumulators."""
    for integers, shift in (
        (Requantize(np.array([40, -7, 300], np.int16), np.array([4000, 90_000, -512], np.int32), 10, 127), 10),
        (Logits(np.array([40, -7, 300], np.int16), np.array([4000, 90_000, -512], np.int32)), 12),
    ):
        layer = IntegerActivation(Folded(integers, shift, integers.multiplier * 2.0**-shift), None)
        x = rng.integers(-3000, 3000, (400, 3)).astype(np.float64)
        before, after = (layer.forward(x + step, Mode.UNROUNDED) for step in (-1, 1))
        layer.forward(x, Mode.TRAIN)
        dy = rng.normal(size=x.shape)
        inside = (before > 0) & (after > 0) & (before < 127) & (after < 127) | isinstance(integers, Logits)
        np.testing.assert_allclose(layer.backward(dy)[inside], (dy * (after - before) / 2)[inside], rtol=1e-9)
        assert inside.mean() > 0.1


def test_last_epochs_change_weights_and_no_integers(digits):
    """From the epoch on in which they freeze, multipliers and biases stay, and the loss still falls."""
    settings = default_settings(model="conv3x3pad:8, conv3x3:8 pool2, dense", epochs=6, frozen_epochs=3)
    training = begin(settings, digits)
    seen = []

    def watch(epoch):
        if training.frozen is not None:
            seen.append(quantize(training.frozen, "m", digits.input_shape, digits.labels))

    history = training.run(watch)
    activations = [[layer.activation.arrays() for layer in model.layers] for model in seen]
    assert len(seen) == 4  # as they froze, and after each frozen epoch
    for later in activations[1:]:
        for one, other in zip(activations[0], later, strict=True):
            assert all(np.array_equal(one[name], other[name]) for name in one)
    assert seen[0].hash != seen[-1].hash
    assert history.epochs[-1].loss < history.epochs[3].loss


# --- the integer model


@pytest.mark.parametrize("high", [15, 127, 255])
@pytest.mark.parametrize("text", EVERYTHING)
def test_every_layer_of_the_integer_model_is_the_networks(rng, text, high):
    """Fed with the same inputs, each integer layer gives what the float layers give, but for rounding."""
    network, inputs = calibrated(text, rng, high)
    model = quantize(network, "m", SHAPE, LABELS)
    values = (inputs >> model.input_shift).reshape(-1, *SHAPE)
    layers = list(network.layers)
    for index, layer in enumerate(model.layers):
        x = values.astype(np.float32)
        while layers:
            taken = layers.pop(0)
            x = taken.forward(x, Mode.EVALUATE)
            if isinstance(taken, QuantizedRelu | Sign | FloatAveragePool):
                break
        values = layer.run(values)
        if index == len(model.layers) - 1:
            np.testing.assert_allclose(values * 2.0**-model.logit_shift, x, atol=1e-2 * np.abs(x).max())
        elif isinstance(layer, AveragePool):
            np.testing.assert_array_equal(values, x)
        else:
            different = values.reshape(x.shape) != x
            assert different.mean() < 0.02
            if values.dtype == np.uint8:
                assert np.abs(values.reshape(x.shape).astype(int) - x).max() <= 1
    assert not layers


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
    norm = network.layers[1]
    norm.variance[0, :2] = 0
    norm.beta.value[0, :2] = 0.5, -0.5
    model = quantize(network, "m", (12,), LABELS)
    values = model.layers[0].run(inputs >> 1)
    assert (values[:, 0] == 1).all() and (values[:, 1] == -1).all()


def test_ternary_weights_become_two_planes(rng):
    network, _ = calibrated("conv3x3:6 ternary", rng)
    layer = quantize(network, "m", SHAPE, LABELS).layers[0]
    assert layer.ternary and set(np.unique(layer.weights)) == {-1, 0, 1} and len(layer.planes) == 2


def test_float_convolutions_have_no_integer_model(rng):
    network = build(resolve(parse("conv3x3:4, dense"), SHAPE, 3), SHAPE, "none", rng)
    with pytest.raises(SignbitError, match="--binarize"):
        quantize(network, "m", SHAPE, LABELS)


# --- architectures


@pytest.mark.parametrize("text", [*EVERYTHING, *presets.IMAGES.values(), *presets.SMALL_IMAGES.values()])
def test_text_form_is_read_and_written(text):
    architecture = parse(text if text.endswith(("dense", "dense ternary")) else f"{text}, dense")
    assert parse(architecture_text(architecture)) == architecture


def test_text_by_hand():
    assert parse("conv5x3s2pad1:16 pool2x1 sign, depthwise3pad ternary, globalavg, flatten, dense:10") == (
        LayerSpec("conv", 16, (5, 3), 2, 1, (2, 1), "sign"),
        LayerSpec("depthwise", 0, (3, 3), 1, "same", ternary=True),
        LayerSpec("avgpool", 0, (0, 0)),
        LayerSpec("dense", 10),
    )


def test_toml_is_the_same_as_text(tmp_path):
    path = tmp_path / "net.toml"
    path.write_text("""
[[layers]]
kind = "conv"
outputs = 16
kernel = [5, 5]
stride = 2
padding = "same"
pool = [2, 2]
activation = "sign"

[[layers]]
kind = "dense"
ternary = true
""")
    assert read_toml(path) == parse("conv5x5s2pad:16 pool2 sign, dense ternary")
    assert default_settings(model=str(path)).model == "conv5x5s2pad:16 pool2 sign, dense ternary"


BAD_TEXTS = {
    "nothing": ("", "not understood"),
    "unknown kind": ("lstm:3, dense", "lstm:3"),
    "unknown word": ("conv3x3:4 tanh, dense", "tanh"),
    "no outputs": ("conv3x3, dense", "outputs"),
    "no kernel": ("conv:8, dense", "kernel"),
    "zero outputs": ("conv3x3:0, dense", "outputs"),
    "zero stride": ("conv3x3s0:8, dense", "stride"),
    "huge kernel": ("conv300x3:8, dense", "kernel"),
    "pooled dense": ("dense:8 pool2, dense", "pool"),
    "depthwise with outputs": ("depthwise3x3:8, dense", "outputs"),
    "last is a convolution": ("conv3x3:8", "last layer"),
    "last has an activation": ("conv3x3:8, dense sign", "last layer"),
    "image behind dense": ("dense:9, conv3x3:8, dense", "image"),
    "dense without a size": ("dense, dense", "dense:N"),
    "average of bits": ("conv3x3:8 sign, globalavg, dense", "one-bit"),
    "too many layers": (", ".join(["conv1x1:1"] * 64 + ["dense"]), "64"),
}


@pytest.mark.parametrize("case", BAD_TEXTS)
def test_bad_texts_are_refused_by_the_layer(case):
    text, said = BAD_TEXTS[case]
    with pytest.raises(SignbitError, match="--model") as caught:
        parse(text)
    assert said in str(caught.value) and "\n" not in str(caught.value)


BAD_TOML = {
    "syntax": "layers = [",
    "no layers": "x = 1",
    "not a table": "layers = [1]",
    "no kind": "layers = [{outputs = 3}]",
    "unknown key": 'layers = [{kind = "dense", size = 3}]',
    "wrong type": 'layers = [{kind = "dense", outputs = "3"}]',
    "boolean": 'layers = [{kind = "dense", outputs = true}]',
    "kernel of three": 'layers = [{kind = "conv", outputs = 3, kernel = [1, 2, 3]}, {kind = "dense"}]',
    "padding text": 'layers = [{kind = "conv", outputs = 3, kernel = [3, 3], padding = "x"}, {kind = "dense"}]',
    "negative padding": 'layers = [{kind = "conv", outputs = 3, kernel = [3, 3], padding = -1}, {kind = "dense"}]',
    "unknown kind": 'layers = [{kind = "lstm"}]',
    "unknown activation": 'layers = [{kind = "dense", outputs = 3, activation = "tanh"}, {kind = "dense"}]',
}


@pytest.mark.parametrize("case", BAD_TOML)
def test_bad_toml_is_one_line(tmp_path, case):
    path = tmp_path / "net.toml"
    path.write_text(BAD_TOML[case])
    with pytest.raises(SignbitError, match="--model") as caught:
        read_toml(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(SignbitError, match="can't be read"):
        read_toml(tmp_path / "missing.toml")


def test_layers_that_do_not_fit_the_data_are_refused():
    for text, shape, classes, said in (
        ("conv9x9:4, dense", (8, 8, 1), 3, "larger"),
        ("conv3x3:4, conv3x3:4 pool5, dense", (8, 8, 1), 3, "larger"),
        ("conv3x3:4, dense", (64,), 3, "image"),
        ("globalavg, dense", (64,), 3, "image"),
        ("conv3x3:4, dense:10", (8, 8, 1), 3, "3 classes"),
    ):
        with pytest.raises(SignbitError, match=said):
            resolve(parse(text), shape, classes)
    with pytest.raises(SignbitError, match="for images"):
        presets.text("small", (64,))


@pytest.mark.parametrize("shape", [(28, 28, 1), (8, 8, 1)])
def test_presets_grow(shape):
    sizes = [summarize(resolve(parse(presets.text(name, shape)), shape, 10), shape, 10) for name in presets.NAMES]
    flash_bytes = [size.flash_bytes for size in sizes]
    assert flash_bytes == sorted(flash_bytes)


def test_summary_is_the_plans():
    """By hand: 5x5 kernels at 2x2 places, 3x3 pooled, then 2x2x4 values to 3 classes."""
    result = summarize(resolve(parse("conv3x3:4 pool2, dense"), (6, 6, 1), 3), (6, 6, 1), 3)
    conv, dense = result.rows
    assert (conv.output_shape, conv.weight_bits, conv.macs) == ((2, 2, 4), 36, 16 * 36)
    assert (dense.output_shape, dense.weight_bits, dense.macs) == ((3,), 48, 48)
    # 9 or 16 bits a row in bytes or words, 6 bytes of parameters a neuron
    assert conv.flash_bytes >= 4 * (2 + 6) and dense.flash_bytes >= 3 * (2 + 6)
    assert result.flash_bytes == conv.flash_bytes + dense.flash_bytes
    text = summary_text(result)
    assert f"{result.arena_bytes:,} bytes of RAM" in text and "cortex-m4" in text
    assert json.loads(json.dumps(summary_json(result)))["macs"] == 16 * 36 + 48


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


# --- augmentation


def test_no_warp_changes_nothing(rng):
    images = rng.integers(256, size=(3, 12 * 10 * 2), dtype=np.uint8)
    augmenter = Augmenter((12, 10, 2), "elastic", 1e-9, rng)
    np.testing.assert_array_equal(augmenter.warp(images), images)


def test_a_shift_by_whole_pixels(rng, monkeypatch):
    augmenter = Augmenter((6, 5, 1), "shift", 1.0, rng)
    rows, columns = np.mgrid[0:6, 0:5].astype(float)
    monkeypatch.setattr(augmenter, "_random_places", lambda: (rows - 2, columns + 1))
    image = rng.integers(1, 256, size=(6, 5), dtype=np.uint8)
    moved = augmenter.warp(image.reshape(1, -1)).reshape(6, 5)
    np.testing.assert_array_equal(moved[2:, :-1], image[:-2, 1:])
    assert not moved[:2].any() and not moved[:, -1].any()


def test_half_a_pixel_is_the_mean_of_two(rng, monkeypatch):
    augmenter = Augmenter((3, 4, 1), "shift", 1.0, rng)
    rows, columns = np.mgrid[0:3, 0:4].astype(float)
    monkeypatch.setattr(augmenter, "_random_places", lambda: (rows, columns + 0.5))
    image = np.array([[0, 10, 20, 250]] * 3, np.uint8)
    assert augmenter.warp(image.reshape(1, -1)).reshape(3, 4).tolist() == [[5, 15, 135, 125]] * 3


@pytest.mark.parametrize("name", [name for name, strength in AUGMENTATIONS.items() if strength])
def test_warps_move_as_far_as_they_say(rng, name):
    side = 28
    augmenter = Augmenter((side, side, 1), name, 1.0, rng)
    still = np.mgrid[0:side, 0:side]
    moves = np.array([np.subtract(augmenter._random_places(), still) for _ in range(200)])
    strength = AUGMENTATIONS[name]
    middle = moves[:, :, side // 2, side // 2]
    if not strength.bend:
        assert np.abs(middle).max() <= strength.shift * side + 0.5
    else:
        bends = np.array([augmenter._smooth() for _ in range(200)])
        assert bends.std() == pytest.approx(1, abs=0.25) and abs(bends.mean()) < 0.1
    assert np.abs(middle).std() > 0.1


def test_augmentation_is_for_images(rng):
    with pytest.raises(SignbitError, match="--augment"):
        Augmenter((64,), "shift", 1.0, rng)


# --- the same bytes everywhere


def test_grid_keeps_sums_exact_and_follows_the_gradients(rng):
    grid = Grid(127)
    for scale in (1.0, 1e-3, 1e5, 1e5, 1e-9):
        gradient = (rng.normal(size=(50, 6, 6, 8)) * scale).astype(np.float32)
        before = gradient.copy()
        for _ in range(60):
            gradient = grid.round(before.copy())
        step = 2.0**grid.exponent
        units = gradient.astype(np.float64) / step
        assert np.array_equal(units, np.rint(units)) or np.array_equal(units * 2, np.rint(units * 2))
        assert np.abs(units).reshape(-1, 8).sum(axis=0).max() * 127 <= 2 * EXACT
        assert np.abs(gradient - before).max() <= step
        # at least a quarter of the range is in use
        assert np.abs(units).reshape(-1, 8).sum(axis=0).max() * 127 >= EXACT / 5


def test_gradients_do_not_depend_on_the_order_of_the_sums(rng):
    """A batch in another order: not one bit of any gradient changes, of batch norm and every kind of weights."""
    text = "conv3x3pad:8 pool2, depthwise3x3pad, conv3x3:12 sign, dense:20, dense"
    shape = (8, 8, 1)
    network = build(resolve(parse(text), shape, 3), shape, "deterministic", rng)
    inputs = rng.integers(256, size=(60, 64), dtype=np.uint8)
    gradient = np.rint(rng.normal(size=(60, 3)) * 2.0**10).astype(np.float32) * np.float32(2.0**-16)
    order = rng.permutation(60)

    def gradients(order):
        fresh = build(resolve(parse(text), shape, 3), shape, "deterministic", np.random.default_rng(0))
        fresh.forward(inputs[order], Mode.TRAIN)
        fresh.backward(gradient[order])
        return [parameter.gradient.copy() for parameter in fresh.parameters]

    assert network.parameters
    for one, other in zip(gradients(np.arange(60)), gradients(order), strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.any()


def test_own_exp_and_cos_are_those():
    x = np.linspace(-79, 0, 4001)
    np.testing.assert_allclose(arithmetic.exp(x.astype(np.float32)), np.exp(x.astype(np.float32)), rtol=1e-6)
    np.testing.assert_allclose(arithmetic.exp(x), np.exp(x), rtol=1e-13)
    assert arithmetic.exp(np.float32([-1e30]))[0] < 1e-30
    for angle in np.linspace(0, np.pi, 200):
        assert arithmetic.cos(float(angle)) == pytest.approx(np.cos(angle), abs=1e-11)


def test_random_numbers_by_their_raw_bits():
    """Fixed numbers: PCG64's raw output is numpy's promise, all else is made of it here."""
    digest = hashlib.sha256()
    rng = np.random.default_rng(2015)
    digest.update(noise.permutation(rng, 1000).astype("<i8").tobytes())
    digest.update(noise.uniform(rng, -1, 1, (10, 10)).astype("<f8").tobytes())
    digest.update(noise.uniform32(rng, -1, 1, (7, 9)).astype("<f4").tobytes())
    assert sorted(noise.permutation(rng, 1000)) == list(range(1000))
    values = noise.uniform(rng, -0.3, 0.3, (10_000,))
    assert abs(values.mean()) < 0.01 and values.min() >= -0.3 and values.max() < 0.3
    assert values.std() == pytest.approx(0.3 / np.sqrt(3), rel=0.03)
    assert digest.hexdigest() == RANDOM_DIGEST


RANDOM_DIGEST = "8976d74dd0c1f9e876d9ee8062ae8a9333e0506ba47cce22a62cb3e3b09b99f6"


@pytest.mark.parametrize("name", RUNS)
def test_same_seed_same_bytes_on_other_machines(name):
    """Other BLAS kernels, thread counts and SIMD instructions train the same network, to the last bit."""
    hashes = {str(machine): hash_of(RUNS[name], machine) for machine in MACHINES}
    assert len(set(hashes.values())) == 1, hashes


def test_without_the_grid_machines_differ():
    """The test above can fail: gradients that are not on a grid have sums that depend on the BLAS kernel."""
    hashes = {hash_of(RUNS["conv"], machine, grid=False) for machine in MACHINES[:4]}
    if len({blas_sums(machine) for machine in MACHINES[:4]}) == 1:
        pytest.skip("this numpy has one BLAS kernel only")
    assert len(hashes) > 1


def blas_sums(machine):
    """Bits of a float32 product, which show whether a machine's BLAS kernel is another one."""
    code = (
        "import numpy as np; a = np.sin(np.arange(1e5, dtype='f4')).reshape(250, 400); print((a @ a.T).tobytes().hex())"
    )
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", **machine}
    return subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True).stdout


def test_mlp_helper_ends_in_classes():
    assert architecture_text(resolve(mlp((8, 6)), (4,), 3)) == "dense:8, dense:6, dense:3"
