"""docs/TUTORIAL.md: its code runs and prints what it says, and its figures are those that the command wrote.

SIGNBIT_UPDATE_GOLDEN=1 writes what the blocks print into the document.
"""

import contextlib
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from signbit.codegen.commands.cli import main as codegen_main
from signbit.emulate import command as emulate_command
from signbit.emulate import emulation as emulate
from signbit.emulate.pio import FIRMWARE
from signbit.emulate.project import Project
from signbit.qmodel.command import run_command
from signbit.qmodel.data.named import load_dataset
from signbit.qmodel.errors import SignbitError
from signbit.trainer.command.options import train_parser
from signbit.trainer.learning.run import run
from signbit.trainer.learning.settings import default_settings
from tools.documents import tutorial_pictures
from tools.documents.blocks import README, ROOT, TABLES, block
from tools.documents.tutorial_pictures import PICTURES, TUTORIAL, with_latent_weights

UPDATE = "SIGNBIT_UPDATE_GOLDEN"
PICTURE_BYTES_MAX = 120_000
POINTS = 3.0
"""Per cent by which an accuracy may differ: another BLAS rounds differently, and other weights come out."""
NUMBER = re.compile(r"\b[0-9a-f]{64}\b|\d[\d,]*(?:\.\d*)?")
NOT_HERE = re.compile(r"\bDIR\b|-t upload")
"""Commands with a folder or a board that only the reader has."""


# --- the document in pieces


@dataclass(frozen=True)
class Block:
    """A fenced block; `start` and `end` are where its text is in the document, `line` where it begins."""

    language: str
    text: str
    start: int
    end: int
    line: int

    @property
    def place(self) -> str:
        return f"{TUTORIAL.name}:{self.line}"


def blocks() -> list[Block]:
    document = TUTORIAL.read_text()
    found = re.finditer(r"^```(\w+)\n(.*?)^```$", document, re.DOTALL | re.MULTILINE)
    return [Block(m[1], m[2], *m.span(2), document.count("\n", 0, m.start(2)) + 1) for m in found]


def commands(console: Block) -> list[str]:
    return re.findall(r"^\$ (.*)$", console.text, re.MULTILINE)


def python_blocks() -> Iterator[tuple[Block, Block | None]]:
    """Each block of Python with the block of text right after it, if there is one."""
    document, found = TUTORIAL.read_text(), blocks()
    for this, following in zip(found, [*found[1:], None], strict=True):
        if this.language == "python":
            gap = document[this.end : following.start] if following else ""
            yield this, following if following and gap == "```\n\n```text\n" else None


# --- what is printed


def settle(outputs: list[tuple[Block, str]]) -> None:
    """Compare each block with what was found; or write it down, from the end so that places stay right."""
    if os.environ.get(UPDATE):
        document = TUTORIAL.read_text()
        for old, found in reversed(outputs):
            document = document[: old.start] + found + document[old.end :]
        TUTORIAL.write_text(document)
        return
    for expected, found in outputs:
        assert_alike(found, expected.text, expected.place)


def assert_alike(found: str, expected: str, place: str) -> None:
    """Equal except for spaces, and for numbers that another processor or another BLAS may change."""
    found, expected = (" ".join(without_timings(text).split()) for text in (found, expected))
    message = f"{place}\nfound:    {found}\nexpected: {expected}"
    assert NUMBER.sub("#", found) == NUMBER.sub("#", expected), message
    for ours, theirs in zip(NUMBER.finditer(found), NUMBER.finditer(expected), strict=True):
        assert near(ours[0], theirs[0], expected[theirs.end() :]), f"{ours[0]} is not {theirs[0]}: {message}"


def without_timings(text: str) -> str:
    """Without seconds, the epoch that was chosen, and the columns after `20/20` in a table of cores, which also make
    its rule longer or shorter.
    """
    text = re.sub(r"\d+(\.\d+)? s\b|epoch \d+ of|─+", "", text)
    return re.sub(r"^( *Cortex.* \d+/\d+) .*$", r"\1", text, flags=re.MULTILINE)


def near(found: str, expected: str, behind: str) -> bool:
    """A hash: anything.  Accuracies: POINTS; other fractions: a tenth or 0.02; whole numbers: exactly."""
    if len(expected) == 64:
        return len(found) == 64
    ours, theirs = (float(text.replace(",", "")) for text in (found, expected))
    count = re.match(r"/(\d+)", behind)
    if behind.startswith("%") or count:
        return abs(ours - theirs) <= POINTS / 100 * (int(count[1]) if count else 100)
    return abs(ours - theirs) <= max(0.02, 0.1 * theirs) if "." in expected else ours == theirs


@pytest.mark.parametrize(
    ("found", "expected", "alike"),
    [
        ("loss 0.151", "loss 0.152", True),
        ("loss 0.251", "loss 0.152", False),
        ("91.7% (330/360)", "92.5% (333/360)", True),
        ("81.7% (294/360)", "92.5% (333/360)", False),
        ("355/360", "335/360", False),
        ("trained in 1.2 s", "trained in 30.4 s", True),
        ("0 different", "1 different", False),
        ("C == Python", "DIFFERENT", False),
        (f"hash {'a1' * 32}", f"hash {'b2' * 32}", True),
        ("hash a1", f"hash {'b2' * 32}", False),
    ],
)
def test_the_comparison_can_fail(found, expected, alike):
    with contextlib.nullcontext() if alike else pytest.raises(AssertionError):
        assert_alike(found, expected, "here")


# --- Python, consoles, C


def test_python_blocks_print_what_the_tutorial_says(tmp_path, monkeypatch):
    """In order and in one namespace, as a reader would enter them."""
    monkeypatch.chdir(tmp_path)
    namespace, outputs = {}, []
    for code, expected in python_blocks():
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            # as many lines in front as in the document, so that a traceback names the place
            exec(compile("\n" * (code.line - 1) + code.text, str(TUTORIAL), "exec"), namespace)
        if expected:
            outputs.append((expected, printed.getvalue()))
        else:
            assert not printed.getvalue(), f"{code.place} prints, but no text block follows"
    assert len(outputs) >= 10
    assert {expected for expected, _ in outputs} == {found for found in blocks() if found.language == "text"}
    settle(outputs)


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    """Runs a console line as a reader would; all lines share a folder, and main.c from the tutorial is in it."""
    folder = tmp_path_factory.mktemp("tutorial")
    (folder / "bin").mkdir()
    for name, command in (("python", ""), ("signbit", "-m signbit ")):
        script = folder / "bin" / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {command}"$@"\n')
        script.chmod(0o755)
    (folder / "main.c").write_text(next(found.text for found in blocks() if found.language == "c"))
    environment = os.environ | {
        "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "COLUMNS": "100",
    }

    def call(line: str) -> str:
        done = subprocess.run(line, shell=True, cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        lines = "\n".join(text.rstrip() for text in done.stdout.splitlines()).strip("\n")
        return f"{lines}\n" if lines else ""

    return call


def run_consoles(reader, emulated: bool) -> list[tuple[Block, str]]:
    """What the lines of each console block print; `emulated` picks those that need the emulator, or the others."""
    outputs = []
    for console in (found for found in blocks() if found.language == "console"):
        lines = [line for line in commands(console) if not NOT_HERE.search(line)]
        if lines and emulated == ("signbit emulate" in console.text):
            assert len(lines) == len(commands(console)), f"{console.place}: split it, the test can run only a part"
            outputs.append((console, "".join(f"$ {line}\n{reader(line)}" for line in lines)))
    return outputs


@pytest.fixture(scope="module")
def consoles(reader):
    if not shutil.which("cc"):
        pytest.skip("no C compiler: apt install gcc")
    return run_consoles(reader, emulated=False)


def test_commands_print_what_the_tutorial_says(consoles):
    assert len(consoles) >= 5
    settle(consoles)


def test_emulated_cores_print_what_the_tutorial_says(consoles, reader):
    reason = emulate.missing()
    if reason:
        pytest.skip(reason)
    outputs = run_consoles(reader, emulated=True)
    assert outputs
    settle(outputs)


# --- commands that are not run


def all_commands() -> list[str]:
    """Every command of a console block or in the running text."""
    lines = [line for console in blocks() if console.language == "console" for line in commands(console)]
    return lines + re.findall(r"`(python -m [^`\n]+|signbit [^`\n]+|--[^`\s]+ [^`\n]+)`", TUTORIAL.read_text())


def check_pio(arguments: list[str]) -> None:
    """Each environment after -e is one of the project."""
    sections = Project(FIRMWARE).sections
    names = [name for flag, name in pairwise(arguments) if flag == "-e"]
    assert names and all(f"env:{name}" in sections for name in names)


def check_codegen(arguments: list[str]) -> None:
    """Without its model, a command that is written right fails for that only."""
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors):
        run_command(codegen_main, arguments)
    assert "--help" not in errors.getvalue(), errors.getvalue()


CHECKS = {
    "trainer": lambda arguments: train_parser().parse_args(arguments),
    "codegen": check_codegen,
    "signbit emulate": lambda arguments: emulate_command._parser("signbit emulate").parse_args(arguments),
    "signbit.emulate.pio": check_pio,
    "tools": lambda arguments: tutorial_pictures.command_parser().parse_args(arguments[1:]),
}


def test_all_commands_exist(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    checked = set()
    for line in all_commands():
        words = shlex.split(line)
        if line.startswith("--"):
            words = ["python", "-m", "trainer", *words]
        if "-m" in words:
            command, *arguments = words[words.index("-m") + 1 :]
        elif words[0] == "signbit":
            command, arguments = " ".join(words[:2]), words[2:]
        else:
            continue
        CHECKS[command](arguments)
        checked.add(command)
    assert checked == set(CHECKS)


# --- figures and pictures


@pytest.fixture(scope="module")
def figures():
    return json.loads(tutorial_pictures.FIGURES.read_text())


def test_tables_are_those_of_the_figures(figures):
    assert block(tutorial_pictures.ACCURACY_BLOCK, TUTORIAL) == tutorial_pictures.accuracy_table(figures)
    assert block(tutorial_pictures.RATE_BLOCK, TUTORIAL) == tutorial_pictures.rate_table(figures)
    assert tutorial_pictures.figures_text(figures) == tutorial_pictures.FIGURES.read_text()


def test_figures_of_mnist_are_those_we_promise(figures):
    """Bars for single seeds, so that no lucky mean hides a bad one; for the mean where one seed of three is below."""
    on_average = {("784-10", "deterministic", 15)}
    bars = {
        ("784-10", "none", 15): 0.925,
        ("784-10", "deterministic", 15): 0.912,
        ("784-10", "stochastic", 15): 0.895,
        ("784-128-10", "deterministic", 15): 0.976,
    }
    rows = {(row["network"], row["binarize"], row["epochs"]): row for row in figures["accuracy"]}
    for key, bar in bars.items():
        row = rows[key]
        assert len(row["correct"]) == len(figures["seeds"]) >= 3
        held = sum(row["correct"]) / len(row["correct"]) if key in on_average else min(row["correct"])
        assert held / row["count"] >= bar, key


def pictures_in(document: Path) -> list[tuple[str, str]]:
    """Descriptions and file names."""
    return re.findall(r"!\[([^\]]+)\]\([^)]*\bimg/([^)]+)\)", document.read_text())


def test_every_picture_is_shown_described_and_small():
    documents = (README, TABLES, *TUTORIAL.parent.glob("*.md"))
    assert {name for document in documents for _, name in pictures_in(document)} == {
        path.name for path in PICTURES.iterdir()
    }
    for description, name in pictures_in(TUTORIAL):
        data = (PICTURES / name).read_bytes()
        assert data.startswith(b"\x89PNG") and len(data) < PICTURE_BYTES_MAX
        assert len(description) > 40


def test_pictures_are_the_same_each_time(figures):
    pytest.importorskip("matplotlib")
    first, second = (tutorial_pictures.picture(tutorial_pictures.curves(figures)) for _ in range(2))
    assert first == second and first.startswith(b"\x89PNG")


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(SignbitError, match=r'pip install "signbit\[plot\]"'):
        tutorial_pictures.main([])


def test_latent_weights_of_plus_and_minus_one_change_nothing():
    """Where every latent weight is its own sign, the network of latent weights is the binarized one."""
    data = load_dataset("digits")
    network = run(default_settings(model="logistic", epochs=1), data).network
    latent = network.layers[0].weight.value
    latent[:] = np.where(latent >= 0, 1, -1)
    network.calibrate(data.train.x)
    real = with_latent_weights(network, data.train.x)
    np.testing.assert_array_equal(real.logits(data.test.x), network.logits(data.test.x))
