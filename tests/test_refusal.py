"""How a reject is chosen, what is measured of it, and the commands and the estimator that do both."""

import json
import signal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signbit.qmodel import file, integer
from signbit.qmodel.data.named import load_dataset
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.integer import REJECTED
from signbit.trainer.command import keeper
from signbit.trainer.command.reject import RATES
from signbit.trainer.learning.reject import COVERAGES, RANK_MIN, check_count, curve, fit_known, fit_unknown
from signbit.trainer.learning.run import run
from signbit.trainer.learning.settings import default_settings
from tools.measure import bench_reject

QUICK = ("--model", "mlp", "--hidden", "16", "--epochs", "12", "--quiet")


def logits_of(seed: int, count: int = 400, classes: int = 4) -> np.ndarray:
    """Few different values, so that margins tie, or many."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, rng.choice([4, 50, 10**9]), (count, classes)).astype(np.int32)


RATE = st.sampled_from([0.01, 0.05, 0.29, 0.5, 0.9])
CHOSEN_ON = st.tuples(st.integers(0, 10**6), st.integers(100, 700), st.integers(1, 8))


@given(CHOSEN_ON, RATE)
def test_no_more_than_the_rate_is_refused(drawn, rate):
    logits = logits_of(*drawn)
    classes, refused = integer.argmax(logits), fit_known(logits, rate).run(logits) == REJECTED
    for index in np.unique(classes):
        own = classes == index
        if rate * (own.sum() + 1) >= RANK_MIN:
            assert refused[own].sum() <= rate * own.sum()
    pooled = [own for own in map(classes.__eq__, np.unique(classes)) if rate * (own.sum() + 1) < RANK_MIN]
    if len(pooled) == len(np.unique(classes)):
        assert refused.sum() <= rate * len(logits)


@given(CHOSEN_ON, RATE)
def test_no_less_than_the_rate_of_unknown_inputs_is_refused(drawn, rate):
    logits = logits_of(*drawn)
    classes, reject = integer.argmax(logits), fit_unknown(logits, rate)
    refused = reject.run(logits) == REJECTED
    for index in np.unique(classes):
        own = classes == index
        if (1 - rate) * (own.sum() + 1) >= RANK_MIN + 1e-9 and reject.margins[index] < integer.MARGIN_MAX:
            assert refused[own].sum() >= rate * own.sum()


def test_a_new_input_is_refused_at_the_rate():
    """The promise is about inputs that were not chosen on: over many draws the share is the rate or a little less."""
    rng = np.random.default_rng(0)
    rate, count, shares = 0.1, 60, []
    for _ in range(300):
        logits = rng.integers(-(2**20), 2**20, (count + 40, 2)).astype(np.int32)
        shares.append(np.mean(fit_known(logits[:count], rate).run(logits[count:]) == REJECTED))
    error = 3 * np.std(shares) / np.sqrt(len(shares))
    assert rate - 1 / 30 - error < np.mean(shares) < rate + error


def test_thresholds_by_hand():
    """Margins 1 to 99 of class 0, 101 to 150 of class 1: ranks 10 and 5; with 40 of class 1 the 14th of all."""
    rows = [[margin, 0] for margin in range(1, 100)] + [[0, margin] for margin in range(101, 151)]
    logits = np.array(rows, np.int32)
    assert fit_known(logits, 0.1).margins.tolist() == [10, 105]
    assert fit_known(logits[:-10], 0.1).margins.tolist() == [10, 14]
    assert fit_known(logits, 0.29).margins.tolist() == [29, 114], "0.29 of 100 is 29, which floats do not say"
    assert fit_unknown(logits, 0.9).margins.tolist() == [91, 147]
    top = np.array([[integer.INT32_MAX, integer.INT32_MIN]] * 99, np.int32)
    assert fit_unknown(top, 0.9).margins.tolist() == [integer.MARGIN_MAX] * 2


@pytest.mark.parametrize(("rate", "count"), [(0.05, 19), (0.01, 99), (0.3, 3), (0.5, 1)])
def test_too_few_inputs_are_refused(rate, count):
    check_count(rate, count)
    assert fit_known(logits_of(0, count), rate).margins.shape == (4,)
    with pytest.raises(SignbitError, match=f"takes at least {count} validation inputs, but there are {count - 1}"):
        fit_known(logits_of(0, count - 1), rate)
    unknown = float(1 - Fraction(str(rate)))
    assert fit_unknown(logits_of(0, count), unknown).margins.shape == (4,)
    with pytest.raises(SignbitError, match=f"takes at least {count} unknown inputs, but there are {count - 1}"):
        fit_unknown(logits_of(0, count - 1), unknown)


def test_accuracy_against_coverage_by_hand():
    logits = np.array([[margin, 0] for margin in range(100)], np.int32)
    classes = np.repeat([1, 0], [10, 90])
    points = curve(logits, classes)
    assert [point.count for point in points] == [100 * coverage for coverage in COVERAGES]
    assert [point.right for point in points] == [90, 90, 90, 90, 90, 80, 70, 50]


def test_a_run_chooses_on_validation_and_reads_the_test_part_last(digits, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "signbit.trainer.learning.run.fit_known", lambda *given: seen.append(given) or fit_known(*given)
    )
    done = run(default_settings(epochs=2, reject=0.1), digits)
    ((logits, rate),) = seen
    assert rate == 0.1 and np.array_equal(logits, done.model.run(digits.validation.x))
    kept = done.accepted
    assert kept["validation"].total == 180 and kept["test"].total == 360
    assert kept["validation"].count >= 162
    record = done.model.provenance["reject"]
    assert record["rate"] == 0.1 and record["accepted"]["test"]["count"] == kept["test"].count
    plain = run(default_settings(epochs=2), digits)
    assert plain.model.reject is None and plain.accepted == {} and "reject" not in plain.model.provenance
    assert all(
        np.array_equal(a, b) for a, b in zip(*(m.trace(digits.test.x) for m in (plain.model, done.model)), strict=True)
    )


def test_train_evaluate_and_change_it(trainer, tmp_path):
    out = tmp_path / "m.npz"
    code, text, _ = trainer(*QUICK, "--reject", "5%", "--out", out)
    assert code == 0
    model = file.load(out)
    digits = load_dataset("digits")
    decided, right = model.decide(model.run(digits.test.x)), digits.test.y
    kept = decided != REJECTED
    words = f"{kept.sum()}/360", f"({(decided == right).sum()}/{kept.sum()})"
    assert all(word in line for word, line in zip(words, text.splitlines()[-5:-3], strict=True))
    shown = trainer("evaluate", out)[1]
    assert (
        f"accepted {kept.mean():.2%} ({words[0]}), right of these {(decided == right)[kept].mean():.2%} {words[1]}"
        in shown
    )
    assert "coverage    100.0%" in shown and all(len(line) <= 80 for line in shown.splitlines())
    values = json.loads(trainer("evaluate", out, "--json")[1])["reject"]
    assert values["accepted"]["count"] == kept.sum() and values["unknown"] is None
    assert [point["total"] for point in values["curve"]] == [360] * len(COVERAGES)

    more = tmp_path / "more.npz"
    assert trainer("reject", out, "--rate", "20%", "-o", more)[0] == 0
    other = file.load(more)
    assert (other.reject.margins >= model.reject.margins).all() and other.hash != model.hash
    assert other.provenance["reject"]["rate"] == 0.2
    assert other.reject.margins.tolist() == fit_known(model.run(digits.validation.x), 0.2).margins.tolist()
    gone = tmp_path / "gone.npz"
    assert trainer("reject", more, "--rate", "0", "--out", gone)[0] == 0
    assert file.load(gone).reject is None and "reject" not in file.load(gone).provenance
    assert "accepted" not in trainer("evaluate", gone)[1]


def test_without_a_rate_several_are_shown_and_nothing_is_saved(trainer, repository):
    code, text, _ = trainer("reject", repository / "models" / "digits-mlp.npz")
    assert code == 0 and text.rstrip().endswith("nothing is saved; choose one with --rate and --out")
    rows = [line.split() for line in text.splitlines() if "/180" in line]
    assert [float(row[0]) for row in rows] == [rate for rate in RATES if rate == 0 or rate * 181 >= 1]
    shares = [int(row[2].strip("()").split("/")[0]) for row in rows]
    assert shares == sorted(shares, reverse=True) and shares[0] == 180


def table(kinds: str, count: int, seed: int = 0) -> str:
    """Two columns, in which each kind is a cloud of its own."""
    rng = np.random.default_rng(seed)
    rows = [
        f"{5000 * np.cos(ord(kind)) + dx:.0f},{5000 * np.sin(ord(kind)) + dy:.0f},{kind}"
        for kind in kinds
        for dx, dy in rng.normal(0, 400, (count, 2))
    ]
    return "x,y,kind\n" + "\n".join(rows) + "\n"


@pytest.fixture
def known(trainer, parts, tmp_path):
    """A model of the classes a to d, and its data."""
    data, out = parts(table("abcd", 150), "known.csv"), tmp_path / "known.npz"
    assert trainer("--data", data, *QUICK, "--reject", "5%", "--out", out)[0] == 0
    return out, data


def test_unknown_inputs_are_counted_and_refused_at_a_stated_rate(trainer, known, parts, tmp_path):
    model, data = known
    other, mixed = parts(table("ef", 200, 1), "other.csv"), parts(table("abef", 100, 2), "mixed.csv")
    strict = tmp_path / "strict.npz"
    code, text, _ = trainer("reject", model, "--data", data, "--unknown", other, "--unknown-rate", ".8", "-o", strict)
    assert code == 0 and "unknown refused" in text
    assert file.load(strict).provenance["reject"]["unknown_rate"] == 0.8
    assert file.load(strict).provenance["reject"]["unknown"]["refused"] >= 320
    values = json.loads(trainer("evaluate", strict, "--data", mixed, "--json")[1])
    assert values["accuracy"]["test"]["count"] == 200 and values["reject"]["accepted"]["total"] == 200
    assert values["reject"]["unknown"]["count"] == 200
    assert values["reject"]["unknown"]["refused"] >= 0.7 * 200
    assert "refused of unknown classes" in trainer("evaluate", strict, "--data", mixed)[1]
    values = json.loads(trainer("reject", model, "--data", mixed, "--rate", "5%", "--json")[1])["choices"][0]
    assert values["accepted"]["validation"]["total"] == 200 and values["unknown"]["count"] == 200


def test_without_a_reject_other_classes_are_still_refused(trainer, known, parts, tmp_path):
    plain, mixed = tmp_path / "plain.npz", parts(table("abef", 100), "mixed.csv")
    assert trainer("reject", known[0], "--data", known[1], "--rate", "0", "--out", plain)[0] == 0
    code, _, err = trainer("evaluate", plain, "--data", mixed)
    assert code == 2 and "class 'e' is not one of the model's" in err
    code, _, err = trainer("evaluate", known[0], "--data", parts(table("ef", 100), "other.csv"))
    assert code == 2 and "has no input of the model's classes" in err


BAD = {
    "no rate": (["-o", "m.npz"], "--out needs a rate"),
    "two rates": (["--rate", "5%", "--unknown-rate", "5%"], "not allowed with"),
    "unknown rate alone": (["--unknown-rate", "90%"], "say where they are with --unknown"),
    "all": (["--rate", "1"], "'1' is not a number from 0 to below 1, or per cent such as 5%"),
    "no number": (["--rate", "%"], "'%' is not a number"),
    "a zero": (["--rate", "1/0%"], "is not a number"),
    "too few": (["--rate", "0.1%"], "takes at least 999 validation inputs, but there are 180"),
    "no folder": (["--rate", "5%", "-o", "no/m.npz"], "there is no folder"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_rates_are_one_line_and_write_nothing(trainer, repository, tmp_path, monkeypatch, case):
    monkeypatch.chdir(tmp_path)
    options, words = BAD[case]
    code, out, err = trainer("reject", repository / "models" / "digits-mlp.npz", *options)
    assert code == 2 and words in err and err.count("\n") == 1 and out == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("model", ["mlp", "auto"])
def test_a_rate_for_which_there_are_too_few_inputs_is_refused_before_training(trainer, parts, monkeypatch, model):
    monkeypatch.setattr("signbit.trainer.learning.train.Training.run", lambda *given: pytest.fail("it trains"))
    data = parts(table("abcd", 40))
    code, _, err = trainer("--data", data, "--model", model, "--reject", "1%")
    assert code == 2 and "takes at least 99 validation inputs, but there are 16; choose a higher one" in err
    assert trainer("--reject", "5%", "--binarize", "none")[0] == 2


def test_it_works_with_folds_resumed_runs_and_the_choice_of_a_network(trainer, parts, tmp_path):
    data = parts(table("abcd", 60))
    command = ("--data", data, "--epochs", "3", "--fold", "2", "--reject", "10%", "--quiet", "--model", "auto")
    assert trainer(*command, "--out", tmp_path / "a.npz")[0] == 0
    assert trainer(*command, "--out", tmp_path / "b.npz")[0] == 0
    model, again = (file.load(tmp_path / f"{name}.npz") for name in "ab")
    assert model.hash == again.hash and model.reject.margins.any()
    assert "--reject 0.1" in model.provenance["command"] and "--fold 2" in model.provenance["command"]


def test_a_run_that_was_stopped_ends_in_the_same_reject(trainer, tmp_path, monkeypatch):
    """The rate is in the checkpoint."""
    command = (*QUICK, "--reject", "10%")
    assert trainer(*command, "--out", tmp_path / "whole.npz")[0] == 0
    notes = iter([None, signal.SIGINT])
    plain = keeper.Keeper.__call__

    def stop(self, training):
        self._signalled = lambda: next(notes, None)
        plain(self, training)

    monkeypatch.setattr(keeper.Keeper, "__call__", stop)
    assert trainer(*command, "--out", tmp_path / "m.npz")[0] == 128 + signal.SIGINT
    assert trainer("--resume", tmp_path / "m.npz.checkpoint", "--quiet")[0] == 0
    whole, resumed = (file.load(tmp_path / f"{name}.npz") for name in ("whole", "m"))
    assert whole.reject.margins.any() and whole.hash == resumed.hash


def test_the_documents_table_counts_what_is_refused(monkeypatch):
    """`python -m tools bench_reject` with one network of few epochs; classes left out are in no part of its data."""
    monkeypatch.setattr(bench_reject, "LEFT_OUT", ((8, 9),))
    monkeypatch.setattr(bench_reject, "default_settings", lambda *given: default_settings(*given, epochs=3))
    known, unknown = bench_reject.without(load_dataset("digits"), (0, 9))
    assert known.labels == tuple("12345678") and set(known.test.y) == set(range(8))
    assert len(known.test) + len(unknown) == 360
    rows = bench_reject.measure("digits")
    assert [row["score"] for row in rows] == list(bench_reject.SCORES)
    for row in rows:
        assert row["refused"].count == row["all right"].count == row["right of the others"].count + row["refused"].right
        assert row["unknown refused"].count == 360 - row["refused"].count
        assert row["unknown refused"].right / row["unknown refused"].count > row["refused"].right / row["refused"].count
