"""A device that listens: samples hop by hop, words, lost and repeated requests, a sensor of its own; and QEMU."""

import contextlib
import ctypes
import dataclasses
import json
import struct
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signbit.codegen.verify import edge_samples
from signbit.console import console
from signbit.device import command as device
from signbit.emulate import command as emulate_command
from signbit.emulate import emulation
from signbit.emulate.streaming import differences
from signbit.line import listening as line_listening
from signbit.line.frame import PAYLOAD_BYTES
from signbit.line.link import DeviceError, Link, LinkError
from signbit.line.listening import Listener
from signbit.line.protocol import ErrorCode, Request, Source, WordsAnswer
from signbit.line.words import print_word
from signbit.qmodel import stream
from signbit.qmodel.decision import SURE, Decision
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.file import save
from signbit.qmodel.stream import Word
from tests.host_device import HostDevice, load_device
from tests.test_link import damager
from tests.test_sound import save as save_sound
from tools.networks.random import FRONT_ENDS, front_end_model

STREAMS = [number for number, (name, *_) in enumerate(FRONT_ENDS) if not name.startswith("stats")]
# a ramp, of which each poll brings ten rows, and nothing from row 60,000 on
SENSOR = """
#include "sensor.h"
static uint32_t at, channels_of_a_row;
int sensor_runs = 0;
uint32_t sensor_start(uint32_t rate_hz, uint32_t channels)
{
    at = 0;
    channels_of_a_row = channels;
    sensor_runs = 1;
    return rate_hz == 16000u;
}
uint32_t sensor_read(int16_t *values, uint32_t most)
{
    uint32_t count = 0;
    while (count < 10u * channels_of_a_row && count < most && at < 60000u) {
        values[count++] = (int16_t)((int32_t)(at * at % 60000u) - 30000);
        at++;
    }
    return count;
}
void sensor_stop(void)
{
    sensor_runs = 0;
}
"""


def eager(model):
    """The model with a decision that names a class at every second answer, whatever it is sure of."""
    return dataclasses.replace(model, decision=Decision(1, 2, 1, np.array([1, 1, 1], np.uint32)))


def sound(model):
    """Two windows and more: noise and extremes, all channels different."""
    rows, _, channels = model.front_end.samples_shape
    return edge_samples(model)[20:26].reshape(-1, channels)[: 5 * rows // 2]


@pytest.fixture(scope="module", params=STREAMS, ids=[FRONT_ENDS[number][0] for number in STREAMS])
def heard(request, tmp_path_factory):
    """A model that listens, and the library of a device with it."""
    model = eager(front_end_model(request.param, *FRONT_ENDS[request.param]))
    return model, load_device(tmp_path_factory.mktemp("listening"), model)


@pytest.fixture(scope="module")
def listening(tmp_path_factory):
    model = eager(front_end_model(0, *FRONT_ENDS[0]))
    folder = tmp_path_factory.mktemp("sensor")
    (folder / "sensor.c").write_text(SENSOR)
    return model, load_device(folder, model, folder / "sensor.c")


def hear(model, link, step=0):
    """All that a device makes of `sound`."""
    logits = []
    with Listener(link, Source.LINE, step) as listener:
        words = list(listener.send(sound(model), lambda number, found: logits.append((number, *found))))
    assert [row[0] for row in logits] == list(range(len(logits)))
    return [row[1:] for row in logits], words


def test_every_logit_of_every_hop_and_every_word_is_python_s(heard):
    model, library = heard
    logits, words = hear(model, Link(HostDevice(library)))
    assert differences(model, sound(model), logits, words) == 0
    assert len(logits) >= 4 and len(words) >= 2
    # the check itself
    assert differences(model, sound(model), logits[:-1], words) == len(logits) * 3
    assert differences(model, sound(model), logits, words[:-1]) == 1
    other = [*words[:-1], dataclasses.replace(words[-1], confidence_per_mille=1)]
    assert differences(model, sound(model), logits, other) == 2


def test_a_bad_line_changes_no_answer_and_no_word(listening):
    model, library = listening
    link = Link(HostDevice(library, damager(3, 0.01)), timeout=0.001, retries=50)
    logits, words = hear(model, link)
    assert differences(model, sound(model), logits, words) == 0 and link.repeated > 20


def test_the_host_may_ask_for_rarer_answers(listening):
    model, library = listening
    logits, _ = hear(model, Link(HostDevice(library)), step=3)
    expected, _ = stream.answers(model, sound(model), 3)
    assert np.array_equal(logits, expected)


def test_a_device_that_listens_infers_as_before(listening):
    model, library = listening
    link = Link(HostDevice(library))
    x = np.random.default_rng(0).integers(0, 256, (1, model.input_size), np.uint8)
    rows, logits = sound(model), []
    with Listener(link, Source.LINE) as listener:
        for part in np.array_split(rows, 7):
            list(listener.send(part, lambda _, found: logits.append(found)))
            assert link.infer(x[0]).logits == tuple(model.run(x)[0])
    silent = dataclasses.replace(model, decision=Decision(1, 2, 1, np.full(3, 9999, np.uint32)))
    assert differences(silent, rows, logits, []) == 0


def test_its_own_sensor_gives_the_words(listening):
    model, library = listening
    host = HostDevice(library)
    link = Link(host)
    with Listener(link, Source.SENSOR) as listener:
        assert list(listener.words()) == []
        found = []
        for _ in range(1000):
            host.idle()
            found += listener.words()
        at = np.arange(10_000, dtype=np.int64)
        rows = (at * at % 60_000 - 30_000).astype(np.int16)[:, None]
        assert found == stream.words(model, *stream.answers(model, rows, 1)) and len(found) > 5
        assert listener.lost == 0
        for _ in range(1500):
            host.idle()
        late = list(listener.words())
        assert len(late) == 8 and listener.lost > 0
        assert ctypes.c_int.in_dll(library, "sensor_runs").value == 1
    assert ctypes.c_int.in_dll(library, "sensor_runs").value == 0
    with pytest.raises(DeviceError, match="not listening"):
        link.word(0)


def refused(link, kind, payload):
    with pytest.raises(DeviceError) as error:
        link.request(kind, payload)
    return ErrorCode(error.value.code)


def test_what_makes_no_sense_is_refused_and_a_repeated_request_is_taken_once(listening, host_device):
    model, library = listening
    link, hop = Link(HostDevice(library)), model.front_end.hop
    first = struct.pack("<I", 0)
    assert refused(link, Request.SAMPLES, first + b"ab") == ErrorCode.NOT_LISTENING
    assert refused(link, Request.WORDS, first) == ErrorCode.NOT_LISTENING
    assert refused(link, Request.LISTEN, b"") == ErrorCode.BAD_LENGTH
    assert refused(link, Request.LISTEN, b"\3\0\0") == ErrorCode.NO_SUCH_SOURCE
    assert refused(link, Request.SAMPLES, first + b"ab") == ErrorCode.NOT_LISTENING
    link.listen(Source.LINE)
    assert refused(link, Request.SAMPLES, first) == ErrorCode.BAD_LENGTH
    assert refused(link, Request.SAMPLES, first + b"abc") == ErrorCode.BAD_LENGTH
    assert refused(link, Request.SAMPLES, struct.pack("<I", 1) + b"ab") == ErrorCode.BAD_OFFSET
    assert refused(link, Request.WORDS, b"") == ErrorCode.BAD_LENGTH
    for _ in range(3):
        assert link.send_samples(0, bytes(48)).samples == 24
    assert link.send_samples(20, bytes(20)).samples == 30
    assert link.word(0) == WordsAnswer(0, 0)
    assert link.listen(Source.LINE).hop_rows == hop and link.send_samples(0, bytes(2)).samples == 1
    assert refused(Link(host_device), Request.LISTEN, b"\1\0\0") == ErrorCode.UNKNOWN_TYPE


requests = st.tuples(
    st.sampled_from((Request.LISTEN, Request.SAMPLES, Request.WORDS, Request.INFER, Request.LOGITS)),
    st.binary(max_size=PAYLOAD_BYTES) | st.integers(0, 2**32 - 1).map(lambda number: struct.pack("<I", number)),
)


@given(st.lists(requests, max_size=30))
def test_any_requests_leave_a_listening_device_answering(listening, sent):
    _, library = listening
    link = Link(HostDevice(library), retries=0)
    link.listen(Source.LINE)
    for kind, payload in sent:
        with contextlib.suppress(DeviceError):
            link.request(kind, payload)
    begun = link.listen(Source.LINE)
    assert link.send_samples(0, bytes(48)).samples == 24 and link.word(0) == WordsAnswer(0, 0)
    assert begun.hop_rows == 320 and link.stats().dropped == 0


def test_a_device_that_lies_about_words_is_found_out(listening):
    _, library = listening
    link = Link(HostDevice(library))
    listener = Listener(link, Source.LINE)
    link.word = lambda number: WordsAnswer(9, 9, 5, 1, 0, 0)
    found = listener.words()
    assert next(found) == Word(1, 0, 0)
    with pytest.raises(LinkError, match="word 5 where 6 was asked for"):
        next(found)
    link.send_samples = lambda *_: SimpleNamespace(samples=7, answers=0, words=0)
    with pytest.raises(LinkError, match="does somebody else use the line"):
        list(listener.send(np.zeros((3, 1), np.int16)))


def test_device_listen_prints_what_python_hears(listening, capsys, monkeypatch, tmp_path):
    model, library = listening
    host = HostDevice(library)
    monkeypatch.setattr(device, "open_port", lambda name: contextlib.nullcontext(host))
    rows = sound(model)
    save_sound(tmp_path / "a.wav", rows[:, 0], model.front_end.rate_hz)
    wanted = stream.words(model, *stream.answers(model, rows, 1))
    assert device.main(["listen", "--port", "x", "--stream", str(tmp_path / "a.wav")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(wanted) and max(map(len, lines)) < 80
    first = wanted[0]
    label, confidence = model.labels[first.class_index], f"{first.confidence_per_mille / 10:.1f} %"
    assert " ".join(lines[0].split()) == f"{first.hops * 0.02:.2f} s {label} {confidence}"
    assert device.main(["listen", "--port", "x", "--stream", str(tmp_path / "a.wav"), "--json"]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["confidence_per_mille"] for each in found] == [word.confidence_per_mille for word in wanted]
    assert device.main(["listen", "--port", "x", "--seconds", "0.01"]) == 0


def test_device_listen_says_why_nothing_is_heard(heard, host_device, monkeypatch, tmp_path):
    _, library = heard
    for host, words in (
        (host_device, "can't listen"),
        (HostDevice(library), "has no sensor: name a sound with --stream"),
    ):
        monkeypatch.setattr(device, "open_port", lambda name, host=host: contextlib.nullcontext(host))
        with pytest.raises(SignbitError, match=words):
            device.main(["listen", "--port", "x"])


def test_a_word_s_text_can_not_move_the_cursor(capsys):
    print_word(console(), Word(50, 0, 987), ("\x1b[2Jx", "b"), 0.02)
    print_word(console(), Word(51, 7, 1000), ("a", "b"), 0.02)
    assert capsys.readouterr().out == "    1.00 s  ?[2Jx   98.7 %\n    1.02 s  7  100.0 %\n"


def test_a_word_in_json_is_one_line_however_narrow_the_screen_is(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    print_word(console(), Word(50, 1, 987), ("a", "a word of many letters"), 0.02, is_json=True)
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert json.loads(out) == {"second": 1.0, "word": "a word of many letters", "confidence_per_mille": 987}


def test_a_sensor_is_asked_again_after_each_pause_until_the_end(monkeypatch):
    asked, clock = [], SimpleNamespace(now=100.0)
    monkeypatch.setattr(line_listening, "POLL_S", 0.25)
    monkeypatch.setattr(line_listening.time, "monotonic", lambda: clock.now)
    monkeypatch.setattr(line_listening.time, "sleep", lambda seconds: setattr(clock, "now", clock.now + seconds))

    def word(number):
        asked.append(clock.now)
        assert len(asked) < 9, "no time passes between two questions"
        return WordsAnswer(number, 0)

    link = SimpleNamespace(listen=lambda *_: None, word=word)
    assert list(Listener(link, Source.SENSOR).watch(1.0)) == []
    assert asked == [100.0, 100.25, 100.5, 100.75]


def test_emulated_firmware_hears_what_python_hears(tmp_path, capsys, monkeypatch):
    if reason := emulation.missing(["m0", "m4"]):
        pytest.skip(reason)
    model = eager(front_end_model(0, *FRONT_ENDS[0]))
    save(model, tmp_path / "words.npz")
    save_sound(tmp_path / "a.wav", sound(model)[:, 0], model.front_end.rate_hz)
    words = ["--stream", str(tmp_path / "a.wav"), "--cores", "m0,m4"]
    assert emulate_command.main([str(tmp_path / "words.npz"), *words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    wanted = stream.words(model, *stream.answers(model, sound(model), 1))
    assert [core["core"] for core in found] == ["m0", "m4"]
    for core in found:
        assert core["equal"] and core["logits"] == 3 * core["answers"] and len(core["words"]) == len(wanted) > 1
    # a model that Python computes otherwise
    right = Decision.scores
    monkeypatch.setattr(Decision, "scores", lambda *given: right(*given) - SURE)
    assert emulate_command.main([str(tmp_path / "words.npz"), *words[:2]]) == 1
    out = capsys.readouterr().out
    assert "Cortex-M4 listens to a.wav" in out and "DIFFERENT" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["digits-mlp", "--stream", "a.wav"], "takes no stream of samples"),
        (["commands-2k", "--stream", "a.wav", "--limit", "3"], "--limit chooses test inputs"),
        (["commands-2k", "--stream", "a.wav", "--cores", "riscv32"], "which riscv32 has not"),
    ],
)
def test_streams_that_can_not_be_emulated_are_refused(arguments, words, monkeypatch):
    monkeypatch.setattr(emulate_command, "missing", lambda cores: None)
    with pytest.raises(SignbitError, match=words):
        emulate_command.main(arguments)


@pytest.mark.parametrize(("missing_rows", "words"), [(1, r"a\.wav: has .* s; words first answers after"), (0, "built")])
def test_a_sound_without_an_answer_is_refused_before_anything_is_built(tmp_path, monkeypatch, missing_rows, words):
    def build(*_):
        raise SignbitError("built")

    monkeypatch.setattr(emulate_command, "missing", lambda cores: None)
    monkeypatch.setattr(emulate_command, "build", build)
    model = eager(front_end_model(0, *FRONT_ENDS[0]))
    save(dataclasses.replace(model, name="words"), tmp_path / "words.npz")
    rows = stream.first_hops(model.front_end) * model.front_end.hop - missing_rows
    assert len(stream.answers(model, sound(model)[:rows], 1)[0]) == 1 - missing_rows
    save_sound(tmp_path / "a.wav", sound(model)[:rows, 0], model.front_end.rate_hz)
    with pytest.raises(SignbitError, match=words):
        emulate_command.main([str(tmp_path / "words.npz"), "--stream", str(tmp_path / "a.wav")])
