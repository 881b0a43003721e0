"""The quantized model: what the trainer writes, codegen exports and C must equal bit for bit."""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from signbit.qmodel import integer, ranges
from signbit.qmodel.counted import counted
from signbit.qmodel.decision import Decision
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.front_end import FrontEnd, Statistics
from signbit.qmodel.graph import Graph
from signbit.qmodel.input_quantization import Affine, InputQuantization, to_inputs
from signbit.qmodel.layer import CHAIN, LAYERS_MAX, Layer
from signbit.qmodel.reject import Reject
from signbit.qmodel.untrusted import shown
from signbit.qmodel.value import Encoding, Shape, Value, size_of

NAME_PATTERN = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,30}", re.ASCII)
LABEL_BYTES_MAX = 64
INPUT_SIZE_MAX = 1 << 20
WORDS_MAX = 1 << 24
LOGIT_SHIFT_MAX = 26
BATCH = 250
"""Inputs computed at once."""

DECISION = "decision"
"""Part of the model file: when the answers of a stream become a decision."""
FRONT_END = "front_end"
"""Part of the model file: features made from a sensor's samples."""
GRAPH = "graph"
"""Part of the model file: layers that read other values than the one before them."""
INPUT_KINDS = "input_kinds"
"""Part of the model file: inputs from counts by other quantizations than an affine one."""
REJECT = "reject"
"""Part of the model file: inputs that the model refuses."""


@dataclass(frozen=True, eq=False)
class QuantizedModel:
    """Integer layers in the order in which they run, with what is needed to feed them and to read their answer.

    Value 0 is the input, value i + 1 the output of layer i.
    `input_shape` is (H, W, C) or shorter; a caller passes `input_size` bytes, 8-bit inputs that are shifted right
    by `input_shift` before the first layer, or the packed words of one-bit inputs.  A logit is worth
    logits * 2^-logit_shift; `provenance` (how the model was made) is kept but read by nothing.  `input_quantization`
    makes inputs from a sensor's counts; it is None where the inputs are bytes already.  `front_end` makes the counts,
    or the bytes, from a sensor's samples; it is None where nothing comes before them.  `reject` says which inputs are
    refused; without one none is.  `decision` says what the answers of a stream become; without one
    that is the caller's business.
    """

    name: str
    input_shape: Shape
    input_shift: int
    layers: tuple[Layer, ...]
    labels: tuple[str, ...]
    logit_shift: int
    provenance: dict = field(default_factory=dict)
    input_quantization: InputQuantization | None = None
    front_end: FrontEnd | None = None
    reject: Reject | None = None
    decision: Decision | None = None

    @cached_property
    def input_value(self) -> Value:
        """The input as a caller passes it."""
        if self.input_quantization is None:
            return Value(self.input_shape, Encoding.UINT8, 0, 255)
        return self.input_quantization.value(self.counts_shape)

    @property
    def input_size(self) -> int:
        """Bytes."""
        return self.input_value.size_bytes

    @property
    def counts_shape(self) -> Shape:
        """Shape of the sensor counts from which inputs are made."""
        return (*self.input_shape[:-1], self.input_quantization.channels)

    @property
    def sensor_shape(self) -> Shape | None:
        """Shape of the int16 numbers from which inputs are made, samples or counts; None if the model takes bytes."""
        if self.front_end is not None:
            return self.front_end.samples_shape
        return None if self.input_quantization is None else self.counts_shape

    @property
    def output_size(self) -> int:
        return self.values[-1].size

    @cached_property
    def graph(self) -> Graph:
        return Graph.of(self.layers)

    @cached_property
    def values(self) -> tuple[Value, ...]:
        """The input after `input_shift`, and every layer's output; raises SignbitError where a layer does not fit."""
        taken = self.input_value
        values = [replace(taken, high=taken.high >> self.input_shift)]
        for index, layer in enumerate(self.layers):
            with _named(index, layer):
                values.append(checked_output(layer, values))
                if (values[-1].encoding is Encoding.INT32) != (index == len(self.layers) - 1):
                    raise SignbitError("the last layer, and only the last, must give logits")
        return tuple(values)

    def inputs_of(self, index: int) -> tuple[Value, ...]:
        """The values that layer `index` reads."""
        return tuple(self.values[source] for source in self.graph.sources[index])

    @cached_property
    def ranges(self) -> tuple[ranges.LayerRange, ...]:
        """Proved bounds of every layer; raises SignbitError where a value could leave int32."""
        proofs = []
        for index, layer in enumerate(self.layers):
            with _named(index, layer):
                proofs.append(ranges.prove(layer, *self.inputs_of(index)))
        return tuple(proofs)

    @property
    def parts(self) -> tuple[str, ...]:
        """The model file's optional parts that the model uses, in order -- SPEC 9."""
        uses = {
            DECISION: self.decision is not None,
            FRONT_END: self.front_end is not None,
            GRAPH: any(layer.inputs != CHAIN for layer in self.layers),
            INPUT_KINDS: not isinstance(self.input_quantization, Affine | None),
            REJECT: self.reject is not None,
        }
        return tuple(part for part, is_used in uses.items() if is_used)

    @cached_property
    def hash(self) -> str:
        """SHA-256 over what inference reads, and the labels; neither name nor provenance -- SPEC 10."""
        digest = hashlib.sha256(canonical_json(self.settings()).encode())
        for part in filter(None, (*self.layers, self.input_quantization, self.front_end, self.reject, self.decision)):
            for array in part.arrays().values():
                digest.update(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes())
        return digest.hexdigest()

    def settings(self) -> dict:
        """All of the model but its arrays, name and provenance, as plain JSON values."""
        quantization, front_end = self.input_quantization, self.front_end
        return {
            "input_shape": list(self.input_shape),
            "input_shift": self.input_shift,
            "layers": [layer.settings() for layer in self.layers],
            "labels": list(self.labels),
            "logit_shift": self.logit_shift,
            **({"input_quantization": quantization.settings()} if quantization else {}),
            **({"front_end": front_end.settings()} if front_end else {}),
            **({"reject": self.reject.settings()} if self.reject else {}),
            **({"decision": self.decision.settings()} if self.decision else {}),
        }

    def quantize_input(self, counts: np.ndarray) -> np.ndarray:
        """Inputs, uint8 (batch, input_size), of int16 sensor `counts` (batch, *counts_shape) or flat -- SPEC 11."""
        if self.input_quantization is None:
            raise SignbitError("the model takes bytes as they come; it has no quantization of sensor counts")
        counts = np.asarray(counts)
        _check_array("counts", counts, "int16", self.counts_shape, size_of(self.counts_shape))
        return to_inputs(self.input_quantization, counts.reshape(-1, *self.counts_shape))

    def inputs_from(self, samples: np.ndarray) -> np.ndarray:
        """Inputs, uint8 (batch, input_size), of int16 `samples` (batch, *sensor_shape) or flat -- SPEC 11 and 13."""
        if self.front_end is None:
            return self.quantize_input(samples)
        shape = self.front_end.samples_shape
        samples = np.asarray(samples)
        _check_array("samples", samples, "int16", shape, size_of(shape))
        features = self.front_end.run(samples.reshape(-1, *shape)).reshape(len(samples), -1)
        return features if self.input_quantization is None else self.quantize_input(features)

    def trace(self, inputs: np.ndarray) -> list[np.ndarray]:
        """Every layer's output for uint8 `inputs` of shape (batch, input_size), or (batch, *input_shape) of 8 bits.

        Hidden layers give uint8 arrays of shape (batch, ...), or for one-bit activations the packed channels of each
        pixel, uint32 (batch, ..., words); the last one gives the int32 logits (batch, classes).
        """
        outputs: list[list[np.ndarray]] = [[] for _ in self.layers]
        for batch in self._batches(inputs):
            arrays = self.graph.outputs(batch, self._run_layer)
            for parts, value, array in zip(outputs, self.values[1:], arrays, strict=True):
                parts.append(value.packed(array))
        return [np.concatenate(parts) for parts in outputs]

    def run(self, inputs: np.ndarray) -> np.ndarray:
        """The logits, int32 of shape (batch, classes)."""
        return np.concatenate([self.graph.result(batch, self._run_layer) for batch in self._batches(inputs)])

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        """The class of each input, shape (batch,)."""
        return integer.argmax(self.run(inputs))

    def decide(self, logits: np.ndarray) -> np.ndarray:
        """The class for int32 logits (batch, classes), or `integer.REJECTED` where the model has a reject."""
        return integer.argmax(logits) if self.reject is None else self.reject.run(logits)

    def confidence(self, logits: np.ndarray) -> np.ndarray:
        """Softmax probability of the best class in per mille, as the device computes it."""
        return integer.confidence(logits, self.logit_shift)

    def validate(self) -> "QuantizedModel":
        """Check everything a reader relies on; returns the model, or raises SignbitError with what is wrong."""
        check_name(self.name)
        _check_input(self.input_shape, self.input_shift)
        if self.front_end is not None:
            self._check_front_end(self.front_end)
        if self.input_quantization is not None:
            self.input_quantization.check()
            if self.input_value.shape != self.input_shape:
                raise SignbitError(
                    f"input quantization gives {self.input_value.shape}, but the model takes {self.input_shape}"
                )
        if self.input_shift and self.input_value.encoding is not Encoding.UINT8:
            raise SignbitError("input_shift is for 8-bit inputs")
        if not 1 <= len(self.layers) <= LAYERS_MAX:
            raise SignbitError(f"the model has {len(self.layers)} layers, but must have 1 to {LAYERS_MAX}")
        if sum(size_of(array.shape) for layer in self.layers for array in layer.arrays().values()) > WORDS_MAX:
            raise SignbitError(f"the model is larger than {WORDS_MAX} words")
        if not 0 <= self.logit_shift <= LOGIT_SHIFT_MAX:
            raise SignbitError(f"logit_shift is {self.logit_shift}, but must be 0 to {LOGIT_SHIFT_MAX}")
        check_labels(self.labels, self.output_size)
        if self.reject is not None:
            self.reject.check(self.output_size)
        if self.decision is not None:
            if self.front_end is None or isinstance(self.front_end, Statistics):
                raise SignbitError("a decision is for streams, which need a front end of kind spectrum")
            self.decision.check(self.output_size)
            if self.decision.hops > self.front_end.frames:
                raise SignbitError(
                    f"decision's hops are {self.decision.hops}, but a window has only {self.front_end.frames} frames"
                )
        for value in self.graph.unread:
            raise SignbitError(f"no layer reads the output of layer {value - 1}; leave the layer out")
        _ = self.ranges
        return self

    def _check_front_end(self, front_end: FrontEnd) -> None:
        front_end.check()
        if isinstance(front_end, Statistics) != (self.input_quantization is not None):
            raise SignbitError("an input quantization belongs to a front end of kind stats, and to no other")
        wanted = self.input_shape if self.input_quantization is None else self.counts_shape
        if front_end.features_shape != wanted:
            raise SignbitError(f"front end gives {front_end.features_shape}, but the model takes {wanted}")

    def _batches(self, inputs: np.ndarray) -> Iterator[np.ndarray]:
        """Value 0 for parts of the inputs, so that memory stays bounded for any data set."""
        inputs = inputs if hasattr(inputs, "shape") else np.asarray(inputs)
        _check_array("inputs", inputs, "uint8", self.input_value.shape, self.input_size)
        for start in range(0, len(inputs), BATCH):
            batch = self.input_value.from_bytes(inputs[start : start + BATCH])
            yield batch >> np.uint8(self.input_shift) if self.input_shift else batch

    def _run_layer(self, index: int, arrays: list[np.ndarray]) -> np.ndarray:
        return self.layers[index].run(arrays, self.inputs_of(index))


def checked_output(layer: Layer, values: list[Value]) -> Value:
    """The output of a layer after `values`; raises SignbitError unless it is whole and fits what it reads."""
    for back in layer.inputs:
        if not -len(values) <= back <= -1:
            raise SignbitError(f"reads value {back}, but only {len(values)} are before it; -1 is the nearest")
        if values[back].encoding not in layer.encodings:
            known = " or ".join(sorted(encoding.value for encoding in layer.encodings))
            raise SignbitError(f"reads {known}, but value {back} before it holds {values[back].encoding.value}")
    if len(layer.inputs) not in layer.input_counts:
        least, most = layer.input_counts[0], layer.input_counts[-1]
        allowed = f"{least}" if least == most else f"{least} to {most}"
        raise SignbitError(f"reads {counted(len(layer.inputs), 'value')}, but must read {allowed}")
    inputs = [values[back] for back in layer.inputs]
    layer.check(*inputs)
    return layer.output(*inputs)


def canonical_json(value: dict) -> str:
    """One text for one value: sorted keys, no spaces, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def check_name(name: str) -> None:
    if not isinstance(name, str) or not NAME_PATTERN.fullmatch(name):
        raise SignbitError(
            f"model name {name!r} must be 1 to 31 ASCII letters, digits, '_' or '-', starting with a letter"
        )


def check_labels(labels: tuple[str, ...], classes: int) -> None:
    """Raises SignbitError unless there is one label per class, each different, not empty and short."""
    if len(labels) != classes:
        raise SignbitError(f"{counted(len(labels), 'label')} for {counted(classes, 'class', 'classes')}")
    for label in labels:
        try:
            size_bytes = len(label.encode())
        except (AttributeError, UnicodeEncodeError):
            raise SignbitError(f"label {label!r} is not UTF-8 text") from None
        if not 1 <= size_bytes <= LABEL_BYTES_MAX:
            raise SignbitError(f"label {shown(label, 40)!r} must be 1 to {LABEL_BYTES_MAX} bytes long")
    if len(set(labels)) != len(labels):
        raise SignbitError("two classes have the same label")


class _named:
    """Puts the layer's number and kind in front of an error's text."""

    def __init__(self, index: int, layer: Layer):
        self.place = f"layer {index} ({layer.kind})"

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind, error, traceback) -> None:
        if isinstance(error, SignbitError):
            raise SignbitError(f"{self.place}: {error}") from None


def _check_array(name: str, array: np.ndarray, dtype: str, shape: Shape, size: int) -> None:
    if array.dtype != dtype:
        raise SignbitError(f"{name} are {array.dtype}, but must be {dtype}")
    if array.shape[1:] not in (shape, (size,)):
        raise SignbitError(f"{name} have shape {array.shape[1:]} each, but the model takes {shape}")


def _check_input(shape: Shape, shift: int) -> None:
    if not 1 <= len(shape) <= 3 or any(not isinstance(side, int) or side < 1 for side in shape):
        raise SignbitError(f"input shape {shape} must be 1 to 3 positive whole numbers")
    if int(np.prod(shape, dtype=object)) > INPUT_SIZE_MAX:
        raise SignbitError(f"input shape {shape} has more than {INPUT_SIZE_MAX} values")
    if shift not in (0, 1):
        raise SignbitError(f"input_shift is {shift}, but must be 0 or 1")
