"""Others' networks for spoken commands: their sizes, training that goes on where it stopped, and their table."""

import json
import sys

import numpy as np
import pytest

import tools.zoo
from signbit.qmodel.data.dataset import Dataset, Split
from signbit.qmodel.errors import SignbitError
from tools.zoo import tables, train_rivals

SHAPE, CLASSES = (49, 1, 40), 12
ROW = {
    "data": "commands",
    "rival": "fastgrnn",
    "name": "FastGRNN",
    "source": "a paper",
    "int8_bytes": 4824,
    "epochs": 2,
}


with_torch = pytest.mark.slow
"""Tests that need PyTorch, which `tools/check` does not install: `pytest -m slow tests/test_rivals_trained.py`."""


@pytest.fixture
def networks():
    pytest.importorskip("torch", reason="needs PyTorch; pip install 'signbit[torch]'")
    return train_rivals._networks()


def sounds(rng: np.random.Generator, count: int) -> Split:
    """Features whose class is the band that is loud."""
    classes = rng.integers(CLASSES, size=count)
    features = rng.integers(100, size=(count, *SHAPE), dtype=np.uint8)
    features[np.arange(count), :, 0, 3 * classes] += 150
    return Split(features.reshape(count, -1), classes)


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    labels = tuple(map(str, range(CLASSES)))
    return Dataset("commands", SHAPE, labels, *(sounds(rng, count) for count in (600, 60, 90)), split_rule="made up")


@with_torch
@pytest.mark.parametrize(
    ("name", "parameters", "int8_bytes"),
    [
        # MLPerf Tiny's has 23,756 with biases before its nine norms, 576, which these make superfluous
        ("ds-cnn", 23_756 - 576, 22_016 + 12 * (9 * 64 + CLASSES)),
        # the paper of SparkNet counts as many
        ("bc-resnet", 4_585, None),
        ("fastgrnn", 3_630, 3_520 + 12 * (2 * 48 + CLASSES) + 2 * 4),
    ],
)
def test_sizes_are_the_published_ones(networks, name, parameters, int8_bytes):
    network = train_rivals.RIVALS[name].make(CLASSES, SHAPE[2])
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters
    assert int8_bytes in (None, networks.int8_bytes(network))


@with_torch
def test_a_part_of_a_norm_takes_two_bytes_and_its_channel_a_requantization(networks):
    assert networks.int8_bytes(networks.SubBandNorm(7)) == 7 * (12 + 2 * networks.SUB_BANDS)


@with_torch
def test_every_rival_reads_the_features_and_learns(networks, data):
    import torch

    inputs = train_rivals._inputs(torch, data, data.test)
    assert inputs.shape == (90, 1, 40, 49)
    assert (inputs.sum(3).argmax(2).squeeze(1).numpy() == 3 * data.test.y).all()
    for rival in train_rivals.RIVALS.values():
        network = rival.make(CLASSES, SHAPE[2])
        scores = network(inputs / 128)
        assert scores.shape == (90, CLASSES)
        scores.sum().backward()
        assert all(parameter.grad is not None for parameter in network.parameters())


@with_torch
def test_a_stopped_run_goes_on_to_the_same_record(networks, data, tmp_path):
    whole, stopped = (train_rivals.Task("fastgrnn", 1, 3, tmp_path / name) for name in ("whole", "stopped"))
    for task in (whole, stopped):
        task.cache.mkdir()
    assert list(whole.train(data)) == [1, 2, 3]
    assert next(stopped.train(data)) == 1 and stopped.record() is None
    assert list(stopped.train(data)) == [2, 3]
    records = [task.record() | {"train_cpu_s": 0} for task in (whole, stopped)]
    assert records[0] == records[1]
    assert records[0]["test_count"] == 90 and records[0]["test_correct"] > 20
    assert [path.suffix for path in stopped.cache.iterdir()] == [".json"]


def test_another_number_of_epochs_is_another_run(tmp_path):
    paths = {train_rivals.Task("fastgrnn", seed, epochs, tmp_path).path for seed in (0, 1) for epochs in (1, 2)}
    assert len(paths) == 4


def test_table_says_how_a_rival_was_trained_or_that_it_was_not():
    runs = [{"test_correct": correct, "test_count": 100} for correct in (90, 92)]
    found = [tables._trained_mark(ROW | {"runs": runs[:count]}) for count in range(3)]
    assert [line[3] for line in found] == ["NOT RUN", "90.00 % as float", "91.00 % ± 1.41 as float"]
    assert found[0][5] == "a paper: python -m tools train_rivals --only fastgrnn"
    assert [line[5] for line in found[1:]] == [f"a paper, trained here: {n}, 2 epochs" for n in ("1 seed", "2 seeds")]
    assert found[2][2] == "4,824 B as int8"


@with_torch
def test_rows_are_those_of_the_networks(networks):
    for row in tables.read_trained():
        network = train_rivals.RIVALS[row["rival"]].make(CLASSES, SHAPE[2])
        assert row["int8_bytes"] == networks.int8_bytes(network)
        assert row["name"] == train_rivals.RIVALS[row["rival"]].title


@with_torch
def test_a_row_is_written_for_what_is_named_and_others_stay(networks, tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "TRAINED", tmp_path / "trained.json")
    monkeypatch.setattr(train_rivals, "replace_block", lambda name, text: (tmp_path / name).write_text(text))
    tables.TRAINED.write_text(json.dumps([ROW | {"runs": []}]))
    train_rivals._write([train_rivals.Task("ds-cnn", 0, 5, tmp_path)])
    rows = {row["rival"]: row for row in tables.read_trained()}
    assert list(rows) == ["ds-cnn", "fastgrnn"] and rows["fastgrnn"] == ROW | {"runs": []}
    assert (rows["ds-cnn"]["epochs"], rows["ds-cnn"]["runs"]) == (5, [])
    assert "NOT RUN" in (tmp_path / tables.BLOCK).read_text()


@with_torch
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--only", "fastgrnn,nope"], "--only 'nope' is unknown; there are ds-cnn, "),
        (["--data-dir", "nowhere"], "commands is not there; name the folder that it is in with --data-dir"),
    ],
)
def test_mistakes_are_refused_before_anything_is_written(networks, monkeypatch, tmp_path, words, message):
    monkeypatch.setattr(tables, "TRAINED", tmp_path / "trained.json")
    monkeypatch.setattr(train_rivals, "CACHE", tmp_path / "cache")
    with pytest.raises(SignbitError, match=message):
        train_rivals.main(words)
    assert not list(tmp_path.iterdir())


def test_missing_torch_names_the_extra(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "tools.zoo.rival_networks", raising=False)
    monkeypatch.delattr(tools.zoo, "rival_networks", raising=False)
    with pytest.raises(SignbitError, match=r"signbit\[torch\]"):
        train_rivals.main([])
    # help needs nothing
    with pytest.raises(SystemExit) as end:
        train_rivals.main(["--help"])
    assert end.value.code == 0 and "ds-cnn-16" in capsys.readouterr().out
