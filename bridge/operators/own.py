"""Layers of models that `export_onnx` wrote: read back as they were."""

import json
from dataclasses import replace

import numpy as np

from signbit.bridge.graph.builder import Builder
from signbit.bridge.graph.functions import INPUTS, NAME, PARAMETERS, function
from signbit.bridge.graph.library import ModelProto
from signbit.bridge.graph.node import Node, Operator
from signbit.bridge.graph.reading import OWN_DOMAIN
from signbit.bridge.graph.source import Slot
from signbit.bridge.graph.tensor import Tensor
from signbit.qmodel.activations import Activation, Logits, Requantize, Sign
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.input_quantization import (
    PIECES_MAX,
    THRESHOLDS_MAX,
    Affine,
    InputQuantization,
    Pieces,
    Thermometer,
)
from signbit.qmodel.integer import MARGIN_MAX
from signbit.qmodel.layer import NEURONS_MAX, Layer
from signbit.qmodel.layers import AveragePool, Conv2D, Dense, DepthwiseConv2D
from signbit.qmodel.merge import Add, Concatenate, Merge
from signbit.qmodel.model import LOGIT_SHIFT_MAX, checked_output
from signbit.qmodel.reject import Reject
from signbit.qmodel.value import Encoding, size_of
from signbit.qmodel.window import Window

ACTIVATIONS = {"Requantize": Requantize, "Sign": Sign, "Logits": Logits}
MERGES = {"Add": Add, "Concatenate": Concatenate, "ConcatenateBits": Concatenate}


def operator(node: Node, proto: ModelProto) -> Operator:
    """What reads a layer back, if the file's function of its name is the one that this signbit writes."""
    found = [each for each in proto.functions if each.domain == OWN_DOMAIN and each.name == node.kind]
    wanted = function(node.kind)
    if wanted is None or len(found) != 1 or found[0] != wanted:
        raise SignbitError("is a layer of another version of signbit; export the model again")
    return _quantized_input if node.kind in INPUTS else _layer


def labels(proto: ModelProto) -> tuple[str, ...] | None:
    """The class labels of an exported model."""
    found = _list(proto, "labels", str)
    return None if found is None else tuple(found)


def reject(proto: ModelProto) -> Reject | None:
    """Which inputs an exported model refuses."""
    found = _list(proto, "margins", int)
    if found is None:
        return None
    if not all(0 <= margin <= MARGIN_MAX for margin in found):
        raise SignbitError("the margins in its metadata (signbit.margins) do not fit into 32 bits; export it again")
    return Reject(np.array(found, np.uint32))


def _list(proto: ModelProto, name: str, kind: type) -> list | None:
    text = _property(proto, name)
    if text is None:
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, list) or any(type(each) is not kind for each in found):
        raise SignbitError(f"signbit.{name} in its metadata is no list of {kind.__name__}; export it again")
    return found


def logit_shift(proto: ModelProto) -> int:
    text = _property(proto, "logit_shift") or ""
    if not text.isascii() or not text.isdigit() or len(text) > 2 or int(text) > LOGIT_SHIFT_MAX:
        raise SignbitError("its metadata do not say what a logit is worth (signbit.logit_shift); export it again")
    return int(text)


def _property(proto: ModelProto, name: str) -> str | None:
    return next((each.value for each in proto.metadata_props if each.key == f"signbit.{name}"), None)


def _layer(node: Node, builder: Builder) -> Tensor:
    match = NAME.fullmatch(node.kind)
    count = int(match["count"]) if match["count"] else 1
    reads = tuple(_read(node.tensor(index), builder) for index in range(count))
    inputs = builder.counted_back(reads)
    if match["merge"]:
        layer = _merge(node, MERGES[match["merge"]], inputs, match["merge"] == "ConcatenateBits")
    elif match["kind"]:
        layer = _weighted(node, match["kind"], match["activation"], inputs)
    else:
        size, channels = _pair(node, "size"), node.attribute("channels", 0)
        layer = AveragePool(size, channels, node.attribute("high", 0), inputs)
        _check(layer.size == tuple(node.constant(1).shape[2:]) and 1 <= channels <= NEURONS_MAX)
        _check(node.attribute("multiplier", 0) == int(layer.activation.multiplier[0]) and (node.constant(1) == 1).all())
        _check(node.attribute("shift", 0) == layer.SHIFT)
    values = [builder.input.value, *(each.output for each in builder.built)]
    checked_output(layer, values)
    slot = builder.emit(layer, reads)
    order = np.arange(size_of(slot.value.shape), dtype=np.int32).reshape(1, *slot.value.shape)
    return Tensor(slot, order, np.float64(1), np.float64(0))


def _quantized_input(node: Node, builder: Builder) -> Tensor:
    """The input from here on is what the quantization of sensor counts makes of it."""
    x, names = node.tensor(), INPUTS[node.kind]
    _check(x.source is builder.input and builder.takes_counts and builder.input_quantization is None)
    _check(len(node.inputs) == 1 + len(names))
    builder.input_quantization = quantization = _quantization(node, {name: i + 1 for i, name in enumerate(names)})
    quantization.check()
    _check(quantization.channels == x.shape[-1])
    value = quantization.value(x.shape[1:])
    builder.input.value, builder.input.places = value, np.arange(value.size, dtype=np.int32)
    return replace(x, order=builder.input.places.reshape(1, *value.shape))


def _quantization(node: Node, places: dict[str, int]) -> InputQuantization:
    def array(name: str, dtype: str, wide: str = "int32") -> np.ndarray:
        found = _array(node, places[name], wide)
        _check((found.astype(dtype) == found).all())
        return found.astype(dtype)

    if node.kind == "AffineInput":
        return Affine(array("multiplier", "int16"), array("bias", "int32"), node.attribute("shift", 0))
    if node.kind == "PiecesInput":
        made = Pieces(array("knots", "int16"))
        _check(made.knots.ndim == 2 and 1 <= made.pieces <= PIECES_MAX and node.attribute("shift", 0) == Pieces.SHIFT)
        _check(np.array_equal(array("slopes", "int32"), made.slopes))
        _check(np.array_equal(array("levels", "int32"), made.levels[:-1]))
        return made
    channels = _array(node, places["channels"], "int64")
    count = node.tensor().shape[-1]
    _check(channels.ndim == 1 and channels.size > 0 and (np.diff(channels) >= 0).all())
    _check(channels[0] >= 0 and channels[-1] < count)
    counts = np.bincount(channels, minlength=count)
    _check(counts.max() <= THRESHOLDS_MAX)
    return Thermometer(array("thresholds", "int16"), counts.astype(np.uint8))


def _read(tensor: Tensor, builder: Builder) -> Slot:
    """The slot of a tensor that is its value, number by number."""
    is_plain = isinstance(tensor.source, Slot) and tensor.stairs is None and tensor.padding is None
    is_plain = is_plain and np.all(tensor.gain == 1) and np.all(tensor.offset == 0)
    if is_plain and tensor.source is builder.input and builder.input.places is None:
        builder.input.read(tensor.shape[1:], tensor.order.ravel())
    if not is_plain or (tensor.source.order_of(tensor.order).ravel() != np.arange(tensor.order.size)).any():
        raise SignbitError("reads something between layers that this signbit did not write")
    return tensor.source


def _merge(node: Node, kind: type[Merge], inputs: tuple[int, ...], is_bits: bool) -> Merge:
    if is_bits:
        return kind(inputs, 1, (1,) * len(inputs), 0)
    multipliers = tuple(node.attribute("multipliers", []))
    _check(all(isinstance(each, int) for each in multipliers))
    return kind(inputs, node.attribute("high", 0), multipliers, node.attribute("shift", 0))


def _weighted(node: Node, kind: str, activation: str, inputs: tuple[int, ...]) -> Layer:
    names = PARAMETERS[activation]
    weights = _array(node, 1, "int8")
    made = _activation(node, activation, [_array(node, len(node.inputs) - 2 + place, "int32") for place in range(2)])
    if kind == "Dense":
        _check(len(node.inputs) == 2 + len(names))
        return Dense(weights, made, inputs)
    _check(len(node.inputs) == 4 + len(names) and weights.ndim == 4)
    pads = node.whole_numbers(2)
    _check(len(pads) == 8 and not any(pads[axis] for axis in (0, 1, 4, 5)) and min(pads) >= 0)
    outside = -1 if node.tensor().source.value.encoding is Encoding.BIT else 0
    _check(node.number(3) == outside)
    window = Window(_pair(node, "strides"), (pads[2], pads[6], pads[3], pads[7]), _pair(node, "pool"))
    if kind == "DepthwiseConv2D":
        _check(weights.shape[1] == 1 and node.attribute("channels", 0) == len(weights))
        return DepthwiseConv2D(weights[:, 0].copy(), made, window, inputs)
    return Conv2D(weights.transpose(0, 2, 3, 1).copy(), made, window, inputs)


def _activation(node: Node, kind: str, arrays: list[np.ndarray]) -> Activation:
    made = ACTIVATIONS[kind]
    fields = {}
    for name, array in zip(PARAMETERS[kind], arrays, strict=True):
        fields[name] = array.astype(made.dtypes[name])
        _check((fields[name] == array).all())
    if made is Requantize:
        fields |= {"shift": node.attribute("shift", 0), "high": node.attribute("high", 0)}
    return made(**fields)


def _array(node: Node, index: int, dtype: str) -> np.ndarray:
    found = node.inputs[index] if 0 < index < len(node.inputs) else None
    _check(isinstance(found, np.ndarray) and found.dtype == dtype)
    return found


def _pair(node: Node, name: str) -> tuple[int, int]:
    found = node.attribute(name, [])
    _check(len(found) == 2 and all(isinstance(each, int) and each >= 1 for each in found))
    return tuple(found)


def _check(is_right: bool) -> None:
    if not is_right:
        raise SignbitError("does not hold what a layer of its kind must; export the model again")
