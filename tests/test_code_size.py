"""Flash without a compiler: the prediction beside what the compiler makes."""

import pytest

from signbit.codegen import measure
from signbit.codegen.code_size import predicted_code_bytes
from signbit.codegen.plan import make_plan
from signbit.qmodel.file import load

WITHIN = 0.05


@pytest.mark.parametrize("optimize", ["size", "speed"])
@pytest.mark.parametrize("target", ["cortex-m0", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55"])
def test_flash_of_a_real_model_is_predicted_within_five_per_cent(repository, target, optimize):
    plan = make_plan(load(repository / "models" / "mnist-mlp.npz"), target=target, optimize=optimize)
    if measure.missing(plan):
        pytest.skip(measure.missing(plan))
    predicted = plan.data_bytes + predicted_code_bytes(plan)
    assert predicted == pytest.approx(measure.measure(plan).flash_bytes, rel=WITHIN)


def test_code_for_any_compiler_is_not_predicted(repository):
    assert predicted_code_bytes(make_plan(load(repository / "models" / "mnist-mlp.npz"))) is None
