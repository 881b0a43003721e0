"""`verify`: the generated C against Python, every output of every layer."""

import json

import numpy as np

from signbit.codegen.commands.common import add_plan_options, load_plan
from signbit.codegen.verify import (
    Comparison,
    edge_inputs,
    edge_samples,
    find_compiler,
    verify,
    verify_input,
    verify_stream,
)
from signbit.qmodel.command import EXIT_DIFFERENT, EXIT_OK, Parser
from signbit.qmodel.data.named import dataset_for
from signbit.qmodel.option_types import whole


def main(arguments: list[str], prog: str) -> int:
    parser = Parser(
        prog=prog,
        description="Compile the generated C for this computer and compare every output of every layer with Python: "
        "over a whole test set, over random and extreme inputs, and over what a sensor can give.",
    )
    add_plan_options(parser)
    parser.add_argument("--data", metavar="DATA", help="test set: digits, mnist, or a path (default: as in training)")
    parser.add_argument("--data-dir", metavar="DIR", help="folder with the data set's files")
    parser.add_argument("--limit", **whole(1).argument(), help="compare only the first N inputs of the test set")
    parser.add_argument("--cc", metavar="CC", help="C compiler (default: $CC, cc, gcc or clang)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    model, plan = load_plan(options)
    compiler = find_compiler(options.cc)
    dataset = dataset_for(model, options.data, options.data_dir)
    test = dataset.test.x if model.front_end is None else dataset.test.samples
    results = {
        f"{dataset.name} test set": verify(model, plan, np.asarray(test[: options.limit]), compiler),
        "random and extreme": verify(model, plan, edge_inputs(model), compiler),
    }
    if model.front_end is not None:
        results["extreme samples"] = verify(model, plan, edge_samples(model), compiler)
    if plan.streams:
        results["streams of hops"] = verify_stream(model, plan, compiler)
    if model.input_quantization is not None:
        name = "sensor counts" if model.front_end is None else "features"
        results[f"{name} to inputs"] = verify_input(model, plan, compiler)
    if options.json:
        print(json.dumps({key: vars(result) | {"equal": result.equal} for key, result in results.items()}, indent=2))
    else:
        for key, result in results.items():
            print(f"{key}: {_words(result)}")
        if plan.target.flags:
            print(f"compared: the plain C of the kernels for {plan.target.name}; their assembly runs on a core only")
    return EXIT_OK if all(result.equal for result in results.values()) else EXIT_DIFFERENT


def _words(result: Comparison) -> str:
    verdict = "C == Python" if result.equal else f"DIFFERENT: {result.different} values, first in {result.first}"
    layers = f" in {result.layers} layers" if result.layers else ""
    return f"{result.inputs} inputs, {result.values} values compared{layers}, {verdict}"
