"""Another model in the place of the one that a device carries: a block that its code can read, or why there is none."""

from signbit.codegen.kernels.targets import PORTABLE, SIZE, SPEED
from signbit.codegen.plan import Plan, make_plan
from signbit.codegen.swap import check_ranges
from signbit.device.checks import core_target, form_difference
from signbit.line.info import Info
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.model import QuantizedModel


def plan_for(info: Info, model: QuantizedModel) -> Plan:
    """The plan of `model` whose layout is that of the device's code.

    Raises SignbitError where there is none, with the reason.
    """
    if info.loading is None:
        raise SignbitError(
            "this firmware keeps the model that it was built with; build it with SIGNBIT_SWAPPABLE=1 to load others"
        )
    if difference := form_difference(info, model):
        raise SignbitError(f"{model.name} does not fit: {difference}")
    for target in dict.fromkeys((core_target(info), PORTABLE)):
        for optimize in (SPEED, SIZE):
            plan = make_plan(model, "model", target, optimize, info.test_vectors, is_swappable=True)
            if plan.swap.layout_text == info.loading.layout:
                check_ranges(plan.swap, plan.swap.limits.values)
                return plan
    raise SignbitError(
        f"{model.name} does not fit the device's code, whose layout is {info.loading.layout[:8]}: a layer has another "
        "form, or this signbit generates other code than the one that the firmware was built with"
    )
