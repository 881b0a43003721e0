"""Nodes that depend on constants only: computed once, by onnx's reference, within bounds."""

import math
from collections.abc import Callable

import numpy as np

from signbit.bridge.graph.library import OpRun, ReferenceEvaluator, TensorProto, helper
from signbit.bridge.graph.node import Node
from signbit.bridge.graph.reading import QONNX_DOMAIN
from signbit.bridge.operators.quantizers import quant_range
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.untrusted import shown

ELEMENTS_MAX = 1 << 24
"""The largest constant."""


def _broadcast(arrays: list[np.ndarray]) -> int:
    return math.prod(np.broadcast_shapes(*(array.shape for array in arrays)))


def _same(arrays: list[np.ndarray]) -> int:
    return sum(array.size for array in arrays)


def _wanted(arrays: list[np.ndarray]) -> int:
    """Operators that are told a shape by their last input."""
    return math.prod(max(int(side), 1) for side in arrays[-1].reshape(-1)) * max(arrays[0].size, 1)


def _gathered(arrays: list[np.ndarray]) -> int:
    return arrays[0].size * max(arrays[1].size, 1)


def _counted(arrays: list[np.ndarray]) -> int:
    start, stop, step = (float(array.reshape(())) for array in arrays)
    return math.ceil(abs((stop - start) / step)) if step else ELEMENTS_MAX + 1


ELEMENTWISE = (
    "Abs Add Ceil Clip Div Equal Exp Floor Greater GreaterOrEqual Less LessOrEqual Max Min Mul Neg Not Pow Reciprocal "
    "Relu Round Sign Sqrt Sub Tanh Where Quant IntQuant BipolarQuant HardTanh"
)
SHAPING = (
    "Cast Concat Constant Flatten Identity ReduceMax ReduceMean ReduceSum ReduceMin Reshape Shape Slice Squeeze "
    "Transpose Unsqueeze DequantizeLinear QuantizeLinear"
)
SIZES: dict[str, Callable[[list[np.ndarray]], int]] = {
    **dict.fromkeys(ELEMENTWISE.split(), _broadcast),
    **dict.fromkeys(SHAPING.split(), _same),
    **dict.fromkeys(("ConstantOfShape", "Expand"), _wanted),
    "Gather": _gathered,
    "Range": _counted,
}
"""Operators that are computed, and an upper bound of the numbers that they give."""


class Quant(OpRun):
    """QONNX: (clamp(round(x / scale + zero), low, high) - zero) * scale."""

    op_domain = QONNX_DOMAIN

    def _run(self, x, scale, zero, bits, signed=1, narrow=0, rounding_mode="ROUND"):
        low, high = quant_range(float(np.max(bits)), signed, narrow)
        rounded = {"ROUND": np.rint, "FLOOR": np.floor}[rounding_mode](np.clip(x / scale + zero, low, high))
        return (((rounded - zero) * scale).astype(np.float32),)


class IntQuant(Quant):
    """The newer name."""


class BipolarQuant(OpRun):
    """QONNX: scale * sign(x), with sign(0) = +1."""

    op_domain = QONNX_DOMAIN

    def _run(self, x, scale):
        return ((np.where(x >= 0, 1, -1) * scale).astype(np.float32),)


class MultiThreshold(OpRun):
    """QONNX: out_scale * (number of thresholds that x is at least) + out_bias, channel by channel."""

    op_domain = QONNX_DOMAIN

    def _run(self, x, thresholds, out_dtype="", out_scale=1.0, out_bias=0.0, data_layout="NCHW"):
        levels = np.zeros(x.shape, np.float32)
        for column in thresholds.T:
            levels += x >= column.reshape(1, -1, *[1] * (x.ndim - 2))
        return (np.float32(out_scale) * levels + np.float32(out_bias),)


class Trunc(OpRun):
    """QONNX: the lowest bits of x / scale + zero cut off."""

    op_domain = QONNX_DOMAIN

    def _run(self, x, scale, zero, bits_in, bits_out, rounding_mode="FLOOR"):
        cut = np.rint(x / scale + zero) / 2.0 ** (float(bits_in) - float(bits_out))
        rounded = {"ROUND": np.rint, "FLOOR": np.floor}[rounding_mode](cut)
        return (((rounded - zero) * scale).astype(np.float32),)


QONNX_OPERATORS = [Quant, IntQuant, BipolarQuant, MultiThreshold, Trunc]


def computed(node: Node) -> np.ndarray:
    """The first output of a node whose inputs are all constants."""
    arrays = [each for each in node.inputs if each is not None]
    if node.kind not in SIZES:
        raise SignbitError(f"computes constants by {shown(node.kind)}; fold them before the export")
    if node.kind == "Constant" and set(node.attributes) & {"sparse_value", "value_strings", "value_string"}:
        raise SignbitError("holds text or a sparse tensor")
    if SIZES[node.kind](arrays or [np.zeros(0)]) > ELEMENTS_MAX:
        raise SignbitError(f"gives a constant of more than {ELEMENTS_MAX:,} numbers")
    names = [f"i{index}" if each is not None else "" for index, each in enumerate(node.inputs)]
    given = {name: each for name, each in zip(names, node.inputs, strict=True) if name}
    domain = QONNX_DOMAIN if node.domain else ""
    proto = helper.make_node(node.kind, names, ["o"], domain=domain, **node.attributes)
    types = {name: helper.np_dtype_to_tensor_dtype(array.dtype) for name, array in given.items()}
    graph = helper.make_graph(
        [proto],
        "constant",
        [helper.make_tensor_value_info(name, types[name], given[name].shape) for name in given],
        [helper.make_tensor_value_info("o", TensorProto.UNDEFINED, None)],
    )
    opsets = [helper.make_opsetid("", node.opset), helper.make_opsetid(QONNX_DOMAIN, 1)]
    with np.errstate(all="ignore"):
        try:
            model = helper.make_model(graph, opset_imports=opsets)
            (result,) = ReferenceEvaluator(model, new_ops=QONNX_OPERATORS).run(None, given)
        except Exception as error:
            # whatever onnx's reference raises for constants that do not fit together
            raise SignbitError(f"can't be computed: {shown(' '.join(str(error).split()))}") from None
    return np.asarray(result)
