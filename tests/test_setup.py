"""The set-up of tools/demo and tools/check: what fails speaks for itself, and versions can be pinned."""

import contextlib
import hashlib
import os
import re
import subprocess
import sys
import tomllib
import zipfile

import pytest
from packaging.requirements import Requirement

from signbit.qmodel.command import run_command
from tools.setup import coverage, environment, options, pin

PROGRAM = """
import subprocess, sys
if sys.argv[1:]:
    subprocess.run([sys.executable, __file__])
if sys.flags.isolated:
    print()
"""
COMPLAINT = "line one\\n\\nE: the disk is full\\n"


@pytest.fixture
def plant(tmp_path, monkeypatch):
    """Makes a command on PATH that appends its arguments to calls, writes `says` and ends with `code`."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setattr(environment, "VENV", tmp_path)
    monkeypatch.setattr(environment, "STAMP", tmp_path / "stamp")
    monkeypatch.setattr(environment.os, "geteuid", lambda: 0)
    monkeypatch.delenv("SIGNBIT_PINNED", raising=False)

    def command(name, code=0, says=COMPLAINT):
        path = tmp_path / "bin" / name
        path.write_text(f'#!/bin/sh\necho "$0 $*" >> {tmp_path / "calls"}\nprintf "{says}"\nexit {code}\n')
        path.chmod(0o755)
        return path

    return command


def calls(tmp_path):
    return (tmp_path / "calls").read_text().splitlines()


@pytest.fixture
def nothing_is_set_up(monkeypatch):
    def set_up(*arguments):
        raise AssertionError(arguments)

    monkeypatch.setattr(environment, "set_up", set_up)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("demo --help", "usage: tools/demo "),
        ("demo --keywords -h", "usage: tools/demo "),
        ("demo --version", "signbit "),
        ("check --help", "usage: tools/check "),
    ],
)
def test_help_comes_before_anything_is_set_up(words, said, nothing_is_set_up, capsys):
    with contextlib.suppress(SystemExit):
        environment.main(words.split())
    assert said in capsys.readouterr().out


@pytest.mark.parametrize("words", ["demo --nonsense", "demo here", "demo --data words"])
def test_wrong_words_are_refused_before_anything_is_set_up(words, nothing_is_set_up, capsys):
    assert run_command(environment.main, words.split()) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_tests_get_all_arguments_but_those_of_the_check():
    words = ["-x", "tests/test_plan.py", "-k", "a or b", "--durations=3"]
    taken, given = options.check_options([*words, "--coverage"])
    assert (given, taken.coverage, options.check_options(words)[0].coverage) == (words, True, False)


def test_branches_are_counted_in_all_processes(tmp_path, monkeypatch, capsys):
    """In one process each way is taken, in the other the second one; and what has changed since is not measured."""
    for name, value in (
        ("ROOT", tmp_path),
        ("FOLDER", tmp_path / "c"),
        ("REPORT", tmp_path / "r"),
        ("ROOMS", ("room",)),
    ):
        monkeypatch.setattr(coverage, name, value)
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)
    program = tmp_path / "room" / "program.py"
    program.parent.mkdir()
    program.write_text(PROGRAM)
    for is_whole in (False, True):
        subprocess.run([*coverage.command(), str(program), "x"], cwd=tmp_path, check=True)
        coverage.report(is_whole)
        assert capsys.readouterr().out == "room: 3 of 4 ways of branches taken, 75.00%\n"
        assert coverage.figures() == ((3, 4) if is_whole else None)
    program.write_text("")
    assert coverage.figures() is None


@pytest.mark.parametrize(
    ("words", "said"),
    [("demo --help", "usage: tools/demo "), ("check -h", "usage: tools/check "), ("", "python -m tools")],
)
def test_help_needs_no_package(words, said, repository, tmp_path):
    """It comes before any is installed."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    python.chmod(0o755)
    command = [repository / "tools" / "with-python", *words.split()]
    variables = {"SIGNBIT_PYTHON": str(python), "SIGNBIT_VENV": str(tmp_path / "venv")}
    done = subprocess.run(command, env=os.environ | variables, capture_output=True, text=True)
    assert done.stdout.startswith(said), done.stderr
    assert not (tmp_path / "venv").exists()


def test_apt_s_own_last_lines_are_shown_and_the_set_up_goes_on(plant, capsys):
    plant("apt-get", code=100)
    environment.install_apt_packages({"no-such-command": ("some-package",)})
    assert capsys.readouterr().err.endswith("apt-get update failed:\n    line one\n    E: the disk is full\n")


def test_pip_s_own_last_lines_are_shown(plant, capsys):
    plant("pip")
    plant("python", code=1)
    with pytest.raises(SystemExit) as ended:
        environment.make_environment("test")
    assert ended.value.code == 2
    error = capsys.readouterr().err.partition("error: ")[2]
    assert re.fullmatch(r"pip could not install \S+\[test\]:\n    line one\n    E: the disk is full\n", error)
    assert not environment.STAMP.exists()


def test_venv_s_own_last_lines_are_shown(plant, monkeypatch, capsys):
    monkeypatch.setattr(environment.sys, "executable", str(plant("python3", code=1)))
    plant("apt-get")
    with pytest.raises(SystemExit):
        environment.make_environment("test")
    said = capsys.readouterr().err
    assert "installing python3-venv with apt-get" in said
    assert said.endswith("no virtual environment (apt install python3-venv):\n    line one\n    E: the disk is full\n")


def test_a_step_that_dies_without_a_word_has_its_exit_code(plant):
    assert environment.attempt([str(plant("mute", code=7, says=""))]) == "    no word, exit code 7"
    assert environment.attempt([str(plant("long", code=1, says="\\n".join("abcdefghijkl")))]).split() == list(
        "efghijkl"
    )
    assert environment.attempt([str(plant("fine"))]) == ""


def test_versions_are_pinned_where_that_is_asked_for(plant, tmp_path, monkeypatch):
    plant("pip")
    plant("python")
    environment.make_environment("test")
    environment.make_environment("test")
    assert len(calls(tmp_path)) == 1 and "--constraint" not in calls(tmp_path)[0]
    monkeypatch.setenv("SIGNBIT_PINNED", "1")
    environment.make_environment("test")
    assert f"--constraint {environment.CONSTRAINTS}" in calls(tmp_path)[1]


def test_recording_replaces_the_lines_of_one_python():
    first = pin.constraints(pin.HEADER, "3.13", {"numpy": "2.5.0", "rich": "14.0"})
    both = pin.constraints(first, "3.9", {"numpy": "1.26.4"})
    again = pin.constraints(both, "3.13", {"numpy": "2.5.1"})
    assert again.splitlines()[1:] == [
        'numpy==1.26.4 ; python_version == "3.9"',
        'numpy==2.5.1 ; python_version == "3.13"',
    ]
    assert pin.constraints(again, "3.13", {"numpy": "2.5.1"}) == again


def test_the_recorded_versions_fit_the_project(repository):
    """Every requirement of tools/check has a version for each Python that is recorded, and it is an allowed one."""
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    extras = environment.CHECK.split(",")
    wanted = [*project["dependencies"], *(line for extra in extras for line in project["optional-dependencies"][extra])]
    recorded = {}
    for line in environment.CONSTRAINTS.read_text().splitlines()[1:]:
        name, version, python = re.fullmatch(r'([a-z0-9-]+)==(\S+) ; python_version == "([\d.]+)"', line).groups()
        recorded.setdefault(python, {})[name] = version
    assert {"3.11", "3.13"} <= recorded.keys()
    for versions in recorded.values():
        for requirement in map(Requirement, wanted):
            assert requirement.name in versions, f"{requirement}: record it with python -m tools pin"
            assert requirement.specifier.contains(versions[requirement.name]), requirement


def test_the_lock_has_a_hash_for_each_version_that_is_pinned():
    """For the Pythons that it has lines for."""
    lines = [re.fullmatch(LOCKED, line) for line in environment.LOCK.read_text().splitlines()[1:]]
    assert lines and all(lines)
    locked = {(match["python"], match["name"], match["version"]) for match in lines}
    pythons = {python for python, _, _ in locked}
    pinned = re.findall(r'^(\S+)==(\S+) ; python_version == "([\d.]+)"$', environment.CONSTRAINTS.read_text(), re.M)
    assert locked == {(python, name, version) for name, version, python in pinned if python in pythons}


LOCKED = (
    r'(?P<name>\S+)==(?P<version>\S+) ; python_version == "(?P<python>[\d.]+)" and sys_platform == "\w+"'
    r' and platform_machine == "\w+" --hash=sha256:[0-9a-f]{64}'
)


LINE = f"a==1 {environment.MARKER} --hash=sha256:{'0' * 64}\n"
BY_HASH, BY_VERSION = "--require-hashes", "--constraint"


@pytest.fixture
def steps(monkeypatch, tmp_path):
    """Sets up for the tests, pinned: steps(text of the lock, complaint of each step) gives the steps' commands."""
    monkeypatch.setenv("SIGNBIT_PINNED", "1")
    monkeypatch.setattr(environment, "STAMP", tmp_path / "stamp")
    monkeypatch.setattr(environment, "LOCK", tmp_path / "lock.txt")
    monkeypatch.setattr(environment, "make_venv", lambda: None)

    def call(lock, *complaints):
        said, taken = iter(complaints), []
        environment.LOCK.write_text(lock)
        monkeypatch.setattr(environment, "attempt", lambda command: taken.append(command) or next(said))
        environment.make_environment(environment.CHECK)
        return taken

    return call


def test_pinned_tests_take_the_files_of_the_lock_and_no_others(steps, capsys):
    files, package = steps(LINE, "", "")
    assert BY_HASH in files and files[-1] == str(environment.LOCK)
    assert "--no-deps" in files and "--no-index" in package and package[-1].endswith(f"[{environment.CHECK}]")
    assert "pinned" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("versions", "instead"),
    [(f"a==1 ; {environment.PYTHON}\n", "only versions are pinned"), ("", "the newest packages are taken")],
)
def test_what_is_taken_without_files_for_this_python_is_said(steps, versions, instead, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(environment, "CONSTRAINTS", tmp_path / "constraints.txt")
    environment.CONSTRAINTS.write_text(versions)
    (package,) = steps(LINE.replace("python_version", "another"), "")
    assert BY_HASH not in package and BY_VERSION in package
    assert f"lock.txt has no files for this Python and machine: {instead}\n" in capsys.readouterr().err


@pytest.mark.parametrize("complaints", [["    no matching distribution"], ["", "    no matching distribution"]])
def test_where_the_locked_files_do_not_do_the_versions_are_pinned_and_that_is_said(steps, complaints, capsys):
    """They can't be had, or a package is none of them."""
    files, *_, package = steps(LINE, *complaints, "")
    assert BY_HASH in files and BY_VERSION in package
    said = capsys.readouterr().err
    assert "only versions are pinned, since" in said and said.endswith("    no matching distribution\n")


def test_another_file_than_the_lock_s_ends_the_set_up(steps, capsys):
    with pytest.raises(SystemExit) as ended:
        steps(LINE, f"    {environment.OTHER_FILE} 00")
    assert ended.value.code == 2 and not environment.STAMP.exists()
    assert (
        f"error: a package is not the file that lock.txt names:\n    {environment.OTHER_FILE}"
        in capsys.readouterr().err
    )


def test_pip_says_of_another_file_what_the_set_up_looks_for(tmp_path):
    with zipfile.ZipFile(tmp_path / "a-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("a-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: a\nVersion: 1\n")
        wheel.writestr("a-1.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("a-1.dist-info/RECORD", "")
    (tmp_path / "lock.txt").write_text(LINE)
    take = [
        "--no-index",
        f"--find-links={tmp_path}",
        "--dry-run",
        "--no-deps",
        BY_HASH,
        "-r",
        str(tmp_path / "lock.txt"),
    ]
    command = [sys.executable, "-m", "pip", "install", *environment.PIP_QUIET, *take]
    assert environment.OTHER_FILE in environment.attempt(command)
    digest = hashlib.sha256((tmp_path / "a-1-py3-none-any.whl").read_bytes()).hexdigest()
    (tmp_path / "lock.txt").write_text(LINE.replace("0" * 64, digest))
    assert environment.attempt(command) == ""


@pytest.mark.parametrize("script", ["run", "long"])
def test_continuous_integration_is_pinned(script, repository, tmp_path):
    """Unless it is told otherwise."""
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\n[ "$1" = -c ] || echo "pinned=$SIGNBIT_PINNED"\n')
    python.chmod(0o755)
    for given, found in ((None, "1"), ("", "")):
        variables = {"SIGNBIT_PYTHON": str(python), "SIGNBIT_DATA_DIR": str(tmp_path)}
        variables |= {} if given is None else {"SIGNBIT_PINNED": given}
        inherited = {name: value for name, value in os.environ.items() if name != "SIGNBIT_PINNED"}
        done = subprocess.run([repository / ".ci" / script], env=inherited | variables, capture_output=True, text=True)
        assert done.stdout == f"pinned={found}\n"
