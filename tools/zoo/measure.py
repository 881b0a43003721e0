"""What a model of the zoo costs: bytes, multiply-accumulates, and what one inference takes on two cores."""

from pathlib import Path

from signbit.codegen.choose import SIZE, SPEED
from signbit.codegen.plan import make_plan
from signbit.qmodel.file import load
from signbit.qmodel.model import QuantizedModel
from signbit.trainer.learning.settings import PERCEPTRONS
from signbit.trainer.network import presets
from tools.measure import bench_models, figures

CORES = ("m0", "m4")


def measured_values(path: Path) -> dict:
    """The keys of `zoo_rows.MEASURED` for the model at `path`: a function of the file alone.

    `flash_bytes` are weights and parameters of portable C for size, as `python -m codegen inspect FILE --target
    portable --optimize size` prints them, and `arena_bytes` is its scratch.  Instructions are exact, counted on
    emulated cores with the plan for speed, whose scratch is `arena_bytes_CORE`; cycles are the estimates of
    tools/cores/cycles.h.  Raises WrongOutput when a core computes something else than Python.
    """
    model = load(path)
    plan = make_plan(model, target="portable", optimize=SIZE)
    values = {
        "network": network(model),
        "flash_bytes": plan.data_bytes,
        "arena_bytes": plan.scratch_bytes,
        "macs": plan.macs,
    }
    for core in CORES:
        for_speed = make_plan(model, target=f"cortex-{core}", optimize=SPEED)
        counted = bench_models.measure_plan(model, for_speed, path.stem, core)
        values[f"arena_bytes_{core}"] = counted.scratch_bytes
        values[f"instructions_{core}"] = counted.instructions
        values[f"estimated_cycles_{core}"] = counted.estimated_cycles
    return values


def network(model: QuantizedModel) -> str:
    """`784-128-10` for dense layers, else the architecture as `--model` takes it."""
    text = model.provenance["settings"]["model"]
    return figures.network(model) if text in PERCEPTRONS else presets.text(text, model.input_shape)
