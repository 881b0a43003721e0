"""What a network is made of, before it has weights: read from one line of text, a TOML file, or a preset.

    conv5x5s2:16, conv3x3:32 pool2, conv3x3pad:48, globalavg, dense

A layer is a kind, its options without a space, and after a colon how many outputs it has; then come words:

    convHxW[sN][pad|padN]:N    convolution, kernel H x W, stride N, padded to keep the size (pad) or by N pixels
    depthwiseHxW[sN][pad|padN] one kernel per channel
    dense[:N]                  fully connected; the last layer has as many outputs as there are classes
    avgpoolN, avgpoolHxW       average over windows;  globalavg  over the whole image
    add(-N)                    the value before it plus the one N values back, of the same shape: a residual connection
    concat(-N)                 channels of the value before it, then those of the one N values back; vectors too
    flatten                    allowed where images become vectors; dense does it by itself
    poolN, poolHxW             word: max-pool after a convolution
    sign, relu                 word: activation of one bit, or of 0..high (the default)
    from(-N)                   word: reads the value N back
    ternary                    word: weights of +1, 0 and -1

Values are counted back from the layer that reads them: -1 is the output of the layer before it, -2 that of the one
before that, and the first layer's -1 is the network's input.  add and concat take several: add(-2,-4).  So this adds
the outputs of the two convolutions, and the next one reads their sum:

    conv3x3pad:16, conv3x3pad:16, add(-2), conv3x3:16 pool2, dense
"""

import math
import re
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from signbit.qmodel.errors import SignbitError
from signbit.qmodel.graph import Graph
from signbit.qmodel.integer import FAN_IN_MAX
from signbit.qmodel.layer import CHAIN, LAYERS_MAX, Layer
from signbit.qmodel.layers import AveragePool
from signbit.qmodel.merge import Add, Concatenate
from signbit.qmodel.model import checked_output
from signbit.qmodel.untrusted import read_file
from signbit.qmodel.value import Encoding, Shape, Value
from signbit.qmodel.window import Window

TOML_BYTES_MAX = 1 << 20
WEIGHTS_MAX = 1 << 27
"""Most weights of a layer.  Training holds several real numbers for each."""
VALUES_MAX = 1 << 22
"""That a layer gives for an input."""
WEIGHTED = ("conv", "depthwise", "dense")
MERGES = {"add": Add, "concat": Concatenate}
KINDS = (*WEIGHTED, "avgpool", *MERGES)
ACTIVATIONS = ("relu", "sign")


@dataclass(frozen=True)
class LayerSpec:
    """One layer of an architecture.  `outputs` 0 is the number of classes, `kernel` (0, 0) the whole image."""

    kind: str
    outputs: int = 0
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1
    padding: int | str = 0
    """Pixels on every side, or "same": output as large as the input at stride 1."""
    pool: tuple[int, int] = (1, 1)
    activation: str = "relu"
    ternary: bool = False
    inputs: tuple[int, ...] = CHAIN
    """The values that it reads, counted back from the layer."""

    @property
    def window(self) -> Window:
        return Window((self.stride, self.stride), self._sides(), self.pool)

    def _sides(self) -> tuple[int, int, int, int]:
        """Padding (top, bottom, left, right); an even kernel gets its odd pixel at the bottom and right."""
        if self.padding != "same":
            return (int(self.padding),) * 4
        height, width = self.kernel
        return (height - 1) // 2, height // 2, (width - 1) // 2, width // 2

    def output_shape(self, shape: Shape) -> Shape:
        """The output shape of a layer with weights; raises SignbitError where it does not fit `shape`."""
        if self.kind == "dense":
            return (self.outputs,)
        self.window.check(shape, self.kernel)
        return (*self.window.output_shape(shape, self.kernel), self.outputs if self.kind == "conv" else shape[2])

    def without_weights(self, *inputs: Value) -> Layer:
        """The integer model's layer, which is known before training; merged values keep their scale."""
        high = max(value.high for value in inputs)
        if self.kind in MERGES:
            return MERGES[self.kind](self.inputs, high, (1,) * len(inputs), 0)
        shape = inputs[0].shape
        whole_image = self.kernel == (0, 0)
        return AveragePool(shape[:2] if whole_image else self.kernel, shape[-1], high, self.inputs)

    def output(self, values: Sequence[Value], high: int) -> Value:
        """What it makes from `values`, all those before it; raises SignbitError where it does not fit them.

        `high` is the largest activation.  The last layer's output is given as if it had an activation.
        """
        inputs = [values[back] for back in self.inputs]
        if self.kind == "add" and len({value.high for value in inputs}) > 1:
            ranges = " and ".join(sorted(f"{value.low}..{value.high}" for value in inputs))
            raise SignbitError(f"adds values of one range, but gets {ranges}; the input's is that of --high 127 or 255")
        if self.kind not in WEIGHTED:
            return checked_output(self.without_weights(*inputs), list(values))
        shape = self.output_shape(inputs[0].shape)
        is_sign = self.activation == "sign"
        return Value(shape, Encoding.BIT, -1, 1) if is_sign else Value(shape, Encoding.UINT8, 0, high)

    @property
    def text(self) -> str:
        """The layer in the text form."""
        if self.kind == "avgpool":
            head = "globalavg" if self.kernel == (0, 0) else f"avgpool{_pool_text(self.kernel)}"
        elif self.kind in MERGES:
            return f"{self.kind}({','.join(map(str, self.inputs[1:]))})"
        else:
            head = self.kind if self.kind == "dense" else f"{self.kind}{self.kernel[0]}x{self.kernel[1]}"
            head += f"s{self.stride}" if self.stride != 1 else ""
            head += "pad" if self.padding == "same" else f"pad{self.padding}" if self.padding else ""
            head += f":{self.outputs}" if self.outputs else ""
        words = [f"pool{_pool_text(self.pool)}"] if self.pool != (1, 1) else []
        words += [self.activation] if self.activation != "relu" else []
        words += ["ternary"] if self.ternary else []
        words += [f"from({self.inputs[0]})"] if self.inputs != CHAIN else []
        return " ".join([head, *words])


Architecture = tuple[LayerSpec, ...]


def mlp(sizes: tuple[int, ...]) -> Architecture:
    """Dense layers of `sizes`, and after them one with an output for each class."""
    return (*(LayerSpec("dense", size) for size in sizes), LayerSpec("dense"))


def architecture_text(architecture: Architecture) -> str:
    return ", ".join(spec.text for spec in architecture)


def parse(text: str) -> Architecture:
    """The architecture of a text; raises SignbitError that names the layer."""
    parts = [part.strip() for part in re.split(r",(?![^()]*\))", text)]
    specs = [_parse_layer(part) for part in parts if part != "flatten"]
    return _checked(tuple(specs))


def read_toml(path: Path) -> Architecture:
    """An architecture from a TOML file: `[[layers]]` tables whose keys are the fields of `LayerSpec`."""
    try:
        values = tomllib.loads(read_file(path, TOML_BYTES_MAX).decode())
    except SignbitError as error:
        raise SignbitError(f"--model {error}") from None
    except (OSError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise SignbitError(f"--model {path}: can't be read ({error})") from None
    tables = values.get("layers")
    if set(values) != {"layers"} or not isinstance(tables, list):
        raise SignbitError(f"--model {path}: must hold [[layers]] tables and nothing else")
    return _checked(tuple(_from_table(path, number, table) for number, table in enumerate(tables, start=1)))


def resolve(architecture: Architecture, input_shape: Shape, classes: int) -> Architecture:
    """`architecture` with the sizes that the data decide, checked layer by layer."""
    last = architecture[-1]
    if last.outputs not in (0, classes):
        raise SignbitError(f"the last layer is {last.text}, but the data have {classes} classes; write dense")
    resolved = (*architecture[:-1], replace(last, outputs=classes))
    values_of(resolved, Value(input_shape, Encoding.UINT8, 0, 255), 255)
    return resolved


def values_of(architecture: Architecture, first: Value, high: int) -> list[Value]:
    """The network's input, `first`, and each layer's output; raises SignbitError that names the impossible layer."""
    values = [first]
    for number, spec in enumerate(architecture, start=1):
        try:
            output = spec.output(values, high)
            _check_size(spec, values[spec.inputs[0]].shape, output.shape)
            values.append(output)
        except SignbitError as error:
            raise SignbitError(f"--model: layer {number}, {spec.text}: {error}") from None
    return values


def _check_size(spec: LayerSpec, shape: Shape, output_shape: Shape) -> None:
    """Refuse, before training and before allocating memory, what no model can have."""
    window = spec.kernel[0] * spec.kernel[1]
    inputs = {"dense": math.prod(shape), "conv": window * shape[-1], "depthwise": window}.get(spec.kind, 0)
    if inputs > FAN_IN_MAX:
        raise SignbitError(f"has {inputs:,} inputs per neuron, but at most {FAN_IN_MAX:,} are possible")
    if inputs * spec.outputs > WEIGHTS_MAX or math.prod(output_shape) > VALUES_MAX:
        raise SignbitError("has too many weights or outputs for a model; make it smaller")


LAYER_PATTERN = re.compile(
    r"(?P<kind>conv|depthwise|avgpool|globalavg|dense)(?P<kernel>\d{1,9}(x\d{1,9})?)?"
    r"(s(?P<stride>\d{1,9}))?(?P<pad>pad(?P<pixels>\d{1,9})?)?(:(?P<outputs>\d{1,9}))?",
    re.ASCII,
)
MERGE_PATTERN = re.compile(r"(?P<kind>add|concat)\s*\((?P<back>\s*-\d{1,9}\s*(,\s*-\d{1,9}\s*)*)\)", re.ASCII)


def _parse_layer(text: str) -> LayerSpec:
    if merge := MERGE_PATTERN.fullmatch(text):
        inputs = (-1, *map(int, merge["back"].split(",")))
        return _checked_layer(text, LayerSpec(merge["kind"], inputs=inputs), {"inputs"})
    head, *words = text.split() if text else [""]
    match = LAYER_PATTERN.fullmatch(head)
    if not match:
        raise SignbitError(
            f"--model: layer {text!r} is not understood; give a preset (see --help), "
            "a FILE.toml, or layers such as conv3x3:16 pool2, add(-2) or dense:10"
        )
    values: dict = {"kind": match["kind"]}
    if match["kind"] == "globalavg":
        values = {"kind": "avgpool", "kernel": (0, 0)}
    if match["kernel"]:
        values["kernel"] = _sizes(match["kernel"])
    if match["stride"]:
        values["stride"] = int(match["stride"])
    if match["pad"]:
        values["padding"] = int(match["pixels"]) if match["pixels"] else "same"
    if match["outputs"]:
        values["outputs"] = int(match["outputs"])
    for word in words:
        if pool := re.fullmatch(r"pool(\d{1,9}(x\d{1,9})?)", word, re.ASCII):
            key, value = "pool", _sizes(pool[1])
        elif back := re.fullmatch(r"from\((-\d{1,9})\)", word, re.ASCII):
            key, value = "inputs", (int(back[1]),)
        elif word in ACTIVATIONS:
            key, value = "activation", word
        elif word == "ternary":
            key, value = "ternary", True
        else:
            known = "poolN, sign, relu, ternary, from(-N)"
            raise SignbitError(f"--model: {word!r} in {text!r} is not understood; words are {known}")
        if key in values:
            raise SignbitError(f"--model: {text!r} says twice what its {key} is")
        values[key] = value
    return _checked_layer(text, LayerSpec(**values), set(values) - {"kind"})


def _from_table(path: Path, number: int, table: object) -> LayerSpec:
    defaults = asdict(LayerSpec("dense"))
    unknown = set(table) - set(defaults) if isinstance(table, dict) else {"?"}
    if unknown or "kind" not in table:
        raise SignbitError(f"--model {path}: layer {number} may have the keys {', '.join(defaults)}, and needs kind")
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
    for key, value in values.items():
        allowed = (int, str) if key == "padding" else type(defaults[key])
        if not isinstance(value, allowed) or (isinstance(value, bool) and key != "ternary"):
            raise SignbitError(f"--model {path}: layer {number}: {key} is {value!r}, which has the wrong type")
        if isinstance(value, tuple):
            count = "two" if key != "inputs" else "one or more"
            if len(value) not in ((2,) if key != "inputs" else range(1, LAYERS_MAX)) or set(map(type, value)) != {int}:
                raise SignbitError(f"--model {path}: layer {number}: {key} must be {count} whole numbers")
    return _checked_layer(f"{path}, layer {number}", LayerSpec(**values), set(values) - {"kind"})


NEEDED = {
    "conv": {"outputs", "kernel"},
    "depthwise": {"kernel"},
    "dense": set(),
    "avgpool": {"kernel"},
    "add": {"inputs"},
    "concat": {"inputs"},
}
ALLOWED = {
    "conv": {"stride", "padding", "pool", "activation", "ternary", "inputs"},
    "depthwise": {"stride", "padding", "pool", "activation", "ternary", "inputs"},
    "dense": {"outputs", "activation", "ternary", "inputs"},
    "avgpool": {"inputs"},
    "add": set(),
    "concat": set(),
}
"""Fields of `LayerSpec` that a kind has besides those it needs."""


def _checked_layer(text: str, spec: LayerSpec, given: set[str]) -> LayerSpec:
    if spec.kind not in KINDS:
        raise SignbitError(f"--model: layer kind {spec.kind!r} is unknown; there are {', '.join(KINDS)}")
    if missing := NEEDED[spec.kind] - given:
        raise SignbitError(f"--model: {text!r} needs {' and '.join(sorted(missing))}")
    if extra := given - NEEDED[spec.kind] - ALLOWED[spec.kind]:
        raise SignbitError(f"--model: {text!r}: {spec.kind} has no {' or '.join(sorted(extra))}")
    if spec.activation not in ACTIVATIONS:
        raise SignbitError(f"--model: {text!r}: activation must be {' or '.join(ACTIVATIONS)}")
    if isinstance(spec.padding, str) and spec.padding != "same":
        raise SignbitError(f'--model: {text!r}: padding must be a number of pixels or "same"')
    whole_image = spec.kind == "avgpool" and spec.kernel == (0, 0)
    sides = (*spec.pool, spec.stride, *(() if whole_image else spec.kernel))
    if not all(1 <= side <= 255 for side in sides) or not 0 <= max(spec.window.padding) <= 255:
        raise SignbitError(f"--model: {text!r}: kernel, stride and pool must be 1 to 255, padding 0 to 255")
    if not ("outputs" not in given and spec.outputs == 0) and not 1 <= spec.outputs <= 65_535:
        raise SignbitError(f"--model: {text!r}: outputs must be 1 to 65535")
    _check_inputs(text, spec)
    return spec


def _check_inputs(text: str, spec: LayerSpec) -> None:
    nearest, *others = spec.inputs
    if spec.kind not in MERGES:
        if others or nearest > -1:
            raise SignbitError(f"--model: {text!r}: {spec.kind} reads one value, -1 or further back")
    elif nearest != -1 or not others or max(others) > -2 or len(set(others)) < len(others):
        raise SignbitError(
            f"--model: {text!r}: {spec.kind} reads -1, the value before it, and others once each, from -2 on"
        )


def _checked(architecture: Architecture) -> Architecture:
    if not architecture or architecture[-1].kind != "dense" or architecture[-1].activation != "relu":
        raise SignbitError("--model: the last layer must be dense, without an activation: its outputs are the classes")
    if len(architecture) > LAYERS_MAX:
        raise SignbitError(f"--model: has {len(architecture)} layers, but a model has at most {LAYERS_MAX}")
    for number, spec in enumerate(architecture, start=1):
        if number < len(architecture) and spec.kind == "dense" and spec.outputs == 0:
            raise SignbitError("--model: only the last dense layer's size is known; write dense:N for the others")
        if (back := -min(spec.inputs)) > number:
            place = f"layer {number}, {spec.text}"
            raise SignbitError(f"--model: {place}: reads the value {back} back, but there are only {number} before it")
    for value in Graph.of(architecture).unread:
        raise SignbitError(f"--model: no layer reads the output of layer {value}, {architecture[value - 1].text}")
    return architecture


def _sizes(text: str) -> tuple[int, int]:
    height, _, width = text.partition("x")
    return int(height), int(width or height)


def _pool_text(size: tuple[int, int]) -> str:
    return str(size[0]) if size[0] == size[1] else f"{size[0]}x{size[1]}"
