"""What has no integer form: each refusal of the importer, by the node's name and in one line."""

import numpy as np
import pytest

pytest.importorskip("onnx", reason="onnx is missing: pip install onnx")

from signbit.bridge.graph.library import TensorProto
from signbit.bridge.graph.reading import checked
from signbit.bridge.importing import Options, import_file, import_model
from signbit.qmodel.errors import SignbitError
from tests.onnx_graphs import Graph, conv, ramp, relu, signs, step_where, to_logits


def normalized(graph, mean, std, **attributes):
    shape = (2, 1, 1)
    x = graph("Div", graph("Sub", "x", np.reshape(mean, shape)), np.reshape(std, shape))
    return to_logits(graph, relu(graph, conv(graph, x, **attributes)), 144 if attributes else 64)


def bits_padded(graph):
    x = step_where(graph, conv(graph, "x"))
    return to_logits(graph, relu(graph, conv(graph, x, 4, 4, pads=[1, 1, 1, 1])), 64)


def pooled(graph, **attributes):
    return to_logits(graph, graph("MaxPool", relu(graph, conv(graph, "x")), **attributes), 16)


def branches(graph, quantized):
    x = relu(graph, conv(graph, "x", pads=[1, 1, 1, 1]))
    y = conv(graph, x, 4, 4, pads=[1, 1, 1, 1], seed=6)
    total = graph("Add", x, relu(graph, y, step=2.03) if quantized else y)
    return to_logits(graph, total, 144)


def flat(graph, x="x"):
    return graph("Flatten", x)


def flat_relu(graph, kind, **attributes):
    return graph.dense(graph(kind, graph.dense(flat(graph), 6, 72), **attributes), 3, 6)


def quantized(graph, *numbers, kind="Quant", **attributes):
    x = graph(kind, graph.dense(flat(graph), 6, 72), *(np.asarray(n, np.float32) for n in numbers), **attributes)
    return graph.dense(x, 3, 6)


def dense_relu(graph, outputs=6):
    return relu(graph, graph.dense(flat(graph), outputs, 72))


def scaled(graph, step):
    return relu(graph, conv(graph, "x"), high=255.0, step=step)


def two_scales(graph):
    return graph("Add", scaled(graph, 0.0301), scaled(graph, 0.0203))


def truncated(graph, *numbers):
    return graph("Trunc", relu(graph, "x", step=1.0), *(np.asarray(n, np.float32) for n in numbers))


def joined_bits(graph):
    return [graph("Mul", step_where(graph, conv(graph, "x")), np.float32(0.5)) for _ in range(2)]


def second_output(graph):
    graph("Split", "x", axis=1, num_outputs=2)
    graph.nodes[0].output.append("other")
    return graph("Identity", "other")


def halved(graph):
    """One branch reads whole bytes, the other one halves of them, when the first has its layer."""
    whole = conv(graph, relu(graph, conv(graph, "x")), 4, 4, (1, 1))
    half = conv(graph, graph("Floor", graph("Mul", "x", np.float32(0.5))))
    return to_logits(graph, graph("Add", relu(graph, whole), relu(graph, half)), 64)


SCALES = tuple(np.asarray(numbers, np.float32) for numbers in (np.ones((1, 2, 1, 1)) * [[[[1]], [[2]]]], 0, 8))
ONE_BYTE = np.float32(1), np.array(0, np.uint8)
ONE_SIGNED = np.float32(1), np.array(0, np.int8)
PADS = np.array([0, 0, 1, 1, 0, 0, 1, 1])


REFUSED = {
    "float weights": (
        lambda g: g("MatMul", flat(g), np.random.default_rng(0).normal(size=(72, 3))),
        r"node MatMul1 \(MatMul\): has float weights \(72 magnitudes for one output\).*train with binarized",
    ),
    "float relu": (lambda g: flat_relu(g, "Relu"), r"MatMul3.*not quantized; train with .*--calibrate DATA"),
    "leaky relu": (lambda g: flat_relu(g, "LeakyRelu"), r"LeakyRelu2.*no integer form of LeakyRelu; use QuantReLU"),
    "sigmoid": (
        lambda g: flat_relu(g, "Sigmoid"),
        r"Sigmoid2.*no integer form of Sigmoid; use QuantReLU or BinarySign",
    ),
    "gelu": (lambda g: flat_relu(g, "Erf"), r"Erf2.*no integer form"),
    "no activation": (lambda g: flat_relu(g, "Identity"), r"MatMul3.*not quantized"),
    "std for each channel": (
        lambda g: normalized(g, (0.5, 0.5), (0.2, 0.3)),
        r"Conv2.*channels of different scales.*same standard deviation",
    ),
    "mean before padding": (
        lambda g: normalized(g, (0.5, 0.5), (0.2, 0.2), pads=[1, 1, 1, 1]),
        r"Conv2.*pads with 0, which is not the 0 .*Leave the mean out",
    ),
    "bits padded with 0": (bits_padded, r"Conv3.*pads one-bit values with 0; .*pads with -1.*value=-1"),
    "overlapping pool": (
        lambda g: pooled(g, kernel_shape=[3, 3], strides=[2, 2]),
        r"MaxPool5.*stride other than its window",
    ),
    "padded pool": (
        lambda g: pooled(g, kernel_shape=[2, 2], strides=[2, 2], pads=[1, 1, 1, 1]),
        r"MaxPool5.*padding, dilation or ceil_mode",
    ),
    "ceil_mode": (lambda g: pooled(g, kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1), r"MaxPool5.*ceil_mode"),
    "groups": (
        lambda g: to_logits(g, relu(g, conv(g, relu(g, conv(g, "x")), 4, 2, group=2)), 16),
        r"Conv5.*2 groups; 1, or one for each channel",
    ),
    "dilation": (lambda g: to_logits(g, conv(g, "x", dilations=[2, 2]), 16), r"Conv0.*is dilated"),
    "stride of 0": (
        lambda g: to_logits(g, conv(g, "x", strides=[0, 1]), 16),
        r"Conv0.*a stride below 1, or strides for other than 2 axes",
    ),
    "pads below 0": (
        lambda g: to_logits(g, conv(g, "x", pads=[0, -1, 0, 0]), 16),
        r"Conv0.*pads below 0, or pads for other than 2 axes",
    ),
    "auto_pad": (
        lambda g: to_logits(g, conv(g, "x", auto_pad="SAME"), 144),
        r"Conv0.*auto_pad 'SAME', which is unknown|is not valid ONNX",
    ),
    "branch not quantized": (lambda g: branches(g, False), r"Add6.*not quantized; quantize each branch"),
    "sum not quantized": (lambda g: branches(g, True), r"MatMul\d+.*a sum that is not quantized; quantize after"),
    "product of activations": (
        lambda g: g.dense(g("Mul", *[relu(g, g.dense(flat(g), 6, 72))] * 2), 3, 6),
        r"multiplies one activation by another",
    ),
    "difference": (
        lambda g: g.dense(g("Sub", *[relu(g, g.dense(flat(g), 6, 72))] * 2), 3, 6),
        r"MatMul\d+.*reads one activation minus another",
    ),
    "ends in an activation": (
        lambda g: relu(g, g.dense(flat(g), 6, 72)),
        r"^the network ends in an activation or a pool; its last layer must be a dense one",
    ),
    "ends in an image": (lambda g: conv(g, "x"), r"^the network ends in an image"),
    "too many levels": (
        lambda g: quantized(g, 1e-4, 0, 12, signed=0),
        r"MatMul3.*4,096 levels; clamp them to 2 to 256",
    ),
    "no levels": (lambda g: quantized(g, 0.0, 0, 4), r"Quant2.*scale that is not above 0"),
    "zero point": (lambda g: quantized(g, 0.5, 0.5, 4), r"Quant2.*zero point that is no whole number"),
    "rounding": (
        lambda g: quantized(g, 0.5, 0, 4, rounding_mode="CEIL"),
        r"Quant2.*rounds by CEIL.*use ROUND or FLOOR",
    ),
    "a scale for each channel": (
        lambda g: quantized(g, ramp(6, 1, 2)[None], 0, 4),
        r"MatMul3.*channels of different scales.*quantize them to one scale",
    ),
    "uneven thresholds": (
        lambda g: quantized(g, np.array([[1, 2, 40, 41, 300]]), kind="MultiThreshold"),
        r"MultiThreshold2.*not evenly spaced, in 6 of 6 channels",
    ),
    "softmax inside": (
        lambda g: g.dense(g("Softmax", relu(g, g.dense(flat(g), 6, 72)), axis=1), 3, 6),
        r"Softmax\d+.*no integer form of Softmax; only at the end",
    ),
    "softmax over the batch": (lambda g: g("Softmax", g.dense(flat(g), 6, 72), axis=0), r"Softmax2.*no integer form"),
    "argmax over the batch": (lambda g: g("ArgMax", g.dense(flat(g), 6, 72)), r"ArgMax2.*no integer form of ArgMax"),
    "a grid cut to whole numbers": (
        lambda g: g("Cast", relu(g, g.dense(flat(g), 6, 72), step=0.25), to=TensorProto.INT32),
        r"Cast\d+.*rounded to another grid before",
    ),
    "the absolute value": (lambda g: flat_relu(g, "Abs"), r"Abs2.*no integer form of Abs of real numbers; clamp"),
    "the larger of two": (
        lambda g: g("Max", *[relu(g, "x", step=step) for step in (1.0, 2.0)]),
        r"Max\d+.*the larger or smaller of two activations",
    ),
    "a bump": (
        lambda g: g.dense(g("Cast", g("Equal", g("Sign", g.dense(flat(g), 6, 72)), np.float32(0)), to=1), 3, 6),
        r"MatMul\d+.*a step that does not lead from one number to another",
    ),
    "part of the input": (
        lambda g: g.dense(flat(g, g("Slice", "x", np.array([0]), np.array([3]), np.array([2]))), 3, 36),
        r"Slice0.*no integer form of Slice",
    ),
    "the batch moved": (lambda g: g.dense(g("Reshape", "x", np.array([2, 36])), 3, 36), r"Reshape0.*moves the batch"),
    "difference added to another": (
        lambda g: g("Add", g("Sub", relu(g, "x"), "x"), relu(g, "x", step=1.0)),
        r"Add\d+.*reads one activation minus another",
    ),
    "comparison of activations": (
        lambda g: g("Greater", *[g.dense(flat(g), 6, 72)] * 2),
        r"Greater2.*compares two activations",
    ),
    "chosen activations": (
        lambda g: g("Where", g("Greater", "x", np.float32(0.5)), "x", np.float32(0)),
        r"Where1.*only constants such as 1 and -1",
    ),
    "whole-number division": (
        lambda g: g("Div", g("Cast", g("Relu", "x"), to=TensorProto.INT32), np.array(2, np.int32)),
        r"Div2.*divides whole numbers",
    ),
    "shapes that do not fit": (lambda g: g("Add", "x", np.ones((5, 1, 1), np.float32)), r"Add0.*do not fit together"),
    "a constant that grows": (lambda g: g("Add", "x", np.ones((4, 2, 6, 6), np.float32)), r"Add0.*joins a tensor of"),
    "unscaled image": (lambda g: g("MaxPool", flat(g), kernel_shape=[2]), r"is not valid ONNX|MaxPool1"),
    "padding read by others": (
        lambda g: g("Relu", g("Pad", "x", np.array([0, 0, 1, 1, 0, 0, 1, 1]))),
        r"Relu1.*only a convolution can take padding in",
    ),
    "training mode": (
        lambda g: g("BatchNormalization", "x", *[np.ones(2, np.float32)] * 4, training_mode=1),
        r"BatchNormalization0.*model.eval\(\)|is not valid ONNX",
    ),
    "nodes without a number of the type": (
        lambda g: quantized(g, 1, 0, 4, signed="yes"),
        r"Quant2.*an attribute signed of another type",
    ),
    "a constant convolved": (
        lambda g: g("Conv", np.ones((1, 2, 6, 6), np.float32), relu(g, "x")),
        r"Conv\d+.*has a constant for its input 0",
    ),
    "computed weights": (lambda g: g("Conv", "x", relu(g, "x")), r"Conv\d+.*computes its input t3 from the network's"),
    "NaN": (lambda g: g("Mul", "x", np.float32(np.nan)), r"Mul0.*a constant that is not a number"),
    "infinity": (lambda g: g("Mul", "x", np.float32(np.inf)), r"Mul0.*an infinite constant"),
    "several numbers for one": (
        lambda g: truncated(g, np.array([1, 2]), 0, 8, 6),
        r"Trunc\d+.*has 2 numbers where it must have one",
    ),
    "half a side": (lambda g: g("Reshape", "x", np.array([1, 0.5])), r"Reshape0.*constant of other than whole numbers"),
    "inputs left out": (lambda g: quantized(g), r"Quant2.*has no input 1"),
    "a vector that becomes an image": (
        lambda g: to_logits(g, conv(g, g("Reshape", dense_relu(g, 16), np.array([1, 1, 4, 4])), channels=1), 16),
        r"Conv\d+.*makes an image of \(4, 4, 1\) from \(16,\)",
    ),
    "axes exchanged": (
        lambda g: conv(g, g("Transpose", relu(g, conv(g, "x")), perm=[0, 3, 2, 1]), 4, 4),
        r"Conv\d+.*an image whose axes are in another order",
    ),
    "a cut between two levels": (
        lambda g: g("Clip", dense_relu(g), np.float32(0), np.float32(5)),
        r"Clip\d+.*cuts between two levels; clamp to one",
    ),
    "a clamp for each channel": (
        lambda g: g.dense(g("Round", g("Min", g("Relu", g.dense(flat(g), 6, 72)), ramp(6, 3, 9)[None])), 3, 6),
        r"MatMul\d+.*clamps each channel at another place",
    ),
    "a clamp that leaves nothing": (
        lambda g: g("Clip", "x", np.float32(1), np.float32(1)),
        r"Clip0.*leaves one value only, 1",
    ),
    "a sum with a scale for each channel": (
        lambda g: to_logits(g, relu(g, g("Mul", two_scales(g), ramp(4, 1, 2).reshape(4, 1, 1))), 64),
        r"MatMul\d+.*scales a sum channel by channel",
    ),
    "a sum with an offset": (
        lambda g: to_logits(g, relu(g, g("Add", two_scales(g), np.float32(1))), 64),
        r"MatMul\d+.*quantizes a sum with an offset",
    ),
    "a sum of too many": (
        lambda g: to_logits(g, relu(g, g("Sum", *(scaled(g, step) for step in (0.0301, 0.0203, 0.0107)))), 64),
        r"MatMul\d+.*adds so many values that rounding can't be checked",
    ),
    "the sign of a rounded number": (lambda g: g("Sign", dense_relu(g)), r"Sign\d+.*the sign of a rounded number"),
    "a threshold out of reach": (
        lambda g: g("Greater", g("Clip", "x", np.float32(0), np.float32(1)), np.float32(2)),
        r"Greater1.*compares with a number that a clamp before it keeps away",
    ),
    "a bias for each pixel": (
        lambda g: to_logits(g, relu(g, g("Add", conv(g, "x"), ramp(64, 0, 9).reshape(1, 4, 4, 4))), 64),
        r"MatMul\d+.*constants that differ between the pixels of a channel",
    ),
    "a scale for each pixel": (
        lambda g: conv(g, g("Mul", "x", ramp(72, 1, 2).reshape(1, 2, 6, 6))),
        r"Conv1.*constants that differ between pixels",
    ),
    "a difference at the end": (
        lambda g: g("Sub", dense_relu(g), dense_relu(g)),
        r"^the network's output reads one activation minus another",
    ),
    "an output of constants": (
        lambda g: g("Add", np.ones(2), np.ones(2)),
        r"^the graph's output does not depend on its input",
    ),
    "a second output": (lambda g: second_output(g), r"Split0 \(Split\): there is no integer form of Split"),
    "division by an activation": (lambda g: g("Div", np.float32(1), "x"), r"Div0.*divides by an activation"),
    "division by 0": (lambda g: g("Div", "x", np.float32(0)), r"Div0.*divides by 0"),
    "a norm of other channels": (
        lambda g: g("BatchNormalization", "x", *[np.ones(3, np.float32)] * 4),
        r"BatchNormalization0.*does not have one number for each channel",
    ),
    "a negative variance": (
        lambda g: g("BatchNormalization", "x", *[np.ones(2, np.float32)] * 3, -np.ones(2, np.float32)),
        r"BatchNormalization0.*a variance that is not above 0",
    ),
    "numbers cut": (lambda g: g("Cast", "x", to=TensorProto.INT32), r"Cast0.*cuts real numbers to whole ones"),
    "Ceil": (lambda g: flat_relu(g, "Ceil"), r"Ceil2.*no integer form of Ceil; use Round or Floor"),
    "a constant in a sum": (
        lambda g: g("Sum", relu(g, "x"), np.float32(1)),
        r"Sum\d+.*adds activations and constants",
    ),
    "a sum of channels of different scales": (
        lambda g: g("Add", g("Quant", "x", *SCALES), relu(g, "x")),
        r"Add\d+.*adds values with a scale for each channel",
    ),
    "an activation subtracted": (
        lambda g: g("Add", dense_relu(g), g("Neg", dense_relu(g))),
        r"Add\d+.*subtracts an activation",
    ),
    "a sum of different orders": (
        lambda g: g("Add", relu(g, conv(g, "x")), g("Transpose", relu(g, conv(g, "x")), perm=[0, 1, 3, 2])),
        r"Add\d+.*adds values of different shapes",
    ),
    "a sum of more values than layers": (
        lambda g: g("Sum", *[relu(g, "x")] * 65),
        r"Sum\d+.*adds 65 values; at most 64",
    ),
    "a constant joined": (
        lambda g: g("Concat", relu(g, "x"), np.ones((1, 1, 6, 6), np.float32), axis=1),
        r"Concat\d+.*joins activations and constants",
    ),
    "images of different sizes joined": (
        lambda g: g("Concat", relu(g, conv(g, "x")), relu(g, conv(g, "x", pads=[1, 1, 1, 1])), axis=1),
        r"Concat\d+.*joins images of different sizes",
    ),
    "images joined along the batch": (
        lambda g: g("Concat", *[relu(g, conv(g, "x"))] * 2, axis=0),
        r"Concat\d+.*joins along axis 0, which is that of the batch",
    ),
    "a pool over a vector": (
        lambda g: g("MaxPool", g("Unsqueeze", g.dense(flat(g), 6, 72), np.array([1])), kernel_shape=[6], strides=[6]),
        r"MaxPool\d+.*pools a vector",
    ),
    "a mean over channels": (
        lambda g: g("ReduceMean", relu(g, conv(g, "x")), axes=[1]),
        r"ReduceMean\d+.*averages over other axes",
    ),
    "a mean of accumulators": (
        lambda g: g("GlobalAveragePool", conv(g, "x")),
        r"GlobalAveragePool1.*averages accumulators that are not quantized",
    ),
    "a pool larger than its image": (
        lambda g: pooled(g, kernel_shape=[5, 5], strides=[5, 5]),
        r"MaxPool\d+.*pools windows of \(5, 5\) in a tensor of \(1, 4, 4, 4\)",
    ),
    "QGemm transposed": (
        lambda g: g("QGemm", flat(g), *ONE_BYTE, signs(72, 3).astype(np.int8), *ONE_SIGNED, transA=1),
        r"QGemm1.*transposes its input",
    ),
    "a mean of channels last": (
        lambda g: g("QLinearGlobalAveragePool", "x", *ONE_BYTE, *ONE_BYTE, channels_last=1),
        r"QLinearGlobalAveragePool0.*has its channels last",
    ),
    "a type without a range": (
        lambda g: g("QuantizeLinear", "x", np.float32(1), np.array(0, np.int32)),
        r"QuantizeLinear0.*quantizes to a type of number 6",
    ),
    "a scale of 0": (
        lambda g: g("QuantizeLinear", "x", np.float32(0), np.array(0, np.uint8)),
        r"QuantizeLinear0.*a scale that is not above 0",
    ),
    "more bits after than before": (lambda g: truncated(g, 1, 0, 6, 8), r"Trunc\d+.*more bits after than before"),
    "bits of a real number": (lambda g: truncated(g, 0.3, 0, 8, 6), r"Trunc\d+.*cuts bits off numbers that are not"),
    "thresholds of one axis": (
        lambda g: quantized(g, np.arange(3), kind="MultiThreshold"),
        r"MultiThreshold2.*thresholds or a layout of an unknown form",
    ),
    "thresholds of a clamp": (
        lambda g: g("MultiThreshold", g("Relu", g.dense(flat(g), 6, 72)), np.arange(3)[None].astype(np.float32)),
        r"MultiThreshold3.*other than a layer's accumulators",
    ),
    "thresholds that fall": (
        lambda g: quantized(g, np.array([[3, 2, 1]]), kind="MultiThreshold"),
        r"MultiThreshold2.*thresholds that fall",
    ),
    "thresholds of a constant": (
        lambda g: g("MultiThreshold", g("Mul", g.dense(flat(g), 6, 72), np.float32(0)), np.float32([[1, 2]])),
        r"MultiThreshold3.*compares a constant",
    ),
    "40 bits": (lambda g: quantized(g, 1, 0, 40), r"Quant2.*quantizes to 40 bits; 1 to 24 are known"),
    "flattened beyond its axes": (lambda g: g("Flatten", "x", axis=9), r"Flatten0.*flattens from axis 9 of 4"),
    "an axis kept that is not there": (
        lambda g: g("Reshape", "x", np.array([1, 72, 1, 1, 0])),
        r"Reshape0.*keeps an axis that a tensor of \(1, 2, 6, 6\) does not have",
    ),
    "weights first": (lambda g: g("MatMul", signs(3, 1), "x"), r"MatMul0.*the weights must be the second factor"),
    "Gemm transposed": (lambda g: g("Gemm", flat(g), signs(72, 3), transA=1), r"Gemm1.*transposes its input"),
    "an image multiplied": (lambda g: g("MatMul", "x", signs(6, 3)), r"MatMul0.*weights of \(6, 3\); flatten it first"),
    "a convolution over three axes": (
        lambda g: g("Conv", g("Unsqueeze", "x", np.array([1])), signs(4, 1, 1, 3, 3)),
        r"Conv1.*over 3 axes; 1 and 2 have an integer form",
    ),
    "weights for other channels": (lambda g: conv(g, "x", channels=3), r"Conv0.*weights for 3 channels, but gets 2"),
    "reflected pixels": (
        lambda g: conv(g, g("Pad", "x", PADS, mode="reflect")),
        r"Pad0.*pads otherwise than with one value",
    ),
    "padded twice": (
        lambda g: conv(g, g("Pad", g("Pad", "x", PADS), PADS)),
        r"Pad1.*only a convolution can take padding in",
    ),
    "pixels cut off": (lambda g: conv(g, g("Pad", "x", -PADS)), r"Pad0.*cuts pixels off"),
    "padded channels": (
        lambda g: conv(g, g("Pad", "x", np.array([0, 1, 0, 0, 0, 0, 0, 0])), channels=3),
        r"Conv1.*weights for 3 channels|Conv1.*pads other than the height and width",
    ),
    "padded inside and outside": (
        lambda g: conv(g, g("Pad", "x", PADS), pads=[1, 1, 1, 1]),
        r"Conv1.*pads other than the height and width of an image, once",
    ),
    "joined bits padded with +1": (
        lambda g: conv(g, g("Pad", g("Concat", *joined_bits(g), axis=1), PADS, np.float32(1)), 4, 8),
        r"Conv\d+.*pads one-bit values that no sign gave with \+1",
    ),
    "a vector quantized again": (
        lambda g: g.dense(relu(g, g("Concat", dense_relu(g), dense_relu(g), axis=1), step=0.7), 3, 12),
        r"MatMul\d+.*quantizes values again, for which vectors have no layer",
    ),
    "outputs in another order": (
        lambda g: g("Flatten", g("Transpose", g("Reshape", g.dense(flat(g), 6, 72), [1, 2, 3]), perm=[0, 2, 1])),
        r"^the network's outputs are not those of its last layer, in their order",
    ),
    "a scale that is too small": (
        lambda g: g.dense(relu(g, g.dense(flat(g), 6, 72), step=1e-7), 3, 6),
        r"MatMul\d+.*products do not fit into 32 bits",
    ),
    "logits that are too large": (
        lambda g: g("Mul", g.dense(flat(g), 6, 72), np.float32(1e9)),
        r"^its logits do not fit into 32 bits; scale the last layer down",
    ),
    "the input halved and whole": (lambda g: halved(g), r"MatMul\d+|Conv\d+.*halves the input, which another layer"),
    "text": (lambda g: g("Add", "x", g("Constant", value_string="a")), r"Constant0.*holds text or a sparse tensor"),
    "constants that do not fit": (
        lambda g: g("Add", "x", g("Reshape", np.ones(5), np.array([2, 2]))),
        r"Reshape0.*can't be computed",
    ),
    "unknown layout": (
        lambda g: g.dense(flat(g), 3, 72),
        r"MatMul1.*image of several channels as a vector; say with --layout",
    ),
}
LAYOUT_UNKNOWN = ("unknown layout",)
UNIT_1 = ("the input halved and whole",)
OPSET_18 = ("a second output",)


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_integer_form_is_refused_by_its_node(name):
    make, text = REFUSED[name]
    graph = Graph(2, 6, 6, opset=18 if name in OPSET_18 else 17)
    output = make(graph)
    layout, unit = (None if name in LAYOUT_UNKNOWN else "NCHW", 1.0 if name in UNIT_1 else None)
    with pytest.raises(SignbitError, match=text) as caught:
        graph.imported(output, layout=layout, input_unit=unit)
    assert "\n" not in str(caught.value)


BYTES, COUNTS, WHOLES = TensorProto.UINT8, TensorProto.INT16, TensorProto.INT64
OTHER_INPUTS = {
    "shifted by 2": (BYTES, lambda g: g("BitShift", "x", np.array(2, np.uint8), direction="RIGHT"), r"right by 1"),
    "bytes added": (BYTES, lambda g: g("Add", "x", np.array(2, np.uint8)), r"Add0.*8-bit numbers, which wrap around"),
    "counts": (COUNTS, lambda g: g.dense("x", 3, 12), r"MatMul0.*reads 16-bit inputs; give the network bytes"),
    "64 bits": (WHOLES, lambda g: g.dense("x", 3, 12), r"^input x must be float32 or uint8 numbers"),
}


@pytest.mark.parametrize("name", OTHER_INPUTS)
def test_inputs_of_other_types(name):
    elem_type, make, text = OTHER_INPUTS[name]
    graph = Graph(12, elem_type=elem_type)
    output = make(graph)
    with pytest.raises(SignbitError, match=text):
        graph.imported(output)


def test_a_batch_of_more_than_one():
    graph = Graph(12)
    proto = graph.proto(graph.dense("x", 3, 12))
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 4
    with pytest.raises(SignbitError, match=r"^input x has a batch of 4; export it with a batch of 1, or an open one"):
        import_model(checked(proto), Options())


def test_a_mean_over_a_side_of_more_than_255():
    graph = Graph(1, 300, 1)
    with pytest.raises(SignbitError, match=r"GlobalAveragePool\d+.*averages over a side of 300; at most 255"):
        graph.imported(graph("GlobalAveragePool", relu(graph, "x")))


def test_a_node_that_gives_nothing():
    graph = Graph(12)
    graph("Quant", "x")
    del graph.nodes[0].output[:]
    graph.nodes[0].name = ""
    with pytest.raises(SignbitError, match=r"node  \(Quant\) gives nothing|is not valid ONNX"):
        graph.imported(graph.dense("x", 3, 12))


def test_a_tensor_of_the_wrong_size_is_named():
    graph = Graph(12)
    proto = graph.proto(graph.dense("x", 3, 12))
    proto.graph.initializer[0].raw_data = b"abc"
    with pytest.raises(SignbitError, match=r"^tensor c0: "):
        import_model(proto, Options())


def test_the_file_is_named_first(tmp_path):
    graph = Graph(12)
    path = tmp_path / "m.onnx"
    path.write_bytes(graph.proto(graph("Relu", "x")).SerializeToString())
    with pytest.raises(SignbitError, match=r"m\.onnx: the network ends in an activation"):
        import_file(path, Options())
