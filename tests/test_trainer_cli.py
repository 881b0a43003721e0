"""The command line of the trainer."""

import contextlib
import json
import os
import pty
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from signbit.qmodel.file import load
from signbit.trainer.learning.settings import Settings

SHORT = ("--epochs", "2", "--quiet")


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
    assert words[:2] == ["signbit", "train"] and words[-2:] == ["--out", "first.npz"]
    again = tmp_path / "again" / "first.npz"
    again.parent.mkdir()
    assert trainer(*words[1:-1], again, "--quiet")[0] == 0
    assert again.read_bytes() == out.read_bytes()
    assert provenance["data"]["train"] == 1257 and len(provenance["data"]["hash"]) == 64
    assert set(provenance["settings"]) == set(Settings.declared())


def test_provenance_of_a_convolutional_network(trainer, tmp_path):
    out = tmp_path / "first.npz"
    trainer(*SHORT, "--out", out, "--model", "conv3x3:4 pool2 sign, dense", "--label-smoothing", "0.1")
    provenance = load(out).provenance
    words = shlex.split(provenance["command"])
    again = tmp_path / "again" / "first.npz"
    again.parent.mkdir()
    assert trainer(*words[1:-1], again, "--quiet")[0] == 0
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
    "hidden too large": (["--hidden", "60000,60000"], "too many weights or outputs for a model"),
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
    "model does not fit a run": (["--model", "conv9x9:3, dense", "--run", "run"], "larger"),
    "missing toml": (["--model", "no-such.toml"], "no-such.toml"),
    "augmentation of nothing": (["--augment", "wobble"], "--augment"),
    "frozen from the start": (["--epochs", "3", "--frozen-epochs", "3"], "--frozen-epochs"),
    "frozen floats": (["--binarize", "none", "--frozen-epochs", "1"], "--frozen-epochs"),
    "mild from the start": (["--model", "tiny", "--epochs", "3", "--mild-epochs", "3"], "--mild-epochs"),
    "mild without augmentation": (["--mild-epochs", "1"], "--mild-epochs"),
    "negative noise": (["--input-noise", "-1"], "--input-noise"),
    "fold of nothing": (["--fold", "7"], "--fold"),
    "run folder in no folder": (["--run", "no/such/folder"], "no/such"),
    "resume nothing": (["--resume", "nothing"], "--resume"),
    "all dropped": (["--dropout", "1"], "--dropout"),
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
    monkeypatch.setattr("signbit.trainer.learning.run.Training", lambda *arguments: pytest.fail("training began"))
    arguments, said = BAD[case]
    code, out, err = trainer(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ") and err.count("\n") == 1 and said in err
    assert list(tmp_path.iterdir()) == []


def test_read_only_folder_is_found_before_training(trainer, tmp_path, monkeypatch):
    monkeypatch.setattr("signbit.trainer.learning.run.Training", lambda *arguments: pytest.fail("training began"))
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
    assert err.startswith("error: /dev/full: No space") and err.count("\n") == 1


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
