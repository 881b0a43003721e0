"""Dense layers and convolutions: one-bit or ternary weights with a scale for each output."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from signbit.bridge.graph.builder import Builder
from signbit.bridge.graph.layers import check_size
from signbit.bridge.graph.node import Node, Operator
from signbit.bridge.graph.source import Pending, canonical
from signbit.bridge.graph.stairs import ON_GRID
from signbit.bridge.graph.tensor import Padding, Tensor
from signbit.bridge.operators.window import pads_of, strides_of
from signbit.qmodel.activations import Sign
from signbit.qmodel.counted import counted
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.integer import INT32_MAX, INT32_MIN
from signbit.qmodel.layer import Layer
from signbit.qmodel.layers import Conv2D, Dense, DepthwiseConv2D
from signbit.qmodel.value import Encoding
from signbit.qmodel.window import Window

SAME_MAGNITUDE = 1e-6
"""Relative difference between weights that float32 was meant to hold as one number."""


def matmul(node: Node, builder: Builder) -> Tensor:
    if not isinstance(node.inputs[0], Tensor):
        raise SignbitError("multiplies a constant by an activation; the weights must be the second factor")
    return dense(node.tensor(), node.constant(1).T, builder)


def gemm(node: Node, builder: Builder) -> Tensor:
    if node.attribute("transA", 0):
        raise SignbitError("transposes its input")
    weights = node.constant(1) * node.attribute("alpha", 1.0)
    result = dense(node.tensor(), weights if node.attribute("transB", 0) else weights.T, builder)
    return result.affine(1.0, node.constant(2) * node.attribute("beta", 1.0)) if node.has(2) else result


def conv(node: Node, builder: Builder) -> Tensor:
    result = convolution(node, node.tensor(), node.constant(1), builder)
    if not node.has(2):
        return result
    return result.affine(1.0, node.constant(2).reshape(1, -1, *[1] * (len(result.shape) - 2)))


def dense(tensor: Tensor, weights: np.ndarray, builder: Builder) -> Tensor:
    """`weights` are real, (outputs, fan_in), the fan-in in the graph's order."""
    tensor = builder.settled(tensor)
    if len(tensor.shape) != 2 or weights.ndim != 2 or weights.shape[1] != tensor.shape[1]:
        raise SignbitError(f"multiplies a tensor of {tensor.shape} by weights of {weights.T.shape}; flatten it first")
    columns = tensor.source.order_of(tensor.order)[0]
    weights, scales = _one_bit(weights)
    weights, gain, offset = _unscaled(tensor, weights, *(_flat(tensor, each) for each in (tensor.gain, tensor.offset)))
    ordered = np.empty_like(weights)
    ordered[:, columns] = weights
    return _pending(Dense(ordered, None), tensor, scales * gain, scales * offset)


def convolution(node: Node, tensor: Tensor, weights: np.ndarray, builder: Builder) -> Tensor:
    """`weights` are real, (outputs, channels / groups, height, width), without the width over time series."""
    padding = tensor.padding
    tensor = builder.settled(replace(tensor, padding=None))
    sides = weights.ndim - 2
    if sides not in (1, 2) or len(tensor.shape) != weights.ndim:
        raise SignbitError(f"convolves a tensor of {tensor.shape} over {sides} axes; 1 and 2 have an integer form")
    window = _window(node, tensor.shape[2:], weights.shape[2:])
    groups = node.attribute("group", 1)
    if sides == 1:
        weights, tensor = weights[..., None], tensor.moved(lambda array: array[..., None])
    tensor.source.check_image(tensor.order)
    outputs, depth = weights.shape[:2]
    channels = tensor.shape[1]
    is_depthwise = groups == channels == outputs and depth == 1 and groups > 1
    if not is_depthwise and groups != 1:
        raise SignbitError(f"has {groups} groups; 1, or one for each channel, have an integer form")
    if not is_depthwise and depth != channels:
        raise SignbitError(f"has weights for {counted(depth, 'channel')}, but gets {channels}")
    signs, scales = _one_bit(weights.reshape(outputs, -1))
    signs = signs.reshape(weights.shape)
    tensor, window = _padded(tensor, padding, window, builder)
    gains, offsets = (_of_channels(tensor, each) for each in (tensor.gain, tensor.offset))
    if is_depthwise:
        layer = DepthwiseConv2D(signs[:, 0], None, window)
        gain, offset = gains, offsets * signs.sum(axis=(1, 2, 3))
    else:
        spread = [np.broadcast_to(each[:, None, None], signs.shape[1:]).ravel() for each in (gains, offsets)]
        rows, gain, offset = _unscaled(tensor, signs.reshape(outputs, -1), *spread)
        layer = Conv2D(rows.reshape(signs.shape).transpose(0, 2, 3, 1).copy(), None, window)
    result = _pending(layer, tensor, scales * gain, scales * offset)
    return result.moved(lambda array: array[..., 0]) if sides == 1 else result


def pad(node: Node, builder: Builder) -> Tensor:
    """Rows and columns of one value around an image, which the convolution after it takes in."""
    tensor, widths = node.tensor(), node.whole_numbers(1)
    rank = len(tensor.shape)
    value = node.number(2, 0.0)
    if node.attribute("mode", "constant") != "constant" or node.has(3) or len(widths) != 2 * rank:
        raise SignbitError("pads otherwise than with one value on all axes")
    if min(widths) < 0:
        raise SignbitError("cuts pixels off, for which there is no integer layer")
    if not any(widths):
        return tensor
    return replace(tensor, padding=Padding(tuple(zip(widths[:rank], widths[rank:], strict=True)), value))


def _one_bit(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """int8 weights of -1, 0 and +1, and each row's scale, of real rows; raises SignbitError if they are not that."""
    size = np.abs(rows)
    scales = size.max(axis=1, initial=0.0)
    with np.errstate(invalid="ignore"):
        is_full = np.abs(size - scales[:, None]) <= SAME_MAGNITUDE * scales[:, None]
    if not np.isfinite(scales).all() or not (is_full | (size == 0)).all():
        magnitudes = len(np.unique(size[np.argmin((is_full | (size == 0)).all(axis=1))]))
        raise SignbitError(
            f"has float weights ({magnitudes:,} magnitudes for one output), not one scale times +1, -1 and 0; train "
            "with binarized weights (signbit.bridge.torch, Brevitas, Larq) and export those"
        )
    return np.sign(rows).astype(np.int8), np.where(scales == 0, 1.0, scales)


def _unscaled(tensor: Tensor, rows: np.ndarray, gains: np.ndarray, offsets: np.ndarray):
    """Rows, their gain and their offsets, for inputs with one magnitude of gain; its signs go to the rows."""
    size = np.abs(gains)
    if (np.abs(size - size[0]) > SAME_MAGNITUDE * size[0]).any() or not size[0]:
        raise SignbitError(
            f"reads channels of different scales ({size.min():g} to {size.max():g}), which one-bit weights can't take "
            "in; normalize all by the same standard deviation, or quantize them to one scale"
        )
    offset = rows.astype(np.float64) @ offsets if offsets.any() else np.zeros(len(rows))
    signed = rows * np.sign(gains).astype(np.int8) if (gains < 0).any() else rows
    return signed, size[0], offset


def _padded(tensor: Tensor, padding: Padding | None, window: Window, builder: Builder) -> tuple[Tensor, Window]:
    """The tensor, and its window with the graph's padding, if the integer model's pixels of padding are the same."""
    value = 0.0
    if padding is not None:
        batch, channels, *image = padding.widths
        if any(window.padding) or any((*batch, *channels)):
            raise SignbitError("pads other than the height and width of an image, once")
        window = replace(window, padding=tuple(side for ends in (*image, (0, 0))[:2] for side in ends))
        value = padding.value
    if not any(window.padding):
        return tensor, window
    gains, offsets = (_of_channels(tensor, each) for each in (tensor.gain, tensor.offset))
    outside = (value - offsets) / gains if gains.all() else np.full(1, np.nan)
    if (np.abs(outside - tensor.source.value.outside) <= ON_GRID).all():
        return tensor, window
    if tensor.source.value.encoding is Encoding.BIT:
        if (np.abs(outside - 1) <= ON_GRID).all():
            return _opposite(tensor, builder), window
        raise SignbitError(
            f"pads one-bit values with {value:g}; the integer model pads with -1. Pad with -1 before the "
            "convolution (F.pad(x, ..., value=-1)), or not at all"
        )
    raise SignbitError(
        f"pads with {value:g}, which is not the 0 of the values that it reads: a mean was subtracted before, or "
        "they are signed. Leave the mean out, or do not pad"
    )


def _opposite(tensor: Tensor, builder: Builder) -> Tensor:
    """One-bit values with the other sign, whose -1 is what was +1: not(d * acc >= T) is -d * acc >= 1 - T."""
    built = builder.built[tensor.source.number - 1] if tensor.source.number else None
    if built is None or not isinstance(built.layer.activation, Sign):
        raise SignbitError("pads one-bit values that no sign gave with +1; pad with -1")
    sign: Sign = built.layer.activation
    ends = {INT32_MIN: INT32_MAX, INT32_MAX: INT32_MIN}
    reached = [ends.get(each, 1 - each) for each in sign.threshold.tolist()]
    activation = Sign(np.array(reached, np.int32), -sign.direction)
    slot = builder.emit(replace(built.layer, activation=activation), built.reads, built.certificate)
    return replace(tensor, source=slot, gain=-np.asarray(tensor.gain))


def _pending(layer: Layer, tensor: Tensor, gain: np.ndarray, offset: np.ndarray) -> Tensor:
    pending = Pending((tensor.source,), layer).checked()
    check_size(pending.shape)
    result = Tensor(pending, canonical(pending.shape))
    return replace(result, gain=_axis(result, gain), offset=_axis(result, offset))


def _axis(tensor: Tensor, vector: np.ndarray) -> np.ndarray:
    """One number per channel, in the graph's layout."""
    return np.asarray(vector, np.float64).reshape(1, -1, *[1] * (len(tensor.shape) - 2))


def _flat(tensor: Tensor, array) -> np.ndarray:
    return np.broadcast_to(array, tensor.shape)[0]


def _of_channels(tensor: Tensor, array) -> np.ndarray:
    """One number per channel of a tensor (1, C, H, W)."""
    whole = np.broadcast_to(array, tensor.shape)[0].reshape(tensor.shape[1], -1)
    if np.ptp(whole, axis=1).any():
        raise SignbitError("reads values with constants that differ between pixels; use one for each channel")
    return whole[:, 0]


def _window(node: Node, image: Sequence[int], kernel: Sequence[int]) -> Window:
    """Strides and padding; raises SignbitError for what the integer model's windows can't do."""
    if set(node.attribute("dilations", [1])) != {1}:
        raise SignbitError("is dilated, for which there is no integer layer")
    sides = len(image)
    strides, pads = [*strides_of(node, sides), 1], pads_of(node, image, kernel)
    first, last = ([*each, 0] for each in (pads[:sides], pads[sides:]))
    return Window((strides[0], strides[1]), (first[0], last[0], first[1], last[1]))


OPERATORS: dict[str, Operator] = {"Conv": conv, "Gemm": gemm, "MatMul": matmul, "Pad": pad}
