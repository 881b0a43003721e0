"""Real activity as a table: HAPT in both forms, its split, its windows, and folders that do not hold it."""

import re

import numpy as np
import pytest

from signbit.qmodel.command import run_command
from signbit.qmodel.data.named import load_dataset
from signbit.qmodel.data.readers.loading import LoadingOptions
from tests.motion import HAPT_PEOPLE, HAPT_ROWS, HAPT_TRANSITION_ROWS, write_hapt
from tools.zoo import activity


@pytest.fixture
def hapt(tmp_path):
    write_hapt(tmp_path / "RawData")
    return tmp_path / "RawData"


def call(capsys, *arguments):
    code = run_command(activity.main, list(map(str, arguments)))
    return code, *capsys.readouterr()


def test_rows_of_the_basic_activities_with_the_published_split(hapt, capsys):
    out = hapt.parent / "activity.csv"
    assert call(capsys, hapt.parent, out) == (0, f"{out}: {len(HAPT_PEOPLE) * 6 * sum(HAPT_ROWS):,} rows\n", "")
    head, *lines = out.read_text().splitlines()
    rows = [line.split(",") for line in lines]
    assert head.split(",")[:3] == ["person", "split", "recording"]
    assert {(row[0], row[1]) for row in rows} == {("1", "train"), ("2", "test"), ("6", "validation")}
    signals = np.hstack([np.loadtxt(hapt / f"{name}_exp01_user01.txt") for name in ("acc", "gyro")])
    # the second activity begins after two stretches of the first; a value is rounded to a count
    rows_before, first = sum(HAPT_ROWS), sum(HAPT_ROWS) + 2 * HAPT_TRANSITION_ROWS
    found = np.array([row[3:9] for row in rows[rows_before : rows_before + HAPT_ROWS[0]]], float)
    assert np.abs(found - signals[first : first + HAPT_ROWS[0]]).max() < 0.0007
    assert {row[-1] for row in rows[:rows_before]} == {"walking"}


def test_no_window_crosses_activities_or_stretches_of_one(hapt):
    """Rows between two stretches are left out, so that a window across them would join what is apart."""
    table = hapt / "activity.csv"
    table.write_text(activity.activity_csv(hapt))
    options = LoadingOptions(group_column="person", recording_column="recording", window=128, stride=64)
    data = load_dataset(str(table), None, options)
    assert data.input_shape == (128, 1, 6) and data.labels == tuple(sorted(activity.ACTIVITIES))
    windows = sum(max(0, (rows - 128) // 64 + 1) for rows in HAPT_ROWS)
    for part in (data.train, data.validation, data.test):
        assert np.bincount(part.y).tolist() == [windows] * 6


def test_an_archive_gives_the_same_table(hapt, tmp_path):
    """With another worth of a count, by which its own counts were rounded."""
    folder = tmp_path / "archive"
    folder.mkdir()
    ranges = np.loadtxt(hapt / "labels.txt", dtype=int)
    worth = activity.COUNT_WORTH * 0.9999
    arrays = {name: [] for name in ("counts", "label", "user", "experiment")}
    for experiment, person, label, first, last in ranges.tolist():
        files = (hapt / f"{name}_exp{experiment:02}_user{person:02}.txt" for name in ("acc", "gyro"))
        rows = np.hstack([np.loadtxt(file) for file in files])[first : last + 1]
        exact = np.rint(rows / activity.COUNT_WORTH) * activity.COUNT_WORTH
        arrays["counts"].append(np.rint(exact / worth).astype(np.int16))
        for name, value in (("label", label), ("user", person), ("experiment", experiment - 1)):
            arrays[name].append(np.full(len(rows), value, np.int8))
    joined = {name: np.concatenate(parts) for name, parts in arrays.items()}
    np.savez(folder / activity.ARCHIVE, lsb=worth, **joined)
    assert activity.activity_csv(folder) == activity.activity_csv(hapt)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "labels.txt").unlink(), "no labels.txt in it or below; unpack HAPT there"),
        (lambda folder: (folder / "labels.txt").write_text("1 1 5 250\n"), "labels.txt: must have 5 numbers"),
        (lambda folder: (folder / "labels.txt").write_text("1 1 5 0 99999\n"), "rows 0 to 99999 are not in acc_exp01"),
        (lambda folder: (folder / "acc_exp01_user01.txt").write_text("a b c\n"), "acc_exp01_user01.txt: can't be read"),
        (lambda folder: (folder / "gyro_exp01_user01.txt").write_text("0 0 0\n"), "differ in their number of rows"),
        (lambda folder: (folder / "gyro_exp01_user01.txt").unlink(), "gyro_exp01_user01.txt: can't be read"),
        (lambda folder: (folder / activity.ARCHIVE).write_bytes(b"no"), "hapt_counts.npz: can't be understood"),
    ],
    ids=["no labels", "short labels", "outside", "no numbers", "lengths", "no gyroscope", "archive"],
)
def test_what_is_not_the_data_set_is_refused_in_one_line(hapt, tmp_path, capsys, spoil, message):
    spoil(hapt)
    code, out, err = call(capsys, hapt, tmp_path / "a.csv")
    assert (code, out) == (2, "") and message in err and re.fullmatch(r"error: [^\n]+\n", err)
    assert not (tmp_path / "a.csv").exists()
