"""What a model that was built, and not read from a file, is refused for: its layers, arrays and numbers."""

import dataclasses
import io
import zipfile

import numpy as np
import pytest

from signbit.qmodel import file
from signbit.qmodel.activations import Logits, Sign
from signbit.qmodel.archive import plain_arrays
from signbit.qmodel.decision import Decision
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.input_quantization import Affine, Thermometer
from signbit.qmodel.layers import AveragePool, Conv2D, Dense, DepthwiseConv2D
from signbit.qmodel.merge import Add
from signbit.qmodel.value import Encoding, Value
from signbit.qmodel.window import sides
from tests.test_model_file import graph_model, header_change, layer_change, npy, rewrite
from tools.networks.random import FRONT_ENDS, front_end_model, random_model, with_counts


def value(*shape: int) -> Value:
    return Value(shape, Encoding.UINT8, 0, 255)


def logits(neurons: int, dtype=np.int16) -> Logits:
    return Logits(np.ones(neurons, dtype), np.zeros(neurons, np.int32))


def signs(*directions: int) -> Sign:
    return Sign(np.zeros(len(directions), np.int32), np.array(directions, np.int8))


ONE = np.ones((1, 1, 1, 2), np.int8)
BAD_LAYERS = {
    "weights of another type": (Dense(np.ones((1, 4)), logits(1)), value(4), "int8 with 2 axes"),
    "weights of other axes": (Dense(ONE, logits(1)), value(2), "int8 with 2 axes and not empty"),
    "no weights": (Dense(np.ones((0, 4), np.int8), logits(0)), value(4), "not empty"),
    "a weight of 2": (Dense(np.full((1, 4), 2, np.int8), logits(1)), value(4), r"must be \+1 or -1"),
    "fan-in": (Dense(np.ones((1, 70_000), np.int8), logits(1)), value(70_000), "fan-in is 70000, but must be at most"),
    "neurons": (Dense(np.ones((70_000, 1), np.int8), logits(70_000)), value(1), "has 70000 neurons, but must"),
    "type of multipliers": (Dense(np.ones((2, 4), np.int8), logits(2, np.int32)), value(4), "multiplier must be int16"),
    "count of multipliers": (Dense(np.ones((2, 4), np.int8), logits(3)), value(4), r"of shape \(2,\)"),
    "direction 0": (Dense(np.ones((2, 4), np.int8), signs(1, 0)), value(4), r"directions must be \+1 or -1"),
    "channels": (Conv2D(ONE, logits(1)), value(3, 3, 3), "has weights for 2 channels, but gets 3"),
    "depthwise channels": (
        DepthwiseConv2D(ONE[:, :, 0], signs(1)),
        value(3, 3, 4),
        "has weights for 1 channel, but gets 4",
    ),
    "pooled channels": (AveragePool((2, 2), 3, 127), value(4, 4, 2), "is for 3 channels, but gets 2"),
    "a pool's limit": (AveragePool((2, 2), 3, 256), value(4, 4, 3), "activation limit is 256, but must be 1 to 255"),
}


@pytest.mark.parametrize("case", BAD_LAYERS)
def test_layer_is_refused(case):
    layer, given, words = BAD_LAYERS[case]
    with pytest.raises(SignbitError, match=words):
        layer.check(given)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"multipliers": (1, 0)}, r"multipliers are \[1, 0\], but must be 1 to 32767"),
        ({"multipliers": (1, 32_768)}, r"\[1, 32768\]"),
        ({"multipliers": (1,)}, "has 1 multipliers for 2 inputs"),
        ({"shift": 31}, "shift is 31, but must be 0 to 30"),
        ({"shift": -1}, "shift is -1"),
    ],
)
def test_addition_with_numbers_beyond_their_range_is_refused(changes, words):
    layer = dataclasses.replace(Add((-1, -2), 127, (1, 1), 0), **changes)
    with pytest.raises(SignbitError, match=words):
        layer.check(value(3, 3, 2), value(3, 3, 2))


def changed(**values):
    return dataclasses.replace(random_model(1, (40, 6, 3)), **values)


LAYERS = random_model(1, (40, 6, 3)).layers
BITS = Affine(np.ones(40, np.int32), np.zeros(40, np.int32), 1)
BAD_MODELS = {
    "no layers": ({"layers": ()}, "has 0 layers, but must have 1 to"),
    "too many layers": ({"layers": LAYERS[:1] * 65}, "has 65 layers"),
    "a shift of logits": ({"logit_shift": 27}, "logit_shift is 27"),
    "counts of another type": ({"input_quantization": BITS}, "input quantization's multiplier must be int16"),
}


@pytest.mark.parametrize("case", BAD_MODELS)
def test_model_is_refused(case):
    changes, words = BAD_MODELS[case]
    with pytest.raises(SignbitError, match=words):
        changed(**changes).validate()


def test_model_larger_than_any_device_is_refused(monkeypatch):
    monkeypatch.setattr("signbit.qmodel.model.WORDS_MAX", 10)
    with pytest.raises(SignbitError, match="the model is larger than 10 words"):
        changed().validate()


def test_decision_over_more_hops_than_a_window_has_is_refused():
    model = front_end_model(0, *FRONT_ENDS[1])
    hops = model.front_end.frames + 1
    decision = Decision(hops, 2, 0, model.decision.thresholds)
    with pytest.raises(SignbitError, match=f"hops are {hops}, but a window has only {hops - 1} frames"):
        dataclasses.replace(model, decision=decision).validate()


@pytest.mark.parametrize("settings", [None, {}, {"kind": "majority", "hops": 1, "answers": 1, "dead_time": 0}])
def test_decision_of_another_kind_is_refused(settings):
    with pytest.raises(SignbitError, match="decision is of an unknown kind; it may need a newer signbit"):
        Decision.entries(settings, 3)


@pytest.mark.parametrize("stride", [None, 2, [2], [2, 2, 2]])
def test_lengths_that_are_no_list_of_two_are_refused(stride):
    with pytest.raises(SignbitError, match=r"stride is .* but must be a list of 2 whole numbers"):
        sides({"stride": stride}, "stride", 2)


BAD_HEADERS = {
    "ternary": (layer_change(ternary=False), "ternary is False, but can only be true or left out"),
    "a shift as text": (header_change(input_shift="1"), "input_shift is not a whole number"),
    "a shift as a truth value": (header_change(logit_shift=True), "logit_shift is not a whole number"),
    "layers as text": (header_change(layers="dense"), "the header has no list of at most 64 layers"),
    "provenance": (header_change(provenance=[]), "provenance"),
}


@pytest.mark.parametrize("case", BAD_HEADERS)
def test_header_of_a_file_is_refused(case):
    change, words = BAD_HEADERS[case]
    with pytest.raises(SignbitError, match=words):
        file.from_bytes(rewrite(file.to_bytes(changed()), change))


def test_header_that_asks_for_more_data_than_any_model_has_is_refused(monkeypatch):
    data = file.to_bytes(changed())
    monkeypatch.setattr(file, "WORDS_MAX", 10)
    with pytest.raises(SignbitError, match="asks for more data than any model has"):
        file.from_bytes(data)


def test_header_that_is_a_list_is_refused():
    header = npy(np.frombuffer(b"[1, 2]", np.uint8))
    with pytest.raises(SignbitError, match=r"not a .* \(its header says otherwise\)"):
        file.from_bytes(rewrite(file.to_bytes(changed()), replace={"header.npy": header}))


def test_arrays_of_one_name_are_refused():
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name in ("x", "x.npy"):
            archive.writestr(name, npy(np.arange(3)))
    with pytest.raises(SignbitError, match="has an entry twice"):
        plain_arrays(data.getvalue(), 1000)


def test_a_shift_of_bits_is_refused():
    model = with_counts(changed(), 0, Thermometer)
    with pytest.raises(SignbitError, match="input_shift is for 8-bit inputs"):
        dataclasses.replace(model, input_shift=1).validate()


def test_multipliers_that_are_no_list_are_refused():
    change = lambda header: header["layers"][2].update(multipliers=1)  # noqa: E731
    with pytest.raises(SignbitError, match="multipliers is 1, but must be a list of whole numbers"):
        file.from_bytes(rewrite(file.to_bytes(graph_model()), change))


@pytest.mark.parametrize("names", [("weights_b", "weights"), ("weights", "weights")])
def test_planes_that_are_not_those_of_ternary_weights_are_refused(names):
    """Those that are swapped, where the second is above the first, and two that are alike, with no weight of 0."""
    layer = Dense(np.array([[1, 0, -1, 1]], np.int8), logits(1))
    arrays = layer.arrays()
    assert np.array_equal(Dense.restore(layer.settings(), arrays).weights, layer.weights)
    first, second = (arrays[name] for name in names)
    with pytest.raises(SignbitError, match="its two planes are not those of ternary weights"):
        Dense.restore(layer.settings(), arrays | {"weights": first, "weights_b": second})
