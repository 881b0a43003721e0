"""Last epochs through the model file's integers: the frozen network is the integer model."""

import numpy as np
import pytest

from signbit.qmodel.activations import Logits, Requantize
from signbit.trainer.learning.quantize import freeze, quantize
from signbit.trainer.learning.run import begin
from signbit.trainer.learning.settings import default_settings
from signbit.trainer.network.frozen import Folded, IntegerActivation
from signbit.trainer.network.layer import Mode
from signbit.trainer.network.weights import Weighted
from tests.test_networks import EVERYTHING, LABELS, SHAPE, calibrated


@pytest.fixture
def rng():
    return np.random.default_rng(0)


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
