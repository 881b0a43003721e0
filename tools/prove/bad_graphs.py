"""Faults inside of an ONNX graph, which leave a file that can be parsed: what byte faults seldom reach."""

import numpy as np

from signbit.bridge.graph.library import DecodeError, ModelProto, numpy_helper
from signbit.bridge.importing import OPERATORS

NUMBERS = (0.0, -0.0, -1.0, 0.5, 1e-30, 1e30, np.inf, -np.inf, np.nan)
WHOLES = (0, 1, -1, 2, 7, 255, 1 << 16, 1 << 31, 1 << 62, -(1 << 62))


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """The graph with one to three faults in its nodes, attributes, tensors and shapes."""
    model = ModelProto()
    try:
        model.ParseFromString(content)
    except DecodeError:
        return content
    for _ in range(rng.integers(1, 4)):
        FAULTS[rng.integers(len(FAULTS))](model, rng)
    return model.SerializeToString()


def _pick(rng, items):
    return items[rng.integers(len(items))] if len(items) else None


def _kind(model, rng):
    node = _pick(rng, model.graph.node)
    node.op_type = _pick(rng, sorted(OPERATORS))
    if rng.random() < 0.5:
        node.domain = ""


def _input(model, rng):
    """Another name, one of any other tensor, or none."""
    node = _pick(rng, model.graph.node)
    names = ["", "nowhere", *(each.name for each in model.graph.initializer), *(n.output[0] for n in model.graph.node)]
    if node.input:
        node.input[rng.integers(len(node.input))] = _pick(rng, names)


def _inputs(model, rng):
    node = _pick(rng, model.graph.node)
    if rng.random() < 0.5 and node.input:
        del node.input[-1]
    else:
        node.input.append(_pick(rng, [each.name for each in model.graph.initializer] or [""]))


def _attribute(model, rng):
    nodes = [node for node in model.graph.node if node.attribute]
    if not nodes:
        return
    node = _pick(rng, nodes)
    attribute = _pick(rng, node.attribute)
    match rng.integers(5):
        case 0:
            attribute.i = _pick(rng, WHOLES)
        case 1 if attribute.ints:
            attribute.ints[rng.integers(len(attribute.ints))] = _pick(rng, WHOLES)
        case 2:
            attribute.ints.append(_pick(rng, WHOLES))
        case 3:
            attribute.type = int(rng.integers(0, 15))
        case _:
            node.attribute.remove(attribute)


def _values(model, rng):
    """Numbers of a tensor, or its shape or type."""
    tensor = _pick(rng, model.graph.initializer)
    if tensor is None:
        return
    try:
        array = numpy_helper.to_array(tensor).copy()
    except (ValueError, TypeError):
        return
    match rng.integers(4):
        case 0 if array.size and array.dtype.kind == "f":
            array.reshape(-1)[rng.integers(array.size)] = _pick(rng, NUMBERS)
        case 1 if array.size and array.dtype.kind in "iu":
            info = np.iinfo(array.dtype)
            array.reshape(-1)[rng.integers(array.size)] = min(max(_pick(rng, WHOLES), info.min), info.max)
        case 2:
            array = array.reshape(-1)[: rng.integers(array.size + 1)]
        case _:
            array = array.astype(_pick(rng, ["float32", "float64", "int8", "int64", "bool", "float16", "complex64"]))
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def _shape(model, rng):
    kind = model.graph.input[0].type.tensor_type
    match rng.integers(3):
        case 0 if kind.shape.dim:
            kind.shape.dim[rng.integers(len(kind.shape.dim))].dim_value = _pick(rng, WHOLES)
        case 1:
            kind.shape.dim.add().dim_value = 1
        case _:
            kind.elem_type = int(rng.integers(0, 20))


def _node(model, rng):
    """One node less, or one twice."""
    place = rng.integers(len(model.graph.node))
    if rng.random() < 0.5 and len(model.graph.node) > 1:
        del model.graph.node[place]
    else:
        copy = model.graph.node.add()
        copy.CopyFrom(model.graph.node[place])


def _opset(model, rng):
    if model.opset_import:
        _pick(rng, model.opset_import).version = int(rng.integers(0, 40))


FAULTS = (
    _kind,
    _kind,
    _input,
    _input,
    _inputs,
    _attribute,
    _attribute,
    _values,
    _values,
    _values,
    _shape,
    _node,
    _opset,
)
