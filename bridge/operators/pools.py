"""Pools: maxima go into the layer before them, means are layers of weights +1."""

from dataclasses import replace

import numpy as np

from signbit.bridge.graph.builder import Builder
from signbit.bridge.graph.node import Node, Operator
from signbit.bridge.graph.source import Pending, canonical
from signbit.bridge.graph.tensor import Tensor
from signbit.bridge.operators.window import pads_of, strides_of
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.layers import Dense, DepthwiseConv2D
from signbit.qmodel.window import SIDE_MAX, Window


def max_pool(node: Node, builder: Builder) -> Tensor:
    """The largest accumulators: activations never fall, so that it does not matter which comes first.

    Where a larger accumulator means a smaller number, the channel's weights change their signs.
    """
    tensor, size, drop = _pooled(node, node.tensor())
    if not isinstance(tensor.source, Pending):
        tensor = builder.lifted(builder.settled(tensor))
    if isinstance(tensor.source.layer, Dense):
        raise SignbitError("pools a vector")
    scale = 1.0 if tensor.stairs is None else tensor.stairs.slope
    falls = tensor.per_channel(np.asarray(tensor.gain) * scale) < 0
    gain = np.asarray(tensor.gain)
    if falls.any():
        gain = gain * tensor.spread(np.where(falls, -1.0, 1.0))
    pending = tensor.source.flipped(falls) if falls.any() else tensor.source
    return drop(_smaller(replace(tensor, gain=gain), pending.pooled(size), size))


def average_pool(node: Node, builder: Builder) -> Tensor:
    tensor, size, drop = _pooled(node, node.tensor())
    return drop(_mean(tensor, size, builder))


def global_average_pool(node: Node, builder: Builder) -> Tensor:
    image, drop, _ = _image(node.tensor())
    return drop(_mean(image, image.shape[2:], builder))


def global_max_pool(node: Node, builder: Builder) -> Tensor:
    tensor = node.tensor()
    attributes = {"kernel_shape": list(tensor.shape[2:]), "strides": list(tensor.shape[2:])}
    return max_pool(replace(node, attributes=attributes), builder)


def reduce_mean(node: Node, builder: Builder) -> Tensor:
    """A global average pool, where it is over height and width."""
    tensor = node.tensor()
    axes = node.whole_numbers(1) if node.has(1) else node.attribute("axes", [])
    rank = len(tensor.shape)
    axes = sorted(axis % rank for axis in axes)
    if rank < 3 or len(axes) != rank - 2 or 0 in axes:
        raise SignbitError("averages over other axes than an image's height and width")
    # images have their channels first here, wherever the graph has them
    channel = next(axis for axis in range(1, rank) if axis not in axes)
    first = tensor.moved(lambda array: np.moveaxis(array, channel, 1))
    image, drop, _ = _image(first)
    result = drop(_mean(image, image.shape[2:], builder))
    result = result.moved(lambda array: np.moveaxis(array, 1, channel))
    return result if node.attribute("keepdims", 1) else result.moved(lambda array: array.squeeze(tuple(axes)))


def _mean(tensor: Tensor, size: tuple[int, int], builder: Builder) -> Tensor:
    """The sum of each window, divided by its size."""
    if isinstance(tensor.source, Pending) and tensor.stairs is None:
        raise SignbitError("averages accumulators that are not quantized; quantize before the average pool")
    tensor = builder.as_bytes(tensor)
    tensor.source.check_image(tensor.order)
    if max(size) > SIDE_MAX:
        raise SignbitError(f"averages over a side of {max(size)}; at most {SIDE_MAX}")
    weights = np.ones((tensor.shape[1], *size), np.int8)
    pending = Pending((tensor.source,), DepthwiseConv2D(weights, None, Window(stride=tuple(size))), is_mean=True)
    pending = pending.checked()
    count = size[0] * size[1]
    small = _smaller(replace(tensor, order=tensor.source.order_of(tensor.order)), pending, size)
    return replace(small, gain=small.gain / count)


def _smaller(tensor: Tensor, pending: Pending, size: tuple[int, int]) -> Tensor:
    """The tensor with a new source of fewer pixels; its arrays have one number for each channel."""
    order = canonical(pending.shape)

    def cut(array):
        # raises where it is not one number for each channel
        tensor.per_channel(array)
        return np.broadcast_to(array, tensor.shape)[:, :, : order.shape[2], : order.shape[3]]

    return tensor.rearranged(cut, pending, order)


def _image(tensor: Tensor):
    """The tensor as (1, C, H, W), what undoes that, and whether height and width were exchanged.

    Signals over time are images of width 1 or of height 1, and in one graph of both.
    """
    if len(tensor.shape) == 3:
        image, drop, is_turned = _image(tensor.moved(lambda array: array[..., None]))
        return image, lambda result: drop(result).moved(lambda array: array[..., 0]), is_turned
    if len(tensor.shape) != 4:
        raise SignbitError(f"pools a tensor of {tensor.shape}, which is no image")
    height, width = tensor.shape[2:]
    if height != width and 1 in (height, width) and tensor.source.shape[:2] == (width, height):
        return tensor.moved(_turned), lambda result: result.moved(_turned), True
    return tensor, lambda result: result, False


def _turned(array: np.ndarray) -> np.ndarray:
    return array.swapaxes(2, 3)


def _pooled(node: Node, tensor: Tensor):
    """The image, the window's size, and what takes away the width that the image lacked."""
    image, drop, is_turned = _image(tensor)
    size, sides = node.attribute("kernel_shape", []), len(tensor.shape) - 2
    if len(size) != sides or any(not 1 <= side <= whole for side, whole in zip(size, tensor.shape[2:], strict=True)):
        raise SignbitError(f"pools windows of {tuple(size)} in a tensor of {tensor.shape}")
    is_plain = (
        strides_of(node, sides) == size
        and not any(pads_of(node, tensor.shape[2:], size))
        and set(node.attribute("dilations", [1])) == {1}
        and not node.attribute("ceil_mode", 0)
    )
    if not is_plain:
        raise SignbitError(
            "pools with a stride other than its window, padding, dilation or ceil_mode; use none of them"
        )
    height, width = (size[0], size[1] if sides == 2 else 1)
    return image, ((width, height) if is_turned else (height, width)), drop


OPERATORS: dict[str, Operator] = {
    "AveragePool": average_pool,
    "GlobalAveragePool": global_average_pool,
    "GlobalMaxPool": global_max_pool,
    "MaxPool": max_pool,
    "ReduceMean": reduce_mean,
}
