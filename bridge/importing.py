"""An ONNX graph of a network with one-bit weights as a QuantizedModel.

The graph is walked in its order with a batch of one.  Between two layers every tensor is whole numbers u of the integer
model and what they mean, real = gain * u + offset.  Operators move the numbers, or change gain and offset; a product
with one-bit weights begins a layer of accumulators; a chain of clamp, round or sign closes it.  Whatever is not of this
form is refused by the node's name.
"""

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from signbit.bridge import export_qonnx
from signbit.bridge.constants import computed
from signbit.bridge.export_onnx import OUTPUT
from signbit.bridge.graph.builder import Builder
from signbit.bridge.graph.fold import Certificate
from signbit.bridge.graph.library import ModelProto, TensorProto, numpy_helper
from signbit.bridge.graph.node import Known, Node, Operator
from signbit.bridge.graph.reading import OPSET_MIN, OWN_DOMAIN, attributes, read
from signbit.bridge.graph.source import InputSlot, Slot
from signbit.bridge.graph.tensor import Difference, Tensor, Unmappable, made_of
from signbit.bridge.operators import elementwise, merges, own, pools, quantizers, shapes, weighted
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.layer import Layer
from signbit.qmodel.model import INPUT_SIZE_MAX, QuantizedModel, check_name
from signbit.qmodel.untrusted import shown
from signbit.qmodel.value import Encoding, Value, size_of

OPERATORS: dict[str, Operator] = {
    **elementwise.OPERATORS,
    **shapes.OPERATORS,
    **weighted.OPERATORS,
    **pools.OPERATORS,
    **merges.OPERATORS,
    **quantizers.OPERATORS,
}
ENDS = ("Softmax", "LogSoftmax", "Sigmoid", "ArgMax")
"""Operators after the logits, which keep the order of the classes; the device has its own confidence."""
AFTER_ENDS = ("Cast", "Identity", "Reshape", "Squeeze")
ADVICE = {
    **dict.fromkeys(("LeakyRelu", "PRelu", "Elu", "Selu", "Celu", "Gelu", "Mish", "HardSwish"), "use QuantReLU"),
    **dict.fromkeys(("Sigmoid", "HardSigmoid", "Tanh", "Softsign", "Erf", "Softplus"), "use QuantReLU or BinarySign"),
    **dict.fromkeys(("Softmax", "LogSoftmax", "ArgMax"), "only at the end of the network it is left out"),
    "Ceil": "use Round or Floor",
    **dict.fromkeys(("LSTM", "GRU", "RNN", "Loop", "Scan", "If"), "only networks without loops have an integer model"),
    "ConvTranspose": "use convolutions",
    "InstanceNormalization": "use batch normalization",
    "LayerNormalization": "use batch normalization",
    "DynamicQuantizeLinear": "quantize with fixed scales",
}
TAKE_PADDING = ("Conv", "ConvInteger", "QLinearConv", "Transpose")
FIRST_ONLY = "only its first output has an integer form"
TAKE_UNMAPPABLE = ("Add", "Sub")
LAYOUTS = ("NCHW", "NHWC")
ONE_OUTPUT = "the network has one output, so every input gets the same label; train it with one output for each class"
INPUT_UNIT = 1 / 255
"""What a byte of the input is worth in graphs whose input is real."""


@dataclass(frozen=True)
class Options:
    """`input_unit` None is 1/255, or 1 in graphs whose input is bytes.  `layout` is that of an input image of several
    channels whose first layer is a dense one; convolutions show theirs.
    """

    name: str = "imported"
    labels: tuple[str, ...] | None = None
    input_unit: float | None = None
    layout: str | None = None
    allow_rounding: bool = False
    sha256: str | None = None
    """The file's, for the model's provenance."""
    range_of: Callable[[str], float] | None = None
    """What the highest level of a float ReLU, by its name in the graph, is worth; None where none may be."""


@dataclass(frozen=True, eq=False)
class Imported:
    """`certificates` has one entry per layer, None where it rounds nothing.

    `input_places[i]` says where number i of the model's input lies in the graph's, `logits` which tensor of the graph
    they are, and `unit` what the graph reads for a byte of 1.
    """

    model: QuantizedModel
    certificates: tuple[Certificate | None, ...]
    notes: tuple[str, ...]
    proto: ModelProto
    input_places: np.ndarray
    logits: str
    unit: float

    @property
    def certificate(self) -> Certificate:
        return _total(self.certificates)


def import_file(path: str | os.PathLike, options: Options, external_data: bool = False) -> Imported:
    """The model of an ONNX file; raises SignbitError with what is wrong and the node's name, or OSError."""
    check_name(options.name)
    proto, sha256 = read(path, external_data)
    try:
        return import_model(proto, replace(options, sha256=sha256))
    except SignbitError as error:
        raise SignbitError(f"{Path(path)}: {error}") from None


def import_model(proto: ModelProto, options: Options) -> Imported:
    """The model of a graph that `reading.checked` has passed."""
    model = export_qonnx.exported(proto)
    if model is None:
        # numbers that are none are refused where they would be used
        with np.errstate(all="ignore"):
            return _Walk(proto, options).result()
    model = replace(model, name=options.name, labels=options.labels or model.labels).validate()
    places = np.arange(size_of(model.input_shape), dtype=np.int32)
    return Imported(model, (None,) * len(model.layers), (), proto, places, OUTPUT, 1.0)


class _Walk:
    """`known` maps names of the graph to constants and tensors."""

    def __init__(self, proto: ModelProto, options: Options):
        self.proto, self.options = proto, options
        self.opset = next((each.version for each in proto.opset_import if each.domain in ("", "ai.onnx")), OPSET_MIN)
        self.known: dict[str, Known] = {}
        for tensor in proto.graph.initializer:
            self.known[tensor.name] = _array(tensor)
        self.input = self._input()
        range_of = self._range_of if options.range_of else None
        takes_counts = self.input.elem_type == TensorProto.INT16
        self.builder = Builder(
            self.input.source, allow_rounding=options.allow_rounding, range_of=range_of, takes_counts=takes_counts
        )
        self.ends: dict[str, str] = {}
        """Names after the logits, and the name of the logits."""

    def result(self) -> Imported:
        for proto in self.proto.graph.node:
            node = self._node(proto)
            first, *others = proto.output
            self.known[first] = found = self._run(node)
            rest = found if isinstance(found, Unmappable) else Unmappable(f"{node.place}: {FIRST_ONLY}")
            self.known |= dict.fromkeys(others, rest)
            self._follow_end(node, first)
        output = self.proto.graph.output[0].name
        logits = self.ends.get(output, output)
        shift = self._logit_shift(self.known.get(logits))
        built = self.builder.needed()
        certificates = tuple(each.certificate for each in built)
        model = self._model(tuple(each.layer for each in built), certificates, shift)
        notes = tuple(dict.fromkeys((*self.builder.notes, *([ONE_OUTPUT] if model.output_size == 1 else ()))))
        places, unit = self.input.source.places, float(self.input.gain)
        return Imported(model, certificates, notes, self.proto, places, logits, unit)

    def _node(self, proto) -> Node:
        name = shown(proto.name or "".join(proto.output[:1]))
        if not proto.output:
            raise SignbitError(f"node {name} ({shown(proto.op_type)}) gives nothing")
        inputs = tuple(self.known[each] if each else None for each in proto.input)
        return Node(proto.op_type, proto.domain, name, inputs, tuple(proto.input), attributes(proto), self.opset)

    def _follow_end(self, node: Node, output: str) -> None:
        if not node.names or node.domain or node.is_constant:
            return
        source = node.names[0]
        # ONNX's default for ArgMax is the batch
        axis = node.attributes.get("axis", 0 if node.kind == "ArgMax" else 1)
        is_end = node.kind in ENDS and axis in (1, -1)
        if is_end or (node.kind in AFTER_ENDS and source in self.ends):
            self.ends[output] = self.ends.get(source, source)

    def _run(self, node: Node) -> Known:
        """What the node gives; Unmappable is only refused where the network's output needs it."""
        if node.kind == "Identity" and node.has(0):
            return node.inputs[0]
        if node.kind not in TAKE_UNMAPPABLE and (given := made_of(node.inputs)) is not None:
            return given
        try:
            if node.is_constant:
                return computed(node)
            return self._operator(node)(node, self.builder)
        except SignbitError as error:
            text = f"{node.place}: {error}"
        except (ValueError, IndexError) as error:
            # numpy's word for shapes that do not fit together
            text = f"{node.place}: its inputs do not fit together ({_one_line(error)})"
        if node.is_constant:
            raise SignbitError(text)
        return Unmappable(text)

    def _operator(self, node: Node) -> Operator:
        if node.domain == OWN_DOMAIN:
            return own.operator(node, self.proto)
        if self.builder.takes_counts and self.builder.input_quantization is None:
            raise SignbitError("reads 16-bit inputs; give the network bytes or real numbers")
        if node.kind not in OPERATORS:
            advice = ADVICE.get(node.kind)
            raise SignbitError(f"there is no integer form of {shown(node.kind)}" + (f"; {advice}" if advice else ""))
        if node.kind not in TAKE_UNMAPPABLE and any(isinstance(each, Difference) for each in node.inputs):
            raise SignbitError(elementwise.NO_DIFFERENCE)
        padded = [each for each in node.inputs if isinstance(each, Tensor) and each.padding is not None]
        if padded and node.kind not in TAKE_PADDING:
            raise SignbitError("reads an image that was padded; only a convolution can take padding in")
        return OPERATORS[node.kind]

    def _range_of(self, tensor: Tensor) -> float:
        name = next(name for name, found in self.known.items() if found is tensor)
        return self.options.range_of(name)

    def _input(self) -> Tensor:
        graph = self.proto.graph
        inputs = [each for each in graph.input if each.name not in self.known]
        if len(inputs) != 1 or len(graph.output) != 1:
            raise SignbitError(
                f"the graph has {len(inputs)} inputs and {len(graph.output)} outputs; it must have one of each"
            )
        name, kind = inputs[0].name, inputs[0].type.tensor_type
        sides = [side.dim_value for side in kind.shape.dim]
        if kind.elem_type not in (TensorProto.FLOAT, TensorProto.UINT8, TensorProto.INT16):
            raise SignbitError(f"input {shown(name)} must be float32 or uint8 numbers")
        shape = tuple(sides[1:])
        if not 1 <= len(shape) <= 3 or min(shape) < 1:
            raise SignbitError(
                f"input {shown(name)} has the shape {tuple(sides)} (0: unknown); export it with a batch and 1 to 3 "
                "known sides"
            )
        if sides[0] > 1:
            raise SignbitError(
                f"input {shown(name)} has a batch of {sides[0]:,}; export it with a batch of 1, or an open one "
                "(dynamic_axes)"
            )
        if math.prod(shape) > INPUT_SIZE_MAX:
            raise SignbitError(f"input {shown(name)} has more than {INPUT_SIZE_MAX:,} numbers")
        places = np.arange(size_of(shape), dtype=np.int32).reshape(1, *shape)
        slot = InputSlot(0, Value(shape, Encoding.UINT8, 0, 255), _usual(places, self.options.layout))
        unit = self.options.input_unit
        if unit is None:
            unit = INPUT_UNIT if kind.elem_type == TensorProto.FLOAT else 1.0
        tensor = Tensor(slot, places, np.float64(unit), np.float64(0), elem_type=kind.elem_type)
        self.known[name] = tensor
        return tensor

    def _logit_shift(self, final: Known | None) -> int:
        """What a logit is worth, as a power of 2; ends the layers with those of `final`."""
        if (given := made_of([final])) is not None:
            raise SignbitError(given.reason)
        if isinstance(final, Difference):
            raise SignbitError(f"the network's output {elementwise.NO_DIFFERENCE}")
        if not isinstance(final, Tensor):
            raise SignbitError("the graph's output does not depend on its input")
        is_own = isinstance(final.source, Slot) and final.source.value.encoding is Encoding.INT32
        return own.logit_shift(self.proto) if is_own else self.builder.logits(final)

    def _model(self, layers: Sequence[Layer], certificates: Sequence[Certificate | None], shift: int) -> QuantizedModel:
        found, options, certificate = self.proto, self.options, _total(certificates)
        labels = options.labels or own.labels(found) or tuple(map(str, range(layers[-1].neurons)))
        record = {
            **({"sha256": options.sha256} if options.sha256 else {}),
            "producer": shown(f"{found.producer_name} {found.producer_version}".strip()),
            "accumulators": certificate.possible,
            "rounded_differently": certificate.different,
        }
        return QuantizedModel(
            options.name,
            self.builder.input.value.shape,
            self.builder.input_shift,
            layers,
            labels,
            shift,
            provenance={"imported": record},
            input_quantization=self.builder.input_quantization,
            reject=own.reject(found),
        ).validate()


def _usual(places: np.ndarray, layout: str | None) -> np.ndarray | None:
    """Places (1, ...) of an input in the order HWC; None where only the layout can tell, which was not given."""
    shape = places.shape[1:]
    if len(shape) < 3 or layout == "NHWC" or (layout is None and shape[2] == 1):
        return places[0]
    return np.moveaxis(places[0], 0, 2) if layout == "NCHW" or shape[0] == 1 else None


def _total(certificates: Sequence[Certificate | None]) -> Certificate:
    return sum((each for each in certificates if each), Certificate(0, 0))


def _array(tensor: TensorProto) -> np.ndarray:
    try:
        found = numpy_helper.to_array(tensor)
    except KeyError:
        raise SignbitError(f"tensor {shown(tensor.name)} is of an unknown type, {tensor.data_type}") from None
    except (ValueError, TypeError) as error:
        raise SignbitError(f"tensor {shown(tensor.name)}: {_one_line(error)}") from None
    if found.dtype.kind in "cOSU":
        raise SignbitError(f"tensor {shown(tensor.name)} holds {found.dtype}, which are no real numbers")
    return found


def _one_line(error: Exception) -> str:
    return shown(" ".join(str(error).split()), 100)
