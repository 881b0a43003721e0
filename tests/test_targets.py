"""Headers for a core: no compiler takes them for another.  `python -m tools prove compilers` shows who takes them."""

import shutil
import subprocess

import pytest

from signbit.codegen.kernels.targets import ARM, RISCV, TARGETS
from signbit.codegen.plan import make_plan
from signbit.codegen.render import header_text
from signbit.qmodel.file import load

CORES = [target for target in TARGETS.values() if target.flags]
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
