"""What a network costs on a core, and whether a budget allows that, before it is trained."""

from dataclasses import astuple, dataclass

from signbit.qmodel.data.dataset import Dataset
from signbit.qmodel.errors import SignbitError
from signbit.trainer.learning.settings import Settings
from signbit.trainer.report.summary import untrained


@dataclass(frozen=True)
class Cost:
    """The figures of `signbit inspect`; those of a build, so they belong together."""

    flash_bytes: int
    """Weights, parameters, tables of a front end, and code as predicted."""
    ram_bytes: int
    instructions: int
    """For one inference, as predicted."""


@dataclass(frozen=True)
class Budget:
    """The most that a network may cost on `target`; None for no bound."""

    target: str
    flash_bytes: int | None = None
    ram_bytes: int | None = None
    instructions: int | None = None

    @property
    def bounds(self) -> tuple[int | None, ...]:
        """In the order of `Cost`."""
        return astuple(self)[1:]

    def over(self, cost: Cost) -> list[float]:
        """How much of each bound is exceeded, as a part of it; at most 0 where it is kept."""
        pairs = zip(astuple(cost), self.bounds, strict=True)
        # a bound may be 0
        return [-1.0 if most is None else (value - most) / max(most, 1) for value, most in pairs]


def cores() -> list[str]:
    """The targets whose cost is known."""
    from signbit.codegen.kernels.targets import PORTABLE, TARGETS

    return [name for name in TARGETS if name != PORTABLE]


def plan_within(model, budget: Budget):
    """The fastest plan that keeps the budget; raises SignbitError that says by how much none does."""
    # imported late so that training works without codegen
    from signbit.codegen.choose import Limits
    from signbit.codegen.plan import make_plan

    limits = Limits(budget.ram_bytes, budget.flash_bytes, budget.instructions)
    return make_plan(model, target=budget.target, limits=limits)


def cost_of(plan) -> Cost:
    from signbit.codegen.choose import UNKNOWN_INSTRUCTIONS_A_MAC
    from signbit.codegen.code_size import predicted_code_bytes

    # where a compiler decides, the guess by which kernels are chosen, too
    instructions = UNKNOWN_INSTRUCTIONS_A_MAC * plan.macs if plan.instructions is None else plan.instructions
    flash_bytes = plan.data_bytes + plan.table_bytes + (predicted_code_bytes(plan) or 0)
    return Cost(flash_bytes, plan.scratch_bytes, round(instructions))


def cost(settings: Settings, data: Dataset, budget: Budget) -> Cost:
    """What the network of `settings` costs on prepared `data`: the fastest build within the budget.

    Where there is none, the fastest of all, which exceeds it.  Raises SignbitError where the layers don't fit the
    input.
    """
    architecture = settings.architecture(data.input_shape, len(data.labels))
    stages = data.quantization, data.front_end
    model = untrained(architecture, data.input_shape, len(data.labels), settings.high, *stages)
    fastest = cost_of(plan_within(model, Budget(budget.target)))
    over = budget.over(fastest)
    if max(over) <= 0 or over[-1] > 0:
        return fastest
    try:
        return cost_of(plan_within(model, budget))
    except SignbitError:
        return fastest
