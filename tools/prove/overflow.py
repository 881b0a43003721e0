"""The bounds that are proved for accumulators and products: inputs attain them, and nothing goes beyond.

For every layer of a random network an input is built that drives the neuron with the highest, and the one with the
lowest, bound there: each of its inputs at the end that its weight's sign asks for.  The layer's own functions, which
are those of a model, must give exactly the bound.  Where padding covers a part of every place no input can.
"""

import dataclasses
from collections.abc import Callable
from unittest import mock

import numpy as np

from signbit.qmodel import ranges
from signbit.qmodel.activations import Sign
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.integer import scale
from signbit.qmodel.layer import Layer, Range
from signbit.qmodel.layers import DepthwiseConv2D, Weighted, Windowed
from signbit.qmodel.model import QuantizedModel
from signbit.qmodel.value import Value
from tools.networks.hard import hard_network
from tools.networks.random import random_network
from tools.prove.row import Outcome, Row


def run(first: int, count: int) -> Outcome:
    return sum((prove(number) for number in range(first, first + count)), Outcome())


def prove(number: int) -> Outcome:
    """A network's bounds; every third one is hard."""
    return compare(hard_network(number) if number % 3 == 0 else random_network(number), number)


def compare(model: QuantizedModel, number: int) -> Outcome:
    """Every bound that is proved, and what inputs reach."""
    attained = unattainable = 0
    findings = []
    for index, layer in enumerate(model.layers):
        values = model.inputs_of(index)
        wanted = ranges.prove(layer, *values)
        found = reached(layer, values)
        if found is None:
            unattainable += 1
        elif found != wanted:
            findings.append(f"network {number}, layer {index}: {found} is reached, and {wanted} proved")
        else:
            attained += 1
    return Outcome({"layers at their bounds": attained, "whose places are all padded": unattainable}, tuple(findings))


def reached(layer: Layer, values: tuple[Value, ...]) -> ranges.LayerRange | None:
    """The ends of accumulators, products and sums that inputs reach; None if padding keeps all of them away."""
    if isinstance(layer, Windowed):
        # the pool takes the highest of several places, of which only one is driven
        layer = dataclasses.replace(layer, window=dataclasses.replace(layer.window, pool=(1, 1)))
    inputs = driven(layer, values[0]) if isinstance(layer, Weighted) else [_all_alike(value) for value in values]
    if inputs is None:
        return None
    acc = layer.accumulate(inputs, list(values))
    if isinstance(layer.activation, Sign):
        return ranges.LayerRange(*[_ends(acc)] * 3)
    multiplier, bias = layer.activation.multiplier, layer.activation.bias
    products = acc.astype(np.int64) * multiplier
    sums = scale(acc, multiplier, bias)
    if (sums != products + bias).any():
        raise SignbitError("a sum left int32")
    return ranges.LayerRange(_ends(acc), _ends(products), _ends(sums))


def driven(layer: Weighted, value: Value) -> list[np.ndarray] | None:
    """Inputs (n, *shape) that drive neurons to their ends, each at one place that lies inside of the image."""
    neurons = _extreme_neurons(layer, value)
    rows = layer.weights.reshape(len(layer.weights), -1)[neurons]
    # a weight of 0 takes any input
    patterns = np.concatenate(
        [np.where(rows > 0, *ends) for ends in ((value.low, value.high), (value.high, value.low))]
    )
    if not isinstance(layer, Windowed):
        return [patterns.reshape(-1, *value.shape).astype(np.int16)]
    numbers = np.arange(1, value.size + 1).reshape(1, *value.shape)
    places = layer.window.patches(numbers, layer.kernel, 0)[0]
    inside = np.argwhere((places > 0).all(axis=(2, 3, 4)))
    if not len(inside):
        return None
    patch = places[tuple(inside[len(inside) // 2])].transpose(1, 2, 0) - 1  # (height, width, channels)
    x = np.full((len(patterns), value.size), value.low, np.int16)
    if isinstance(layer, DepthwiseConv2D):
        for row, (neuron, pattern) in enumerate(zip([*neurons, *neurons], patterns, strict=True)):
            x[row, patch[..., neuron].reshape(-1)] = pattern
    else:
        x[:, patch.reshape(-1)] = patterns
    return [x.reshape(-1, *value.shape)]


def _extreme_neurons(layer: Weighted, value: Value) -> list[int]:
    """Those with the lowest and the highest accumulators, products and sums."""
    acc = layer.accumulator_range(value)
    kinds = [np.stack([acc.low, acc.high])]
    if not isinstance(layer.activation, Sign):
        kinds.append(kinds[0] * layer.activation.multiplier.astype(np.int64))
        kinds.append(kinds[1] + layer.activation.bias)
    return sorted({int(pick) for ends in kinds for pick in (ends.min(axis=0).argmin(), ends.max(axis=0).argmax())})


def _all_alike(value: Value) -> np.ndarray:
    """All at the lowest, and all at the highest."""
    return np.stack([np.full(value.shape, end, np.int16) for end in (value.low, value.high)])


def _ends(array: np.ndarray) -> tuple[int, int]:
    return int(array.min()), int(array.max())


def planted(change: Callable[[Range], Range]) -> Outcome:
    """With ranges of weighted layers that `change` makes wrong."""
    right = Weighted.accumulator_range

    def wrong(layer, value):
        return change(right(layer, value))

    with mock.patch.object(Weighted, "accumulator_range", wrong):
        return sum((compare(random_network(number), number) for number in range(20)), Outcome())


ROW = Row(
    "overflow",
    "no accumulator, product or sum leaves int32, and the bounds that say so are attained",
    "networks",
    short=200,
    total=10_000,
    step=100,
    covers=("qmodel", "tools/networks", "tools/prove/overflow.py"),
    run=run,
    controls={
        "a lower end that is forgotten": lambda: planted(lambda found: Range(np.maximum(found.low, 0), found.high)),
        "a bound that no input attains": lambda: planted(lambda found: Range(found.low, found.high + 1)),
    },
)
