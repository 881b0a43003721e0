"""Accuracy with its interval, figures of each class, and how a confusion matrix is shown."""

import dataclasses
import json
from fractions import Fraction

import numpy as np
import pytest
from rich.cells import cell_len

from signbit.qmodel.command import run_command
from signbit.qmodel.data.named import load_dataset
from signbit.trainer.command.cli import main
from signbit.trainer.learning.evaluate import Z_95, Confusion, Score, evaluate
from signbit.trainer.learning.run import run
from signbit.trainer.learning.settings import default_settings
from signbit.trainer.report.confusion import confusion_json, confusion_text
from signbit.trainer.report.results import run_json, run_text

LETTERS = tuple("abcdefghijklmnopqrstuvwxyz")
LONG = ("walking upstairs with a heavy bag", "sitting", "跑步", "stand\x1b[2Jing", "lying", "a", "b", "c")


def confusion_of(labels, count=3000, seed=0) -> Confusion:
    rng = np.random.default_rng(seed)
    counts = np.zeros((len(labels), len(labels)), np.int64)
    actual = rng.integers(0, len(labels), count)
    guessed = np.where(rng.random(count) < 0.8, actual, rng.integers(0, len(labels), count))
    np.add.at(counts, (actual, guessed), 1)
    return Confusion(counts, labels)


@pytest.mark.parametrize(("right", "count"), [(0, 1), (1, 1), (0, 360), (360, 360), (352, 360), (9_944, 10_000)])
def test_interval_solves_wilsons_equation(right, count):
    """Both ends q fulfil n (p - q)^2 = z^2 q (1 - q); none right gives 0, all right 1."""
    score = Score(right, count)
    low, high = score.interval
    assert 0 <= low <= score.accuracy <= high <= 1
    for end in (low, high):
        distance = count * (Fraction(right, count) - Fraction(end)) ** 2
        assert float(distance - Fraction(Z_95) ** 2 * Fraction(end) * (1 - Fraction(end))) == pytest.approx(0, abs=1e-9)
    assert (low == 0) is (right == 0) and (high == 1) is (right == count)
    assert low < high


@pytest.mark.parametrize(
    ("right", "count", "interval"),
    [(81, 263, (0.2553, 0.3662)), (15, 148, (0.0624, 0.1605)), (0, 20, (0, 0.1611)), (1, 29, (0.0061, 0.1718))],
)
def test_interval_against_published_ones(right, count, interval):
    """R. G. Newcombe, Two-sided confidence intervals for the single proportion, Statistics in Medicine 17, 1998."""
    assert Score(right, count).interval == pytest.approx(interval, abs=5e-5)


def test_class_figures_by_hand():
    counts = np.array([[8, 2, 0, 0], [1, 9, 0, 0], [3, 0, 0, 0], [0, 0, 0, 0]])
    first, second, never_found, absent = Confusion(counts, ("a", "b", "c", "d")).classes
    assert (first.precision, first.recall, first.f1) == (8 / 12, Score(8, 10), 16 / 22)
    assert (second.precision, second.recall, second.f1) == (9 / 11, Score(9, 10), 18 / 21)
    assert (never_found.precision, never_found.recall, never_found.f1) == (None, Score(0, 3), 0)
    assert (absent.precision, absent.recall, absent.f1, absent.support) == (None, None, None, 0)


def test_macro_f1_is_the_mean_over_the_classes_that_are_there():
    confusion = Confusion(np.array([[8, 2, 0, 0], [1, 9, 0, 0], [3, 0, 0, 0], [0, 0, 0, 0]]), ("a", "b", "c", "d"))
    assert confusion.macro_f1 == pytest.approx((16 / 22 + 18 / 21 + 0) / 3)
    assert f", macro F1 {confusion.macro_f1:.2%}" in confusion_text(confusion, "model", "set.csv").splitlines()[1]
    assert confusion_json(confusion, "m", "0" * 64, "d")["macro_f1"] == confusion.macro_f1


def test_a_run_records_the_integer_models_macro_f1(digits):
    done = run(default_settings("digits", "logistic", epochs=1), digits)
    found = evaluate(done.model, digits).macro_f1
    assert done.scores["test"]["integer"].macro_f1 == found
    assert run_json(done, None)["accuracy"]["test"]["integer_macro_f1"] == pytest.approx(found, abs=1e-6)


@pytest.mark.parametrize("columns", [40, 80, 200])
@pytest.mark.parametrize("labels", [("no", "yes"), tuple("0123456789"), LETTERS, LONG], ids=["2", "10", "26", "long"])
def test_text_fits_and_holds_every_figure(labels, columns):
    confusion = confusion_of(labels)
    text = confusion_text(confusion, "model", "set.csv", columns)
    assert text.isprintable() or set(text) - {"\n"} == {c for c in text if c.isprintable()}
    _, _, *body = text.splitlines()
    table, matrix = body[1 : 2 + len(labels)], body[3 + len(labels) :]
    assert max(map(cell_len, matrix)) <= columns
    supports = [int(line.split()[-1]) for line in table[1:]]
    assert supports == confusion.counts.sum(axis=1).tolist()
    blocks = "\n".join(matrix).split("\n\n")
    cells = [[line.split() for line in block.splitlines()[2:]] for block in blocks]
    heads = [block.splitlines()[1].split()[1:] for block in blocks]
    rows = [
        [
            0 if cell == "." else int(cell)
            for block, head in zip(cells, heads, strict=True)
            for cell in block[row][-len(head) :]
        ]
        for row in range(len(labels))
    ]
    assert rows == confusion.counts.tolist()


def test_short_labels_head_the_columns_and_wide_ones_become_numbers():
    assert "#" not in confusion_text(confusion_of(LETTERS), "m", "d", 80)
    text = confusion_text(confusion_of(LONG), "m", "d", 80)
    assert "#1  #2" in text and "walking upstairs with a…" in text and "stand?[2Jing" in text
    assert "#" not in confusion_text(confusion_of(LONG), "m", "d", 400)


def test_json_has_an_interval_for_accuracy_and_each_recall():
    confusion = Confusion(np.array([[8, 2, 0], [1, 9, 0], [0, 0, 0]]), ("a", "b", "c"))
    values = json.loads(json.dumps(confusion_json(confusion, "m", "0" * 64, "d")))
    assert values["interval"]["test"]["integer"] == pytest.approx(Score(17, 20).interval, abs=1e-6)
    assert [entry["label"] for entry in values["classes"]] == ["a", "b", "c"]
    assert values["classes"][0]["recall_interval"] == pytest.approx(Score(8, 10).interval, abs=1e-6)
    assert values["classes"][2] == dict.fromkeys(("precision", "recall", "recall_interval", "f1")) | {
        "label": "c",
        "support": 0,
    }


def test_a_run_says_how_sure_its_accuracies_are():
    result = run(default_settings(epochs=1), load_dataset("digits"))
    scores = result.scores["test"]["integer"], result.scores["validation"]["integer"]
    (line,) = [line for line in run_text(result, None).splitlines() if line.startswith("95 % interval")]
    assert line.endswith(" to ".join(f"{end:.2%}" for end in scores[0].interval))
    assert f"{scores[1].interval[0]:.2%} to" in line
    assert run_json(result, None)["interval"]["test"]["integer"] == pytest.approx(scores[0].interval, abs=1e-6)


def test_command_fits_the_terminal(repository, capsys, monkeypatch):
    model = str(repository / "models" / "digits-mlp.npz")
    for columns, blocks in (("80", 1), ("30", 2)):
        monkeypatch.setenv("COLUMNS", columns)
        assert run_command(main, ["evaluate", model]) == 0
        assert capsys.readouterr().out.count("predicted") == blocks


def test_columns_of_the_result_do_not_run_together(digits):
    """From five digits on they did."""
    result = run(default_settings(epochs=1, model="logistic"), digits)
    many = Score(39794, 40000, None)
    scores = {part: {figure: many for figure in figures} for part, figures in result.scores.items()}
    text = run_text(dataclasses.replace(result, scores=scores), None)
    (line,) = [line for line in text.splitlines() if line.startswith("integer")]
    assert line.split("  ")[-1].strip() == "99.48% (39794/40000)" and line.count("  ") >= 2
    assert len({len(line) for line in text.splitlines() if line.startswith(("accuracy", "integer", "float"))}) == 1


def test_the_model_file_names_no_version_of_numpy(digits):
    """So that it is the same file with each."""
    model = run(default_settings(epochs=1, model="logistic"), digits).model
    assert np.__version__ not in json.dumps(model.provenance) and "numpy" not in model.provenance
