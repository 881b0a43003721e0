"""Instructions of a layer's assembly on given inputs, as its listings say; where data decides, with what it met."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from signbit.codegen.plan import LayerPlan, Plan
from signbit.qmodel import integer
from signbit.qmodel.activations import Requantize
from signbit.qmodel.layers import Conv2D
from signbit.qmodel.model import QuantizedModel
from signbit.qmodel.value import Value


def expected(model: QuantizedModel, plan: Plan, x: np.ndarray) -> Iterator[float]:
    """Instructions of each layer's assembly for one input, uint8 (1, input_size)."""
    first = model.input_value.from_bytes(x) >> model.input_shift

    def run(index: int, inputs: list[np.ndarray]) -> np.ndarray:
        return model.layers[index].run(inputs, model.inputs_of(index))

    arrays = [first, *model.graph.outputs(first, run)]
    for index, layer in enumerate(plan.layers):
        sources = zip(model.graph.sources[index], layer.job.inputs, strict=True)
        inputs = [arrays[source].reshape(1, *value.shape) for source, value in sources]
        met = _met(layer, inputs, list(layer.job.inputs))
        runs = layer.kernel.runs(layer.job)
        if met.get("eights") == 0:  # the function that counts a list is not called for an empty one
            runs = [run for run in runs if "eights" not in run.counts]
        yield sum(replace(run, counts=run.counts | met).instructions for run in runs)


def _met(layer: LayerPlan, inputs: list[np.ndarray], values: list[Value]) -> dict[str, float]:
    """The counts that depend on data, by their names in the listings."""
    met = {}
    if isinstance(layer.layer.activation, Requantize) and layer.parameter_bytes:
        activation = layer.layer.activation
        sums = integer.scale(layer.layer.accumulate(inputs, values), activation.multiplier, activation.bias)
        columns = layer.kernel.output_columns(layer.job)
        sums = sums if columns is None else sums[:, :, columns]
        met |= {"positive": np.mean(sums >= 0), "negative": np.mean(sums < 0)}
        met["clamped"] = np.mean(sums >> activation.shift > activation.high)
    if isinstance(layer.layer, Conv2D) and layer.layer.window.pool != (1, 1):
        met["kept"] = _kept(layer, inputs[0], values[0])
    if layer.kernel.name == "m0/dense_bits":
        met |= _ripples(layer, inputs[0])
    if layer.kernel.name == "m3/dense_bits":
        met |= _listed(layer, inputs[0])
    return {name: float(count) for name, count in met.items()}


def _kept(layer: LayerPlan, x: np.ndarray, value: Value) -> float:
    """How often a place under a max-pool has a smaller sum than one before it."""
    convolution, (height, width) = layer.layer, layer.layer.window.pool
    rows, columns, neurons = layer.job.output_shape
    places = convolution.convolve(convolution.window.patches(x, convolution.kernel, value.outside))[0]
    pools = places[: rows * height, : columns * width].reshape(rows, height, columns, width, neurons)
    made = layer.kernel.output_columns(layer.job)
    pools = pools if made is None else pools[:, :, made]
    goes_down = layer.kernel.name == "m0/conv_windows"
    order = pools.transpose((3, 1, 0, 2, 4) if goes_down else (1, 3, 0, 2, 4)).reshape(height * width, -1)
    return np.mean(order[1:] < np.maximum.accumulate(order)[:-1])


def _ripples(layer: LayerPlan, x: np.ndarray) -> dict[str, float]:
    """Rounds of 8 inputs that are -1, and how far a round's carry ripples on average, over all slices of 32 rows."""
    listed = np.flatnonzero(x.reshape(-1) < 0)
    rounds = -(-len(listed) // 8)
    if not rounds:
        return {"eights": 0, "ripples": 0}
    rows = layer.job.rows
    bits = np.zeros((-(-len(rows) // 32) * 32, 8 * rounds), np.int64)
    bits[: len(rows), : len(listed)] = rows[:, listed] < 0
    eights = np.cumsum(bits, axis=1)[:, 7::8] // 8
    flipped = np.diff(eights, axis=1, prepend=0) * (eights ^ np.hstack([0 * eights[:, :1], eights[:, :-1]]))
    planes = np.where(flipped, np.log2(np.maximum(flipped, 1)).astype(int) + 1, 1)
    return {"eights": rounds, "ripples": planes.reshape(-1, 32, rounds).max(axis=1).mean()}


def _listed(layer: LayerPlan, x: np.ndarray) -> dict[str, float]:
    """Inputs of the rarer sign that a word lists, bits after the last among them, and their batches of 16."""
    words, negative = layer.job.input_bytes // 4, np.count_nonzero(x < 0)
    listed = negative if negative <= x.size // 2 else 32 * words - negative
    return {"listed": listed / words, "batches": -(-listed // 16)}
