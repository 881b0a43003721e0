"""docs/DATA.md and docs/TRAINING.md: commands and programs run in their order; their outputs and C are right."""

import os
import re
import subprocess
import sys

import pytest

from signbit.codegen.commands.cli import main as codegen
from signbit.codegen.plan import make_plan
from signbit.codegen.render import header_text
from signbit.qmodel.command import run_command
from signbit.qmodel.data.readers.loading import LoadingOptions
from signbit.trainer.command.options import train_parser
from tests.motion import write_hapt
from tools.documents.blocks import ROOT
from tools.networks.random import front_end_model
from tools.zoo.activity import activity_csv

DOCUMENTS = {name: (ROOT / "docs" / f"{name}.md").read_text() for name in ("DATA", "TRAINING")}


def blocks(text: str, *languages: str) -> list[tuple[str, str]]:
    found = re.findall(r"```(\w+)\n(.*?)```", text, re.DOTALL)
    return [(language, content) for language, content in found if language in languages]


def commands(block: str) -> list[tuple[str, list[str]]]:
    """Each command with the lines it must print."""
    parts = re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
    return [(part.splitlines()[0], part.splitlines()[1:]) for part in parts]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_all_examples_run_and_print_what_they_say(name, repository, tmp_path):
    pytest.importorskip("PIL", reason="Pillow is not installed (pip install 'signbit[images]')")
    environment = os.environ | {"PYTHONPATH": str(repository)}
    write_hapt(tmp_path / "HAPT")
    for language, content in blocks(DOCUMENTS[name], "console", "python"):
        if language == "python":
            subprocess.run([sys.executable, "-c", content], check=True, cwd=tmp_path)
            continue
        for command, expected in commands(content):
            line = re.sub(r"^python\b", sys.executable, command)
            done = subprocess.run(line, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True)
            printed = done.stdout + done.stderr
            wants_error = any(text.startswith("error: ") for text in expected)
            assert done.returncode == (2 if wants_error else 0), f"{command}\n{printed}"
            assert [text for text in expected if text not in printed.splitlines()] == [], printed


def test_example_c_compiles(tmp_path, trainer):
    write_hapt(tmp_path / "HAPT")
    table = tmp_path / "activity.csv"
    table.write_text(activity_csv(tmp_path / "HAPT"))
    words = ("--group-column", "person", "--recording-column", "recording", "--window", "128", "--stride", "64")
    assert trainer("--data", table, *words, "--epochs", "1", "--out", tmp_path / "m.npz")[0] == 0
    export = ["export", str(tmp_path / "m.npz"), "--prefix", "activity", "-o", str(tmp_path / "activity.h")]
    assert run_command(codegen, export) == 0
    tones = front_end_model(0, "logmel:bands=12", (4000, 1, 1), 8000)
    for name in ("tones", "words"):
        (tmp_path / f"{name}.h").write_text(header_text(make_plan(tones, name)))
    sources = [source for _, source in blocks(DOCUMENTS["DATA"], "c")]
    assert len(sources) == 4
    for number, source in enumerate(sources):
        (tmp_path / f"{number}.c").write_text(source)
        command = ["cc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-c", f"{number}.c"]
        subprocess.run(command, check=True, cwd=tmp_path)


def test_every_option_is_described():
    (group,) = [group for group in train_parser()._action_groups if group.title.startswith("own data")]
    options = [action.option_strings[0] for action in group._group_actions]
    assert len(options) == len(LoadingOptions.declared())
    assert [option for option in options if f"`{option}" not in DOCUMENTS["DATA"]] == []
