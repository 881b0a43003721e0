"""Backward passes against numeric gradients in float64; the straight-through rules apart, by their definition."""

import numpy as np
import pytest

from trainer.layers import BatchNorm, Dense, Mode, QuantizedRelu, Relu
from trainer.loss import cross_entropy, softmax
from trainer.network import Network, build

STEP = 1e-6
BATCH, FEATURES = 7, 5


def numeric_gradient(function, array):
    """(f(a + h) - f(a - h)) / 2h for each element a of `array`, which is changed in place and put back."""
    gradient = np.zeros_like(array)
    for index in np.ndindex(array.shape):
        value = array[index]
        array[index] = value + STEP
        above = function()
        array[index] = value - STEP
        below = function()
        array[index] = value
        gradient[index] = (above - below) / (2 * STEP)
    return gradient


def assert_gradients(layer, x, mode=Mode.TRAIN):
    """Compare dx and every parameter's gradient of sum(weights * layer(x)) with numeric ones."""
    weights = np.random.default_rng(1).normal(size=layer.forward(x, mode).shape)

    def loss():
        return float((weights * layer.forward(x, mode)).sum())

    loss()
    dx = layer.backward(weights)
    found = [parameter.gradient.copy() for parameter in layer.parameters]
    np.testing.assert_allclose(dx, numeric_gradient(loss, x), rtol=1e-6, atol=1e-7)
    for parameter, gradient in zip(layer.parameters, found, strict=True):
        np.testing.assert_allclose(gradient, numeric_gradient(loss, parameter.value), rtol=1e-6, atol=1e-7)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def x(rng):
    return rng.normal(size=(BATCH, FEATURES))


def test_dense(rng, x):
    layer = Dense(FEATURES, 4, "none", rng, np.float64)
    layer.bias.value[:] = rng.normal(size=layer.bias.value.shape)
    assert_gradients(layer, x)


def test_dense_has_the_tutorials_shapes(rng):
    layer = Dense(FEATURES, 4, "none", rng)
    assert layer.weight.value.shape == (FEATURES, 4)
    assert layer.bias.value.shape == (1, 4)


def test_batch_norm(rng, x):
    layer = BatchNorm(FEATURES, dtype=np.float64)
    for parameter in layer.parameters:
        parameter.value[:] = rng.normal(size=parameter.value.shape)
    assert_gradients(layer, x * 3 + 1)


def test_relu(x):
    assert_gradients(Relu(), x)


def test_cross_entropy(rng):
    logits = rng.normal(size=(BATCH, 4)) * 3
    classes = rng.integers(4, size=BATCH)
    loss, gradient = cross_entropy(logits, classes)
    assert loss == pytest.approx(-np.log(softmax(logits)[np.arange(BATCH), classes]).mean())
    np.testing.assert_allclose(
        gradient, numeric_gradient(lambda: cross_entropy(logits, classes)[0], logits), rtol=1e-6, atol=1e-9
    )


def test_cross_entropy_of_huge_logits_is_finite():
    loss, gradient = cross_entropy(np.array([[1e4, -1e4]], np.float32), np.array([1]))
    assert loss == pytest.approx(2e4)
    np.testing.assert_array_equal(gradient, [[1, -1]])
    assert gradient.dtype == np.float32


@pytest.mark.parametrize("hidden", [(), (6,), (6, 5)])
def test_whole_float_network(rng, hidden):
    network = build((8, *hidden, 3), "none", rng, dtype=np.float64)
    assert_network_gradients(network, rng.integers(256, size=(BATCH, 8), dtype=np.uint8), rng.integers(3, size=BATCH))


@pytest.mark.parametrize("hidden", [(), (6,), (6, 5)])
def test_whole_binarized_network_with_real_weights(rng, hidden):
    """A binarized network's layers, with its +-1 weights put into float layers so that they can be moved a little."""
    binarized = build((8, *hidden, 3), "deterministic", rng, dtype=np.float64)
    layers = []
    for layer in binarized.layers:
        if isinstance(layer, Dense):
            layers.append(real_twin(layer, rng))
        elif isinstance(layer, QuantizedRelu):
            layers.append(Relu())
        else:
            layers.append(layer)
    network = Network(layers, binarized.input_shift, dtype=np.float64)
    assert_network_gradients(network, rng.integers(256, size=(BATCH, 8), dtype=np.uint8), rng.integers(3, size=BATCH))


def assert_network_gradients(network, inputs, classes):
    def loss():
        return cross_entropy(network.forward(inputs, Mode.TRAIN), classes)[0]

    network.backward(cross_entropy(network.forward(inputs, Mode.TRAIN), classes)[1])
    found = [parameter.gradient.copy() for parameter in network.parameters]
    assert found
    for parameter, gradient in zip(network.parameters, found, strict=True):
        np.testing.assert_allclose(gradient, numeric_gradient(loss, parameter.value), rtol=1e-5, atol=1e-8)


def real_twin(layer, rng):
    """A float layer whose weights are the +-1 weights of `layer`."""
    twin = Dense(*layer.weight.value.shape, "none", rng, layer.weight.value.dtype)
    twin.weight.value[:] = np.where(layer.weight.value >= 0, 1, -1)
    return twin


def test_straight_through_weights(rng, x):
    """Definition: latent weights get the gradient of the +-1 weights, and dx goes through the +-1 weights."""
    layer = Dense(FEATURES, 4, "deterministic", rng, np.float64)
    twin = real_twin(layer, rng)
    dy = rng.normal(size=(BATCH, 4))
    np.testing.assert_array_equal(layer.forward(x, Mode.TRAIN), twin.forward(x, Mode.TRAIN))
    np.testing.assert_array_equal(layer.backward(dy), twin.backward(dy))
    np.testing.assert_array_equal(layer.weight.gradient, twin.weight.gradient)


def test_straight_through_rounding(rng):
    """Definition: the gradient of q = clip(rint(gain z), 0, high) is that of clip(gain z, 0, high)."""
    layer = QuantizedRelu(15)
    z = rng.uniform(-2, 10, size=(BATCH, 50))
    assert_gradients(layer, z, Mode.UNROUNDED)
    dy = rng.normal(size=z.shape)
    layer.forward(z, Mode.UNROUNDED)
    unrounded = layer.backward(dy)
    layer.forward(z, Mode.TRAIN)
    np.testing.assert_array_equal(layer.backward(dy), unrounded)
    assert (unrounded != 0).any() and (unrounded == 0).any()


def test_quantized_relu_gives_whole_numbers_in_range(rng):
    q = QuantizedRelu(127).forward(rng.normal(size=(50, 50)).astype(np.float32) * 5, Mode.TRAIN)
    assert q.dtype == np.float32
    np.testing.assert_array_equal(q, np.rint(q))
    assert q.min() == 0 and q.max() == 127


def test_zero_and_negative_zero_are_plus_one(rng):
    """sign(0) = +1, the same as in the integer model -- SPEC 2; copysign alone would make -1 of -0.0."""
    layer = Dense(2, 1, "deterministic", rng)
    layer.weight.value[:, 0] = 0.0, -0.0
    np.testing.assert_array_equal(layer.forward(np.eye(2, dtype=np.float32), Mode.TRAIN), [[1], [1]])


def test_stochastic_weights_have_the_papers_probability(rng):
    """P(+1) = (latent + 1) / 2, a clipped latent weight of +-1 being certain."""
    latent = np.array([-1, -0.6, 0, 0.3, 1], np.float32)
    layer = Dense(1, len(latent), "stochastic", rng)
    layer.weight.value[0] = latent
    one = np.ones((1, 1), np.float32)
    draws = np.concatenate([layer.forward(one, Mode.TRAIN) for _ in range(20_000)])
    assert set(np.unique(draws)) == {-1, 1}
    plus = (draws == 1).mean(axis=0)
    np.testing.assert_allclose(plus, (latent + 1) / 2, atol=0.015)
    assert plus[0] == 0 and plus[-1] == 1


def test_stochastic_weights_are_signs_outside_training(rng):
    layer = Dense(FEATURES, 4, "stochastic", rng)
    deterministic = Dense(FEATURES, 4, "deterministic", rng)
    deterministic.weight.value[:] = layer.weight.value
    eye = np.eye(FEATURES, dtype=np.float32)
    for mode in (Mode.CALIBRATE, Mode.EVALUATE, Mode.UNROUNDED):
        np.testing.assert_array_equal(layer.forward(eye, mode), deterministic.forward(eye, mode))


def test_stochastic_backward_uses_the_weights_that_were_drawn(rng):
    layer = Dense(FEATURES, 4, "stochastic", rng, np.float64)
    drawn = layer.forward(np.eye(FEATURES), Mode.TRAIN)
    dy = rng.normal(size=(FEATURES, 4))
    np.testing.assert_array_equal(layer.backward(dy), dy @ drawn.T)


def test_float32_stays_float32(rng):
    network = build((8, 6, 3), "deterministic", rng)
    logits = network.forward(rng.integers(256, size=(BATCH, 8), dtype=np.uint8), Mode.TRAIN)
    _, gradient = cross_entropy(logits, rng.integers(3, size=BATCH))
    network.backward(gradient)
    assert {logits.dtype, gradient.dtype, *(p.gradient.dtype for p in network.parameters)} == {np.dtype(np.float32)}
