"""`python -m tools fit_costs`: measure what the kernels' compiled C costs, codegen/kernels/costs.json.

For each kernel and core, random layers are counted exactly on the emulated core, and the instructions outside of
assembly are fitted by non-negative least squares to the terms that the kernel predicts them from; likewise front ends.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from signbit.codegen.front_end import FRONT_END
from signbit.codegen.kernels import KERNELS, base
from signbit.codegen.kernels.base import PACKING, Kernel
from signbit.codegen.kernels.targets import LEVELS, TARGETS, TWINS
from signbit.codegen.plan import Plan, make_plan
from signbit.emulate.machines import CORES, add_cores_option
from signbit.qmodel.atomic import write_whole
from signbit.qmodel.command import Parser
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.layers import AveragePool
from signbit.qmodel.model import QuantizedModel
from signbit.qmodel.value import NIBBLE_MAX
from tools.cores import emulated as cores
from tools.measure.bench_layers import LAYERS
from tools.networks.forced import models_for
from tools.networks.random import FRONT_ENDS, front_end_model, random_model

COSTS = Path(base.__file__).with_name("costs.json")
MODELS = 48
MODELS_A_PROGRAM = 40
INPUTS_A_MODEL = 2
SEED = 7
SMALLEST = 2_000
ITERATIONS = 5000


def main(arguments: list[str]) -> None:
    """Fit every kernel, or those that are named, on the cores and write the file, which keeps all other figures."""
    parser = Parser(prog="python -m tools fit_costs", description=__doc__.split("\n\n")[1])
    parser.add_argument(
        "kernels", nargs="*", metavar="KERNEL", help=f"kernels to measure again, {FRONT_END} or {PACKING}; default: all"
    )
    add_cores_option(parser)
    options = parser.parse_args(arguments)
    sources: dict[str, tuple[Iterable[str], Callable[[str, str, str], Samples]]] = {
        kernel.name: (kernel.targets, partial(_samples, kernel)) for kernel in KERNELS
    }
    sources |= {FRONT_END: (TARGETS, _front_ends), PACKING: (TARGETS, _packing)}
    unknown = set(options.kernels) - sources.keys()
    if unknown:
        raise SignbitError(f"no kernel is called {min(unknown)!r}")
    reason = cores.missing(options.cores)
    if reason:
        raise SignbitError(f"nothing was measured: {reason}")
    costs = json.loads(COSTS.read_text())
    for name in options.kernels or sources:
        levels = costs.setdefault(name, {})
        for optimize in LEVELS:
            levels[optimize] = levels.get(optimize, {}) | fit(name, *sources[name], optimize, options.cores)
    write_whole(COSTS, table(costs))


def table(values: dict) -> bytes:
    """JSON with a line for each row of figures."""
    text = json.dumps(values, indent=1)
    return (re.sub(r"\{\s+([^{}]+?)\s+\}", lambda row: "{" + " ".join(row[1].split()) + "}", text) + "\n").encode()


Samples = Iterator[tuple[dict[str, float], int, int]]
"""Terms, instructions of compiled C, and all instructions."""


def fit(
    name: str,
    targets: Iterable[str],
    samples_of: Callable[[str, str, str], Samples],
    optimize: str,
    names_of_cores: Iterable[str],
) -> dict[str, dict[str, float]]:
    """Coefficients by target, from the samples of target, core and optimization; twins need none."""
    fitted = {}
    for core in names_of_cores:
        target = CORES[core].target.name
        if target not in targets or target in TWINS:
            continue
        samples = list(samples_of(target, core, optimize))
        names = sorted({term for terms, *_ in samples for term in terms})
        matrix = np.array([[terms.get(name, 0) for name in names] for terms, *_ in samples], float)
        counted = np.array([count for _, count, _ in samples], float)
        whole = np.array([total for *_, total in samples], float)
        # errors count in per cent of the layer, but of no less than SMALLEST: tiny ones depend on the compiler's whims
        weight = 1 / np.maximum(whole, SMALLEST)
        values = non_negative_least_squares(matrix * weight[:, None], counted * weight)
        error = np.abs(matrix @ values - counted) * weight
        median, most = 100 * np.median(error), 100 * error.max()
        print(f"{name} on {core}, {optimize}: error {median:.1f} % median, {most:.1f} % at most", flush=True)
        fitted[target] = {name: round(float(value), 3) for name, value in zip(names, values, strict=True) if value}
    return fitted


def _front_ends(target: str, core: str, optimize: str) -> Samples:
    """Front ends of every kind, on noise."""
    rng = np.random.default_rng(SEED)
    for chosen in FRONT_ENDS:
        plan = make_plan(front_end_model(SEED, *chosen), "bench", target, optimize)
        samples = rng.normal(0, 1000, (1, plan.sensor_size)).astype(np.int16)
        whole = cores.run([plan], [samples], core, count=True, optimize=LEVELS[optimize]).instructions[0]
        yield plan.front_end.terms(), round(whole - plan.front_end.assembly_instructions), whole


def _packing(target: str, core: str, optimize: str) -> Samples:
    """Average pools of values two a byte, whose own instructions are counted, too: they are the same for all values."""
    rng = np.random.default_rng(SEED)
    models, plans = [], []
    while len(plans) < MODELS:
        size, (rows, columns) = (int(rng.integers(1, 3)), int(rng.integers(1, 3))), rng.integers(2, 9, 2).tolist()
        shape = rows * size[0], columns * size[1], int(rng.choice([1, 2, 3, 4, 5, 8, 16, 21]))
        high = NIBBLE_MAX if rng.random() < 0.6 else 255
        pair = [_pools((height, *shape[1:]), size, high) for height in (shape[0], size[0])]
        made = [
            make_plan(model, f"m{len(plans) + number}", target, optimize, pack=number == 0)
            for number, model in enumerate(pair)
        ]
        if made[0].layers[0].is_packed:
            models, plans = models + pair, plans + made
    inputs = [np.zeros((1, model.input_size), np.uint8) for model in models]
    counts = cores.run(plans, inputs, core, count=True, optimize=LEVELS[optimize]).instructions
    pools = counts[1 :: len(plans[0].layers) + 1]
    for plan, whole, alone in zip(plans[::2], pools[::2], pools[1::2], strict=True):
        layer = plan.layers[1]
        around = whole - layer.output.shape[0] * alone
        yield layer.kernel.terms(layer.job), around, around


def _pools(shape: tuple[int, int, int], size: tuple[int, int], high: int) -> QuantizedModel:
    """An average pool of values of at most 15, and a layer of one output."""
    layers = AveragePool((1, 1), shape[2], NIBBLE_MAX), AveragePool(size, shape[2], high)
    outputs = shape[0] // size[0] * (shape[1] // size[1]) * shape[2]
    closing = random_model(SEED, (outputs, 1), high=high).layers[0]
    return QuantizedModel("pools", shape, 1, (*layers, closing), ("one",), 8).validate()


def _samples(kernel: Kernel, target: str, core: str, optimize: str) -> Samples:
    """Random layers, and the bench's."""
    pairs = list(models_for(kernel, target, MODELS, SEED, optimize))
    for number, make_model in enumerate(LAYERS.values()):
        model = make_model()
        plan = make_plan(model, f"bench{number}", target, optimize, kernel=kernel.name)
        if any(layer.kernel is kernel for layer in plan.layers):
            pairs.append((model, plan))
    for start in range(0, len(pairs), MODELS_A_PROGRAM):
        yield from _counted(kernel, core, *zip(*pairs[start : start + MODELS_A_PROGRAM], strict=True))


def _counted(kernel: Kernel, core: str, models: tuple[QuantizedModel], plans: tuple[Plan]):
    rng = np.random.default_rng(SEED)
    inputs = [rng.integers(0, 256, (INPUTS_A_MODEL, model.input_size), dtype=np.uint8) for model in models]
    run = cores.run(list(plans), inputs, core, count=True, optimize=LEVELS[plans[0].optimize])
    counts = iter(zip(run.instructions, run.assembly, strict=True))
    for plan in plans:
        # a layer's counts for each input, then the few instructions of infer itself
        runs = np.array([[next(counts) for _ in (*plan.layers, "rest")] for _ in range(INPUTS_A_MODEL)])
        for layer, (whole, assembly) in zip(plan.layers, runs.mean(axis=0), strict=False):
            if layer.kernel is kernel:
                yield kernel.terms(layer.job), round(whole - assembly), round(whole)


def non_negative_least_squares(matrix: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """x >= 0 with the least |matrix @ x - wanted|^2: the active-set method of Lawson and Hanson (1974), chapter 23."""
    count = matrix.shape[1]
    x, passive = np.zeros(count), np.zeros(count, bool)
    for _ in range(ITERATIONS):
        gradient = matrix.T @ (wanted - matrix @ x)
        gradient[passive] = -np.inf
        if passive.all() or gradient.max() <= 1e-9:
            break
        passive[gradient.argmax()] = True
        while True:
            trial = np.zeros(count)
            trial[passive] = np.linalg.lstsq(matrix[:, passive], wanted, rcond=None)[0]
            low = passive & (trial <= 0)
            if not low.any():
                break
            step = np.min(x[low] / (x[low] - trial[low]))
            x = x + step * (trial - x)
            passive &= x > 1e-12
            x[~passive] = 0
        x = trial
    return x
