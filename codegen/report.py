"""A plan for people and for scripts: table, summary, JSON."""

from rich import box
from rich.table import Table

from codegen.plan import LayerPlan, Plan


def table(plan: Plan) -> Table:
    """One row a layer."""
    result = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    result.add_column("layer")
    result.add_column("shape")
    for heading in ("weights", "bytes", "MACs", "accumulator"):
        result.add_column(heading, justify="right")
    result.add_column("kernel")
    for layer in plan.layers:
        low, high = layer.range.accumulator
        result.add_row(
            f"{layer.index} {layer.kind}",
            shape_text(layer),
            f"{layer.weight_count:,}",
            f"{layer.flash_bytes:,}",
            f"{layer.job.macs:,}",
            f"{low:,}..{high:,}",
            layer.kernel.name,
        )
    return result


def summary(plan: Plan) -> list[str]:
    """The lines below the table."""
    weights = sum(layer.weight_bytes for layer in plan.layers)
    parameters = plan.data_bytes - weights
    lines = [
        f"{plan.model_name}, model {plan.model_hash[:8]}, target {plan.target.name}",
        f"flash     {plan.data_bytes:,} bytes (weights {weights:,}, parameters {parameters:,}), and the code",
        f"RAM       {plan.scratch_bytes:,} bytes of scratch",
        f"MACs      {plan.macs:,}",
    ]
    if plan.accuracy:
        lines.append(f"accuracy  {plan.accuracy} (integer model)")
    return lines


def shape_text(layer: LayerPlan) -> str:
    sides = ("×".join(map(str, shape)) for shape in (layer.job.input_shape, layer.job.output_shape))
    return " → ".join(sides)


def as_dict(plan: Plan) -> dict:
    """The plan's figures as plain JSON values."""
    return {
        "signbit": plan.tool_version,
        "model": plan.model_name,
        "hash": plan.model_hash,
        "prefix": plan.prefix,
        "target": plan.target.name,
        "optimize": plan.optimize,
        "flash_bytes": plan.data_bytes,
        "scratch_bytes": plan.scratch_bytes,
        "macs": plan.macs,
        "layers": [
            {
                "index": layer.index,
                "kind": layer.kind,
                "input_shape": list(layer.job.input_shape),
                "output_shape": list(layer.job.output_shape),
                "kernel": layer.kernel.name,
                "weights": layer.weight_count,
                "weight_bytes": layer.weight_bytes,
                "parameter_bytes": layer.parameter_bytes,
                "macs": layer.job.macs,
                "accumulator": list(layer.range.accumulator),
                "scaled": list(layer.range.scaled),
            }
            for layer in plan.layers
        ],
    }
