"""A model as a QONNX graph, which FINN and its like read: integer weights and thresholds, all in float32.

Weights of one bit go through BipolarQuant, ternary ones through Quant of 2 narrow bits, and activations are
MultiThreshold with the accumulator at which each level is reached.  The logits are real numbers.

Thresholds do not show the multipliers that they came from.  So the model itself is in the file's metadata, and
`exported` gives it back if the graph is still the one that it makes.
"""

import base64
import binascii

import numpy as np

from signbit.bridge.export_onnx import INPUT, OUTPUT, PRODUCER, metadata
from signbit.bridge.graph.fold import levels_at
from signbit.bridge.graph.functions import IR_VERSION, OPSET
from signbit.bridge.graph.library import ModelProto, TensorProto, helper, numpy_helper, onnx
from signbit.bridge.graph.reading import QONNX_DOMAIN
from signbit.qmodel.activations import Logits, Sign
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.file import from_bytes, to_bytes
from signbit.qmodel.layer import Layer
from signbit.qmodel.layers import AveragePool, Dense, DepthwiseConv2D, Weighted
from signbit.qmodel.merge import Add, Merge
from signbit.qmodel.model import QuantizedModel
from signbit.qmodel.value import Encoding

MODEL = "signbit.model"
ACC_MAX = 1 << 24
"""No accumulator reaches it, so that it is a threshold for never -- SPEC 3."""


def export(model: QuantizedModel) -> ModelProto:
    """The graph, with a batch of 1; raises SignbitError for what has no QONNX form."""
    return _Export(model).proto()


def exported(proto: ModelProto) -> QuantizedModel | None:
    """The model that `export` made the graph of; None for graphs that it did not make, or that were changed since."""
    text = next((each.value for each in proto.metadata_props if each.key == MODEL), None)
    if text is None:
        return None
    try:
        model = from_bytes(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        return None
    return model if export(model) == proto else None


class _Export:
    def __init__(self, model: QuantizedModel):
        if model.front_end is not None:
            raise SignbitError("QONNX has no form for a front end, which makes features from samples")
        if model.input_quantization is not None:
            raise SignbitError("QONNX has no form for a model's quantization of sensor counts; export dialect onnx")
        self.model = model
        self.nodes: list = []
        self.constants: dict[str, np.ndarray] = {}

    def proto(self) -> ModelProto:
        model = self.model
        names = [self._input()]
        for index, layer in enumerate(model.layers):
            reads = [names[source] for source in model.graph.sources[index]]
            names.append(self._layer(index, layer, reads))
        self.nodes[-1].output[0] = OUTPUT
        inputs = [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [1, *model.input_shape])]
        outputs = [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [1, model.output_size])]
        constants = [numpy_helper.from_array(array, name) for name, array in self.constants.items()]
        graph = helper.make_graph(self.nodes, model.name, inputs, outputs, constants)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(QONNX_DOMAIN, 1)]
        proto = helper.make_model(graph, opset_imports=opsets, producer_name=PRODUCER, ir_version=IR_VERSION)
        helper.set_model_props(proto, metadata(model) | {MODEL: base64.b64encode(to_bytes(model)).decode()})
        onnx.checker.check_model(proto)
        return proto

    def _input(self) -> str:
        name = INPUT
        if self.model.input_shift:
            half = self._node("Mul", name, self._constant("half", np.float32(0.5)))
            name = self._node("Floor", half)
        if len(self.model.input_shape) == 3:
            name = self._node("Transpose", name, perm=[0, 3, 1, 2])
        return name

    def _layer(self, index: int, layer: Layer, reads: list[str]) -> str:
        value = self.model.inputs_of(index)[0]
        if isinstance(layer, Merge):
            acc = self._merged(index, layer, reads, value.encoding)
            if value.encoding is Encoding.BIT:
                return acc
        elif isinstance(layer, Dense):
            x = reads[0]
            if len(value.shape) == 3:
                x = self._node("Transpose", x, perm=[0, 2, 3, 1])
            if len(value.shape) > 1:
                x = self._node("Flatten", x, axis=1)
            acc = self._node("MatMul", x, self._weights(index, layer, layer.weights.T))
        else:
            acc = self._convolved(index, layer, reads[0], value)
        return self._activated(index, layer, acc)

    def _convolved(self, index: int, layer, x: str, value) -> str:
        window = layer.window
        if isinstance(layer, AveragePool):
            ones = np.ones((layer.channels, 1, *layer.size), np.float32)
            weights = self._constant(f"layer{index}_weights", ones)
            return self._node("Conv", x, weights, strides=list(layer.size), group=layer.channels)
        is_depthwise = isinstance(layer, DepthwiseConv2D)
        kernels = layer.weights[:, None] if is_depthwise else layer.weights.transpose(0, 3, 1, 2)
        top, bottom, left, right = window.padding
        pads = [top, left, bottom, right]
        if value.outside and any(pads):
            around = self._constant(f"layer{index}_pads", np.array([0, 0, top, left, 0, 0, bottom, right], np.int64))
            x = self._node("Pad", x, around, self._constant(f"layer{index}_outside", np.float32(value.outside)))
            pads = [0] * 4
        groups = layer.channels if is_depthwise else 1
        weights = self._weights(index, layer, kernels)
        acc = self._node("Conv", x, weights, strides=list(window.stride), pads=pads, group=groups)
        if window.pool != (1, 1):
            acc = self._node("MaxPool", acc, kernel_shape=list(window.pool), strides=list(window.pool))
        return acc

    def _merged(self, index: int, layer: Merge, reads: list[str], encoding: Encoding) -> str:
        if encoding is not Encoding.BIT and set(layer.multipliers) != {1}:
            factors = [
                self._constant(f"layer{index}_multiplier{place}", np.float32(multiplier))
                for place, multiplier in enumerate(layer.multipliers)
            ]
            reads = [self._node("Mul", x, factor) for x, factor in zip(reads, factors, strict=True)]
        if not isinstance(layer, Add):
            return self._node("Concat", *reads, axis=1)
        acc = reads[0]
        for term in reads[1:]:
            acc = self._node("Add", acc, term)
        return acc

    def _activated(self, index: int, layer: Layer, acc: str) -> str:
        activation, name = layer.activation, f"layer{index}"
        is_image = len(self.model.values[index + 1].shape) == 3
        shape = (1, -1, 1, 1) if is_image else (1, -1)
        if isinstance(activation, Logits):
            unit = 2.0**-self.model.logit_shift
            multiplier, bias = ((array * unit).reshape(shape) for array in (activation.multiplier, activation.bias))
            scaled = self._node("Mul", acc, self._constant(f"{name}_multiplier", multiplier.astype(np.float32)))
            return self._node("Add", scaled, self._constant(f"{name}_bias", bias.astype(np.float32)))
        down = activation.direction < 0 if isinstance(activation, Sign) else activation.multiplier < 0
        if down.any():
            signs = np.where(down, -1, 1).astype(np.float32).reshape(shape)
            acc = self._node("Mul", acc, self._constant(f"{name}_signs", signs))
        if isinstance(activation, Sign):
            table, kind = activation.threshold.astype(np.float64)[:, None], {"out_dtype": "BIPOLAR"}
            kind |= {"out_scale": 2.0, "out_bias": -1.0}
        else:
            table, kind = levels_at(activation).T, {"out_dtype": f"UINT{activation.high.bit_length()}"}
        table = np.clip(table, -ACC_MAX, ACC_MAX).astype(np.float32)
        thresholds = self._constant(f"{name}_thresholds", table)
        layout = "NCHW" if is_image else "NC"
        return self._node("MultiThreshold", acc, thresholds, domain=QONNX_DOMAIN, data_layout=layout, **kind)

    def _weights(self, index: int, layer: Weighted, array: np.ndarray) -> str:
        """Weights after the quantizer that says how many bits they have."""
        weights = self._constant(f"layer{index}_weights", array.astype(np.float32))
        one = self._constant("one", np.float32(1))
        if not layer.ternary:
            return self._node("BipolarQuant", weights, one, domain=QONNX_DOMAIN)
        zero, two = self._constant("zero", np.float32(0)), self._constant("two", np.float32(2))
        rest = {"signed": 1, "narrow": 1, "rounding_mode": "ROUND"}
        return self._node("Quant", weights, one, zero, two, domain=QONNX_DOMAIN, **rest)

    def _constant(self, name: str, array) -> str:
        self.constants[name] = np.ascontiguousarray(array)
        return name

    def _node(self, kind: str, *inputs: str, **attributes) -> str:
        name = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name
