"""Random networks as ONNX, run by two runtimes, and imported again.

Every logit in onnx's reference and in onnxruntime must be the model's own, and the imported model must have its hash.
"""

from collections.abc import Callable
from importlib.util import find_spec

import numpy as np

from signbit.qmodel.integer import INT16_MAX, INT16_MIN
from signbit.qmodel.model import QuantizedModel
from tools.networks.random import quantizations_for, random_network, with_counts
from tools.prove.row import Outcome, Row

INPUTS = 20


def differences(model: QuantizedModel, seed: int = 0, change: Callable = lambda proto: proto) -> list[str]:
    """What is not as it should be with the model's ONNX file, to which `change` may have been made."""
    import onnxruntime

    from signbit.bridge.export_onnx import export
    from signbit.bridge.graph.library import ReferenceEvaluator
    from signbit.bridge.graph.reading import checked, parse
    from signbit.bridge.importing import Options, import_model

    data, rng = change(export(model)).SerializeToString(), np.random.default_rng(seed)
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


def run(first: int, count: int, change: Callable = lambda proto: proto) -> Outcome:
    outcome = Outcome()
    for seed in range(first, first + count):
        model = network(seed)
        findings = tuple(f"network {seed}: {text}" for text in differences(model, seed, change))
        outcome += Outcome({"logits in two runtimes": INPUTS * model.output_size}, findings)
    return outcome


def other_constant(proto):
    """The graph with the largest of its numbers one too small."""
    from signbit.bridge.graph.library import numpy_helper

    tensors = [tensor for tensor in proto.graph.initializer if numpy_helper.to_array(tensor).dtype.kind == "i"]
    tensor = max(tensors, key=lambda each: numpy_helper.to_array(each).size)
    array = numpy_helper.to_array(tensor).copy()
    array.reshape(-1)[array.argmax()] -= 1
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    return proto


def missing() -> str | None:
    absent = [name for name in ("onnx", "onnxruntime") if not find_spec(name)]
    return f"{' and '.join(absent)} missing: pip install {' '.join(absent)}" if absent else None


ROW = Row(
    "onnx",
    "an exported ONNX file gives the same logits elsewhere, and the same model when it is imported",
    "networks",
    short=100,
    total=3000,
    step=50,
    covers=("qmodel", "bridge", "tools/networks/random.py", "tools/prove/onnx.py"),
    run=run,
    controls={"a number of the graph that is one too small": lambda: run(0, 10, other_constant)},
    missing=missing,
)
