"""`python -m codegen package`: each library is built, as far as that is possible without its own tools."""

import errno
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from signbit.codegen.commands.cli import main
from signbit.codegen.names import C_HEADERS
from signbit.codegen.package import FORMATS
from signbit.emulate import pio
from signbit.qmodel.command import run_command
from signbit.qmodel.file import save
from tools.networks.random import random_model

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

MAIN_C = """
#include "wren.h"
wren_scratch_t scratch;
uint8_t input[WREN_INPUT_SIZE];
int32_t logits[WREN_OUTPUT_SIZE];
int main(void) { wren_infer(input, logits, &scratch); return (int)wren_argmax(logits); }
"""
PLATFORMIO_INI = """
[env:m3]
platform = symlink://{platform}
board = qemu_m3
build_flags = -ffreestanding -nostdlib -Wl,-e,main
"""
ZEPHYR_SHIM = """
cmake_minimum_required(VERSION 3.13)
project(shim LANGUAGES C)
macro(zephyr_include_directories folder)
    include_directories(${CMAKE_CURRENT_SOURCE_DIR}/${folder})
endmacro()
macro(zephyr_library)
    get_filename_component(module ${CMAKE_CURRENT_SOURCE_DIR} NAME)
endmacro()
macro(zephyr_library_sources)
    add_library(${module} STATIC ${ARGN})
endmacro()
add_subdirectory(wren)
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


def test_platformio_builds_a_project_with_the_library(model, tmp_path):
    """In `lib/`, found by its header, with the firmware's local platform for a Cortex-M3."""
    if pio.missing():
        pytest.skip(pio.missing())
    project = tmp_path / "project"
    (project / "src").mkdir(parents=True)
    (project / "lib").mkdir()
    assert package(model, "platformio", project / "lib" / "wren") == 0
    (project / "src" / "main.c").write_text(MAIN_C)
    (project / "platformio.ini").write_text(PLATFORMIO_INI.format(platform=pio.FIRMWARE / "platform"))
    command = pio.command(["run", "-d", str(project)])
    done = subprocess.run(command, env=pio.environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    elf = project / ".pio" / "build" / "m3" / "firmware.elf"
    symbols = subprocess.run(["arm-none-eabi-nm", elf], capture_output=True, text=True, check=True).stdout
    assert " T wren_infer\n" in symbols and " U " not in symbols


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
    assert (folder / "Kconfig").read_text().startswith("config SIGNBIT_WREN\n\tbool ")
    assert "src/wren.c" in (folder / "CMakeLists.txt").read_text()
    assert (folder / "src" / "wren.c").is_file() and (folder / "include" / "wren.h").is_file()


def test_zephyr_module_builds_where_its_option_is_set(model, tmp_path):
    """With CMake, and a few lines in the place of Zephyr's own functions."""
    if not shutil.which("cmake"):
        pytest.skip("cmake is not installed (apt install cmake)")
    assert package(model, "zephyr", tmp_path / "wren") == 0
    (tmp_path / "CMakeLists.txt").write_text(ZEPHYR_SHIM)
    for chosen, archives in (("y", 1), ("n", 0)):
        build = tmp_path / f"build-{chosen}"
        configure = ["cmake", "-S", str(tmp_path), "-B", str(build), f"-DCONFIG_SIGNBIT_WREN={chosen}"]
        for command in (configure, ["cmake", "--build", str(build)]):
            subprocess.run(command, check=True, capture_output=True)
        assert len(list(build.rglob("libwren.a"))) == archives


@pytest.mark.parametrize("prefix", ["signal", "time", "string", "math", "unistd", "wire"])
def test_a_header_that_hides_the_system_s_is_refused(model, tmp_path, capsys, prefix):
    """By any kind of package, and by `export` as well."""
    for kind in FORMATS:
        arguments = ["package", str(model), "--prefix", prefix, "--format", kind, "-o", str(tmp_path / "lib")]
        assert run_command(main, arguments) == 2
        assert f"{prefix}.h would hide the system's header" in capsys.readouterr().err
    for name in (prefix, prefix.title()):
        path = tmp_path / f"{name}.h"
        assert run_command(main, ["export", str(model), "--prefix", "wren", "-o", str(path)]) == 2
        assert f"{path} would hide the system's header <{prefix}.h>" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [model]


def test_headers_that_the_compiler_finds_are_known():
    """Of C's own, as they are on this computer."""
    text = "\n".join(f"#include <{name}.h>" for name in sorted({*C_HEADERS.split()} - {"stdbit", "stdckdint"}))
    subprocess.run(["gcc", "-std=c11", "-fsyntax-only", "-x", "c", "-"], input=text, text=True, check=True)


@pytest.mark.parametrize("prefix", ["test", "all", "m"])
def test_a_target_that_cmake_knows_is_refused(model, tmp_path, capsys, prefix):
    arguments = ["package", str(model), "--prefix", prefix, "-o", str(tmp_path / "lib"), "--format"]
    assert run_command(main, [*arguments, "cmake"]) == 2
    assert f"CMake knows '{prefix}' as a target or library" in capsys.readouterr().err
    assert run_command(main, [*arguments, "arduino"]) == 0


@pytest.mark.parametrize("name", FORMATS)
def test_folder_that_is_there_is_kept(model, tmp_path, capsys, name):
    folder = tmp_path / "wren"
    folder.mkdir()
    (folder / "mine").touch()
    assert package(model, name, folder) == 2
    assert "is there already" in capsys.readouterr().err
    assert list(folder.iterdir()) == [folder / "mine"]


def test_missing_parent_is_one_line(model, tmp_path, capsys):
    assert package(model, "cmake", tmp_path / "nowhere" / "wren") == 2
    assert "No such file" in capsys.readouterr().err


def test_every_file_and_folder_is_on_the_disk_before_the_package_has_its_name(model, tmp_path, monkeypatch):
    synced, renamed = [], []
    real_sync, real_rename = os.fsync, Path.rename

    def sync(descriptor):
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        real_sync(descriptor)

    def rename(path, target):
        renamed.append(list(synced))
        return real_rename(path, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Path, "rename", rename)
    assert package(model, "arduino", tmp_path / "lib") == 0
    files = [path for path in (tmp_path / "lib").rglob("*") if path.is_file()]
    assert len(files) == 4 and {path.name for path in files} <= set(renamed[0])
    assert {"src", "examples", "Classify"} <= set(renamed[0]) and synced[-1] == tmp_path.name


def test_a_full_disk_names_the_file_and_leaves_nothing(model, tmp_path, monkeypatch, capsys):
    def sync(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", sync)
    assert package(model, "cmake", tmp_path / "lib") == 2
    path = tmp_path / "lib" / "CMakeLists.txt"
    assert capsys.readouterr().err == f"error: {path}: No space left on device\n"
    assert sorted(tmp_path.iterdir()) == [model]
