"""Optimizers, schedules and the training loop."""

import dataclasses
import math

import numpy as np
import pytest

from signbit.qmodel.data.named import Split
from signbit.qmodel.file import to_bytes
from signbit.qmodel.integer import INT32_MAX
from signbit.trainer.learning.evaluate import evaluate
from signbit.trainer.learning.loss import cross_entropy
from signbit.trainer.learning.optim import OPTIMIZERS, SCHEDULES, Adam, Sgd, glorot_rate
from signbit.trainer.learning.quantize import freeze
from signbit.trainer.learning.run import run
from signbit.trainer.learning.settings import default_settings
from signbit.trainer.learning.train import Training
from signbit.trainer.network.layer import Mode, Parameter
from tests.test_gradients import build_mlp

SHORT = ("--epochs", "2", "--quiet")


# --- optimizers and schedules


def parameter_with(gradient, rate=1.0):
    parameter = Parameter(np.array([1.0, -2.0]), rate)
    parameter.gradient[:] = gradient
    return parameter


def test_sgd_by_hand():
    parameter = parameter_with([0.5, -1.0])
    optimizer = Sgd([parameter], momentum=0.9)
    optimizer.step(0.1)
    np.testing.assert_allclose(parameter.value, [1 - 0.05, -2 + 0.1])
    optimizer.step(0.1)
    # velocity: 0.9 * -0.05 - 0.05 = -0.095 and 0.9 * 0.1 + 0.1 = 0.19
    np.testing.assert_allclose(parameter.value, [0.95 - 0.095, -1.9 + 0.19])


def test_adam_by_hand():
    """The textbook's form, step by step, in Python numbers."""
    parameter = parameter_with([0.0, 0.0])
    optimizer = Adam([parameter], beta1=0.9, beta2=0.999, epsilon=1e-8)
    expected, m, v = [1.0, -2.0], [0.0, 0.0], [0.0, 0.0]
    for t, gradient in enumerate([(0.5, -1.0), (-2.0, 0.25), (0.125, 3.0)], start=1):
        parameter.gradient[:] = gradient
        optimizer.step(0.1)
        for i, g in enumerate(gradient):
            m[i] = 0.9 * m[i] + 0.1 * g
            v[i] = 0.999 * v[i] + 0.001 * g * g
            expected[i] -= 0.1 * (m[i] / (1 - 0.9**t)) / (math.sqrt(v[i] / (1 - 0.999**t)) + 1e-8)
        np.testing.assert_allclose(parameter.value, expected, rtol=1e-12)


@pytest.mark.parametrize("optimizer", [Sgd, Adam])
def test_a_parameters_rate_multiplies_the_learning_rate(optimizer):
    one, other = parameter_with([0.5, -1.0], rate=3.0), parameter_with([0.5, -1.0])
    optimizer([one]).step(0.1)
    optimizer([other]).step(0.3)
    np.testing.assert_allclose(one.value, other.value)


def test_schedules_by_hand():
    quarters = (0, 0.25, 0.5, 0.75)
    expected = {
        "constant": (1, 1, 1, 1),
        "cosine": (1, 0.5 + math.sqrt(0.125), 0.5, 0.5 - math.sqrt(0.125)),
        "exponential": (1, 10**-0.75, 10**-1.5, 10**-2.25),
        "step": (1, 1, 0.1, 0.01),
    }
    assert set(expected) == set(SCHEDULES)
    for name, values in expected.items():
        assert [SCHEDULES[name](done) for done in quarters] == pytest.approx(values)


def test_glorot_scaling_is_the_papers(digits):
    """1 / H for Adam and 1 / H^2 for SGD, H = sqrt(1.5 / (fan_in + fan_out)); latent weights only."""
    assert glorot_rate(100, 50, "adam") == pytest.approx(10)
    assert glorot_rate(100, 50, "sgd") == pytest.approx(100)
    network = build_mlp((64, 8, 10), "deterministic", np.random.default_rng(0))
    Training(network, digits, default_settings(epochs=1, lr_scaling="glorot"), np.random.default_rng(0)).run()
    rates = [parameter.rate for parameter in network.parameters]
    assert rates == pytest.approx([math.sqrt(72 / 1.5), 1, 1, math.sqrt(18 / 1.5), 1, 1])


# --- the loop


def test_one_step_is_binary_connect(digits):
    """Forward and backward at sign(latent), update of the latent weights, clipping -- written out again by hand."""
    settings = default_settings(
        model="logistic", optimizer="sgd", epochs=1, batch_size=len(digits.train), lr=300.0, schedule="constant"
    )
    network = build_mlp((64, 10), "deterministic", np.random.default_rng(0), dtype=np.float64)
    latent = network.layers[0].weight.value.copy()
    Training(network, digits, settings, np.random.default_rng(1)).run()

    x = (digits.train.x >> 1).astype(np.float64)
    onehot = np.eye(10)[digits.train.y]
    acc = x @ np.where(latent >= 0, 1, -1)
    deviation = np.sqrt(acc.var(axis=0) + 1)
    normal = (acc - acc.mean(axis=0)) / deviation
    p = np.exp(normal) / np.exp(normal).sum(axis=1, keepdims=True)
    dy = (p - onehot) / len(x)
    dacc = (dy - dy.mean(axis=0) - normal * (dy * normal).mean(axis=0)) / deviation
    expected = np.clip(latent - 300.0 * (x.T @ dacc), -1, 1)
    np.testing.assert_allclose(network.layers[0].weight.value, expected, rtol=1e-9, atol=1e-12)
    assert (np.abs(expected) == 1).any()


@pytest.mark.parametrize("binarize", ["deterministic", "stochastic"])
def test_latent_weights_stay_clipped(digits, binarize):
    result = run(default_settings(binarize=binarize, epochs=3, lr=0.5), digits)
    for block in result.network.blocks:
        assert np.abs(block.weights.weight.value).max() == 1


def test_network_is_left_as_it_was_after_the_chosen_epoch(digits):
    """After epoch 3 the network is ruined for good: that epoch is chosen, and its weights come back."""
    network = build_mlp((64, 32, 10), "deterministic", np.random.default_rng(0))
    snapshots = []

    def ruin(epoch):
        snapshots.append(network.snapshot())
        if epoch.number == 3:
            for parameter in network.parameters:
                parameter.value *= 0
                parameter.rate = 0

    history = Training(network, digits, default_settings(epochs=6), np.random.default_rng(0)).run(ruin)
    assert history.epochs[-1].validation_accuracy < 0.2
    assert history.chosen is history.epochs[2]
    for array, copy in zip(network.arrays, snapshots[2], strict=True):
        np.testing.assert_array_equal(array, copy)


def test_chosen_epoch_is_the_latest_within_two_standard_errors(digits):
    history = run(default_settings(epochs=12, schedule="constant", lr=0.3), digits).history
    epochs = history.epochs
    count = len(digits.validation)
    best = max(epoch.validation_accuracy for epoch in epochs)
    smoothed = (best * count + 1) / (count + 2)
    floor = best - 2 * math.sqrt(smoothed * (1 - smoothed) / count)
    latest = [epoch for epoch in epochs if epoch.validation_accuracy >= floor][-1]
    assert history.chosen is latest


def few(digits, count=200):
    """The first training samples, and all others."""
    return dataclasses.replace(digits, train=Split(digits.train.x[:count], digits.train.y[:count]))


def test_two_standard_errors_below_the_best_are_as_good_and_three_are_not(digits, monkeypatch):
    """Of 180 inputs, 95 % right: 1.7 % are one standard error."""
    found = iter([(0.95, 0.1), (0.92, 0.1), (0.90, 0.1)])
    monkeypatch.setattr("signbit.trainer.learning.train._validate", lambda *_: next(found))
    network = build_mlp((64, 10), "deterministic", np.random.default_rng(0))
    history = Training(network, few(digits), default_settings(epochs=3), np.random.default_rng(0)).run()
    assert history.chosen.number == 2


def test_an_epoch_s_loss_is_the_mean_of_its_batches(digits, monkeypatch):
    losses = []

    def recorded(*given):
        loss, gradient = cross_entropy(*given)
        losses.append(loss)
        return loss, gradient

    monkeypatch.setattr("signbit.trainer.learning.train.cross_entropy", recorded)
    network = build_mlp((64, 10), "deterministic", np.random.default_rng(0))
    training = Training(network, few(digits), default_settings(epochs=2, batch_size=50), np.random.default_rng(0))
    history = training.run()
    # the loss of a validation part is one more
    steps = [loss for index, loss in enumerate(losses) if index % (len(losses) // 2) < 4]
    assert [epoch.loss for epoch in history.epochs] == pytest.approx([np.mean(steps[:4]), np.mean(steps[4:])])


def test_integers_that_weights_go_on_learning_with_have_room_for_any_weights(digits):
    """A wide layer, whose accumulators could leave int32 with other weights."""
    network = build_mlp((64, 2000, 10), "deterministic", np.random.default_rng(0))
    settings = default_settings(epochs=2, frozen_epochs=1, batch_size=100)
    training = Training(network, few(digits), settings, np.random.default_rng(0))
    training.run()
    integers = training.frozen.blocks[1].activation.folded.integers
    reach = 2000 * 127 * np.abs(integers.multiplier.astype(np.int64)) + np.abs(integers.bias.astype(np.int64))
    assert reach.max() <= INT32_MAX


def test_schedule_goes_over_all_steps(digits, monkeypatch):
    rates = []

    class Recorder(Sgd):
        def step(self, lr):
            rates.append(lr)

    monkeypatch.setitem(OPTIMIZERS, "sgd", Recorder)
    settings = default_settings(optimizer="sgd", epochs=4, batch_size=100, lr=2.0)
    Training(
        build_mlp((64, 10), "deterministic", np.random.default_rng(0)), digits, settings, np.random.default_rng(0)
    ).run()
    assert len(rates) == 4 * (1257 // 100)
    assert rates == pytest.approx([2.0 * SCHEDULES["cosine"](step / len(rates)) for step in range(len(rates))])


def test_inputs_as_the_first_layer_sees_them():
    """Float networks see 0..1; binarized ones whole numbers, shifted as the integer model shifts them."""
    inputs = np.array([[255, 101]], np.uint8)
    for binarize, seen in (("none", [1, 101 / 255]), ("deterministic", [127, 50])):
        network = build_mlp((2, 3), binarize, np.random.default_rng(0))
        network.forward(inputs, Mode.EVALUATE)
        np.testing.assert_allclose(network.layers[0]._x[0], seen, rtol=1e-6)


def test_test_part_is_not_read_before_the_end(digits):
    """With the test part's classes changed, everything but the test scores stays."""
    hidden = dataclasses.replace(digits, test=Split(digits.test.x, (digits.test.y + 1) % 10))
    settings = default_settings(epochs=2)
    one, other = run(settings, digits), run(settings, hidden)
    assert one.model.hash == other.model.hash
    assert one.scores["validation"] == other.scores["validation"]
    assert one.scores["test"] != other.scores["test"]


EFFECTS = {
    "class_weights": "balanced",
    "label_smoothing": 0.2,
    "input_noise": 8.0,
    "dropout": 0.2,
    "optimizer": "sgd",
    "schedule": "exponential",
    "binarize": "stochastic",
    "augment": "affine",
    "flip": "both",
    "batch_size": 50,
    "lr": 0.001,
    "seed": 3,
}


@pytest.mark.parametrize("name", EFFECTS)
def test_each_option_changes_what_is_trained(digits, name):
    """Not only what is parsed: after two epochs the latent weights are others."""
    plain, changed = (run(default_settings(epochs=2, **options), digits) for options in ({}, {name: EFFECTS[name]}))
    pairs = zip(plain.network.arrays, changed.network.arrays, strict=True)
    assert any(not np.array_equal(one, other) for one, other in pairs)


def test_scores_are_the_networks_and_the_models(digits):
    result = run(default_settings(epochs=3), digits)
    for part in ("validation", "test"):
        split = getattr(digits, part)
        scores = result.scores[part]
        assert scores["float"].right == (result.network.predict(split.x, Mode.UNROUNDED) == split.y).sum()
        assert scores["fake_quantized"].right == (freeze(result.network).predict(split.x) == split.y).sum()
        assert scores["integer"].right == (result.model.predict(split.x) == split.y).sum()
        assert {score.count for score in scores.values()} == {len(split)}
    confusion = evaluate(result.model, digits)
    assert dataclasses.replace(confusion.score, macro_f1=confusion.macro_f1) == result.scores["test"]["integer"]
    assert confusion.counts.sum(axis=1).tolist() == np.bincount(digits.test.y).tolist()


@pytest.mark.filterwarnings("error")
def test_loss_that_is_not_finite_ends_in_one_line(trainer):
    code, out, err = trainer("--binarize", "none", "--optimizer", "sgd", "--lr", "1e30", *SHORT)
    assert (code, out) == (2, "")
    assert err.startswith("error: the loss is not finite") and "--lr" in err and err.count("\n") == 1


@pytest.mark.parametrize("binarize", ["deterministic", "stochastic"])
def test_same_seed_same_file(digits, binarize):
    settings = default_settings(binarize=binarize, epochs=2, seed=7)
    one, other = run(settings, digits), run(settings, digits)
    assert to_bytes(one.model) == to_bytes(other.model)
    changed = run(dataclasses.replace(settings, seed=8), digits)
    assert changed.model.hash != one.model.hash
