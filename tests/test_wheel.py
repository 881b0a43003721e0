"""The wheel: what is in it, and that it works where nothing else of the project is."""

import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import zipfile
from email.parser import Parser as Metadata
from pathlib import Path

import numpy
import pytest

from signbit.codegen import emulated_core
from signbit.codegen.kernels.targets import TARGETS
from signbit.emulate import emulation
from signbit.places import MODELS
from signbit.qmodel.command import run_command
from tools.setup import sbom

NOT_SHIPPED = {"firmware/README.md", "models/README.md", "models/mnist-pi.npz"}
OTHERS = ("trainer", "codegen", "qmodel", "tools", "models", "firmware")
"""Names of other people's packages and of a user's own files that must not matter."""
BUILD = "import sys, setuptools.build_meta as build; getattr(build, f'build_{sys.argv[1]}')(sys.argv[2])"
HEADER_USER = '#define DIGITS_IMPLEMENTATION\n#include "digits.h"\nint main(void) { return 0; }\n'


@pytest.fixture(scope="module")
def settings(repository):
    return tomllib.loads((repository / "pyproject.toml").read_text())["tool"]["setuptools"]


@pytest.fixture(scope="module")
def source(repository, settings, tmp_path_factory):
    """What the build needs, without what earlier builds and runs left in the checkout."""
    folder = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(repository / name, folder)
    for name in settings["package-dir"].values():
        shutil.copytree(repository / name, folder / name, ignore=shutil.ignore_patterns(".pio", "__pycache__"))
    return folder


def build(kind, source, folder):
    """The wheel or source archive of `source`, in `folder`."""
    environment = os.environ | {"SOURCE_DATE_EPOCH": "1700000000"}
    command = [sys.executable, "-c", BUILD, kind, str(folder)]
    done = subprocess.run(command, cwd=source, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = folder.iterdir()
    return found


@pytest.fixture(scope="module")
def archive(source, tmp_path_factory):
    return build("sdist", source, tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def wheel(source, archive, tmp_path_factory):
    """After `archive`, since both builds use the same folder."""
    return build("wheel", source, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def names(wheel):
    return [name for name in zipfile.ZipFile(wheel).namelist() if not name.endswith("/")]


def test_only_signbit_is_in_it(names):
    assert {name.split("/")[0] for name in names} == {"signbit", "signbit-0.1.0.dist-info"}


def test_every_file_is_in_it(source, settings, names):
    """A new file, or a new package that pyproject.toml does not list, is not forgotten."""
    expected = set()
    for package, folder in settings["package-dir"].items():
        for path in (source / folder).rglob("*"):
            if path.is_file() and path.relative_to(source).as_posix() not in NOT_SHIPPED:
                expected.add(f"{package.replace('.', '/')}/{path.relative_to(source / folder).as_posix()}")
    assert {name for name in names if name.startswith("signbit/")} == expected


def test_a_source_archive_gives_the_same_bytes(archive, wheel, tmp_path):
    shutil.unpack_archive(archive, tmp_path)
    (unpacked,) = tmp_path.iterdir()
    (tmp_path / "wheel").mkdir()
    assert build("wheel", unpacked, tmp_path / "wheel").read_bytes() == wheel.read_bytes()


def test_the_same_files_elsewhere_and_later_give_the_same_bytes(source, wheel, tmp_path):
    """No time, path, order or mode of files gets into it."""
    copy = tmp_path / "elsewhere" / "source"
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("build", "*.egg-info"))
    for path in sorted(copy.rglob("*"), reverse=True):
        os.utime(path, (1_600_000_000, 1_600_000_000))
    (tmp_path / "wheel").mkdir()
    assert build("wheel", copy, tmp_path / "wheel").read_bytes() == wheel.read_bytes()


def test_the_bill_of_materials_names_what_it_requires(wheel, capsys, tmp_path):
    assert run_command(sbom.main, [str(wheel)]) == 0
    found = json.loads(capsys.readouterr().out)
    made = found["metadata"]["component"]
    assert made["purl"] == "pkg:pypi/signbit@0.1.0"
    assert made["hashes"] == [{"alg": "SHA-256", "content": hashlib.sha256(wheel.read_bytes()).hexdigest()}]
    assert [part["name"] for part in found["components"]] == ["numpy", "jinja2", "rich"]
    assert f"pkg:pypi/numpy@{numpy.__version__}" in found["dependencies"][0]["dependsOn"]
    (tmp_path / "no.whl").write_text("no")
    assert run_command(sbom.main, [str(tmp_path / "no.whl")]) == 2 and "is not a wheel" in capsys.readouterr().err


def test_the_metadata_says_who_and_what(wheel):
    told = Metadata().parsestr(zipfile.ZipFile(wheel).read("signbit-0.1.0.dist-info/METADATA").decode())
    assert (told["Author"], told["License-Expression"]) == ("signbit contributors", "MIT")
    required = [name for name in told.get_all("Requires-Dist") if "extra ==" not in name]
    assert [re.match(r"\w+", name)[0] for name in required] == ["numpy", "jinja2", "rich"]
    assert {line.split(",")[0] for line in told.get_all("Project-URL")} >= {"Source", "Documentation"}


# -- installed into an environment of its own ------------------------------------------------------------------------


class Installed:
    """An environment with the wheel, and a folder with files that have the names of the project's packages."""

    def __init__(self, wheel, root):
        self.folder, self.environment = root / "user", root / "environment"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(self.environment)], check=True)
        (self.site,) = self.environment.glob("lib/python*/site-packages")
        # third-party libraries are those of this environment; a .pth does not bring in what is installed there
        (self.site / "libraries.pth").write_text(f"{Path(numpy.__file__).parents[1]}\n")
        # PyPI's trainer installs a package of this name
        (self.site / "trainer").mkdir()
        (self.site / "trainer" / "__init__.py").write_text("raise ImportError('a stranger')\n")
        python = str(self.environment / "bin" / "python")
        # pip installs nothing when PYTHONPATH or the .pth shows it this version, as a checkout's signbit.egg-info
        install = ["install", "--quiet", "--no-deps", "--no-index", "--ignore-installed", str(wheel)]
        subprocess.run([sys.executable, "-m", "pip", "--python", python, *install], check=True)
        self.folder.mkdir()
        for name in OTHERS:
            (self.folder / f"{name}.py").write_text("raise ImportError('a user')\n")
        self.variables = os.environ | {
            "PATH": f"{self.environment / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "XDG_CACHE_HOME": str(root / "cache"),
        }
        for name in ("PYTHONPATH", "SIGNBIT_PYTHON", "SIGNBIT_MODEL"):
            self.variables.pop(name, None)

    def __call__(self, line, folder="."):
        words = shlex.split(line)
        done = subprocess.run(words, cwd=self.folder / folder, env=self.variables, capture_output=True, text=True)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    return Installed(wheel, tmp_path_factory.mktemp("installed"))


@pytest.fixture(scope="module")
def steps(repository, installed):
    """What each `signbit` line of the README prints, run in its order, without those that can't run here."""
    readme = (repository / "README.md").read_text()
    blocks = re.findall(r"^```console\n(.*?)^```", readme, re.M | re.S)
    lines = [line.partition("#")[0].removeprefix("$ ").strip() for block in blocks for line in block.splitlines()]
    lines = [line for line in lines if line.startswith("signbit ") and " device " not in line]
    if emulated_core.missing(TARGETS["cortex-m4"]):
        lines = [line for line in lines if " --emulate" not in line]
    return {line: installed(line) for line in lines}


def test_the_readme_s_steps_work(steps, installed):
    assert {line.split()[1] for line in steps} >= {"train", "export", "verify", "firmware"}
    verified = {line: said for line, said in steps.items() if line.startswith("signbit verify")}
    for line, said in verified.items():
        assert said.count("C == Python") == 2 and ("instructions for" in said) == ("--emulate" in line)
    assert verified


def test_it_is_the_installed_one_that_runs(installed):
    where = installed("python -c 'import signbit.trainer.estimator as module; print(module.__file__)'")
    assert Path(where.strip()) == installed.site / "signbit" / "trainer" / "estimator.py"


def test_the_header_compiles(steps, installed):
    if not shutil.which("cc"):
        pytest.skip("no C compiler")
    (installed.folder / "main.c").write_text(HEADER_USER)
    installed("cc -std=c99 -Wall -Wextra -Werror main.c -o main")


def test_a_model_by_name_is_the_file(installed, repository):
    assert "mnist-4k" in installed("signbit models") and "mnist-pi" not in installed("signbit models")
    by_name = installed("signbit export mnist-4k -o -")
    assert by_name == installed(f"signbit export {MODELS / 'mnist-4k.npz'} -o -")
    installed("signbit package mnist-1k --format arduino -o library")
    assert "accuracy" in installed("signbit inspect mnist-1k --target cortex-m0")


@pytest.mark.parametrize("name", ["train", "evaluate", "summary", "device verify", "emulate"])
def test_help_is_there(installed, name):
    assert installed(f"signbit {name} --help").startswith(f"usage: signbit {name} ")


def test_the_project_builds(steps, installed):
    if reason := emulation.missing():
        pytest.skip(reason)
    (line,) = [line for line in steps if "firmware init" in line]
    folder = line.split()[3]
    said = installed("python -m signbit.emulate.pio run -e nucleo_f401re_local", folder)
    assert "1 succeeded" in said
    header = installed.folder / folder / ".pio" / "build" / "nucleo_f401re_local" / "generated" / "model.h"
    assert "--target cortex-m4" in header.read_text()


def test_a_core_is_emulated_and_site_packages_stays_as_it_was(installed):
    if reason := emulation.missing():
        pytest.skip(reason)

    def files():
        return {path for path in (installed.site / "signbit").rglob("*") if "__pycache__" not in path.parts}

    before = files()
    said = installed("signbit emulate digits-mlp --cores m3 --limit 5 --uart 2")
    assert re.search(r"Cortex-M3 .* 5 .* 0 +2/2 ", said)
    assert files() == before
