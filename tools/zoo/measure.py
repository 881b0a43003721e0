"""What a model of the zoo costs: every figure of the builds that a user would choose."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path

from signbit.codegen import measure as compiled
from signbit.codegen.kernels.targets import SIZE, SPEED
from signbit.codegen.plan import make_plan
from signbit.emulate.machines import CORES
from signbit.qmodel.file import load
from signbit.qmodel.model import QuantizedModel
from signbit.trainer.learning.settings import PERCEPTRONS
from signbit.trainer.network import presets
from tools.measure import figures
from tools.measure.bench_layers import count
from tools.measure.bench_models import pictures

BUILDS = (("m0", SPEED), ("m0", SIZE), ("m4", SPEED), ("m55", SPEED))
"""Core, and what the plan is optimized for."""


@dataclass(frozen=True)
class Build:
    """One build, compiled, linked and run: -O2 for speed, -Os for size.

    `data_bytes` are weights and parameters, `flash_bytes` these and all code that inference takes, `stack_bytes` a
    bound.  Instructions are exact, counted on the emulated core; cycles are the estimates of tools/cores/cycles.h, None
    for a core whose timings Arm does not publish.  Both are those of the inference, without a front end before it.
    """

    core: str
    optimize: str
    data_bytes: int
    flash_bytes: int
    scratch_bytes: int
    stack_bytes: int
    instructions: int
    estimated_cycles: int | None


def measured_values(path: Path) -> dict:
    """The keys of `rows.MEASURED` for the model at `path`: a function of the file alone.

    Raises WrongOutput when a core computes something else than Python.
    """
    model = load(path)
    builds = [build(model, core, optimize) for core, optimize in BUILDS]
    macs = make_plan(model).macs
    return {"network": network(model), "macs": macs, "builds": [asdict(measured) for measured in builds]}


def build(model: QuantizedModel, core: str, optimize: str) -> Build:
    plan = make_plan(model, target=CORES[core].target.name, optimize=optimize)
    sizes = compiled.measure(plan)
    network = replace(model, front_end=None, decision=None)
    run = count(
        network, make_plan(network, target=plan.target.name, optimize=optimize), pictures(model.input_size, 1), core
    )
    return Build(
        core=core,
        optimize=optimize,
        data_bytes=plan.data_bytes,
        flash_bytes=sizes.flash_bytes,
        scratch_bytes=plan.scratch_bytes,
        stack_bytes=sizes.stack_bytes,
        instructions=sum(run.instructions),
        estimated_cycles=sum(run.cycles[core]) if core in run.cycles else None,
    )


def network(model: QuantizedModel) -> str:
    """`784-128-10` for dense layers, else the architecture as `--model` takes it."""
    text = model.provenance["settings"]["model"]
    return figures.network(model) if text in PERCEPTRONS else presets.text(text, model.input_shape)
