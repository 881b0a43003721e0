"""Arithmetic, clamps, roundings and comparisons: they change the line or the stairs of a tensor."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from signbit.bridge.graph.builder import Builder
from signbit.bridge.graph.library import TensorProto
from signbit.bridge.graph.node import Node, Operator
from signbit.bridge.graph.stairs import Rounding, Step
from signbit.bridge.graph.tensor import Difference, Tensor, Unmappable, made_of
from signbit.bridge.operators.merges import add_tensors
from signbit.qmodel.errors import SignbitError

NO_DIFFERENCE = "reads one activation minus another, for which there is no integer layer"
BYTES = frozenset({TensorProto.UINT8, TensorProto.INT8})
WHOLE = BYTES | {TensorProto.INT16, TensorProto.UINT16, TensorProto.INT32, TensorProto.UINT32, TensorProto.INT64}


def add(node: Node, builder: Builder) -> Tensor | Unmappable:
    for each, other in (node.inputs, node.inputs[::-1]):
        if isinstance(other, Difference) and each is other.right:
            return other.left
    if (found := made_of(node.inputs)) is not None:
        return found
    if any(isinstance(each, Difference) for each in node.inputs):
        raise SignbitError(NO_DIFFERENCE)
    if all(isinstance(each, Tensor) for each in node.inputs):
        return _joined(node, np.add) or add_tensors(node, builder)
    tensor, other = _sides(node)
    return tensor.affine(1.0, other)


def subtract(node: Node, builder: Builder) -> Tensor | Difference | Unmappable:
    if not any(isinstance(each, np.ndarray) for each in node.inputs):
        return _joined(node, np.subtract) or Difference(*node.inputs)
    if (found := made_of(node.inputs)) is not None:
        return found
    tensor, other = _sides(node)
    return tensor.affine(-1.0, other) if isinstance(node.inputs[1], Tensor) else tensor.affine(1.0, -other)


def multiply(node: Node, builder: Builder) -> Tensor:
    if (found := _joined(node, np.multiply)) is not None:
        return found
    tensor, other = _sides(node)
    return tensor.affine(other, 0.0)


def maximum(node: Node, builder: Builder) -> Tensor:
    if (found := _joined(node, np.maximum)) is not None:
        return found
    tensor, others = _bounds(node)
    return tensor.clamp(np.maximum.reduce(others), np.inf)


def minimum(node: Node, builder: Builder) -> Tensor:
    if (found := _joined(node, np.minimum)) is not None:
        return found
    tensor, others = _bounds(node)
    return tensor.clamp(-np.inf, np.minimum.reduce(others))


def divide(node: Node, builder: Builder) -> Tensor:
    tensor, other = _sides(node)
    if isinstance(node.inputs[1], Tensor):
        raise SignbitError("divides by an activation, for which there is no integer layer")
    if tensor.elem_type in WHOLE:
        raise SignbitError("divides whole numbers and cuts the rest off; divide real numbers and use Floor")
    if not other.all():
        raise SignbitError("divides by 0")
    return tensor.affine(1 / other, 0.0)


def negate(node: Node, builder: Builder) -> Tensor:
    return node.tensor().affine(-1.0, 0.0)


def batch_normalization(node: Node, builder: Builder) -> Tensor:
    """scale * (x - mean) / sqrt(variance + epsilon) + bias, channel by channel."""
    scale, bias, mean, variance = (node.constant(index) for index in range(1, 5))
    if node.attribute("training_mode", 0):
        raise SignbitError("normalizes by the batch's own mean; export the network in evaluation mode (model.eval())")
    tensor = node.tensor()
    if any(array.shape != (tensor.shape[1],) for array in (scale, bias, mean, variance)):
        raise SignbitError("does not have one number for each channel")
    width = np.sqrt(variance + node.attribute("epsilon", 1e-5))
    if not (width > 0).all():
        raise SignbitError("has a variance that is not above 0")
    factor, shape = scale / width, (1, -1, *[1] * (len(tensor.shape) - 2))
    return tensor.affine(factor.reshape(shape), (bias - mean * factor).reshape(shape))


def relu(node: Node, builder: Builder) -> Tensor:
    return node.tensor().clamp(0.0, np.inf)


def clip(node: Node, builder: Builder) -> Tensor:
    low, high = (node.constant(index, default) for index, default in ((1, -np.inf), (2, np.inf)))
    if (low >= high).any():
        raise SignbitError(f"leaves one value only, {np.max(high):g}")
    return node.tensor().clamp(low, high)


def floor(node: Node, builder: Builder) -> Tensor:
    return node.tensor().rounded(Rounding.FLOOR)


def round_nearest(node: Node, builder: Builder) -> Tensor:
    return node.tensor().rounded(Rounding.NEAREST)


def sign(node: Node, builder: Builder) -> Tensor:
    return node.tensor().compared(lambda real, threshold: np.sign(real - threshold), 0.0)


def absolute(node: Node, builder: Builder) -> Tensor:
    tensor = node.tensor()
    if not isinstance(tensor.stairs, Step):
        raise SignbitError("there is no integer form of Abs of real numbers; clamp them instead")
    return replace(tensor, stairs=tensor.stairs.each(np.abs))


def cast(node: Node, builder: Builder) -> Tensor:
    """Nothing, unless real numbers become whole ones: those are cut, which is down where none is negative."""
    tensor, wanted = node.tensor(), node.attribute("to", 0)
    if wanted == TensorProto.BOOL != tensor.elem_type:
        tensor = tensor.compared(np.not_equal, 0.0)
    elif wanted in WHOLE and tensor.elem_type not in WHOLE | {TensorProto.BOOL}:
        tensor = _cut(tensor)
    return replace(tensor, elem_type=wanted)


def _cut(tensor: Tensor) -> Tensor:
    """Rounded towards 0."""
    if isinstance(tensor.stairs, Step):
        return replace(tensor, stairs=tensor.stairs.each(np.trunc))
    if tensor.is_linear and (tensor.stairs is None or np.min(tensor.stairs.low) < 0):
        raise SignbitError("cuts real numbers to whole ones; clamp them to 0 and above first, or use Floor")
    return tensor.rounded(Rounding.FLOOR)


def same(node: Node, builder: Builder) -> Tensor:
    return node.tensor()


def invert(node: Node, builder: Builder) -> Tensor:
    return node.tensor().affine(-1.0, 1.0)


def where(node: Node, builder: Builder) -> Tensor:
    """A condition that becomes one of two constants, or of two other steps of the same number."""
    condition, answers = node.tensor(), node.inputs[1:]
    constants = {index: condition.constant(node.constant(index)) for index in (1, 2) if not _is_tensor(node, index)}

    def chosen(test, *numbers):
        rest = iter(numbers)
        return np.where(test != 0, *(constants[index] if index in constants else next(rest) for index in (1, 2)))

    found = condition.joined(chosen, *(each for each in answers if isinstance(each, Tensor)))
    if found is None:
        raise SignbitError("chooses between activations; only constants such as 1 and -1 have an integer form")
    return replace(found, elem_type=TensorProto.FLOAT)


def bit_shift(node: Node, builder: Builder) -> Tensor:
    """The input's bytes, shifted right by 1."""
    tensor = node.tensor()
    is_bytes = tensor.source is builder.input and tensor.gain == 1 and tensor.offset == 0 and tensor.stairs is None
    if not is_bytes or node.attribute("direction", "") != "RIGHT" or node.number(1) != 1:
        raise SignbitError("shifts other than the input's bytes, right by 1")
    return builder.shifted(tensor)


def comparison(function: Callable) -> Operator:
    """The operator that gives function(a, b), such as np.greater."""

    def compared(node: Node, builder: Builder) -> Tensor:
        found = _joined(node, lambda *numbers: 1.0 * function(*numbers))
        if found is None:
            if all(isinstance(each, Tensor) for each in node.inputs):
                raise SignbitError("compares two activations, for which there is no integer layer")
            tensor, other = _sides(node)
            is_first = _is_tensor(node, 0)
            found = tensor.compared(function if is_first else lambda real, threshold: function(threshold, real), other)
        return replace(found, elem_type=TensorProto.BOOL)

    return compared


def _is_tensor(node: Node, index: int) -> bool:
    return index < len(node.inputs) and isinstance(node.inputs[index], Tensor)


def _joined(node: Node, function: Callable) -> Tensor | None:
    """function of both inputs, where they are steps of the same number."""
    is_pair = len(node.inputs) == 2 and _is_tensor(node, 0) and _is_tensor(node, 1)
    return node.inputs[0].joined(function, node.inputs[1]) if is_pair else None


def _bounds(node: Node) -> tuple[Tensor, list[np.ndarray]]:
    """The activation, and the constants that it is compared with."""
    tensors = [index for index in range(len(node.inputs)) if _is_tensor(node, index)]
    if len(tensors) != 1 or len(node.inputs) < 2:
        raise SignbitError("takes the larger or smaller of two activations; only of one and of constants")
    return node.tensor(tensors[0]), [node.constant(index) for index in range(len(node.inputs)) if index != tensors[0]]


def _sides(node: Node) -> tuple[Tensor, np.ndarray]:
    """The activation and the constant, whichever comes first."""
    tensors = [index for index, each in enumerate(node.inputs) if isinstance(each, Tensor)]
    if len(tensors) != 1 or len(node.inputs) != 2:
        raise SignbitError("multiplies one activation by another, for which there is no integer layer")
    tensor = node.inputs[tensors[0]]
    if tensor.elem_type in BYTES:
        raise SignbitError("computes with 8-bit numbers, which wrap around; cast them to float first")
    other = node.constant(1 - tensors[0])
    if np.isinf(other).any():
        raise SignbitError("has an infinite constant")
    return tensor, other


OPERATORS: dict[str, Operator] = {
    "Abs": absolute,
    "Add": add,
    "And": multiply,
    "BatchNormalization": batch_normalization,
    "BitShift": bit_shift,
    "Cast": cast,
    "Clip": clip,
    "Div": divide,
    "Dropout": same,
    "Equal": comparison(np.equal),
    "Floor": floor,
    "Greater": comparison(np.greater),
    "GreaterOrEqual": comparison(np.greater_equal),
    "Less": comparison(np.less),
    "LessOrEqual": comparison(np.less_equal),
    "Max": maximum,
    "Min": minimum,
    "Mul": multiply,
    "Neg": negate,
    "Not": invert,
    "Or": maximum,
    "Relu": relu,
    "Round": round_nearest,
    "Sign": sign,
    "Sub": subtract,
    "Where": where,
}
