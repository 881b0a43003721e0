"""The models that come with signbit, by name, wherever a command reads a model."""

import json
from argparse import ArgumentTypeError
from pathlib import Path

import pytest

from signbit.__main__ import COMMANDS
from signbit.codegen.plan import make_plan
from signbit.device import ports
from signbit.places import MODELS
from signbit.qmodel import shipped
from signbit.qmodel.command import run_command, run_named
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.file import load

ROWS = shipped.shipped()


def signbit(*arguments):
    return run_command(lambda words: run_named(COMMANDS, words, "signbit"), list(arguments))


def test_every_model_file_is_listed(capsys):
    assert sorted(row["path"] for row in ROWS) == sorted(MODELS.glob("*.npz"))
    assert signbit("models") == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[2:] if line] == [
        row["name"] for row in ROWS
    ]


@pytest.mark.parametrize("row", [row for row in ROWS if row["macs"] < 2_900_000], ids=lambda row: row["name"])
def test_what_is_listed_is_what_the_file_says(row):
    model = load(shipped.model_path(row["name"]))
    scores = model.provenance["accuracy"]["test"]
    assert (row["hash"], row["macs"]) == (model.hash, make_plan(model).macs)
    assert row["test_accuracy"] == pytest.approx(scores["integer_correct"] / scores["count"], abs=1e-6)


def test_one_model_is_told_whole(capsys):
    assert signbit("models", "mnist-1k") == 0
    said = capsys.readouterr().out
    assert (
        "98.81 % ± 0.10 (shipped 98.87) on the test part" in said
        and "conv5x5s2:10" in said
        and str(MODELS / "mnist-1k.npz") in said
    )
    assert signbit("models", "mnist-1k", "--json") == 0
    assert json.loads(capsys.readouterr().out)["name"] == "mnist-1k"
    assert signbit("models", "mnist-9k") == 2
    assert "there are digits-mlp" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["inspect"],
        ["verify"],
        ["export", "-o", "out.h"],
        ["package", "--format", "cmake"],
        ["evaluate"],
        ["firmware", "init", "board", "--model"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_command_reads_a_model_by_its_name(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert signbit(*arguments, "digits-mlp") == 0
    assert signbit(*arguments, "digits-pml") == 2
    said = capsys.readouterr().err
    assert "there is no file 'digits-pml', and no model of this name (signbit models lists them)" in said


def test_a_port_takes_a_name_too(monkeypatch):
    monkeypatch.setattr(ports, "missing", lambda: None)
    assert ports._emulated("qemu:m3:mnist-1k")[1] == MODELS / "mnist-1k.npz"
    with pytest.raises(SignbitError, match="no model of this name"):
        ports._emulated("qemu:m3:mnist-9k")


def test_a_file_goes_before_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mnist-1k").write_bytes(b"mine")
    assert shipped.model_path("mnist-1k").read_bytes() == b"mine"


@pytest.mark.parametrize("text", ["./digits-mlp", "models/digits-mlp", "digits-mlp.npz"])
def test_a_path_is_no_name(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert shipped.model_path(text) == Path(text)


def test_an_option_s_value_is_refused_in_words():
    with pytest.raises(ArgumentTypeError, match="there is no file"):
        shipped.model_argument("nothing")
