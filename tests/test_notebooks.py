"""The documents as notebooks: their cells are the documents', they are whole by themselves, and one is executed."""

import re

import pytest

from signbit.qmodel.command import run_command
from signbit.qmodel.errors import SignbitError
from tools.documents import notebooks
from tools.documents.blocks import ROOT
from tools.documents.notebooks import NOTEBOOKS

PYTHON = re.compile(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```$)?", re.DOTALL | re.MULTILINE)


@pytest.fixture(autouse=True)
def libraries():
    if notebooks.missing():
        pytest.skip(notebooks.missing())


def blocks(name):
    """The document's blocks of Python, each with what it prints, "" where the document does not say."""
    found = PYTHON.findall((ROOT / NOTEBOOKS[name].document).read_text())
    return [(code.rstrip("\n"), printed) for code, printed in found]


def cells(content):
    """The same of a notebook, without the first cell."""
    code = [cell for cell in content.cells if cell.cell_type == "code"][1:]
    printed = [[each.text for each in cell.outputs if each.output_type == "stream"] for cell in code]
    return [(cell.source, "".join(texts)) for cell, texts in zip(code, printed, strict=True)]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_cells_are_the_document_s(name):
    import nbformat

    content = notebooks.made(NOTEBOOKS[name])
    nbformat.validate(content)
    assert cells(content) == blocks(name) != []
    assert content.cells[0].source.startswith("%pip install ") and "signbit" in content.cells[0].source
    assert notebooks.text(content) == notebooks.text(notebooks.made(NOTEBOOKS[name]))


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_is_whole_by_itself(name):
    """Its pictures are in it, and its links lead to the repository."""
    for cell in notebooks.made(NOTEBOOKS[name]).cells:
        if cell.cell_type == "markdown":
            prose = re.sub(r"^```.*?^```$|`[^`]+`", "", cell.source, flags=re.DOTALL | re.MULTILINE)
            for target in re.findall(r"\]\(([^)\s]+)\)", prose):
                attached = target.removeprefix("attachment:") in cell.get("attachments", {})
                assert attached or target.startswith(("https://", "#")), target


def test_the_quick_start_prints_what_it_says_and_ends_with_the_page():
    content = notebooks.made(NOTEBOOKS["QUICKSTART"])
    for cell in content.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    notebooks.execute(NOTEBOOKS["QUICKSTART"], content)
    assert cells(content) == blocks("QUICKSTART")
    assert content.cells[0].outputs == []
    last = [cell for cell in content.cells if cell.cell_type == "code"][-1]
    assert 'src="data:text/html;base64,' in last.outputs[0].data["text/html"]


def test_a_cell_that_fails_is_named():
    content = notebooks.made(NOTEBOOKS["QUICKSTART"])
    content.cells[2].source = "gone"
    with pytest.raises(SignbitError, match=r"^docs/QUICKSTART.md: a cell failed: NameError: name 'gone' is not def"):
        notebooks.execute(NOTEBOOKS["QUICKSTART"], content)


def test_one_is_written_with_the_document_s_outputs(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(notebooks, "FOLDER", tmp_path / "notebooks")
    assert run_command(notebooks.main, ["--only", "ESTIMATOR", "--no-execute"]) == 0
    assert [path.name for path in notebooks.FOLDER.iterdir()] == ["ESTIMATOR.ipynb"]
    assert capsys.readouterr().out.endswith("notebooks/ESTIMATOR.ipynb: 4 cells of Python, not executed\n")


def test_the_extra_is_named_where_a_library_is_missing(monkeypatch, capsys):
    monkeypatch.setattr(notebooks, "LIBRARIES", ("json", "no_such_library"))
    assert run_command(notebooks.main, []) == 2
    assert capsys.readouterr().err == "error: notebooks need no_such_library: pip install 'signbit[notebook]'\n"
