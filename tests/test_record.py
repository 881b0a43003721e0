"""`signbit record` with a microphone that is made up: good and bad takes, numbers, what is missing."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from signbit.__main__ import COMMANDS
from signbit.commands import record
from signbit.commands.takes import judge
from signbit.qmodel.command import run_command, run_named
from signbit.qmodel.data import own
from signbit.qmodel.data.readers.loading import LoadingOptions
from signbit.qmodel.data.readers.sound_file import read_sound

RATE_HZ = 16_000
NOISE = np.random.default_rng(0).normal(0, 20, 2 * RATE_HZ).astype(np.int16)


def take(start_s=0.7, end_s=1.3, size=6000):
    """Two seconds of noise with a tone in it."""
    samples, time = NOISE.copy(), np.arange(2 * RATE_HZ)
    is_tone = (time >= start_s * RATE_HZ) & (time < end_s * RATE_HZ)
    return samples + (is_tone * size * np.sin(0.2 * time)).astype(np.int16)


GOOD, SILENT, EARLY, LONG = take(), NOISE, take(0, 0.4), take(0.3, 1.7)
CLIPPED = np.clip(take(size=30_000).astype(int) * 4, -32768, 32767).astype(np.int16)
FAULTS = ((SILENT, "nothing was heard"), (EARLY, "cut off"), (LONG, "longer than a clip"), (CLIPPED, "too loud"))


class PortAudioError(Exception):
    pass


@pytest.fixture
def microphone(monkeypatch):
    """A list of takes, which the microphone gives one after the other."""
    takes, opened = [], []

    class InputStream:
        read_available = 7

        def __init__(self, **settings):
            opened.append(settings)
            if settings["device"] == "none":
                raise PortAudioError("Error opening InputStream:\n Invalid device [PaErrorCode -9996]")

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.left = None

        def read(self, count):
            if count == self.read_available:
                self.left = takes.pop(0)
                return NOISE[:7, None], False
            block, self.left = self.left[:count], self.left[count:]
            return block[:, None], False

    devices = [{"name": "speaker", "max_input_channels": 0}, {"name": "mic\x1b[2J", "max_input_channels": 2}]
    fake = SimpleNamespace(InputStream=InputStream, PortAudioError=PortAudioError, query_devices=lambda: devices)
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    monkeypatch.setattr(record.time, "sleep", lambda seconds: None)
    return SimpleNamespace(takes=takes, opened=opened)


def run(capsys, *words):
    code = run_command(lambda arguments: run_named(COMMANDS, arguments, "signbit"), ["record", *map(str, words)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_the_word_is_in_the_middle_of_its_clip():
    for start, end in ((0.7, 1.3), (0.1, 0.5), (1.5, 1.9)):
        clip = judge(take(start, end), RATE_HZ, RATE_HZ).clip
        assert len(clip) == RATE_HZ
        loud = np.flatnonzero(np.abs(clip) > 1000)
        assert abs((loud[-1] - loud[0]) / RATE_HZ - (end - start)) < 0.02
        if 0.5 < (start + end) / 2 < 1.5:
            assert abs(loud.mean() - RATE_HZ / 2) < 0.02 * RATE_HZ


@pytest.mark.parametrize(("samples", "words"), FAULTS, ids=[words for _, words in FAULTS])
def test_a_bad_take_says_what_is_wrong(samples, words):
    found = judge(samples, RATE_HZ, RATE_HZ)
    assert found.clip is None and words in found.fault


def test_bad_takes_are_repeated_and_numbers_go_on(microphone, capsys, tmp_path):
    microphone.takes += [GOOD, SILENT, CLIPPED, EARLY, LONG, GOOD, GOOD]
    code, out, err = run(capsys, tmp_path / "words", "--word", "yes", "--count", 3)
    assert (code, err) == (0, "") and out.count("again:") == 4
    files = sorted(path.name for path in (tmp_path / "words" / "yes").iterdir())
    assert files == ["001.wav", "002.wav", "003.wav"]
    samples, _, rate_hz = read_sound(tmp_path / "words" / "yes" / "002.wav")
    assert rate_hz == RATE_HZ and np.array_equal(samples[:, 0], judge(GOOD, RATE_HZ, RATE_HZ).clip)
    assert microphone.opened == [{"samplerate": RATE_HZ, "channels": 1, "dtype": "int16", "device": None}]
    (tmp_path / "words" / "yes" / "002.wav").unlink()
    before = (tmp_path / "words" / "yes" / "003.wav").read_bytes()
    (tmp_path / "words" / "yes" / "017.flac").write_bytes(b"")
    microphone.takes += [GOOD] * 2
    assert run(capsys, tmp_path / "words", "--word", "yes", "--count", 1)[0] == 0
    assert run(capsys, tmp_path / "words", "--word", "yes", "--count", 1, "--speaker", "ana", "--device", "1")[0] == 0
    files = sorted(path.name for path in (tmp_path / "words" / "yes").iterdir())
    assert files == ["001.wav", "003.wav", "017.flac", "018.wav", "ana_001.wav"]
    assert (tmp_path / "words" / "yes" / "003.wav").read_bytes() == before and microphone.opened[-1]["device"] == 1


def test_noise_is_kept_as_it_is_and_the_folder_trains(microphone, capsys, tmp_path):
    microphone.takes.append(np.tile(NOISE, 10))
    code, out, _ = run(capsys, tmp_path, "--word", "background_noise", "--count", 1, "--seconds", 20)
    assert code == 0 and f"signbit look {tmp_path}" in out
    assert np.array_equal(read_sound(tmp_path / "background_noise" / "001.wav")[0][:, 0], np.tile(NOISE, 10))
    for word in ("yes", "no"):
        microphone.takes += [GOOD] * 10
        assert run(capsys, tmp_path, "--word", word, "--count", 10)[0] == 0
    data = own.load_own(tmp_path, LoadingOptions())
    assert data.labels == ("no", "yes", "silence") and data.input_shape == (RATE_HZ, 1, 1)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["DIR", "--word", "../up"], "must be letters, digits"),
        (["DIR", "--word", "yes", "--speaker", "a_b"], "must be letters and digits"),
        (["DIR"], "what to record where is missing: signbit record DIR --word yes"),
        (
            ["DIR", "--word", "yes", "--device", "none"],
            "no microphone for 16000 Hz: Error opening InputStream: Invalid",
        ),
    ],
)
def test_what_can_not_be_recorded_is_one_line(microphone, capsys, tmp_path, words, expected):
    code, out, err = run(capsys, *(tmp_path / "words" if word == "DIR" else word for word in words))
    assert (code, out) == (2, "") and expected in err and err.count("\n") == 1
    assert not (tmp_path / "words").exists()


def test_a_silent_microphone_ends_it(microphone, capsys, tmp_path):
    microphone.takes += [GOOD] + [SILENT] * 5
    code, _, err = run(capsys, tmp_path, "--word", "yes")
    assert code == 2 and err.startswith("error: 5 takes in a row were no good (nothing was heard")
    assert "clips kept: 1" in err and [path.name for path in (tmp_path / "yes").iterdir()] == ["001.wav"]


def test_microphones_are_listed(microphone, capsys):
    assert run(capsys, "--list") == (0, "  1  mic?[2J\n", "")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import nothing_of_that_name", "recording needs sounddevice; install it with: pip install 'signbit[record]'"),
        ("raise OSError('PortAudio library not found')", "recording needs PortAudio; on Debian or Ubuntu: apt install"),
    ],
)
def test_what_is_missing_is_named(capsys, monkeypatch, tmp_path, code, expected):
    (tmp_path / "sounddevice.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    code, _, err = run(capsys, tmp_path / "words", "--word", "yes")
    assert code == 2 and expected in err and err.count("\n") == 1 and not (tmp_path / "words").exists()


def test_the_meter_fills_with_loudness():
    bars = [record.meter(loudness).count("#") for loudness in (0, 33, 1000, 32768, 40000)]
    assert bars == sorted(bars) and bars[0] == 0 and bars[-1] == record.METER and len(record.meter(500)) == record.METER
