"""`python -m codegen package`: each library is built, as far as that is possible without its own tools."""

import json
import shutil
import subprocess

import pytest

from codegen.cli import main
from codegen.package import FORMATS
from qmodel.command import run_command
from qmodel.file import save
from tests.builders import random_model

ARDUINO_H = """
#include <stddef.h>
#include <stdint.h>
struct Port {
    void begin(unsigned long);
    size_t readBytes(char *, size_t);
    size_t print(const char *);
    size_t print(char);
    size_t println(unsigned long);
};
extern Port Serial;
"""


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "wren.npz"
    save(random_model(1, (40, 6, 3)), path)
    return path


def package(model, name, folder) -> int:
    arguments = ["package", str(model), "--prefix", "wren", "--format", name, "-o", str(folder)]
    return run_command(main, arguments)


def test_arduino_library_and_its_sketch_compile(model, tmp_path):
    folder = tmp_path / "wren"
    assert package(model, "arduino", folder) == 0
    properties = dict(line.split("=", 1) for line in (folder / "library.properties").read_text().splitlines())
    required = {"name", "version", "author", "maintainer", "sentence", "paragraph", "category", "url", "architectures"}
    assert required <= set(properties)
    (tmp_path / "Arduino.h").write_text(ARDUINO_H)
    sketch = folder / "examples" / "Classify" / "Classify.ino"
    flags = ["-Wall", "-Wextra", "-Werror", "-c", f"-I{folder / 'src'}"]
    subprocess.run(["gcc", *flags, str(folder / "src" / "wren.c"), "-o", str(tmp_path / "wren.o")], check=True)
    arduino = ["-x", "c++", "-include", str(tmp_path / "Arduino.h")]
    subprocess.run(["g++", *flags, *arduino, str(sketch), "-o", str(tmp_path / "sketch.o")], check=True)


def test_platformio_library_is_whole(model, tmp_path):
    folder = tmp_path / "wren"
    assert package(model, "platformio", folder) == 0
    manifest = json.loads((folder / "library.json").read_text())
    assert manifest["name"] == "wren" and manifest["headers"] == "wren.h"
    command = ["gcc", "-c", f"-I{folder / 'include'}", str(folder / "src" / "wren.c"), "-o", str(tmp_path / "wren.o")]
    subprocess.run(command, check=True)


def test_cmake_target_builds_and_its_example_classifies(model, tmp_path):
    if not shutil.which("cmake"):
        pytest.skip("cmake is not installed (apt install cmake)")
    folder, build = tmp_path / "wren", tmp_path / "build"
    assert package(model, "cmake", folder) == 0
    subprocess.run(["cmake", "-S", str(folder), "-B", str(build)], check=True, capture_output=True)
    subprocess.run(["cmake", "--build", str(build)], check=True, capture_output=True)
    done = subprocess.run([str(build / "wren_example")], input=bytes(80), capture_output=True, check=True)
    lines = done.stdout.decode().splitlines()
    assert len(lines) == 2 and all(line.startswith("class ") for line in lines)


def test_zephyr_module_names_its_files(model, tmp_path):
    folder = tmp_path / "wren"
    assert package(model, "zephyr", folder) == 0
    lines = (folder / "zephyr" / "module.yml").read_text().splitlines()[1:]
    # module.yml's schema: a name, and build with cmake and kconfig, folders and files of the module
    assert lines == ["name: wren", "build:", "  cmake: .", "  kconfig: Kconfig"]
    assert (folder / "Kconfig").read_text().startswith("config WREN\n\tbool ")
    assert "src/wren.c" in (folder / "CMakeLists.txt").read_text()
    assert (folder / "src" / "wren.c").is_file() and (folder / "include" / "wren.h").is_file()


@pytest.mark.parametrize("name", FORMATS)
def test_folder_that_is_there_is_kept(model, tmp_path, capsys, name):
    folder = tmp_path / "wren"
    folder.mkdir()
    assert package(model, name, folder) == 2
    assert "is there already" in capsys.readouterr().err
    assert list(folder.iterdir()) == []


def test_missing_parent_is_one_line(model, tmp_path, capsys):
    assert package(model, "cmake", tmp_path / "nowhere" / "wren") == 2
    assert "No such file" in capsys.readouterr().err
