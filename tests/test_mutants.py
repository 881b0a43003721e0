"""Planted bugs: where code can be broken, what a mutant is called, and who is asked about it."""

import json
import re
from dataclasses import replace

import pytest

from signbit.codegen.kernels import KERNELS
from signbit.emulate.machines import MACHINES
from signbit.qmodel.errors import SignbitError
from tests.test_kernels import ON_A_CORE, PORTABLE_C, name
from tools.mutants import c_sites, chosen, command, nearest, python_sites, results
from tools.mutants.mutant import Mutant, made, named
from tools.mutants.planting import Planting
from tools.prove import mutants as proof

UNTOUCHED = "tests/test_integer.py::test_sign_of_zero_is_plus_one"


def all_of(file, text):
    """All mutants of a file of this text."""
    source = text.encode()
    sites = python_sites.sites if file.endswith(".py") else c_sites.sites
    return [made(file, source, name, site) for name, site in named(file, sites(source))]


def texts(file, text):
    return [mutant.planted(text.encode()).decode() for mutant in all_of(file, text)]


@pytest.mark.parametrize(
    ("line", "broken"),
    [
        ("x = a < b", ["x = a <= b"]),
        ("x = a not in b", ["x = a in b"]),
        ("x = a is not None", ["x = a is None"]),
        ("x = (a) + (b)  # a - b", ["x = (a) - (b)  # a - b"]),
        ("x = a and b and c", ["x = a or b and c", "x = a and b or c"]),
        ("x = not a", ["x = a"]),
        ("x = -a", ["x = a"]),
        ("x = True", ["x = False"]),
        ("x = a[3]", ["x = a[(3 + 1)]"]),
        ("x = a if b else c", ["x = a if (not (b)) else c"]),
        ("f(a, b=c)", ["pass", "f(a)"]),
        ("f(b=c, d=e)", ["pass", "f(d=e)", "f(b=c)"]),
        ("if a: raise ValueError(3 + 4)", ["if (not (a)): raise ValueError(3 + 4)", "if a: pass"]),
        ("x += y", ["pass"]),
        ("def f(a: int | None) -> int | str: return a", ["def f(a: int | None) -> int | str: return None"]),
        ('x: int | str = f"{1 + 2}" + "a"', []),
        ('"""1 + 2"""', []),
        ("é = ü < ä", ["é = ü <= ä"]),
    ],
)
def test_python_is_broken_where_it_computes(line, broken):
    assert texts("a.py", line) == broken


@pytest.mark.parametrize(
    ("line", "broken"),
    [
        ("    x = a < b;", ["    x = a <= b;", "    ;"]),
        ("    x = a << 2u;", ["    x = a >> 2u;", "    x = a << 3u;", "    ;"]),
        ("    count++;", ["    count--;", "    ;"]),
        ("    return 0x10;", ["    return 17;"]),
        ("    if (a && b) {", ["    if (a || b) {", "    if (!(a && b)) {"]),
        ("    {{ a - 1 }}", ["    {{ a + 1 }}", "    {{ a - 2 }}"]),
        ('    "adds r0, r1\\n"', ['    "subs r0, r1\\n"']),
        ("    /* a < b */ {# c + d #} // 1", []),
        ("#define A (1 + 2) \\\n  + 3", []),
        ("    uint32_t sum;", []),
        ("    /* über */ x = a + b;", ["    /* über */ x = a - b;", "    /* über */ ;"]),
    ],
)
def test_c_is_broken_where_it_computes(line, broken):
    assert texts("a.c", line) == broken


def test_a_name_outlives_changes_elsewhere_and_no_change_of_its_function():
    before = "def f(a):\n    return a + 1\n\n\ndef g(a):\n    return a - 1\n"
    (_, plus, *_), names = all_of("a.py", before), {mutant.name for mutant in all_of("a.py", before)}
    assert plus.line == 2 and len(names) == 6
    after = all_of("a.py", "import os\n\n\n" + before.replace("a - 1", "a - 2"))
    assert sum(mutant.name in names for mutant in after) == 3
    assert not names & {mutant.name for mutant in all_of("b.py", before)}


def test_equal_changes_of_equal_lines_have_names_of_their_own():
    names = [mutant.name for mutant in all_of("a.c", "  i = a + b;\n  i = a + b;\n")]
    assert len(set(names)) == len(names) == 4


def test_every_file_has_its_share_and_mutants_of_python_are_python(repository):
    found = chosen.mutants()
    assert len(found) >= proof.TOTAL
    assert {mutant.file.split("/")[0] for mutant in found.values()} >= {
        "qmodel",
        "trainer",
        "codegen",
        "firmware",
        "signbit",
    }
    for mutant in list(found.values())[::16]:
        if mutant.file.endswith(".py"):
            compile(mutant.planted((repository / mutant.file).read_bytes()), mutant.file, "exec")


def test_what_is_planted_is_noticed_and_taken_away(repository):
    """In a function, by what is computed once, by a module that no longer imports, and by a process that dies."""
    file = "qmodel/integer.py"
    source = (repository / file).read_bytes()
    inside, after = source.index(b">= 0, 1, -1"), len(source)
    bugs = {
        "> 0": (inside, inside + 4),
        "\nsign = abs\n": (after, after),
        "\nraise ImportError\n": (after, after),
        "\nimport os; os.abort()\n": (after, after),
    }
    harmless = Mutant(file, 0, 0, "", 1, "none", "none")
    with Planting([UNTOUCHED]) as planting:
        for wrong, (start, end) in bugs.items():
            bug = replace(harmless, start=start, end=end, wrong=wrong)
            assert planting.failing(bug, [UNTOUCHED]) == UNTOUCHED, wrong
        assert planting.failing(harmless, [UNTOUCHED]) == ""
        with pytest.raises(SignbitError, match="there is no such test"):
            planting.failing(harmless, ["tests/test_integer.py::test_that_is_not_there"])
        assert (planting.copy / file).read_bytes() == source


def test_the_tests_of_every_kernel_are_there():
    names = {f"tests/test_kernels.py::test_kernel_agrees_on_its_core[{name(pair)}]" for pair in ON_A_CORE}
    names |= {f"tests/test_kernels.py::test_plain_c_of_the_kernel_agrees[{name(pair)}]" for pair in PORTABLE_C}
    for kernel in KERNELS:
        asked = nearest.kernel_tests(f"codegen/{kernel.template}")
        assert asked and set(asked) <= names, kernel.name
    assert len(nearest.kernel_tests("codegen/kernels/m4/assembly.py")) == 2 * nearest.KERNELS_MAX
    assert nearest.kernel_tests("codegen/plan.py") == []


def test_every_kind_of_test_is_asked_before_its_second_case():
    tests = ["a.py::f[1]", "a.py::f[2]", "b.py::g", "a.py::f[3]", "b.py::h[1]", "b.py::h[2]"]
    assert nearest.by_turns(tests) == ["a.py::f[1]", "b.py::g", "b.py::h[1]", "a.py::f[2]", "b.py::h[2]", "a.py::f[3]"]


def test_the_tests_of_every_kind_of_file_are_there(repository):
    for test in nearest.firmware_tests("firmware/src/startup.c"):
        file, name, core = re.fullmatch(r"(\S+)::(\w+)(?:\[(m\d+)\])?", test).groups()
        assert f"def {name}(" in (repository / file).read_text() and core in {None, *MACHINES}
    assert f"def {nearest.ENTRY_TEST}(" in (repository / "tests" / "test_verbs.py").read_text()
    assert nearest.entry_tests("codegen/__main__.py") and not nearest.entry_tests("codegen/plan.py")
    for test in nearest.header_tests("codegen/templates/model.h.j2"):
        file, name = re.fullmatch(r"(\S+)::(\w+)(?:\[\w+\])?", test).groups()
        assert f"def {name}(" in (repository / file).read_text()
    assert nearest.firmware_tests("firmware/src/protocol.c") == nearest.firmware_tests("codegen/plan.py") == []


@pytest.fixture
def record(tmp_path, monkeypatch):
    """Two mutants with an empty record, which is replaced."""
    monkeypatch.setattr(results, "FILE", tmp_path / "mutants.json")
    one, other = list(chosen.mutants().values())[:2]
    monkeypatch.setattr(command, "mutants", lambda: {one.name: one, other.name: other})
    return one, other


def test_results_are_added_up_and_those_of_changed_code_go(record):
    one, other = record
    both = {one.name: one, other.name: other}
    results.save({one.name: "tests/test_a.py::test_b"}, both)
    assert results.save({other.name: ""}, both) == {one.name: "tests/test_a.py::test_b", other.name: ""}
    results.save({}, {one.name: one})
    assert results.load() == {one.name: "tests/test_a.py::test_b"}
    assert json.loads(results.FILE.read_text())[one.file]["caught"] == {"tests/test_a.py::test_b": one.name}


def test_survivors_are_listed_until_they_are_explained(record, monkeypatch, capsys):
    one, other = record
    results.save({one.name: "", other.name: "tests/test_a.py::test_b"}, {one.name: one, other.name: other})
    assert command.main(["--minutes", "0"]) == 1
    listed, counts = capsys.readouterr().out.splitlines()
    assert listed == f"{one.name} {one.file}:{one.line}: {one.change}"
    assert counts == "2 mutants: 2 planted, 1 caught, 0 explained, 1 survive"
    monkeypatch.setattr(results, "explained", lambda: {one.name: "it is equal"})
    assert command.main(["--minutes", "0"]) == 0


def test_what_survived_is_planted_again_unless_others_have_done_it(record, monkeypatch):
    """The first save of a run with --again left out all that was still to be planted."""
    one, other = record
    both = {one.name: one, other.name: other}
    monkeypatch.setattr(command, "Nearest", lambda: None)
    results.save({one.name: "", other.name: ""}, both)
    asking = command.Asking([one, other], 60, lambda count: None)
    asking.save()
    assert asking.asked == [one, other]
    results.save({one.name: "tests/test_a.py::test_b"}, both)
    asking.save()
    assert asking.asked == [other]


def test_only_what_survives_is_explained():
    found = results.load()
    assert [name for name in results.explained() if found.get(name)] == []


def test_without_a_map_nothing_is_said_to_survive(tmp_path):
    with pytest.raises(SignbitError, match="mutants_map"):
        nearest.Nearest(tmp_path)
