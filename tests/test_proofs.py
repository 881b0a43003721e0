"""Every proof: its short form, the bugs that it must find, and what is recorded of long runs."""

import json
import os

import pytest

from signbit.codegen import program
from signbit.codegen.plan import make_plan
from signbit.qmodel.command import run_command
from signbit.qmodel.errors import SignbitError
from tools.documents.blocks import README, block
from tools.networks.random import random_model
from tools.prove import command, faults, hearing, host_build, planted, record
from tools.prove.row import MOST, Outcome, Row
from tools.prove.rows import ROWS

STEPS = {f"{row.name} {first}": (row, first, count) for row in ROWS for first, count in row.steps(0, row.short)}
CONTROLS = {f"{row.name}: {name}": (row, control) for row in ROWS for name, control in row.controls.items()}


def skip_unless_possible(row):
    if row.missing():
        pytest.skip(row.missing())


@pytest.mark.parametrize("name", STEPS)
def test_a_promise_holds(name):
    """The short form of `python -m tools prove`, step by step."""
    row, first, count = STEPS[name]
    skip_unless_possible(row)
    assert row.run(first, count).findings == ()


@pytest.mark.parametrize("name", CONTROLS)
def test_a_proof_finds_the_planted_bug(name):
    row, control = CONTROLS[name]
    skip_unless_possible(row)
    assert control().findings


def test_every_proof_can_fail_and_covers_files(repository):
    assert len({row.name for row in ROWS}) == len(ROWS)
    for row in ROWS:
        assert row.controls and row.short <= row.total
        assert all((repository / place).exists() for place in row.covers), row.name


# --- the command and the record


def numbers(**changes):
    """A proof that even numbers are no finding, until 7."""

    def run(first, count):
        assert first % 4 + count <= 4
        findings = tuple(f"case {number}" for number in range(first, first + count) if number == changes.get("bad"))
        return Outcome({"sum": sum(range(first, first + count)), f"{MOST}seen": first}, findings)

    control = Outcome({}, () if changes.get("blind") else ("planted",))
    return Row("numbers", "nothing", "cases", 6, 20, 4, ("tools/prove/row.py",), run, {"one": lambda: control})


@pytest.fixture
def proofs(tmp_path, monkeypatch):
    """Replaces the proofs by one, without processes, and the files that long runs write; gives the record's path."""
    documents = [tmp_path / name for name in ("proofs.json", "SECURITY.md", "README.md")]
    for path in documents[1:]:
        path.write_text("<!-- proofs -->\n<!-- /proofs -->\n")
    for name, path in zip(("FILE", "DOCUMENT", "README"), documents, strict=True):
        monkeypatch.setattr(record, name, path)

    def use(row):
        def run(_, first, count, cluster=None, seconds=0):
            return [
                (size, row.run(start, size)) for start, size in list(row.steps(first, count))[: 2 if seconds else 9]
            ]

        monkeypatch.setattr(command, "ROWS", (row,))
        monkeypatch.setattr(command, "_run", run)
        return documents[0]

    return use


def prove(*words):
    return run_command(command.main, list(words))


def test_the_short_form_prints_a_line_and_records_nothing(proofs, capsys):
    path = proofs(numbers())
    assert prove("numbers") == 0 and not path.exists()
    wanted = "numbers: 6 cases from 0 on, 15 sum, at most 4 seen: 0 findings; 1 of 1 planted bugs found; 0 s\n"
    assert capsys.readouterr().out == wanted
    assert prove("--first", "10", "--cases", "1") == 0
    assert "1 cases from 8 on" in capsys.readouterr().out


def test_a_finding_and_a_planted_bug_that_is_not_found_fail(proofs, capsys):
    proofs(numbers(bad=5))
    assert prove() == 1 and "numbers: case 5\n" in capsys.readouterr().out
    proofs(numbers(blind=True))
    assert prove() == 1 and "does not find the planted bug: one\n" in capsys.readouterr().out


def test_what_is_missing_is_not_run_and_fails(proofs, monkeypatch, capsys):
    row = Row(**vars(numbers()) | {"missing": lambda: "apt install it"})
    proofs(row)
    assert prove() == 1 and capsys.readouterr().out == "numbers: NOT RUN: apt install it\n"


@pytest.mark.parametrize("words", [("--minutes", "1"), ("--long", "--cases", "1"), ("--long", "--first", "4"), ("no",)])
def test_options_that_do_nothing_together_are_refused(proofs, capsys, words):
    path = proofs(numbers())
    assert prove(*words) == 2 and capsys.readouterr().err.count("\n") == 1 and not path.exists()


def test_long_runs_add_up_while_the_code_is_the_same(proofs, monkeypatch, capsys):
    path = proofs(numbers())
    assert prove("--long") == 0
    assert "numbers: 8 of 20 cases so far, 40.0%" in capsys.readouterr().out
    assert prove("--long") == 0 and prove("--long") == 0
    found = json.loads(path.read_text())["numbers"]
    assert (found["cases"], found["counts"]) == (20, {"sum": 190, "most seen": 16})
    assert [run["first"] for run in found["runs"]] == [0] and found["runs"][0]["cases"] == 20
    assert "| `numbers` | nothing | 20 cases | 20 |" in record.DOCUMENT.read_text()
    assert "1 proofs, 20 cases, 0 findings" in record.README.read_text()
    monkeypatch.setattr(record, "code_hash", lambda row: "another")
    assert prove("--long") == 0 and json.loads(path.read_text())["numbers"]["cases"] == 8


def test_what_another_command_records_meanwhile_stays(proofs, monkeypatch):
    row = numbers()
    rows = row, Row(**vars(row) | {"name": "others"})
    path = proofs(row)

    def meanwhile(*_, **__):
        record.save({"others": record.Record("code", 3)}, rows)
        return [(4, row.run(0, 4))]

    monkeypatch.setattr(command, "ROWS", rows)
    monkeypatch.setattr(command, "_run", meanwhile)
    assert prove("--long", "numbers") == 0
    found = json.loads(path.read_text())
    assert (found["numbers"]["cases"], found["others"]["cases"]) == (4, 3)


def test_a_finding_of_a_long_run_stays(proofs):
    proofs(numbers(bad=1))
    assert prove("--long") == 1 and prove("--long") == 1


def die(*_):
    os._exit(9)


def test_a_process_that_dies_is_a_finding(monkeypatch):
    monkeypatch.setattr(command, "run_step", die)
    assert [part.findings for _, part in command._run(numbers(), 0, 8)] == [
        ("cases 0 to 3, or those after: the process died",)
    ]


def test_cases_run_in_processes_of_their_own():
    (row,) = (row for row in ROWS if row.name == "power-cut")
    parts = list(command._run(row, 0, 2 * row.step, seconds=-1))
    assert [size for size, _ in parts] == [row.step, row.step]
    assert all(sum(part.counts.values()) == size for size, part in parts)


def test_speech_is_heard_from_any_minute_on():
    skip_unless_possible(hearing.ROW)
    found = hearing.run(2, 1, seconds=2)
    assert found.findings == () and found.counts["hops"] == 100


def test_the_table_and_the_line_are_those_of_the_file():
    records = record.load()
    assert block(record.BLOCK, record.DOCUMENT) == record.table(records, ROWS)
    assert block(record.BLOCK, README) == record.line(records, ROWS)
    assert set(records) <= {row.name for row in ROWS} and not any(each.findings for each in records.values())


def test_the_fault_proof_s_harness_notices_a_change_of_the_protocol():
    with pytest.raises(ValueError):
        faults.shorter("no table", 8)
    assert host_build.replaced("abc", "b", "x") == "axc"


def test_a_bug_that_no_header_has_a_place_for_is_not_planted_in_silence():
    plan = make_plan(random_model(1, (4, 3)), "m")
    with planted.in_headers("m_infer", "m_other"):
        assert "m_infer" not in program.header_text(plan)
    with pytest.raises(SignbitError, match="'m_elsewhere' is in none"), planted.in_headers("m_elsewhere", "m_other"):
        program.header_text(plan)
