"""Optimizers, schedules, the training loop and the command line."""

import contextlib
import dataclasses
import json
import math
import os
import pty
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from qmodel.datasets import Split
from qmodel.file import load, to_bytes
from tests.test_gradients import build_mlp
from trainer.evaluate import evaluate
from trainer.layer import Mode, Parameter
from trainer.optim import OPTIMIZERS, SCHEDULES, Adam, Sgd, glorot_rate
from trainer.quantize import freeze
from trainer.run import run
from trainer.settings import Settings, default_settings
from trainer.train import train

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
    train(network, digits, default_settings(epochs=1, lr_scaling="glorot"), np.random.default_rng(0))
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
    train(network, digits, settings, np.random.default_rng(1))

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
    for layer in result.network.layers[::3]:
        assert np.abs(layer.weight.value).max() == 1


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

    history = train(network, digits, default_settings(epochs=6), np.random.default_rng(0), ruin)
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


def test_schedule_goes_over_all_steps(digits, monkeypatch):
    rates = []

    class Recorder(Sgd):
        def step(self, lr):
            rates.append(lr)

    monkeypatch.setitem(OPTIMIZERS, "sgd", Recorder)
    settings = default_settings(optimizer="sgd", epochs=4, batch_size=100, lr=2.0)
    train(build_mlp((64, 10), "deterministic", np.random.default_rng(0)), digits, settings, np.random.default_rng(0))
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
    assert confusion.score == result.scores["test"]["integer"]
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


# --- what the defaults reach


def scores_of(repository, *arguments):
    """Test scores of a run as a user starts it: another process, which chooses its number of BLAS threads."""
    command = [sys.executable, "-m", "trainer", *arguments, "--quiet", "--json"]
    output = subprocess.run(command, cwd=repository, check=True, capture_output=True, text=True).stdout
    return json.loads(output)["accuracy"]["test"]


DIGITS_FLOORS = {
    ("mlp", "deterministic"): 0.96,
    ("mlp", "none"): 0.93,
    ("logistic", "deterministic"): 0.89,
    ("logistic", "stochastic"): 0.87,
    ("logistic", "none"): 0.93,
}
MNIST_FLOORS = {
    ("mlp", "deterministic"): 0.976,
    ("logistic", "deterministic"): 0.912,
    ("logistic", "stochastic"): 0.895,
    ("logistic", "none"): 0.925,
}


@pytest.mark.parametrize(("model", "binarize"), DIGITS_FLOORS)
def test_digits_are_learned(repository, model, binarize):
    scores = scores_of(repository, "--model", model, "--binarize", binarize)
    assert scores["float" if binarize == "none" else "integer"] >= DIGITS_FLOORS[model, binarize]


@pytest.mark.parametrize(("model", "binarize"), MNIST_FLOORS)
def test_mnist_is_learned(repository, mnist, model, binarize):
    scores = scores_of(repository, "--data", "mnist", "--model", model, "--binarize", binarize)
    if binarize == "none":
        assert set(scores) == {"count", "float", "float_correct"}
    else:
        assert abs(scores["fake_quantized_correct"] - scores["integer_correct"]) <= 5
    assert scores["float" if binarize == "none" else "integer"] >= MNIST_FLOORS[model, binarize]


# --- the command line


def test_train_and_evaluate(trainer, tmp_path):
    out = tmp_path / "m.npz"
    code, text, progress = trainer("train", *SHORT, "--out", out, "--name", "my-model")
    assert code == 0 and progress == ""
    model = load(out)
    assert model.name == "my-model"
    assert model.hash in text and str(out) in text
    code, text, _ = trainer("evaluate", out)
    test = model.provenance["accuracy"]["test"]
    assert code == 0
    assert f"{test['integer']:.2%} ({test['integer_correct']}/360 of the test part)" in text
    assert len(text.splitlines()) == 3 + 1 + 10 + 1 + 2 + 10


def test_train_may_be_left_out_and_json_parses(trainer, tmp_path):
    out = tmp_path / "m.npz"
    code, text, _ = trainer(*SHORT, "--json", "--out", out)
    values = json.loads(text)
    model = load(out)
    assert code == 0 and text.count("\n") == 1
    assert values["model"] == {"name": "digits", "hash": model.hash, "out": str(out)}
    assert values["settings"]["hidden"] == [64] and len(values["epochs"]) == 2
    assert values["accuracy"] == model.provenance["accuracy"]
    values = json.loads(trainer("evaluate", out, "--json")[1])
    assert values["accuracy"]["test"]["integer_correct"] == model.provenance["accuracy"]["test"]["integer_correct"]
    assert np.array(values["confusion"]).sum() == 360 and len(values["classes"]) == 10


def test_provenance_makes_the_model_again(trainer, tmp_path):
    """The command in a model file makes the same model, holds no folder, and the record has no clock."""
    out = tmp_path / "first.npz"
    trainer(*SHORT, "--out", out, "--hidden", "20,10", "--high", "15", "--seed", "3", "--name", "x")
    provenance = load(out).provenance
    assert str(tmp_path) not in json.dumps(provenance)
    words = provenance["command"].split()
    assert words[:4] == ["python", "-m", "trainer", "train"] and words[-2:] == ["--out", "first.npz"]
    again = tmp_path / "again" / "first.npz"
    again.parent.mkdir()
    assert trainer(*words[3:-1], again, "--quiet")[0] == 0
    assert again.read_bytes() == out.read_bytes()
    assert provenance["data"]["train"] == 1257 and len(provenance["data"]["hash"]) == 64
    assert set(provenance["settings"]) == set(Settings.names())


def test_provenance_of_a_convolutional_network(trainer, tmp_path):
    out = tmp_path / "first.npz"
    trainer(*SHORT, "--out", out, "--model", "conv3x3:4 pool2 sign, dense", "--label-smoothing", "0.1")
    provenance = load(out).provenance
    words = shlex.split(provenance["command"])
    again = tmp_path / "again" / "first.npz"
    again.parent.mkdir()
    assert trainer(*words[3:-1], again, "--quiet")[0] == 0
    assert again.read_bytes() == out.read_bytes()


def test_summary(trainer):
    code, text, _ = trainer("summary", "--model", "tiny")
    assert code == 0 and "conv3x3:32 pool2" in text and "cortex-m0" in text
    values = json.loads(trainer("summary", "--model", "tiny", "--json")[1])
    assert [layer["layer"] for layer in values["layers"]][-1] == "dense:10"
    assert values["flash_bytes"] == sum(layer["flash_bytes"] for layer in values["layers"])


def test_float_run_reports_and_saves_nothing(trainer):
    code, text, _ = trainer(*SHORT, "--binarize", "none")
    assert code == 0
    assert "nothing is saved" in text and "integer  " not in text


def test_float_run_as_json(trainer):
    values = json.loads(trainer(*SHORT, "--binarize", "none", "--json")[1])
    assert values["model"] is None
    assert set(values["accuracy"]["test"]) == {"count", "float", "float_correct"}


def test_without_out_the_text_says_that_nothing_was_saved(trainer):
    assert "not saved: name a file with --out" in trainer(*SHORT)[1]


BAD = {
    "float with --out": (["--binarize", "none", "--out", "m.npz"], "float network"),
    "hidden nonsense": (["--hidden", "64,,x"], "--hidden"),
    "hidden zero": (["--hidden", "0"], "--hidden"),
    "hidden empty": (["--hidden", ""], "--hidden"),
    "hidden too many": (["--hidden", ",".join(["1"] * 64)], "--hidden"),
    "hidden too large": (["--hidden", "60000,60000"], "--hidden"),
    "hidden for logistic": (["--model", "logistic", "--hidden", "10"], "--hidden"),
    "scaling for float": (["--binarize", "none", "--lr-scaling", "glorot"], "--lr-scaling"),
    "bad name": (["--name", "int main(){}"], "name"),
    "empty name": (["--name", ""], "name"),
    "long name": (["--name", "a" * 32], "name"),
    "unknown data": (["--data", "nope"], "--data"),
    "unknown command": (["tarin"], "tarin"),
    "unknown option": (["--epoch", "3"], "--epoch"),
    "hidden for convolutions": (["--model", "tiny", "--hidden", "10"], "--hidden"),
    "unknown model": (["--model", "nope"], "nope"),
    "model does not fit": (["--model", "conv9x9:3, dense"], "larger"),
    "missing toml": (["--model", "no-such.toml"], "no-such.toml"),
    "augmentation of nothing": (["--augment", "wobble"], "--augment"),
    "frozen from the start": (["--epochs", "3", "--frozen-epochs", "3"], "--frozen-epochs"),
    "frozen floats": (["--binarize", "none", "--frozen-epochs", "1"], "--frozen-epochs"),
    "negative noise": (["--input-noise", "-1"], "--input-noise"),
    "fold of nothing": (["--fold", "7"], "--fold"),
    "run folder in no folder": (["--run", "no/such/folder"], "no/such"),
    "resume nothing": (["--resume", "nothing"], "--resume"),
    "smoothing of all": (["--label-smoothing", "1"], "--label-smoothing"),
    "summary of nothing": (["summary", "--model", "nope"], "nope"),
    "negative lr": (["--lr", "-1"], "--lr"),
    "lr nan": (["--lr", "nan"], "--lr"),
    "lr text": (["--lr", "fast"], "--lr"),
    "no epochs": (["--epochs", "0"], "--epochs"),
    "seed with underscore": (["--seed", "1_0"], "--seed"),
    "high 256": (["--high", "256"], "--high"),
    "missing data folder": (["--data", "mnist", "--data-dir", "no/such/folder"], "no/such/folder"),
    "missing out folder": (["--out", "no/such/folder/m.npz"], "no/such/folder"),
    "out is a folder": (["--out", "."], "folder"),
    "missing model": (["evaluate", "no-such.npz"], "no-such.npz"),
    "evaluate nothing": (["evaluate"], "MODEL"),
}


@pytest.mark.parametrize("case", BAD)
def test_errors_are_one_line_and_come_before_training(trainer, tmp_path, monkeypatch, case):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("trainer.run.Training", lambda *arguments: pytest.fail("training began"))
    arguments, said = BAD[case]
    code, out, err = trainer(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ") and err.count("\n") == 1 and said in err
    assert list(tmp_path.iterdir()) == []


def test_read_only_folder_is_found_before_training(trainer, tmp_path, monkeypatch):
    monkeypatch.setattr("trainer.run.Training", lambda *arguments: pytest.fail("training began"))
    folder = tmp_path / "read-only"
    folder.mkdir(mode=0o555)
    if os.geteuid() == 0:
        # permissions don't bind root, but nobody can make files in /sys
        folder = Path("/sys")
        if not folder.is_dir():
            pytest.skip("root can write everywhere here: run the tests as another user")
    code, out, err = trainer("--out", folder / "m.npz")
    assert (code, out) == (2, "")
    assert err.startswith("error: --out") and err.count("\n") == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_full_disk_ends_in_one_line(trainer):
    code, out, err = trainer(*SHORT, "--out", "/dev/full")
    assert (code, out) == (2, "")
    assert err.startswith("error: --out /dev/full: ") and err.count("\n") == 1


def test_evaluate_on_data_of_another_shape(trainer, tmp_path, mnist):
    out = tmp_path / "m.npz"
    trainer(*SHORT, "--out", out)
    code, text, err = trainer("evaluate", out, "--data", "mnist")
    assert (code, text) == (2, "") and err.startswith("error: ") and err.count("\n") == 1


def test_pipe_gets_plain_lines(repository):
    """No escape sequence and no carriage return on either stream, and one line an epoch."""
    result = subprocess.run(
        [sys.executable, "-m", "trainer", "--epochs", "3"], cwd=repository, capture_output=True, text=True, check=True
    )
    assert "\x1b" not in result.stdout + result.stderr and "\r" not in result.stderr
    assert [line.split()[:2] for line in result.stderr.splitlines()] == [["epoch", f"{n}/3"] for n in (1, 2, 3)]
    assert result.stdout.startswith("digits mlp 64")


def test_pipe_gets_few_lines_however_many_epochs(trainer):
    err = trainer("--model", "logistic", "--epochs", "60")[2]
    assert len(err.splitlines()) == 20 and err.splitlines()[-1].startswith("epoch 60/60")


@pytest.mark.parametrize("no_color", [False, True])
def test_terminal_gets_a_live_bar(repository, no_color):
    """A terminal sees the bar and its last state; NO_COLOR leaves no colour in it."""
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "120"} | ({"NO_COLOR": "1"} if no_color else {})
    shown = in_terminal([sys.executable, "-m", "trainer", "--epochs", "3"], repository, environment)
    assert "3/3" in shown and "s left" in shown and "\x1b[" in shown
    assert ("\x1b[38;" in shown) is not no_color


def in_terminal(command, folder, environment):
    """What `command` writes to a pseudo-terminal that is its stderr."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    chunks = []
    # Linux reports the end of a pseudo-terminal as an I/O error
    with contextlib.suppress(OSError):
        while chunk := os.read(ours, 1 << 16):
            chunks.append(chunk)
    os.close(ours)
    assert process.wait() == 0
    return b"".join(chunks).decode()


def test_shipped_models_hold_what_their_readme_says(repository):
    """Each model's hash, seed and test count stand in models/README.md, and its name is its data set's."""
    text = (repository / "models" / "README.md").read_text()
    for data in ("digits", "mnist"):
        model = load(repository / "models" / f"{data}-mlp.npz")
        test = model.provenance["accuracy"]["test"]
        assert model.name == data
        assert model.provenance["data"]["hash"] in text and model.hash in text
        assert model.provenance["command"] in text
        assert f"{test['integer_correct']}/{test['count']}" in text


def test_shipped_digits_model_scores_as_recorded(repository, digits):
    model = load(repository / "models" / "digits-mlp.npz")
    assert model.provenance["data"]["hash"] == digits.hash
    assert evaluate(model, digits).score.right == model.provenance["accuracy"]["test"]["integer_correct"]


def test_shipped_mnist_model_scores_as_recorded(repository, mnist):
    model = load(repository / "models" / "mnist-mlp.npz")
    assert model.provenance["data"]["hash"] == mnist.hash
    assert evaluate(model, mnist).score.right == model.provenance["accuracy"]["test"]["integer_correct"]
