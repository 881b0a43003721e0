"""What a network is made of, before it has weights: read from one line of text, a TOML file, or a preset.

    conv5x5s2:16, conv3x3:32 pool2, conv3x3pad:48, globalavg, dense

A layer is a kind, its options without a space, and after a colon how many outputs it has; then come words:

    convHxW[sN][pad|padN]:N    convolution, kernel H x W, stride N, padded to keep the size (pad) or by N pixels
    depthwiseHxW[sN][pad|padN] one kernel a channel
    dense[:N]                  fully connected; the last layer has as many outputs as there are classes
    avgpoolN, avgpoolHxW       average over windows;  globalavg  over the whole image
    flatten                    allowed where images become vectors; dense does it by itself
    poolN, poolHxW             word: max-pool behind a convolution
    sign, relu                 word: activation of one bit, or of 0..high (the default)
    ternary                    word: weights of +1, 0 and -1
"""

import re
import tomllib
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from signbit.qmodel.errors import SignbitError
from signbit.qmodel.layer import LAYERS_MAX
from signbit.qmodel.value import Shape
from signbit.qmodel.window import Window

WEIGHTED = ("conv", "depthwise", "dense")
KINDS = (*WEIGHTED, "avgpool")
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

    @property
    def window(self) -> Window:
        if self.kind == "avgpool":
            return Window(stride=self.kernel)
        return Window((self.stride, self.stride), self._sides(), self.pool)

    def _sides(self) -> tuple[int, int, int, int]:
        """Padding (top, bottom, left, right); an even kernel gets its odd pixel at the bottom and right."""
        if self.padding != "same":
            return (int(self.padding),) * 4
        height, width = self.kernel
        return (height - 1) // 2, height // 2, (width - 1) // 2, width // 2

    def output_shape(self, shape: Shape) -> Shape:
        """Raises SignbitError where the layer does not fit `shape`."""
        if self.kind == "dense":
            return (self.outputs,)
        try:
            self.window.check(shape, self.kernel)
        except SignbitError as error:
            raise SignbitError(f"--model: {self.text}: {error}") from None
        return (*self.window.output_shape(shape, self.kernel), self.outputs if self.kind == "conv" else shape[2])

    @property
    def text(self) -> str:
        """The layer in the text form."""
        if self.kind == "avgpool":
            return "globalavg" if self.kernel == (0, 0) else f"avgpool{_pool_text(self.kernel)}"
        head = self.kind if self.kind == "dense" else f"{self.kind}{self.kernel[0]}x{self.kernel[1]}"
        head += f"s{self.stride}" if self.stride != 1 else ""
        head += "pad" if self.padding == "same" else f"pad{self.padding}" if self.padding else ""
        head += f":{self.outputs}" if self.outputs else ""
        words = [f"pool{_pool_text(self.pool)}"] if self.pool != (1, 1) else []
        words += [self.activation] if self.activation != "relu" else []
        return " ".join([head, *words, *(["ternary"] if self.ternary else [])])


Architecture = tuple[LayerSpec, ...]


def mlp(sizes: tuple[int, ...]) -> Architecture:
    """Dense layers of `sizes`, and behind them one with an output for each class."""
    return (*(LayerSpec("dense", size) for size in sizes), LayerSpec("dense"))


def architecture_text(architecture: Architecture) -> str:
    return ", ".join(spec.text for spec in architecture)


def parse(text: str) -> Architecture:
    """The architecture of a text; raises SignbitError that names the layer."""
    specs = [_parse_layer(part.strip()) for part in text.split(",") if part.strip() != "flatten"]
    return _checked(tuple(specs))


def read_toml(path: Path) -> Architecture:
    """An architecture from a TOML file: `[[layers]]` tables whose keys are the fields of `LayerSpec`."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SignbitError(f"--model {path}: can't be read ({error})") from None
    except tomllib.TOMLDecodeError as error:
        raise SignbitError(f"--model {path}: {error}") from None
    tables = values.get("layers")
    if set(values) != {"layers"} or not isinstance(tables, list):
        raise SignbitError(f"--model {path}: must hold [[layers]] tables and nothing else")
    return _checked(tuple(_from_table(path, number, table) for number, table in enumerate(tables, start=1)))


def resolve(architecture: Architecture, input_shape: Shape, classes: int) -> Architecture:
    """`architecture` with the sizes that the data decide, checked layer by layer."""
    last = architecture[-1]
    if last.outputs not in (0, classes):
        raise SignbitError(f"the last layer is {last.text}, but the data have {classes} classes; write dense")
    shape, specs = input_shape, []
    for spec in (*architecture[:-1], replace(last, outputs=classes)):
        if spec.kind == "avgpool" and spec.kernel == (0, 0) and len(shape) == 3:
            spec = replace(spec, kernel=(shape[0], shape[1]))
        shape = spec.output_shape(shape)
        specs.append(spec)
    return tuple(specs)


LAYER_PATTERN = re.compile(
    r"(?P<kind>conv|depthwise|avgpool|globalavg|dense)(?P<kernel>\d+(x\d+)?)?"
    r"(s(?P<stride>\d+))?(?P<pad>pad(?P<pixels>\d+)?)?(:(?P<outputs>\d+))?",
    re.ASCII,
)


def _parse_layer(text: str) -> LayerSpec:
    head, *words = text.split() if text else [""]
    match = LAYER_PATTERN.fullmatch(head)
    if not match:
        raise SignbitError(
            f"--model: layer {text!r} is not understood; give a preset (see --help), "
            "a FILE.toml, or layers such as conv3x3:16 pool2 or dense:10"
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
        pool = re.fullmatch(r"pool(\d+(x\d+)?)", word, re.ASCII)
        if pool:
            values["pool"] = _sizes(pool[1])
        elif word in ACTIVATIONS:
            values["activation"] = word
        elif word == "ternary":
            values["ternary"] = True
        else:
            raise SignbitError(f"--model: {word!r} in {text!r} is not understood; words are poolN, sign, relu, ternary")
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
        if isinstance(value, tuple) and (len(value) != 2 or any(type(side) is not int for side in value)):
            raise SignbitError(f"--model {path}: layer {number}: {key} must be two whole numbers")
    return _checked_layer(f"{path}, layer {number}", LayerSpec(**values), set(values) - {"kind"})


FIELDS = {
    "conv": {"outputs", "kernel", "stride", "padding", "pool", "activation", "ternary"},
    "depthwise": {"kernel", "stride", "padding", "pool", "activation", "ternary"},
    "dense": {"outputs", "activation", "ternary"},
    "avgpool": {"kernel"},
}
REQUIRED = {"conv": {"outputs", "kernel"}, "depthwise": {"kernel"}, "dense": set(), "avgpool": {"kernel"}}


def _checked_layer(text: str, spec: LayerSpec, given: set[str]) -> LayerSpec:
    if spec.kind not in KINDS:
        raise SignbitError(f"--model: layer kind {spec.kind!r} is unknown; there are {', '.join(KINDS)}")
    if missing := REQUIRED[spec.kind] - given:
        raise SignbitError(f"--model: {text!r} needs {' and '.join(sorted(missing))}")
    if extra := given - FIELDS[spec.kind]:
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
    return spec


def _checked(architecture: Architecture) -> Architecture:
    if not architecture or architecture[-1].kind != "dense" or architecture[-1].activation != "relu":
        raise SignbitError("--model: the last layer must be dense, without an activation: its outputs are the classes")
    if len(architecture) > LAYERS_MAX:
        raise SignbitError(f"--model: has {len(architecture)} layers, but a model has at most {LAYERS_MAX}")
    for before, spec in zip((None, *architecture), architecture, strict=False):
        if before is not None and before.kind == "dense" and spec.kind != "dense":
            raise SignbitError(f"--model: {spec.text} needs an image, but stands behind {before.text}")
        if before is not None and before.kind == "dense" and before.outputs == 0:
            raise SignbitError("--model: only the last dense layer's size is known; write dense:N for the others")
        if spec.kind == "avgpool" and before is not None and before.activation == "sign":
            raise SignbitError("--model: one-bit values have no average; put relu instead of sign before the pool")
    return architecture


def _sizes(text: str) -> tuple[int, int]:
    height, _, width = text.partition("x")
    return int(height), int(width or height)


def _pool_text(size: tuple[int, int]) -> str:
    return str(size[0]) if size[0] == size[1] else f"{size[0]}x{size[1]}"
