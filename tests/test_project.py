"""`signbit firmware init`: a project of one's own, whole or not at all."""

import pytest

from signbit.commands import firmware
from signbit.emulate import pio
from signbit.places import FIRMWARE, MODELS
from signbit.qmodel.atomic import write_folder
from signbit.qmodel.command import run_command
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.file import load


def init(*arguments):
    return run_command(lambda words: firmware.init(words, "signbit firmware init"), [str(word) for word in arguments])


def files(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("is_there", [False, True], ids=["new", "empty"])
def test_the_project_is_the_checkout_s_with_another_model(is_there, tmp_path, capsys):
    folder = tmp_path / "board"
    if is_there:
        folder.mkdir()
    assert init(folder, "--model", "mnist-1k") == 0
    said = capsys.readouterr().out
    assert "PlatformIO project with model mnist-1k (5e6faff6)" in said
    (boards,) = [line for line in said.splitlines() if line.startswith("boards: ")]
    assert boards.count(",") + 1 == len(set(FIRMWARE.glob("boards/*.ini")) - set(FIRMWARE.glob("boards/qemu_*.ini")))
    assert load(folder / "model.npz").hash == load(MODELS / "mnist-1k.npz").hash
    checkout = {path for path in files(FIRMWARE) if not path.startswith(".pio/") and "__pycache__" not in path}
    assert files(folder) == checkout - {"README.md"} | {"model.npz", ".gitignore"}
    changed = {
        path for path in checkout - {"README.md"} if (folder / path).read_bytes() != (FIRMWARE / path).read_bytes()
    }
    assert changed == {"platformio.ini"}
    assert [path.name for path in tmp_path.iterdir()] == ["board"]


def test_a_folder_with_something_in_it_is_left_alone(tmp_path, capsys):
    (tmp_path / "mine").write_text("mine")
    assert init(tmp_path) == 2
    assert "not an empty folder" in capsys.readouterr().err
    assert init(tmp_path / "mine") == 2
    assert files(tmp_path) == {"mine"}


def test_a_bad_model_leaves_no_project(tmp_path, capsys):
    (tmp_path / "bad.npz").write_bytes(b"PK no archive")
    assert init(tmp_path / "board", "--model", tmp_path / "bad.npz") == 2
    assert "not a signbit model file" in capsys.readouterr().err
    assert init(tmp_path / "no" / "board") == 2
    assert capsys.readouterr().err == f"error: {tmp_path / 'no' / 'board'}: No such file or directory\n"
    assert files(tmp_path) == {"bad.npz"}


@pytest.mark.parametrize("is_there", [False, True], ids=["new", "empty"])
def test_a_folder_is_written_whole_or_not_at_all(is_there, tmp_path):
    folder = tmp_path / "folder"
    if is_there:
        folder.mkdir()
    with pytest.raises(TypeError):
        write_folder(folder, {"a/b": b"1", "c": None})
    assert list(tmp_path.rglob("*")) == ([folder] if is_there else [])
    write_folder(folder, {"a/b": b"1", "c": b"2"})
    assert {path: (folder / path).read_bytes() for path in files(folder)} == {"a/b": b"1", "c": b"2"}
    with pytest.raises(SignbitError, match="is there already"):
        write_folder(folder, {"d": b""})


def test_platformio_works_in_the_project_one_stands_in(tmp_path, monkeypatch, capfd):
    if pio.missing():
        pytest.skip(pio.missing())
    (tmp_path / "platformio.ini").write_text("[env:mine]\nplatform = native\n")
    monkeypatch.chdir(tmp_path)
    assert pio.main(["project", "config"]) == 0
    assert "env:mine" in capfd.readouterr().out


def test_an_installed_package_has_no_project_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pio, "IS_CHECKOUT", False)
    with pytest.raises(SignbitError, match="signbit firmware init DIR makes a project"):
        pio.main(["run"])
