"""What a network will cost, before it is trained: shapes, bits, bytes, and instructions on each core."""

from dataclasses import asdict, dataclass

import numpy as np
from rich.console import Console

from signbit.console import Column, print_table
from signbit.qmodel.front_end import FrontEnd
from signbit.qmodel.input_quantization import InputQuantization, Thermometer
from signbit.qmodel.model import QuantizedModel
from signbit.qmodel.value import Encoding, Shape
from signbit.trainer.learning.quantize import quantize
from signbit.trainer.network.architecture import Architecture, architecture_text
from signbit.trainer.network.network import build

CORES = ("cortex-m0", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55")


@dataclass(frozen=True)
class Row:
    """One layer of the integer model."""

    layer: str
    output_shape: Shape
    weight_bits: int
    flash_bytes: int
    macs: int


@dataclass(frozen=True)
class Summary:
    architecture: str
    input_shape: Shape
    layers: tuple[Row, ...]
    flash_bytes: int
    """Weights and parameters, as the portable plan optimized for size has them."""
    arena_bytes: int
    instructions: dict[str, int | None]
    """Predicted for one inference on each core, with the kernels that codegen chooses for speed."""

    features: dict[str, int | None]
    """The same for the front end; empty where there is none."""

    @property
    def weight_bits(self) -> int:
        return sum(row.weight_bits for row in self.layers)

    @property
    def macs(self) -> int:
        return sum(row.macs for row in self.layers)


def summarize(
    architecture: Architecture,
    input_shape: Shape,
    classes: int,
    high: int = 127,
    quantization: InputQuantization | None = None,
    front_end: FrontEnd | None = None,
) -> Summary:
    """Costs of a resolved architecture.  They don't depend on the weights, so random ones do."""
    model = untrained(architecture, input_shape, classes, high, quantization, front_end)
    # the only place where the trainer asks codegen, imported late so that training works without it
    from signbit.codegen.plan import make_plan

    plan = make_plan(model, target="portable", optimize="size")
    rows = tuple(
        Row(
            spec.text,
            model.values[index + 1].shape,
            _weight_bits(layer.layer),
            layer.flash_bytes,
            layer.job.macs,
        )
        for index, (spec, layer) in enumerate(zip(architecture, plan.layers, strict=True))
    )
    plans = {core: make_plan(model, target=core, optimize="speed") for core in CORES}
    return Summary(
        architecture_text(architecture),
        model.input_shape,
        rows,
        plan.data_bytes,
        plan.scratch_bytes,
        {core: _rounded(plan.instructions) for core, plan in plans.items()},
        {core: _rounded(plan.front_end.instructions) for core, plan in plans.items() if plan.front_end},
    )


def print_summary(screen: Console, summary: Summary) -> None:
    """A row for each layer, then RAM and instructions."""
    columns = (
        *(Column("layer", left=True), Column("output", 1, left=True)),
        *(Column("weights, bits", 2), Column("flash, bytes"), Column("MACs")),
    )
    rows = [
        (row.layer, _shape(row.output_shape), f"{row.weight_bits:,}", f"{row.flash_bytes:,}", f"{row.macs:,}")
        for row in summary.layers
    ]
    whole = ("all", "", f"{summary.weight_bits:,}", f"{summary.flash_bytes:,}", f"{summary.macs:,}")
    screen.print(f"{summary.architecture}  on inputs of {_shape(summary.input_shape)}", soft_wrap=True)
    print_table(screen, columns, [*rows, whole])
    screen.print(f"{'arena':<12}{summary.arena_bytes:>12,} bytes of RAM")
    for core, count in summary.instructions.items():
        shown = "no estimate" if count is None else f"{count:,}"
        features = summary.features.get(core)
        more = "" if features is None else f", and {features:,} for its features"
        screen.print(f"{core:<12}{shown:>12} instructions per inference{more}")


def summary_json(summary: Summary) -> dict:
    return {"command": "summary", **asdict(summary), "weight_bits": summary.weight_bits, "macs": summary.macs}


def untrained(
    architecture: Architecture,
    input_shape: Shape,
    classes: int,
    high: int,
    quantization: InputQuantization | None,
    front_end: FrontEnd | None,
) -> QuantizedModel:
    """A model of the architecture with random weights."""
    rng = np.random.default_rng(0)
    encoding = Encoding.BIT if isinstance(quantization, Thermometer) else Encoding.UINT8
    network = build(architecture, input_shape, "deterministic", rng, high=high, encoding=encoding)
    network.calibrate(rng.integers(256, size=(50, network.value.size_bytes), dtype=np.uint8))
    labels = tuple(f"class {number}" for number in range(classes))
    return quantize(network, "summary", input_shape, labels, quantization, front_end)


def _rounded(count: float | None) -> int | None:
    return None if count is None else round(count)


def _weight_bits(layer) -> int:
    if not hasattr(layer, "weights"):
        return 0
    return layer.weights.size * (2 if layer.ternary else 1)


def _shape(shape: Shape) -> str:
    return "×".join(map(str, shape))
