"""Each kind of layer as a function of standard ONNX operators, local to the models that are exported.

A viewer shows one node per layer.  Values are as in memory: images with their channels last, 8-bit values as uint8,
one-bit values as int8 of +1 and -1, logits as int32.  Weights are int8, in ONNX's order.

Products run in float32, where every sum is a whole number below 2^24 and so exact in any order (SPEC 3), and the rest
in int32.  ONNX has no arithmetic shift, and its Div cuts towards 0: that differs from >> only below 0, where the clamp
gives 0 for both.
"""

import re
from functools import cache

from signbit.bridge.graph.library import AttributeProto, FunctionProto, NodeProto, TensorProto, helper
from signbit.bridge.graph.reading import OWN_DOMAIN

OPSET = 17
IR_VERSION = 8
PARAMETERS = {
    "Requantize": ("multiplier", "bias"),
    "Sign": ("threshold", "direction"),
    "Logits": ("multiplier", "bias"),
}
"""Inputs that hold an activation's arrays."""
WEIGHTED = ("Dense", "Conv2D", "DepthwiseConv2D")
MERGES = ("Add", "Concatenate", "ConcatenateBits")
INPUTS = {
    "AffineInput": ("multiplier", "bias"),
    "PiecesInput": ("knots", "slopes", "levels"),
    "ThermometerInput": ("thresholds", "channels"),
}
"""What makes inputs from sensor counts, and the inputs that hold its arrays -- SPEC 11."""
ATTRIBUTE_TYPES = {
    **dict.fromkeys(("shift", "high", "channels", "multiplier"), AttributeProto.INT),
    **dict.fromkeys(("strides", "pool", "size", "multipliers"), AttributeProto.INTS),
}
KNOTS_END = 1 << 30
"""After every column."""
NAME = re.compile(
    rf"(?P<kind>{'|'.join(WEIGHTED)})(?P<activation>{'|'.join(PARAMETERS)})"
    rf"|(?P<merge>{'|'.join(MERGES)})(?P<count>[1-9][0-9]?)|(?P<input>{'|'.join(INPUTS)})|AveragePoolRequantize"
)


class _Body:
    """Nodes of a function, one after the other; each method returns the name of what its node gives."""

    def __init__(self):
        self.nodes: list[NodeProto] = []
        self.attributes: set[str] = set()

    def node(self, kind: str, *inputs: str, refer: dict[str, str] | None = None, **attributes) -> str:
        """`refer` maps the node's attributes to those of the function that hold their values."""
        output = f"v{len(self.nodes)}"
        made = helper.make_node(kind, inputs, [output], **attributes)
        for name, source in (refer or {}).items():
            self.attributes.add(source)
            made.attribute.append(AttributeProto(name=name, ref_attr_name=source, type=ATTRIBUTE_TYPES[source]))
        self.nodes.append(made)
        return output

    def cast(self, name: str, to: int) -> str:
        return self.node("Cast", name, to=to)

    def number(self, attribute: str, to: int = TensorProto.INT32) -> str:
        """The function's attribute as a number."""
        return self.cast(self.node("Constant", refer={"value_int": attribute}), to)

    def whole(self, value: int, to: int) -> str:
        return self.cast(self.node("Constant", value_int=value), to)

    def power(self) -> tuple[str, str]:
        """2^shift and its half, 0 for a shift of 0, int32."""
        one = self.whole(1, TensorProto.UINT32)
        power = self.node("BitShift", one, self.number("shift", TensorProto.UINT32), direction="LEFT")
        half = self.node("BitShift", power, one, direction="RIGHT")
        return self.cast(power, TensorProto.INT32), self.cast(half, TensorProto.INT32)

    def clamped(self, scaled: str, power: str, high: str | None = None) -> str:
        """clamp(scaled >> shift, 0, high) as uint8."""
        level = self.node("Div", scaled, power)
        level = self.node("Clip", level, self.whole(0, TensorProto.INT32), high or self.number("high"))
        return self.cast(level, TensorProto.UINT8)

    def bits(self, is_up: str) -> str:
        """+1 or -1."""
        return self.node("Where", is_up, self.whole(1, TensorProto.INT8), self.whole(-1, TensorProto.INT8))

    def activation(self, acc: str, kind: str) -> str:
        """SPEC 4, 5 or 6, of int32 accumulators with their channels last."""
        if kind == "Sign":
            return self.bits(self.node("GreaterOrEqual", self.node("Mul", acc, "direction"), "threshold"))
        scaled = self.node("Add", self.node("Mul", acc, "multiplier"), "bias")
        return scaled if kind == "Logits" else self.clamped(scaled, self.power()[0])

    def ends(self, name: str, first: int, last: int) -> str:
        """Columns first:last of a matrix."""
        ends = (self.node("Constant", value_ints=[end]) for end in (first, last, 1))
        return self.node("Slice", name, *ends)

    def channels_first(self, name: str) -> str:
        return self.node("Transpose", self.cast(name, TensorProto.FLOAT), perm=[0, 3, 1, 2])

    def channels_last(self, name: str) -> str:
        return self.cast(self.node("Transpose", name, perm=[0, 2, 3, 1]), TensorProto.INT32)

    def function(self, name: str, inputs: list[str]) -> FunctionProto:
        last = self.nodes[-1].output[0]
        opsets = [helper.make_opsetid("", OPSET)]
        made = helper.make_function(OWN_DOMAIN, name, inputs, [last], self.nodes, opsets)
        made.attribute.extend(sorted(self.attributes))
        return made


@cache
def function(name: str) -> FunctionProto | None:
    """The function of that name; None if there is none."""
    match = NAME.fullmatch(name)
    if match is None:
        return None
    if match["kind"] is not None:
        return _weighted(name, match["kind"], match["activation"])
    if match["merge"] is not None:
        return _merge(name, match["merge"], int(match["count"]))
    if match["input"] is not None:
        return _input(name)
    return _average_pool(name)


def _weighted(name: str, kind: str, activation: str) -> FunctionProto:
    body = _Body()
    if kind == "Dense":
        x = body.cast(body.node("Flatten", "x", axis=1), TensorProto.FLOAT)
        weights = body.cast(body.node("Transpose", "weights", perm=[1, 0]), TensorProto.FLOAT)
        acc = body.cast(body.node("MatMul", x, weights), TensorProto.INT32)
        return _done(body, name, activation, acc, ["x", "weights"])
    x = body.node("Pad", body.channels_first("x"), "pads", "outside")
    group = {"group": "channels"} if kind == "DepthwiseConv2D" else {}
    weights = body.cast("weights", TensorProto.FLOAT)
    acc = body.node("Conv", x, weights, refer={"strides": "strides", **group})
    acc = body.node("MaxPool", acc, refer={"kernel_shape": "pool", "strides": "pool"})
    return _done(body, name, activation, body.channels_last(acc), ["x", "weights", "pads", "outside"])


def _done(body: _Body, name: str, activation: str, acc: str, inputs: list[str]) -> FunctionProto:
    body.activation(acc, activation)
    return body.function(name, [*inputs, *PARAMETERS[activation]])


def _average_pool(name: str) -> FunctionProto:
    body = _Body()
    ones = body.cast("weights", TensorProto.FLOAT)
    acc = body.node("Conv", body.channels_first("x"), ones, refer={"strides": "size", "group": "channels"})
    power, half = body.power()
    scaled = body.node("Mul", body.channels_last(acc), body.number("multiplier"))
    body.clamped(body.node("Add", scaled, half), power)
    return body.function(name, ["x", "weights"])


def _merge(name: str, kind: str, count: int) -> FunctionProto:
    body, inputs = _Body(), [f"x{index}" for index in range(count)]
    if kind == "ConcatenateBits":
        body.node("Concat", *inputs, axis=-1)
        return body.function(name, inputs)
    multipliers = body.cast(body.node("Constant", refer={"value_ints": "multipliers"}), TensorProto.INT32)
    products = []
    for index, x in enumerate(inputs):
        multiplier = body.node("Gather", multipliers, body.whole(index, TensorProto.INT64))
        products.append(body.node("Mul", body.cast(x, TensorProto.INT32), multiplier))
    if kind == "Concatenate":
        acc = body.node("Concat", *products, axis=-1)
    else:
        acc = products[0]
        for term in products[1:]:
            acc = body.node("Add", acc, term)
    power, half = body.power()
    body.clamped(body.node("Add", acc, half), power)
    return body.function(name, inputs)


def _input(name: str) -> FunctionProto:
    """SPEC 11, of int16 counts (N, ..., channels)."""
    body = _Body()
    counts = body.cast("x", TensorProto.INT32)
    if name == "AffineInput":
        scaled = body.node("Add", body.node("Mul", counts, "multiplier"), "bias")
        body.clamped(scaled, body.power()[0], body.whole(255, TensorProto.INT32))
    elif name == "ThermometerInput":
        body.bits(body.node("GreaterOrEqual", body.node("Gather", counts, "channels", axis=-1), "thresholds"))
    else:
        _pieces(body, counts)
    return body.function(name, ["x", *INPUTS[name]])


def _pieces(body: _Body, counts: str) -> None:
    """The last piece that is not empty and begins at or below the count, of all pieces along a new last axis."""
    begins = body.ends("knots", 0, -1)
    widths = body.node("Sub", body.ends("knots", 1, KNOTS_END), begins)
    first, last = body.ends("knots", 0, 1), body.ends("knots", -1, KNOTS_END)
    each = body.node("Unsqueeze", counts, body.node("Constant", value_ints=[-1]))
    held = body.node("Max", body.node("Min", each, last), first)
    step = body.node("Sub", held, begins)
    zero, none = body.whole(0, TensorProto.INT32), body.whole(-1, TensorProto.INT32)
    is_filled = body.node("Greater", "slopes", zero)
    begun = body.node("And", body.node("GreaterOrEqual", step, zero), is_filled)
    size = body.node("Shape", "levels")
    numbers = body.node(
        "Range", body.whole(0, TensorProto.INT64), body.node("Squeeze", size), body.whole(1, TensorProto.INT64)
    )
    numbers = body.cast(numbers, TensorProto.INT32)
    piece = body.node("ReduceMax", body.node("Where", begun, numbers, none), axes=[-1], keepdims=1)
    # no other piece's product may leave int32
    held_step = body.node("Max", body.node("Min", step, widths), zero)
    power, half = body.power()
    rise = body.node("Div", body.node("Add", body.node("Mul", held_step, "slopes"), half), power)
    value = body.node("Add", rise, "levels")
    chosen = body.node("Where", body.node("Equal", piece, numbers), value, zero)
    summed = body.node("ReduceSum", chosen, body.node("Constant", value_ints=[-1]), keepdims=0)
    body.cast(summed, TensorProto.UINT8)
