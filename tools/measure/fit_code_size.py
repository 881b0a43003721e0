"""`python -m tools fit_code_size`: measure how many bytes of code kernels are, codegen/kernels/code_bytes.json.

Random models, the bench's layers and front ends are compiled and linked for each core, for speed and for size; their
bytes of code are fitted to the terms of `signbit.codegen.code_size`.
"""

import json
import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from signbit.codegen import code_size, measure
from signbit.codegen.kernels import KERNELS
from signbit.codegen.kernels.targets import SIZE, SPEED
from signbit.codegen.plan import Plan, make_plan
from signbit.emulate.machines import CORES, add_cores_option
from signbit.qmodel.atomic import write_whole
from signbit.qmodel.command import Parser
from signbit.qmodel.errors import SignbitError
from tools.measure.bench_layers import LAYERS
from tools.measure.fit_costs import non_negative_least_squares, table
from tools.networks.forced import models_for
from tools.networks.random import FRONT_ENDS, front_end_model

CODE_BYTES = Path(code_size.__file__).parent / "kernels" / "code_bytes.json"
MODELS_A_KERNEL = 6
SEED = 11


def main(arguments: list[str]) -> None:
    """Fit the cores and write the file, in which other cores keep their figures."""
    parser = Parser(prog="python -m tools fit_code_size", description=__doc__.split("\n\n")[1])
    add_cores_option(parser)
    targets = [CORES[core].target.name for core in parser.parse_args(arguments).cores]
    fitted = json.loads(CODE_BYTES.read_text())
    fitted |= {target: {optimize: fit(target, optimize) for optimize in (SIZE, SPEED)} for target in targets}
    fitted["cortex-m0plus"] = fitted["cortex-m0"]
    write_whole(CODE_BYTES, table(fitted))


def fit(target: str, optimize: str) -> dict[str, float]:
    """Weights of one target."""
    return fit_layers(target, optimize) | fit_front_ends(target, optimize)


def fit_front_ends(target: str, optimize: str) -> dict[str, float]:
    """Bytes that front ends of every kind add, by their terms."""
    models = [front_end_model(SEED, *chosen) for chosen in FRONT_ENDS]
    plans = [make_plan(model, "m", target, optimize) for model in models]
    without = [make_plan(replace(model, front_end=None), "m", target, optimize) for model in models]
    code = [
        measure.measure(plan).flash_bytes - measure.measure(bare).flash_bytes - plan.table_bytes
        for plan, bare in zip(plans, without, strict=True)
    ]
    return _fitted(
        [plan.front_end.code_terms for plan in plans], np.array(code, float), f"front ends of {target}, {optimize}"
    )


def fit_layers(target: str, optimize: str) -> dict[str, float]:
    """Bytes of the kernels' terms."""
    plans = list(_plans(target, optimize))
    if measure.missing(plans[0]):
        raise SignbitError(f"nothing was measured: {measure.missing(plans[0])}")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        measured = list(pool.map(measure.measure, plans))
    counts = [code_size.plan_terms(plan) for plan in plans]
    found = zip(measured, plans, counts, strict=True)
    code = np.array(
        [size.flash_bytes - plan.data_bytes - terms.pop("assembly", 0) for size, plan, terms in found], float
    )
    return _fitted(counts, code, f"{target}, {optimize}")


def _fitted(counts: list[Counter[str]], code: np.ndarray, what: str) -> dict[str, float]:
    """Bytes of each term."""
    names = sorted({term for terms in counts for term in terms})
    matrix = np.array([[terms[name] for name in names] for terms in counts], float)
    values = non_negative_least_squares(matrix, code)
    error = np.abs(matrix @ values - code)
    print(f"{what}: error {np.median(error):.0f} bytes median, {error.max():.0f} at most", flush=True)
    return {name: round(float(value), 2) for name, value in zip(names, values, strict=True) if value}


def _plans(target: str, optimize: str) -> Iterator[Plan]:
    """Random layers with each kernel, and the bench's."""
    for kernel in KERNELS:
        if target in kernel.targets:
            for _, plan in models_for(kernel, target, MODELS_A_KERNEL, SEED, optimize):
                yield plan
            for make_model in LAYERS.values():
                plan = make_plan(make_model(), "m", target, optimize, kernel=kernel.name)
                if kernel in plan.kernels:
                    yield plan
