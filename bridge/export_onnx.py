"""A model as an ONNX graph of standard operators, which gives the same integers in every runtime.

One node per layer, each a function that the file brings along (`functions`).  The input is what a caller passes,
uint8 (N, *input_shape) or int16 counts of a sensor, and the output the logits, int32 (N, classes).
"""

import json

import numpy as np

from signbit.bridge.graph.functions import INPUTS, IR_VERSION, OPSET, OWN_DOMAIN, PARAMETERS, function
from signbit.bridge.graph.library import ModelProto, TensorProto, helper, numpy_helper, onnx
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.input_quantization import Affine, InputQuantization, Pieces
from signbit.qmodel.layer import Layer
from signbit.qmodel.layers import AveragePool, Dense, DepthwiseConv2D
from signbit.qmodel.merge import Merge
from signbit.qmodel.model import QuantizedModel
from signbit.qmodel.value import Encoding, Value

PRODUCER = "signbit"
INPUT, OUTPUT = "input", "logits"


def export(model: QuantizedModel) -> ModelProto:
    """The graph; raises SignbitError for what has no ONNX form."""
    if model.front_end is not None:
        raise SignbitError("ONNX has no form for a front end, which makes features from samples")
    nodes, constants, names = [], [], [INPUT]

    def constant(name: str, array: np.ndarray) -> str:
        constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    if model.input_quantization is not None:
        kind, arrays, attributes = _quantization(model.input_quantization)
        inputs = [constant(f"input_{key}", array) for key, array in arrays.items()]
        names[0] = "quantized"
        nodes.append(
            helper.make_node(kind, [INPUT, *inputs], names, name="input_quantization", domain=OWN_DOMAIN, **attributes)
        )
    if model.input_shift:
        one = constant("one", np.array(1, np.uint8))
        inputs, names[0] = [names[0], one], "shifted"
        nodes.append(helper.make_node("BitShift", inputs, names, name="input_shift", direction="RIGHT"))
    for index, layer in enumerate(model.layers):
        name = f"layer{index}"
        output = OUTPUT if index == len(model.layers) - 1 else f"{name}_output"
        arrays, attributes = _inputs(layer, model.inputs_of(index)[0])
        inputs = [constant(f"{name}_{key}", array) for key, array in arrays.items()]
        reads = [names[source] for source in model.graph.sources[index]]
        kind = _function_name(layer, model.inputs_of(index))
        nodes.append(helper.make_node(kind, [*reads, *inputs], [output], name=name, domain=OWN_DOMAIN, **attributes))
        names.append(output)
    return _proto(model, nodes, constants)


def metadata(model: QuantizedModel) -> dict[str, str]:
    """What the graph does not show; the margins are those of a model that refuses inputs -- SPEC 12."""
    margins = {} if model.reject is None else {"signbit.margins": json.dumps(model.reject.margins.tolist())}
    return {
        "signbit.hash": model.hash,
        "signbit.logit_shift": str(model.logit_shift),
        "signbit.labels": json.dumps(list(model.labels)),
        **margins,
    }


def _proto(model: QuantizedModel, nodes: list, constants: list) -> ModelProto:
    outputs = [helper.make_tensor_value_info(OUTPUT, TensorProto.INT32, ["N", model.output_size])]
    takes_bytes = model.input_quantization is None
    kind, shape = (TensorProto.UINT8, model.input_shape) if takes_bytes else (TensorProto.INT16, model.counts_shape)
    inputs = [helper.make_tensor_value_info(INPUT, kind, ["N", *shape])]
    graph = helper.make_graph(nodes, model.name, inputs, outputs, constants)
    kinds = sorted({node.op_type for node in nodes if node.domain == OWN_DOMAIN})
    proto = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid(OWN_DOMAIN, 1)],
        functions=[function(kind) for kind in kinds],
        producer_name=PRODUCER,
        ir_version=IR_VERSION,
    )
    helper.set_model_props(proto, metadata(model))
    onnx.checker.check_model(proto)
    return proto


def _quantization(quantization: InputQuantization) -> tuple[str, dict[str, np.ndarray], dict]:
    """Its function, the constants in the order of the function's inputs, and the attributes."""
    kind = f"{type(quantization).__name__}Input"
    if isinstance(quantization, Affine):
        return (
            kind,
            {name: getattr(quantization, name).astype(np.int32) for name in INPUTS[kind]},
            {"shift": quantization.shift},
        )
    if isinstance(quantization, Pieces):
        arrays = {name: getattr(quantization, name).astype(np.int32) for name in INPUTS[kind]}
        return kind, arrays | {"levels": arrays["levels"][:-1]}, {"shift": Pieces.SHIFT}
    channels = np.repeat(np.arange(quantization.channels), quantization.counts)
    return kind, {"thresholds": quantization.thresholds.astype(np.int32), "channels": channels}, {}


def _function_name(layer: Layer, values: tuple[Value, ...]) -> str:
    kind = type(layer).__name__
    if isinstance(layer, Merge):
        bits = "Bits" if values[0].encoding is Encoding.BIT else ""
        return f"{kind}{bits}{len(values)}"
    return kind + type(layer.activation).__name__


def _inputs(layer: Layer, value: Value) -> tuple[dict[str, np.ndarray], dict]:
    """A layer's constants in the order of its function's inputs, and its attributes."""
    if isinstance(layer, AveragePool):
        activation = layer.activation
        scale = {"multiplier": int(activation.multiplier[0]), "shift": activation.shift, "high": layer.high}
        ones = np.ones((layer.channels, 1, *layer.size), np.int8)
        return {"weights": ones}, {"size": list(layer.size), "channels": layer.channels, **scale}
    if isinstance(layer, Merge):
        if value.encoding is Encoding.BIT:
            return {}, {}
        return {}, {"multipliers": list(layer.multipliers), "shift": layer.shift, "high": layer.high}
    activation = layer.activation
    names = PARAMETERS[type(activation).__name__]
    parameters = {name: getattr(activation, name).astype(np.int32) for name in names}
    attributes = {name: getattr(activation, name) for name in ("shift", "high") if hasattr(activation, name)}
    if isinstance(layer, Dense):
        return {"weights": layer.weights, **parameters}, attributes
    is_depthwise = isinstance(layer, DepthwiseConv2D)
    weights = layer.weights[:, None] if is_depthwise else layer.weights.transpose(0, 3, 1, 2)
    top, bottom, left, right = layer.window.padding
    pads = np.array([0, 0, top, left, 0, 0, bottom, right], np.int64)
    arrays = {"weights": weights, "pads": pads, "outside": np.array(value.outside, np.float32), **parameters}
    window = {"strides": list(layer.window.stride), "pool": list(layer.window.pool)}
    channels = {"channels": layer.channels} if is_depthwise else {}
    return arrays, {**window, **channels, **attributes}
