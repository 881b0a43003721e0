"""The plan: every decision about the generated C, resolved.  Templates only lay it out."""

import hashlib
from dataclasses import dataclass

import numpy as np

from codegen import arena
from codegen.ctext import check_prefix, prefix_from, string_literal
from codegen.kernels import Kernel, choose
from qmodel import __version__
from qmodel.activations import Logits
from qmodel.errors import SignbitError
from qmodel.model import QuantizedModel
from qmodel.ranges import LayerRange

LOGIT_BYTES = 4
TEST_VECTORS_MAX = 256


@dataclass(frozen=True)
class CArray:
    """A `static const` array in flash."""

    symbol: str
    ctype: str
    values: np.ndarray

    @property
    def size_bytes(self) -> int:
        return self.values.nbytes


@dataclass(frozen=True)
class LayerPlan:
    """One layer: its kernel, where it reads and writes, and what it costs.

    `input_offset` is None where the caller's input is read, `output_offset` where the caller's logits are
    written; all other places are bytes into the arena.
    """

    index: int
    kind: str
    symbol: str
    kernel: Kernel
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    input_offset: int | None
    output_offset: int | None
    output_bytes: int
    input_shift: int
    fan_in: int
    neurons: int
    shift: int | None
    high: int | None
    weights: CArray
    multiplier: CArray
    bias: CArray
    weight_count: int
    macs: int
    range: LayerRange

    @property
    def parameter_bytes(self) -> int:
        return self.multiplier.size_bytes + self.bias.size_bytes

    @property
    def flash_bytes(self) -> int:
        return self.weights.size_bytes + self.parameter_bytes


@dataclass(frozen=True)
class SelfTestVector:
    """An input and the logits that the model gives for it."""

    input: CArray
    logits: CArray


@dataclass(frozen=True)
class Plan:
    """All that the header says.  `prefix` stands in front of every symbol, `macro_prefix` of every macro."""

    tool_version: str
    model_name: str
    model_hash: str
    prefix: str
    macro_prefix: str
    target: str
    input_size: int
    output_size: int
    input_shift: int
    logit_shift: int
    labels: tuple[str, ...]
    layers: tuple[LayerPlan, ...]
    kernels: tuple[Kernel, ...]
    logits_offset: int
    scratch_bytes: int
    test_vectors: tuple[SelfTestVector, ...]
    accuracy: str | None

    @property
    def model_id(self) -> int:
        """The first 32 bits of the model's hash."""
        return int(self.model_hash[:8], 16)

    @property
    def data_bytes(self) -> int:
        """Weights and parameters in flash."""
        return sum(layer.flash_bytes for layer in self.layers)

    @property
    def macs(self) -> int:
        return sum(layer.macs for layer in self.layers)


def make_plan(
    model: QuantizedModel, prefix: str | None = None, target: str = "portable", test_vectors: int = 0
) -> Plan:
    """Resolve everything for `model`.

    `prefix` defaults to the model's name; `test_vectors` inputs with their logits are embedded for a self-test.
    Raises SignbitError for a prefix or a number that can't be.
    """
    prefix = check_prefix(prefix) if prefix is not None else prefix_from(model.name)
    if not 0 <= test_vectors <= TEST_VECTORS_MAX:
        raise SignbitError(f"--test-vectors is {test_vectors}, but must be 0 to {TEST_VECTORS_MAX}")
    sizes = [int(np.prod(shape)) for shape in model.shapes]
    last = len(model.layers) - 1
    # layer i writes its buffer at step i and layer i + 1 reads it; predict's logits live at the last step
    buffers = [arena.Buffer(size, step, step + 1) for step, size in enumerate(sizes[1:-1])]
    buffers.append(arena.Buffer(sizes[-1] * LOGIT_BYTES, last, last))
    offsets, scratch_bytes = arena.place(buffers)
    layers = tuple(
        _layer_plan(
            model,
            index,
            choose(model.layers[index], target),
            f"{prefix}_layer{index}",
            input_offset=offsets[index - 1] if index else None,
            output_offset=offsets[index] if index < last else None,
        )
        for index in range(len(model.layers))
    )
    return Plan(
        tool_version=__version__,
        model_name=model.name,
        model_hash=model.hash,
        prefix=prefix,
        macro_prefix=prefix.upper(),
        target=target,
        input_size=model.input_size,
        output_size=model.output_size,
        input_shift=model.input_shift,
        logit_shift=model.logit_shift,
        labels=tuple(string_literal(label) for label in model.labels),
        layers=layers,
        kernels=tuple(dict.fromkeys(layer.kernel for layer in layers)),
        logits_offset=offsets[-1],
        scratch_bytes=scratch_bytes,
        test_vectors=tuple(_test_vector(model, number) for number in range(test_vectors)),
        accuracy=_accuracy(model.provenance),
    )


def _layer_plan(
    model: QuantizedModel,
    index: int,
    kernel: Kernel,
    symbol: str,
    input_offset: int | None,
    output_offset: int | None,
) -> LayerPlan:
    layer = model.layers[index]
    activation = layer.activation
    hidden = not isinstance(activation, Logits)
    output_size = int(np.prod(model.shapes[index + 1]))
    return LayerPlan(
        index=index,
        kind=layer.kind,
        symbol=symbol,
        kernel=kernel,
        input_shape=model.shapes[index],
        output_shape=model.shapes[index + 1],
        input_offset=input_offset,
        output_offset=output_offset,
        output_bytes=output_size if hidden else output_size * LOGIT_BYTES,
        input_shift=0 if index else model.input_shift,
        fan_in=layer.fan_in,
        neurons=layer.neurons,
        shift=activation.shift if hidden else None,
        high=activation.high if hidden else None,
        weights=CArray(f"{symbol}_weights", "uint32_t", kernel.pack(layer)),
        multiplier=CArray(f"{symbol}_multiplier", "int16_t", activation.multiplier),
        bias=CArray(f"{symbol}_bias", "int32_t", activation.bias),
        weight_count=layer.weights.size,
        macs=layer.macs(model.shapes[index]),
        range=model.ranges[index],
    )


def _test_vector(model: QuantizedModel, number: int) -> SelfTestVector:
    """A fixed pseudo-random input, every second one dark, with its logits."""
    octets = hashlib.shake_256(f"signbit test vector {number}".encode()).digest(model.input_size)
    inputs = np.frombuffer(octets, np.uint8) >> np.uint8(2 * (number % 2))
    return SelfTestVector(
        CArray("inputs", "uint8_t", inputs), CArray("expected", "int32_t", model.run(inputs[None])[0])
    )


def _accuracy(provenance: dict) -> str | None:
    """Test accuracy of the integer model, as the trainer recorded it; only numbers get into the header."""
    try:
        record = provenance["accuracy"]["test"]
        correct, count = int(record["integer_correct"]), int(record["count"])
    except (KeyError, TypeError, ValueError):
        return None
    return f"{100 * correct / count:.2f} % of {count} test inputs" if 0 <= correct <= count and count else None
