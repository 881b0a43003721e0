"""Dropout: what it leaves out, what it passes back, and that nothing of it is in the model."""

import numpy as np
import pytest

from signbit.trainer.learning.quantize import freeze
from signbit.trainer.learning.run import run
from signbit.trainer.learning.settings import default_settings
from signbit.trainer.network.architecture import parse, resolve
from signbit.trainer.network.dropout import Dropout
from signbit.trainer.network.layer import Mode
from signbit.trainer.network.layers import BatchNorm
from signbit.trainer.network.network import build
from tests.test_gradients import build_mlp

RATE = 0.25


def layers_of(network) -> list[str]:
    return [type(layer).__name__ for layer in network.layers]


@pytest.fixture
def layer():
    return Dropout(RATE, np.random.default_rng(0))


def test_a_part_is_left_out_and_the_rest_stays_whole(layer):
    x = np.arange(1, 40_001, dtype=np.float32).reshape(100, 400)
    y = layer.forward(x, Mode.TRAIN).copy()
    kept = y != 0
    np.testing.assert_array_equal(y[kept], x[kept])
    # four standard deviations of a binomial share
    assert kept.mean() == pytest.approx(1 - RATE, abs=4 * np.sqrt(RATE * (1 - RATE) / x.size))
    assert (layer.forward(x, Mode.TRAIN) != y).any()


def test_gradient_goes_where_the_value_went(layer):
    x = np.ones((30, 50), np.float32)
    y = layer.forward(x, Mode.TRAIN).copy()
    np.testing.assert_array_equal(layer.backward(np.full_like(x, 3)), 3 * y)


@pytest.mark.parametrize("mode", [mode for mode in Mode if mode is not Mode.TRAIN])
def test_nothing_is_left_out_elsewhere(layer, mode):
    x = np.ones((30, 50), np.float32)
    assert layer.forward(x, mode) is x


def test_a_float_network_keeps_the_mean():
    """It has no batch norm to do so."""
    network = build_mlp((400, 3), "none", np.random.default_rng(0), dropout=RATE)
    y = network.blocks[0].dropout.forward(np.ones((100, 400), np.float32), Mode.TRAIN)
    assert y.max() == pytest.approx(1 / (1 - RATE)) and y.mean() == pytest.approx(1, abs=0.02)


def test_a_binarized_network_keeps_whole_numbers_whole():
    network = build_mlp((400, 3), "deterministic", np.random.default_rng(0), dropout=RATE)
    y = network.blocks[0].dropout.forward(np.full((10, 400), 5, np.float32), Mode.TRAIN)
    assert set(np.unique(y)) == {0, 5}


def test_it_stands_before_dense_layers_only(digits):
    layers = resolve(parse("conv3x3:4 pool2, dense:8, dense"), digits.input_shape, 10)
    network = build(layers, digits.input_shape, "deterministic", np.random.default_rng(0), dropout=RATE)
    assert [isinstance(block.dropout, Dropout) for block in network.blocks] == [False, True, True]


@pytest.mark.parametrize("model", ["mlp", "conv3x3:6 pool2, dense:20, dense"])
def test_the_model_is_the_network_without_it(digits, model):
    """Integers and the frozen phase know nothing of it; batch norm's statistics are those of undropped inputs."""
    frozen = run(default_settings(model=model, epochs=3, frozen_epochs=1, dropout=RATE), digits)
    assert "Dropout" not in layers_of(frozen.network)
    result = run(default_settings(model=model, epochs=3, dropout=RATE), digits)
    network = result.network
    assert "Dropout" in layers_of(network) and "Dropout" not in layers_of(freeze(network))
    assert result.scores["test"]["fake_quantized"].different == 0
    means = [layer.mean.copy() for layer in network.layers if isinstance(layer, BatchNorm)]
    for block in network.blocks:
        block.dropout = None
    network.calibrate(digits.train.x)
    for mean, norm in zip(means, (layer for layer in network.layers if isinstance(layer, BatchNorm)), strict=True):
        np.testing.assert_array_equal(mean, norm.mean)
