"""`--model auto`: what competes, how much work that is, which is taken, and that the test part has no say in it."""

import json
from dataclasses import replace

import numpy as np
import pytest

from signbit.qmodel.data.dataset import Dataset, Split
from signbit.qmodel.data.named import load_dataset
from signbit.qmodel.data.split import split_samples
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.file import load
from signbit.qmodel.value import Encoding
from signbit.trainer.learning import auto
from signbit.trainer.learning.folds import folds_of
from signbit.trainer.learning.run import run
from signbit.trainer.learning.settings import default_settings
from signbit.trainer.network.network import Network
from tests.own_files import csv_text


class Unread:
    """The inputs of a test part that must not be looked at."""

    dtype = np.dtype(np.int16)

    def __getitem__(self, index):
        assert index == slice(None, 0), "the test part was read"
        return np.empty((0, 3), np.int16)


def dataset(x, y, labels):
    counts = np.clip(x, -32_768, 32_767).astype(np.int16)
    train, validation, test = split_samples(y)
    parts = (Split(counts[part], y[part]) for part in (train, validation))
    return Dataset("table", counts.shape[1:], labels, *parts, Split(Unread(), y[test]), "rule")


def table(samples=300, seed=0):
    """Counts of three columns, one of them skewed; the class is whether that one is in the middle of its values."""
    rng = np.random.default_rng(seed)
    skewed = np.exp(rng.normal(5, 1.5, samples))
    x = np.stack([skewed, rng.normal(0, 1000, samples), rng.normal(0, 10, samples)], axis=1)
    y = ((skewed > np.quantile(skewed, 0.3)) & (skewed < np.quantile(skewed, 0.7))).astype(np.int64)
    return dataset(x, y, ("out", "in"))


def linear(samples):
    """Six columns whose sum decides: logistic regression can't be bettered."""
    x = np.random.default_rng(0).normal(0, 1000, (samples, 6))
    return dataset(x, (x.sum(axis=1) > 0).astype(np.int64), ("below", "above"))


def test_the_test_part_is_not_read():
    settings, choice = auto.settings_for(table(), {"epochs": 10})
    assert {candidate.settings.hidden for candidate in choice.candidates} == set(auto.FEW_HIDDEN)
    assert settings in [candidate.settings for candidate in choice.candidates[: choice.finalists]]


def test_a_skewed_column_gets_thresholds():
    settings, choice = auto.settings_for(table(600), {"epochs": 40})
    best = {
        kind: max(c.accuracy for c in choice.candidates if c.settings.input_encoding.startswith(kind))
        for kind in ("affine", "thermometer")
    }
    assert settings.input_encoding.startswith("thermometer") and best["thermometer"] > best["affine"] + 0.05


def test_the_same_data_make_the_same_choice():
    first, second = (auto.settings_for(table(), {"epochs": 10, "seed": 3})[1] for _ in range(2))
    assert [(c.settings, c.right) for c in first.candidates] == [(c.settings, c.right) for c in second.candidates]


@pytest.mark.parametrize("samples", [200, 1200])
@pytest.mark.parametrize("make", [table, linear])
def test_choosing_takes_at_most_four_runs(monkeypatch, samples, make):
    """Counted where the time goes: passes through layers, of all candidates and of the run that follows."""
    passed = []
    forward = Network.forward

    def counted(self, inputs, mode):
        passed.append(len(self.blocks))
        return forward(self, inputs, mode)

    monkeypatch.setattr(Network, "forward", counted)
    data = make(samples)
    settings, choice = auto.settings_for(data, {"epochs": 30})
    spent = sum(passed)
    passed.clear()
    auto.begin(settings, settings.prepared(replace(data, test=data.validation))).run()
    assert 0 < spent <= auto.RUNS * sum(passed)
    assert choice.work == pytest.approx(spent / sum(passed), rel=0.25)


SCORES = {"a": (5000, 960), "b": (3500, 955), "c": (2500, 955), "d": (100, 700)}
"""Bytes, and how many of 1,000 are right; a standard error of the best is 6."""


def scored(name):
    size_bytes, right = SCORES[name]
    hits = np.arange(1000) < right
    return auto.Candidate(default_settings(name, "logistic"), size_bytes, 1.0, 1, hits)


@pytest.mark.parametrize(("names", "taken"), [("abcd", "c"), ("abd", "b"), ("ad", "a")])
def test_the_fewest_bytes_within_one_error_of_the_best(monkeypatch, names, taken):
    found = {name: scored(name) for name in names}
    monkeypatch.setattr(auto.Race, "_untrained", lambda self, settings: found[settings.data])
    monkeypatch.setattr(auto.Race, "_scored", lambda self, candidate, share: candidate)
    assert auto.Race(table(1500)).choose([default_settings(n, "logistic") for n in names]).settings.data == taken


def test_very_few_samples_are_chosen_by_the_lowest_loss(monkeypatch):
    """Among candidates that are not clearly worse than the best."""
    losses = {"a": 0.3, "b": 0.2, "c": 0.4, "d": 0.1}
    monkeypatch.setattr(auto.Race, "_untrained", lambda self, settings: scored(settings.data))
    monkeypatch.setattr(
        auto.Race, "_scored", lambda self, found, share: replace(found, loss=losses[found.settings.data])
    )
    for samples, taken in ((450, "b"), (900, "c"), (1500, "c")):
        chosen = auto.Race(table(samples)).choose([default_settings(name, "logistic") for name in "abcd"])
        assert chosen.settings.data == taken


def test_only_better_encodings_meet_all_networks(monkeypatch):
    runs = []

    def scored(self, candidate, share):
        right = {"affine": 500, "thermometer:7": 800, "thermometer:15": 900, "thermometer:31": 900}
        runs.append(candidate.settings)
        return replace(candidate, hits=np.arange(1000) < right[candidate.settings.input_encoding])

    monkeypatch.setattr(auto.Race, "_scored", scored)
    monkeypatch.setattr(auto, "RUNS", 100)
    auto.settings_for(table(1500), {})
    probes, rest = runs[: len(auto.ENCODINGS)], runs[len(auto.ENCODINGS) :]
    assert {(probe.hidden, probe.input_encoding) for probe in probes} == {((64,), name) for name in auto.ENCODINGS}
    assert {settings.input_encoding for settings in rest} == {"thermometer:15", "thermometer:31"}
    # logistic regression, and one or two hidden layers of 32 to 128, as docs/DATA.md says
    assert {settings.hidden for settings in runs} == {(), (32,), (64,), (128,), (64, 64), (64, 128), (128, 64)}


@pytest.mark.parametrize(("samples", "is_longer"), [(450, False), (1500, True)])
def test_the_best_run_once_more_unless_there_are_few_samples(monkeypatch, samples, is_longer):
    runs = []

    def scored(self, candidate, share):
        name = candidate.settings.hidden, candidate.settings.input_encoding
        runs.append((name, share))
        return replace(candidate, hits=np.arange(1000) < 990 - len(str(name)))

    monkeypatch.setattr(auto.Race, "_scored", scored)
    monkeypatch.setattr(auto, "RUNS", 100)
    choice = auto.settings_for(table(samples), {})[1]
    names = [(c.settings.hidden, c.settings.input_encoding) for c in choice.candidates]
    assert len(names) == len(set(names)) == len(runs) - choice.finalists * is_longer
    last = runs[len(names) :]
    assert len(last) == (4 if is_longer else 0) and {name for name, _ in last} <= set(names[: choice.finalists])
    assert all(share >= auto.LAST_FACTOR * runs[0][1] for _, share in last)


def test_progress_ends_where_the_last_candidate_does():
    steps = []
    auto.settings_for(table(), {"epochs": 4}, lambda done, most: steps.append((done, most)))
    *running, (done, most) = steps
    assert [done for done, _ in running] == list(range(1, done + 1)) and done == most


def test_folds_share_no_sample_and_leave_none_out():
    data = replace(table(300), is_kept_apart=False)
    folds = folds_of(data, 3)
    assert sum(len(fold.validation) for fold in folds) == len(data.train) + len(data.validation)
    many = dataset(np.arange(60_000)[:, None] % 30_000, np.arange(60_000) % 2, ("even", "odd"))
    few = folds_of(many, 2, auto.MOST_SAMPLES)
    assert all(len(fold.train) + len(fold.validation) <= auto.MOST_SAMPLES for fold in few)


def test_a_run_with_thresholds_reads_one_bit_inputs(parts):
    settings = default_settings(model="logistic", epochs=1, input_encoding="thermometer:3")
    done = run(settings, settings.prepared(load_dataset(str(parts(csv_text())))), name="t")
    assert done.network.encoding is done.model.values[0].encoding is Encoding.BIT
    assert done.scores["test"]["fake_quantized"].different == 0


@pytest.mark.parametrize("samples_max", [100, 700, 1000])
def test_folds_take_at_most_so_many_samples(digits, samples_max):
    for fold in folds_of(digits, 3, samples_max):
        assert samples_max / 2 <= len(fold.train) + len(fold.validation) <= samples_max


def test_groups_are_not_mixed():
    data = replace(table(300), is_kept_apart=True)
    (only,) = folds_of(data, 3)
    assert only.train is data.train and only.validation is data.validation and not len(only.test)


def test_a_candidate_fits_into_a_small_part():
    wide = dataset(np.random.default_rng(0).normal(0, 1000, (1200, 300)), np.arange(1200) % 2, ("a", "b"))
    race = auto.Race(wide)
    candidates = race._fitting(auto._entries(auto.own_defaults(wide), {}, wide))
    assert len(candidates) > 1 and all(c.size_bytes <= auto.SIZE_MAX for c in candidates)
    given = {"hidden": (256,), "input_encoding": "affine"}
    assert len(race._fitting(auto._entries(auto.own_defaults(wide), given, wide))) == 1


def test_the_last_epochs_belong_to_the_run_alone():
    settings, choice = auto.settings_for(table(), {"epochs": 12, "frozen_epochs": 6})
    assert settings.frozen_epochs == 6 and choice.candidates[0].epochs < 12


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
    assert err.count("taken: ") == 1 and err.count(" taken\n") == 1 and "± error" in err
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
    assert code == 0 and "± error" not in err
    assert load(tmp_path / "again.npz").hash == model.hash


def test_the_estimator_chooses_as_the_command_does(capsys):
    estimator = pytest.importorskip("signbit.trainer.estimator", reason="scikit-learn is missing")
    data = table(240)
    x, y = (np.concatenate([getattr(data.train, name), getattr(data.validation, name)]) for name in ("x", "y"))
    classifier = estimator.BinaryConnectClassifier(epochs=20, lsb=1.0, verbose=True).fit(x.astype(float), y)
    shown = capsys.readouterr().err
    assert "± error" in shown and "taken: " in shown
    recorded = classifier.model_.provenance["settings"]
    (taken,) = [line for line in shown.splitlines() if line.rstrip().endswith(" taken")]
    assert recorded["input_encoding"] in taken and taken.startswith(recorded["model"])
