"""Operators that move numbers and change none: the tensor's places move with them."""

import math
from dataclasses import replace

import numpy as np

from signbit.bridge.graph.builder import Builder
from signbit.bridge.graph.node import Node, Operator
from signbit.bridge.graph.tensor import Tensor
from signbit.qmodel.errors import SignbitError


def flatten(node: Node, builder: Builder) -> Tensor:
    tensor, axis = node.tensor(), node.attribute("axis", 1)
    rank = len(tensor.shape)
    if not -rank <= axis <= rank:
        raise SignbitError(f"flattens from axis {axis} of {rank}")
    axis %= rank + 1 if axis >= 0 else rank
    return tensor.moved(lambda array: array.reshape(math.prod(tensor.shape[:axis]), -1))


def reshape(node: Node, builder: Builder) -> Tensor:
    tensor, wanted = node.tensor(), node.whole_numbers(1)
    if not node.attribute("allowzero", 0):
        if any(side == 0 and place >= len(tensor.shape) for place, side in enumerate(wanted)):
            raise SignbitError(f"keeps an axis that a tensor of {tensor.shape} does not have")
        wanted = [tensor.shape[place] if side == 0 else side for place, side in enumerate(wanted)]
    return tensor.moved(lambda array: array.reshape(wanted))


def transpose(node: Node, builder: Builder) -> Tensor:
    tensor = node.tensor()
    axes = node.attribute("perm", list(reversed(range(len(tensor.shape)))))
    moved = tensor.moved(lambda array: array.transpose(axes))
    if tensor.padding is None:
        return moved
    return replace(moved, padding=replace(tensor.padding, widths=tuple(tensor.padding.widths[axis] for axis in axes)))


def squeeze(node: Node, builder: Builder) -> Tensor:
    tensor = node.tensor()
    # without axes all of length 1 go, but the batch is none of them
    axes = _axes(node) or [place for place, side in enumerate(tensor.shape) if side == 1 and place]
    return tensor.moved(lambda array: array.squeeze(tuple(axes)))


def unsqueeze(node: Node, builder: Builder) -> Tensor:
    axes = _axes(node)
    return node.tensor().moved(lambda array: np.expand_dims(array, tuple(axes)))


def shape_of(node: Node, builder: Builder) -> np.ndarray:
    """A constant; the batch is 1."""
    shape = np.array(node.tensor().shape, np.int64)
    return shape[node.attribute("start", 0) : node.attribute("end", len(shape))]


def _axes(node: Node) -> list[int]:
    return node.whole_numbers(1) if node.has(1) else node.attribute("axes", [])


OPERATORS: dict[str, Operator] = {
    "Flatten": flatten,
    "Reshape": reshape,
    "Shape": shape_of,
    "Squeeze": squeeze,
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
}
