"""Memory in the other order: assembly refuses it, and plain C computes the same on a big-endian PowerPC."""

import shutil

import pytest

from signbit.codegen.kernels import KERNELS
from signbit.codegen.kernels.targets import ARM
from signbit.codegen.plan import make_plan
from signbit.qmodel.file import load
from tests.c_programs import inputs_for, plans_for, run_here
from tests.test_targets import CORES, compiled, header
from tools.networks.forced import models_for
from tools.networks.random import random_network

POWERPC = ("powerpc-linux-gnu-gcc", "-static", "-std=c99", "-O1")
EMULATOR = ("qemu-ppc",)
APT = "apt install gcc-powerpc-linux-gnu libc6-dev-powerpc-cross qemu-user"
NETWORKS = 20
MODELS_A_KERNEL = 1
INPUTS_A_MODEL = 4
FIRST_TARGETS = sorted({min(kernel.targets) for kernel in KERNELS})


@pytest.mark.parametrize("target", [core for core in CORES if core.toolchain is ARM], ids=lambda target: target.name)
def test_assembly_is_refused_and_plain_c_is_not(target, repository, tmp_path):
    source = header(tmp_path, target, load(repository / "models" / "digits-mlp.npz"))
    command = [ARM.compiler, "-ffreestanding", *target.flags, "-mbig-endian"]
    assert f"this header is for {target.title}, little-endian:" in compiled(command, source).stderr
    assert compiled([*command, "-DMODEL_PORTABLE", "-Wall", "-Wextra", "-Werror"], source).returncode == 0


def run_there(models, plans, folder):
    """What the models' programs compute on a PowerPC and in Python: the differences."""
    missing = [name for name in (POWERPC[0], *EMULATOR) if not shutil.which(name)]
    if missing:
        pytest.skip(f"{', '.join(missing)} missing: {APT}")
    inputs = [inputs_for(model, INPUTS_A_MODEL, seed) for seed, model in enumerate(models)]
    command = [*POWERPC, *(f"-D{plan.macro_prefix}_PORTABLE" for plan in plans)]
    results = run_here(models, plans, inputs, folder, command, emulator=EMULATOR, order=">")
    return [result.first for result in results if not result.equal]


def test_networks_of_every_layer_compute_the_same(tmp_path):
    models = list(map(random_network, range(NETWORKS)))
    assert run_there(models, plans_for(models), tmp_path) == []


@pytest.mark.parametrize("target", FIRST_TARGETS)
def test_every_kernel_s_plain_c_computes_the_same(target, tmp_path):
    kernels = [kernel for kernel in KERNELS if min(kernel.targets) == target]
    pairs = [(model, kernel) for kernel in kernels for model, _ in models_for(kernel, target, MODELS_A_KERNEL, 1)]
    plans = [make_plan(model, f"m{number}", target, kernel=kernel.name) for number, (model, kernel) in enumerate(pairs)]
    assert run_there([model for model, _ in pairs], plans, tmp_path) == []
