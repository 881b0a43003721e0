"""What the README says: its C compiles, its tables are those of the files that commands wrote, its commands exist."""

import json
import re
import subprocess

import pytest

from signbit.codegen.commands.cli import main as codegen
from signbit.qmodel.command import run_command
from tools.documents.blocks import README, ROOT, block
from tools.measure import figures
from tools.zoo import bench_trainer

LINES_MAX = 120
BOARD = """
#include <stdint.h>
void camera_read(uint8_t *image);
void display_show(const char *label);
"""


def test_first_page_is_short():
    assert len(README.read_text().splitlines()) <= LINES_MAX


def test_main_c_compiles_with_the_shipped_model(tmp_path):
    source = re.search(r"```c\n(.*?)```", README.read_text(), re.DOTALL)[1]
    assert len(source.splitlines()) == 5
    (tmp_path / "main.c").write_text(BOARD + source)
    header = tmp_path / "mnist_4k.h"
    assert run_command(codegen, ["export", str(ROOT / "models" / "mnist-4k.npz"), "-o", str(header)]) == 0
    flags = ["-std=c99", "-Wall", "-Wextra", "-Wno-unused-function", "-Werror"]
    subprocess.run(["cc", *flags, "-c", str(tmp_path / "main.c"), "-o", str(tmp_path / "main.o")], check=True)


def test_table_is_that_of_the_measured_figures():
    rows = json.loads(figures.FIGURES.read_text())
    assert block(figures.BLOCK) == figures.table(rows)
    assert all(row["different"] == 0 for row in rows)


def test_table_of_training_times_is_that_of_the_record():
    assert block(bench_trainer.BLOCK) == bench_trainer.table(json.loads(bench_trainer.RECORD.read_text()))


@pytest.mark.parametrize("document", sorted(ROOT.glob("*.md")) + sorted(ROOT.glob("[bdfm]*/*.md")), ids=str)
def test_links_lead_somewhere(document):
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text()):
        assert (document.parent / target).exists(), f"{document.name}: {target}"


@pytest.mark.parametrize("name", ["SECURITY", "EXTENDING"])
def test_tests_that_a_document_names_exist(name):
    sources = "".join(path.read_text() for path in (ROOT / "tests").glob("test_*.py"))
    named = re.findall(r"\btest_\w+", (ROOT / "docs" / f"{name}.md").read_text().replace("test_NAME", ""))
    there = set(re.findall(r"def (test_\w+)", sources)) | {path.stem for path in (ROOT / "tests").glob("test_*.py")}
    assert named and set(named) <= there
