"""The model file: a .npz with a JSON header, read and never run -- SPEC 9."""

import math
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from signbit.qmodel import archive
from signbit.qmodel.atomic import write_whole
from signbit.qmodel.decision import Decision
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.front_end import front_end_kind
from signbit.qmodel.input_quantization import quantization_kind
from signbit.qmodel.layer import LAYERS_MAX
from signbit.qmodel.layers import layer_kind
from signbit.qmodel.model import DECISION, FRONT_END, GRAPH, INPUT_KINDS, REJECT, WORDS_MAX, QuantizedModel
from signbit.qmodel.reject import Reject
from signbit.qmodel.untrusted import read_file

FORMAT = "signbit-model"
VERSION_MAX = 2
PARTS = frozenset({DECISION, FRONT_END, GRAPH, INPUT_KINDS, REJECT})
"""Optional parts that this signbit reads; a file of version 2 names those it uses."""

FILE_BYTES_MAX = 64 << 20
KEYS = {
    "format",
    "version",
    "name",
    "hash",
    "provenance",
    "input_shape",
    "input_shift",
    "layers",
    "labels",
    "logit_shift",
}
PARTS_KEY = "parts"
INPUT_QUANTIZATION = "input_quantization"
OPTIONAL_KEYS = {INPUT_QUANTIZATION, FRONT_END, REJECT, DECISION}
"""A model may leave them out -- SPEC 11 to 14."""


def save(model: QuantizedModel, path: str | os.PathLike) -> None:
    """Write `model` to `path`, whole or not at all; the same model gives the same bytes."""
    write_whole(path, to_bytes(model))


def load(path: str | os.PathLike) -> QuantizedModel:
    """Read and validate a model file; raises SignbitError with what is wrong, or OSError."""
    path = Path(path)
    data = read_file(path, FILE_BYTES_MAX)
    try:
        return from_bytes(data)
    except SignbitError as error:
        raise SignbitError(f"{path}: {error}") from None


def to_bytes(model: QuantizedModel) -> bytes:
    """The model file's content."""
    model.validate()
    header = {
        "format": FORMAT,
        "version": 2 if model.parts else 1,
        **({PARTS_KEY: list(model.parts)} if model.parts else {}),
        "name": model.name,
        "hash": model.hash,
        "provenance": model.provenance,
        **model.settings(),
    }
    arrays = {}
    for index, layer in enumerate(model.layers):
        arrays |= {_entry(index, name): array for name, array in layer.arrays().items()}
    for stage, part in (
        ("input", model.input_quantization),
        (FRONT_END, model.front_end),
        (REJECT, model.reject),
        (DECISION, model.decision),
    ):
        arrays |= _entries(stage, {} if part is None else part.arrays())
    return archive.pack(header, arrays)


def from_bytes(data: bytes) -> QuantizedModel:
    """The validated model of a file's content; raises SignbitError for anything it can't trust."""
    with archive.opened(data, "signbit model file") as content:
        return _read(content)


def _read(content: archive.Archive) -> QuantizedModel:
    header = _checked_header(content)
    layers = header["layers"]
    kinds = [layer_kind(settings) for settings in layers]
    wanted = {
        _entry(index, name): entry
        for index, (kind, settings) in enumerate(zip(kinds, layers, strict=True))
        for name, entry in kind.entries(settings).items()
    }
    input_shape = _whole_numbers(header, "input_shape")
    quantization = header.get(INPUT_QUANTIZATION)
    if quantization is not None and min(input_shape, default=0) > 0:
        quantized = quantization_kind(quantization).entries(quantization, input_shape[-1])
    else:
        quantized = {}
    front_end = header.get(FRONT_END)
    features = {} if front_end is None else front_end_kind(front_end).entries(front_end)
    labels = _texts(header, "labels")
    refused = Reject.entries(header[REJECT], len(labels)) if REJECT in header else {}
    decision = header.get(DECISION)
    decided = {} if decision is None else Decision.entries(decision, len(labels))
    wanted |= _entries("input", quantized) | _entries(FRONT_END, features)
    wanted |= _entries(REJECT, refused) | _entries(DECISION, decided)
    if sum(math.prod(shape) for _, shape in wanted.values()) > WORDS_MAX:
        raise SignbitError("the header asks for more data than any model has")
    arrays = content.arrays(wanted)
    model = QuantizedModel(
        name=header["name"],
        input_shape=input_shape,
        input_shift=header["input_shift"],
        layers=tuple(
            kind.restore(settings, {name: arrays[_entry(index, name)] for name in kind.entries(settings)})
            for index, (kind, settings) in enumerate(zip(kinds, layers, strict=True))
        ),
        labels=labels,
        logit_shift=header["logit_shift"],
        provenance=header["provenance"],
        input_quantization=quantization_kind(quantization).restore(quantization, _part("input", quantized, arrays))
        if quantized
        else None,
        front_end=front_end_kind(front_end).restore(front_end, _part(FRONT_END, features, arrays))
        if features
        else None,
        reject=Reject(**_part(REJECT, refused, arrays)) if refused else None,
        decision=Decision.restore(decision, _part(DECISION, decided, arrays)) if decided else None,
    ).validate()
    if model.hash != header["hash"]:
        raise SignbitError("the hash does not fit the content; the file is damaged")
    used, named = list(model.parts), header.get(PARTS_KEY, [])
    if named != used:
        raise SignbitError(f"the header names the parts {named}, but the model uses {used}")
    return model


def _checked_header(content: archive.Archive) -> dict:
    header = content.header
    version = content.check_format(FORMAT, VERSION_MAX)
    keys = KEYS if version == 1 else KEYS | {PARTS_KEY}
    odd = (set(header) ^ keys) - OPTIONAL_KEYS
    if odd:
        raise SignbitError(f"the header's key {sorted(odd)[0]!r} is missing or unknown")
    for part in _texts(header, PARTS_KEY) if version > 1 else ():
        if part not in PARTS:
            raise SignbitError(f"the model needs a newer signbit: part {part!r}")
    if not isinstance(header["layers"], list) or len(header["layers"]) > LAYERS_MAX:
        raise SignbitError(f"the header has no list of at most {LAYERS_MAX} layers")
    for name in ("input_shift", "logit_shift"):
        if not isinstance(header[name], int) or isinstance(header[name], bool):
            raise SignbitError(f"{name} is not a whole number")
    if not isinstance(header["provenance"], dict):
        raise SignbitError("the header's provenance is not an object")
    return header


def _entry(index: int, name: str) -> str:
    return f"layer{index}.{name}"


def _entries(part: str, values: dict) -> dict:
    """Values by the names that the file has for them."""
    return {f"{part}.{name}": value for name, value in values.items()}


def _part(part: str, names: Iterable[str], arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A part's arrays by their own names."""
    return {name: arrays[f"{part}.{name}"] for name in names}


def _whole_numbers(header: dict, name: str) -> tuple[int, ...]:
    values = header[name]
    if not isinstance(values, list) or any(not isinstance(v, int) or isinstance(v, bool) for v in values):
        raise SignbitError(f"{name} is not a list of whole numbers")
    return tuple(values)


def _texts(header: dict, name: str) -> tuple[str, ...]:
    values = header[name]
    if not isinstance(values, list) or any(not isinstance(v, str) for v in values):
        raise SignbitError(f"{name} is not a list of texts")
    return tuple(values)
