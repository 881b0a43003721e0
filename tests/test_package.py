"""`python -m codegen package`: each library is built, as far as that is possible without its own tools."""

import dataclasses
import errno
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from signbit.codegen.commands.cli import main
from signbit.codegen.example import Sensor
from signbit.codegen.kernels.targets import TARGETS
from signbit.codegen.names import C_HEADERS
from signbit.codegen.package import FORMATS
from signbit.codegen.plan import make_plan
from signbit.codegen.publication import Publication
from signbit.codegen.verify import edge_inputs
from signbit.emulate import pio
from signbit.qmodel import stream
from signbit.qmodel.command import run_command
from signbit.qmodel.file import save
from tools.networks.random import FRONT_ENDS, front_end_model, random_model, random_reject, with_counts

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
macro(zephyr_library_named name)
    set(module ${name})
endmacro()
macro(zephyr_library_sources)
    add_library(${module} STATIC ${ARGN})
endmacro()
add_subdirectory(wren)
"""
ESP_IDF_SHIM = """
cmake_minimum_required(VERSION 3.13)
project(shim LANGUAGES C)
macro(idf_component_register)
    cmake_parse_arguments(ARG "" "" "SRCS;INCLUDE_DIRS" ${ARGN})
    set(COMPONENT_LIB wren)
    add_library(wren STATIC ${ARG_SRCS})
    target_include_directories(wren PUBLIC ${ARG_INCLUDE_DIRS})
endmacro()
add_subdirectory(wren)
"""
MICROPYTHON_RUN = """
import sys
from array import array
import wren_bytes
with open(sys.argv[1], "rb") as file:
    while data := file.read(wren_bytes.SIZE):
        sys.stdout.buffer.write(array("i", wren_bytes.logits(data)))
"""
CMAKE_USER = """
cmake_minimum_required(VERSION 3.13)
project(user LANGUAGES C)
%s
add_executable(user main.c)
target_link_libraries(user PRIVATE signbit::wren)
"""
CORTEX_M33 = """
set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR arm)
set(CMAKE_C_COMPILER arm-none-eabi-gcc)
set(CMAKE_C_FLAGS_INIT "-mcpu=cortex-m33 -mthumb -mfpu=fpv5-sp-d16 -mfloat-abi=hard")
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
"""
PUBLICATION = ("--version", "2.10.3", "--author", 'Ada "A" Löve <ada@example.org>', "--url", "https://example.org/wren")
HOST_FLAGS = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def rejecting(model):
    return dataclasses.replace(model, reject=random_reject(np.random.default_rng(0), 3)).validate()


KINDS = {
    "bytes": lambda: random_model(1, (40, 6, 3)),
    "counts": lambda: with_counts(random_model(1, (40, 6, 3)), 2),
    "rejecting": lambda: rejecting(random_model(1, (40, 6, 3))),
    "stream": lambda: dataclasses.replace(front_end_model(0, *FRONT_ENDS[0]), decision=None).validate(),
    "decisions": lambda: front_end_model(0, *FRONT_ENDS[1]),
    "statistics": lambda: front_end_model(0, *FRONT_ENDS[5]),
}
"""Models of each kind of input and of answer."""


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "wren.npz"
    save(random_model(1, (40, 6, 3)), path)
    return path


def package(model, name, folder, *more) -> int:
    arguments = ["package", str(model), "--prefix", "wren", "--format", name, "-o", str(folder), *more]
    return run_command(main, arguments)


def cmake(*arguments) -> str:
    """Run cmake; gives what it printed."""
    if not shutil.which("cmake"):
        pytest.skip("cmake is not installed (apt install cmake)")
    done = subprocess.run(["cmake", *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def run_here(program: Path, *sources, given=b"") -> str:
    """What C sources print on this computer; their headers are in `include` beside the first one's folder."""
    include = sources[0].parent.parent / "include"
    subprocess.run(["gcc", *HOST_FLAGS, f"-I{include}", *sources, "-o", program], check=True)
    return subprocess.run([program], input=given, capture_output=True, check=True).stdout.decode()


BOARD_EXAMPLES = {
    "platformio": "examples/classify/src/main.c",
    "zephyr": "samples/classify/src/main.c",
    "esp-idf": "examples/classify/main/main.c",
    "cmsis-pack": "template/main.c",
}


@pytest.mark.parametrize("name", BOARD_EXAMPLES)
def test_examples_for_boards_find_what_python_computed(model, tmp_path, name):
    folder = tmp_path / "wren"
    assert package(model, name, folder) == 0
    start = tmp_path / "start.c"
    start.write_text("void app_main(void);\nint main(void) { app_main(); return 0; }\n" if name == "esp-idf" else "")
    printed = run_here(tmp_path / "board", folder / "src" / "wren.c", folder / BOARD_EXAMPLES[name], start)
    assert printed.endswith("\nPASS: as in Python\n")


def said_by_python(model, sensor, numbers) -> list[str]:
    """The lines of the example that reads stdin: of every answer, or of those of a stream that name a class."""
    if sensor.plan.streams:
        step = model.decision.hops if model.decision else 1
        logits, _ = stream.answers(model, numbers.reshape(-1, model.front_end.channels), step)
    else:
        rows = numbers.reshape(-1, sensor.size)
        logits = model.run(model.inputs_from(rows) if sensor.plan.sensor_size else rows)
    found = model.decision.run(logits, model.logit_shift) if model.decision else model.decide(logits)
    labels = ["" if index < 0 else model.labels[index] for index in found]
    answers = zip(labels, model.confidence(logits), strict=True)
    return [f"{label} {confidence}" for label, confidence in answers if label or not model.decision]


@pytest.mark.parametrize("kind", KINDS)
def test_examples_answer_as_python_does(kind, tmp_path):
    """The one for boards says so itself; the one that reads stdin says the same to the same numbers."""
    model = KINDS[kind]()
    save(model, tmp_path / "wren.npz")
    for name in ("platformio", "cmake"):
        assert package(tmp_path / "wren.npz", name, tmp_path / name) == 0
    board = tmp_path / "platformio" / "examples" / "classify" / "src" / "main.c"
    library = tmp_path / "platformio" / "src" / "wren.c"
    answer, verdict = run_here(tmp_path / "board", library, board).splitlines()
    assert verdict == "PASS: as in Python"
    label, confidence = re.fullmatch(r'"(.*)", class -?\d+, (\d+) per mille', answer).groups()
    sensor = Sensor(make_plan(model, "wren"))
    numbers = sensor.numbers(4 * sensor.size * (sensor.plan.front_end.front_end.frames if sensor.plan.streams else 1))
    folder = tmp_path / "cmake"
    lines = run_here(
        tmp_path / "stdin", folder / "src" / "wren.c", folder / "example" / "main.c", given=numbers.tobytes()
    ).splitlines()
    assert lines == said_by_python(model, sensor, numbers)
    if model.decision is None:
        assert lines[0] == f"{label} {confidence}"


def test_an_example_sees_another_answer(model, tmp_path):
    """The control: with another seed the example for boards fails."""
    assert package(model, "platformio", tmp_path / "wren") == 0
    board = tmp_path / "wren" / "examples" / "classify" / "src" / "main.c"
    board.write_text(board.read_text().replace("state = 1;", "state = 2;"))
    assert "FAIL: not as in Python" in run_here(tmp_path / "board", tmp_path / "wren" / "src" / "wren.c", board)


@pytest.mark.parametrize("name", FORMATS)
def test_every_package_says_who_and_what_it_is(model, tmp_path, name):
    """Its README, licence and example are there; texts are laid out, and what was declared is in its manifest."""
    folder = tmp_path / "wren"
    assert package(model, name, folder, *PUBLICATION) == 0
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pack"]
    texts = {path.relative_to(folder).as_posix(): path for path in files}
    assert {"README.md", "LICENSE"} <= set(texts)
    for path, file in texts.items():
        blank = r"\n\n$|^\n" if file.suffix == ".py" else r"\n\n\n|\n\n$|^\n"
        assert not re.search(blank, file.read_text()), path
        for line in file.read_text().splitlines():
            assert len(line) <= 120 and line == line.rstrip() and not re.search(r"[{}][{}%#]", line), path
    assert texts["LICENSE"].read_text().startswith("BSD Zero Clause License\n")
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", texts["README.md"].read_text()):
        assert (folder / target).is_file()
    assert '| version | 2.10.3, by Ada "A" Löve |' in texts["README.md"].read_text()


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("target", TARGETS)
def test_a_format_has_a_core_or_says_which_it_has(model, tmp_path, capsys, name, target):
    code = package(model, name, tmp_path / "wren", "--target", target)
    known = FORMATS[name].cores
    if target in known:
        assert code == 0
        return
    error = capsys.readouterr().err
    assert code == 2 and error.count("\n") == 1 and f"knows: {', '.join(known)}" in error
    assert not (tmp_path / "wren").exists()


@pytest.mark.parametrize(
    "option, value, says",
    [
        ("--version", "1.2", "not a version of three numbers"),
        ("--version", "01.2.3", "not a version of three numbers"),
        ("--version", "1.2.3-rc1", "not a version of three numbers"),
        ("--author", "", "not a name such as"),
        ("--author", "Ada\nlicense=none", "not a name such as"),
        ("--author", "Ada <ada>", "not a name such as"),
        ("--author", "Ada | Bob", "not a name such as"),
        ("--author", "A" * 201, "not a name such as"),
        ("--url", "example.org", "not an address such as"),
        ("--url", "javascript://example.org", "not an address such as"),
        ("--url", 'https://example.org/"><x', "not an address such as"),
    ],
)
def test_what_no_manifest_can_say_is_refused(model, tmp_path, capsys, option, value, says):
    assert package(model, "cmake", tmp_path / "wren", option, value) == 2
    error = capsys.readouterr().err
    assert says in error and error.count("\n") == 1 and sorted(tmp_path.iterdir()) == [model]


def test_vendor_is_the_name_in_the_letters_of_files():
    assert Publication(author="Ada B. Löve <a@example.org>").vendor == "AdaBLove"
    assert Publication(author="Ада").vendor == "signbit" == Publication().vendor


def test_arduino_library_and_its_sketch_compile(model, tmp_path):
    folder = tmp_path / "wren"
    assert package(model, "arduino", folder) == 0
    properties = dict(line.split("=", 1) for line in (folder / "library.properties").read_text().splitlines())
    required = {"name", "version", "author", "maintainer", "sentence", "paragraph", "category", "url", "architectures"}
    assert required <= set(properties)
    assert properties["architectures"] == "*" and properties["author"] == "anonymous"
    keywords = [line.split("\t") for line in (folder / "keywords.txt").read_text().splitlines()]
    assert ["wren_scratch_t", "KEYWORD1"] in keywords and ["WREN_INPUT_SIZE", "LITERAL1"] in keywords
    functions = {name for name, keyword in keywords if keyword == "KEYWORD2"}
    assert functions == {f"wren_{name}" for name in ("infer", "predict", "argmax", "confidence", "label")}
    (tmp_path / "Arduino.h").write_text(ARDUINO_H)
    sketch = folder / "examples" / "Classify" / "Classify.ino"
    flags = ["-Wall", "-Wextra", "-Werror", "-c", f"-I{folder / 'src'}"]
    subprocess.run(["gcc", *flags, str(folder / "src" / "wren.c"), "-o", str(tmp_path / "wren.o")], check=True)
    arduino = ["-x", "c++", "-include", str(tmp_path / "Arduino.h")]
    subprocess.run(["g++", *flags, *arduino, str(sketch), "-o", str(tmp_path / "sketch.o")], check=True)


@pytest.mark.parametrize("kind", KINDS)
def test_sketches_of_every_kind_compile(kind, tmp_path):
    save(KINDS[kind](), tmp_path / "wren.npz")
    assert package(tmp_path / "wren.npz", "arduino", tmp_path / "wren") == 0
    (tmp_path / "Arduino.h").write_text(ARDUINO_H)
    sketch = tmp_path / "wren" / "examples" / "Classify" / "Classify.ino"
    command = ["g++", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-x", "c++", "-include", tmp_path / "Arduino.h"]
    subprocess.run([*command, f"-I{tmp_path / 'wren' / 'src'}", sketch], check=True)


def test_arduino_library_for_a_core_names_its_boards(model, tmp_path):
    assert package(model, "arduino", tmp_path / "wren", "--target", "cortex-m3") == 0
    assert "\narchitectures=sam,stm32\n" in (tmp_path / "wren" / "library.properties").read_text()


def test_platformio_library_is_packed_by_its_own_tool(model, tmp_path, monkeypatch):
    """All is checked but the list of licences, which PlatformIO downloads."""
    schema = pytest.importorskip("platformio.package.manifest.schema", reason="pip install 'signbit[firmware]'")
    from platformio.package.pack import PackagePacker

    known = staticmethod(lambda: {"licenses": [{"licenseId": "0BSD"}]})
    monkeypatch.setattr(schema.ManifestSchema, "load_spdx_licenses", known)
    folder = tmp_path / "wren"
    assert package(model, "platformio", folder, *PUBLICATION) == 0
    manifest = json.loads((folder / "library.json").read_text())
    assert (manifest["name"], manifest["version"], manifest["headers"]) == ("wren", "2.10.3", "wren.h")
    assert manifest["authors"] == [{"name": 'Ada "A" Löve', "email": "ada@example.org"}]
    assert manifest["repository"] == {"type": "git", "url": "https://example.org/wren"}
    assert manifest["build"] == {"flags": "-O2"} and "homepage" not in manifest
    for example in manifest["examples"]:
        assert all((folder / example["base"] / file).is_file() for file in example["files"])
    packed = PackagePacker(str(folder)).pack(str(tmp_path / "wren.tar.gz"))
    shutil.unpack_archive(packed, tmp_path / "unpacked")
    assert (tmp_path / "unpacked" / "src" / "wren.c").is_file()


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


def test_cmake_library_builds_and_its_example_classifies(model, tmp_path):
    folder, build = tmp_path / "wren", tmp_path / "build"
    assert package(model, "cmake", folder) == 0
    cmake("-S", folder, "-B", build)
    cmake("--build", build)
    done = subprocess.run([str(build / "wren_example")], input=bytes(80), capture_output=True, check=True)
    lines = done.stdout.decode().splitlines()
    assert len(lines) == 2 and all(line.startswith("class ") for line in lines)


@pytest.mark.parametrize("target", ["portable", "cortex-m4"])
def test_cmake_library_is_found_as_a_folder_and_where_it_is_installed(model, tmp_path, target):
    """From a core's library this computer compiles the plain C."""
    folder = tmp_path / "wren"
    assert package(model, "cmake", folder, *PUBLICATION, "--target", target) == 0
    cmake("-S", folder, "-B", tmp_path / "build")
    cmake("--build", tmp_path / "build")
    cmake("--install", tmp_path / "build", "--prefix", tmp_path / "prefix")
    for name, lines in (
        ("folder", f"add_subdirectory({folder} wren)"),
        ("installed", "find_package(wren 2.9 REQUIRED)"),
    ):
        user = tmp_path / name
        user.mkdir()
        (user / "main.c").write_text(MAIN_C)
        (user / "CMakeLists.txt").write_text(CMAKE_USER % lines)
        cmake("-S", user, "-B", user / "build", f"-DCMAKE_PREFIX_PATH={tmp_path / 'prefix'}")
        cmake("--build", user / "build")
        assert subprocess.run([str(user / "build" / "user")]).returncode in (0, 1, 2)
    (user / "CMakeLists.txt").write_text(CMAKE_USER % "find_package(wren 3 REQUIRED)")
    later = subprocess.run(
        ["cmake", "-S", user, "-B", tmp_path / "later", f"-DCMAKE_PREFIX_PATH={tmp_path / 'prefix'}"]
    )
    assert later.returncode != 0


def test_cmake_library_has_its_core_s_flags_and_the_project_s_abi(model, tmp_path):
    if not shutil.which("arm-none-eabi-gcc"):
        pytest.skip("arm-none-eabi-gcc is missing")
    assert package(model, "cmake", tmp_path / "wren", "--target", "cortex-m4") == 0
    (tmp_path / "m33.cmake").write_text(CORTEX_M33)
    build = tmp_path / "build"
    cmake("-S", tmp_path / "wren", "-B", build, f"-DCMAKE_TOOLCHAIN_FILE={tmp_path / 'm33.cmake'}")
    cmake("--build", build, "--target", "wren")
    attributes = subprocess.run(
        ["arm-none-eabi-readelf", "-A", build / "libwren.a"], capture_output=True, text=True, check=True
    ).stdout
    assert "Tag_CPU_arch: v7E-M" in attributes and "Tag_ABI_VFP_args: VFP registers" in attributes


def test_zephyr_module_names_its_files(model, tmp_path):
    folder = tmp_path / "wren"
    assert package(model, "zephyr", folder, "--target", "cortex-m55") == 0
    lines = (folder / "zephyr" / "module.yml").read_text().splitlines()
    # module.yml's schema: a name, build with cmake and kconfig, and samples: folders and files of the module
    assert lines[1:] == ["name: wren", "build:", "  cmake: .", "  kconfig: Kconfig", "samples:", "  - samples"]
    kconfig = (folder / "Kconfig").read_text()
    assert "\nconfig SIGNBIT_WREN\n\tbool " in kconfig
    assert "\n\tdepends on CPU_CORTEX_M55 && ARMV8_1_M_MVEI && FPU\n" in kconfig
    sample = folder / "samples" / "classify"
    condition = "CONFIG_CPU_CORTEX_M55 and CONFIG_ARMV8_1_M_MVEI and CONFIG_FPU"
    assert f"\n    filter: {condition}\n" in (sample / "sample.yaml").read_text()
    assert (sample / "prj.conf").read_text().splitlines()[1:] == ["CONFIG_SIGNBIT_WREN=y", "CONFIG_FPU=y"]
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix not in (".md", ".h") and path.name != "LICENSE":
            assert "SPDX-License-Identifier: 0BSD" in path.read_text(), path


def test_zephyr_module_builds_where_its_option_is_set(model, tmp_path):
    """With CMake, and a few lines in the place of Zephyr's own functions."""
    assert package(model, "zephyr", tmp_path / "wren") == 0
    assert "depends on" not in (tmp_path / "wren" / "Kconfig").read_text()
    (tmp_path / "CMakeLists.txt").write_text(ZEPHYR_SHIM)
    for chosen, archives in (("y", 1), ("n", 0)):
        build = tmp_path / f"build-{chosen}"
        cmake("-S", tmp_path, "-B", build, f"-DCONFIG_SIGNBIT_WREN={chosen}")
        cmake("--build", build)
        assert len(list(build.rglob("libsignbit_wren.a"))) == archives


def test_esp_idf_component_builds(model, tmp_path):
    """With CMake, and a few lines in the place of ESP-IDF's own function."""
    folder = tmp_path / "wren"
    assert package(model, "esp-idf", folder, *PUBLICATION, "--target", "riscv32", "--optimize", "size") == 0
    manifest = (folder / "idf_component.yml").read_text().splitlines()
    assert 'version: "2.10.3"' in manifest and "license: 0BSD" in manifest and "  - esp32c3" in manifest
    assert '  - "Ada \\"A\\" Löve <ada@example.org>"' in manifest
    (tmp_path / "CMakeLists.txt").write_text(ESP_IDF_SHIM)
    cmake("-S", tmp_path, "-B", tmp_path / "build", "-DCMAKE_C_FLAGS=-DWREN_PORTABLE", "-DCMAKE_VERBOSE_MAKEFILE=ON")
    assert " -Os " in cmake("--build", tmp_path / "build")
    assert (tmp_path / "build" / "wren" / "libwren.a").is_file()


@pytest.mark.parametrize("target", ["portable", "cortex-m55"])
def test_cmsis_pack_names_what_it_holds(model, tmp_path, target):
    folder = tmp_path / "wren"
    assert package(model, "cmsis-pack", folder, *PUBLICATION, "--target", target) == 0
    root = ElementTree.parse(folder / "AdaALove.wren.pdsc").getroot()
    assert (root.findtext("vendor"), root.findtext("name"), root.findtext("license")) == ("AdaALove", "wren", "LICENSE")
    assert root.find("releases/release").attrib == {"version": "2.10.3"}
    component = root.find("components/component")
    conditions = {condition.get("id"): condition for condition in root.iter("condition")}
    asked = {found.get("condition") for found in root.iter() if found.get("condition")}
    assert asked == set(conditions)
    cores = [found.get("Dcore") for found in conditions["Core"].iter("accept")] if conditions else []
    assert cores == (["Cortex-M55"] * 2 if target == "cortex-m55" else [])
    assert component.get("condition") == ("Core and compiler" if conditions else None)
    for file in component.iter("file"):
        assert (folder / file.get("name")).exists()
    with zipfile.ZipFile(folder / "AdaALove.wren.2.10.3.pack") as pack:
        held = {name: pack.read(name) for name in pack.namelist()}
    written = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert held == {path: data for path, data in written.items() if not path.endswith(".pack")}
    assert package(model, "cmsis-pack", tmp_path / "again", *PUBLICATION, "--target", target) == 0
    again = (tmp_path / "again" / "AdaALove.wren.2.10.3.pack").read_bytes()
    assert again == (folder / "AdaALove.wren.2.10.3.pack").read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_micropython_module_compiles(kind, tmp_path):
    """Against the declarations that it uses of MicroPython's; names are made as its build makes them."""
    save(KINDS[kind](), tmp_path / "wren.npz")
    folder = tmp_path / "wren"
    assert package(tmp_path / "wren.npz", "micropython", folder) == 0
    source = folder / "modwren.c"
    names = sorted(set(re.findall(r"MP_QSTR_\w+", source.read_text())))
    (tmp_path / "names.h").write_text(f"enum {{ {', '.join(names)} }};\n")
    stubs = Path(__file__).parent / "fixtures" / "micropython"
    flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-Wno-unused-function", "-fsyntax-only"]
    subprocess.run(
        ["gcc", *flags, f"-I{stubs}", "-include", tmp_path / "names.h", source, folder / "wren.c"], check=True
    )
    compile((folder / "example.py").read_text(), "example.py", "exec")
    listed = (folder / "micropython.mk").read_text() + (folder / "micropython.cmake").read_text()
    assert set(re.findall(r"/(\w+\.\w+)", listed)) == {"modwren.c", "wren.c"}


@pytest.fixture
def micropython(tmp_path):
    """Builds a port of the sources in SIGNBIT_MICROPYTHON with a module of each kind; gives where it is built."""
    sources = os.environ.get("SIGNBIT_MICROPYTHON")
    if not sources:
        pytest.skip("set SIGNBIT_MICROPYTHON to a folder with MicroPython's sources")

    def build(port, target, *variables):
        for kind, make in KINDS.items():
            save(make(), tmp_path / f"{kind}.npz")
            arguments = [
                "package",
                str(tmp_path / f"{kind}.npz"),
                "--prefix",
                f"wren_{kind}",
                "--format",
                "micropython",
            ]
            folder = tmp_path / "modules" / f"wren_{kind}"
            folder.parent.mkdir(exist_ok=True)
            assert run_command(main, [*arguments, "--target", target, "-o", str(folder)]) == 0
        given = (
            f"BUILD={tmp_path / 'build'}",
            f"USER_C_MODULES={tmp_path / 'modules'}",
            "FROZEN_MANIFEST=",
            *variables,
        )
        subprocess.run(["make", "-C", f"{sources}/mpy-cross"], check=True)
        subprocess.run(["make", "-C", f"{sources}/ports/{port}", *given], check=True)
        return tmp_path / "build"

    return build


@pytest.mark.slow
def test_micropython_runs_the_module(micropython, tmp_path):
    """On this computer every example passes, and every logit of many inputs is Python's."""
    without = [f"MICROPY_{name}=0" for name in ("PY_FFI", "PY_SSL", "PY_BTREE", "SSL_MBEDTLS")]
    program = micropython("unix", "portable", *without) / "micropython"
    for kind in KINDS:
        example = tmp_path / "modules" / f"wren_{kind}" / "example.py"
        done = subprocess.run([program, example], capture_output=True, text=True)
        assert done.stdout.endswith("PASS: as in Python\n"), done.stdout + done.stderr
    model = KINDS["bytes"]()
    inputs = edge_inputs(model)
    (tmp_path / "run.py").write_text(MICROPYTHON_RUN)
    (tmp_path / "inputs").write_bytes(inputs.tobytes())
    done = subprocess.run([program, tmp_path / "run.py", tmp_path / "inputs"], capture_output=True, check=True)
    assert np.array_equal(np.frombuffer(done.stdout, np.int32).reshape(len(inputs), -1), model.run(inputs))


@pytest.mark.slow
def test_micropython_runs_the_assembly_on_an_emulated_core(micropython, tmp_path):
    """MicroPython itself boots on QEMU's Cortex-M3; its own pyboard.py sends the examples."""
    firmware = micropython("qemu", "cortex-m3", "BOARD=MPS2_AN385") / "firmware.elf"
    machine = "qemu-system-arm -machine mps2-an385 -nographic -monitor null -semihosting -serial pty -kernel"
    pyboard = Path(os.environ["SIGNBIT_MICROPYTHON"]) / "tools" / "pyboard.py"
    for kind in KINDS:
        example = tmp_path / "modules" / f"wren_{kind}" / "example.py"
        command = [sys.executable, pyboard, "-d", f"execpty:{machine} {firmware}", example]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.stdout.replace("\r", "").endswith("PASS: as in Python\n"), done.stdout + done.stderr


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
    """C's own headers, as they are on this computer."""
    text = "\n".join(f"#include <{name}.h>" for name in sorted({*C_HEADERS.split()} - {"stdbit", "stdckdint"}))
    subprocess.run(["gcc", "-std=c11", "-fsyntax-only", "-x", "c", "-"], input=text, text=True, check=True)


@pytest.mark.parametrize(
    "name, prefix, says",
    [
        ("cmake", "test", "CMake knows 'test' as a target or library"),
        ("cmake", "m", "CMake knows 'm' as a target or library"),
        ("esp-idf", "main", "ESP-IDF has a component 'main'"),
        ("micropython", "machine", "MicroPython has a module 'machine'"),
    ],
)
def test_a_name_that_a_format_s_users_have_is_refused(model, tmp_path, capsys, name, prefix, says):
    arguments = ["package", str(model), "--prefix", prefix, "-o", str(tmp_path / "lib"), "--format"]
    assert run_command(main, [*arguments, name]) == 2
    assert says in capsys.readouterr().err
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
    assert len(files) == 7 and {path.name for path in files} <= set(renamed[0])
    assert {"src", "examples", "Classify"} <= set(renamed[0]) and synced[-1] == tmp_path.name


def test_a_full_disk_names_the_file_and_leaves_nothing(model, tmp_path, monkeypatch, capsys):
    def sync(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", sync)
    assert package(model, "cmake", tmp_path / "lib") == 2
    path = tmp_path / "lib" / "README.md"
    assert capsys.readouterr().err == f"error: {path}: No space left on device\n"
    assert sorted(tmp_path.iterdir()) == [model]
