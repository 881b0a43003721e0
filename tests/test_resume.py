"""A run that was stopped goes on as if it had not been: the same model, bit for bit."""

import errno
import json
import signal
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signbit.qmodel import archive
from signbit.qmodel.data.readers.loading import LoadingOptions
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.file import load, to_bytes
from signbit.trainer.command import keeper
from signbit.trainer.learning import checkpoint
from signbit.trainer.learning.checkpoint import Checkpoint, Task
from signbit.trainer.learning.optim import Adam
from signbit.trainer.learning.run import run
from signbit.trainer.learning.settings import default_settings
from tools.prove import sigkill

CASES = {
    "mlp": {"epochs": 4},
    "frozen integers": {"epochs": 5, "frozen_epochs": 2},
    "convolutions, augmented": {
        "model": "conv3x3:6 pool2, conv2x2:8 sign, dense",
        "epochs": 3,
        "frozen_epochs": 1,
        "mild_epochs": 2,
        "flip": "both",
        "input_noise": 9.0,
    },
    "residual": {"model": "conv3x3pad:6, conv3x3pad:6, add(-2), conv3x3:6, dense", "epochs": 3, "frozen_epochs": 1},
    "average pool": {"model": "conv3x3:6, avgpool2, dense", "epochs": 2},
    "stochastic, dropout": {"binarize": "stochastic", "dropout": 0.2, "epochs": 3},
    "ternary, sgd": {"model": "dense:16 ternary, dense", "optimizer": "sgd", "lr": 0.3, "epochs": 3},
}


class Stop(Exception):
    pass


def task_of(settings, data):
    return Task(settings, "digits", "m.npz", None, "digits", None, data.hash, LoadingOptions())


def stopped(settings, data, path, after, start=None):
    """Run until `between` was called `after` times, save there, and stop; the model if it came to its end first."""
    calls = 0

    def between(training):
        nonlocal calls
        calls += 1
        if calls == after:
            checkpoint.save(path, task_of(settings, data), training)
            raise Stop

    try:
        return run(settings, data, out_name="m.npz", between=between, checkpoint=start).model
    except Stop:
        return None


@pytest.fixture(scope="module")
def unbroken(digits):
    return {
        name: to_bytes(run(default_settings(**case), digits, out_name="m.npz").model) for name, case in CASES.items()
    }


@pytest.mark.parametrize("name", CASES)
@given(data=st.data())
@settings(max_examples=6)
def test_the_same_model_wherever_it_stopped(digits, unbroken, tmp_path_factory, name, data):
    """Stopped up to three times, after any block of any epoch."""
    path = tmp_path_factory.mktemp("run") / "checkpoint.npz"
    chosen, model, start = default_settings(**CASES[name]), None, None
    for _ in range(data.draw(st.integers(1, 3))):
        model = stopped(chosen, digits, path, data.draw(st.integers(1, 40)), start)
        if model is not None:
            break
        start = Checkpoint(path)
    if model is None:
        model = run(chosen, digits, out_name="m.npz", checkpoint=start).model
    assert to_bytes(model) == unbroken[name]


def test_a_run_that_goes_on_without_the_optimizers_means_is_another(digits, unbroken, tmp_path, monkeypatch):
    """The comparison above can fail: with one part of the state left out, it does."""
    path = tmp_path / "checkpoint.npz"
    chosen = default_settings(**CASES["mlp"])
    stopped(chosen, digits, path, 30)
    monkeypatch.setattr(Adam, "arrays", property(lambda self: [self.decay]))
    assert to_bytes(run(chosen, digits, out_name="m.npz", checkpoint=Checkpoint(path)).model) != unbroken["mlp"]


def test_history_goes_on(digits, tmp_path):
    path = tmp_path / "checkpoint.npz"
    chosen = default_settings(**CASES["mlp"])
    stopped(chosen, digits, path, 30)
    whole, resumed = run(chosen, digits), run(chosen, digits, checkpoint=Checkpoint(path))
    for one, other in zip(whole.history.epochs, resumed.history.epochs, strict=True):
        assert {**vars(one), "seconds": 0} == {**vars(other), "seconds": 0}
    assert resumed.history.epochs[-1].seconds > resumed.history.epochs[0].seconds > 0


# --- files that can't be trusted


@pytest.fixture
def saved(digits, tmp_path):
    path = tmp_path / "checkpoint.npz"
    stopped(default_settings(**CASES["mlp"]), digits, path, 5)
    return path


def rewritten(path, change):
    with np.load(path) as content:
        arrays = dict(content)
    header = json.loads(bytes(arrays.pop("header")))
    change(header, arrays)
    path.write_bytes(archive.pack(header, arrays))


DAMAGES = {
    "no position": (lambda header, arrays: header.pop("position"), "position"),
    "another format": (lambda header, arrays: header.update(format="x"), "not a signbit checkpoint"),
    "another version": (lambda header, arrays: header.update(version=99), "version 99"),
    "another signbit": (lambda header, arrays: header.update(signbit="9.9"), "signbit 9.9"),
    "no task": (lambda header, arrays: header.update(task=None), "damaged"),
    "odd settings": (lambda header, arrays: header["task"]["settings"].update(colour="red"), "damaged"),
    "odd generator": (lambda header, arrays: header.update(rng={}), "damaged"),
    "an array of another shape": (lambda header, arrays: arrays.update(network0=arrays["network0"][:-1]), "network0"),
    "an array is missing": (lambda header, arrays: arrays.pop("optimizer1"), "optimizer1"),
    "too many grids": (lambda header, arrays: header["grids"].append(1), "damaged"),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_a_damaged_checkpoint_is_refused_in_one_line(digits, saved, case):
    damage, said = DAMAGES[case]
    rewritten(saved, damage)
    with pytest.raises(SignbitError) as caught:
        run(default_settings(**CASES["mlp"]), digits, checkpoint=Checkpoint(saved))
    assert str(caught.value).startswith(str(saved)) and said in str(caught.value) and "\n" not in str(caught.value)


def test_what_is_no_archive_is_refused(tmp_path):
    path = tmp_path / "checkpoint.npz"
    path.write_bytes(b"PK nonsense")
    with pytest.raises(SignbitError, match="not a signbit checkpoint"):
        Checkpoint(path)


# --- the command


LONG = ("--model", "conv3x3pad:16, conv3x3:16 pool2, dense", "--epochs", "30")


def start_process(repository, *arguments):
    command = [sys.executable, "-m", "trainer", *map(str, arguments)]
    return subprocess.Popen(command, cwd=repository, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)


def wait_for_epoch(process):
    """Until training is under way."""
    assert process.stderr.readline().startswith("epoch")


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_saves_and_resume_gives_the_unbroken_model(repository, trainer, tmp_path, stop):
    out, unbroken = tmp_path / "m.npz", tmp_path / "unbroken" / "m.npz"
    unbroken.parent.mkdir()
    assert trainer(*LONG, "--quiet", "--out", unbroken)[0] == 0
    process = start_process(repository, *LONG, "--out", out)
    wait_for_epoch(process)
    process.send_signal(stop)
    said = process.communicate()[1]
    assert process.returncode == 128 + stop
    assert f"go on with: python -m trainer --resume {out}.checkpoint" in said
    assert [path.name for path in tmp_path.glob("m*")] == ["m.npz.checkpoint"]
    code, _, err = trainer(*LONG, "--out", out)
    assert code == 2 and "--resume" in err and err.count("\n") == 1
    assert trainer("--resume", f"{out}.checkpoint", "--quiet")[0] == 0
    assert out.read_bytes() == unbroken.read_bytes()
    assert [path.name for path in tmp_path.glob("m*")] == ["m.npz"]


def test_a_run_folder_through_stop_and_resume(repository, trainer, tmp_path):
    folder = tmp_path / "run"
    process = start_process(repository, *LONG, "--run", folder)
    wait_for_epoch(process)
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert {path.name for path in folder.iterdir()} == {"settings.json", "metrics.csv", "checkpoint.npz"}
    code, _, err = trainer(*LONG, "--run", folder)
    assert code == 2 and f"--resume {folder}" in err
    code, text, _ = trainer("--resume", folder, "--json", "--quiet")
    assert code == 0 and json.loads(text)["model"]["hash"] == load(folder / "model.npz").hash
    assert len((folder / "metrics.csv").read_text().splitlines()) == 31
    assert json.loads((folder / "result.json").read_text())["labels"] == list("0123456789")
    assert not (folder / "checkpoint.npz").exists()
    code, _, err = trainer("--resume", folder)
    assert code == 2 and "model.npz" in err and err.count("\n") == 1


def test_a_run_that_fails_by_itself_ends_the_proof(monkeypatch):
    monkeypatch.setattr(sigkill, "TRAIN", ["--model", "no-such-model"])
    with pytest.raises(SignbitError, match="exit code 2 though nobody killed it"):
        sigkill.run(0, 1)


def test_a_run_folder_can_be_moved_and_its_disk_be_full(trainer, tmp_path, monkeypatch, saved):
    """A checkpoint that can't be written ends no run; a stopped run goes on in whatever folder it is now."""
    monkeypatch.setattr(keeper, "SAVE_EVERY_S", 0)

    def full(path, data):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(checkpoint, "write_whole", full)
    code, _, err = trainer("--epochs", "2", "--quiet", "--out", tmp_path / "m.npz")
    assert code == 0 and (tmp_path / "m.npz").exists()
    assert err.count("No space left on device; training goes on without") == 1
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    saved.rename(moved / "n.npz.checkpoint")
    assert trainer("--resume", moved / "n.npz.checkpoint", "--quiet")[0] == 0
    assert [path.name for path in moved.iterdir()] == ["n.npz"]


def test_resume_takes_no_settings_and_needs_its_data(trainer, tmp_path, parts, saved):
    assert "--lr" in trainer("--resume", saved, "--lr", "0.1")[2]
    other = parts("a,b,kind\n" + "".join(f"{n},{n % 7},{'xy'[n % 2]}\n" for n in range(40)))
    code, _, err = trainer("--resume", saved, "--data", other)
    assert code == 2 and "--data" in err
    assert trainer("--resume", tmp_path / "nothing")[0] == 2


def test_without_a_place_a_stopped_run_says_so(repository):
    process = start_process(repository, *LONG)
    wait_for_epoch(process)
    process.send_signal(signal.SIGINT)
    assert "nothing is saved" in process.communicate()[1]
    assert process.returncode == 130
