"""Residual additions and concatenations of activations."""

import numpy as np

from signbit.bridge.graph.builder import Builder
from signbit.bridge.graph.node import Node, Operator
from signbit.bridge.graph.source import Pending, Sum
from signbit.bridge.graph.tensor import Tensor
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.layer import LAYERS_MAX
from signbit.qmodel.merge import Concatenate
from signbit.qmodel.value import Encoding


def add_tensors(node: Node, builder: Builder) -> Tensor:
    """sum of gain_k * u_k, with one gain for each value; a sum of sums is one sum."""
    if not all(isinstance(each, Tensor) for each in node.inputs):
        raise SignbitError("adds activations and constants; add the constants apart")
    parts = [_summand(each, builder) for each in node.inputs]
    if any(np.size(array) > 1 and np.ptp(array) for part in parts for array in (part.gain, part.offset)):
        raise SignbitError("adds values with a scale for each channel; quantize both to one scale first")
    gains = [float(np.max(part.gain)) for part in parts]
    if min(gains) <= 0:
        raise SignbitError("subtracts an activation, for which there is no integer layer")
    orders = [part.order if _is_sum(part) else part.source.order_of(part.order) for part in parts]
    sums = [part.source if _is_sum(part) else Sum((part.source,), (1.0,)) for part in parts]
    if len({found.shape for found in sums}) > 1 or any(not np.array_equal(order, orders[0]) for order in orders):
        raise SignbitError("adds values of different shapes, or whose numbers are in different orders")
    reads = tuple(slot for found in sums for slot in found.reads)
    if len(reads) > LAYERS_MAX:
        raise SignbitError(f"adds {len(reads)} values; at most {LAYERS_MAX}")
    scaled = tuple(gain * each for gain, found in zip(gains, sums, strict=True) for each in found.gains)
    offset = sum(float(np.max(part.offset)) for part in parts)
    return Tensor(Sum(reads, scaled), orders[0], np.float64(1.0), np.float64(offset))


def _is_sum(tensor: Tensor) -> bool:
    return isinstance(tensor.source, Sum) and tensor.stairs is None


def _summand(tensor: Tensor, builder: Builder) -> Tensor:
    """As a value of 8 bits, or as a sum."""
    if _is_sum(tensor):
        return tensor
    if isinstance(tensor.source, Pending) and tensor.stairs is None:
        raise SignbitError("adds accumulators that are not quantized; quantize each branch before the addition")
    return builder.as_bytes(tensor)


def concatenate(node: Node, builder: Builder) -> Tensor:
    """Channels one after the other; vectors, flattened images too, end to end."""
    if not all(isinstance(each, Tensor) for each in node.inputs):
        raise SignbitError("joins activations and constants")
    parts = [builder.settled(each) for each in node.inputs]
    if len({part.source.value.encoding for part in parts}) > 1:
        parts = [builder.as_bytes(part) for part in parts]
    orders = [part.source.order_of(part.order) for part in parts]
    values = [part.source.value for part in parts]
    if len({value.shape[:-1] for value in values}) > 1:
        raise SignbitError("joins images of different sizes, or an image and a vector; no layer does that")
    axis = node.attribute("axis", 1)
    counts = [value.shape[-1] for value in values]
    places = []
    for base, count, order in zip(np.cumsum([0, *counts]), counts, orders, strict=False):
        # pixel * channels + channel, with the channels of all
        places.append(order // count * sum(counts) + base + order % count)
    order = np.concatenate(places, axis=axis)
    gain, offset = (
        np.concatenate(
            [np.broadcast_to(array, part.shape) for part, array in zip(parts, arrays, strict=True)], axis=axis
        )
        for arrays in ([part.gain for part in parts], [part.offset for part in parts])
    )
    reads = tuple(part.source for part in parts)
    high = 1 if values[0].encoding is Encoding.BIT else max(value.high for value in values)
    layer = Concatenate(builder.counted_back(reads), high, (1,) * len(reads), 0)
    slot = builder.emit(layer, reads)
    if order.shape[0] != 1:
        raise SignbitError(f"joins along axis {axis}, which is that of the batch")
    return Tensor(slot, order, _plain(gain), _plain(offset))


def _plain(array: np.ndarray) -> np.ndarray:
    """One number if all are equal."""
    return array if np.ptp(array) else array.reshape(-1)[0]


OPERATORS: dict[str, Operator] = {"Concat": concatenate, "Sum": add_tensors}
