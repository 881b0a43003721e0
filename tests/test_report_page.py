"""The report of a plan as HTML: one file, its pictures, and the run that made the model."""

import base64
import json
import re

import numpy as np
import pytest

from signbit.codegen.commands.cli import main
from signbit.qmodel.command import run_command
from signbit.qmodel.file import save
from tools.measure import page as tool
from tools.networks.random import random_network


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a short run."""
    from signbit.trainer.command.cli import main as train

    folder = tmp_path_factory.mktemp("run") / "run"
    assert (
        run_command(train, ["train", "--data", "digits", "--hidden", "8", "--epochs", "3", "--run", str(folder)]) == 0
    )
    return folder


@pytest.fixture
def export(tmp_path, capsys):
    """Exports with a report; gives the exit code, stderr and the report."""

    def call(model, *options, report="m.html"):
        path = tmp_path / report
        arguments = ["export", str(model), "-o", str(tmp_path / "m.h"), "--report", str(path), *map(str, options)]
        code = run_command(main, arguments)
        return code, capsys.readouterr().err, path.read_text() if path.exists() else ""

    return call


def test_report_is_one_file_with_pictures(tmp_path, export):
    save(random_network(3, layers=2), tmp_path / "m.npz")
    code, _, text = export(tmp_path / "m.npz")
    assert code == 0 and not re.search(r"""(src|href)=(?!"data:)""", text)
    pictures = [base64.b64decode(code) for code in re.findall(r"data:image/png;base64,([^\"]+)", text)]
    assert pictures and all(picture.startswith(b"\x89PNG") for picture in pictures)
    assert "Learning curves" not in text


def test_report_shows_the_run(run, export):
    code, _, text = export(run / "model.npz", "--run", run)
    result = json.loads((run / "result.json").read_text())
    assert code == 0
    curves = re.findall(r'<polyline class="curve-\d" points="([^"]*)"', text)
    assert [len(points.split()) for points in curves] == [3, 3]
    cells = re.findall(r"<td(?: class=\"(right|wrong)\")?>(\d*)(?=<|\n)", text.partition('class="confusion"')[2])
    counts = [int(count or 0) for _, count in cells[1:]]
    assert counts == np.ravel(result["confusion"]).tolist()
    right = sum(int(count) for kind, count in cells if kind == "right")
    assert right == result["accuracy"]["test"]["integer_correct"]


def test_anybody_can_read_it(run, export, tmp_path):
    if tool.missing():
        pytest.skip(tool.missing())
    export(run / "model.npz", "--run", run)
    with tool.chromium() as browser:
        page = tool.new_page(browser, viewport={"width": 360, "height": 740}, color_scheme="dark")
        complaints = []
        page.on("console", lambda message: complaints.append(message.text))
        page.goto((tmp_path / "m.html").as_uri())
        assert tool.serious_findings(page) == [] and complaints == []
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


def test_a_run_of_another_model_is_refused(run, export, tmp_path):
    save(random_network(3, layers=2), tmp_path / "m.npz")
    code, error, _ = export(tmp_path / "m.npz", "--run", run)
    assert code == 2 and "its model is" in error and not (tmp_path / "m.h").exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda record: [],
        lambda record: record.pop("confusion"),
        lambda record: record["confusion"].pop(),
        lambda record: record["confusion"][0].__setitem__(0, -1),
        lambda record: record["epochs"].clear(),
        lambda record: record["epochs"][0].update(train_accuracy=7),
        lambda record: record.update(epoch="last"),
    ],
)
def test_a_damaged_record_is_refused(change, run, export, tmp_path):
    record = json.loads((run / "result.json").read_text())
    changed = change(record)
    folder = tmp_path / "damaged"
    folder.mkdir()
    (folder / "result.json").write_text(json.dumps([] if changed == [] else record))
    code, error, _ = export(run / "model.npz", "--run", folder)
    assert code == 2 and "result.json: " in error and not (tmp_path / "m.h").exists()


def test_run_needs_a_report_that_is_html(run, export, tmp_path):
    code, error, _ = export(run / "model.npz", "--run", run, report="m.json")
    assert code == 2 and "--run is for a report; add --report FILE.html" in error
    code, error, _ = export(run / "model.npz", "--run", tmp_path)
    assert code == 2 and "there is no result.json in it" in error
