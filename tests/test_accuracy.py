"""What the defaults reach, and what the shipped perceptrons hold."""

import json
import subprocess
import sys

import pytest

from signbit.qmodel.file import load
from signbit.trainer.learning.evaluate import evaluate


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
