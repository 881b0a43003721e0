"""Random networks, every layer's every output, C against Python, everywhere: this computer, cores, other machines.

Networks of every kind of layer and shape go through the kernels that the plan chooses, and every second one through a
kernel forced at random; inputs are random and extreme, of any alignment.
"""

from functools import partial

import numpy as np

from signbit.codegen.host import Host
from signbit.codegen.kernels import KERNELS
from signbit.codegen.kernels.targets import PORTABLE, SIZE, SPEED, TARGETS
from signbit.codegen.plan import Plan, make_plan
from signbit.codegen.verify import compare_all
from signbit.emulate.machines import CORES
from signbit.qmodel.input_quantization import Thermometer
from signbit.qmodel.model import QuantizedModel
from tools.cores import avr, powerpc
from tools.cores import emulated as cores
from tools.networks.forced import random_layer_model
from tools.networks.hard import hard_network
from tools.networks.random import quantizations_for, random_network, with_counts
from tools.prove import planted
from tools.prove.row import SEED, Outcome, Row

MODELS_A_PROGRAM = 25
INPUTS_A_MODEL = 3
BIG_ENDIAN, INT_16 = "big-endian PowerPC", "AVR, 16-bit int"
PLACES = (PORTABLE, *CORES, BIG_ENDIAN, INT_16)
MODELS_AN_AVR = 5
"""Its memory holds no more at once."""
PLANTED = {
    "a shift that is one too small": (">> activation->shift", ">> (activation->shift - 1)"),
    "a clamp at 1": ("q < 0 ? 0 : ", "q < 1 ? 1 : "),
    "a pool that takes the last": ("acc > most ? acc : most", "acc >= most ? most : acc"),
}


def run(first: int, count: int, place: str | None = None) -> Outcome:
    """One program with `count` random models; by default the places take turns."""
    place = place or PLACES[first // MODELS_A_PROGRAM % len(PLACES)]
    rng = np.random.default_rng((SEED, first))
    models, plans = zip(*(random_plan(rng, place, f"m{number}") for number in range(count)), strict=True)
    inputs = [random_inputs(rng, model) for model in models]
    output = run_at(place, list(plans), inputs, str(rng.choice(["-O1", "-O2", "-Os"])))
    comparisons = compare_all(list(models), inputs, output, ">" if place == BIG_ENDIAN else "<")
    wrong = [f"{place}, models from {first} on: {found.first}" for found in comparisons if found.different]
    return Outcome({"values": sum(found.values for found in comparisons)}, tuple(wrong[:1]))


def run_at(place: str, plans: list[Plan], inputs: list[np.ndarray], optimize: str) -> bytes:
    """What the plans' program writes there."""
    if place == PORTABLE:
        return Host(flags=("-std=c99", "-O1")).run(plans, inputs, predict=True)
    if place == BIG_ENDIAN:
        return powerpc.run(plans, inputs)
    if place == INT_16:
        parts = range(0, len(plans), MODELS_AN_AVR)
        return b"".join(avr.run(plans[k : k + MODELS_AN_AVR], inputs[k : k + MODELS_AN_AVR]) for k in parts)
    return cores.run(plans, inputs, place, optimize=optimize).output


def random_plan(rng: np.random.Generator, place: str, prefix: str) -> tuple[QuantizedModel, Plan]:
    """A model, and its plan for a core or, where another machine runs plain C, for any core."""
    draw, seed = rng.random(), int(rng.integers(2**32))
    is_hard = draw > 0.75 and place != INT_16
    if is_hard:
        model = hard_network(seed)
    else:
        model = random_network(seed) if draw < 0.4 or place == INT_16 else random_layer_model(rng)
    # hard models fit their own inputs only
    if not is_hard and rng.random() < 0.3 and Thermometer in quantizations_for(model):
        model = with_counts(model, int(rng.integers(2**32)), Thermometer)
    if place in CORES:
        target = CORES[place].target.name
    else:
        target = str(rng.choice(sorted(TARGETS))) if place == BIG_ENDIAN else PORTABLE
    forced = [kernel.name for kernel in KERNELS if target in kernel.targets]
    kernel = str(rng.choice(forced)) if rng.random() < 0.5 else None
    pack = True if rng.random() < 0.5 else None
    return model, make_plan(model, prefix, target, str(rng.choice([SIZE, SPEED])), kernel=kernel, pack=pack)


def random_inputs(rng: np.random.Generator, model: QuantizedModel) -> np.ndarray:
    """Random bytes, and all 0 or all 255 once."""
    inputs = rng.integers(0, 256, (INPUTS_A_MODEL, model.input_size), dtype=np.uint8)
    inputs[0] = rng.choice([0, 255])
    return inputs


def with_bug(right: str, wrong: str) -> Outcome:
    """Models on this computer whose headers have a bug: the first program that shows it."""
    with planted.in_headers(right, wrong):
        programs = (run(first, MODELS_A_PROGRAM, PORTABLE) for first in range(0, 75, MODELS_A_PROGRAM))
        return next((outcome for outcome in programs if outcome.findings), Outcome())


def missing() -> str | None:
    return cores.missing(CORES) or powerpc.missing() or avr.missing()


ROW = Row(
    "bit-exact",
    "the C computes what Python does, in every bit of every layer",
    "models",
    short=300,
    total=20_000,
    step=MODELS_A_PROGRAM,
    covers=("qmodel", "codegen", "tools/networks", "tools/cores", "tools/prove/bits.py"),
    run=run,
    controls={name: partial(with_bug, *change) for name, change in PLANTED.items()},
    missing=missing,
)
