"""An ONNX file, read with bounds: its size, nodes and tensors, and no file but itself unless the caller asks."""

import hashlib
import os
import re
from pathlib import Path

from signbit.bridge.graph.library import DecodeError, ModelProto, NodeProto, TensorProto, helper, onnx
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.untrusted import open_file, read_file, shown

FILE_BYTES_MAX = 64 << 20
"""The largest graph, and the largest file of external data."""
NODES_MAX = 4096
TENSORS_MAX = 4096
OPSET_MIN = 11
"""Older ones keep in attributes what is an input since."""

QONNX_DOMAIN = "qonnx.custom_op.general"
QONNX_DOMAINS = frozenset({QONNX_DOMAIN, "onnx.brevitas", "finn.custom_op.general", "qonnx.custom_op.fpgadataflow"})
OWN_DOMAIN = "signbit"
DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft", OWN_DOMAIN}) | QONNX_DOMAINS


def read(path: str | os.PathLike, external_data: bool = False) -> tuple[ModelProto, str]:
    """The checked model in the file `path`, and the file's SHA-256; raises SignbitError or OSError.

    `external_data` lets tensors be read from files in the same folder.
    """
    path = Path(path)
    try:
        data = read_file(path, FILE_BYTES_MAX)
        return checked(parse(data), path.parent if external_data else None), hashlib.sha256(data).hexdigest()
    except SignbitError as error:
        text = str(error)
        raise SignbitError(text if text.startswith(str(path)) else f"{path}: {text}") from None


def parse(data: bytes) -> ModelProto:
    """The model of a file's content."""
    model = ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError:
        raise SignbitError("is no ONNX file") from None
    if not model.HasField("graph") or not model.graph.node:
        raise SignbitError("is no ONNX file, or one without a graph")
    return model


def checked(model: ModelProto, folder: Path | None = None) -> ModelProto:
    """The model, valid by ONNX's own checker, with all data in it and other people's local functions written out.

    `folder` is where external data may lie; None allows none.
    """
    graph = model.graph
    _bound("nodes", len(_nodes(model)), NODES_MAX)
    _bound("tensors", len(graph.initializer), TENSORS_MAX)
    _check_texts(model)
    _check_opsets(model)
    if graph.sparse_initializer:
        raise SignbitError("has sparse tensors; export it with plain ones")
    for tensor in graph.initializer:
        if tensor.data_location == TensorProto.EXTERNAL:
            _load_external(tensor, folder)
    try:
        onnx.checker.check_model(model)
        foreign = [(f.domain, f.name) for f in model.functions if f.domain != OWN_DOMAIN]
        if foreign:
            model = onnx.inliner.inline_selected_functions(model, foreign)
            _bound("nodes", len(model.graph.node), NODES_MAX)
    except (onnx.checker.ValidationError, RuntimeError, ValueError) as error:
        raise SignbitError(f"is not valid ONNX: {_one_line(error)}") from None
    return model


def _bound(what: str, count: int, most: int) -> None:
    if count > most:
        raise SignbitError(f"has {count:,} {what}; at most {most:,} are read")


def _check_texts(model: ModelProto) -> None:
    """protobuf gives text that is not UTF-8 as bytes."""
    graph, nodes = model.graph, _nodes(model)
    named = (*graph.initializer, *graph.input, *graph.output, *model.functions, *nodes)
    texts = [each.name for each in (*named, *(attribute for node in nodes for attribute in node.attribute))]
    texts += [each.domain for each in (*model.opset_import, *model.functions, *nodes)]
    texts += [text for node in nodes for text in (node.op_type, *node.input, *node.output)]
    texts += [text for each in model.metadata_props for text in (each.key, each.value)]
    texts += [text for each in graph.initializer for entry in each.external_data for text in (entry.key, entry.value)]
    if not all(isinstance(text, str) for text in (*texts, model.producer_name, model.producer_version)):
        raise SignbitError("holds text that is not UTF-8")


def _nodes(model: ModelProto) -> list[NodeProto]:
    """The nodes of the graph and of its functions."""
    return [*model.graph.node, *(node for function in model.functions for node in function.node)]


def _check_opsets(model: ModelProto) -> None:
    opsets = [*model.opset_import, *(opset for function in model.functions for opset in function.opset_import)]
    local = {function.domain for function in model.functions}
    newest = onnx.defs.onnx_opset_version()
    for opset in opsets:
        if opset.domain in ("", "ai.onnx") and not OPSET_MIN <= opset.version <= newest:
            raise SignbitError(
                f"uses opset {opset.version}; {OPSET_MIN} to {newest} are known. Export it with opset 17, or install a "
                "newer onnx"
            )
    for node in _nodes(model):
        if node.domain not in DOMAINS | local:
            raise SignbitError(
                f"node {shown(node.name or node.op_type)} is of domain {shown(node.domain)!r}, which is unknown; "
                "export the network with standard operators or QONNX"
            )


def _load_external(tensor: TensorProto, folder: Path | None) -> None:
    """Move the tensor's data into it."""
    name, entries = shown(tensor.name), {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    if folder is None:
        raise SignbitError(
            f"keeps tensor {name} in another file, {shown(location)!r}; give --external-data to read it from the same "
            "folder"
        )
    if not location or location in (".", "..") or re.search(r"[/\\:\0]", location):
        raise SignbitError(f"tensor {name}: its data are in {shown(location)!r}, but may only lie beside the ONNX file")
    path = folder / location
    if path.is_symlink():
        raise SignbitError(f"tensor {name}: {shown(location)!r} is a symbolic link; put the file itself there")
    offset, length = (_whole(entries.get(key, "0"), name) for key in ("offset", "length"))
    if length > FILE_BYTES_MAX:
        raise SignbitError(f"tensor {name} is larger than {FILE_BYTES_MAX:,} bytes")
    with open_file(path, FILE_BYTES_MAX) as stream:
        stream.seek(offset)
        tensor.raw_data = stream.read(length if "length" in entries else FILE_BYTES_MAX)
    del tensor.external_data[:]
    tensor.data_location = TensorProto.DEFAULT


def _whole(text: str, name: str) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise SignbitError(f"tensor {name}: place {shown(text)!r} in its data file is no whole number")
    return int(text)


def _one_line(error: Exception) -> str:
    return shown(" ".join(str(error).split()), 200)


def attributes(node: NodeProto) -> dict:
    """A node's attributes in Python's types; texts are str."""
    values = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    return {
        name: value.decode(errors="replace") if isinstance(value, bytes) else value for name, value in values.items()
    }
