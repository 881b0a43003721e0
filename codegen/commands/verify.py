"""`verify`: the generated C against Python, every output of every layer."""

import json

import numpy as np

from signbit.codegen.commands.common import add_plan_options, load_plan
from signbit.codegen.emulated_core import EmulatedCore, missing
from signbit.codegen.host import Host, fast_flags, find_compiler
from signbit.codegen.plan import Plan
from signbit.codegen.verify import (
    Comparison,
    edge_inputs,
    edge_samples,
    reads_of,
    verify_input,
    verify_sets,
    verify_stream,
)
from signbit.console import console
from signbit.qmodel.command import EXIT_DIFFERENT, EXIT_NOT_RUN, EXIT_OK, Parser
from signbit.qmodel.counted import counted
from signbit.qmodel.data.named import dataset_for
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.model import QuantizedModel
from signbit.qmodel.option_types import whole
from signbit.qmodel.untrusted import shown


def main(arguments: list[str], prog: str) -> int:
    options = _parser(prog).parse_args(arguments)
    model, plan = load_plan(options)
    if options.emulate:
        if not plan.target.flags:
            raise SignbitError("--emulate runs the code for a core: name it with --target, such as cortex-m4")
        if not_run := missing(plan.target):
            print(json.dumps({"not_run": not_run}) if options.json else f"NOT RUN: {not_run}")
            return EXIT_NOT_RUN
        machine = EmulatedCore.named(plan.target, options.cc)
    else:
        compiler = find_compiler(options.cc)
        machine = Host(compiler, fast_flags(compiler))
    dataset = dataset_for(model, options.data, options.data_dir)
    test = np.asarray(dataset.test.x if model.front_end is None else dataset.test.samples)[: options.limit]
    with console(stderr=True).status(f"running {plan.target.title}" if options.emulate else ""):
        results = _comparisons(model, plan, {f"{dataset.name} test set": test}, machine)
        counts = machine.count(plan, test[:1], reads_of(test)) if options.emulate else []
    if options.json:
        comparisons = {key: vars(result) | {"equal": result.equal} for key, result in results.items()}
        print(json.dumps(comparisons | ({"instructions": _named(plan, counts)} if counts else {}), indent=2))
    else:
        for key, result in results.items():
            print(f"{shown(key)}: {_words(result)}")
        if counts:
            parts = ", ".join(f"{name} {count:,}" for name, count in _named(plan, counts).items())
            print(f"instructions for the first input: {sum(counts):,} ({parts})")
        elif plan.target.flags:
            print(f"compared: the plain C of the kernels for {plan.target.name}; --emulate runs their assembly")
    return EXIT_OK if all(result.equal for result in results.values()) else EXIT_DIFFERENT


def _parser(prog: str) -> Parser:
    parser = Parser(
        prog=prog,
        description="Compile the generated C for this computer, or with --emulate for a core, and compare every output "
        "of every layer with Python: over a whole test set, over random and extreme inputs, and over what a sensor can "
        "give.",
    )
    add_plan_options(parser)
    parser.add_argument("--data", metavar="DATA", help="test set: digits, mnist, or a path (default: as in training)")
    parser.add_argument("--data-dir", metavar="DIR", help="folder with the data set's files")
    parser.add_argument("--limit", **whole(1).argument(), help="compare only the first N inputs of the test set")
    parser.add_argument(
        "--emulate",
        action="store_true",
        help="run the code for --target, assembly and all, on an emulated core, and count its instructions; needs "
        "nothing but packages from PyPI (signbit[cross])",
    )
    parser.add_argument(
        "--cc", metavar="CC", help="C compiler (default: $CC, cc, gcc or clang; with --emulate ziglang's for the core)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _comparisons(
    model: QuantizedModel, plan: Plan, sets: dict[str, np.ndarray], machine: Host | EmulatedCore
) -> dict[str, Comparison]:
    """`sets`, what no test set has to contain, and what none goes through."""
    sets = sets | {"random and extreme": edge_inputs(model)}
    if model.front_end is not None:
        sets["extreme samples"] = edge_samples(model)
    results = verify_sets(model, plan, sets, machine)
    if plan.streams:
        results["streams of hops"] = verify_stream(model, plan, machine)
    if model.input_quantization is not None:
        name = "sensor counts" if model.front_end is None else "features"
        results[f"{name} to inputs"] = verify_input(model, plan, machine)
    return results


def _named(plan: Plan, counts: list[int]) -> dict[str, int]:
    """What each of the counts of one inference is of."""
    front_end = ["front end"] if plan.front_end else []
    return dict(zip([*front_end, *(f"layer {layer.index}" for layer in plan.layers), "rest"], counts, strict=True))


def _words(result: Comparison) -> str:
    verdict = (
        "C == Python" if result.equal else f"DIFFERENT: {counted(result.different, 'value')}, first in {result.first}"
    )
    layers = f" in {counted(result.layers, 'layer')}" if result.layers else ""
    return f"{counted(result.inputs, 'input')}, {counted(result.values, 'value')} compared{layers}, {verdict}"
