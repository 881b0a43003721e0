"""The model file: round trip, the version-1 fixture, and everything a reader must refuse."""

import dataclasses
import io
import json
import os
import subprocess
import sys
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signbit.qmodel import file, integer
from signbit.qmodel.activations import Logits, Requantize, Sign
from signbit.qmodel.atomic import write_whole
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.layers import AveragePool, Conv2D, Dense
from signbit.qmodel.merge import Add, Concatenate
from signbit.qmodel.value import Encoding, Value
from tools.networks.random import networks, random_model

MODELS = Path(__file__).parent.parent / "models"
FIXTURE = "tests/fixtures/version1.npz"
FIXTURE_HASH = "417c45f8b650d9073faa963c14e1d72f4e6b60cf6bd4e5acb6960e4106a5cfd3"
GRAPH_HASH = "215ec30bd951e99c33da413d627eb8d258829f1ab075b415c726776dc00e24c7"
GRAPH_LOGITS = [[-5, -1], [-13, -11], [-347, -347]]
FIXTURE_LOGITS = [[-893891, -231188, -1012420], [1416329, -841358, -80280]]


@pytest.fixture
def model():
    return random_model(1, (40, 6, 3))


def rewrite(data: bytes, change_header=None, replace=None, drop=(), add=None) -> bytes:
    """A model file with its header or entries tampered with."""
    replace = dict(replace or {})
    source = zipfile.ZipFile(io.BytesIO(data))
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as out:
        for info in source.infolist():
            content = source.read(info)
            if info.filename == "header.npy" and change_header:
                header = json.loads(np.load(io.BytesIO(content)).tobytes())
                change_header(header)
                content = npy(np.frombuffer(json.dumps(header).encode(), np.uint8))
            if info.filename not in drop:
                out.writestr(info.filename, replace.get(info.filename, content))
        for name, content in (add or {}).items():
            out.writestr(name, content)
    return target.getvalue()


def npy(array, **options) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


@given(networks())
def test_round_trip_keeps_every_bit(model):
    data = file.to_bytes(model)
    again = file.from_bytes(data)
    assert again.hash == model.hash
    assert file.to_bytes(again) == data
    x = np.random.default_rng(0).integers(0, 256, (5, model.input_size), dtype=np.uint8)
    assert all(np.array_equal(a, b) for a, b in zip(model.trace(x), again.trace(x), strict=True))


def test_version_1_stays_readable(repository):
    model = file.load(repository / FIXTURE)
    assert model.hash == FIXTURE_HASH
    x = np.arange(2 * model.input_size, dtype=np.uint8).reshape(2, -1) * 3
    assert model.run(x).tolist() == FIXTURE_LOGITS


def test_hash_covers_what_inference_reads_and_the_labels_only(model):
    def changed(**fields):
        return dataclasses.replace(model, **fields).hash

    layer = model.layers[0]
    flipped = layer.weights.copy()
    flipped[0, 0] *= -1
    assert changed(name="other", provenance={"seed": 3}) == model.hash
    assert changed(labels=("a", "b", "c")) != model.hash
    assert changed(logit_shift=3) != model.hash
    assert changed(input_shift=0) != model.hash
    assert changed(layers=(dataclasses.replace(layer, weights=flipped), model.layers[1])) != model.hash
    other_bias = dataclasses.replace(layer.activation, bias=layer.activation.bias + np.int32(1))
    assert changed(layers=(dataclasses.replace(layer, activation=other_bias), model.layers[1])) != model.hash


def header_change(**values):
    return lambda header: header.update(values)


def layer_change(**values):
    return lambda header: header["layers"][0].update(values)


BAD_HEADERS = {
    "unknown version": (header_change(version=3), "version 3 is unknown"),
    "version as text": (header_change(version="1"), "version '1' is unknown"),
    "other format": (header_change(format="zip"), "its header says otherwise"),
    "unknown layer": (layer_change(kind="lstm"), "layer kind 'lstm' is unknown"),
    "layer kind as list": (layer_change(kind=["dense"]), "is unknown"),
    "unknown activation": (layer_change(activation={"kind": "gelu"}), "activation kind 'gelu' is unknown"),
    "hostile name": (header_change(name='x"; rm -rf /'), "model name"),
    "name with line end": (header_change(name="a\n"), "model name"),
    "path as name": (header_change(name="../x"), "model name"),
    "shift 31": (layer_change(activation={"kind": "requantize", "shift": 31, "high": 127}), "shift is 31"),
    "limit 256": (layer_change(activation={"kind": "requantize", "shift": 3, "high": 256}), "limit is 256"),
    "logits too early": (layer_change(activation={"kind": "logits"}), "only the last"),
    "negative size": (layer_change(inputs=-1), "inputs is -1"),
    "huge size": (layer_change(inputs=10**9), "inputs is 1000000000"),
    "size as float": (layer_change(inputs=40.0), "inputs is 40.0"),
    "other size": (layer_change(inputs=41), "weights for 41 inputs, but gets 40"),
    "other shape": (header_change(input_shape=[41]), "gets 41"),
    "shape with zero": (header_change(input_shape=[0]), "input shape"),
    "shape too large": (header_change(input_shape=[2**15, 2**15, 2**15]), "input shape"),
    "shape of texts": (header_change(input_shape=["40"]), "not a list of whole numbers"),
    "input shift 2": (header_change(input_shift=2), "input_shift is 2"),
    "logit shift 27": (header_change(logit_shift=27), "logit_shift is 27"),
    "too few labels": (header_change(labels=["a"]), "1 label for 3 classes"),
    "equal labels": (header_change(labels=["a", "a", "b"]), "same label"),
    "long label": (header_change(labels=["a", "b", "c" * 65]), "1 to 64 bytes"),
    "surrogate label": (header_change(labels=["a", "b", "\ud800"]), "not UTF-8"),
    "labels as numbers": (header_change(labels=[0, 1, 2]), "not a list of texts"),
    "no layers": (header_change(layers=[]), "not one a signbit model file has"),
    "layers as text": (header_change(layers="dense"), "no list of at most"),
    "unknown key": (header_change(colour="red"), "key 'colour'"),
    "NaN": (header_change(provenance={"accuracy": float("nan")}), "not JSON"),
    "provenance as list": (header_change(provenance=[]), "provenance"),
    "wrong hash": (header_change(hash="0" * 64), "hash does not fit"),
}


@pytest.mark.parametrize("case", BAD_HEADERS)
def test_bad_header_is_refused_with_one_clear_line(model, case):
    change, words = BAD_HEADERS[case]
    with pytest.raises(SignbitError, match=words) as caught:
        file.from_bytes(rewrite(file.to_bytes(model), change))
    assert "\n" not in str(caught.value)


BAD_ENTRIES = {
    "missing entry": ({"drop": ["layer0.bias.npy"]}, "'layer0.bias' is missing"),
    "extra entry": ({"add": {"evil.npy": npy(np.zeros(3))}}, "'evil' is not one"),
    "path as entry": ({"add": {"../evil.npy": npy(np.zeros(3))}}, "is not one"),
    "other dtype": ({"replace": {"layer0.bias.npy": npy(np.zeros(6, np.int64))}}, "int32"),
    "float": ({"replace": {"layer0.bias.npy": npy(np.zeros(6, np.float32))}}, "int32"),
    "other shape": ({"replace": {"layer0.bias.npy": npy(np.zeros(7, np.int32))}}, "int32"),
    "pickle": (
        {"replace": {"layer0.bias.npy": npy(np.array([print] * 6, object), allow_pickle=True)}},
        "int32",
    ),
    "bits behind the row": (
        {"replace": {"layer0.weights.npy": npy(np.full((6, 2), 0xFFFFFFFF, np.uint32))}},
        "after its last weight",
    ),
    "not an array": ({"replace": {"layer0.bias.npy": b"x" * 152}}, "npy"),
    "header not JSON": ({"replace": {"header.npy": npy(np.frombuffer(b"{", np.uint8))}}, "not JSON"),
    "header too deep": (
        {"replace": {"header.npy": npy(np.frombuffer(b"[" * 100_000, np.uint8))}},
        "not JSON",
    ),
    "no header": ({"drop": ["header.npy"]}, "no header"),
    "a bomb": ({"replace": {"layer0.bias.npy": b"\0" * 50_000_000}}, "is not int32"),
}


@pytest.mark.parametrize("case", BAD_ENTRIES)
def test_bad_entry_is_refused_with_one_clear_line(model, case):
    change, words = BAD_ENTRIES[case]
    with pytest.raises(SignbitError, match=words):
        file.from_bytes(rewrite(file.to_bytes(model), **change))


def test_entry_that_lies_about_its_size_is_refused(model):
    """The central directory says 152 bytes, the stream unpacks to more: never read past what was checked."""
    data = file.to_bytes(model)
    honest = zipfile.ZipFile(io.BytesIO(data)).getinfo("layer0.bias.npy").file_size
    bomb = rewrite(data, replace={"layer0.bias.npy": b"\0" * 50_000_000})
    lying = bomb.replace((50_000_000).to_bytes(4, "little"), honest.to_bytes(4, "little"))
    tracemalloc.start()
    with pytest.raises(SignbitError):
        file.from_bytes(lying)
    assert tracemalloc.get_traced_memory()[1] < 1 << 22
    tracemalloc.stop()


def test_an_entry_twice_is_refused(model):
    """One of the two could be what was checked, and the other what is read."""
    buffer = io.BytesIO(file.to_bytes(model))
    with zipfile.ZipFile(buffer, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("layer0.bias.npy", npy(np.zeros(6, np.int32)))
    with pytest.raises(SignbitError, match="an entry twice"):
        file.from_bytes(buffer.getvalue())


def test_a_header_beyond_its_limit_is_refused_before_it_is_unpacked(model):
    long = npy(np.frombuffer(b"{" + b" " * (2 << 20) + b"}", np.uint8))
    with pytest.raises(SignbitError, match="the header is too large"):
        file.from_bytes(rewrite(file.to_bytes(model), replace={"header.npy": long}))


@given(st.data())
def test_damaged_bytes_never_give_anything_but_a_clean_error(data):
    content = bytearray(file.to_bytes(data.draw(st.sampled_from([random_model(1, (40, 6, 3)), graph_model()]))))
    original = bytes(content)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        model = file.from_bytes(bytes(content))
    except SignbitError:
        return
    assert model.hash == file.from_bytes(original).hash


@given(st.integers(0, 2000))
def test_truncated_file_is_refused(length):
    data = file.to_bytes(random_model(1, (40, 6, 3)))
    if length < len(data):
        with pytest.raises(SignbitError):
            file.from_bytes(data[:length])


def graph_model():
    """Two branches of the input, added, and joined with it: a model of version 2."""
    rng = np.random.default_rng(3)
    ones, zeros = np.ones(5, np.int16), np.zeros(5, np.int32)
    branches = [Dense(integer.sign(rng.normal(size=(5, 5))), Requantize(ones, zeros, 1), (back,)) for back in (-1, -2)]
    merges = (Add((-1, -2), 200, (1, 1), 0), Concatenate((-1, -4), 255, (3, 1), 1))
    last = Dense(integer.sign(rng.normal(size=(2, 10))), Logits(np.ones(2, np.int16), np.zeros(2, np.int32)))
    return dataclasses.replace(random_model(1, (5, 2)), layers=(*branches, *merges, last)).validate()


def test_version_2_stays_readable(repository):
    data = (repository / "tests/fixtures/version2.npz").read_bytes()
    model = file.from_bytes(data)
    assert file.to_bytes(model) == data and model.hash == graph_model().hash == GRAPH_HASH
    x = np.array([[0, 1, 2, 3, 4], [9, 9, 9, 9, 9], [255, 0, 255, 0, 255]], np.uint8)
    assert model.run(x).tolist() == GRAPH_LOGITS


def header_of(data: bytes) -> dict:
    return json.loads(np.load(io.BytesIO(data))["header"].tobytes())


def test_version_is_2_only_with_parts(model):
    assert header_of(file.to_bytes(model))["version"] == 1 and "parts" not in header_of(file.to_bytes(model))
    header = header_of(file.to_bytes(graph_model()))
    assert (header["version"], header["parts"]) == (2, ["graph"])
    assert "reads" not in header["layers"][0] and header["layers"][1]["reads"] == [-2]


@pytest.mark.parametrize("path", sorted(MODELS.glob("*.npz")), ids=lambda path: path.stem)
def test_shipped_models_are_written_as_they_were(path):
    data = path.read_bytes()
    assert file.to_bytes(file.from_bytes(data)) == data


def second_layer(**values):
    return lambda header: header["layers"][1].update(values)


def third_layer(**values):
    return lambda header: header["layers"][2].update(values)


BAD_GRAPHS = {
    "unknown part": (header_change(parts=["front-end", "graph"]), "needs a newer signbit: part 'front-end'"),
    "no parts": (lambda header: header.pop("parts"), "key 'parts' is missing"),
    "parts as text": (header_change(parts="graph"), "parts is not a list of texts"),
    "version 1 with parts": (header_change(version=1), "key 'parts'"),
    "part named but not used": (header_change(parts=[]), r"names the parts \[\], but the model uses \['graph'\]"),
    "before the input": (second_layer(reads=[-3]), r"layer 1 \(dense\): reads value -3, but only 2 are before it"),
    "forwards": (second_layer(reads=[0]), "reads is 0, but must be a whole number from -64 to -1"),
    "no list": (second_layer(reads=-2), "reads is -2, but must be a list"),
    "never read": (third_layer(reads=[-2, -2]), "no layer reads the output of layer 1"),
    "one input": (third_layer(reads=[-2], multipliers=[1]), "reads 1 value, but must read 2 to 64"),
    "several for a dense layer": (second_layer(reads=[-1, -2]), "reads 2 values, but must read 1"),
    "no scale": (third_layer(multipliers=[1]), "1 multipliers for 2 inputs"),
    "multiplier 0": (third_layer(multipliers=[1, 0]), "multiplier is 0, but must be a whole number from 1 to 32767"),
    "shift of an add": (third_layer(shift=31), "shift is 31"),
    "limit of an add": (third_layer(high=256), "high is 256"),
    "other shapes": (third_layer(reads=[-1, -2, -3, -3], multipliers=[1] * 4), "hash does not fit"),
}


@pytest.mark.parametrize("case", BAD_GRAPHS)
def test_bad_graph_is_refused_with_one_clear_line(case):
    change, words = BAD_GRAPHS[case]
    with pytest.raises(SignbitError, match=words) as caught:
        file.from_bytes(rewrite(file.to_bytes(graph_model()), change))
    assert "\n" not in str(caught.value)


def image(channels: int, encoding: Encoding = Encoding.UINT8, side: int = 3) -> Value:
    return Value((side, side, channels), encoding, *((-1, 1) if encoding is Encoding.BIT else (0, 255)))


SAME = {"inputs": (-1, -2), "high": 127, "multipliers": (1, 1), "shift": 0}
BAD_MERGES = {
    "channels of an add": (Add, {}, (image(2), image(3)), "adds values of one shape, but gets"),
    "sides of a concatenation": (Concatenate, {}, (image(2), image(2, side=4)), "of one height and width"),
    "scale of bits": (Concatenate, {}, (image(2, Encoding.BIT),) * 2, "one-bit values have no scale"),
    "bits and bytes": (Concatenate, {}, (image(2), image(2, Encoding.BIT)), "one-bit and 8-bit values together"),
    "too many channels": (Concatenate, {}, (image(40_000),) * 2, "has 80000 channels, but must have at most 65535"),
}


@pytest.mark.parametrize("case", BAD_MERGES)
def test_merge_refuses_what_it_cannot_read(case):
    kind, settings, values, words = BAD_MERGES[case]
    with pytest.raises(SignbitError, match=words):
        kind(**SAME | settings).check(*values)


def test_one_bit_values_are_not_added_or_averaged():
    sign = Sign(np.zeros(1, np.int32), np.ones(1, np.int8))
    first = Conv2D(np.ones((1, 1, 1, 1), np.int8), sign)
    for layer in (Add((-1, -1), 127, (1, 1), 0), AveragePool((1, 1), 1)):
        model = dataclasses.replace(random_model(1, (4, 1)), input_shape=(2, 2, 1))
        model = dataclasses.replace(model, layers=(first, layer, *model.layers))
        with pytest.raises(SignbitError, match="reads 8-bit values, but value -1 before it holds one-bit values"):
            model.validate()


@pytest.mark.parametrize(
    ("multiplier", "bias", "words"),
    [
        (32_767, 0, "product can reach 270491585000"),
        (-32_767, 0, "product can reach -270491585000"),
        (1, 2**31 - 1, "scaled accumulator can reach 2155738647"),
        (-1, -(2**31), "scaled accumulator can reach -2155738648"),
    ],
)
def test_model_that_could_overflow_is_refused(multiplier, bias, words):
    """At either end of int32, by a product or by the sum after it."""
    weights = np.ones((1, 65_000), np.int8)
    wide = Requantize(np.array([multiplier], np.int16), np.array([bias], np.int32), 10)
    narrow = Logits(np.array([1], np.int16), np.array([0], np.int32))
    layers = (Dense(weights, wide), Dense(np.ones((1, 1), np.int8), narrow))
    model = dataclasses.replace(random_model(1, (2, 1)), input_shape=(65_000,), layers=layers)
    with pytest.raises(SignbitError, match=rf"layer 0 \(dense\): {words}, which int32 does not hold"):
        model.validate()


@pytest.mark.parametrize("shape", [(1, 41), (1, 40, 1), (40,)])
def test_inputs_of_another_shape_are_refused(model, shape):
    with pytest.raises(SignbitError, match="inputs have shape"):
        model.run(np.zeros(shape, np.uint8))


def test_inputs_of_another_type_are_refused(model):
    with pytest.raises(SignbitError, match="inputs are float64"):
        model.run(np.zeros((1, 40)))


def test_a_pipe_is_written_directly():
    """/dev/stdout leads to a pipe, whose own path does not exist."""
    program = "from signbit.qmodel.atomic import write_whole; write_whole('/dev/stdout', b'whole')"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout == b"whole"


def test_failed_write_keeps_the_old_file_and_leaves_nothing_behind(tmp_path, monkeypatch):
    path = tmp_path / "model.npz"
    write_whole(path, b"old")

    def disk_full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", disk_full)
    with pytest.raises(OSError, match="No space left") as caught:
        write_whole(path, b"new" * 1000)
    assert caught.value.filename == str(path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_write_keeps_a_symbolic_link_and_the_mode(tmp_path):
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_bytes(b"old")
    real.chmod(0o640)
    link.symlink_to(real)
    write_whole(link, b"new")
    assert link.is_symlink() and real.read_bytes() == b"new" and real.stat().st_mode & 0o777 == 0o640
