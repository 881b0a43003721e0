"""Instructions of a layer's assembly on given inputs, as its listings say; where data decides, with what it met."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from signbit.codegen.plan import LayerPlan, Plan
from signbit.qmodel import integer
from signbit.qmodel.activations import Requantize
from signbit.qmodel.model import QuantizedModel


def expected(model: QuantizedModel, plan: Plan, x: np.ndarray) -> Iterator[float]:
    """Instructions of each layer's assembly for one input, uint8 (1, input_size)."""
    first = model.input_value.from_bytes(x) >> model.input_shift

    def run(index: int, inputs: list[np.ndarray]) -> np.ndarray:
        return model.layers[index].run(inputs, model.inputs_of(index))

    arrays = [first, *model.graph.outputs(first, run)]
    for index, layer in enumerate(plan.layers):
        met = _met(layer, [arrays[source] for source in model.graph.sources[index]])
        for_these = (replace(run, counts=run.counts | met) for run in layer.kernel.runs(layer.job))
        yield sum(run.instructions for run in for_these)


def _met(layer: LayerPlan, inputs: list[np.ndarray]) -> dict[str, float]:
    """The counts that depend on data, by their names in the listings."""
    activation = layer.layer.activation
    if not isinstance(activation, Requantize) or not layer.parameter_bytes:
        return {}
    sums = integer.scale(layer.layer.accumulate(inputs, list(layer.job.inputs)), activation.multiplier, activation.bias)
    positive = float(np.mean(sums >= 0))
    clamped = float(np.mean(sums >> activation.shift > activation.high)) / (positive or 1)
    return {"positive": positive, "negative": 1 - positive, "clamped": clamped}
