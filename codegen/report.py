"""A plan for people and for scripts: table, summary, JSON."""

from rich.console import Console

from signbit.codegen.code_size import predicted_code_bytes
from signbit.codegen.measure import Measured
from signbit.codegen.plan import COUNT_BYTES, LayerPlan, Plan
from signbit.console import Column, print_table
from signbit.qmodel.untrusted import shown

INPUTS_SHOWN = 64


def print_layers(screen: Console, plan: Plan) -> None:
    """One row per layer; instructions and their share where the target is a core."""
    predicted = plan.instructions
    work = (Column("instructions"), Column("share", 3)) if predicted else ()
    columns = (
        Column("layer", left=True),
        Column("shape", 5, left=True),
        *(Column("weights", 4), Column("bytes"), Column("MACs", 2), Column("accumulator", 6), *work),
        Column("kernel", 1, left=True),
    )
    rows = []
    for layer in plan.layers:
        low, high = layer.range.accumulator
        instructions = layer.cost.instructions
        rows.append(
            (
                f"{layer.index} {layer.title}",
                shape_text(layer),
                f"{layer.weight_count:,}",
                f"{layer.flash_bytes:,}",
                f"{layer.job.macs:,}",
                f"{low:,}..{high:,}",
                *((f"{instructions:,.0f}", f"{100 * instructions / predicted:.0f} %") if predicted else ()),
                layer.kernel.title,
            )
        )
    print_table(screen, columns, rows)


def summary(plan: Plan, measured: Measured | None = None, not_measured: str | None = None) -> list[str]:
    """The lines below the table; `measured` is what the compiler found, `not_measured` why it was not asked."""
    weights = sum(layer.weight_bytes for layer in plan.layers)
    parameters = plan.data_bytes - weights
    data = f"weights {weights:,}, parameters {parameters:,}"
    data += f", tables {plan.table_bytes:,}" if plan.front_end else ""
    lines = [
        f"{plan.model_name}, model {plan.model_hash[:8]}, target {plan.target.name}, optimized for {plan.optimize}"
    ]
    if measured:
        code = measured.flash_bytes - plan.data_bytes - plan.table_bytes
        lines.append(
            f"flash     {measured.flash_bytes:,} bytes: {data}, code {code:,} (compiled, {measured.flags[-3]})"
        )
    elif predicted_code_bytes(plan) is not None:
        code = predicted_code_bytes(plan)
        whole = plan.data_bytes + plan.table_bytes + code
        lines.append(f"flash     about {whole:,} bytes: {data}, code about {code:,} (predicted)")
    else:
        lines.append(f"flash     {plan.data_bytes + plan.table_bytes:,} bytes ({data}), and the code")
    if plan.test_vectors:
        count = len(plan.test_vectors)
        lines.append(f"test      {plan.test_vector_bytes:,} bytes of flash more for {count} test vectors")
    packed = [str(layer.index) for layer in plan.layers if layer.is_packed]
    ram = f", outputs of layers {', '.join(packed)} two a byte" if packed else ""
    made = [str(layer.index) for layer in plan.layers if layer.job.rows_at_once]
    ram += f", rows of layer {', '.join(made)} made as they are read" if made else ""
    lines.append(f"RAM       {plan.scratch_bytes:,} bytes of scratch{ram}")
    if measured:
        lines.append(f"stack     at most {measured.stack_bytes:,} bytes")
    lines.append(f"MACs      {plan.macs:,}")
    if plan.instructions:
        lines.append(f"work      {plan.instructions:,.0f} instructions, predicted")
    if plan.front_end:
        lines.append(f"features  {_front_end(plan)}")
    if plan.streams:
        lines.append(f"stream    {plan.stream_bytes:,} bytes of RAM for all of these; {_hop(plan)}")
    if plan.decision:
        lines.append(f"decide    every {plan.decision.hops} hops, {plan.decision_bytes:,} bytes of RAM")
    if plan.accuracy:
        lines.append(f"accuracy  {plan.accuracy} (integer model)")
    lines += [
        f"input {index:<3} {shown(channel.name)}, a count is worth {channel.lsb} {shown(channel.unit)}".rstrip()
        for index, channel in enumerate(plan.input.described[:INPUTS_SHOWN] if plan.input else ())
    ]
    if plan.input and len(plan.input.described) > INPUTS_SHOWN:
        lines.append(f"          and {len(plan.input.described) - INPUTS_SHOWN} more inputs; --json has them all")
    lines += [
        f"reject    {shown(row['label'])}: below a margin of {row['logits']:.3g} ({row['margin']:,})"
        for row in (plan.reject.described if plan.reject else ())
    ]
    if not_measured:
        lines.append(f"code and stack: NOT MEASURED, {not_measured}")
    return lines


def _front_end(plan: Plan) -> str:
    """The front end's work, and the arrays that the caller owns beside the scratch."""
    features = plan.front_end
    work = f"{features.frame_count:,} frames of {features.front_end.frame} samples, kernel {features.kernel}"
    if features.instructions is not None:
        work += (
            f", {features.instructions:,.0f} instructions more, {features.frame_instructions:,.0f} a frame, predicted"
        )
    return f"{work}; samples take {COUNT_BYTES * features.samples_size:,} bytes, the input {plan.input_size:,}"


def _hop(plan: Plan) -> str:
    """What a push costs."""
    if plan.instructions is None or plan.hop_instructions is None:
        return "a hop costs the features of its frame, and an answer one inference"
    return f"a hop takes {plan.hop_instructions:,.0f} instructions, an answer {plan.instructions:,.0f} more, predicted"


def shape_text(layer: LayerPlan) -> str:
    return layer.shapes("×", "→")


def _front_end_dict(plan: Plan) -> dict:
    features = plan.front_end
    return {
        **features.front_end.settings(),
        "kernel": features.kernel,
        "table_bytes": plan.table_bytes,
        "samples_bytes": COUNT_BYTES * features.samples_size,
        "predicted_instructions": features.instructions,
        "predicted_instructions_a_frame": features.frame_instructions,
        "stream_bytes": plan.stream_bytes if plan.streams else None,
        "predicted_instructions_a_hop": plan.hop_instructions,
    }


def _decision_dict(plan: Plan) -> dict:
    thresholds = dict(zip(plan.labels, plan.decision.thresholds.tolist(), strict=True))
    return {**plan.decision.settings(), "thresholds": thresholds, "ram_bytes": plan.decision_bytes}


def as_dict(plan: Plan, measured: Measured | None = None) -> dict:
    """The plan's figures as plain JSON values; null where nothing was compiled or the compiler decides."""
    code = predicted_code_bytes(plan)
    return {
        "signbit": plan.tool_version,
        "model": plan.model_name,
        "hash": plan.model_hash,
        "prefix": plan.prefix,
        "target": plan.target.name,
        "optimize": plan.optimize,
        "data_bytes": plan.data_bytes,
        "test_vector_bytes": plan.test_vector_bytes,
        "flash_bytes": measured.flash_bytes if measured else None,
        "predicted_flash_bytes": None if code is None else plan.data_bytes + plan.table_bytes + code,
        "stack_bytes": measured.stack_bytes if measured else None,
        "scratch_bytes": plan.scratch_bytes,
        "macs": plan.macs,
        "predicted_instructions": plan.instructions,
        "reject": plan.reject.described if plan.reject else None,
        **({"decision": _decision_dict(plan)} if plan.decision else {}),
        **({"front_end": _front_end_dict(plan)} if plan.front_end else {}),
        "inputs": [channel.as_dict() for channel in plan.input.described] if plan.input else [],
        "layers": [
            {
                "index": layer.index,
                "kind": layer.kind,
                "reads": list(layer.layer.inputs),
                "input_shapes": [list(value.shape) for value in layer.inputs],
                "output_shape": list(layer.output.shape),
                "kernel": layer.kernel.name,
                "weights": layer.weight_count,
                "weight_bytes": layer.weight_bytes,
                "parameter_bytes": layer.parameter_bytes,
                "scratch_bytes": layer.cost.scratch_bytes,
                "output_bytes": layer.job.output.size_bytes,
                "macs": layer.job.macs,
                "predicted_instructions": layer.cost.instructions,
                "accumulator": list(layer.range.accumulator),
                "scaled": list(layer.range.scaled),
            }
            for layer in plan.layers
        ],
    }
