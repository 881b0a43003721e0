"""Long sounds: composed ones, what counts as found and as a false alarm, how a decision is chosen, the commands."""

import dataclasses
import json
from math import exp

import numpy as np
import pytest

from signbit.qmodel import file
from signbit.qmodel.data import own
from signbit.qmodel.data.readers.loading import LoadingOptions
from signbit.qmodel.decision import SURE, Decision
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.front_end import make
from signbit.trainer.learning import streams
from signbit.trainer.learning.streams import Heard, Sound
from tests.test_sound import RATE_HZ, ROWS, UNKNOWN, save, words  # noqa: F401
from tools.networks.random import FRONT_ENDS, front_end_model


@pytest.fixture
def trained(words, trainer, tmp_path):  # noqa: F811
    out = tmp_path / "words.npz"
    options = ("--data", words, *UNKNOWN, "--model", "logistic", "--epochs", "8", "--quiet", "--augment", "sound")
    assert trainer(*options, "--out", out)[0] == 0
    return out


def data_of(folder):
    data = own.load_own(folder, LoadingOptions(unknown=("mid", "odd"), group_pattern="^p([0-9]+)"))
    return data.with_front_end(make("logmel", data.input_shape, data.rate_hz))


def test_composed_sounds_hold_each_command_once_or_minutes_of_other_words(words):  # noqa: F811
    data = data_of(words)
    commands, others = (streams.compose(data, data.test, data.noise[2], 0.5, flag) for flag in (True, False))
    names = [data.labels[label] for _, label in commands.words]
    assert sorted(names) == ["high"] * 4 + ["low"] * 4 and others.words == ()
    assert 0.5 <= 60 * others.hours < 1 and len(others.rows) == round(others.hours * 3600 * RATE_HZ)
    starts = np.array([start for start, _ in commands.words])
    assert (np.diff(starts) >= ROWS + ROWS // 2).all() and (np.diff(starts) < 2 * ROWS + ROWS // 2).all()
    # a tone is far above the noise that is 20 dB below it, and between the words there is only that
    loud = np.abs(commands.rows[starts[0] : starts[0] + ROWS].astype(float)).mean()
    assert 5 < loud / np.abs(commands.rows[: starts[0]].astype(float)).mean() < 15
    assert np.array_equal(streams.compose(data, data.test, data.noise[2], 0.5, True).rows, commands.rows)
    plain = dataclasses.replace(data, labels=("high", "low", "other", "silence"))
    with pytest.raises(SignbitError, match="words has no words of a class unknown to make a stream of"):
        streams.compose(plain, data.test, None, 1, False)


def test_found_words_and_false_alarms_by_hand():
    """A window has 1600 rows here: a word is found until 2400 rows after its start, and once."""
    model = front_end_model(0, *FRONT_ENDS[0])
    window = model.front_end.rows
    late = window + window // 2
    decision = Decision(1, 1, 0, np.array([SURE // 2] * 3, np.uint32))
    sound = Sound(np.zeros((20 * window, 1), np.int16), ((0, 0), (4 * window, 1), (8 * window, 1)), 0.5)

    def heard(*named):
        logits = np.array([[(index == label) << 20 for index in range(3)] for _, label in named], np.int32)
        return streams.hear(model, decision, sound, np.array([row for row, _ in named]), logits)

    assert heard((10, 0), (4 * window + late, 1), (8 * window + 1, 1)) == Heard(3, 3, 0, 0.5)
    assert heard((late + 1, 0)) == Heard(3, 0, 1, 0.5)
    assert heard((10, 0), (20, 0), (30, 2)) == Heard(3, 1, 2, 0.5)
    assert heard((4 * window - 1, 1)) == Heard(3, 0, 1, 0.5)


def test_upper_bound_is_that_of_a_poisson_process():
    assert Heard(0, 0, 0, 1.0).false_alarms_most == pytest.approx(2.9957, abs=1e-3)
    most = Heard(0, 0, 2, 1.0).false_alarms_most
    assert exp(-most) * (1 + most + most**2 / 2) == pytest.approx(0.05, abs=1e-6)


def test_answers_are_those_of_whole_windows():
    """Also across the pieces in which a long sound is computed."""
    model = front_end_model(0, *FRONT_ENDS[0])
    front_end = model.front_end
    rng = np.random.default_rng(0)
    rows = rng.integers(-3000, 3000, (front_end.hop * 2100, front_end.channels)).astype(np.int16)
    logits, until = streams.answers(model, Sound(rows, (), 1.0), 7)
    window = (front_end.frames - 1) * front_end.hop + front_end.frame
    # an answer comes at the end of the hop in which its last frame ends
    late = -front_end.frame % front_end.hop
    for number in (0, 1, 140, 142, 143, 200, len(logits) - 1):
        end = until[number] - late
        whole = np.zeros((1, front_end.rows, 1, front_end.channels), np.int16)
        whole[0, :window, 0] = rows[end - window : end]
        assert np.array_equal(model.run(model.inputs_from(whole))[0], logits[number])
    assert len(streams.answers(model, Sound(rows[:100], (), 1.0), 7)[0]) == 0


def test_decide_chooses_writes_and_evaluate_counts(trained, words, trainer, tmp_path):  # noqa: F811
    out = tmp_path / "decided.npz"
    code, text, _ = trainer("decide", trained, "--data", words, "--minutes", "0.2")
    assert code == 0 and "nothing is saved; choose a rate with --false-alarms and --out" in text
    code, text, _ = trainer(
        "decide", trained, "--data", words, "--minutes", "0.2", "--false-alarms", "500", "-o", out, "--json"
    )
    assert code == 0
    (choice,) = json.loads(text)["choices"]
    model = file.load(out)
    assert model.decision.settings() == {key: choice[key] for key in ("kind", "hops", "answers", "dead_time")}
    assert model.decision.thresholds[2:].tolist() == [SURE * choice["answers"] + 1] * 2
    assert model.provenance["decision"]["validation"]["words"] == choice["words"] == 4
    assert choice["false_alarms_an_hour"] <= 500 and choice["found"] >= 3
    values = json.loads(trainer("evaluate", out, "--data", words, "--stream", "--minutes", "0.2", "--json")[1])[
        "sounds"
    ]
    assert values["commands"]["words"] == 8 and values["commands"]["found"] >= 6 and values["other words"]["words"] == 0
    shown = trainer("evaluate", out, "--data", words, "--stream", "--minutes", "0.2")[1]
    assert "false rejects" in shown and "other words" in shown


def test_recordings_with_words_beside_them(trained, words, trainer, tmp_path):  # noqa: F811
    out, long = tmp_path / "decided.npz", tmp_path / "long"
    trainer("decide", trained, "--data", words, "--minutes", "0.2", "--false-alarms", "500", "-o", out)
    data = data_of(words)
    sound = streams.compose(data, data.test, data.noise[2], 1, True)
    save(long / "a.wav", sound.rows[:, 0])
    save(long / "b.wav", sound.rows[:, 0])
    lines = [f"{start / RATE_HZ:.4f},{data.labels[label]}\n" for start, label in sound.words]
    (long / "a.csv").write_text("second,word\n" + "".join(lines) + "1.0,cough\n")
    found = json.loads(trainer("evaluate", out, "--stream", long, "--json")[1])["sounds"]
    assert found["a.wav"]["found"] >= 6 and found["b.wav"]["words"] == 0
    assert found["b.wav"]["false_alarms"] == found["a.wav"]["found"] + found["a.wav"]["false_alarms"]
    one = json.loads(trainer("evaluate", out, "--stream", long / "a.wav", "--json")[1])["sounds"]
    assert one == {"a.wav": found["a.wav"]}
    (long / "a.csv").write_text("second,word\nlater,high\n")
    assert "a.csv, row 2: must have the second of a word" in trainer("evaluate", out, "--stream", long)[2]
    (long / "a.csv").write_text("second,word\n1,high\n999,low\n")
    assert "a.csv, row 3: the sound ends before 999 s" in trainer("evaluate", out, "--stream", long)[2]
    for rows in (0, 100):
        save(long / "a.wav", sound.rows[:rows, 0])
        assert "a.wav: has 0.0" in trainer("evaluate", out, "--stream", long)[2]
    (tmp_path / "none").mkdir()
    assert "none: has no sound files" in trainer("evaluate", out, "--stream", tmp_path / "none")[2]


def test_what_can_not_be_decided_is_refused_in_one_line(trained, words, trainer, tmp_path):  # noqa: F811
    for arguments, expected in (
        (("decide", trained, "--data", words, "-o", tmp_path / "x.npz"), "--out needs a rate"),
        (("decide", "digits-mlp", "--data", "digits"), "takes no stream of samples"),
        (("evaluate", trained, "--data", words, "--minutes", "5"), "--minutes is the length of composed sounds"),
        (("evaluate", trained, "--data", words, "--stream"), "words has no decision; choose one with: signbit decide"),
    ):
        code, _, err = trainer(*arguments)
        assert code == 2 and expected in err and err.count("\n") == 1
