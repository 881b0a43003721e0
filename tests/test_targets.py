"""Headers for a core: gcc and clang take them for that core, and no compiler takes them for another."""

import shutil
import subprocess

import pytest

from signbit.codegen.kernels.targets import ARM, RISCV, TARGETS
from signbit.codegen.plan import make_plan
from signbit.codegen.render import header_text
from signbit.qmodel.file import load
from tools.networks.random import random_network

CORES = [target for target in TARGETS.values() if target.flags]
# clang has no -mcpu for every core under Thumb's generic name
CLANG = {ARM: ("clang", "--target=thumbv6m-none-eabi"), RISCV: ("clang", "--target=riscv32")}
# clang before 20 has no RV32E
NO_CLANG = {"riscv32e"}
OPTIMIZATIONS = ("-O0", "-Os", "-O2", "-O3")
WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Werror")


def header(folder, target, model) -> str:
    (folder / "model.h").write_text(header_text(make_plan(model, "model", target.name)))
    source = folder / "model.c"
    source.write_text('#define MODEL_IMPLEMENTATION\n#include "model.h"\n')
    return str(source)


def compiled(command, source) -> subprocess.CompletedProcess:
    if not shutil.which(command[0]):
        packages = {tools.compiler: tools.package for tools in (ARM, RISCV)}
        pytest.skip(f"{command[0]} is missing: apt install {packages.get(command[0], command[0])}")
    return subprocess.run([*command, "-c", source, "-o", f"{source}.o"], capture_output=True, text=True)


@pytest.mark.parametrize(
    "compiler, target",
    [
        *(pytest.param((target.toolchain.compiler,), target, id=f"gcc-{target.name}") for target in CORES),
        *(
            pytest.param(CLANG[target.toolchain], target, id=f"clang-{target.name}")
            for target in CORES
            if target.name not in NO_CLANG
        ),
    ],
)
def test_both_compilers_take_the_code(compiler, target, repository, tmp_path):
    models = [load(repository / "models" / "digits-mlp.npz"), *(random_network(seed, layers=3) for seed in range(4))]
    for model in models:
        source = header(tmp_path, target, model)
        for optimization in OPTIMIZATIONS:
            done = compiled([*compiler, "-ffreestanding", *target.flags, *WARNINGS, optimization], source)
            assert done.returncode == 0, f"{optimization}: {done.stderr[:2000]}"


@pytest.mark.parametrize("target", CORES, ids=lambda target: target.name)
def test_another_core_is_refused_and_plain_c_is_not(target, repository, tmp_path):
    source = header(tmp_path, target, load(repository / "models" / "digits-mlp.npz"))
    for other in CORES:
        done = compiled([other.toolchain.compiler, "-ffreestanding", *other.flags], source)
        assert (done.returncode == 0) == (other.condition == target.condition), f"{target.name} on {other.name}"
        if done.returncode:
            assert f"this header is for {target.title}" in done.stderr
    assert "this header is for" in compiled(["gcc"], source).stderr
    assert compiled(["gcc", "-DMODEL_PORTABLE", *WARNINGS], source).returncode == 0
