"""`python -m tools prove onnx`: random networks as ONNX, run by two runtimes, and imported again.

Every logit in onnx's reference and in onnxruntime must be the model's own, and the imported model must have its hash.
A run with the defaults writes bench/onnx_round_trip.json and its block of docs/BRIDGE.md.
"""

import json
from collections import Counter

import numpy as np

from signbit.bridge.export_onnx import export
from signbit.bridge.graph.library import ReferenceEvaluator
from signbit.bridge.graph.reading import checked, parse
from signbit.bridge.importing import Options, import_model
from signbit.qmodel.atomic import write_whole
from signbit.qmodel.command import EXIT_DIFFERENT, EXIT_OK, Parser
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.integer import INT16_MAX, INT16_MIN
from signbit.qmodel.model import QuantizedModel
from tools.documents.blocks import ROOT, replace_block
from tools.networks.random import quantizations_for, random_network, with_counts

NETWORKS = 300
INPUTS = 20
FIGURES = ROOT / "bench" / "onnx_round_trip.json"
DOCUMENT = ROOT / "docs" / "BRIDGE.md"
BLOCK = "onnx-round-trip"


def differences(model: QuantizedModel, seed: int = 0) -> list[str]:
    """What is not as it should be with the model's ONNX file."""
    import onnxruntime

    data, rng = export(model).SerializeToString(), np.random.default_rng(seed)
    if model.input_quantization is None:
        x = inputs = rng.integers(0, 256, (INPUTS, *model.input_shape), dtype=np.uint8)
    else:
        x = rng.integers(INT16_MIN, INT16_MAX + 1, (INPUTS, *model.counts_shape)).astype(np.int16)
        inputs = model.quantize_input(x)
    wanted = model.run(inputs)
    runtimes = {"onnx.reference": ReferenceEvaluator(parse(data)), "onnxruntime": onnxruntime.InferenceSession(data)}
    found = []
    for name, runtime in runtimes.items():
        different = int((runtime.run(None, {"input": x})[0] != wanted).sum())
        if different:
            found.append(f"{different} of {wanted.size} logits differ in {name}")
    if import_model(checked(parse(data)), Options()).model.hash != model.hash:
        found.append("the imported model has another hash")
    return found


def network(seed: int) -> QuantizedModel:
    """A random network, every third one for a sensor's counts, in each of their encodings."""
    model = random_network(seed)
    kinds = quantizations_for(model)
    return with_counts(model, seed, kinds[seed // 3 % len(kinds)]) if seed % 3 == 2 else model


def main(arguments: list[str], prog: str = "python -m tools prove onnx") -> int:
    """Returns 1 when there is a difference."""
    parser = Parser(prog=prog, description=__doc__.partition(": ")[2].partition("\n\n")[0])
    parser.add_argument("--networks", metavar="N", type=int, default=NETWORKS, help="default: %(default)s")
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="of the first one; default: %(default)s")
    options = parser.parse_args(arguments)
    try:
        import onnxruntime  # noqa: F401
    except ImportError:
        raise SignbitError("this needs onnxruntime: pip install onnxruntime") from None
    findings, logits, kinds = [], 0, Counter()
    for seed in range(options.seed, options.seed + options.networks):
        model = network(seed)
        kinds.update(f"{layer.kind} {layer.activation.kind}" for layer in model.layers)
        if model.input_quantization is not None:
            kinds[f"{model.input_quantization.kind} input"] += 1
        for text in differences(model, seed):
            findings.append(f"network {seed}: {text}")
            print(findings[-1])
        logits += INPUTS * model.output_size
    figures = {
        "seed": options.seed,
        "networks": options.networks,
        "logits": logits,
        "layers": dict(sorted(kinds.items())),
        "findings": findings,
    }
    print(line(figures))
    print("layers:", ", ".join(f"{count} {kind}" for kind, count in figures["layers"].items()))
    if (options.seed, options.networks) == (0, NETWORKS):
        write_whole(FIGURES, (json.dumps(figures, indent=2) + "\n").encode())
        replace_block(BLOCK, line(figures), DOCUMENT)
    return EXIT_DIFFERENT if findings else EXIT_OK


def line(figures: dict) -> str:
    """What bench/onnx_round_trip.json says, in a sentence."""
    return (
        f"{figures['networks']} random networks of all kinds of layers, {figures['logits']:,} logits in onnx's "
        f"reference and in onnxruntime: {len(figures['findings'])} differences"
    )
