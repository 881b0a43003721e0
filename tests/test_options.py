"""Options declared once: what follows from a declaration agrees with it."""

import argparse
import json
import math
import re
import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signbit.qmodel.data.readers.loading import LoadingOptions
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.option_types import choice, flag, joined, keyed, number, repeated, share, text, whole
from signbit.qmodel.options import Options, option
from signbit.trainer.learning.settings import DEFAULTS, Settings, default_settings
from tools.documents.blocks import ROOT


@dataclass(frozen=True)
class Example(Options):
    """One option of each type."""

    title: str | None = option(text("TITLE"), "what it is called", None, default_text="the file's name")
    mode: str = option(choice(("fast", "good")), "what counts", "good")
    is_bare: bool = option(flag(), "leave all out", False)
    count: int = option(whole(1, 99), "how many", 3)
    rate: float = option(number("RATE", 0, 1, "(]"), "how fast", 0.5, idle=("mode", "good"))
    size: tuple[int, ...] = option(joined(whole(1, 50, "HxW"), "x", 2, 2), "height and width", (5, 5))
    skips: tuple[str, ...] = option(repeated(text("COLUMN")), "columns to leave out", (), flag="--skip")
    worth: dict[str, float] = option(keyed("COLUMN", number("VALUE", 0, ends="()")), "of a count", {})


def parsed(cls, words):
    parser = argparse.ArgumentParser(exit_on_error=False)
    cls.add_arguments(parser, *cls.declared())
    return cls(**cls.given_in(parser.parse_args(words)))


# a word that begins with a dash would be taken for an option, which the shell's user can't avoid either
TEXTS = st.text().filter(lambda text: not text.startswith("-"))
FLOATS = st.floats(0, 1, exclude_min=True)
EXAMPLES = st.builds(
    Example,
    title=TEXTS,
    mode=st.just("fast"),
    is_bare=st.booleans(),
    count=st.integers(1, 99),
    rate=FLOATS,
    size=st.tuples(st.integers(1, 50), st.integers(1, 50)),
    skips=st.lists(TEXTS).map(tuple),
    worth=st.dictionaries(TEXTS, FLOATS),
)


@given(EXAMPLES)
def test_words_and_json_give_the_same_options_again(example):
    assert parsed(Example, example.words()) == example
    assert Example.from_dict(json.loads(json.dumps(example.as_dict()))) == example


def test_defaults_need_no_words():
    assert Example().words() == [] and Example().as_dict() == {} and parsed(Example, []) == Example()


@pytest.mark.parametrize(("word", "value"), [("29%", 0.29), ("0.1%", 0.001), ("0.29", 0.29), ("5e-3", 0.005)])
def test_a_share_may_be_written_in_per_cent(word, value):
    assert share("RATE").read(word) == value


@pytest.mark.parametrize("word", ["%", "x%", "1e1%e", "nan%", "100%", "1", "-1%", "1/0%"])
def test_a_share_that_is_none_is_refused(word):
    with pytest.raises(argparse.ArgumentTypeError, match="or per cent such as 5%"):
        share("RATE").argument()["type"](word)


def test_help_shows_a_per_cent_sign():
    """argparse takes it for a place to fill in."""

    @dataclass(frozen=True)
    class Shares(Options):
        rate: float = option(share("RATE"), "at most 5% of all", 0.0)

    parser = argparse.ArgumentParser()
    Shares.add_arguments(parser, "rate")
    assert "at most 5% of all (default: 0)" in parser.format_help()


def test_help_names_the_default():
    helps = {name: Example.help(name) for name in Example.declared()}
    assert helps == {
        "title": "what it is called (default: the file's name)",
        "mode": "what counts (default: good)",
        "is_bare": "leave all out",
        "count": "how many (default: 3)",
        "rate": "how fast (default: 0.5)",
        "size": "height and width (default: 5,5)",
        "skips": "columns to leave out",
        "worth": "of a count",
    }


BAD = {
    "title": [3, b"x"],
    "mode": ["slow", None, 1, np.array(["fast"])],
    "is_bare": [1, "yes", None],
    "count": [0, 100, 3.0, True, "3", None],
    "rate": [0, 1.1, math.nan, math.inf, True, "0.5", None, 1j],
    "size": [(5,), (5, 51), (5.0, 5), "5x5", 5, None],
    "skips": ["a", (1,), None],
    "worth": [{"a": 0}, {1: 1.0}, {"a": "1"}, [("a", 1.0)], None],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BAD.items() for value in values])
def test_values_that_can_not_be_are_refused_from_python_and_from_files(name, value):
    with pytest.raises(SignbitError, match=f"^{name} is .*, but must be ") as caught:
        Example(**{"mode": "fast", name: value})
    assert "\n" not in str(caught.value)
    with pytest.raises(SignbitError, match=f"damaged: {name} is "):
        Example.from_dict({name: value})


BAD_WORDS = {
    "mode": "--mode slow",
    "count": "--count 1_0",
    "count of another script": "--count ٣",
    "count too large": "--count 100",
    "rate 0": "--rate 0",
    "rate nan": "--rate nan",
    "rate text": "--rate fast",
    "size": "--size 5",
    "size of text": "--size axb",
    "worth 0": "--worth a=0",
    "worth text": "--worth a",
}


@pytest.mark.parametrize("case", BAD_WORDS)
def test_words_that_can_not_be_are_refused(case):
    flag, word = BAD_WORDS[case].split()
    with pytest.raises(argparse.ArgumentError, match=f"{flag}: .*'{word}'"):
        parsed(Example, [flag, word])


def test_numpys_values_become_pythons():
    made = Example(
        mode=np.str_("fast"),
        count=np.int64(7),
        rate=np.float64(0.25),
        size=np.array([3, 4]),
        worth={"a": np.float32(2)},
    )
    assert json.loads(json.dumps(made.as_dict())) == {
        "mode": "fast", "count": 7, "rate": 0.25, "size": [3, 4], "worth": {"a": 2.0}
    }  # fmt: skip


def test_options_that_do_nothing_together_are_refused():
    with pytest.raises(SignbitError, match="--rate means nothing with --mode good; leave it out"):
        Example(rate=0.1)
    with pytest.raises(SignbitError, match="--stride means nothing without --window; leave it out"):
        LoadingOptions(stride=3)


@pytest.mark.parametrize("record", [None, [], {"colour": "red"}, {1: 2}], ids=str)
def test_files_with_other_options_are_damaged(record):
    with pytest.raises(SignbitError, match="can't be understood, so it is damaged"):
        Example.from_dict(record)


def test_a_file_that_lacks_what_has_no_default_is_damaged():
    values = default_settings().as_dict()
    without_default = {name: value for name, value in values.items() if name != "dropout"}
    assert Settings.from_dict(without_default) == default_settings()
    with pytest.raises(SignbitError, match="epochs is missing or unknown"):
        Settings.from_dict({name: value for name, value in values.items() if name != "epochs"})


@pytest.mark.parametrize("cls", [Settings, LoadingOptions])
def test_every_option_has_a_help_and_a_default(cls):
    for name in cls.declared():
        assert cls.declared()[name].help
        has_default = name in cls.defaults() or name in DEFAULTS or name in ("data", "lr")
        assert has_default, f"{name} needs a default where it is declared, or a row in DEFAULTS"
    assert not set(DEFAULTS) & set(cls.defaults()), "one default, in one place"


def test_settings_write_out_every_option_that_is_not_empty():
    settings = default_settings("mnist", "logistic", lr=0.25, seed=7)
    words = settings.words()
    assert set(words[::2]) == {Settings.flag(name) for name in Settings.declared()} - {"--hidden"}
    parser = argparse.ArgumentParser()
    Settings.add_arguments(parser, *Settings.declared())
    assert default_settings(**Settings.given_in(parser.parse_args(words))) == settings


# --- what docs/TRAINING.md says that a run takes where nothing is given

TRAINING = ROOT / "docs" / "TRAINING.md"
RUNS = {
    "perceptron, digits": {"data": "digits", "model": "mlp"},
    "perceptron, mnist": {"data": "mnist", "model": "mlp"},
    "`logistic`": {"model": "logistic"},
    "`mlp`": {"data": "mnist", "model": "mlp"},
    "convolutions, digits": {"data": "digits", "model": "conv3x3:4, dense"},
    "convolutions, mnist": {"data": "mnist", "model": "small"},
}
WEIGHTS = {
    "real numbers": {"binarize": "none"},
    "one bit": {},
    "one bit, `--lr-scaling glorot`": {"lr_scaling": "glorot"},
}


def table_of(document, first_column):
    """The rows of the table whose first column has this name, each by column."""
    text = document.read_text()
    lines = text[text.index(f"| {first_column} |") :].partition("\n\n")[0].splitlines()
    cells = [[cell.strip() for cell in line[1:-1].split("|")] for line in lines]
    return [dict(zip(cells[0], row, strict=True)) for row in cells[2:]]


def read(name, word):
    """The value of one option's word, which is empty where the option is."""
    declared = Settings.declared()[name].type
    return declared.read(word) if word else ()


def test_the_defaults_are_those_of_the_documentation():
    parser = argparse.ArgumentParser()
    Settings.add_arguments(parser, *Settings.declared())
    (words,) = re.findall(r"```text\n(--front-end .*?)```", TRAINING.read_text(), re.DOTALL)
    assert Settings.given_in(parser.parse_args(words.split())) == Settings.defaults()


@pytest.mark.parametrize("run", [name for name in RUNS if "," in name])
def test_the_defaults_of_each_kind_of_network_are_those_of_the_documentation(run):
    rows = table_of(TRAINING, "option")
    settings = default_settings(**RUNS[run])
    said = {name: read(name, row[run]) for row in rows for name in [row["option"].strip("`-").replace("-", "_")]}
    assert said == {name: getattr(settings, name) for name in said}
    assert said.keys() == DEFAULTS.keys() - {"model"}


@pytest.mark.parametrize("row", table_of(TRAINING, "optimizer"), ids=lambda row: " ".join(list(row.values())[:2]))
def test_learning_rates_are_those_of_the_documentation(row):
    options = {"optimizer": row["optimizer"]} | WEIGHTS[row["weights"]]
    runs = list(row)[2:]
    assert [default_settings(**RUNS[run], **options).lr for run in runs] == [float(row[run]) for run in runs]


def test_each_data_set_has_a_network_of_its_own():
    digits, mnist, logistic = default_settings(), default_settings("mnist"), default_settings(model="logistic")
    assert (digits.data, digits.model, mnist.model, logistic.hidden) == ("digits", "mlp", "small", ())


READING_DEFAULTS = {
    "label_column": "the last, or what looks like it",
    "stride": "as --window",
    "fold": "0",
    "split_column": "one called split, if it says so",
    "missing": "refuse",
    "rare_classes": "refuse",
    "separator": "guessed",
    "decimal": "guessed",
    "header": "guessed",
    "background": "white",
    "noise": "one called background_noise or _background_noise_",
}


def test_help_says_how_own_data_are_read_by_default():
    texts = {name: LoadingOptions.default_text(name) for name in LoadingOptions.declared()}
    assert {name: text for name, text in texts.items() if text} == READING_DEFAULTS


# --- the ends of what each option takes

ENDS = {
    Settings: {
        "hidden": ([(1,), (65_793,), (1,) * 63], [(0,), (65_794,), (1,) * 64]),
        "front_end": (
            [
                *("none", "logmel:bands=1", "logmel:frame=32,hop=1,steps=1,rate=1", "spectrum:bands=128"),
                *("logmel:rate=1000000", "stats:frame=1024,steps=32,hop=65536"),
            ],
            [
                *("none:bands=1", "logmel:bands=0", "logmel:frame=7", "logmel:hop=0", "logmel:rate=0"),
                *(
                    "logmel:rate=1000001",
                    "spectrum:bands=256",
                    "spectrum:rate=100",
                    "stats:frame=2049",
                    "stats:steps=33",
                ),
                *("logmel:", "logmel:bands", "logmel:bands=4,bands=4", "logmel:bands=+4", "mel"),
            ],
        ),
        "input_encoding": (
            ["affine", "pieces", "pieces:1", "pieces:64", "thermometer", "thermometer:1", "thermometer:255"],
            ["affine:1", "pieces:0", "pieces:65", "thermometer:0", "thermometer:256", "pieces:", "pieces:+1", "gray"],
        ),
        "epochs": ([1, 100_000], [0, 100_001]),
        "frozen_epochs": ([0, 100_000], [-1, 100_001]),
        "batch_size": ([2, 1_000_000], [1, 1_000_001]),
        "lr": ([5e-324, 1e308], [0, -1.0, math.inf, math.nan]),
        "norm_rate": ([5e-324, 1e308], [0, -1.0, math.inf, math.nan]),
        "logit_gamma": ([5e-324, 1e308], [0, -1.0, math.inf, math.nan]),
        "augment": (
            [
                *("none", "shift", "crop", "affine", "elastic", "sound", "sound:copies=1", "sound:copies=100"),
                *("sound:shift=0,gain=0,speed=0,noise=0", "sound:shift=50,gain=40,speed=50,noise=60"),
            ],
            [
                *("sound:copies=0", "sound:copies=101", "sound:shift=51", "sound:gain=41", "sound:speed=51"),
                *("sound:noise=61", "affine:shift=1", "elastic:", "turn"),
            ],
        ),
        "augment_amount": ([5e-324, 1e308], [0, -1.0, math.inf, math.nan]),
        "mild_epochs": ([0, 100_000], [-1, 100_001]),
        "input_noise": ([0, 255, 0.5], [-0.001, 255.001, math.nan]),
        "dropout": ([0, 0.999], [-0.001, 1, 1.5]),
        "label_smoothing": ([0, 0.999], [-0.001, 1, 1.5]),
        "high": ([1, 255], [0, 256]),
        "reject": ([0, 0.999], [-0.001, 1, 1.5]),
        "seed": ([0, 2**63 - 1], [-1, 2**63]),
    },
    LoadingOptions: {
        "window": ([None, 1, 65_536], [0, 65_537]),
        "stride": ([None, 1, 65_536], [0, 65_537]),
        "lsb": ([{}, {"": 5e-324}, {"a": 1e308}], [{"a": 0}, {"a": -1.0}, {"a": math.inf}]),
        "resize": ([None, (1, 1), (4096, 4096)], [(0, 1), (1, 4097), (1,), (1, 1, 1)]),
        "fold": ([0, 4], [-1, 5]),
        "group_pattern": (["x" * 100, "a+b*c?", "^([0-9]{8})"], ["x" * 101, "a+b*c?d+", "(a)+", "[", 3]),
        "unknown": ([(), ("a",) * 1000], [("a",) * 1001]),
        "rate": ([None, 1000, 192_000], [999, 192_001]),
    },
}
CHOICES = {
    Settings: {
        "binarize": "none deterministic stochastic",
        "optimizer": "adam sgd",
        "schedule": "constant cosine exponential step",
        "lr_scaling": "none glorot",
        "flip": "none horizontal vertical both",
        "class_weights": "none balanced",
    },
    LoadingOptions: {
        "missing": "refuse drop median",
        "rare_classes": "refuse drop",
        "separator": ", ; | tab blank",
        "decimal": "point comma",
        "header": "yes no",
        "background": "white black",
    },
}


def test_a_whole_number_without_an_end_is_one_of_32_bits():
    assert whole(1).allows(2**31 - 1) and not whole(1).allows(2**31)


def takes(cls, name, value):
    try:
        return cls.checked({name: value}) == {name: value}
    except SignbitError:
        return False


@pytest.mark.parametrize(("cls", "name"), [(cls, name) for cls, ends in ENDS.items() for name in ends])
def test_an_option_takes_the_first_and_last_value_and_none_beyond(cls, name):
    taken, refused = ENDS[cls][name]
    assert [value for value in taken if not takes(cls, name, value)] == []
    assert [value for value in refused if takes(cls, name, value)] == []


@pytest.mark.parametrize("cls", CHOICES)
def test_every_choice_is_one_of_those_that_are_documented(cls):
    for name, words in CHOICES[cls].items():
        assert cls.declared()[name].type.metavar == "{" + words.replace(" ", ",").replace(",,,", ",,") + "}"


@pytest.mark.parametrize("cls", ENDS)
def test_the_ends_of_all_options_are_held(cls):
    free = {name for name, declared in cls.declared().items() if declared.type.says in FREE}
    assert free | ENDS[cls].keys() | CHOICES[cls].keys() == cls.declared().keys()


FREE = ("text", "a list, each text", "True or False")


COMMANDS = {
    "codegen": ("codegen", "export", "no.npz", "--test-vectors"),
    "emulate": ("signbit", "emulate", "no.npz", "--limit"),
    "device": ("signbit", "device", "verify", "--limit"),
    "zoo": ("tools", "zoo", "train", "--jobs"),
    "prove": ("tools", "prove", "bit-exact", "--cases"),
}


@pytest.mark.parametrize("case", COMMANDS)
def test_every_command_reads_whole_numbers_alike(repository, case):
    program = [sys.executable, "-m", *COMMANDS[case], "1_0"]
    done = subprocess.run(program, cwd=repository, capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == ""
    assert "'1_0' is not a whole number from " in done.stderr and done.stderr.count("\n") == 1
