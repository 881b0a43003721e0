"""What readers of own data refuse in one line: files that are empty, too large, or that differ from each other."""

import wave

import numpy as np
import pytest

from signbit.qmodel.data import own
from signbit.qmodel.data.inputs import inputs_of, without_rare
from signbit.qmodel.data.readers import image_folder, recordings, roles, sound_file, sound_folder, table
from signbit.qmodel.data.readers.loading import LoadingOptions
from signbit.qmodel.data.reading import read
from signbit.qmodel.errors import SignbitError
from tests.own_files import CLASSES_OF_60, csv_text, idx, save_npz


def loaded(path, **options):
    return own.load_own(path, LoadingOptions(**options))


def sound(path, rows=400, rate_hz=8000, channels=1, width_bytes=2):
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as stream:
        stream.setparams((channels, width_bytes, rate_hz, 0, "NONE", ""))
        stream.writeframes(bytes(range(1, 101)) * (rows * channels * width_bytes // 100))
    return path


def sounds(folder):
    for name in ("low/a_1.wav", "low/b_2.wav", "high/a_1.wav", "high/b_2.wav"):
        sound(folder / name)
    return folder


# --- tables

BAD_TABLES = {
    "no header": ("", {}, "is empty"),
    "a header alone": ("a,b,kind\n", {}, "is empty; it needs rows below its header"),
    "another split": (
        csv_text(6, header="w,part,kind").replace("-", ""),
        {"split_column": "part"},
        "the split column says '0', but must say train, validation or test",
    ),
    "an empty group": ("g,a,kind\np,1,x\n,2,y\n", {"group_column": "g"}, "g"),
    "a label with no features": ("kind\nx\ny\n", {}, "column"),
}


@pytest.mark.parametrize("case", BAD_TABLES)
def test_table_is_refused(parts, case):
    text, options, words = BAD_TABLES[case]
    with pytest.raises(SignbitError, match=words) as error:
        loaded(parts(text), **options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("limit", "value", "words"),
    [("BYTES_MAX", 80, "parts.csv: holds more than 10 numbers"), ("COLUMNS_MAX", 2, "has 3 columns, but at most 2")],
)
def test_table_larger_than_is_read_is_refused(parts, monkeypatch, limit, value, words):
    monkeypatch.setattr(table, limit, value)
    with pytest.raises(SignbitError, match=words):
        loaded(parts(csv_text()))


@pytest.mark.parametrize(("columns", "words"), [((), "t: is empty"), (("a", "b", "a"), "two columns are named 'a'")])
def test_columns_have_names_of_their_own(columns, words):
    with pytest.raises(SignbitError, match=words):
        table._check_names(table.Source("t", columns, iter(())))


def test_inputs_larger_than_any_model_takes_are_refused(parts, monkeypatch):
    monkeypatch.setattr("signbit.qmodel.data.inputs.INPUT_SIZE_MAX", 1)
    with pytest.raises(SignbitError, match="have more than 1 values"):
        loaded(parts(csv_text()))


def test_first_row_of_numbers_must_count_the_rows(parts):
    """As some known tables have it: rows, features and the names of the classes."""
    rows = "".join(f"{number},{number % 7},{number % 2}\n" for number in range(30))
    assert loaded(parts("30,2,yes,no\n" + rows)).labels == ("yes", "no")
    with pytest.raises(SignbitError, match="its first row says 31 rows, but there are 30"):
        loaded(parts("31,2,yes,no\n" + rows))
    with pytest.raises(SignbitError, match="class '2' is not one of the 2 in the first row"):
        loaded(parts("30,2,yes,no\n" + rows.replace("29,1,1", "29,1,2")))


@pytest.mark.parametrize(
    ("values", "count"),
    [
        ([[5, 0, 0, 1], [5, 0, 1, 0], [5, 1, 0, 0]], 3),
        ([[5, 0, 0, 2], [5, 0, 1, 0]], 0),
        ([[5, 0, 1, 1], [5, 1, 0, 0]], 0),
        ([[0, 0, 0], [0, 0, 1]], 0),
        ([[5, 0, 1], [5, 1, 0]], 0),
    ],
)
def test_columns_of_which_one_is_1_are_counted(values, count):
    """Three at least: of two, one says it all."""
    assert roles.one_hot(np.array(values, float)) == count


# --- a test part of its own


def test_test_part_must_go_with_the_data(parts, tmp_path):
    data = parts(csv_text())
    cases = {
        "there": (tmp_path / "no.csv", data, r"--test-data .*no\.csv: is not there"),
        "classes": (parts(csv_text(classes=("nut", "bolt", "cog")), "cogs.csv"), data, "class 'cog' is not in parts"),
        "columns": (parts(csv_text(header="width,depth,kind"), "depth.csv"), data, "no column 'height'"),
        "label": (parts(csv_text(header="width,height,sort"), "sort.csv"), data, "no column 'kind' with the classes"),
    }
    for test_path, path, words in cases.values():
        with pytest.raises(SignbitError, match=words):
            loaded(path, test_data=str(test_path))
    both = loaded(data, test_data=str(parts(csv_text(12), "test.csv")))
    assert len(both.test) == 12 and len(both.train) + len(both.validation) == 60


def test_data_with_parts_have_no_other_test_part_and_no_folds(parts):
    header, *lines = csv_text().splitlines()
    lines = [f"{header},split"] + [f"{line},{'train' if row % 5 else 'test'}" for row, line in enumerate(lines)]
    data = parts("\n".join(lines) + "\n")
    assert len(loaded(data).test) == 12
    with pytest.raises(SignbitError, match="names its own test part; leave out --test-data, or --split-column"):
        loaded(data, test_data=str(parts(csv_text(), "test.csv")))
    with pytest.raises(SignbitError, match="--fold means nothing for data with their own test part"):
        loaded(data, fold=1)


def test_test_part_of_another_rate_or_shape_is_refused(tmp_path):
    data = sounds(tmp_path / "sounds")
    for name in ("low", "high"):
        sound(tmp_path / "fast" / name / "a_1.wav", rate_hz=16_000)
        sound(tmp_path / "stereo" / name / "a_1.wav", channels=2)
    with pytest.raises(SignbitError, match="--test-data fast: has 16000 samples a second, but sounds 8000"):
        loaded(data, test_data=str(tmp_path / "fast"))
    with pytest.raises(SignbitError, match="--test-data stereo: differs in shape or kind from sounds"):
        loaded(data, test_data=str(tmp_path / "stereo"))


# --- what a model's record says of its data


@pytest.mark.parametrize("values", [None, "a", [1], [["a"]]])
def test_texts_in_a_record_are_a_list_of_texts(values):
    with pytest.raises(SignbitError, match="the model's columns can't be understood; its file is damaged"):
        own._texts_of({"columns": values}, "columns")
    assert own._texts_of({"columns": ["a", "b"]}, "columns") == ("a", "b") and own._texts_of({}, "columns") == ()


@pytest.mark.parametrize("values", [None, [], {"a": "1"}, {"a": True}, {"a": None}])
def test_numbers_in_a_record_are_numbers(values):
    with pytest.raises(SignbitError, match="the model's medians can't be understood; its file is damaged"):
        own._numbers_of({"medians": values}, "medians")
    assert own._numbers_of({"medians": {"a": 1, "b": 0.5}}, "medians") == {"a": 1, "b": 0.5}


# --- .npz


def test_npz_with_a_part_to_train_alone_is_split(tmp_path):
    x = np.arange(120, dtype=np.uint8).reshape(60, 2)
    data = loaded(save_npz(tmp_path, x_train=x, y_train=CLASSES_OF_60))
    assert len(data.train) + len(data.validation) + len(data.test) == 60 and len(data.test) > 0


@pytest.mark.parametrize("test", [{}, {"x_test": np.zeros((6, 3), np.uint8)}, {"x_test": np.zeros((6, 2))}])
def test_npz_whose_parts_differ_is_refused(tmp_path, test):
    path = save_npz(
        tmp_path, x_train=np.zeros((60, 2), np.uint8), y_train=CLASSES_OF_60, y_test=CLASSES_OF_60[:6], **test
    )
    with pytest.raises(SignbitError, match="x_train and x_test must be there and alike"):
        loaded(path)


def test_idx_without_images_is_refused(tmp_path):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(np.zeros((0, 5, 5), np.uint8)))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(0, np.uint8)))
    with pytest.raises(SignbitError, match="train-images-idx3-ubyte: holds no images"):
        loaded(tmp_path)


# --- folders


@pytest.mark.parametrize(
    ("limit", "words"),
    [("PIXELS_MAX", r"a.png: has more than 5 pixels; make it smaller"), ("BYTES_MAX", "4 images of 3x4 are too many")],
)
def test_images_that_are_too_large_are_refused(tmp_path, monkeypatch, limit, words):
    image = pytest.importorskip("PIL.Image", reason="Pillow is missing: pip install 'signbit[images]'")
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for file in ("a.png", "b.png"):
            image.new("L", (4, 3)).save(tmp_path / name / file)
    monkeypatch.setattr(image_folder, limit, 5 if limit == "PIXELS_MAX" else 40)
    with pytest.raises(SignbitError, match=words):
        loaded(tmp_path)


@pytest.mark.parametrize(
    ("limit", "value", "words"),
    [("DEPTH_MAX", 0, "has folders more than 0 deep"), ("FILES_MAX", 3, "more than 3 files")],
)
def test_folders_that_are_too_deep_or_full_are_refused(tmp_path, monkeypatch, limit, value, words):
    sounds(tmp_path / "sounds")
    monkeypatch.setattr(recordings, limit, value)
    with pytest.raises(SignbitError, match=words):
        list(recordings.files_below(tmp_path / "sounds"))


def test_recordings_and_sounds_do_not_mix(tmp_path):
    sounds(tmp_path / "both")
    (tmp_path / "both" / "low" / "c.csv").write_text("a,b\n1,2\n")
    with pytest.raises(SignbitError, match="both: holds both tables and sound files; name a folder of one kind"):
        loaded(tmp_path / "both")


def test_a_row_of_a_recording_with_too_few_values_is_refused(tmp_path):
    for name in ("low", "high"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.csv").write_text("a,b\n1,2\n3\n" if name == "low" else "a,b\n1,2\n")
    with pytest.raises(SignbitError, match=r"a\.csv, row 3: .*1 value"):
        loaded(tmp_path, window=1)


# --- sounds


def test_folder_with_nothing_but_noise_is_refused(tmp_path):
    sound(tmp_path / "background_noise" / "fan.wav")
    with pytest.raises(SignbitError, match="has no sound files except those of noise in background_noise"):
        loaded(tmp_path)


def test_noise_may_have_another_name(tmp_path):
    folder = sounds(tmp_path / "words")
    sound(folder / "street" / "cars.wav", rows=16_000)
    assert "street" in read(folder, LoadingOptions(noise="none")).labels
    assert "street" not in read(folder, LoadingOptions(noise="street")).labels


def test_sounds_that_are_too_long_are_refused(tmp_path, monkeypatch):
    folder = sounds(tmp_path / "words")
    monkeypatch.setattr(sound_folder, "BYTES_MAX", 2000)
    with pytest.raises(SignbitError, match="words: holds more than 250 numbers; take a part of it"):
        loaded(folder)


def test_sound_without_samples_is_refused(tmp_path):
    folder = sounds(tmp_path / "words")
    sound(folder / "low" / "a_1.wav", rows=0)
    with pytest.raises(SignbitError, match=r"a_1\.wav: holds no samples"):
        loaded(folder)


@pytest.mark.parametrize("part", ["0", "4", "x", "name"])
def test_part_of_a_files_name_is_a_number(tmp_path, part):
    with pytest.raises(SignbitError, match=f"--group-column {part}: for sound files give the number of a part"):
        loaded(sounds(tmp_path / "words"), group_column=part)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"channels": 2}, r"a\.wav: has 2 channels, but the model takes 1"),
        ({"width_bytes": 3}, r"a\.wav: has 24 bits per sample; save it with 16"),
    ],
)
def test_sound_of_another_kind_is_refused(tmp_path, options, words):
    with pytest.raises(SignbitError, match=words):
        sound_file.read_rows(sound(tmp_path / "a.wav", **options), 1, 0)


@pytest.mark.parametrize("width_bytes", [1, 2])
def test_a_sound_that_was_cut_off_is_refused(tmp_path, width_bytes):
    path = sound(tmp_path / "a.wav", width_bytes=width_bytes)
    path.write_bytes(path.read_bytes()[: -width_bytes - 1])
    with pytest.raises(SignbitError, match=r"a\.wav: ends after 398 of 400 samples"):
        sound_file.read_sound(path)


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000])
def test_a_sound_whose_length_nobody_knew_is_read_to_its_end(tmp_path, size):
    """As programs write it to a pipe."""
    path = sound(tmp_path / "a.wav")
    whole = path.read_bytes()
    at = whole.index(b"data") + 4
    path.write_bytes(whole[:at] + size.to_bytes(4, "little") + whole[at + 4 :])
    assert len(sound_file.read_sound(path)[0]) == 400


@pytest.mark.parametrize(("rows", "example"), [((400, 500, 500), 500), ((400, 400, 500), 400)])
def test_sounds_of_different_lengths_lead_to_the_commonest(tmp_path, rows, example):
    folder = tmp_path / "words"
    for number, count in enumerate(rows):
        sound(folder / "low" / f"a_{number}.wav", rows=count)
        sound(folder / "high" / f"a_{number}.wav", rows=count)
    with pytest.raises(SignbitError, match=f"have 400 to 500 rows; .* --window {example} for example"):
        loaded(folder)


# --- inputs


@pytest.mark.parametrize(
    ("options", "words"),
    [({}, "all samples have the same values, so there is nothing to learn from")],
)
def test_inputs_with_nothing_to_learn_from_are_refused(parts, options, words):
    with pytest.raises(SignbitError, match=words):
        loaded(parts("a,b,kind\n" + "1,2,x\n1,2,y\n" * 20), **options)


def test_dropping_rare_classes_leaves_two_at_least(parts):
    text = "a,b,kind\n" + "".join(f"{row},{row % 5},{'x' if row < 30 else f'rare{row}'}\n" for row in range(33))
    with pytest.raises(SignbitError, match="fewer than two classes have the"):
        loaded(parts(text), rare_classes="drop")


def test_windows_of_rare_classes_are_left_out(parts):
    rows = [f"{row % 11},{row % 7},{'xyz'[min(row // 100, 2)]}\n" for row in range(205)]
    path = parts("a,b,kind\n" + "".join(rows))
    options = LoadingOptions(window=5, rare_classes="drop")
    inputs, _ = inputs_of(path, read(path, options), options)
    assert len(inputs.start) == 41
    assert len(without_rare(path, inputs, options)[0].start) == 40
    assert loaded(path, window=5, rare_classes="drop").labels == ("x", "y")
