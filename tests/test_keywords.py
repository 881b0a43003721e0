"""tools/demo --keywords: which words a folder is about, what is missing, and the whole way on tones."""

import contextlib
import io
import shutil

import numpy as np
import pytest
from rich.console import Console

from signbit.__main__ import COMMANDS
from signbit.emulate import emulation
from signbit.qmodel.command import run_command, run_named
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.file import load
from tests.test_sound import RATE_HZ, ROWS, save, words  # noqa: F401
from tools.setup import demo, keywords


def step(*arguments):
    """A command of signbit in this process; returns its stdout."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert run_command(lambda given: run_named(COMMANDS, given, "signbit"), list(arguments)) == 0
    return out.getvalue()


@pytest.fixture
def few(words):  # noqa: F811
    """The words, of which there are only seven clips of mid and of odd."""
    for kept, word in enumerate(("mid", "odd")):
        for number, path in enumerate(sorted((words / word).iterdir())):
            if number % 3 != kept:
                path.unlink()
    return words


@pytest.fixture
def quick(monkeypatch):
    for name, value in {
        "MODEL": "logistic",
        "EPOCHS": 8,
        "COPIES": 1,
        "MINUTES": 0.2,
        "FALSE_ALARMS": 500,
        "SPOKEN": 4,
    }.items():
        monkeypatch.setattr(keywords, name, value)


def test_words_with_few_clips_are_unknown_and_speakers_go_by_names(few):
    assert keywords.find_words(few) == keywords.Words(few, ("high", "low"), ("mid", "odd"), 10)
    options = ["--unknown", "mid,odd", "--group-pattern", "^([^_]+)_"]
    assert keywords.find_words(few).options == options
    (few / "train.csv").write_text("file,word\n")
    assert keywords.find_words(few).options == options[:2]
    (few / "high" / "1.wav").write_bytes(b"")
    assert keywords.find_words(few).speakers == 0
    for word in ("mid", "odd"):
        shutil.rmtree(few / word)
    (few / "unknown").mkdir()
    (few / "unknown" / "a_1.wav").write_bytes(b"")
    assert keywords.find_words(few).named == ("high", "low") and keywords.find_words(few).unknown == ()


def test_what_to_record_is_said(words, monkeypatch, tmp_path):  # noqa: F811
    monkeypatch.delenv(keywords.DATA_DIR_VARIABLE, raising=False)
    with pytest.raises(SignbitError, match=r"there are no recordings: record words \(signbit record words --word yes"):
        keywords.find_words(None)
    with pytest.raises(SignbitError, match="nowhere is no folder: record words"):
        keywords.find_words(tmp_path / "nowhere")
    with pytest.raises(SignbitError, match=r"others in a folder unknown: signbit record .*words --word unknown"):
        keywords.find_words(words)
    monkeypatch.setenv(keywords.DATA_DIR_VARIABLE, str(tmp_path))
    words.rename(tmp_path / "commands")
    with pytest.raises(SignbitError, match="commands needs two words or more"):
        keywords.find_words(None)
    with pytest.raises(SignbitError, match="--data and --stream are for --keywords"):
        demo.main(["--data", "x"])


def test_the_whole_way_from_tones_to_an_emulated_board(few, quick, tmp_path, monkeypatch):
    text, screen = io.StringIO(), lambda: Console(file=text, width=80)
    # first without a board, in a sound of the user's; then what there is hears words that were never trained on
    save(tmp_path / "mine.wav", np.zeros(3 * ROWS))
    with monkeypatch.context() as without_qemu:
        without_qemu.setattr(keywords.emulation, "missing", lambda cores: "qemu-system-arm is missing")
        assert keywords.run(few, tmp_path / "mine.wav", tmp_path / "out", screen(), step) == 0
    assert "emulated board: NOT RUN, qemu-system-arm is missing; this is what Python hears" in text.getvalue()
    assert f"mine.wav, {3 * ROWS / RATE_HZ:.1f} s\n" in text.getvalue() and ", 0 not Python's" in text.getvalue()
    if reason := emulation.missing([keywords.CORE]):
        pytest.skip(reason)
    path = tmp_path / "out" / "words.npz"
    model, words_file = load(path), tmp_path / "out" / "words.wav"
    sound = keywords._spoken(model, keywords.find_words(few), words_file)
    assert [label for _, label in sound.words].count(0) == 2 and words_file.stat().st_size == 44 + 2 * len(sound.rows)
    text.seek(0)
    text.truncate()
    assert keywords._hear(screen(), path, model, sound, "words.wav")
    assert "logits and all words: all as in Python" in text.getvalue() and " of 4 words were heard" in text.getvalue()
    assert "Cortex-M4, emulated by QEMU, hears through its UART" in text.getvalue()
    assert max(map(len, text.getvalue().splitlines())) <= 80
