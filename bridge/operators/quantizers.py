"""Quantizers: ONNX's own, QLinear operators, and those of QONNX, which Brevitas, QKeras and FINN write."""

from dataclasses import replace

import numpy as np

from signbit.bridge.graph.builder import Builder
from signbit.bridge.graph.library import TensorProto, helper
from signbit.bridge.graph.node import Node, Operator
from signbit.bridge.graph.source import Pending
from signbit.bridge.graph.stairs import Rounding
from signbit.bridge.graph.tensor import Tensor
from signbit.bridge.operators.merges import add_tensors
from signbit.bridge.operators.pools import global_average_pool
from signbit.bridge.operators.weighted import convolution, dense
from signbit.qmodel.errors import SignbitError

ROUNDINGS = {"ROUND": Rounding.NEAREST, "HALF_EVEN": Rounding.NEAREST, "FLOOR": Rounding.FLOOR, "DOWN": Rounding.FLOOR}
TYPE_RANGES = {
    TensorProto.UINT8: (0, 255),
    TensorProto.INT8: (-128, 127),
    TensorProto.UINT16: (0, 65_535),
    TensorProto.INT16: (-32_768, 32_767),
    TensorProto.UINT4: (0, 15),
    TensorProto.INT4: (-8, 7),
}
BITS_MAX = 24
SEARCH_STEPS = 120
"""Each leaves two thirds of an interval of slopes."""
REACHED = 1e-6
"""How far below a whole accumulator a threshold in float32 may lie and still be meant to be at it."""


# -- ONNX -----------------------------------------------------------------------------------------------------------


def quantize_linear(node: Node, builder: Builder) -> Tensor:
    """clamp(round(x / scale) + zero, low, high) of the zero point's type."""
    wanted = node.attribute("output_dtype", 0) or _type_of(node, 2)
    return _quantized(node.tensor(), _axis(node, 1), _axis(node, 2, 0.0), wanted)


def dequantize_linear(node: Node, builder: Builder) -> Tensor:
    """(q - zero) * scale."""
    return _real(node.tensor(), _axis(node, 1), _axis(node, 2, 0.0))


def qlinear_conv(node: Node, builder: Builder) -> Tensor:
    """x, scale, zero; w, scale, zero; y's scale, zero; bias in units of both scales."""
    x, w_scale = _real(node.tensor(), node.number(1), node.number(2)), node.constant(4)
    filters = node.constant(3)
    per_output = (-1, *[1] * (filters.ndim - 1))
    result = convolution(node, x, _weights(filters, w_scale, node.constant(5), per_output), builder)
    if node.has(8):
        bias = node.constant(8) * node.number(1) * w_scale.ravel()
        result = result.affine(1.0, bias.reshape(1, *per_output[:-1]))
    return _quantized(result, node.number(6), node.number(7), _type_of(node, 7))


def qlinear_matmul(node: Node, builder: Builder) -> Tensor:
    x = _real(node.tensor(), node.number(1), node.number(2))
    weights = _weights(node.constant(3), node.constant(4), node.constant(5), (1, -1))
    return _quantized(dense(x, weights.T, builder), node.number(6), node.number(7), _type_of(node, 7))


def qgemm(node: Node, builder: Builder) -> Tensor:
    """onnxruntime's QGemm: a, scale, zero; b, scale, zero; bias; y's scale and zero, without which y is real."""
    if node.attribute("transA", 0):
        raise SignbitError("transposes its input")
    a, b_scale = _real(node.tensor(), node.number(1), node.number(2)), node.constant(4)
    transposed = node.attribute("transB", 0)
    weights = _weights(node.constant(3), b_scale, node.constant(5), (-1, 1) if transposed else (1, -1))
    result = dense(a, weights if transposed else weights.T, builder)
    if node.has(6):
        result = result.affine(1.0, node.constant(6) * node.number(1) * b_scale.ravel())
    return _quantized(result, node.number(7), node.number(8), _type_of(node, 8)) if node.has(7) else result


def qlinear_add(node: Node, builder: Builder) -> Tensor:
    """onnxruntime's QLinearAdd: a, scale, zero; b, scale, zero; y's scale and zero."""
    sides = tuple(_real(node.tensor(index), node.number(index + 1), node.number(index + 2, 0.0)) for index in (0, 3))
    total = add_tensors(replace(node, inputs=sides), builder)
    return _quantized(total, node.number(6), node.number(7, 0.0), _type_of(node, 7))


def qlinear_global_average_pool(node: Node, builder: Builder) -> Tensor:
    if node.attribute("channels_last", 0):
        raise SignbitError("has its channels last; export it with channels first")
    real = _real(node.tensor(), node.number(1), node.number(2))
    mean = global_average_pool(replace(node, inputs=(real,)), builder)
    return _quantized(mean, node.number(3), node.number(4), _type_of(node, 4))


def matmul_integer(node: Node, builder: Builder) -> Tensor:
    weights = _weights(node.constant(1), 1.0, node.constant(3, 0.0), (1, -1))
    return dense(_real(node.tensor(), 1.0, node.number(2, 0.0)), weights.T, builder)


def conv_integer(node: Node, builder: Builder) -> Tensor:
    filters = node.constant(1)
    weights = _weights(filters, 1.0, node.constant(3, 0.0), (-1, *[1] * (filters.ndim - 1)))
    return convolution(node, _real(node.tensor(), 1.0, node.number(2, 0.0)), weights, builder)


def _real(tensor: Tensor, scale, zero) -> Tensor:
    return replace(tensor.affine(scale, -zero * scale), elem_type=TensorProto.FLOAT)


def _quantized(tensor: Tensor, scale, zero, elem_type: int) -> Tensor:
    if elem_type not in TYPE_RANGES:
        raise SignbitError(f"quantizes to a type of number {elem_type}; 4, 8 and 16 bits are known")
    if np.any(scale <= 0) or np.any(zero != np.rint(zero)):
        raise SignbitError("has a scale that is not above 0, or a zero point that is no whole number")
    low, high = TYPE_RANGES[elem_type]
    levels = tensor.affine(1 / scale, 0.0).rounded(Rounding.NEAREST).affine(1.0, zero).clamp(low, high)
    return replace(levels, elem_type=elem_type)


def _type_of(node: Node, index: int) -> int:
    """ONNX's number of a zero point's type; without a zero point it is uint8."""
    return helper.np_dtype_to_tensor_dtype(node.inputs[index].dtype) if node.has(index) else TensorProto.UINT8


def _axis(node: Node, index: int, default: float | None = None) -> np.ndarray:
    """A scale or zero point of a tensor, along `axis` where it is not one number."""
    found, shape = node.constant(index, default), node.tensor().shape
    if found.size == 1:
        return found.reshape(())
    sides = [1] * len(shape)
    sides[node.attribute("axis", 1)] = -1
    return found.reshape(sides)


def _weights(weights: np.ndarray, scale, zero, shape: tuple[int, ...]) -> np.ndarray:
    """(w - zero) * scale, both one number or one for each output along the axis that `shape` leaves open."""
    scale, zero = (each.reshape(shape) if np.size(each) > 1 else each for each in (scale, zero))
    return (weights - zero) * scale


# -- QONNX ----------------------------------------------------------------------------------------------------------


def quant(node: Node, builder: Builder) -> Tensor:
    """Quant, IntQuant: (clamp(round(x / scale + zero), low, high) - zero) * scale."""
    scale, zero, bits = node.constant(1), node.constant(2), node.number(3)
    low, high = quant_range(bits, node.attribute("signed", 1), node.attribute("narrow", 0))
    if (scale <= 0).any() or (zero != np.rint(zero)).any():
        raise SignbitError("has a scale that is not above 0, or a zero point that is no whole number")
    rounding = _rounding(node, "ROUND")
    levels = node.tensor().affine(1 / scale, zero).clamp(low, high).rounded(rounding)
    return levels.affine(scale, -zero * scale)


def bipolar_quant(node: Node, builder: Builder) -> Tensor:
    scale = node.constant(1)
    return node.tensor().compared(np.greater_equal, 0.0).affine(2 * scale, -scale)


def trunc(node: Node, builder: Builder) -> Tensor:
    """Cuts the lowest bits off: x / scale + zero has in_bits, of which out_bits stay."""
    scale, zero, bits_in, bits_out = (node.number(index) for index in (1, 2, 3, 4))
    if scale <= 0 or zero != np.rint(zero) or not 1 <= bits_out <= bits_in <= 32:
        raise SignbitError("has a scale that is not above 0, or more bits after than before")
    size = 2.0 ** (bits_in - bits_out)
    whole = node.tensor().affine(1 / scale, zero)
    if not _is_whole_line(whole):
        raise SignbitError("cuts bits off numbers that are not whole")
    return whole.affine(1 / size, 0.0).rounded(_rounding(node, "FLOOR")).affine(scale, -zero * scale)


def multi_threshold(node: Node, builder: Builder) -> Tensor:
    """out_scale * (number of thresholds that x is at least) + out_bias, with evenly spaced thresholds."""
    tensor, thresholds = node.tensor(), node.constant(1)
    if thresholds.ndim != 2 or not thresholds.size or node.attribute("data_layout", "NCHW") not in ("NCHW", "NC"):
        raise SignbitError("has thresholds or a layout of an unknown form")
    thresholds = thresholds.reshape(*thresholds.shape, *[1] * (len(tensor.shape) - 2))
    scale, bias = node.attribute("out_scale", 1.0), node.attribute("out_bias", 0.0)
    count = thresholds.shape[1]
    if count == 1:
        return tensor.compared(np.greater_equal, thresholds[None, :, 0]).affine(scale, bias)
    if not isinstance(tensor.source, Pending):
        tensor = builder.lifted(builder.settled(tensor))
    rows = np.broadcast_to(thresholds.reshape(len(thresholds), count), (tensor.channels, count))
    slope, start = _even_line(tensor, rows)
    shape = (1, -1, *[1] * (len(tensor.shape) - 2))
    # the line is of accumulators, whatever they mean
    plain = replace(tensor, gain=slope.reshape(shape), offset=start.reshape(shape), stairs=None)
    return plain.clamp(0.0, count + 0.5).rounded(Rounding.FLOOR).affine(scale, bias)


def _even_line(tensor: Tensor, thresholds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """slope and start of each channel: floor(slope * acc + start) counts the thresholds that it reaches.

    Level l is reached at a whole accumulator A_l, so that slope * A_l + start >= l > slope * (A_l - 1) + start.  For a
    slope the starts between the largest of l - slope * A_l and the smallest of l - slope * (A_l - 1) are right; their
    distance is concave in the slope, and a search finds where it is largest.
    """
    if not isinstance(tensor.source, Pending) or tensor.stairs is not None:
        raise SignbitError("compares other than a layer's accumulators with its thresholds")
    if (np.diff(thresholds, axis=1) < 0).any():
        raise SignbitError("has thresholds that fall")
    gain, offset = tensor.per_channel(tensor.gain), tensor.per_channel(tensor.offset)
    if not gain.all():
        raise SignbitError("compares a constant with its thresholds")
    acc = tensor.source.range
    flip = np.where(gain < 0, -1.0, 1.0)
    low, high = (
        np.minimum(acc.low * flip, acc.high * flip)[:, None],
        np.maximum(acc.low * flip, acc.high * flip)[:, None],
    )
    reached = np.ceil((thresholds - offset[:, None]) / np.abs(gain)[:, None] - REACHED)
    levels = np.arange(1, thresholds.shape[1] + 1.0)
    # a level that is always reached has no accumulator below it, one that never is has none at or above it
    at, below = np.clip(reached, low, None), np.clip(reached - 1, None, high)
    is_reached, is_missed = reached <= high, reached > low

    def room(slope: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        least = np.where(is_reached, levels - slope[:, None] * at, -np.inf).max(axis=1)
        most = np.where(is_missed, levels - slope[:, None] * below, np.inf).min(axis=1)
        return least, most

    left, right = np.zeros(len(gain)), np.full(len(gain), len(levels) + 1.0)
    for _ in range(SEARCH_STEPS):
        first, second = left + (right - left) / 3, right - (right - left) / 3
        rises = np.subtract(*room(first)) > np.subtract(*room(second))
        left, right = np.where(rises, first, left), np.where(rises, right, second)
    slope = (left + right) / 2
    least, most = room(slope)
    bad = ~(least < most)
    if bad.any():
        raise SignbitError(
            f"has thresholds that are not evenly spaced, in {int(bad.sum())} of {len(bad)} channels; quantize with one "
            "scale"
        )
    # without a level that is reached, or without one that is missed, any start beyond the other end will do
    start = np.where(np.isinf(least), most - 0.5, np.where(np.isinf(most), least + 0.5, (least + most) / 2))
    return slope * flip, start


def quant_range(bits: float, signed: int, narrow: int) -> tuple[float, float]:
    """Lowest and highest number of `bits`; a narrow range leaves out the lowest (signed) or the highest."""
    if not 1 <= bits <= BITS_MAX or bits != np.rint(bits):
        raise SignbitError(f"quantizes to {bits:g} bits; 1 to {BITS_MAX} are known")
    if signed:
        return -(2.0 ** (bits - 1)) + bool(narrow), 2.0 ** (bits - 1) - 1
    return 0.0, 2.0**bits - 1 - bool(narrow)


def _rounding(node: Node, default: str) -> Rounding:
    mode = node.attribute("rounding_mode", default).upper()
    if mode not in ROUNDINGS:
        raise SignbitError(f"rounds by {mode}, for which there is no integer form; use ROUND or FLOOR")
    return ROUNDINGS[mode]


def _is_whole_line(tensor: Tensor) -> bool:
    whole = (np.abs(np.asarray(each) - np.rint(each)).max() <= 1e-4 for each in (tensor.gain, tensor.offset))
    return tensor.stairs is None and all(whole)


OPERATORS: dict[str, Operator] = {
    "BipolarQuant": bipolar_quant,
    "ConvInteger": conv_integer,
    "DequantizeLinear": dequantize_linear,
    "IntQuant": quant,
    "MatMulInteger": matmul_integer,
    "MultiThreshold": multi_threshold,
    "QGemm": qgemm,
    "QLinearAdd": qlinear_add,
    "QLinearConv": qlinear_conv,
    "QLinearGlobalAveragePool": qlinear_global_average_pool,
    "QLinearMatMul": qlinear_matmul,
    "Quant": quant,
    "QuantizeLinear": quantize_linear,
    "Trunc": trunc,
}
