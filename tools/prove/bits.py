"""`python -m tools prove bits`: random networks, every layer's every output, C against Python, on every core.

Networks of every kind of layer and shape go through the kernels that the plan chooses, and every second one through a
kernel forced at random, on this computer and on each emulated core; inputs are random and extreme, of any alignment.
"""

import json
import os
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.progress import Progress

from signbit.codegen.kernels import KERNELS
from signbit.codegen.kernels.targets import PORTABLE, SIZE, SPEED
from signbit.codegen.plan import Plan, make_plan
from signbit.codegen.verify import Comparison, find_compiler
from signbit.console import console
from signbit.emulate.machines import CORES
from signbit.qmodel.command import EXIT_DIFFERENT, EXIT_OK, Parser
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.input_quantization import Thermometer
from signbit.qmodel.model import QuantizedModel
from signbit.qmodel.option_types import whole
from tools.cores import emulated as cores
from tools.cores.programs import STREAM_HERE, compare_all, write_program
from tools.networks.forced import random_layer_model
from tools.networks.random import quantizations_for, random_network, with_counts

MODELS_A_PROGRAM = 50
INPUTS_A_MODEL = 3
PLACES = (PORTABLE, *CORES)


@dataclass(frozen=True)
class Proof:
    """What was compared; `first` names the first difference, the program that found it by its seed."""

    seed: int
    models: int
    results: int
    different: int
    first: str


def prove(models: int, seed: int, places: tuple[str, ...] = PLACES, step=lambda: None) -> Proof:
    """Compare `models` random models, spread over `places` (this computer and the cores), 50 per program."""
    programs = [
        (places[index % len(places)], min(MODELS_A_PROGRAM, models - start), (seed, index))
        for index, start in enumerate(range(0, models, MODELS_A_PROGRAM))
    ]
    results, different, first = 0, 0, ""
    # threads are enough: compilers and emulators do most of the work
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for program, comparisons in zip(programs, pool.map(lambda job: run_program(*job), programs), strict=True):
            results += sum(comparison.values for comparison in comparisons)
            different += sum(comparison.different for comparison in comparisons)
            wrong = [comparison.first for comparison in comparisons if comparison.different]
            first = first or (f"{program[0]}, program {program[2][1]}: {wrong[0]}" if wrong else "")
            step()
    return Proof(seed, models, results, different, first)


def run_program(place: str, count: int, seed: tuple[int, int]) -> list[Comparison]:
    """One program with `count` random models at `place`."""
    rng = np.random.default_rng(seed)
    models, plans = zip(*(random_plan(rng, place, f"m{number}") for number in range(count)), strict=True)
    inputs = [random_inputs(rng, model) for model in models]
    if place == PORTABLE:
        output = run_here(list(plans), inputs)
    else:
        output = cores.run(list(plans), inputs, place, optimize=str(rng.choice(["-O1", "-O2", "-Os"]))).output
    return compare_all(list(models), inputs, output)


def random_plan(rng: np.random.Generator, place: str, prefix: str) -> tuple[QuantizedModel, Plan]:
    model = random_network(int(rng.integers(2**32))) if rng.random() < 0.5 else random_layer_model(rng)
    if rng.random() < 0.3 and Thermometer in quantizations_for(model):
        model = with_counts(model, int(rng.integers(2**32)), Thermometer)
    target = PORTABLE if place == PORTABLE else CORES[place].target.name
    forced = [kernel.name for kernel in KERNELS if target in kernel.targets]
    kernel = str(rng.choice(forced)) if rng.random() < 0.5 else None
    return model, make_plan(model, prefix, target, str(rng.choice([SIZE, SPEED])), kernel=kernel)


def random_inputs(rng: np.random.Generator, model: QuantizedModel) -> np.ndarray:
    """Random bytes, and all 0 or all 255 once."""
    inputs = rng.integers(0, 256, (INPUTS_A_MODEL, model.input_size), dtype=np.uint8)
    inputs[0] = rng.choice([0, 255])
    return inputs


def run_here(plans: list[Plan], inputs: list[np.ndarray]) -> bytes:
    """The program's output on this computer."""
    with tempfile.TemporaryDirectory(prefix="signbit-") as name:
        source = write_program(Path(name), plans, INPUTS_A_MODEL)
        program = source.with_suffix("")
        command = [*find_compiler(), "-std=c99", "-O1", f"-I{STREAM_HERE}", "-o", str(program), str(source)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise SignbitError(f"{command[0]}: {done.stderr.strip()[:500]}")
        stdin = b"".join(x.tobytes() for x in inputs)
        return subprocess.run([str(program)], input=stdin, capture_output=True, check=True).stdout


def main(arguments: list[str]) -> int:
    """Prints one line with the counts; 1 if anything differs."""
    parser = Parser(prog="python -m tools prove bits", description=__doc__.partition("\n\n")[2])
    parser.add_argument("--models", **whole(1).argument(), default=10_000, help="default: %(default)s")
    parser.add_argument("--seed", **whole(0).argument(), default=1, help="default: %(default)s")
    parser.add_argument("--places", metavar="LIST", default=",".join(PLACES), help="default: %(default)s")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    places = tuple(options.places.split(","))
    if not set(places) <= set(PLACES) or options.models < 1:
        raise SignbitError(f"--places takes some of {','.join(PLACES)}, and --models at least 1")
    reason = cores.missing(place for place in places if place != PORTABLE)
    if reason:
        raise SignbitError(f"NOT RUN: {reason}")
    programs = -(-options.models // MODELS_A_PROGRAM)
    with Progress(transient=True, console=console(stderr=True)) as progress:
        task = progress.add_task("programs", total=programs)
        proof = prove(options.models, options.seed, places, lambda: progress.advance(task))
    if options.json:
        print(json.dumps(asdict(proof)))
    else:
        verdict = f"{proof.different:,} different" + (f", first: {proof.first}" if proof.different else "")
        print(f"{proof.models:,} random models, {proof.results:,} values, seed {proof.seed}: {verdict}")
    return EXIT_DIFFERENT if proof.different else EXIT_OK
