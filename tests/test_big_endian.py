"""Memory in the other order: assembly refuses it, and plain C computes the same on a big-endian PowerPC."""

import pytest

from signbit.codegen.kernels import KERNELS
from signbit.codegen.kernels.targets import ARM
from signbit.codegen.plan import make_plan
from signbit.codegen.verify import compare_all
from signbit.qmodel.file import load
from tests.c_programs import inputs_for, plans_for
from tests.test_targets import CORES, compiled, header
from tools.cores import powerpc
from tools.networks.forced import models_for
from tools.networks.random import random_network

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


def differences(models, plans):
    """Between what the models' programs compute on a PowerPC and in Python."""
    if powerpc.missing():
        pytest.skip(powerpc.missing())
    inputs = [inputs_for(model, INPUTS_A_MODEL, seed) for seed, model in enumerate(models)]
    results = compare_all(models, inputs, powerpc.run(plans, inputs), ">")
    return [result.first for result in results if not result.equal]


def test_networks_of_every_layer_compute_the_same():
    models = list(map(random_network, range(NETWORKS)))
    assert differences(models, plans_for(models)) == []


@pytest.mark.parametrize("target", FIRST_TARGETS)
def test_every_kernel_s_plain_c_computes_the_same(target):
    kernels = [kernel for kernel in KERNELS if min(kernel.targets) == target]
    pairs = [(model, kernel) for kernel in kernels for model, _ in models_for(kernel, target, MODELS_A_KERNEL, 1)]
    plans = [make_plan(model, f"m{number}", target, kernel=kernel.name) for number, (model, kernel) in enumerate(pairs)]
    assert differences([model for model, _ in pairs], plans) == []
