"""The model file: a .npz with a JSON header, read and never run -- SPEC 9."""

import io
import json
import math
import os
import zipfile
import zlib
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from qmodel.atomic import write_whole
from qmodel.errors import SignbitError
from qmodel.input_quantization import InputQuantization
from qmodel.layers import layer_kind
from qmodel.model import LAYERS_MAX, WORDS_MAX, QuantizedModel, canonical_json

FORMAT = "signbit-model"
VERSION = 1
HEADER = "header"
HEADER_BYTES_MAX = 1 << 20
FILE_BYTES_MAX = 64 << 20
NPY_HEADER_BYTES_MAX = 4096
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
INPUT_QUANTIZATION = "input_quantization"
"""The one key that a model may leave out -- SPEC 11."""


def save(model: QuantizedModel, path: str | os.PathLike) -> None:
    """Write `model` to `path`, whole or not at all; the same model gives the same bytes."""
    write_whole(path, to_bytes(model))


def load(path: str | os.PathLike) -> QuantizedModel:
    """Read and validate a model file; raises SignbitError with what is wrong, or OSError."""
    path = Path(path)
    if path.stat().st_size > FILE_BYTES_MAX:
        raise SignbitError(f"{path}: larger than any model file ({FILE_BYTES_MAX} bytes)")
    try:
        return from_bytes(path.read_bytes())
    except SignbitError as error:
        raise SignbitError(f"{path}: {error}") from None


def to_bytes(model: QuantizedModel) -> bytes:
    """The model file's content."""
    model.validate()
    header = {
        "format": FORMAT,
        "version": VERSION,
        "name": model.name,
        "hash": model.hash,
        "provenance": model.provenance,
        **model.settings(),
    }
    entries = {HEADER: np.frombuffer(canonical_json(header).encode(), np.uint8)}
    for index, layer in enumerate(model.layers):
        entries |= {_entry(index, name): array for name, array in layer.arrays().items()}
    if model.input_quantization is not None:
        entries |= {_input_entry(name): array for name, array in model.input_quantization.arrays().items()}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in entries.items():
            content = io.BytesIO()
            little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
            npy.write_array(content, little, version=(1, 0), allow_pickle=False)
            # ZipInfo's default date is 1980: no clock gets into the file
            info = zipfile.ZipInfo(f"{name}.npy")
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content.getvalue())
    return buffer.getvalue()


def from_bytes(data: bytes) -> QuantizedModel:
    """The validated model of a file's content; raises SignbitError for anything it can't trust."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return _read(archive)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        raise SignbitError(f"not a signbit model file, or damaged ({error})") from None


def _read(archive: zipfile.ZipFile) -> QuantizedModel:
    members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
    if len(members) != len(archive.infolist()) or HEADER not in members:
        raise SignbitError("not a signbit model file (it has no header, or an entry twice)")
    header = _read_header(archive, members)
    layers = header["layers"]
    kinds = [layer_kind(settings) for settings in layers]
    wanted = {
        _entry(index, name): entry
        for index, (kind, settings) in enumerate(zip(kinds, layers, strict=True))
        for name, entry in kind.entries(settings).items()
    }
    input_shape = _whole_numbers(header, "input_shape")
    is_quantized = INPUT_QUANTIZATION in header and min(input_shape, default=0) > 0
    quantized = InputQuantization.entries(input_shape[-1]) if is_quantized else {}
    wanted |= {_input_entry(name): entry for name, entry in quantized.items()}
    if set(members) != {HEADER, *wanted}:
        odd = sorted(set(members) ^ {HEADER, *wanted})[0]
        raise SignbitError(f"entry {odd!r} is {'missing' if odd in wanted else 'not one a model has'}")
    if sum(math.prod(shape) for _, shape in wanted.values()) > WORDS_MAX:
        raise SignbitError("the header asks for more data than any model has")
    arrays = {name: _read_array(archive, members[name], *entry) for name, entry in wanted.items()}
    model = QuantizedModel(
        name=header["name"],
        input_shape=input_shape,
        input_shift=header["input_shift"],
        layers=tuple(
            kind.restore(settings, {name: arrays[_entry(index, name)] for name in kind.entries(settings)})
            for index, (kind, settings) in enumerate(zip(kinds, layers, strict=True))
        ),
        labels=_texts(header, "labels"),
        logit_shift=header["logit_shift"],
        provenance=header["provenance"],
        input_quantization=InputQuantization.restore(
            header[INPUT_QUANTIZATION], {name: arrays[_input_entry(name)] for name in quantized}
        )
        if quantized
        else None,
    ).validate()
    if model.hash != header["hash"]:
        raise SignbitError("the hash does not fit the content; the file is damaged")
    return model


def _read_header(archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo]) -> dict:
    info = members[HEADER]
    if info.file_size > HEADER_BYTES_MAX:
        raise SignbitError("the header is too large")
    content = _member(archive, info)
    start = _npy_start(content, "uint8")
    try:
        header = json.loads(content[start:].decode(), parse_constant=_refuse_constant)
    except (UnicodeDecodeError, ValueError, RecursionError):
        raise SignbitError("the header is not JSON") from None
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise SignbitError("not a signbit model file (its header says otherwise)")
    if header.get("version") != VERSION or isinstance(header["version"], bool):
        raise SignbitError(f"file version {header.get('version')!r} is unknown; this signbit reads version {VERSION}")
    odd = (set(header) ^ KEYS) - {INPUT_QUANTIZATION}
    if odd:
        raise SignbitError(f"the header's key {sorted(odd)[0]!r} is missing or unknown")
    if not isinstance(header["layers"], list) or len(header["layers"]) > LAYERS_MAX:
        raise SignbitError(f"the header has no list of at most {LAYERS_MAX} layers")
    for name in ("input_shift", "logit_shift"):
        if not isinstance(header[name], int) or isinstance(header[name], bool):
            raise SignbitError(f"{name} is not a whole number")
    if not isinstance(header["provenance"], dict):
        raise SignbitError("the header's provenance is not an object")
    return header


def _read_array(archive: zipfile.ZipFile, info: zipfile.ZipInfo, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """An array whose dtype and shape are known beforehand; its size is checked before it is unpacked."""
    size_bytes = math.prod(shape) * np.dtype(dtype).itemsize
    if not size_bytes < info.file_size <= size_bytes + NPY_HEADER_BYTES_MAX:
        raise SignbitError(f"entry {info.filename!r} is not {dtype} of shape {shape}")
    content = _member(archive, info)
    start = _npy_start(content, dtype, shape)
    if len(content) - start != size_bytes:
        raise SignbitError(f"entry {info.filename!r} is not {dtype} of shape {shape}")
    return np.frombuffer(content, np.dtype(dtype).newbyteorder("<"), offset=start).astype(dtype).reshape(shape)


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """Content of an entry, never more than the size that was checked, whatever its stream unpacks to."""
    with archive.open(info) as stream:
        content = stream.read(info.file_size + 1)
    if len(content) != info.file_size:
        raise SignbitError(f"entry {info.filename!r} has another size than the file says")
    return content


def _npy_start(content: bytes, dtype: str, shape: tuple[int, ...] | None = None) -> int:
    """Offset of the data in an .npy of `dtype` (and `shape`); refuses any other."""
    stream = io.BytesIO(content)
    try:
        if npy.read_magic(stream) != (1, 0):
            raise ValueError
        found_shape, fortran, found_dtype = npy.read_array_header_1_0(stream, max_header_size=NPY_HEADER_BYTES_MAX)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        raise SignbitError("an entry is not an array in .npy format 1.0") from None
    right_shape = len(found_shape) == 1 if shape is None else found_shape == shape
    if found_dtype != np.dtype(dtype).newbyteorder("<") or fortran or not right_shape:
        raise SignbitError(f"an entry is {found_dtype} of shape {found_shape}, where {dtype} of {shape} is expected")
    return stream.tell()


def _entry(index: int, name: str) -> str:
    return f"layer{index}.{name}"


def _input_entry(name: str) -> str:
    return f"input.{name}"


def _refuse_constant(name: str):
    raise ValueError(name)


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
