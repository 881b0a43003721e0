"""What commands, reports and the line answer where something is missing, odd or cut short."""

import dataclasses
import io
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from signbit.codegen import host, html, layout, report, report_page, verify, wasm
from signbit.codegen.kernels import targets
from signbit.codegen.plan import make_plan
from signbit.commands.takes import rms
from signbit.device import command as device
from signbit.device import inputs, ports
from signbit.emulate import emulation, machines, pio
from signbit.line.frame import FrameError, cobs_decode
from signbit.line.info import Info
from signbit.line.link import Link, LinkError
from signbit.line.protocol import Listening
from signbit.qmodel.data.readers.loading import LoadingOptions
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.file import load
from signbit.qmodel.layers import AveragePool, DepthwiseConv2D
from signbit.trainer.command import cli
from signbit.trainer.command.keeper import Keeper
from signbit.trainer.command.run_folder import RunFolder
from signbit.trainer.learning.evaluate import evaluate
from signbit.trainer.learning.settings import default_settings
from signbit.trainer.report import progress
from signbit.trainer.report.look import look
from signbit.trainer.tune.space import _parameters
from tests.own_files import csv_text
from tools.networks.random import FRONT_ENDS, front_end_model, random_model, with_counts

MODELS = Path(__file__).parent.parent / "models"


# --- training


@pytest.fixture
def terminal(monkeypatch):
    """What a terminal on stderr shows."""
    shown = io.StringIO()
    screen = Console(file=shown, force_terminal=True, force_interactive=True, width=100)
    monkeypatch.setattr(progress, "console", lambda stderr: screen)
    return shown


def test_a_terminal_shows_a_bar_for_epochs(terminal, capsys):
    epoch = SimpleNamespace(number=3, seconds=6.0, loss=0.5, train_accuracy=0.75, validation_accuracy=0.5)
    with progress.Watch(5) as watch:
        watch(epoch)
    assert "3/5" in terminal.getvalue() and "loss 0.5000  train 75.00%" in terminal.getvalue()
    assert capsys.readouterr().err == ""


def test_a_terminal_shows_a_bar_for_runs(terminal, capsys):
    with progress.Steps("search") as steps:
        steps(1, 4)
        steps(3, 4)
    assert "search" in terminal.getvalue() and "3/4" in terminal.getvalue() and capsys.readouterr().err == ""


@pytest.mark.parametrize("make", [lambda: progress.Watch(5, quiet=True), lambda: progress.Steps("search", quiet=True)])
def test_quiet_shows_nothing_even_in_a_terminal(terminal, make):
    with make() as shown:
        if isinstance(shown, progress.Steps):
            shown(1, 4)
    assert terminal.getvalue() == ""


BAD_SETTINGS = {
    "bytes have nothing to encode": ({"input_encoding": "pieces"}, "--input-encoding is for a sensor's counts, but"),
    "no front end": ({"augment": "sound"}, "changes samples before a front end, but digits has none"),
}


@pytest.mark.parametrize("case", BAD_SETTINGS)
def test_settings_that_do_not_go_with_the_data_are_refused(digits, case):
    given, words = BAD_SETTINGS[case]
    with pytest.raises(SignbitError, match=words):
        default_settings(**given).prepared(digits)


def test_stochastic_ternary_weights_are_refused(trainer, tmp_path):
    options = ("--data", "digits", "--model", "dense:8 ternary, dense", "--binarize", "stochastic")
    code, _, err = trainer(*options, "--epochs", "1", "--quiet", "--out", tmp_path / "model.npz")
    assert code == 2 and "ternary weights are deterministic; leave out --binarize stochastic" in err
    assert not (tmp_path / "model.npz").exists()


def test_run_folder_that_holds_something_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    for path in (tmp_path, tmp_path / "notes.txt"):
        with pytest.raises(SignbitError, match="is there already; name a new folder"):
            RunFolder(path).create(None)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_evaluation_on_other_classes_is_refused(digits):
    with pytest.raises(SignbitError, match="the model's labels are not those of digits; name its data set with --data"):
        evaluate(random_model(1, (64, 10)), digits)


def test_a_space_of_networks_is_a_table():
    with pytest.raises(SignbitError, match=r"space must be a table, \[space\]"):
        _parameters("space", [1, 2])


@pytest.mark.parametrize(
    ("kept", "words"), [(None, "nothing is saved, since neither --out nor --run"), (Path("run"), "train --resume run")]
)
def test_a_run_that_is_stopped_says_what_is_kept(capsys, kept, words):
    cli._say_stopped(2, 5, kept, "train")
    assert "stopped in epoch 3 of 5" in (err := capsys.readouterr().err) and words in err


def test_notes_on_many_columns_are_few_lines(capsys):
    data = SimpleNamespace(name="wide", notes=(), options=LoadingOptions(), lsb={f"c{n}": 0.5 for n in range(100)})
    cli.print_notes(data)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == cli.LSB_SHOWN + 1 and "36 more columns have an lsb that was chosen likewise" in lines[-1]


def test_a_disk_that_is_full_ends_a_run_only_when_it_is_stopped(monkeypatch, capsys):
    def full(*_):
        raise OSError(28, "No space left on device", "run")

    monkeypatch.setattr(Keeper, "_write", full)
    training = SimpleNamespace(state=SimpleNamespace(epochs=[]))
    Keeper(None, None, lambda: None)(training)
    assert "run: No space left on device; training goes on without" in capsys.readouterr().err
    with pytest.raises(OSError, match="No space left"):
        Keeper(None, None, lambda: 2)(training)


# --- look


def test_look_names_the_classes_of_the_first_row(parts):
    rows = "".join(f"{number},{number % 7},{number % 2}\n" for number in range(30))
    assert look(parts("30,2,no,yes\n" + rows), LoadingOptions()).classes == {"no": 15, "yes": 15}


def test_look_suggests_windows_of_rows_in_order(parts):
    rows = "".join(f"{row},{row % 9},{'ab'[row // 40 % 2]}\n" for row in range(400))
    path = parts("x,y,kind\n" + rows)
    assert any(text.startswith("--window 64, if the rows") for text in look(path, LoadingOptions()).suggestions)
    assert not any("--window" in text for text in look(path, LoadingOptions(window=8)).suggestions)
    assert not any("--window" in text for text in look(parts(csv_text()), LoadingOptions()).suggestions)


# --- the header and its reports


@pytest.mark.parametrize("count", [-1, 257])
def test_test_vectors_have_a_range(count):
    with pytest.raises(SignbitError, match=f"--test-vectors is {count}, but must be 0 to 256"):
        make_plan(random_model(1, (4, 2)), test_vectors=count)


def test_report_says_what_is_predicted_and_what_was_not_measured():
    plan = make_plan(load(MODELS / "digits-mlp.npz"), target="cortex-m0")
    lines = report.summary(plan, not_measured="no compiler")
    assert lines[-1] == "code and stack: NOT MEASURED, no compiler"
    assert any("predicted" in line for line in lines if line.startswith("flash"))


def test_report_shows_64_inputs_and_counts_the_others():
    model = with_counts(random_model(1, (70, 3)), 0)
    columns = [f"c{number}" for number in range(70)]
    record = {"data": {"columns": columns, "lsb": dict.fromkeys(columns, 0.5)}}
    lines = report.summary(make_plan(dataclasses.replace(model, provenance=record)))
    assert sum(line.startswith("input ") for line in lines) == 64
    assert "          and 6 more inputs; --json has them all" in lines


def test_report_predicts_a_hop_on_a_core():
    model = front_end_model(1, *FRONT_ENDS[1])
    lines = "\n".join(report.summary(make_plan(model, target="cortex-m0")))
    assert "a frame, predicted" in lines and "a hop takes" in lines
    assert "a hop costs the features of its frame" in "\n".join(report.summary(make_plan(model)))


def test_words_of_a_compiler():
    assert host.split_compiler("env cc") == ["env", "cc"]
    for text in ("", "no-such-compiler -O2"):
        with pytest.raises(SignbitError, match="was not found"):
            host.split_compiler(text)


def test_output_that_is_left_over_is_a_difference():
    model = random_model(1, (4, 2))
    x = np.zeros((3, 4), np.uint8)
    whole = b"".join(
        b"".join(values[row].tobytes() for values in verify.expected_output(model, x).values()) for row in range(3)
    )
    assert [result.equal for result in verify.compare_all([model], [x], whole)] == [True]
    assert [result.equal for result in verify.compare_all([model], [x], whole + b"\0")] == [True, False]


def test_a_condition_after_a_function_has_an_empty_line_before_it():
    assert layout.arrange("int f(void)\n{\nreturn 0;\n}\n#if A\n#endif\n").splitlines()[3:6] == ["}", "", "#if A"]


def test_layers_without_weights_have_no_pictures():
    pool = SimpleNamespace(layer=AveragePool((1, 1), 1, 9))
    assert html.first_weights(pool) is None and report_page._pictures(pool) == []


def test_depthwise_weights_are_pictures_as_they_are():
    weights = np.where(np.arange(18).reshape(2, 3, 3) % 2, -1, 1).astype(np.int8)
    layer = SimpleNamespace(layer=DepthwiseConv2D(weights, None))
    assert np.array_equal(html.first_weights(layer), weights)


# --- what may be missing on a computer


def test_what_is_missing_is_named_with_the_line_that_installs_it(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    target = next(target for target in targets.TARGETS.values() if target.flags)
    machine = next(iter(machines.MACHINES.values()))
    assert "is missing: apt install" in target.toolchain.missing()
    assert machine.missing() == f"{machine.qemu} is missing: apt install --no-install-recommends qemu-system-arm"
    monkeypatch.setattr(host, "has_zig", lambda: False)
    assert wasm.find_compiler() is None and "no compiler for WebAssembly" in wasm.missing()
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(SignbitError, match="no C compiler was found; install one"):
        host.find_compiler()
    monkeypatch.setattr(host, "has_zig", lambda: True)
    assert host.find_compiler() == host.ZIG and wasm.find_compiler() == wasm.ZIG


def test_platformio_that_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(pio.util, "find_spec", lambda name: None)
    assert pio.missing() == f"PlatformIO is missing: {pio.INSTALL}"
    with pytest.raises(SignbitError, match="PlatformIO is missing"):
        pio.command(["run"])
    with pytest.raises(SignbitError, match="SCons is missing"):
        pio.register_scons()


@pytest.mark.parametrize(
    ("output", "line"),
    [
        ("Building\nerror: no model\nmain.c:1:2: error: x\n", "no model"),
        ("Building\nmain.c:1:2: error: x\nError 1\n", "main.c:1:2: error: x"),
        ("bin/ld: region RAM overflowed\ncollect2: error: ld returned 1 exit status", "bin/ld: region RAM overflowed"),
        ("a\n*** [main.o] Error 1\nb\n", "*** [main.o] Error 1"),
        ("a\n\n  b \n", "b"),
        ("\n", "PlatformIO ended without a message"),
    ],
)
def test_the_most_telling_line_of_a_build(output, line):
    assert pio._first_error(output) == line


def test_emulation_needs_the_counts_that_a_model_takes():
    model = random_model(1, (4, 2))
    part = SimpleNamespace(x="inputs", samples=None)
    assert emulation.given_by(part, model) == "inputs"
    with pytest.raises(SignbitError, match="the model takes a sensor's counts, but the data are bytes"):
        emulation.given_by(part, with_counts(model, 0))
    assert emulation.given_by(SimpleNamespace(samples="counts"), with_counts(model, 0)) == "counts"


# --- the line


@pytest.mark.parametrize("encoded", [b"\0", b"\1\0", b"\2a\0\1"])
def test_a_zero_inside_a_frame_is_refused(encoded):
    with pytest.raises(FrameError, match="zero inside a frame"):
        cobs_decode(encoded)


def test_an_info_block_that_is_cut_short_is_refused():
    with pytest.raises(FrameError, match="INFO block makes no sense: it is cut short"):
        Info.parse(bytes(Info.FIXED.size) + b"\5name")


@pytest.mark.parametrize("numbers", [(8000, 0, 1, 1, 1), (8000, 100, 0, 1, 1), (8000, 100, 1, 0, 1)])
def test_an_answer_without_hops_is_refused(numbers):
    """Rate, rows of a hop, channels, step and answers."""
    with pytest.raises(FrameError, match="LISTEN's answer makes no sense: it has no hops"):
        Listening.parse(Listening.LAYOUT.pack(*numbers))
    assert Listening.parse(Listening.LAYOUT.pack(8000, 100, 1, 1, 1)).hop_rows == 100


class Silent:
    def write(self, data):
        pass


def test_an_answer_of_another_size_stops_a_load(monkeypatch):
    link = Link(Silent())
    monkeypatch.setattr(link, "request", lambda *request: b"12")
    with pytest.raises(LinkError, match="LOAD_BEGIN's answer makes no sense"):
        link.load(bytes(100))


def test_a_connection_that_ends_is_named():
    ended = SimpleNamespace(settimeout=lambda seconds: None, recv=lambda size: b"")
    with pytest.raises(SignbitError, match="tcp:here:1: the other end closed the connection"):
        ports.SocketStream(ended, "tcp:here:1").read(1)


def test_ports_without_a_board_are_one_line(monkeypatch, capsys):
    monkeypatch.setattr(device, "candidates", list)
    assert device.list_ports(SimpleNamespace()) == 0
    assert capsys.readouterr().out == "no board was found; qemu:m0 to qemu:m55 are emulated ones\n"


def test_firmware_without_test_vectors_is_named(monkeypatch):
    monkeypatch.setattr(device, "open_port", nullcontext)
    result = SimpleNamespace(vectors=0, failed=0)
    monkeypatch.setattr(device, "_link", lambda stream, options: SimpleNamespace(self_test=lambda: result))
    with pytest.raises(SignbitError, match="this firmware was built without test vectors"):
        device.self_test(SimpleNamespace(port="here"))


@pytest.mark.parametrize("header", [b"P5 3 3\n15\n123456789", b"P5\n3 3\n"])
def test_pictures_of_other_depths_are_refused(header):
    with pytest.raises(SignbitError, match="only pictures with a header of its own lines and 255 grey levels"):
        inputs._pixels(Path("a.pgm"), header)
    assert inputs._pixels(Path("a.pgm"), b"P5 # grey\n3 1\n255\n123") == b"123"


def test_less_than_a_frame_has_no_loudness():
    assert rms(np.ones(10, np.int16), 8000).tolist() == [0] and len(rms(np.ones(800, np.int16), 8000)) == 10
