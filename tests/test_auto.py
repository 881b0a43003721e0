"""`--model auto`: what competes, which candidate is taken, and that the test part has no say in it."""

import json
from dataclasses import replace

import numpy as np
import pytest

from signbit.qmodel.data.dataset import Dataset, Split
from signbit.qmodel.data.split import split_samples
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.file import load
from signbit.trainer.learning import auto
from signbit.trainer.learning.settings import default_settings


class Unread:
    """The inputs of a test part that must not be looked at."""

    dtype = np.dtype(np.int16)

    def __getitem__(self, index):
        assert index == slice(None, 0), "the test part was read"
        return np.empty((0, 3), np.int16)


def table(samples=300, seed=0):
    """Counts of three columns, one of them skewed; the class is whether that one is in the middle of its values."""
    rng = np.random.default_rng(seed)
    skewed = np.exp(rng.normal(5, 1.5, samples))
    x = np.stack([skewed, rng.normal(0, 1000, samples), rng.normal(0, 10, samples)], axis=1)
    y = ((skewed > np.quantile(skewed, 0.3)) & (skewed < np.quantile(skewed, 0.7))).astype(np.int64)
    counts = np.clip(x, -32_768, 32_767).astype(np.int16)
    train, validation, test = split_samples(y)
    parts = (Split(counts[part], y[part]) for part in (train, validation))
    return Dataset("table", (3,), ("out", "in"), *parts, Split(Unread(), y[test]), "rule")


def test_the_test_part_is_not_read():
    settings, choice = auto.settings_for(table(), {"epochs": 10})
    assert len(choice.candidates) == len(auto.FEW_HIDDEN) * len(auto.ENCODINGS)
    assert settings in [candidate.settings for candidate in choice.candidates]


def test_a_skewed_column_gets_thresholds():
    settings, choice = auto.settings_for(table(600), {"epochs": 40})
    best = {
        kind: max(c.accuracy for c in choice.candidates if c.settings.input_encoding.startswith(kind))
        for kind in ("affine", "thermometer")
    }
    assert settings.input_encoding.startswith("thermometer") and best["thermometer"] > best["affine"] + 0.05


def test_the_same_data_make_the_same_choice():
    first, second = (auto.settings_for(table(), {"epochs": 10, "seed": 3})[1] for _ in range(2))
    assert first == second


SCORES = {"a": (900, 960), "b": (500, 955), "c": (100, 948), "d": (20, 900), "e": (10, 800)}
"""Bytes, and how many of 1,000 are right; a standard error of the best is 6."""


@pytest.mark.parametrize(("left_out", "taken"), [("", "b"), ("b", "a"), ("ab", "c")])
def test_the_fewest_bytes_within_one_error_of_the_best(monkeypatch, left_out, taken):
    entries = [default_settings(name, "logistic") for name in SCORES if name not in left_out]
    monkeypatch.setattr(auto, "_score", lambda settings, share, part: (*SCORES[settings.data], 1000))
    data = table(1500)
    assert auto.choose(entries, data).settings.data == taken


def test_the_better_ones_run_again_for_longer(monkeypatch):
    runs = []
    entries = [default_settings(name, "logistic") for name in SCORES]
    monkeypatch.setattr(
        auto,
        "_score",
        lambda settings, share, part: runs.append((settings.data, share)) or (*SCORES[settings.data], 1000),
    )
    steps = []
    auto.choose(entries, table(1500), lambda done, count: steps.append((done, count)))
    assert runs == [(name, auto.FIRST_SHARE) for name in "abcde"] + [(name, auto.SECOND_SHARE) for name in "abcd"]
    assert steps == [(done, 9) for done in range(1, 10)]


def test_few_samples_are_scored_on_every_fold(monkeypatch):
    held = []
    monkeypatch.setattr(
        auto, "_score", lambda settings, share, part: held.append(len(part.validation)) or (1, 1, len(part.validation))
    )
    data = table(300)
    auto.choose([default_settings("a", "logistic")], data)
    assert len(held) == auto.FOLDS and sum(held) == len(data.train) + len(data.validation)


def test_what_is_given_is_not_up_for_choice():
    _, choice = auto.settings_for(table(), {"epochs": 5, "hidden": (8,), "input_encoding": "pieces:4"})
    assert [(c.settings.hidden, c.settings.input_encoding) for c in choice.candidates] == [((8,), "pieces:4")]
    settings, nothing = auto.settings_for(table(), {"model": "mlp"})
    assert nothing is None and settings.hidden == (64, 64)
    with pytest.raises(SignbitError, match="one-bit networks"):
        auto.settings_for(table(), {"binarize": "none"})
    tiny = replace(table(), train=Split(np.zeros((3, 3), np.int16), np.zeros(3, int)), validation=table().validation)
    few = replace(tiny, validation=Split(tiny.validation.x[:3], tiny.validation.y[:3]))
    assert auto.settings_for(few, {})[1] is None


def test_a_table_is_trained_with_the_choice(trainer, tmp_path):
    rng = np.random.default_rng(0)
    rows = [
        f"{value:.3f},{other:.3f},{'in' if 2 < value < 9 else 'out'}" for value, other in rng.exponential(6, (240, 2))
    ]
    (tmp_path / "t.csv").write_text("\n".join(["a,b,kind", *rows]))
    out = tmp_path / "t.npz"
    code, _, err = trainer("--data", tmp_path / "t.csv", "--out", out, "--run", tmp_path / "run", "--epochs", "20")
    assert code == 0, err
    assert err.count("taken: fewest bytes") == 1 and "candidate" in err
    model = load(out)
    command = model.provenance["command"]
    assert "auto" not in command and "--input-encoding" in command
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["model"]["hash"] == model.hash
    # the command that is recorded makes the model again without choosing
    words = command.split()[2:]
    words[words.index("--data") + 1] = str(tmp_path / "t.csv")
    words[words.index("--out") + 1] = str(tmp_path / "again.npz")
    code, _, err = trainer(*words)
    assert code == 0 and "candidate" not in err
    assert load(tmp_path / "again.npz").hash == model.hash
