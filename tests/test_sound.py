"""Words of people: lists and groups of files, the classes silence and unknown, and augmentation of samples."""

import json
import wave

import numpy as np
import pytest

from signbit.qmodel.data import own
from signbit.qmodel.data.readers import recordings
from signbit.qmodel.data.readers.loading import LoadingOptions
from signbit.qmodel.data.readers.sound_file import read_sound
from signbit.qmodel.data.reading import read
from signbit.qmodel.data.series import Windows
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.file import load
from signbit.trainer.learning import sound
from signbit.trainer.learning.settings import default_settings

WORDS = {"high": 0.9, "low": 0.2, "mid": 0.5, "odd": 1.4}
PEOPLE, ROWS, RATE_HZ = 10, 1600, 8000
UNKNOWN = ("--unknown", "mid,odd", "--group-pattern", "^p([0-9]+)")


def save(path, samples, rate_hz=RATE_HZ):
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as stream:
        stream.setparams((1, 2, rate_hz, 0, "NONE", ""))
        stream.writeframes(samples.astype("<i2").tobytes())


@pytest.fixture
def words(tmp_path):
    """A folder with two clips a word and person, and 40 clips' length of noise."""
    rng = np.random.default_rng(0)
    for word, pitch in WORDS.items():
        for person in range(PEOPLE):
            for take in range(2):
                tone = 5000 * np.sin(pitch * np.arange(ROWS) + person) + rng.normal(0, 200, ROWS)
                save(tmp_path / "words" / word / f"p{person:02}_{take}.wav", tone)
    save(tmp_path / "words" / "background_noise" / "fan.wav", rng.normal(0, 300, 40 * ROWS))
    return tmp_path / "words"


def write_lists(folder, train=range(6), val=(6, 7), test=(8, 9)):
    for part, people in {"train": train, "val": val, "test": test}.items():
        lines = [f"{word}/p{person:02}_{take}.wav,{word}\n" for word in WORDS for person in people for take in range(2)]
        (folder / f"{part}.csv").write_text("file,word\n" + "".join(lines))


def people_in(folder, data, part):
    """The persons whose tones a part has, by their phase."""
    clips = {path: read_sound(path)[0].tobytes() for path in folder.glob("[hlmo]*/*.wav")}
    inputs = {row.tobytes() for row in part.x[:]}
    return {path.name[:3] for path, clip in clips.items() if clip in inputs}


def test_words_become_classes_without_code(words, trainer, tmp_path):
    out = tmp_path / "words.npz"
    options = ("--data", words, *UNKNOWN, "--model", "logistic", "--epochs", "8", "--quiet")
    code, _, err = trainer(*options, "--augment", "sound:copies=2", "--out", out)
    assert code == 0 and "background_noise is taken for noise; see --noise" in err
    model = load(out)
    assert model.labels == ("high", "low", "unknown", "silence")
    assert "--unknown mid,odd" in model.provenance["command"] and "sound:copies=2" in model.provenance["command"]
    found = json.loads(trainer("evaluate", out, "--data", words, "--json")[1])
    assert found["accuracy"]["test"]["integer"] > 0.9 and found["accuracy"]["test"]["count"] == 16 + 6
    assert trainer("evaluate", out, "--data", words)[2] == ""
    again = tmp_path / "again.npz"
    assert trainer(*options, "--augment", "sound:copies=2", "--out", again, "--name", "words")[0] == 0
    assert load(again).hash == model.hash
    assert trainer(*options, "--out", again)[0] == 0 and load(again).hash != model.hash


def test_no_group_is_in_two_parts(words):
    data = own.load_own(words, LoadingOptions(group_pattern="^p([0-9]+)"))
    parts = [people_in(words, data, part) for part in (data.train, data.validation, data.test)]
    assert sum(map(len, parts)) == PEOPLE == len(set.union(*parts)) and data.labels == (*WORDS, "silence")


def test_lists_give_files_classes_and_parts(words):
    write_lists(words)
    (words / "readme.csv").write_text("title,text\na,b\n")
    data = own.load_own(words, LoadingOptions(noise="none", group_pattern="^p([0-9]+)"))
    assert [len(part) for part in (data.train, data.validation, data.test)] == [48, 16, 16]
    assert people_in(words, data, data.test) == {"p08", "p09"}
    assert any("those of test.csv, train.csv, val.csv" in note for note in data.notes)
    assert any("left out 1 file: 1 .csv" in note for note in data.notes)
    for path in words.glob("*.csv"):
        path.unlink()
    lines = "".join(f"high/p{person:02}_0.wav,{'ab'[person % 2]}\n" for person in range(PEOPLE))
    (words / "some.csv").write_text("path,kind\n" + lines * 1)
    assert read(words, LoadingOptions()).labels == ("a", "b")
    assert any("left out 70 files" in note for note in read(words, LoadingOptions()).notes)


def test_work_grows_with_the_number_of_files_alone(tmp_path, monkeypatch):
    """A set of all recordings was made once for each file: the 105,829 of Speech Commands would have taken hours."""
    hashed = []

    class Counted(type(tmp_path)):
        def __hash__(self):
            hashed.append(self)
            return super().__hash__()

    files = [Counted(tmp_path, "word", f"{number}.wav") for number in range(300)]
    monkeypatch.setattr(recordings, "files_below", lambda folder: files)
    found, others = recordings.recording_files(tmp_path)
    assert found == sorted(files) and not others
    assert len(hashed) <= 3 * len(files)


def test_noise_is_split_by_time_into_silence(words):
    data = own.load_own(words, LoadingOptions())
    noise = read_sound(words / "background_noise" / "fan.wav")[0]
    ends = (0, 24 * ROWS, 32 * ROWS, 40 * ROWS)
    for part, first, end, rows in zip(
        (data.train, data.validation, data.test), ends[:-1], ends[1:], data.noise, strict=True
    ):
        assert np.array_equal(rows, noise[first:end])
        silence = part.x[part.y == data.labels.index("silence")]
        assert len(silence) == -(-np.count_nonzero(part.y < 4) // 4)
        places = {row.tobytes() for row in Windows(noise, np.arange(first, end - ROWS + 1), ROWS)[:]}
        assert all(row.tobytes() in places for row in silence)


@pytest.mark.parametrize(
    ("change", "options", "words_of_error"),
    [
        (None, {"unknown": ("mid", "far")}, "--unknown: words has no class 'far'"),
        (None, {"group_pattern": "q"}, "--group-pattern q: matches nothing in the name of p00_0.wav"),
        (None, {"noise": "street"}, "--noise street: words has no folder of that name"),
        (("val", "file,word\nhigh/p99_0.wav,high\n"), {}, "val.csv, row 2: there is no sound file high/p99_0.wav"),
        (("val", "file,word\nhigh/p00_0.wav,high\n"), {}, "val.csv, row 2: high/p00_0.wav is listed already"),
        (("more", "file,word\nhigh/p00_0.wav,high\n"), {}, "is listed already"),
        (("val", "word,file\nhigh,high/p06_0.wav\n"), {}, "val.csv: its last column is the file's name"),
        (("test", None), {"group_pattern": "^p(.)"}, "the lists put its group into two parts"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(words, change, options, words_of_error):
    if change is not None:
        write_lists(words)
        if change[1] is not None:
            (words / f"{change[0]}.csv").write_text(change[1])
    with pytest.raises(SignbitError) as error:
        own.load_own(words, LoadingOptions(**options))
    assert words_of_error in str(error.value) and "\n" not in str(error.value)


def test_lists_of_parts_and_others_do_not_mix(words):
    write_lists(words)
    (words / "val.csv").unlink()
    assert len(own.load_own(words, LoadingOptions(noise="none")).validation) == 6
    (words / "more.csv").write_text("file,word\nhigh/p06_0.wav,high\n")
    with pytest.raises(SignbitError, match=r"some of its lists \(more.csv, test.csv, train.csv\) are those of a part"):
        own.load_own(words, LoadingOptions())


def test_too_little_noise_for_silence_is_refused(words):
    save(words / "background_noise" / "fan.wav", np.ones(4 * ROWS))
    with pytest.raises(SignbitError, match="the noise is too short for the class silence: its parts need 1600 rows"):
        own.load_own(words, LoadingOptions())


@pytest.mark.parametrize("pattern", ["(", "(a+)+", "(a|b)*", "a*b*c*d*", "x" * 101, "a{99999999999}", "(a?){20}"])
def test_pattern_that_could_take_forever_is_refused(pattern):
    """A model's file may come from others, and is searched with where its data are read again."""
    with pytest.raises(SignbitError, match="must be a regular expression"):
        LoadingOptions(group_pattern=pattern)


@pytest.mark.parametrize(("from_hz", "to_hz"), [(48_000, 16_000), (44_100, 16_000), (8000, 16_000), (11_025, 8000)])
def test_sounds_of_other_rates_are_converted(tmp_path, trainer, from_hz, to_hz):
    """A tone keeps its pitch and level, and the sound its length; what the new rate can not hold is gone."""
    pytest.importorskip("scipy", reason="scipy is not installed (pip install 'signbit[sound]')")
    time_s = np.arange(from_hz) / from_hz
    with wave.open(str(tmp_path / "a.wav"), "wb") as stream:
        stream.setparams((1, 2, from_hz, 0, "NONE", ""))
        high = np.sin(2 * np.pi * 0.45 * from_hz * time_s) * (from_hz > to_hz)
        stream.writeframes(np.rint(8000 * (np.sin(2 * np.pi * 500 * time_s) + high)).astype("<i2").tobytes())
    values, _, rate_hz = read_sound(tmp_path / "a.wav", to_hz)
    assert rate_hz == to_hz == len(values)
    wanted = 8000 * np.sin(2 * np.pi * 500 * np.arange(to_hz) / to_hz)
    assert np.abs(values[200:-200, 0] - wanted[200:-200]).max() < 120


def test_rates_that_differ_are_refused_without_rate(words, trainer):
    save(words / "high" / "p00_0.wav", np.zeros(3200), 2 * RATE_HZ)
    with pytest.raises(SignbitError, match="give all one rate with --rate 16000"):
        read(words, LoadingOptions())
    pytest.importorskip("scipy", reason="scipy is not installed (pip install 'signbit[sound]')")
    assert read(words, LoadingOptions(rate=RATE_HZ)).values.shape == (80 * ROWS, 1)


# --- augmentation

STILL = dict.fromkeys(("shift", "gain", "speed"), 0) | {"noise": 60}


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def tone(pitch=0.2, rows=4000):
    return np.rint(8000 * np.sin(pitch * np.arange(rows))).astype(np.int16)[:, None]


def test_no_change_leaves_a_sound_and_noise_has_its_distance(rng):
    quiet = sound.changed(tone(), None, STILL, rng)
    assert 0 < np.abs(quiet - tone()).max() < 40
    noise = rng.integers(-500, 500, (9000, 1)).astype(np.int16)
    distances = []
    for _ in range(100):
        added = sound.changed(tone(), noise, STILL | {"noise": 10}, rng).astype(float) - tone()
        distances.append(10 * np.log10((tone().astype(float) ** 2).sum() / (added**2).sum()))
    assert 9.9 < min(distances) < 13 and 37 < max(distances) < 40.1


def test_gain_shift_and_speed_stay_in_their_bounds(rng):
    gains = [np.abs(sound.changed(tone(), None, STILL | {"gain": 6}, rng)).max() / 8000 for _ in range(60)]
    assert 0.49 < min(gains) < 0.56 and 1.75 < max(gains) < 2.02
    click = np.zeros((1000, 1), np.int16)
    click[500] = 20_000
    places = [int(sound.changed(click, None, STILL | {"shift": 10}, rng).argmax()) for _ in range(200)]
    assert 400 <= min(places) < 410 and 590 < max(places) <= 600

    def pitch():
        changed = sound.changed(tone(), None, STILL | {"speed": 20}, rng)[:, 0].astype(float)
        return np.abs(np.fft.rfft(changed * np.hanning(len(changed)))).argmax() * 2 * np.pi / len(changed)

    pitches = [pitch() for _ in range(60)]
    assert 0.158 < min(pitches) < 0.168 and 0.232 < max(pitches) < 0.242


def test_extremes_stay_in_int16_and_ends_are_mirrored(rng):
    loud = np.full((500, 2), -(1 << 15), np.int16)
    loud[:, 1] = 32_767
    most = {"shift": 50, "gain": 40, "speed": 50, "noise": 0}
    for _ in range(50):
        assert sound.changed(loud, loud, most, rng).dtype == np.int16
        sound.changed(np.zeros((32, 1), np.int16), None, most, rng)
    ramp = np.arange(100)[:, None]
    places = (np.arange(100) - 50) << sound.FRACTION_BITS
    assert sound._between_samples(ramp, places, 40)[:, 0].tolist() == [*range(10, 0, -1), *range(90)]
    assert sound._between_samples(ramp, places, 60)[-1, 0] == 89


def test_the_same_copies_on_every_machine(rng):
    changed = sound.changed(tone(), tone(0.7), sound.DEFAULTS, rng)
    assert changed[:5, 0].tolist() == [-8905, -8837, -8953, -9546, -10488]


def test_sound_augmentation_needs_a_front_end(words, trainer):
    options = ("--data", words, "--front-end", "none", "--augment", "sound", "--model", "mlp")
    code, _, err = trainer(*options)
    assert code == 2 and "--augment sound changes samples before a front end, but words has none" in err
    with pytest.raises(SignbitError, match="--mild-epochs is for images, but --augment is for sound"):
        default_settings(augment="sound", mild_epochs=1)
    with pytest.raises(SignbitError, match=r"must be one of none, .*, sound\[:copies=1..100,"):
        default_settings(augment="sound:copies=0")


def test_what_is_too_loud_is_cut_off_at_both_ends_of_int16():
    rows = np.repeat(np.array([[-30_000], [30_000]], np.int16), 50, axis=0)
    louder = sound.mixed(rows, None, 60, np.random.default_rng(0), gain=2 * sound.ONE)
    assert np.array_equal(np.unique(louder), [-32_768, 32_767])
