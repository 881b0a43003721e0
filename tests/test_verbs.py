"""`signbit` and its commands: the same code as the modules' own, under the name that was typed."""

import io
import os
import re
import subprocess
import sys

import pytest

from signbit.__main__ import COMMANDS
from signbit.codegen.commands import COMMANDS as CODEGEN
from signbit.codegen.commands.cli import main as codegen
from signbit.qmodel.command import run_command, run_named
from signbit.trainer.command import COMMANDS as TRAINER
from signbit.trainer.command.cli import main as trainer


def signbit(arguments):
    return run_named(COMMANDS, arguments, "signbit")


def help_of(capsys, main, *words):
    try:
        assert main([*words, "--help"]) == 0
    except SystemExit as end:
        assert end.code == 0
    return capsys.readouterr().out


def test_the_list_has_every_command(capsys):
    for arguments in ([], ["--help"]):
        assert signbit(arguments) == 0
        listed = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
        assert listed == list(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_names_what_was_typed(name, capsys):
    assert help_of(capsys, signbit, name).startswith(f"usage: signbit {name} ")


def undescribed(text):
    """Entries of a --help that have no words of their own, and "command" where the command itself has none."""
    _usage, *sections = text.strip().split("\n\n")
    lists = [section for section in sections if ":\n  " in section]
    lines = "\n".join(lists).splitlines()
    alone = [
        line.strip()
        for line, following in zip(lines, [*lines[1:], ""], strict=True)
        if re.fullmatch(r" {2,4}(-.*?|\S+)", line) and "  " not in line.strip() and not following.startswith(" " * 8)
    ]
    return [name for name in alone if name != "COMMAND"] + (
        [] if sections and sections[0] not in lists else ["command"]
    )


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "firmware"])
def test_help_says_what_a_command_and_each_of_its_options_do(name, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    text = help_of(capsys, signbit, name)
    assert undescribed(text) == []
    _, _, commands = text.partition("\ncommands:\n")
    for line in commands.splitlines()[1:]:
        if line.startswith("    ") and not line.startswith("     "):
            own = help_of(capsys, signbit, name, line.split()[0])
            assert (line, undescribed(own)) == (line, [])


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "firmware"])
def test_help_says_whether_a_file_or_a_folder_is_written(name, capsys):
    written = re.findall(r"(?<![\w-])(?:-o|--out|--report|--sbom) ([\w-]+)", help_of(capsys, signbit, name))
    assert set(written) <= {"FILE", "FOLDER"}


@pytest.mark.parametrize(
    "text, missing",
    [
        ("usage: a\n\nWhat it does.\n\noptions:\n  -b  does b\n", []),
        ("usage: a\n\noptions:\n  -b  does b\n", ["command"]),
        ("usage: a\n\nWhat it does.\n\noptions:\n  -b\n  --long NAME\n          does more\n", ["-b"]),
    ],
)
def test_help_without_words_is_found(text, missing):
    assert undescribed(text) == missing


@pytest.mark.parametrize(
    "name, module, prog",
    [
        *((name, trainer, "python -m trainer") for name in TRAINER),
        *((name, codegen, "python -m codegen") for name in CODEGEN),
    ],
)
def test_a_command_is_the_module_s_own(name, module, prog, capsys):
    """Line breaks aside, which follow the usage's width."""
    own = help_of(capsys, module, name).replace(prog, "signbit").split()
    assert own == help_of(capsys, signbit, name).split()


PROGRAM = """
import os, runpy, sys
sys.argv = ["program", "--version"]
try:
    runpy.run_module({module!r}, run_name="__main__")
except SystemExit as end:
    print(end.code, os.environ["OPENBLAS_NUM_THREADS"], os.environ["OMP_NUM_THREADS"])
"""


@pytest.mark.parametrize("module", ["signbit", "trainer", "codegen"])
def test_a_program_runs_when_it_is_named_and_takes_one_thread_unless_told(module, repository):
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    program = [sys.executable, "-c", PROGRAM.format(module=module)]
    told = {"OMP_NUM_THREADS": "3"}
    run = subprocess.run(program, cwd=repository, env=environment | told, capture_output=True, text=True, check=True)
    version, ended = run.stdout.splitlines()
    assert version.startswith("signbit ") and ended == "0 1 3"
    imported = [sys.executable, "-c", f"import {module}.__main__"]
    assert subprocess.run(imported, cwd=repository, capture_output=True, check=True).stdout == b""


@pytest.mark.parametrize(
    "main, arguments, hint",
    [
        (signbit, ["trane"], "command 'trane' is unknown; there are train, look, summary, .* (see signbit --help)"),
        (signbit, ["train", "--epoch", "1"], "unrecognized arguments: --epoch 1 (see signbit train --help)"),
        (signbit, ["export"], "required: MODEL, -o/--out (see signbit export --help)"),
        (signbit, ["device"], "required: COMMAND (see signbit device --help)"),
        (trainer, ["--epoch", "1"], "(see python -m trainer --help)"),
        (trainer, ["evaluate"], "(see python -m trainer evaluate --help)"),
        (codegen, ["inspect"], "(see python -m codegen inspect --help)"),
    ],
)
def test_an_error_names_what_was_typed(main, arguments, hint, capsys):
    assert run_command(main, arguments) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1
    assert all(part in said.err for part in hint.split(".*"))


def test_an_interrupted_command_says_so_on_stderr(capsys):
    def main(arguments):
        raise KeyboardInterrupt

    assert run_command(main, []) == 130
    assert capsys.readouterr() == ("", "interrupted\n")


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_a_character_that_an_output_lacks_is_replaced_by_a_similar_one(monkeypatch, name):
    written = io.BytesIO()
    screen = io.TextIOWrapper(written, encoding="ascii")
    monkeypatch.setattr(f"sys.{name}", screen)
    assert run_command(lambda arguments: print("3×3 → café, ≤ 5 µs … 語", file=screen), []) == 0
    screen.flush()
    assert written.getvalue() == b"3x3 -> cafe, <= 5 us ... ?\n"
