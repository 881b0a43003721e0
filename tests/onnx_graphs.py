"""Small ONNX graphs for tests, written as lists of nodes."""

import numpy as np

from signbit.bridge.graph.library import TensorProto, helper, numpy_helper
from signbit.bridge.graph.reading import QONNX_DOMAIN
from signbit.bridge.graph.reading import checked as checked_graph
from signbit.bridge.importing import Options, import_model

QONNX = ("Quant", "IntQuant", "BipolarQuant", "MultiThreshold", "Trunc")
MICROSOFT = ("QGemm", "QLinearAdd", "QLinearGlobalAveragePool")


def signs(*shape, seed=0):
    """Weights of +1 and -1."""
    return np.where(np.random.default_rng(seed).random(shape) < 0.5, -1, 1).astype(np.float32)


def ramp(count, low, high):
    """One number per channel, for the constant of a tensor (1, count, h, w) or (1, count)."""
    return np.linspace(low, high, count, dtype=np.float32)


class Graph:
    """`graph("Relu", "x")` appends a node and returns its output's name; arrays among the inputs become constants."""

    def __init__(self, *shape, elem_type=TensorProto.FLOAT, opset=17):
        self.shape, self.elem_type, self.opset = shape, elem_type, opset
        self.nodes, self.constants = [], []

    def __call__(self, kind, *inputs, **attributes):
        names = [self.constant(each) if not isinstance(each, str) else each for each in inputs]
        output = f"t{len(self.nodes)}"
        domain = QONNX_DOMAIN if kind in QONNX else "com.microsoft" if kind in MICROSOFT else ""
        node = helper.make_node(kind, names, [output], name=f"{kind}{len(self.nodes)}", domain=domain, **attributes)
        self.nodes.append(node)
        return output

    def constant(self, array):
        name = f"c{len(self.constants)}"
        array = np.asarray(array)
        array = array.astype(np.float32) if array.dtype == np.float64 else array
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def dense(self, x, outputs=3, fan_in=None, seed=9):
        return self("MatMul", x, signs(fan_in, outputs, seed=seed))

    def proto(self, output, elem_type=TensorProto.FLOAT):
        graph = helper.make_graph(
            self.nodes,
            "test",
            [helper.make_tensor_value_info("x", self.elem_type, [1, *self.shape])],
            [helper.make_tensor_value_info(output, elem_type, ["N", "M"])],
            self.constants,
        )
        domains = {node.domain for node in self.nodes} - {""}
        opsets = [helper.make_opsetid("", self.opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8)

    def imported(self, output, **options):
        return import_model(checked_graph(self.proto(output)), Options(**options))


def relu(graph, x, high=15.0, step=2.0):
    """A quantizer with levels 0, step, ..., high * step."""
    level = graph("Round", graph("Clip", graph("Div", x, np.float64(step)), np.float32(0), np.float32(high)))
    return graph("Mul", level, np.float64(step))


def conv(graph, x, outputs=4, channels=2, kernel=(3, 3), seed=3, **attributes):
    return graph("Conv", x, signs(outputs, channels, *kernel, seed=seed), **attributes)


def to_logits(graph, x, fan_in):
    return graph.dense(graph("Flatten", x), 5, fan_in)


def step_where(graph, x):
    return graph("Where", graph("GreaterOrEqual", x, np.float32(0.5)), np.float32(2), np.float32(-2))
