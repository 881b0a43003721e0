"""Network -> QuantizedModel against exact rational arithmetic."""

from fractions import Fraction

import numpy as np
import pytest

from signbit.qmodel import integer
from signbit.qmodel.activations import Logits
from signbit.qmodel.data.named import Dataset, Split, load_dataset
from signbit.qmodel.errors import SignbitError
from signbit.trainer.learning.quantize import freeze, quantize
from signbit.trainer.learning.run import run
from signbit.trainer.learning.settings import default_settings
from signbit.trainer.network.layer import Mode
from signbit.trainer.network.layers import BatchNorm, Dense
from tests.test_gradients import build_mlp
from tests.test_networks import calibrated as network_with_batch_norms

LABELS = ("a", "b", "c")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def calibrated(rng, sizes, high=127):
    """A network with batch norms of all kinds, calibrated on random inputs; and those inputs."""
    network = build_mlp(sizes, "deterministic", rng, high=high)
    inputs = rng.integers(256, size=(500, sizes[0]), dtype=np.uint8)
    for layer in network.layers:
        if isinstance(layer, BatchNorm):
            layer.gamma.value[:] = rng.normal(size=layer.gamma.value.shape)
            layer.beta.value[:] = rng.normal(size=layer.beta.value.shape)
    network.calibrate(inputs)
    return network, inputs


def norms(network):
    return [layer for layer in network.layers if isinstance(layer, BatchNorm)]


def exact(array):
    return [Fraction(float(value)) for value in array.ravel()]


@pytest.mark.parametrize("sizes", [(12, 3), (12, 9, 3), (40, 30, 20, 3)])
@pytest.mark.parametrize("high", [15, 127, 255])
def test_multipliers_are_the_exact_ones_rounded(rng, sizes, high):
    """|M - unit scale 2^s| <= 1/2 and |B - (unit beta 2^s - M mean + half)| <= 1/2, in exact arithmetic.

    Each bound has room for the float64 in which they are computed.
    """
    network, _ = calibrated(rng, sizes, high)
    model = quantize(network, "m", (sizes[0],), LABELS)
    bound = Fraction(1, 2) + Fraction(1, 10**6)
    for layer, norm in zip(model.layers, norms(network), strict=True):
        last = isinstance(layer.activation, Logits)
        shift = model.logit_shift if last else layer.activation.shift
        unit = 1 if last else Fraction(high + 1, 8)
        half = 0 if last else 1 << (shift - 1)
        columns = (exact(norm.scale), exact(norm.mean), exact(norm.beta.value))
        for j, (scale, mean, beta) in enumerate(zip(*columns, strict=True)):
            multiplier, bias = int(layer.activation.multiplier[j]), int(layer.activation.bias[j])
            assert abs(multiplier - unit * scale * 2**shift) <= bound
            assert abs(bias - (unit * beta * 2**shift - multiplier * mean + half)) <= bound


def test_shift_is_the_largest_that_fits(rng):
    network, _ = calibrated(rng, (12, 9, 3))
    model = quantize(network, "m", (12,), LABELS)
    for layer, norm, unit in zip(model.layers, norms(network), (16, 1), strict=True):
        shift = getattr(layer.activation, "shift", model.logit_shift)
        twice = np.abs(unit * norm.scale * 2.0 ** (shift + 1)).max()
        limit = integer.SHIFT_MAX if unit == 16 else 26
        # at twice the scale the largest multiplier leaves int16, or a product comes to leave int32
        acc = max(abs(end) for end in model.ranges[model.layers.index(layer)].accumulator)
        assert shift == limit or twice > integer.MULTIPLIER_MAX - 1 or twice * acc > 2**30


def test_integers_have_room_for_the_weights_there_are_and_no_others(rng):
    """A wide layer's accumulators reach about half as far with its own weights as with any."""
    gained = []
    for width in (1500, 2000, 2500):
        network, _ = calibrated(rng, (64, width, 3))
        any_weights = freeze(network, any_weights=True).blocks[-1].activation.folded.shift
        gained.append(quantize(network, "m", (64,), LABELS).logit_shift - any_weights)
    assert min(gained) >= 0 and max(gained) == 1


def test_an_output_of_a_sign_is_worth_itself(rng):
    network, _ = network_with_batch_norms("dense:6 sign, dense:5, dense", rng, shape=(12,))
    shifts = [block.activation.folded.shift for block in freeze(network).blocks]
    assert shifts[0] == 0 and min(shifts[1:]) > 0


def test_hidden_layers_match_the_exact_quotient(rng):
    """Each integer activation is the exact real one, rounded, or its neighbour where M's rounding tips it over."""
    network, inputs = calibrated(rng, (12, 9, 3))
    model = quantize(network, "m", (12,), LABELS)
    hidden, _ = model.trace(inputs)
    norm = norms(network)[0]
    acc = model.layers[0].accumulate([inputs >> 1], model.inputs_of(0))
    columns = (exact(norm.scale), exact(norm.mean), exact(norm.beta.value))
    for j, (scale, mean, beta) in enumerate(zip(*columns, strict=True)):
        for n in range(0, len(inputs), 25):
            real = min(max(16 * (scale * (int(acc[n, j]) - mean) + beta), Fraction(0)), Fraction(127))
            assert abs(int(hidden[n, j]) - real) <= Fraction(1, 2) + Fraction(1, 20)


def test_float_accumulators_are_the_integer_ones(rng):
    network, inputs = calibrated(rng, (12, 9, 3))
    model = quantize(network, "m", (12,), LABELS)
    first = network.layers[0].forward((inputs >> 1).astype(np.float32), Mode.EVALUATE)
    np.testing.assert_array_equal(first, model.layers[0].accumulate([inputs >> 1], model.inputs_of(0)))


def test_logits_are_the_networks(rng):
    network, inputs = calibrated(rng, (12, 9, 3))
    model = quantize(network, "m", (12,), LABELS)
    real = network.logits(inputs)
    # a hidden unit that differs by 1 moves a logit by its scale at most
    step = float(np.abs(norms(network)[1].scale).max())
    assert np.abs(model.run(inputs) * 2.0**-model.logit_shift - real).max() < 2 * step


def test_nearly_constant_neuron_does_not_set_the_shift(rng):
    """A dead neuron's scale would be thousands of times the others', whose multipliers would round to 0."""
    plain, inputs = calibrated(rng, (12, 9, 3))
    norm = norms(plain)[0]
    shift = quantize(plain, "m", (12,), LABELS).layers[0].activation.shift
    norm.gamma.value[0, 4], norm.beta.value[0, 4] = 1, 2
    norm.variance[0, 4] = 1e-3
    model = quantize(plain, "m", (12,), LABELS)
    activation = model.layers[0].activation
    assert activation.multiplier[4] == 0
    assert activation.shift >= shift
    hidden, _ = model.trace(inputs)
    assert (hidden[:, 4] == 2 * 16).all()
    fake_quantized = (inputs >> 1).astype(np.float32)
    for layer in plain.layers[:3]:
        fake_quantized = layer.forward(fake_quantized, Mode.EVALUATE)
    assert (fake_quantized[:, 4] == 2 * 16).all()


def test_all_neurons_constant(rng):
    """Inputs that never change: every scale is 0, and the model still answers with its betas."""
    network, _ = calibrated(rng, (12, 9, 3))
    inputs = np.full((50, 12), 200, np.uint8)
    network.calibrate(inputs)
    model = quantize(network, "m", (12,), LABELS)
    assert not any(layer.activation.multiplier.any() for layer in model.layers)
    beta = norms(network)[1].beta.value[0]
    np.testing.assert_array_equal(model.predict(inputs), np.full(50, beta.argmax()))


def test_exact_zero_latent_becomes_plus_one(rng):
    network, _ = calibrated(rng, (12, 3))
    network.layers[0].weight.value[:] = -0.0
    model = quantize(network, "m", (12,), LABELS)
    assert (model.layers[0].weights == 1).all()


def test_input_shift_follows_high(rng):
    for high, shift in ((15, 1), (127, 1), (128, 0), (255, 0)):
        network, _ = calibrated(rng, (12, 9, 3), high)
        model = quantize(network, "m", (12,), LABELS)
        assert model.input_shift == shift
        assert model.layers[0].activation.high == high


def test_float_network_has_no_integer_model(rng):
    with pytest.raises(SignbitError, match="--binarize"):
        quantize(build_mlp((12, 9, 3), "none", rng), "m", (12,), LABELS)


def test_scale_that_fits_nowhere_is_refused(rng):
    network, _ = calibrated(rng, (12, 9, 3))
    norms(network)[0].beta.value[0, 0] = 1e12
    with pytest.raises(SignbitError, match="--lr"):
        quantize(network, "m", (12,), LABELS)


def test_fake_quantized_and_integer_labels_agree_on_digits():
    data = load_dataset("digits")
    result = run(default_settings("digits", epochs=5), data)
    inputs = np.concatenate([part.x for part in (data.train, data.validation, data.test)])
    np.testing.assert_array_equal(result.model.predict(inputs), freeze(result.network).predict(inputs))


def test_dead_inputs_and_a_class_without_samples():
    """Data as users have it: pixels that are always 0, a class nobody recorded."""
    rng = np.random.default_rng(3)
    x = rng.integers(256, size=(200, 12), dtype=np.uint8)
    x[:, :4] = 0
    y = (x[:, 5] > x[:, 6]).astype(np.int64)
    parts = [Split(x[start : start + 60], y[start : start + 60]) for start in (0, 60, 120)]
    data = Dataset("digits", (3, 4, 1), LABELS, *parts, split_rule="by position")
    result = run(default_settings("digits", hidden=(8,), epochs=3), data)
    assert result.scores["test"]["integer"].count == 60
    assert isinstance(result.network.layers[0], Dense)
