"""Generated headers of every kind as plain C: what their programs have run of each construct.

Headers of one template have its constructs in common: a line of C in the same function of any model, with the same text
but for prefixes and numbers, is one place, and the n-th such line of a function is the n-th in all.
"""

import dataclasses
import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

import numpy as np

from signbit.codegen.choose import Limits
from signbit.codegen.jobs import jobs_of
from signbit.codegen.kernels import KERNELS
from signbit.codegen.kernels.base import Kernel
from signbit.codegen.kernels.by_row import ByRow
from signbit.codegen.kernels.targets import PORTABLE, SIZE, SPEED, TARGETS, TWINS
from signbit.codegen.packing import packable
from signbit.codegen.plan import Plan, make_plan
from signbit.codegen.program import STREAM_HERE, Reads, write_program
from signbit.codegen.render import header_text
from signbit.codegen.verify import count_sweep, edge_inputs, edge_samples
from signbit.places import MODELS
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.file import load
from signbit.qmodel.layers import Conv2D, Dense, DepthwiseConv2D
from signbit.qmodel.merge import Merge
from signbit.qmodel.model import QuantizedModel
from signbit.qmodel.window import Window
from tools.networks.forced import models_for, random_layer_model
from tools.networks.hard import hard_network
from tools.networks.random import (
    FRONT_ENDS,
    front_end_model,
    quantizations_for,
    random_activation,
    random_model,
    random_network,
    random_weights,
    with_counts,
)
from tools.prove import gcov
from tools.prove.gcov import Coverage

MODELS_A_PROGRAM = 20
INPUTS = 24
NETWORKS = 160
A_KERNEL = 16
"""Models for each, about, on all targets together."""
MANY = 16
"""As many more where it is known for which kernels."""
PACKED = 300
"""Models of each kind, of which some have values of at most 15."""
SEEDS = 5
"""Of models that are searched for places of which not all was run; most models are of the first."""
LONG = (4000, 9, 3)
"""Sizes of dense layers in which many inputs are alike."""
MANY_ROWS = ("stats:frame=16,hop=30000", (40_000, 1, 1), None)
"""Its samples can change their sign more often than a count can say."""
NUMBER = re.compile(r"0x[0-9a-f]+u?|\d+u?")
OPTIONS = {"test_vectors": 2}
REST = """#include <stdint.h>
static int spoilt;
static void spoil(const void *logits) {{ *(int32_t *)(uintptr_t)logits += spoilt; }}
{headers}
int main(void)
{{
    int wrong = 0;
{calls}    return wrong;
}}
"""
"""What the programs that compare models with Python do not call; spoilt logits make a self-test fail."""
HEADER = """
#define {P}_TRACE(layer, data, bytes) spoil(data)
#define {P}_DESCRIBE_INPUTS
#define {P}_IMPLEMENTATION
#include "model_{p}.h"
static {p}_scratch_t {p}_scratch;
"""
CALLS = """    spoilt = 0;
    wrong |= {p}_self_test(&{p}_scratch) != 0u;
    spoilt = 1;
    wrong |= {p}_self_test(&{p}_scratch) == 0u;
    wrong |= {p}_label(0)[0] == 0 || {p}_label({P}_OUTPUT_SIZE)[0] != 0;
"""
CHANNELS = "    wrong |= {p}_channel(0) == 0 || {p}_channel({P}_CHANNELS) != 0;\n"
SWAPS = "    {p}_use({p}_weights());\n"
STREAMS = """    {{
        static {p}_stream_t stream;
        {p}_begin(&stream, 0);
        {p}_begin(&stream, {P}_FRAMES + 1u);
    }}
"""


def covered(explained: Collection[str] = ()) -> Coverage:
    """All programs together, and then those of more models with a place that misses what is not `explained`."""
    coverage, chosen = Coverage(), models()
    for seed in range(1, SEEDS + 1):
        for plans, inputs, reads in programs(chosen):
            measure(coverage, plans, inputs, reads)
        names = {text.rpartition(": ")[0] for text in coverage.missed() if text not in explained}
        if not names:
            break
        chosen = _with_places(names, seed)
    return coverage


def programs(chosen: Iterable[tuple[QuantizedModel, dict]]) -> Iterator[tuple[list[Plan], list[np.ndarray], Reads]]:
    """Models and what they read, a program each."""
    numbered = [(model, dict(OPTIONS) | options) for model, options in chosen]
    for start in range(0, len(numbered), MODELS_A_PROGRAM):
        some = numbered[start : start + MODELS_A_PROGRAM]
        plans = [make_plan(model, f"m{number}", **options) for number, (model, options) in enumerate(some)]
        pairs = [(plan, model) for plan, (model, _) in zip(plans, some, strict=True)]
        yield plans, [inputs_for(model) for model, _ in some], Reads.SAMPLES
        counts = [(plan, counts_for(model)) for plan, model in pairs if plan.input]
        if counts:
            yield [plan for plan, _ in counts], [x for _, x in counts], Reads.COUNTS
        most = max((model.front_end.frames for plan, model in pairs if plan.streams), default=0)
        hops = [(plan, hops_for(model, most + INPUTS)) for plan, model in pairs if plan.streams]
        if hops:
            yield [plan for plan, _ in hops], [x for _, x in hops], Reads.HOPS


def models() -> Iterator[tuple[QuantizedModel, dict]]:
    """The shipped ones, some for each kernel, random and hard ones, with every thing before and after their layers."""
    for path in sorted(MODELS.glob("*.npz")):
        model = load(path)
        yield from ((model, options) for options in ({}, {"optimize": SIZE}, *_with_less_ram(model)))
    yield from _for_kernels(KERNELS, A_KERNEL, seed=0)
    for seed in range(NETWORKS):
        rng = np.random.default_rng(seed)
        model = hard_network(seed) if seed % 4 == 3 else random_network(seed)
        if seed % 4 == 1:
            kinds = quantizations_for(model)
            model = described(with_counts(model, seed, kinds[seed // 4 % len(kinds)]))
        options = {
            "is_swappable": seed % 3 == 0,
            "pack": (None, True)[seed % 2],
            "optimize": (SPEED, SIZE)[seed // 2 % 2],
        }
        yield model, options | {"target": str(rng.choice(sorted(TARGETS)))}
    for seed, front_end in enumerate((*FRONT_ENDS, MANY_ROWS)):
        yield front_end_model(seed, *front_end), {"is_swappable": seed % 2 == 0}
    yield wide_bits(), {}


def _with_less_ram(model: QuantizedModel) -> Iterator[dict]:
    """What chooses other kernels for it, or makes rows as they are read, if that needs less."""
    for target, share in ((PORTABLE, 1), ("cortex-m0", 3 / 4)):
        limits = Limits(ram_bytes=int(share * make_plan(model, target=target).scratch_bytes) - 1)
        with suppress(SignbitError):
            make_plan(model, target=target, limits=limits)
            yield {"target": target, "limits": limits}


def _with_places(names: set[str], seed: int) -> Iterator[tuple[QuantizedModel, dict]]:
    """More models, each with one of these places, for the kernels that they are named after, or for all."""
    found = [kernel for kernel in KERNELS if any(name.startswith(kernel.name) for name in names)]
    is_known = all(any(name.startswith(kernel.name) for kernel in found) for name in names)
    kernels, count = (found, MANY * A_KERNEL) if is_known else (KERNELS, A_KERNEL)
    for model, options in _for_kernels(kernels, count, seed):
        plan = make_plan(model, "m0", **OPTIONS | options)
        if names & set(_places(header_text(plan), plan).values()):
            yield model, options


def _for_kernels(kernels: Collection[Kernel], count: int, seed: int) -> Iterator[tuple[QuantizedModel, dict]]:
    """Some for each kernel, about `count` on all targets together, and for those that go row by row."""
    for kernel in kernels:
        targets = sorted(kernel.targets - set(TWINS))
        for number, target in enumerate(targets):
            some = models_for(kernel, target, count // len(targets) + 1, seed=number + len(TARGETS) * seed)
            for model, _ in some:
                yield model, {"target": target, "kernel": kernel.name, "pack": False}
            if kernel.layer is Dense:
                yield random_model(number, LONG), {"target": target, "kernel": kernel.name}
    yield from _two_a_byte(kernels, seed)


def _two_a_byte(kernels: Collection[Kernel], seed: int) -> Iterator[tuple[QuantizedModel, dict]]:
    """Some for each kernel that computes a layer row by row where values lie two a byte."""
    rng = np.random.default_rng(seed)
    pool = [random_layer_model(rng, layer) for layer in (Conv2D, DepthwiseConv2D, Merge) for _ in range(PACKED)]
    jobs = {
        target: [
            (model, jobs_of(model, target, SPEED, packed=packed))
            for model in pool
            if (packed := packable(model, target, SPEED, is_swappable=False))
        ]
        for target in TARGETS.keys() - set(TWINS)
    }
    for kernel in map(ByRow, kernels):
        targets = sorted(kernel.kernel.targets - set(TWINS))
        for number, target in enumerate(targets):
            fitting = (model for model, some in jobs[target] if any(map(kernel.computes, some)))
            for model in islice(fitting, number, A_KERNEL, len(targets)):
                yield model, {"target": target, "kernel": kernel.name, "pack": True}


def wide_bits() -> QuantizedModel:
    """Bits of more channels than a word has, with padding on every side."""
    rng = np.random.default_rng(0)
    weights = [random_weights(rng, shape) for shape in ((40, 1, 1, 1), (3, 3, 3, 40), (3, 75))]
    kinds, ranges = ("sign", "requantize", "logits"), ((0, 255), (-1, 1), (0, 127))
    first, second, last = (
        random_activation(rng, array.reshape(len(array), -1), inputs, 127, kind)
        for array, inputs, kind in zip(weights, ranges, kinds, strict=True)
    )
    padded = Conv2D(weights[1], second, Window(padding=(1, 1, 1, 1)))
    layers = Conv2D(weights[0], first), padded, Dense(weights[2], last)
    return QuantizedModel("bits", (5, 5, 1), 0, layers, ("a", "b", "c"), 8).validate()


def described(model: QuantizedModel) -> QuantizedModel:
    """With names and units of its channels."""
    columns = [f"c{channel} [V]" for channel in range(model.counts_shape[-1])]
    record = {"data": {"columns": columns, "lsb": {columns[0]: 0.5}}}
    return dataclasses.replace(model, provenance=record)


def inputs_for(model: QuantizedModel) -> np.ndarray:
    return _some(edge_samples(model) if model.front_end else edge_inputs(model))


def counts_for(model: QuantizedModel) -> np.ndarray:
    return _some(count_sweep(model))


def _some(every: np.ndarray) -> np.ndarray:
    """INPUTS of them, from the first to the last."""
    return every[np.linspace(0, len(every) - 1, INPUTS).astype(int)]


def hops_for(model: QuantizedModel, count: int) -> np.ndarray:
    hop = model.front_end.hop * model.front_end.channels
    return np.resize(edge_samples(model), (count, hop))


def measure(coverage: Coverage, plans: list[Plan], inputs: list[np.ndarray], reads: Reads) -> None:
    """Run one program that computes, and one that calls the rest."""
    options = [f"-D{plan.macro_prefix}_PORTABLE" for plan in plans if plan.target.flags]
    with tempfile.TemporaryDirectory(prefix="signbit-") as name:
        folder = Path(name)
        source = write_program(folder, plans, len(inputs[0]), reads=reads)
        rest = folder / "rest.c"
        rest.write_text(rest_of(plans))
        for one, given in ((source, b"".join(x.tobytes() for x in inputs)), (rest, b"")):
            program = gcov.build(one.with_suffix(""), [one], ["-std=c99", *options, f"-I{STREAM_HERE}"])
            subprocess.run([program], input=given, stdout=subprocess.DEVNULL, check=True)
        texts = {f"model_{plan.prefix}.h": _places(header_text(plan), plan) for plan in plans}
        for line in gcov.lines(folder):
            file = Path(line.file).name
            if file in texts:
                coverage.add(texts[file][line.number], line)


def rest_of(plans: list[Plan]) -> str:
    names = [{"p": plan.prefix, "P": plan.macro_prefix} for plan in plans]
    parts = [
        CALLS + CHANNELS * bool(plan.input and plan.input.described) + SWAPS * bool(plan.swap) + STREAMS * plan.streams
        for plan in plans
    ]
    calls = "".join(part.format(**name) for part, name in zip(parts, names, strict=True))
    return REST.format(headers="".join(HEADER.format(**name) for name in names), calls=calls)


def _places(text: str, plan: Plan) -> dict[int, str]:
    """The name of each line's place, by its number."""
    kernels = {layer.symbol: layer.kernel.name for layer in plan.layers}
    names, function, symbol, seen = {}, "", "", Counter()
    for number, line in enumerate(text.splitlines(), 1):
        if found := re.match(r"\w.*?\b(\w+)\(", line):
            function = symbol = found[1]
            for layer, kernel in kernels.items():
                function = re.sub(rf"^{layer}(?=_|$)", kernel, function)
            if function == symbol:
                function = NUMBER.sub("N", symbol.removeprefix(f"{plan.prefix}_"))
        text = re.sub(rf"\b({plan.prefix}|{plan.macro_prefix})_", "", line.strip())
        text = NUMBER.sub("N", re.sub(r"layer\d+", "layer", text))
        seen[symbol, text] += 1
        names[number] = f"{function}, {text!r} {seen[symbol, text]}"
    return names
