"""Ranges for float ReLU activations, from what the graph gives for real inputs."""

from dataclasses import replace

import numpy as np

from signbit.bridge.graph.library import ModelProto
from signbit.bridge.importing import Imported, Options, import_model
from signbit.bridge.running import Runner
from signbit.qmodel.errors import SignbitError

PERCENTILE = 99.9
"""Percentile of a ReLU's numbers above 0: larger ones are cut off."""
INPUTS_MAX = 1000
"""More change no range much, and onnx's reference is slow."""
LEAST = 1e-12


def calibrated(proto: ModelProto, options: Options, inputs: np.ndarray) -> tuple[Imported, dict[str, float]]:
    """The model of a graph with float ReLU activations, and the ranges found, by the tensors' names.

    `inputs` are uint8 (count, input_size), of training data.
    """
    names: dict[str, None] = {}

    def note(name: str) -> float:
        names[name] = None
        return 1.0

    first = import_model(proto, replace(options, range_of=note))
    if not names:
        raise SignbitError("--calibrate: the network has no float ReLU; leave it out")
    ranges = _ranges(first, list(names), inputs)
    return import_model(proto, replace(options, range_of=ranges.__getitem__)), ranges


def _ranges(imported: Imported, names: list[str], inputs: np.ndarray) -> dict[str, float]:
    # evenly from all of the data, which may be sorted
    some = inputs[:: -(-len(inputs) // INPUTS_MAX)]
    found: list[list[np.ndarray]] = [[] for _ in names]
    for outputs in Runner(imported, names).outputs(some):
        for parts, output in zip(found, outputs, strict=True):
            parts.append(output[output > 0])
    highs = [np.concatenate(parts) for parts in found]
    return {
        name: max(float(np.percentile(high, PERCENTILE)), LEAST) if high.size else 1.0
        for name, high in zip(names, highs, strict=True)
    }
