"""docs/DATA.md: its commands and programs run in their order, and its outputs and C are right."""

import os
import re
import subprocess
import sys

import pytest

TRAINING_TIME_S = 120


@pytest.fixture(scope="module")
def document(request):
    return (request.config.rootpath / "docs" / "DATA.md").read_text()


def blocks(text: str, *languages: str) -> list[tuple[str, str]]:
    found = re.findall(r"```(\w+)\n(.*?)```", text, re.DOTALL)
    return [(language, content) for language, content in found if language in languages]


def commands(block: str) -> list[tuple[str, list[str]]]:
    """Each command with the lines it must print."""
    parts = re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
    return [(part.splitlines()[0], part.splitlines()[1:]) for part in parts]


def test_all_examples_run_and_print_what_they_say(document, repository, tmp_path):
    pytest.importorskip("PIL", reason="Pillow is not installed (pip install 'signbit[images]')")
    environment = os.environ | {"PYTHONPATH": str(repository)}
    for language, content in blocks(document, "console", "python"):
        if language == "python":
            subprocess.run([sys.executable, "-c", content], check=True, cwd=tmp_path, timeout=TRAINING_TIME_S)
            continue
        for command, expected in commands(content):
            line = re.sub(r"^python\b", sys.executable, command)
            done = subprocess.run(
                line, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=TRAINING_TIME_S
            )
            printed = done.stdout + done.stderr
            wants_error = any(text.startswith("error: ") for text in expected)
            assert done.returncode == (2 if wants_error else 0), f"{command}\n{printed}"
            assert [text for text in expected if text not in printed.splitlines()] == [], printed
    ((_, source),) = blocks(document, "c")
    (tmp_path / "activity.c").write_text(source)
    subprocess.run(["cc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-c", "activity.c"], check=True, cwd=tmp_path)


def test_every_option_is_described(document):
    from trainer.options import train_parser

    (group,) = [group for group in train_parser()._action_groups if group.title.startswith("own data")]
    options = [action.option_strings[0] for action in group._group_actions]
    assert len(options) == 9
    assert [option for option in options if f"`{option}" not in document] == []
