"""Backward passes against numeric gradients in float64; the straight-through rules apart, by their definition."""

from dataclasses import replace

import numpy as np
import pytest

from signbit.qmodel.layers import AveragePool as IntegerAveragePool
from signbit.qmodel.merge import Add as IntegerAdd
from signbit.qmodel.merge import Concatenate as IntegerConcatenate
from signbit.qmodel.window import Window
from signbit.trainer.learning.loss import balanced_weights, cross_entropy, softmax
from signbit.trainer.network.architecture import mlp, parse, resolve
from signbit.trainer.network.block import Block
from signbit.trainer.network.convolution import Conv2D, DepthwiseConv2D
from signbit.trainer.network.layer import Mode, Parameter
from signbit.trainer.network.layers import BatchNorm, Dense, QuantizedRelu, Relu, Sign
from signbit.trainer.network.merge import Add, Concatenate
from signbit.trainer.network.network import Network, build
from signbit.trainer.network.pool import AveragePool, MaxPool
from signbit.trainer.network.weights import TERNARY_THRESHOLD

STEP = 1e-6
BATCH, FEATURES = 7, 5


def build_mlp(sizes, *arguments, **options):
    """Dense network with `sizes` = (inputs, hidden..., classes)."""
    inputs, *hidden, classes = sizes
    return build(resolve(mlp(tuple(hidden)), (inputs,), classes), (inputs,), *arguments, **options)


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
    dx = layer.backward(weights).copy()
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
    network = build_mlp((8, *hidden, 3), "none", rng, dtype=np.float64)
    assert_network_gradients(network, rng.integers(256, size=(BATCH, 8), dtype=np.uint8), rng.integers(3, size=BATCH))


@pytest.mark.parametrize("hidden", [(), (6,), (6, 5)])
def test_whole_binarized_network_with_real_weights(rng, hidden):
    """A binarized network's layers, with its +-1 weights put into float layers so that they can be moved a little."""
    binarized = build_mlp((8, *hidden, 3), "deterministic", rng, dtype=np.float64)
    blocks = [
        replace(block, weights=real_twin(block.weights, rng), activation=block.activation and Relu())
        for block in binarized.blocks
    ]
    network = Network(blocks, (8,), binarized.input_shift, dtype=np.float64)
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
    unrounded = layer.backward(dy).copy()
    layer.forward(z, Mode.TRAIN)
    np.testing.assert_array_equal(layer.backward(dy), unrounded)
    assert (unrounded != 0).any() and (unrounded == 0).any()


def test_quantized_relu_passes_gradients_by_the_values_of_its_last_pass():
    layer, dy = QuantizedRelu(15), np.ones((2, 3))
    for z, passed in ((1.0, layer.gain), (100.0, 0), (-1.0, 0), (1.0, layer.gain)):
        layer.forward(np.full((2, 3), z), Mode.TRAIN)
        np.testing.assert_array_equal(layer.backward(dy), np.full((2, 3), passed))


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
    draws = np.concatenate([layer.forward(one, Mode.TRAIN).copy() for _ in range(20_000)])
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
    drawn = layer.forward(np.eye(FEATURES), Mode.TRAIN).copy()
    dy = rng.normal(size=(FEATURES, 4))
    np.testing.assert_array_equal(layer.backward(dy), dy @ drawn.T)


def test_float32_stays_float32(rng):
    network = build_mlp((8, 6, 3), "deterministic", rng)
    logits = network.forward(rng.integers(256, size=(BATCH, 8), dtype=np.uint8), Mode.TRAIN)
    _, gradient = cross_entropy(logits, rng.integers(3, size=BATCH))
    network.backward(gradient)
    assert {logits.dtype, gradient.dtype, *(p.gradient.dtype for p in network.parameters)} == {np.dtype(np.float32)}


def test_the_loss_of_many_inputs_is_their_exact_mean():
    """A sum in float32 would round each loss of 33 to 32 beside the large one."""
    logits = np.zeros((4096, 2), np.float32)
    logits[:, 1] = 33
    logits[0, 1] = 2**25
    found, _ = cross_entropy(logits, np.zeros(len(logits), np.int64))
    assert found == (2**25 + 33 * 4095) / 4096


# --- images

IMAGE = (2, 7, 6, 3)
WINDOWS = {
    "plain": ((3, 3), Window()),
    "stride": ((3, 2), Window((2, 2))),
    "padded": ((3, 3), Window((1, 1), (1, 1, 1, 1))),
    "uneven": ((2, 3), Window((2, 1), (0, 1, 2, 0))),
    "whole image": ((7, 6), Window()),
}


@pytest.mark.parametrize("case", WINDOWS)
def test_convolution(rng, case):
    kernel, window = WINDOWS[case]
    layer = Conv2D(3, 4, kernel, window, "none", rng, np.float64)
    layer.bias.value[:] = rng.normal(size=layer.bias.value.shape)
    assert_gradients(layer, rng.normal(size=IMAGE))


@pytest.mark.parametrize("case", WINDOWS)
def test_depthwise_convolution(rng, case):
    kernel, window = WINDOWS[case]
    layer = DepthwiseConv2D(1, 3, kernel, window, "none", rng, np.float64)
    layer.bias.value[:] = rng.normal(size=layer.bias.value.shape)
    assert_gradients(layer, rng.normal(size=IMAGE))


@pytest.mark.parametrize("size", [(2, 2), (3, 2), (1, 3), (7, 6)])
def test_max_pool(rng, size):
    assert_gradients(MaxPool(size), rng.normal(size=IMAGE))


def test_max_pool_gives_a_tie_to_one_input(rng):
    """Accumulators are whole numbers, so ties are common; the gradient must not be counted twice."""
    layer = MaxPool((2, 2))
    x = rng.integers(3, size=IMAGE).astype(np.float64)
    dy = rng.normal(size=layer.forward(x, Mode.TRAIN).shape)
    dx = layer.backward(dy)
    windows = dx[:, :6].reshape(2, 3, 2, 3, 2, 3)
    np.testing.assert_array_equal(windows.sum(axis=(2, 4)), dy)
    assert ((windows != 0).sum(axis=(2, 4)) == 1).all() and not dx[:, 6:].any()


@pytest.mark.parametrize("size", [(2, 2), (3, 2), (7, 6)])
def test_average_pool(rng, size):
    assert_gradients(AveragePool(IntegerAveragePool(size, 3)), rng.normal(size=IMAGE), Mode.UNROUNDED)


@pytest.mark.parametrize("is_float", [True, False])
def test_addition(rng, is_float):
    layer = Add(IntegerAdd((-1, -2, -4), 1, (1, 1, 1), 0), is_float)
    assert_gradients_of_several(layer, [rng.uniform(0, 0.8, size=IMAGE) for _ in range(3)])


def test_concatenation(rng):
    layer = Concatenate(IntegerConcatenate((-1, -2, -4), 127, (1, 1, 1), 0))
    assert_gradients_of_several(layer, [rng.normal(size=(*IMAGE[:3], channels)) for channels in (3, 1, 4)])


def assert_gradients_of_several(layer, inputs):
    weights = np.random.default_rng(1).normal(size=layer.forward(*inputs, mode=Mode.TRAIN).shape)

    def loss():
        return float((weights * layer.forward(*inputs, mode=Mode.TRAIN)).sum())

    loss()
    gradients = [dx.copy() for dx in layer.backward(weights)]
    for dx, x in zip(gradients, inputs, strict=True):
        np.testing.assert_allclose(dx, numeric_gradient(loss, x), rtol=1e-6, atol=1e-7)
        assert dx.any()


def test_an_addition_that_is_cut_off_passes_nothing_back(rng):
    layer = Add(IntegerAdd((-1, -2), 127, (1, 1), 0))
    y = layer.forward(np.array([[100.0, 100.0]]), np.array([[27.0, 28.0]]), mode=Mode.TRAIN)
    np.testing.assert_array_equal(y, [[127, 127]])
    for dx in layer.backward(np.array([[3.0, 3.0]])):
        np.testing.assert_array_equal(dx, [[3, 0]])


def test_average_pool_of_a_float_network_is_not_rounded(rng):
    """Its values lie around 1, so that whole numbers would leave nothing of them."""
    network = build(resolve(parse("avgpool2, dense"), (4, 4, 3), 2), (4, 4, 3), "none", rng)
    x = rng.uniform(size=(5, 4, 4, 3)).astype(np.float32)
    for mode in (Mode.TRAIN, Mode.EVALUATE):
        y = network.blocks[0].forward(x, mode)
        np.testing.assert_allclose(y, x.reshape(5, 2, 2, 2, 2, 3).mean(axis=(2, 4)), rtol=1e-6)


def test_batch_norm_of_channels(rng):
    layer = BatchNorm(3, dtype=np.float64)
    for parameter in layer.parameters:
        parameter.value[:] = rng.normal(size=parameter.value.shape)
    assert_gradients(layer, rng.normal(size=IMAGE) * 3 + 1)


def test_straight_through_sign(rng):
    """Definition: the gradient of sign(z) is that of clip(z, -1, 1), and sign(0) = sign(-0) = +1."""
    layer = Sign()
    z = np.array([[-2.0, -0.5, -0.0, 0.0, 0.5, 2.0]])
    np.testing.assert_array_equal(layer.forward(z, Mode.TRAIN), [[-1, -1, 1, 1, 1, 1]])
    np.testing.assert_array_equal(layer.backward(np.full(z.shape, 3.0)), [[0, 3, 3, 3, 3, 0]])


@pytest.mark.parametrize("make", [Dense, Conv2D, DepthwiseConv2D])
def test_straight_through_ternary_weights(rng, make):
    """Definition: both passes use +1, 0 and -1, and the latent weights get the gradient of those."""
    sizes = {Dense: (5, 4), Conv2D: (3, 4, (3, 3), Window()), DepthwiseConv2D: (1, 3, (3, 3), Window())}[make]
    ternary = make(*sizes, "deterministic", rng, np.float64, ternary=True)
    latent = ternary.weight.value
    used = np.where(np.abs(latent) < TERNARY_THRESHOLD, 0, np.sign(latent))
    assert set(np.unique(used)) == {-1, 0, 1}
    real = make(*sizes, "none", rng, np.float64)
    real.weight.value[:] = used
    x = rng.normal(size=(BATCH, 5) if make is Dense else IMAGE)
    y = ternary.forward(x, Mode.TRAIN).copy()
    np.testing.assert_array_equal(y, real.forward(x, Mode.TRAIN))
    dy = rng.normal(size=y.shape)
    np.testing.assert_array_equal(ternary.backward(dy), real.backward(dy))
    np.testing.assert_array_equal(ternary.weight.gradient, real.weight.gradient)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_with_smoothing_and_class_weights(rng, smoothing):
    logits = rng.normal(size=(BATCH, 4)) * 3
    classes = rng.integers(4, size=BATCH)
    weights = np.array([0.5, 1, 2, 3])

    def loss():
        return cross_entropy(logits, classes, smoothing, weights)[0]

    target = (1 - smoothing) * np.eye(4)[classes] + smoothing / 4
    by_hand = -(weights[classes] * (target * np.log(softmax(logits))).sum(axis=1)).mean()
    assert loss() == pytest.approx(by_hand)
    _, gradient = cross_entropy(logits, classes, smoothing, weights)
    np.testing.assert_allclose(gradient, numeric_gradient(loss, logits), rtol=1e-6, atol=1e-9)


def test_balanced_weights_give_each_class_the_same_share():
    classes = np.array([0] * 6 + [1] * 2 + [3] * 4)
    weights = balanced_weights(classes, 4)
    np.testing.assert_allclose(weights * [6, 2, 0, 4], [4, 4, 0, 4])
    assert weights[2] == 0 and weights[classes].mean() == pytest.approx(1)


GRAPHS = (
    "conv3x3pad:2, add(-2), conv3x3pad:3, concat(-2,-4), conv2x2s2:3, dense",
    "conv3x3pad:2, conv1x1:2, conv1x1:2 from(-2), add(-2,-3), avgpool2, dense:4, dense:4 from(-2), add(-2), dense",
)
"""On images of 2 channels."""


@pytest.mark.parametrize("text", ["conv3x3pad:4 pool2, depthwise2x2, conv2x2s2:3, dense", *GRAPHS])
def test_whole_float_convolutional_network(rng, text):
    network = build(resolve(parse(text), (8, 7, 2), 3), (8, 7, 2), "none", rng, dtype=np.float64)
    for parameter in network.parameters:
        # biases of 0 after a ReLU that lets nothing through would put the next one exactly on its kink
        parameter.value += rng.normal(size=parameter.value.shape) / 10
    inputs = rng.integers(256, size=(BATCH, 8 * 7 * 2), dtype=np.uint8)
    assert_network_gradients(network, inputs, rng.integers(3, size=BATCH))


@pytest.mark.parametrize("text", GRAPHS)
def test_whole_binarized_graph_with_real_weights(rng, text):
    """Values that several layers read get the sum of their gradients; weights are moved a little in float layers."""
    binarized = build(resolve(parse(text), (6, 6, 2), 3), (6, 6, 2), "deterministic", rng, dtype=np.float64)
    for block in binarized.blocks:
        if isinstance(block, Block):
            block.weights.binarize = "none"
            block.weights.bias = Parameter(np.zeros((1, block.weights.weight.value.shape[1])))
            block.norm.beta.value += 0.3
            block.activation = block.activation and Relu()
        else:
            block.is_float = True
    inputs = rng.integers(256, size=(BATCH, 6 * 6 * 2), dtype=np.uint8)
    assert_network_gradients(binarized, inputs, rng.integers(3, size=BATCH))
