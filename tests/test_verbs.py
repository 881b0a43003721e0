"""`signbit` and its commands: the same code as the modules' own, under the name that was typed."""

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
