"""Own data from file to verified header: windows, the split with groups, options, and the commands."""

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest

from signbit.codegen.commands.cli import main as codegen
from signbit.qmodel.command import run_command
from signbit.qmodel.data import counts, series, split
from signbit.qmodel.data.named import dataset_for, load_dataset
from signbit.qmodel.data.readers.loading import LoadingOptions
from signbit.qmodel.data.readers.samples import Samples
from signbit.qmodel.data.reading import read
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.file import load, save
from signbit.qmodel.integer import INT16_MAX, INT16_MIN
from signbit.trainer.command.cli import main as trainer
from signbit.trainer.command.output import model_name
from signbit.trainer.learning.settings import default_settings
from tests.motion import motion_csv
from tests.own_files import CLASSES_OF_60 as Y
from tests.own_files import csv_text, save_npz
from tests.test_input_quantization import FIXTURE

MOTION = (
    "--group-column",
    "person",
    "--ignore-column",
    "time",
    "--window",
    "64",
    "--stride",
    "32",
    "--lsb",
    "0.000061",
)


# --- windows and split


def rows(classes, groups=None) -> Samples:
    values = np.arange(2 * len(classes), dtype=np.int16).reshape(-1, 2)
    groups = None if groups is None else np.array(groups)
    return Samples(values, np.array(classes), ("a", "b"), groups=groups)


def test_windows_are_rows_in_order_within_one_class_and_group():
    samples = rows([0] * 7 + [1] * 5 + [0] * 3, [0] * 5 + [1] * 10)
    windows = series.cut(samples, 3, 2)
    # stretches: 0-4, 5-6, 7-11, 12-14
    assert windows.start.tolist() == [0, 2, 7, 9, 12] and windows.rows_left == 2
    assert samples.classes[windows.start].tolist() == [0, 0, 1, 1, 0] and windows.groups.tolist() == [0, 0, 1, 1, 1]
    inputs = series.Windows(samples.values, windows.start, 3)
    assert inputs.shape == (5, 6) and np.array_equal(inputs[1], samples.values[2:5].ravel())
    assert np.array_equal(inputs[1:3], np.asarray(inputs)[1:3])


def test_stride_is_the_window_by_default():
    assert series.cut(rows([0] * 9, [0] * 9), 3, LoadingOptions(window=3).step).start.tolist() == [0, 3, 6]


@pytest.mark.parametrize("stride", [1, 3, 8, 12])
def test_parts_share_no_rows_even_without_groups(stride):
    """Overlapping windows of one long recording a class: no row may be in two parts."""
    samples = rows([0] * 700 + [1] * 900)
    windows = series.cut(samples, 8, stride)
    parts = split.split_groups(samples.classes[windows.start], windows.groups)
    seen = [set((windows.start[part][:, None] + np.arange(8)).ravel().tolist()) for part in parts]
    assert all(len(part) > 0 for part in parts)
    assert not (seen[0] & seen[1] or seen[0] & seen[2] or seen[1] & seen[2])


def test_bad_windows_are_refused():
    with pytest.raises(SignbitError, match=r"--window 8 is longer than every stretch .* the longest has 5"):
        series.cut(rows([0] * 5 + [1] * 4), 8, 8)
    images = Samples(np.zeros((9, 4, 4, 1), np.uint8), np.zeros(9, np.int64), ("a",))
    with pytest.raises(SignbitError, match="--window is for rows of a time series"):
        series.cut(images, 2, 2)


def test_long_stretches_are_cut_into_pieces_of_four_windows_wherever_they_begin():
    """Each piece is a group of its own, as many in the last stretch as in the first."""
    windows = series.cut(rows([0] * 320 + [1] * 320), 4, 4)
    assert np.bincount(windows.groups).tolist() == [4] * 40 and windows.rows_left == 0


@pytest.mark.parametrize("count", [20, 33, 100])
def test_ten_samples_of_a_class_are_enough_for_every_part(count):
    rng = np.random.default_rng(count)
    classes = rng.permutation(np.concatenate([np.zeros(10, int), np.ones(count, int)]))
    parts = split.split_samples(classes)
    assert all(np.isin([0, 1], classes[part]).all() for part in parts)
    assert sorted(np.concatenate(parts).tolist()) == list(range(10 + count))


@pytest.mark.parametrize("chosen", [split.split_samples, split.split_groups])
def test_without_a_fold_the_split_is_that_of_fold_0(chosen):
    given = (np.arange(200) % 3, np.arange(200) // 4)[: 1 + (chosen is split.split_groups)]
    usual, first, second = ([part.tolist() for part in chosen(*given, *fold)] for fold in ((), (0,), (1,)))
    assert usual == first and usual[2] != second[2]


@pytest.mark.parametrize("group_count", [None, 60])
def test_folds_test_every_sample_once(group_count):
    rng = np.random.default_rng(5)
    classes = rng.integers(0, 3, 400)
    groups = None if group_count is None else rng.integers(0, group_count, 400)
    folds = [
        split.split_samples(classes, k) if groups is None else split.split_groups(classes, groups, k) for k in range(5)
    ]
    assert sorted(np.concatenate([test for _, _, test in folds]).tolist()) == list(range(400))
    assert all(sorted(np.concatenate(parts).tolist()) == list(range(400)) for parts in folds)


def test_a_fold_stays_with_the_model(trainer, tmp_path):
    out = tmp_path / "m.npz"
    assert trainer("--epochs", "1", "--quiet", "--fold", "3", "--out", out)[0] == 0
    model = load(out)
    assert model.provenance["data"]["options"] == {"fold": 3} and "--fold 3" in model.provenance["command"]
    assert dataset_for(model).hash == load_dataset("digits", options=LoadingOptions(fold=3)).hash
    assert dataset_for(model).hash != load_dataset("digits").hash


def test_folds_where_there_are_none_are_refused(trainer, tmp_path):
    assert "'5' is not a whole number from 0 to 4" in trainer("--fold", "5")[2]
    assert "--fold means nothing for the data set mnist" in trainer("--data", "mnist", "--fold", "1")[2]


def test_a_class_of_few_samples_in_groups_is_the_groups_matter(parts):
    rows = "".join(f"{n // 4},{n % 7},{'c' if n < 4 else 'ab'[n % 2]}\n" for n in range(120))
    with pytest.raises(
        SignbitError, match=r"class 'c' has no samples in the .* part; add samples of it, in more groups"
    ):
        load_dataset(str(parts("g,x,c\n" + rows)), options=LoadingOptions(group_column="g"))


def test_groups_stay_together():
    rng = np.random.default_rng(0)
    groups, classes = rng.integers(0, 25, 800), rng.integers(0, 3, 800)
    parts = split.split_groups(classes, groups)
    assert sorted(np.concatenate(parts).tolist()) == list(range(800))
    kinds = [set(groups[part]) for part in parts]
    assert [len(kind) for kind in kinds] == [17, 3, 5] and sum(map(len, kinds)) == len(set.union(*kinds))


def test_groups_are_stratified_by_their_class():
    rng = np.random.default_rng(1)
    classes_of_groups = rng.permutation(np.repeat([0, 1, 2], [50, 10, 20]))
    groups = np.repeat(np.arange(80), 3)
    _, validation, test = split.split_groups(classes_of_groups[groups], groups)
    assert np.bincount(classes_of_groups[np.unique(groups[test])]).tolist() == [10, 2, 4]
    assert np.bincount(classes_of_groups[np.unique(groups[validation])]).tolist() == [5, 1, 2]


def test_groups_that_can_not_be_split_are_refused():
    with pytest.raises(SignbitError, match="there are 2 groups, too few"):
        split.split_groups(np.array([0, 1] * 10), np.array([0, 1] * 10))
    classes, groups = np.repeat([0, 0, 0, 0, 0, 1], 10), np.repeat(np.arange(6), 10)
    with pytest.raises(SignbitError, match=r"class 'b' has no samples in the (training|validation|test) part"):
        split.check_parts(classes, split.split_groups(classes, groups), ("a", "b"))


def test_only_training_data_choose_the_quantization(tmp_path):
    path = save_npz(tmp_path, x=np.arange(120, dtype=np.int16).reshape(60, 2), y=Y)
    settings = default_settings()
    data = settings.prepared(load_dataset(str(path)))
    samples = read(path, LoadingOptions())
    _, validation, test = split.split_samples(samples.classes)
    changed = samples.values.copy()
    changed[np.concatenate([validation, test])] = 30_000
    other = settings.prepared(load_dataset(str(save_npz(tmp_path, x=changed, y=Y))))
    assert np.array_equal(other.quantization.bias, data.quantization.bias)
    assert np.array_equal(other.train.x, data.train.x) and other.hash != data.hash


# --- options


def test_options_survive_the_model_file():
    options = LoadingOptions("a", "b", ("c", "d"), 64, 32, {"": 0.5, "x=y": 6.1e-05}, (3, 4), True)
    assert LoadingOptions.from_dict(json.loads(json.dumps(options.as_dict()))) == options
    assert LoadingOptions.from_dict({}) == LoadingOptions()
    expected = (
        "--ignore-column c --ignore-column d --window 64 --stride 32 --lsb 0.5 --lsb x=y=6.1e-05 --resize 3x4 --grey"
    )
    assert " ".join(options.words()[4:]) == expected


BAD_RECORDS = [
    {"window": "64"},
    {"window": True},
    {"lsb": {"a": "1"}},
    {"resize": [1]},
    {"path": "/etc"},
    {"grey": 1},
    [],
]


@pytest.mark.parametrize("record", BAD_RECORDS, ids=str)
def test_hostile_options_in_a_model_are_refused(record):
    with pytest.raises(SignbitError, match="can't be understood"):
        LoadingOptions.from_dict(record)


BAD_OPTIONS = {
    "stride alone": (["--stride", "3"], "--stride means nothing without --window"),
    "window 0": (["--window", "0"], "--window: '0' is not a whole number from 1 to 65536"),
    "window as text": (["--window", "x"], "'x' is not a whole number"),
    "lsb 0": (["--lsb", "a=0"], "'a=0' is not a number above 0"),
    "lsb NaN": (["--lsb", "nan"], "'nan' is not a number above 0"),
    "lsb as text": (["--lsb", "a"], "'a' is not a number above 0, alone or after COLUMN="),
    "resize": (["--resize", "3"], "'3' is not HxW"),
    "resize 0": (["--resize", "0x3"], "'0x3' is not HxW, each a whole number from 1 to 4096"),
    "of no data set": (["--data", "digits", "--window", "3"], "--window means nothing for the data set digits"),
    "no such file": (["--data", "nowhere.csv"], "--data 'nowhere.csv' is unknown"),
    "other file": (["--data", "model.doc"], "--data model.doc: must be a folder or one of .npz, .csv"),
    "a model for images": (["--data", "parts.csv", "--model", "small"], "small is for images"),
    "images to be moved": (["--augment", "shift", "--run", "run"], "--augment shift is for images"),
}


@pytest.mark.parametrize("case", BAD_OPTIONS)
def test_bad_option_is_one_line_and_exit_code_2(parts, case, capsys, monkeypatch):
    monkeypatch.chdir(parts(csv_text()).parent)
    parts("hello", "model.doc")
    arguments, words = BAD_OPTIONS[case]
    assert run_command(trainer, ["--data", "parts.csv", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and words in captured.err
    assert re.fullmatch(r"error: [^\n]+\n", captured.err)
    assert {path.name for path in Path().iterdir()} == {"parts.csv", "model.doc"}


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ("my data (2).csv", "my_data_2"),
        ("2024.npz", "data_2024"),
        ("é.csv", "data"),
        ("a" * 40, "a" * 31),
        ("x_.y", "x"),
    ],
)
def test_models_are_named_after_their_data(data, name):
    assert model_name(data) == name


# --- from file to verified header


@pytest.fixture(scope="module")
def motion(tmp_path_factory):
    folder = tmp_path_factory.mktemp("motion")
    (folder / "motion.csv").write_text(motion_csv())
    data, model = folder / "motion.csv", folder / "motion.npz"
    assert run_command(trainer, ["--data", str(data), *MOTION, "--epochs", "12", "--out", str(model), "--quiet"]) == 0
    return data, model


def test_accelerometer_to_verified_header_in_two_commands(motion, capsys):
    data, path = motion
    assert run_command(codegen, ["verify", str(path), "--data", str(data)]) == 0
    captured = capsys.readouterr()
    assert captured.err == "" and captured.out.count("C == Python") == 3
    model = load(path)
    record = model.provenance["data"]
    assert model.labels == ("running", "still", "walking") and model.input_shape == (64, 1, 3)
    assert record["columns"] == ["acc_x", "acc_y", "acc_z"] and record["options"]["lsb"] == {"": 0.000061}
    assert model.provenance["accuracy"]["test"]["integer"] >= 0.95
    assert str(data.parent) not in json.dumps(model.provenance)


def test_the_same_command_gives_the_same_file(motion, tmp_path, monkeypatch):
    data, path = motion
    monkeypatch.chdir(data.parent)
    words = load(path).provenance["command"].split(" ")
    assert words[:2] == ["signbit", "train"] and "motion.npz" in words
    words[words.index("motion.npz")] = str(tmp_path / "motion.npz")
    assert run_command(trainer, [*words[1:], "--quiet"]) == 0
    assert (tmp_path / "motion.npz").read_bytes() == path.read_bytes()


def test_evaluate_reads_as_the_model_was_trained_and_says_when_the_data_differ(motion, tmp_path, capsys):
    data, path = motion
    assert run_command(trainer, ["evaluate", str(path), "--data", str(data)]) == 0
    assert capsys.readouterr().err == ""
    other = tmp_path / "other.csv"
    other.write_text(motion_csv(seed=1))
    assert run_command(trainer, ["evaluate", str(path), "--data", str(other)]) == 0
    err = capsys.readouterr().err
    # the device will not choose another quantization, so neither does the evaluation
    model = load(path)
    assert np.array_equal(dataset_for(model, str(other)).quantization.bias, model.input_quantization.bias)
    capsys.readouterr()
    assert re.search(r"^note: other.csv is not what the model was trained on, so all of its 510 inputs", err, re.M)
    renamed = tmp_path / "renamed.csv"
    renamed.write_bytes(data.read_bytes())
    assert dataset_for(load(path), str(renamed)).hash == load(path).provenance["data"]["hash"]
    assert capsys.readouterr().err == ""


def test_a_subset_of_the_classes_keeps_the_models_labels(motion, tmp_path):
    data, path = motion
    lines = data.read_text().splitlines(keepends=True)
    some = tmp_path / "some.csv"
    some.write_text("".join(line for line in lines if not line.endswith("running\n")))
    found = dataset_for(load(path), str(some))
    assert found.labels == ("running", "still", "walking") and set(found.test.y) == {1, 2}


def test_data_that_do_not_fit_the_model_are_refused(motion, tmp_path, parts):
    data, path = motion
    model = load(path)
    with pytest.raises(SignbitError, match=r"trained on own data, motion.csv; say where they are with --data PATH"):
        dataset_for(model)
    text = data.read_text()
    with pytest.raises(SignbitError, match="class 'flying' is not one of the model's"):
        dataset_for(model, str(parts(text.replace("still", "flying"))))
    with pytest.raises(SignbitError, match="there is no column 'acc_x', which the model takes"):
        dataset_for(model, str(parts(text.replace("acc_x", "x"))))
    bytes_only = dataclasses.replace(model, input_quantization=None)
    with pytest.raises(SignbitError, match="the data are sensor counts, but the model takes bytes as they come"):
        dataset_for(bytes_only, str(data))
    with pytest.raises(SignbitError, match=r"has inputs of .8, 8, 1., but the model takes .64, 1, 3."):
        dataset_for(model, "digits")
    windows = save_npz(tmp_path, x=np.zeros((60, 10, 3), np.int16), y=np.array(model.labels)[Y])
    plain = dataclasses.replace(model, provenance={})
    with pytest.raises(SignbitError, match=r"the data have inputs of \(10, 1, 3\), but the model takes \(64, 1, 3\)"):
        dataset_for(plain, str(windows))


def test_a_model_with_broken_options_is_refused_in_one_line(repository, tmp_path, capsys):
    model = load(repository / FIXTURE)
    (tmp_path / "a.csv").write_text(csv_text())
    for options in ([], {"window": -1}, {"stride": 3}, {"lsb": {"a": -1}}):
        save(dataclasses.replace(model, provenance={"data": {"options": options}}), tmp_path / "m.npz")
        assert run_command(trainer, ["evaluate", str(tmp_path / "m.npz"), "--data", str(tmp_path / "a.csv")]) == 2
        assert re.fullmatch(r"error: [^\n]+\n", capsys.readouterr().err)


def test_summary_knows_own_data(motion, capsys):
    assert run_command(trainer, ["summary", "--data", str(motion[0]), *MOTION]) == 0
    assert "on inputs of 64×1×3" in capsys.readouterr().out


def test_counts_at_the_ends_of_int16_are_held_and_those_beyond_are_not():
    """In windows too, whose last axis is the column's."""
    values = np.array([INT16_MIN, INT16_MIN - 1, INT16_MAX, INT16_MAX + 1, 0.0, 0.25]).reshape(1, 3, 2)
    assert counts.saturated(values, np.ones(2)).tolist() == [0, 2]
    few, many = np.array([0, 1 / 3, 0]), np.array([0, 1000 / 3, 0])
    assert counts.coarse_columns(np.stack([few, many], axis=-1)[np.newaxis], np.ones(2)).tolist() == [0]


def test_a_column_of_which_half_is_beyond_int16_is_read_and_one_more_value_is_too_many():
    values = np.repeat([40_000.0, 1.0], 10)[:, None]
    assert counts.check_range(values, np.ones(1), ["far"]).tolist() == [10]
    values[-1] = -40_000
    with pytest.raises(SignbitError, match="column 'far': 11 of 20 values are beyond int16 with counts of 1"):
        counts.check_range(values, np.ones(1), ["far"])


def test_a_test_part_of_its_own_has_windows_of_its_own(parts):
    """None reaches from the training part's last rows into the test part's first, which are of the same class."""
    head, *lines = ["x,c", *(f"{n % 7},{'ab'[n // 60]}" for n in range(120))]
    train = parts("\n".join([head, *lines]))
    test = parts("\n".join([head, *lines[60:], *lines[:60]]), "test.csv")
    data = load_dataset(str(train), options=LoadingOptions(window=7, test_data=str(test)))
    assert np.bincount(data.test.y).tolist() == [8, 8]
    assert len(data.train) + len(data.validation) == 16
