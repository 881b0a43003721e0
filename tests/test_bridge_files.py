"""ONNX files of strangers: bounded, checked, and refused in one line."""

import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("onnx", reason="onnx is missing: pip install onnx")

from signbit.bridge.export_onnx import export
from signbit.bridge.graph import reading
from signbit.bridge.graph.library import ModelProto, helper, numpy_helper, onnx
from signbit.bridge.graph.reading import checked, parse, read
from signbit.bridge.importing import Options, import_file, import_model
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.file import load
from tests.golden.onnx.hashes import HERE
from tests.onnx_graphs import Graph, signs

GOOD = HERE / "torch_plain.onnx"


@pytest.fixture
def graph():
    return parse(GOOD.read_bytes())


def external(path, folder):
    """The good file with its tensors in a file beside it."""
    onnx.save(onnx.load(GOOD), path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    return folder / "weights.bin"


def test_external_data_is_read_from_beside_the_file_and_only_when_asked(tmp_path):
    path = tmp_path / "m.onnx"
    external(path, tmp_path)
    with pytest.raises(SignbitError, match=r"in another file, 'weights.bin'; give --external-data"):
        import_file(path, Options())
    found = import_file(path, Options(), external_data=True).model
    assert found.hash == import_file(GOOD, Options()).model.hash


@pytest.mark.parametrize("location", ["../weights.bin", "/etc/passwd", "a/b", "..", "", "c:\\b", "a\0b"])
def test_external_data_lie_nowhere_else(tmp_path, graph, location):
    tensor = graph.graph.initializer[0]
    onnx.external_data_helper.set_external_data(tensor, location)
    with pytest.raises(SignbitError, match="may only lie beside the ONNX file"):
        checked(graph, tmp_path)


@pytest.mark.parametrize(
    "entries, text",
    [
        ({"length": str(reading.FILE_BYTES_MAX + 1)}, "is larger than 67,108,864 bytes"),
        ({"offset": "1e9"}, "place '1e9' in its data file is no whole number"),
        ({"length": "-1"}, "place '-1' in its data file is no whole number"),
    ],
)
def test_places_in_external_data_are_bounded(tmp_path, graph, entries, text):
    tensor = graph.graph.initializer[0]
    onnx.external_data_helper.set_external_data(tensor, "weights.bin")
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value)
    with pytest.raises(SignbitError, match=text):
        checked(graph, tmp_path)


def test_external_data_are_no_link_and_long_enough(tmp_path):
    path = tmp_path / "m.onnx"
    data = external(path, tmp_path)
    data.write_bytes(data.read_bytes()[:10])
    with pytest.raises(SignbitError, match=r"m\.onnx: "):
        import_file(path, Options(), external_data=True)
    data.rename(tmp_path / "other")
    data.symlink_to(tmp_path / "other")
    with pytest.raises(SignbitError, match=r"'weights.bin' is a symbolic link; put the file itself there"):
        import_file(path, Options(), external_data=True)


@pytest.mark.parametrize(
    "content, text",
    [(b"", "is no ONNX file"), (b"\x08\x08", "without a graph"), (b"PK\x03\x04 abc", "is no ONNX file")],
)
def test_other_files_are_no_onnx(tmp_path, content, text):
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    with pytest.raises(SignbitError, match=rf"m\.onnx: .*{text}"):
        read(path)


def test_sizes_are_bounded(tmp_path, graph, monkeypatch):
    monkeypatch.setattr(reading, "NODES_MAX", len(graph.graph.node) - 1)
    with pytest.raises(SignbitError, match=r"has \d+ nodes; at most \d+ are read"):
        checked(graph)
    monkeypatch.undo()
    monkeypatch.setattr(reading, "TENSORS_MAX", 1)
    with pytest.raises(SignbitError, match=r"has \d+ tensors; at most 1 are read"):
        checked(graph)
    monkeypatch.setattr(reading, "FILE_BYTES_MAX", 100)
    with pytest.raises(SignbitError, match="is larger than 100 bytes"):
        read(GOOD)


@pytest.mark.parametrize("version", [7, 99])
def test_an_opset_that_is_not_known_is_named(graph, version):
    graph.opset_import[0].version = version
    with pytest.raises(SignbitError, match=rf"uses opset {version}; 11 to \d+ are known. Export it with opset 17"):
        checked(graph)


def test_a_domain_that_is_not_known_is_named(graph):
    graph.graph.node[-1].domain = "org.example\x1b"
    with pytest.raises(SignbitError, match=r"is of domain 'org.example\?', which is unknown; export"):
        checked(graph)


@pytest.mark.parametrize(
    "kind, inputs",
    [
        ("Expand", (np.float32(1), np.array([1 << 20, 1 << 20]))),
        ("ConstantOfShape", (np.array([1 << 30, 1 << 30]),)),
        ("Range", (np.int64(0), np.int64(1 << 60), np.int64(1))),
        ("Add", (np.zeros((1, 1 << 14)), np.zeros((1 << 14, 1)))),
        ("Gather", (np.zeros(1 << 13), np.zeros(1 << 12, np.int64))),
    ],
)
def test_a_constant_that_would_fill_the_memory_is_refused_first(kind, inputs):
    graph = Graph(12)
    graph.constant(np.float32(0))
    graph(kind, *inputs)
    with pytest.raises(SignbitError, match=rf"node {kind}0 .*gives a constant of more than 16,777,216 numbers"):
        graph.imported(graph.dense("x", 3, 12))


@pytest.mark.parametrize("kind", ["Tile", "RandomNormal", "Einsum", "NonZero"])
def test_few_operators_compute_constants(kind):
    graph = Graph(12)
    inputs = {"Tile": (np.zeros(3), np.array([2])), "RandomNormal": ()}.get(kind, (np.zeros(3),))
    attributes = {"RandomNormal": {"shape": [3]}, "Einsum": {"equation": "i->i"}}.get(kind, {})
    graph(kind, *inputs, **attributes)
    with pytest.raises(SignbitError, match=f"computes constants by {kind}; fold them before the export"):
        graph.imported(graph.dense("x", 3, 12))


@pytest.mark.parametrize(
    "shape, text",
    [
        ((0, 3), "1 to 3 known sides"),
        ((1 << 11, 1 << 11), "more than 1,048,576"),
        # the product is 0 in 64 bits
        ((1 << 62, 8), "more than 1,048,576"),
    ],
)
def test_an_input_without_a_usable_shape_is_refused(shape, text):
    graph = Graph(*shape)
    with pytest.raises(SignbitError, match=text):
        graph.imported(graph("Flatten", "x"))


@pytest.mark.parametrize("text", [b"Flatten_output", b"pytorch"])
def test_text_that_is_not_utf_8_is_refused(text):
    data = GOOD.read_bytes()
    assert text in data
    with pytest.raises(SignbitError, match="holds text that is not UTF-8"):
        checked(parse(data.replace(text, b"\xff" + text[1:])))


def test_an_exported_layer_of_too_many_values_is_refused_before_it_is_made(repository):
    proto = export(load(repository / "models" / "digits-conv.npz"))
    for side in proto.graph.input[0].type.tensor_type.shape.dim[1:3]:
        side.dim_value = 1000
    with pytest.raises(SignbitError, match=r"node layer0 .* gives [\d,]+ values; at most 4,194,304"):
        import_model(checked(proto), Options())


def test_a_layer_of_too_many_values_is_refused_before_it_is_made():
    graph = Graph(1, 700, 700)
    with pytest.raises(SignbitError, match=r"Conv0.* gives 34,300,000 values; at most"):
        graph.imported(graph("Conv", "x", signs(70, 1, 1, 1)))


def test_sparse_tensors_are_refused(graph):
    graph.graph.sparse_initializer.add()
    with pytest.raises(SignbitError, match="has sparse tensors; export it with plain ones"):
        checked(graph)


@pytest.mark.parametrize("library, command", [("onnx", "signbit.bridge.importing"), ("torch", "signbit.bridge.torch")])
def test_a_missing_library_is_named_with_its_extra(library, command):
    code = f"import sys; sys.modules[{library!r}] = None; import {command}"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert f"SignbitError: this needs {library}: pip install 'signbit[{library}]'" in found.stderr


def test_two_inputs_are_refused(graph):
    second = graph.graph.input.add()
    second.CopyFrom(graph.graph.input[0])
    second.name = "second"
    with pytest.raises(SignbitError, match="the graph has 2 inputs and 1 outputs; it must have one of each"):
        import_model(checked(graph), Options())


def test_other_people_s_functions_are_written_out():
    """A function that only passes on changes nothing."""
    plain, wrapped = Graph(12), Graph(12)
    hashes = [plain.imported(plain.dense("x", 3, 12)).model.hash]
    proto: ModelProto = wrapped.proto(wrapped.dense("x", 3, 12))
    body = [helper.make_node("Identity", ["a"], ["b"])]
    opsets = [helper.make_opsetid("", 17)]
    proto.functions.append(helper.make_function("their.own", "Pass", ["a"], ["b"], body, opsets))
    proto.opset_import.append(helper.make_opsetid("their.own", 1))
    proto.graph.node.insert(0, helper.make_node("Pass", ["x"], ["y"], domain="their.own"))
    proto.graph.node[1].input[0] = "y"
    hashes.append(import_model(checked(proto), Options()).model.hash)
    assert hashes[0] == hashes[1]


def test_a_tensor_of_an_unknown_type_is_named(graph):
    graph.graph.initializer[0].data_type = 127
    with pytest.raises(SignbitError, match=r"is of an unknown type, 127|is not valid ONNX"):
        import_model(checked(graph), Options())


def test_a_text_constant_is_no_number():
    graph = Graph(12)
    graph.constants.append(numpy_helper.from_array(np.array(["a", "b"], object), "words"))
    with pytest.raises(SignbitError, match=r"tensor words holds .*no real numbers|is not valid ONNX"):
        graph.imported(graph("MatMul", "x", "words"))
