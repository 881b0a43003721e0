"""The generated C needs nothing but <stdint.h>: no libc, no heap, no floating point, no mutable data."""

import re
import shutil
import subprocess

import pytest

from signbit.codegen.plan import make_plan
from signbit.codegen.render import header_text
from tools.networks.random import random_model

CORES = ("cortex-m0", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55")
OPTIMIZATIONS = ("-O0", "-O1", "-Os", "-O2", "-O3")
TOOLCHAIN = "arm-none-eabi-"


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("freestanding")
    (folder / "model.h").write_text(header_text(make_plan(random_model(1, (100, 40, 7)), "model", test_vectors=2)))
    path = folder / "model.c"
    path.write_text('#define MODEL_IMPLEMENTATION\n#include "model.h"\n')
    return path


def tool(name: str) -> str:
    if not shutil.which(TOOLCHAIN + name):
        pytest.skip("arm-none-eabi-gcc is not installed (apt install gcc-arm-none-eabi libnewlib-arm-none-eabi)")
    return TOOLCHAIN + name


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("optimization", OPTIMIZATIONS)
def test_object_asks_for_nothing_but_compiler_helpers(source, core, optimization, tmp_path):
    target = tmp_path / "model.o"
    flags = [f"-mcpu={core}", "-mthumb", optimization, "-std=c99", "-Wall", "-Wextra", "-Werror", "-ffreestanding"]
    subprocess.run([tool("gcc"), *flags, "-c", str(source), "-o", str(target)], check=True)
    listing = subprocess.run([tool("nm"), str(target)], check=True, capture_output=True, text=True).stdout
    kinds = {name: kind for kind, name in re.findall(r"(?m)^[0-9a-f ]{8} (\w) (\S+)$", listing)}
    assert kinds, "nm listed no symbol"
    undefined = [name for name, kind in kinds.items() if kind == "U"]
    assert [name for name in undefined if not name.startswith("__aeabi_")] == []
    assert not any(name.startswith(("__aeabi_f", "__aeabi_d")) for name in undefined), "floating point"
    mutable = [name for name, kind in kinds.items() if kind in "dDbBC"]
    assert mutable == []
    public = {name for name, kind in kinds.items() if kind == "T"}
    functions = ("infer", "predict", "argmax", "confidence", "label", "self_test")
    assert public == {f"model_{name}" for name in functions}


def test_only_stdint_is_included(source):
    """The line that a comment shows to the user is no include of the header."""
    text = re.sub(r"(?s)/\*.*?\*/", " ", (source.parent / "model.h").read_text())
    assert re.findall(r"#\s*include\s*(\S+)", text) == ["<stdint.h>"]
