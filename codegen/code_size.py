"""How many bytes of code a plan's kernels will be, without a compiler: coefficients measured beforehand."""

import json
from collections import Counter
from importlib import resources

from signbit.codegen.plan import Plan

COEFFICIENTS = json.loads((resources.files("signbit.codegen") / "kernels" / "code_bytes.json").read_text())
"""COEFFICIENTS[target][optimize][term]: bytes as gcc compiles them, measured by `python -m tools fit_code_size`."""


def terms(plan: Plan) -> dict[str, int]:
    """What code is counted by: each kernel once and for each of its layers, each shared piece, each activation."""
    counts: Counter[str] = Counter(["base"])
    for layer in plan.layers:
        counts[f"layer {layer.kernel.name}"] += 1
    for kernel in plan.kernels:
        counts[f"kernel {kernel.name}"] = 1
    for kind in plan.activation_kinds:
        counts[f"activation {kind}"] = 1
    return dict(counts)


def predicted_code_bytes(plan: Plan) -> int | None:
    """Bytes of code that `PREFIX_predict` pulls in; None where the target is any compiler, or was not measured."""
    coefficients = COEFFICIENTS.get(plan.target.name, {}).get(plan.optimize)
    if coefficients is None:
        return None
    return round(sum(coefficients.get(term, 0.0) * count for term, count in terms(plan).items()))
