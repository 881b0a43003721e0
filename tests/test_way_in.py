"""Files as strangers have them: each trains with at most two options, and what was guessed is said."""

import gzip
import os
import re
import subprocess
import sys
import wave
from collections.abc import Callable

import numpy as np
import pytest

from signbit.codegen.commands.cli import main as codegen
from signbit.qmodel.command import run_command
from signbit.qmodel.data import own
from signbit.qmodel.data.inputs import inputs_of
from signbit.qmodel.data.named import dataset_for, load_dataset
from signbit.qmodel.data.readers import arrow_file
from signbit.qmodel.data.readers.dialect import Dialect, guess
from signbit.qmodel.data.readers.loading import LoadingOptions
from signbit.qmodel.data.readers.sound_file import read_sound
from signbit.qmodel.data.readers.table import columns_text
from signbit.qmodel.data.reading import read
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.file import load
from signbit.qmodel.input_quantization import fit_affine

RNG = np.random.default_rng(7)


def table(rows=90, separator=",", decimal=".", header="temp,hum,kind", classes=("low", "mid", "high"), end="\n") -> str:
    """Real numbers with the class in the last column; the first column gives it away."""
    lines = [header.replace(",", separator)] if header else []
    for n in range(rows):
        cells = f"{20 * (n % 3) + n % 7 / 10:.1f}", f"{n % 13 / 4:.2f}", classes[n % len(classes)]
        lines.append(separator.join(cell.replace(".", decimal) if k < 2 else cell for k, cell in enumerate(cells)))
    return end.join(lines) + end


def recordings(kind: str, count=12, rows=25, blank="") -> str:
    """Recordings of the same length, of a wave whose form is the class, an empty line after each."""
    lines = ["ax,ay"]
    for number in range(count):
        time = np.arange(rows)
        wave_form = np.sin(time * {"flex": 0.3, "punch": 1.2}[kind] + number)
        lines += [f"{value:.3f},{value * 2 + 1:.3f}" + blank for value in wave_form]
        lines += ["", ""]
    return "\n".join(lines) + "\n"


def save_wav(path, frequency, frames=200, rate=8000, width=2):
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as sound:
        sound.setparams((1, width, rate, 0, "NONE", ""))
        values = np.sin(np.arange(frames) * frequency) * 9000
        sound.writeframes(values.astype("<i2").tobytes() if width == 2 else bytes(frames))


def one_hot() -> str:
    rows = [f"{(n % 3) * 40 + n % 5},{n % 11}," + ",".join(str(int(k == n % 3)) for k in range(3)) for n in range(60)]
    return "x,y,is_a,is_b,is_c\n" + "\n".join(rows) + "\n"


def separated_by_blanks() -> str:
    return "\n".join(f"  {n % 3 * 30 + n % 5}.5   {n % 7}\t {n % 3 + 1}" for n in range(90)) + "\n"


def with_missing() -> str:
    return table().replace("\n0.5,", "\n?,").replace("20.1,", ",")


FILES = {
    # name of the file: content, options, labels
    "plain.csv": (table(), [], ("high", "low", "mid")),
    "plain.tsv": (table(separator="\t"), [], ("high", "low", "mid")),
    "plain.data": (table(header=""), [], ("high", "low", "mid")),
    "blanks.dat": (separated_by_blanks(), [], ("1", "2", "3")),
    "europe.csv": (table(separator=";", decimal=","), [], ("high", "low", "mid")),
    "letters.tra": (table(header=""), [], ("high", "low", "mid")),
    "logger.LOG": (table(separator="\t"), [], ("high", "low", "mid")),
    "bars.txt": (table(separator="|"), [], ("high", "low", "mid")),
    "windows.csv": ("\ufeff" + table(end="\r\n"), [], ("high", "low", "mid")),
    "utf16.csv": (table().encode("utf-16"), [], ("high", "low", "mid")),
    "packed.csv.gz": (gzip.compress(table().encode()), [], ("high", "low", "mid")),
    "index.csv": (
        "".join(f"{n - 1 if n else ''},{line}\n" for n, line in enumerate(table().splitlines())),
        [],
        ("high", "low", "mid"),
    ),
    "label-first.csv": (
        "kind,a,b\n" + "".join(f"{'xyz'[n % 3]},{n % 3 * 9}.5,{n % 4}\n" for n in range(60)),
        [],
        ("x", "y", "z"),
    ),
    "sklearn.csv": (
        "60,2,red,green,blue\n" + "".join(f"{n % 3 * 7}.1,{n % 5},{n % 3}\n" for n in range(60)),
        [],
        ("red", "green", "blue"),
    ),
    "one-hot.csv": (one_hot(), [], ("is_a", "is_b", "is_c")),
    "missing.csv": (with_missing(), ["--missing", "median"], ("high", "low", "mid")),
    "rare.csv": (table() + "1.5,2.5,once\n", ["--rare-classes", "drop"], ("high", "low", "mid")),
    "date.csv": (
        "when,t,kind\n"
        + "".join(
            f"2024-01-{n % 28 + 1:02} 10:{n % 60:02}:{n % 60:02}.{n},{n % 2}.5,{'ab'[n % 2]}\n" for n in range(60)
        ),
        [],
        ("a", "b"),
    ),
    "ragged-name.csv": (
        "a,b,kind\n" + "".join(f"{n},{n % 3}.5,{n % 7},{'pqr'[n % 3]}\n" for n in range(60)),
        [],
        ("p", "q", "r"),
    ),
    "trailing.csv": (table().replace("\n", ",\n"), [], ("high", "low", "mid")),
    "split.csv": (
        "x,kind,split\n"
        + "".join(f"{n % 2 * 9 + n % 4},{'ab'[n % 2]},{'test' if n > 40 else 'train'}\n" for n in range(60)),
        [],
        ("a", "b"),
    ),
    "quoted.csv": ('"Temp, C";"kind"\n' + "".join(f"{n % 2 * 9}.5;{'ab'[n % 2]}\n" for n in range(40)), [], ("a", "b")),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_as_it_was_published_gives_a_verified_header(name, parts, trainer, tmp_path, capsys):
    content, options, labels = FILES[name]
    path = parts(content, name)
    code, _, err = trainer(
        "--data", path, *options, "--epochs", "2", "--hidden", "4", "--quiet", "--out", tmp_path / "m.npz"
    )
    assert code == 0, err
    assert load(tmp_path / "m.npz").labels == labels
    assert run_command(codegen, ["verify", str(tmp_path / "m.npz"), "--data", str(path)]) == 0
    captured = capsys.readouterr()
    assert captured.out.count("C == Python") == 3 and captured.err == ""


@pytest.mark.parametrize("name", FILES)
def test_a_file_as_it_was_published_has_its_classes_and_parts(name, parts):
    content, words, labels = FILES[name]
    options = {flag.strip("-").replace("-", "_"): word for flag, word in zip(words[::2], words[1::2], strict=True)}
    data = own.load_own(parts(content, name), LoadingOptions(**options))
    assert data.labels == labels
    assert data.split_rule.startswith("the data set's own test" if name == "split.csv" else "stratified")


BEFORE_0_AND_1 = {
    "another number": lambda n: f"{n % 2},{2 if n == 7 else (n + 1) % 2},{n % 3 % 2}",
    "two at a time": lambda n: f"{n % 2},{(n + 1) % 2},{n % 3 % 2}",
    "none in some rows": lambda n: f"0,0,{n % 2}",
}


@pytest.mark.parametrize("case", BEFORE_0_AND_1)
def test_numbers_before_a_label_of_0_and_1_are_no_classes(parts, case):
    """They would be, if one column in each row were 1."""
    samples = read(parts("x,y,c\n" + "".join(f"{BEFORE_0_AND_1[case](n)}\n" for n in range(60))), LoadingOptions())
    assert (samples.columns, samples.labels) == (("x", "y"), ("0", "1"))


def test_words_of_a_split_column_name_the_parts(parts):
    words = ("train", "training", "validation", "val", "valid", "dev", "test", "testing")
    content = "x,c,split\n" + "".join(f"{n},{'ab'[n // 8 % 2]},{words[n % 8]}\n" for n in range(64))
    assert read(parts(content), LoadingOptions()).part[:8].tolist() == [0, 0, 1, 1, 1, 1, 2, 2]


@pytest.mark.parametrize(("rows", "columns"), [(9, ("when", "x")), (10, ("x",))])
def test_texts_that_differ_in_ten_rows_are_no_feature(parts, rows, columns):
    content = "when,x,c\n" + "".join(f"t{n},{n % 4},{'ab'[n % 2]}\n" for n in range(rows))
    if len(columns) == 2:
        with pytest.raises(SignbitError, match="column 'when': 't0' is not a number"):
            own.load_own(parts(content), LoadingOptions())
    else:
        assert read(parts(content), LoadingOptions()).columns == columns


def test_a_column_without_values_is_left_out_unless_it_is_wanted(parts):
    content = "x,nothing,c\n" + "".join(f"{n % 4},,{'ab'[n % 2]}\n" for n in range(30))
    samples = read(parts(content), LoadingOptions())
    assert samples.columns == ("x",) and "column 'nothing': no value in any row" in " ".join(samples.notes)
    with pytest.raises(SignbitError, match="column 'nothing': the value is missing"):
        read(parts(content), LoadingOptions(use_columns=("nothing",)))


def test_every_guess_is_said(parts, trainer, tmp_path):
    def notes(content, name="parts.csv", *options):
        code, _, err = trainer("--data", parts(content, name), "--epochs", "1", "--hidden", "2", "--quiet", *options)
        assert code == 0
        return err

    assert "separated by semicolons; see --separator" in notes(table(separator=";"))
    assert "decimal comma; see --decimal" in notes(table(separator=";", decimal=","))
    assert "not a header, so columns are called 1, 2, ...; see --header" in notes(table(header=""))
    assert "'temp' is worth 0.00195312; see --lsb" in notes(table())
    assert "left out column 'when': a different text in each row" in notes(FILES["date.csv"][0])
    assert "3 columns of which one is 1; see --label-column" in notes(one_hot())
    assert "left out 9 of 90 rows, which lack a value" in notes(with_missing(), "m.csv", "--missing", "drop")
    assert "left out 1 class with fewer than 10 samples each, 1 sample in all" in notes(
        *FILES["rare.csv"][:1], "r.csv", "--rare-classes", "drop"
    )
    assert "column 'split' gives the parts" in notes(FILES["split.csv"][0])


def rows_of(first: Callable[[int], str], second: Callable[[int], str] = lambda n: f"{n % 7}.5", count=60) -> str:
    """Lines of two cells and a class."""
    return "".join(f"{first(n)},{second(n)},{'ab'[n % 2]}\n" for n in range(count))


def cells(n: int) -> str:
    return f"{n % 5 / 4}"


STRANGE = {
    # file: what it has besides a table, the columns that are features, first values, words of a note
    "a spreadsheet's separator": ("sep=;\nx;y;c\n1,5;2;a\n2,5;3;b\n", ("x", "y"), (1.5, 2), "decimal comma"),
    "comments": ("# by a logger\n# 3, 4\nx,y,c\n" + rows_of(cells), ("x", "y"), (0, 0.5), "left out 2 lines of comm"),
    "a header in a comment": ("# by a logger\n# x y c\n1.5 2 a\n2 3 b\n", ("x", "y"), (1.5, 2), "left out 1 line of"),
    "many lines of comments": (
        "# by a logger\n" * 9 + "x,y,c\n" + rows_of(cells),
        ("x", "y"),
        (0, 0.5),
        "left out 9 lines",
    ),
    "a row of units": ("x,y,c\ns,m/s^2,-\n" + rows_of(cells), ("x", "y"), (0, 0.5), "left out row 2, which gives unit"),
    "names that are there twice": (
        "x,x,c\n" + rows_of(cells),
        ("x", "x (2)"),
        (0, 0.5),
        "several columns are named 'x'",
    ),
    "its header once more": (
        "x,y,c\n" + 2 * rows_of(cells) + "x,y,c\n1,2,a\n",
        ("x", "y"),
        (0, 0.5),
        "where the header is repeated",
    ),
    "words for yes and no": ("x,y,c\n" + rows_of(lambda n: ("No", "TRUE")[n % 2]), ("x", "y"), (0, 0.5), "1 for true"),
    "a time": (
        "time (ms),x,y,c\n" + rows_of(lambda n: f"{n * n}.5,{n % 3}"),
        ("x", "y"),
        (0, 0.5),
        "'time (ms)': values that rise",
    ),
    "a time that begins anew": (
        "t,x,y,c\n" + rows_of(lambda n: f"{n % 30 / 10},{n % 3}"),
        ("x", "y"),
        (0, 0.5),
        "'t': values that rise",
    ),
    "a number with gaps": (
        "id,y,c\n" + rows_of(lambda n: f"{900 + n * n}"),
        ("y",),
        (0.5,),
        "'id': values that rise from row to",
    ),
    "its label first": (
        "".join(f"{n % 2 + 1},{n % 9}.5,{n * 1.37:.2f}\n" for n in range(60)),
        ("2", "3"),
        (0.5, 0),
        "the label is column '1': the first column",
    ),
    "thousands": ('x,y,c\n"1,234.5",2,a\n"-12,345,678",3,b\n', ("x", "y"), (1234.5, 2), None),
    "thousands by blanks": (
        "x;y;c\n1\u00a0234,5;2;a\n\u22121\u202f234;3;b\n",
        ("x", "y"),
        (1234.5, 2),
        "decimal comma",
    ),
    "thousands by points": ("x;y;c\n1.234,5;2;a\n12.345.678;3;b\n", ("x", "y"), (1234.5, 2), "decimal comma"),
}


@pytest.mark.parametrize("case", STRANGE)
def test_what_loggers_and_spreadsheets_add_is_understood_and_said(parts, case):
    content, columns, first, note = STRANGE[case]
    samples = read(parts(content), LoadingOptions())
    assert samples.columns == columns and samples.values[0].tolist() == list(first)
    assert note is None or any(note in text for text in samples.notes), samples.notes
    assert len(samples.labels) == 2


def test_more_empty_lines_than_usual_end_a_recording(parts):
    """Some loggers write one after every row."""
    samples = read(parts("x,c\n1,a\n\n2,a\n\n3,a\n\n\n4,b\n\n5,b\n"), LoadingOptions())
    assert samples.starts.tolist() == [True, False, False, True, False]


def test_a_repeated_header_ends_a_recording(parts):
    samples = read(parts("x,c\n1,a\n2,a\nx,c\n3,a\n4,b\n"), LoadingOptions())
    assert samples.starts.tolist() == [True, False, True, False]


@pytest.mark.parametrize(
    ("content", "options", "words"),
    [
        ('x,y,c\n"1,234",2.5,a\n"2,345",3.5,b\n', {}, "'1,234' is not a number; correct it, or see --decimal"),
        ("x;y;c\n1.5;2;a\n2,5;3;b\n", {"decimal": "comma"}, "'1.5' is not a number"),
        ("x,y,c\n0,1,a\nno,2,b\n3.5,3,a\n", {}, "row 3, column 'x': 'no' is not a number"),
        ("x,y,c\n" + rows_of(lambda n: "5", lambda n: "7"), {}, "same values, so there is nothing to learn from"),
        (b"x,y,c\n1,2,a\n3,\0\0\0", {}, "line 3 has zero bytes in it; remove that line, or save the file as UTF-8"),
        ("x,c\n1,a\n2,b\n".encode("utf-16-le"), {}, "line 1 has zero bytes"),
        (b"PK\x03\x04 and so on", {}, "is a workbook or an archive; save its table as .csv"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", {}, "is a workbook; save its table as .csv"),
        (gzip.compress(b"x,c\n1,a\n", mtime=0), {}, "is compressed; add .gz to its name"),
        (b"PAR1\x15\x04", {}, "is Parquet; call it .parquet"),
    ],
)
def test_what_could_mean_two_things_is_refused(parts, content, options, words):
    with pytest.raises(SignbitError, match=words):
        own.load_own(parts(content), LoadingOptions(**options))


def test_a_workbook_is_refused_with_what_to_do(parts, trainer):
    code, _, err = trainer("look", parts(b"PK", "book.xlsx"))
    assert (code, err) == (2, "error: --data book.xlsx: is a workbook; save its sheet as .csv\n")


def test_look_counts_no_text_as_missing_and_suggests_groups(parts, trainer):
    text = "subject,colour,x,c\n" + "".join(f"{n % 4},{'rg'[n % 2]},{n % 9}.5,{n % 3}\n" for n in range(60))
    _, out, err = trainer("look", parts(text))
    assert "--missing" not in out and "nan" not in out and err == ""
    assert "suggested: --group-column 'subject'" in out


def test_look_suggests_for_a_few_columns_only(parts, trainer):
    """Here rows and columns are exchanged."""
    rows = [",".join(["name", *(f"s{n}" for n in range(40))]), ",".join(["x", *map(str, range(40))])]
    _, out, _ = trainer("look", parts("\n".join([*rows, ",".join(["kind", *(40 * ["a"])])]) + "\n"))
    assert out.count("suggested: --ignore-column") == 5
    assert "the same for 35 more columns; do the rows hold the samples?" in out


def rows_with(*columns: Callable[[int], object], count=60) -> str:
    """A table of columns made from the row's number, the last one the class."""
    names = ",".join([*"xyz"[: len(columns) - 1], "c"])
    return "\n".join([names, *(",".join(str(make(n)) for make in columns) for n in range(count))]) + "\n"


DOUBTS = {
    # file: its table, the note, None where there is nothing to doubt
    "classes in capitals": (
        rows_with(lambda n: n % 7, lambda n: ("Idle", "run", "IDLE ", "idle")[n % 4]),
        "classes 'IDLE', 'Idle', 'idle' differ only in how they are written; are they one?",
    ),
    "numbers of classes": (
        rows_with(lambda n: n % 7, lambda n: ("1", "2", "01")[n % 3]),
        "classes '01', '1' differ only in how they are written; are they one?",
    ),
    "the class twice": (
        rows_with(lambda n: n % 7, lambda n: 2 - n % 3, lambda n: "abc"[n % 3]),
        "column 'y' has one value for each class; if it is the class once more, leave it out with --ignore-column",
    ),
    "the class twice, except in the last row": (
        rows_with(lambda n: n % 7, lambda n: 9 if n == 59 else n % 3, lambda n: "abc"[n % 3]),
        None,
    ),
    "one value for two classes": (rows_with(lambda n: n % 7, lambda n: n % 3 // 2, lambda n: "abc"[n % 3]), None),
    "a number for none": (
        rows_with(lambda n: n % 7, lambda n: -999 if n % 10 == 3 else n % 13 / 4, lambda n: "ab"[n % 2]),
        "column 'y': -999, in 6 rows, is far from all other values, 0 to 3; if it means that there is none, leave "
        "those cells empty and see --missing",
    ),
    "a high number for none": (
        rows_with(lambda n: 9999 if n % 10 == 3 else n % 13 - 20, lambda n: "ab"[n % 2]),
        "column 'x': 9999, in 6 rows, is far from all other values, -20 to -8;",
    ),
    "one outlier": (rows_with(lambda n: -999 if n == 9 else n % 13, lambda n: "ab"[n % 2]), None),
    "two states": (rows_with(lambda n: 500 * (n % 5 == 0), lambda n: n % 9, lambda n: "ab"[n % 2]), None),
    "mostly zero": (rows_with(lambda n: n % 3 and n % 11 and 50 + n % 9, lambda n: "ab"[n % 2]), "column 'x': 0, in"),
    "more zeros than not": (rows_with(lambda n: 50 + n % 9 if n % 3 == 0 else 0, lambda n: "ab"[n % 2]), None),
}


@pytest.mark.parametrize("case", DOUBTS)
def test_what_looks_like_a_mistake_is_said_and_kept(parts, case):
    content, note = DOUBTS[case]
    data = own.load_own(parts(content), LoadingOptions(rare_classes="drop"))
    found = [text for text in data.notes if re.search("differ only|for each class|far from", text)]
    assert [text[: len(note or text)] for text in found] == ([] if note is None else [note])
    assert data.columns == tuple(content.split("\n")[0].split(",")[:-1])


def test_doubts_need_no_values_that_are_there(parts):
    table = rows_with(lambda n: "" if n % 4 else -999 if n % 8 else n % 5, lambda n: n % 9, lambda n: "ab"[n % 2])
    data = own.load_own(parts(table), LoadingOptions(missing="median"))
    assert any("column 'x': -999, in" in note for note in data.notes)


@pytest.mark.parametrize("kind", ["tables", "sounds", "images"])
def test_folders_in_folders_of_classes_are_said_to_play_no_role(tmp_path, trainer, kind):
    folder = tmp_path / "s"
    for number in range(24):
        path = folder / "ab"[number % 2] / ("anna", "ben")[number // 2 % 2] / f"{number}.x"
        path.parent.mkdir(parents=True, exist_ok=True)
        if kind == "tables":
            path.with_suffix(".csv").write_text("x,y\n" + f"{number},2.5\n3,{number % 2}\n" * 4)
        elif kind == "sounds":
            save_wav(path.with_suffix(".wav"), 0.1 + number % 2)
        else:
            pillow = pytest.importorskip("PIL.Image", reason="Pillow is not installed (pip install 'signbit[images]')")
            pillow.new("L", (4, 4), number * 9).save(path.with_suffix(".png"))
    note = "the classes are the outer folders, a, b; those in them, anna, ben, are not used"
    assert note in own.load_own(folder, LoadingOptions()).notes
    assert note in trainer("look", folder)[1]


def test_a_column_of_texts_that_hardly_repeat_is_no_label(parts):
    """One value that is there twice by chance used to be enough."""
    table = rows_with(lambda n: n % 7, lambda n: f"t{max(n, 1)}", lambda n: n % 3)
    with pytest.raises(SignbitError, match="column 'y': 't1' is not a number"):
        own.load_own(parts(table), LoadingOptions())
    assert own.load_own(parts(table), LoadingOptions(ignore_columns=("y",))).labels == ("0", "1", "2")


def test_each_guess_can_be_overridden(parts):
    def table(content, **options):
        return read(parts(content), LoadingOptions(**options))

    assert table("1,2\n3,4\n5,6\n", header="yes").columns == ("1",)
    assert table("1,b\n3,x\n5,y\n", header="no").labels == ("b", "x", "y")
    assert table("x,y|kind\n1|a\n5|b\n", separator="|", header="yes").columns == ("x,y",)
    with pytest.raises(SignbitError, match="'1,5' is not a number"):
        table("1,5;a\n2,5;b\n", decimal="point", separator=";", header="no")
    index = "id,x,kind\n" + "".join(f"{n},{n % 2},{'ab'[n % 2]}\n" for n in range(30))
    assert table(index).columns == ("x",) and table(index, use_columns=("id",)).columns == ("id", "x")
    assert table(one_hot(), label_column="y").labels[:2] == ("0", "1")


def test_the_median_is_of_the_training_part(parts):
    def content(values):
        return "x,y,kind\n" + "".join(f"{values[n]},{n % 2 * 5}.5,{'ab'[n % 2]}\n" for n in range(100))

    options = LoadingOptions(missing="median")
    train = own._split(read(parts(content([0] * 100)), options), 0)[0][0]
    values = [list(train).index(n) if n in train else 999 for n in range(100)]
    values[train[0]] = ""
    data = load_dataset(str(parts(content(values))), options=options)
    assert data.medians == {"x": len(train) // 2}


def test_values_beyond_the_sensors_range_are_clamped_and_counted(parts, trainer):
    rows = "".join(f"{-4.0 if n % 9 == 0 else n % 2 * 1.5 + 0.001},{'ab'[n % 2]}\n" for n in range(60))
    code, _, err = trainer("--data", parts("g,kind\n" + rows), "--lsb", "0.000122", "--epochs", "1", "--quiet")
    assert code == 0 and "column 'g': 7 values beyond int16 with counts of 0.000122, clamped" in err
    code, _, err = trainer("--data", parts("g,kind\n" + rows), "--lsb", "0.00001", "--epochs", "1")
    assert code == 2 and re.fullmatch(
        r"error: column 'g': \d+ of 60 values are beyond int16 .* larger lsb for it\n", err
    )


def test_a_large_offset_that_swallows_a_column_is_said(parts):
    """All counts are the same, and so near to a whole number that none seems to be rounded."""
    text = "far,x,c\n" + "".join(f"{2**62 + n * 4096},{n % 9},{'ab'[n % 2]}\n" for n in range(60))
    assert any("'far' covers few counts" in note for note in own.load_own(parts(text), LoadingOptions()).notes)


def test_an_lsb_that_swallows_a_column_is_said(parts, trainer):
    rows = "".join(f"{n % 7 / 100},{'ab'[n % 2]}\n" for n in range(60))
    err = trainer("--data", parts("x,kind\n" + rows), "--lsb", "0.05", "--epochs", "1", "--quiet")[2]
    assert "column 'x' covers few counts of 0.05" in err


# --- recordings


@pytest.mark.parametrize("by_folder", [True, False])
@pytest.mark.parametrize("blank", ["", "\n"], ids=["plain", "an empty line after each row"])
def test_a_folder_of_recordings_trains_and_is_verified(tmp_path, trainer, by_folder, blank, capsys):
    folder = tmp_path / "gestures"
    for kind in ("flex", "punch"):
        for number in range(2):
            file = folder / kind / f"{number}.csv" if by_folder else folder / f"{kind}_{number}.csv"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(recordings(kind, blank=blank))
    (folder / "README.md").write_text("hello")
    out = tmp_path / "m.npz"
    code, _, err = trainer("--data", folder, "--model", "mlp", "--epochs", "3", "--quiet", "--out", out)
    assert code == 0 and "each recording, of 25 rows, is an input; see --window" in err
    assert "left out 1 file: 1 .md" in err
    model = load(out)
    assert model.labels == ("flex", "punch") and model.input_shape == (25, 1, 2)
    data = dataset_for(model, str(folder))
    assert len(data.train) + len(data.validation) + len(data.test) == 48 and not data.is_whole
    assert run_command(codegen, ["verify", str(out), "--data", str(folder)]) == 0


def test_a_log_beside_recordings_is_left_out(tmp_path, trainer):
    for number in range(24):
        path = tmp_path / "s" / "ab"[number % 2] / f"{number}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x,y\n" + f"{number},2.5\n3,{number % 2}\n" * 4)
    path.with_name("recorder.log").write_text("started\nstopped\n")
    assert "left out 1 file: 1 .log" in trainer("look", tmp_path / "s")[1]


def test_windows_begin_where_recordings_begin(tmp_path):
    path = tmp_path / "all.csv"
    path.write_text(
        recordings("flex").replace("\n", ",flex\n").replace("\n,flex", "\n").replace("ay,flex", "ay,kind")
        + recordings("punch").split("\n", 1)[1].replace("\n", ",punch\n").replace("\n,punch", "\n")
    )
    samples = read(path, LoadingOptions(window=20))
    inputs, _ = inputs_of(path, samples, LoadingOptions(window=20))
    assert np.array_equal(inputs.start, np.arange(24) * 25) and len(set(inputs.samples.groups.tolist())) == 24


def test_a_recording_column_ends_a_window(parts):
    rows = "".join(f"{n},{n // 10},{'ab'[n // 10 % 2]}\n" for n in range(400))
    samples = read(parts("x,rec,kind\n" + rows), LoadingOptions(window=10, recording_column="rec"))
    assert samples.columns == ("x",) and np.flatnonzero(samples.starts).tolist() == list(range(0, 400, 10))


def test_recordings_of_other_lengths_need_a_window(tmp_path, trainer):
    for kind in ("flex", "punch"):
        (tmp_path / f"{kind}.csv").write_text(recordings(kind) + recordings(kind, rows=30).split("\n", 1)[1])
    code, _, err = trainer("--data", tmp_path, "--epochs", "1")
    assert code == 2 and "its recordings have 25 to 30 rows; say how many make an input, --window 25" in err


def test_recordings_with_other_columns_are_refused_by_name(tmp_path, trainer):
    (tmp_path / "flex.csv").write_text(recordings("flex"))
    (tmp_path / "punch.csv").write_text(recordings("punch").replace("ay", "az"))
    code, _, err = trainer("--data", tmp_path, "--window", "25")
    assert code == 2 and err == "error: punch.csv: has the columns ax, az, but flex.csv has ax, ay\n"


@pytest.mark.parametrize("by_folder", [True, False])
def test_sound_of_a_class_a_folder_or_a_name(tmp_path, trainer, by_folder):
    for kind, frequency in (("low", 0.1), ("high", 1.0)):
        for number in range(10):
            save_wav(
                tmp_path / "s" / kind / f"{number}.wav" if by_folder else tmp_path / "s" / f"{kind}-{number}.wav",
                frequency,
            )
    out = tmp_path / "m.npz"
    code, _, err = trainer("--data", tmp_path / "s", "--model", "mlp", "--epochs", "1", "--quiet", "--out", out)
    assert code == 0 and "20 .wav files at 8000 Hz" in err and load(out).labels == ("high", "low")


def test_sound_of_parts_of_a_name_and_bad_sound(tmp_path, trainer):
    for number in range(10):
        for label in "01":
            save_wav(tmp_path / "s" / f"{label}_{'xyzuv'[number % 5]}_{number}.wav", 0.1 + int(label))
    samples = read(tmp_path / "s", LoadingOptions(label_column="1", group_column="2"))
    assert samples.labels == ("0", "1") and samples.groups.max() == 4
    save_wav(tmp_path / "s" / "0_x_99.wav", 1, rate=16000)
    assert "1 channel at 16000 Hz, but" in trainer("--data", tmp_path / "s", "--label-column", "1")[2]
    (tmp_path / "s" / "0_x_99.wav").write_bytes(b"RIFF")
    said = trainer("--data", tmp_path / "s", "--label-column", "1")[2]
    assert "is not a .wav of plain samples, or damaged (it ends too early)" in said


def test_flac_is_read_as_wav_is(tmp_path, trainer, monkeypatch):
    """At any rate, 8 or 16 bits as they are; everything else is one line."""
    soundfile = pytest.importorskip("soundfile", reason="soundfile is not installed (pip install 'signbit[sound]')")
    values = np.random.default_rng(0).integers(-(2**15), 2**15, (700, 2)).astype(np.int16)
    path = tmp_path / "s" / "a_1.flac"
    path.parent.mkdir()
    for rate in (8000, 11_025, 192_000):
        soundfile.write(path, values, rate)
        found, names, rate_hz = read_sound(path)
        assert np.array_equal(found, values) and (names, rate_hz) == (("left", "right"), rate)
    soundfile.write(path, values & -256, 8000, subtype="PCM_S8")
    assert np.array_equal(read_sound(path)[0], values >> 8)
    for number in range(2, 12):
        soundfile.write(path.with_name(f"{'ab'[number % 2]}_{number}.flac"), values, 8000)
    path.unlink()
    samples = read(tmp_path / "s", LoadingOptions(label_column="1"))
    assert samples.labels == ("a", "b") and samples.values.shape == (7000, 2) and samples.starts.sum() == 10
    assert samples.notes == ("10 .flac files at 8000 Hz",)
    soundfile.write(path, values, 8000, subtype="PCM_24")
    assert "a_1.flac: has samples of the kind PCM_24; save it as 16-bit PCM" in trainer("--data", tmp_path / "s")[2]
    content = path.read_bytes()
    for damaged in (content[:40], b"RIFF" + content[4:], content[:4]):
        path.write_bytes(damaged)
        assert re.match("error: a_1.flac: is (damaged|not a .flac)", trainer("--data", tmp_path / "s")[2])
    monkeypatch.setitem(sys.modules, "soundfile", None)
    assert "needs soundfile; install it with: pip install 'signbit[sound]'" in trainer("--data", tmp_path / "s")[2]


def test_a_wav_of_another_kind_is_read_by_the_library_or_refused(tmp_path, trainer, monkeypatch):
    """Python's own reader knows WAVE_FORMAT_EXTENSIBLE from 3.12 on; the samples are the same without it."""
    soundfile = pytest.importorskip("soundfile", reason="soundfile is not installed (pip install 'signbit[sound]')")
    values = np.random.default_rng(0).integers(-(2**15), 2**15, (700, 2)).astype(np.int16)
    path = tmp_path / "s" / "a_1.wav"
    path.parent.mkdir()
    for subtype, shift in (("PCM_16", 0), ("PCM_U8", 8)):
        soundfile.write(path, values >> shift << shift, 8000, subtype=subtype, format="WAVEX")
        assert np.array_equal(read_sound(path)[0], values >> shift)
    for subtype in ("FLOAT", "ULAW", "IMA_ADPCM"):
        soundfile.write(path, values, 8000, subtype=subtype)
        line = f"error: a_1.wav: has samples of the kind {subtype}; save it as 16-bit PCM\n"
        assert trainer("look", tmp_path / "s")[2] == line
    monkeypatch.setitem(sys.modules, "soundfile", None)
    assert trainer("look", tmp_path / "s")[2] == (
        "error: a_1.wav: reading this kind of .wav needs soundfile; install it with: pip install 'signbit[sound]'\n"
    )


# --- other formats, other parts


ARFF = "@relation r\n@attribute t numeric\n@attribute h real\n@attribute kind {low,mid,high}\n@data\n"


def test_arff_and_arrow_are_tables_too(parts, tmp_path):
    expected = read(parts(table()), LoadingOptions())
    pytest.importorskip("scipy", reason="SciPy is not installed (pip install 'signbit[tables]')")
    arrow = pytest.importorskip("pyarrow", reason="PyArrow is not installed (pip install 'signbit[tables]')")
    from pyarrow import feather, parquet

    columns = {
        "temp": expected.values[:, 0],
        "hum": expected.values[:, 1],
        "kind": [expected.labels[c] for c in expected.classes],
    }
    parquet.write_table(arrow.table(columns), tmp_path / "t.parquet")
    feather.write_feather(arrow.table(columns), str(tmp_path / "t.feather"))
    for path in (parts(ARFF + table(header=""), "t.arff"), tmp_path / "t.parquet", tmp_path / "t.feather"):
        samples = read(path, LoadingOptions())
        assert np.array_equal(samples.values, expected.values) and samples.labels == expected.labels
        with pytest.raises(SignbitError, match="--separator means nothing for a"):
            read(path, LoadingOptions(separator=";"))


@pytest.mark.parametrize(("module", "name"), [("scipy.io", "t.arff"), ("pyarrow", "t.parquet")])
def test_a_missing_library_is_named_with_its_extra(parts, monkeypatch, module, name):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SignbitError, match=re.escape("pip install 'signbit[tables]'")):
        read(parts(ARFF, name), LoadingOptions())


def test_a_test_part_of_its_own(parts, trainer, tmp_path):
    train, test = parts(table(90), "train.csv"), parts(table(30, header="hum,temp,kind"), "test.csv")
    out = tmp_path / "m.npz"
    words = ("--data", train, "--test-data", test, "--epochs", "1", "--hidden", "4", "--quiet", "--out", out)
    assert trainer(*words)[0] == 0
    record = load(out).provenance
    assert (record["data"]["train"] + record["data"]["validation"], record["data"]["test"]) == (90, 30)
    assert record["data"]["options"] == {"test_data": "test.csv"} and "--test-data test.csv" in record["command"]
    assert str(tmp_path) not in str(record)
    other = parts("temp,hum,kind\n1,2,other\n", "other.csv")
    assert "class 'other' is not in train.csv" in trainer("--data", train, "--test-data", other)[2]


def test_npz_that_is_split_already(tmp_path):
    x, y = np.arange(120, dtype=np.uint8).reshape(60, 2), np.arange(60) % 3
    np.savez(tmp_path / "k.npz", x_train=x[:40], y_train=y[:40], x_test=x[40:], y_test=y[40:])
    data = load_dataset(str(tmp_path / "k.npz"))
    assert len(data.test) == 20 and np.array_equal(data.test.x, x[40:])


# --- new data for a model


@pytest.fixture
def model(parts, trainer, tmp_path):
    out = tmp_path / "model.npz"
    path = parts(table(), "train.csv")
    assert trainer("--data", path, "--epochs", "20", "--quiet", "--out", out)[0] == 0
    return out


def test_columns_are_matched_by_name(model, parts, trainer):
    lines = [line.split(",") for line in table().splitlines()]
    swapped = "\n".join(f"{b},{a},{c}" for a, b, c in lines) + "\n"
    expected = trainer("evaluate", model, "--data", parts(table(), "train.csv"))
    code, out, err = trainer("evaluate", model, "--data", parts(swapped, "train.csv"))
    assert (code, out, err) == expected and "of the test part" in out
    code, _, err = trainer("evaluate", model, "--data", parts(table(header="pressure,co2,kind"), "other.csv"))
    assert code == 2 and "there is no column 'temp', which the model takes; there are pressure, co2, kind" in err


def test_all_of_a_new_file_is_evaluated(model, parts, trainer):
    more = parts(table(7).replace("hum", "extra,hum").replace("\n2", "\n9,2").replace("0.", "9,0.", 1), "new.csv")
    more.write_text(
        "".join(f"{a},9,{b}\n" for a, b in (line.split(",", 1) for line in table(7).splitlines())).replace(
            ",9,hum", ",extra,hum", 1
        )
    )
    code, out, err = trainer("evaluate", model, "--data", more)
    assert code == 0 and "/7 of all inputs)" in out
    assert "left out column 'extra': no input of the model" in err and "all of its 7 inputs are taken" in err


def test_a_new_person_is_evaluated_though_groups_are_too_few(parts, trainer, tmp_path):
    rows = [f"p{n // 20},{n % 2 * 30 + n % 5},{'ab'[n % 2]}" for n in range(200)]
    path, out = parts("who,x,kind\n" + "\n".join(rows) + "\n", "people.csv"), tmp_path / "m.npz"
    assert trainer("--data", path, "--group-column", "who", "--epochs", "3", "--quiet", "--out", out)[0] == 0
    new = parts("who,x,kind\n" + "\n".join(rows[:20]) + "\n", "new.csv")
    assert "/20 of all inputs)" in trainer("evaluate", out, "--data", new)[1]


# --- look


def test_look_says_what_it_sees_and_suggests(parts, trainer):
    code, out, err = trainer("look", parts(with_missing() + "1,2,once\n", "m.csv"))
    assert code == 0 and err == ""
    assert "m.csv: 91 rows" in out and "training is refused: row 3, column 'temp': the value is missing (9" in out
    assert "suggested: --missing drop or --missing median, for 9 rows with missing values" in out
    assert "suggested: --rare-classes drop, for 1 class with fewer than 10 samples" in out
    code, out, _ = trainer("look", parts(table(), "t.csv"), "--json")
    import json

    found = json.loads(out)
    assert [column["role"] for column in found["columns"]] == ["feature", "feature", "label"]
    assert found["classes"] == {"low": 30, "mid": 30, "high": 30} and found["is_refused"] is False


def test_look_suggests_the_length_of_recordings(tmp_path, trainer):
    path = tmp_path / "r.csv"
    path.write_text(recordings("flex").replace("ax,ay", "ax,kind"))
    assert "suggested: --window 25, since empty lines" in trainer("look", path)[1]


def test_windows_are_quantized_as_if_each_had_its_rows_to_itself(tmp_path):
    """Rows count as often as they are in windows of the training part."""
    values = (RNG.normal(size=(400, 2)) ** 3 * 500).astype(np.int16)
    np.savez(tmp_path / "s.npz", x=values, y=np.repeat([0, 1], 200))
    options = LoadingOptions(window=7, stride=3)
    data = load_dataset(str(tmp_path / "s.npz"), options=options)
    inputs, _ = inputs_of(tmp_path / "s.npz", read(tmp_path / "s.npz", options), options)
    train = own._split(inputs.samples, 0)[0][0]
    windows = values[inputs.start[train][:, None] + np.arange(7)]
    found, expected = fit_affine(*data.training_rows), fit_affine(windows)
    assert np.array_equal(found.multiplier, expected.multiplier)
    assert np.array_equal(found.bias, expected.bias) and found.shift == expected.shift
    assert np.array_equal(data.with_inputs(found).train.x[:], expected.run(windows).reshape(len(train), -1))


# --- cost


def test_windows_that_share_rows_share_memory(tmp_path):
    """A recording of 20 MB with windows of 200 rows, a row apart, would be 2 GB of windows."""
    y = np.repeat(np.arange(4), 25_000)
    np.savez(tmp_path / "s.npz", x=RNG.integers(-900, 900, (100_000, 100)).astype(np.int16), y=y)
    program = (
        "import resource, sys; from pathlib import Path; from signbit.qmodel.data import own\n"
        "from signbit.qmodel.data.readers.loading import LoadingOptions\n"
        "options = LoadingOptions(window=200, stride=1) if sys.argv[1] == 'windows' else LoadingOptions()\n"
        "data = own.load_own(Path('s.npz'), options)\n"
        "print(len(data.train), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)\n"
    )

    def peak(kind):
        done = subprocess.run(
            [sys.executable, "-c", program, kind],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        return int(done.stdout.split()[1])

    assert peak("windows") - peak("rows") < 0.2 * 20_000_000


def test_many_columns_take_little_time(parts, trainer, benchmark_time=10):
    """On an idle computer about a second, six when measured on a busy one; twenty where it grows with the square."""
    import time

    columns = 32_768
    text = ",".join(f"c{n}" for n in range(columns)) + ",kind\n"
    text += "".join(",".join(str((n * row) % 90) for n in range(columns)) + f",{'ab'[row % 2]}\n" for row in range(24))
    path = parts(text)
    start = time.process_time()
    assert own.load_own(path, LoadingOptions()).input_shape == (columns,)
    assert time.process_time() - start < benchmark_time
    start = time.process_time()
    assert trainer("look", path)[0] == 0
    assert time.process_time() - start < benchmark_time


@pytest.mark.parametrize(("count", "text"), [(1, "column 'c0'"), (5, "'c3', 'c4'"), (6, "'c3', 'c4' and 1 more")])
def test_a_note_names_five_columns_and_counts_the_others(count, text):
    found = columns_text([f"c{number}" for number in range(9)], range(count))
    assert found.endswith(text) and found.startswith("column" if count == 1 else "columns 'c0', 'c1'")


def test_a_row_of_a_folder_is_named_by_its_own_file(tmp_path):
    """The first row of the second file too."""
    for number in range(2):
        path = tmp_path / "s" / "ab"[number] / "1.csv"
        path.parent.mkdir(parents=True)
        path.write_text("x,y\n" + ("1,2\n" * 20 if number == 0 else ",2\n" + "3,4\n" * 20))
    with pytest.raises(SignbitError, match=r"^b/1\.csv, row 2, column 'x': the value is missing; fill it in"):
        own.load_own(tmp_path / "s", LoadingOptions())


def test_files_that_say_how_many_rows_they_have_are_read_together(tmp_path):
    """Each says its own number, in the manner of scikit-learn's files."""
    for number in range(4):
        path = tmp_path / "s" / "ab"[number % 2] / f"{number}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = "".join(f"{number + n % 5},{n % 3},{n % 2}\n" for n in range(10 + number))
        path.write_text(f"{10 + number},2,off,on\n{rows}")
    samples = read(tmp_path / "s", LoadingOptions(label_column="class"))
    assert len(samples.values) == 10 + 11 + 12 + 13 and samples.labels == ("off", "on")


def test_a_weka_table_that_can_not_be_read_is_one_line(parts):
    with pytest.raises(SignbitError, match=r"parts.arff: not readable as ARFF .*; save it as .csv"):
        own.load_own(
            parts("@relation x\n@attribute a numeric\n@data\nthis is, not one\n", "parts.arff"), LoadingOptions()
        )


def test_rows_of_a_weka_table_count_from_1_below_its_data(parts):
    head = "@relation x\n@attribute a numeric\n@attribute b numeric\n@attribute c {p,q}\n@data\n"
    rows = "".join(f"{'?' if n == 2 else n % 7},{n % 5},{'pq'[n % 2]}\n" for n in range(40))
    with pytest.raises(SignbitError, match="row 3, column 'a': the value is missing"):
        own.load_own(parts(head + rows, "parts.arff"), LoadingOptions())


def test_a_separator_is_one_that_separates():
    """Of a semicolon's lines more agree, but in that they have one cell."""
    sample = ["a,b,c\n"] * 6 + ["by a logger; 3 parts\n", "end\n"]
    assert guess(sample) == Dialect(",", ".")
    assert guess(["1\n"]) == Dialect(",", ".") and guess(["1\n"], ";", ",") == Dialect(";", ",")


def test_damaged_and_large_parquet_files_are_one_line(parts, tmp_path, monkeypatch):
    arrow = pytest.importorskip("pyarrow", reason="PyArrow is not installed (pip install 'signbit[tables]')")
    from pyarrow import parquet

    for suffix in ("parquet", "feather"):
        with pytest.raises(SignbitError, match=rf"parts.{suffix}: not readable as {suffix}, or damaged \("):
            read(parts(b"PAR1 and nothing else", f"parts.{suffix}"), LoadingOptions())
    path = tmp_path / "t.parquet"
    parquet.write_table(arrow.table({"x": range(10), "y": range(10), "c": list("ab" * 5)}), path)
    monkeypatch.setattr(arrow_file, "NUMBERS_MAX", 30)
    assert len(read(path, LoadingOptions()).values) == 10
    monkeypatch.setattr(arrow_file, "NUMBERS_MAX", 29)
    with pytest.raises(SignbitError, match="holds more than 29 values"):
        read(path, LoadingOptions())
