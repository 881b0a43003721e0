"""Tables as people have them: the default command learns them, and the benchmark of tables says what it measured."""

import json

import numpy as np
import pytest

from signbit.qmodel.data.named import load_dataset
from signbit.qmodel.data.readers.loading import LoadingOptions
from signbit.qmodel.errors import SignbitError
from signbit.trainer.learning.auto import SIZE_MAX, settings_for
from signbit.trainer.learning.run import run
from tools.documents.blocks import block
from tools.measure import tables

needs_rivals = pytest.mark.skipif(tables.missing() is not None, reason=str(tables.missing()))


def skewed(rng, samples):
    """Log-normal columns, of which the lower half of the values would share a few of 256 even steps."""
    x = np.exp(rng.normal(0, 2, (samples, 4)))
    return x, (np.log(x[:, 0]) + np.log(x[:, 1]) > 0).astype(int)


def saturated(rng, samples):
    """Most values are at the sensor's ends; what is between them decides."""
    x = np.clip(rng.normal(0, 20, (samples, 4)), -4, 4)
    return x, (np.abs(x) < 4).any(axis=1).astype(int)


def mixed_scale(rng, samples):
    """Columns of a thousandth and of thousands, equally telling."""
    x = rng.normal(0, 1, (samples, 4))
    return x * [1e-3, 1, 1e2, 1e4] + [0, 5, 0, 2e4], (x.sum(axis=1) > 0).astype(int)


def few_columns(rng, samples):
    """Two columns, and a class inside a ring."""
    x = rng.uniform(-1, 1, (samples, 2))
    return x, (np.hypot(*x.T) < 0.7).astype(int)


def accuracy(path, given):
    """By the default command's way, and the bytes of the candidate that was taken."""
    data = load_dataset(str(path), None, LoadingOptions())
    settings, choice = settings_for(data, given)
    taken = next(c for c in choice.candidates if c.settings == settings)
    return run(settings, settings.prepared(data), "table").scores["test"]["integer"].accuracy, taken.size_bytes


@pytest.mark.parametrize(
    ("make", "least"), [(skewed, 0.94), (saturated, 0.95), (mixed_scale, 0.92), (few_columns, 0.93)]
)
def test_generated_tables_are_learned(tmp_path, make, least):
    x, y = make(np.random.default_rng(0), 1200)
    rows = [",".join([*(f"{value:.6g}" for value in row), "ab"[label]]) for row, label in zip(x, y, strict=True)]
    path = tmp_path / "table.csv"
    path.write_text("\n".join([",".join([*(f"x{number}" for number in range(x.shape[1])), "class"]), *rows]))
    score, size = accuracy(path, {"epochs": 30})
    assert score >= least and size <= SIZE_MAX


@pytest.mark.parametrize(("name", "least"), [("iris", 0.93), ("wine", 0.91), ("breast_cancer", 0.94), ("digits", 0.95)])
def test_scikit_learns_own_tables_are_learned(tmp_path, name, least):
    pytest.importorskip("sklearn", reason='scikit-learn is missing: pip install "signbit[sklearn]"')
    path = next(path for path in tables.own_files(tmp_path) if path.stem == name)
    score, size = accuracy(path, {"epochs": 20} if name == "digits" else {})
    assert score >= least and size <= SIZE_MAX


@needs_rivals
def test_a_row_has_every_classifier_with_its_bytes(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(tables, "FEW_FOLDS", 1)
    monkeypatch.setattr(tables, "SEEDS", 1)
    monkeypatch.setattr(tables, "RESULTS", tmp_path / "tables.json")
    written = []
    monkeypatch.setattr(tables, "replace_block", lambda name, text: written.append((name, text)))
    path = tables.own_files(tmp_path)[0]
    assert tables.main([str(path), "--files-only"]) == 0
    (row,) = json.loads((tmp_path / "tables.json").read_text())
    assert (row["data"], row["samples"], row["columns"], row["classes"]) == ("iris", 150, 4, 3)
    by_name = {score["classifier"]: score for score in row["scores"]}
    assert list(by_name) == [tables.OURS, *tables.RIVALS]
    assert all(score["accuracy"] > 0.8 for score in by_name.values())
    assert {name for name, score in by_name.items() if score["flash_bytes"] is None} == {"logistic"}
    assert by_name[tables.OURS]["flash_bytes"] < by_name["float MLP, 64"]["flash_bytes"]
    assert by_name[tables.OURS]["times_run"] > 1
    assert written == [(tables.BLOCK, tables.table([row]))]
    assert "iris: 150 samples" in capfd.readouterr().out
    # another data set's row stays
    other = row | {"data": "another"}
    assert tables.merged([row], other) == [other, row] and tables.merged([row, other], row) == [other, row]


def test_what_is_no_table_is_refused(tmp_path):
    np.savez(tmp_path / "bytes.npz", x=np.zeros((40, 3), np.uint8), y=np.arange(40) % 2)
    with pytest.raises(SignbitError, match="no table of numbers"):
        tables.measure(tmp_path / "bytes.npz")


def test_documents_table_is_that_of_its_file():
    assert block(tables.BLOCK) == tables.table(tables.read()).strip()
