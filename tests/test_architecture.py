"""Architectures from text, TOML and presets, and what they will cost."""

import json

import numpy as np
import pytest

from signbit.console import console
from signbit.qmodel.errors import SignbitError
from signbit.trainer.learning.settings import default_settings
from signbit.trainer.network import presets
from signbit.trainer.network.architecture import LayerSpec, architecture_text, mlp, parse, read_toml, resolve
from signbit.trainer.report.summary import print_summary, summarize, summary_json
from tests.test_networks import EVERYTHING


@pytest.fixture
def rng():
    return np.random.default_rng(0)


GRAPHS = (
    "conv3x3pad:4, conv3x3pad:4, add(-2)",
    "conv3x3pad:4, concat(-2), conv3x3pad:4, add(-3), concat(-2,-5), conv1x1:3 sign ternary from(-6), concat(-2)",
    "dense:5 from(-1), dense:5, dense:5 sign from(-2), dense:5, add(-3), concat(-2,-4)",
)


@pytest.mark.parametrize("text", [*EVERYTHING, *GRAPHS, *presets.IMAGES.values(), *presets.SMALL_IMAGES.values()])
def test_text_form_is_read_and_written(text):
    architecture = parse(text if text.endswith(("dense", "dense ternary")) else f"{text}, dense")
    assert parse(architecture_text(architecture)) == architecture


def test_text_by_hand():
    assert parse("conv5x3s2pad1:16 pool2x1 sign, depthwise3pad ternary, globalavg, flatten, dense:10") == (
        LayerSpec("conv", 16, (5, 3), 2, 1, (2, 1), "sign"),
        LayerSpec("depthwise", 0, (3, 3), 1, "same", ternary=True),
        LayerSpec("avgpool", 0, (0, 0)),
        LayerSpec("dense", 10),
    )
    assert parse("conv3pad:4, conv3pad:4, add ( -2 ), conv1:4 from(-2), concat(-2,\t-4), dense from(-1)")[2:] == (
        LayerSpec("add", inputs=(-1, -2)),
        LayerSpec("conv", 4, inputs=(-2,)),
        LayerSpec("concat", inputs=(-1, -2, -4)),
        LayerSpec("dense"),
    )


def test_toml_is_the_same_as_text(tmp_path):
    path = tmp_path / "net.toml"
    path.write_text("""
[[layers]]
kind = "conv"
outputs = 16
kernel = [5, 5]
stride = 2
padding = "same"
pool = [2, 2]
activation = "sign"

[[layers]]
kind = "dense"
ternary = true
""")
    assert read_toml(path) == parse("conv5x5s2pad:16 pool2 sign, dense ternary")
    assert default_settings(model=str(path)).model == "conv5x5s2pad:16 pool2 sign, dense ternary"


def test_toml_names_inputs(tmp_path):
    path = tmp_path / "net.toml"
    path.write_text("""
layers = [
    {kind = "dense", outputs = 8},
    {kind = "dense", outputs = 8},
    {kind = "dense", outputs = 8, inputs = [-2]},
    {kind = "add", inputs = [-1, -2, -3]},
    {kind = "dense"},
]
""")
    text = "dense:8, dense:8, dense:8 from(-2), add(-2,-3), dense"
    assert read_toml(path) == parse(text) and default_settings(model=str(path)).model == text


BAD_TEXTS = {
    "nothing": ("", "not understood"),
    "unknown kind": ("lstm:3, dense", "lstm:3"),
    "unknown word": ("conv3x3:4 tanh, dense", "tanh"),
    "no outputs": ("conv3x3, dense", "outputs"),
    "no kernel": ("conv:8, dense", "kernel"),
    "zero outputs": ("conv3x3:0, dense", "outputs"),
    "zero stride": ("conv3x3s0:8, dense", "stride"),
    "huge kernel": ("conv300x3:8, dense", "kernel"),
    "pooled dense": ("dense:8 pool2, dense", "pool"),
    "depthwise with outputs": ("depthwise3x3:8, dense", "outputs"),
    "last is a convolution": ("conv3x3:8", "last layer"),
    "last has an activation": ("conv3x3:8, dense sign", "last layer"),
    "dense without a size": ("dense, dense", "dense:N"),
    "nothing to add": ("dense:8, add, dense", "add"),
    "added to itself": ("dense:8, add(-1), dense", "from -2 on"),
    "added twice": ("dense:8, dense:8, add(-2,-2), dense", "once each"),
    "added from the front": ("dense:8, dense:8, add(2), dense", "add(2)"),
    "added from nowhere": ("dense:8, add(-9), dense", "layer 2, add(-9): reads the value 9 back, but there are only 2"),
    "reads two": ("dense:8, dense:8 from(-1) from(-2), dense", "twice"),
    "two pools": ("conv3x3:8 pool2 pool3, dense", "twice"),
    "words of an addition": ("dense:8, dense:8, add(-2) sign, dense", "add(-2) sign"),
    "unread": ("dense:8, dense:9, dense:8 from(-2), dense", "no layer reads the output of layer 2, dense:9"),
    "ends in an addition": ("dense, dense, add(-2)", "last layer"),
    "too many layers": (", ".join(["conv1x1:1"] * 64 + ["dense"]), "64"),
}


@pytest.mark.parametrize("case", BAD_TEXTS)
def test_bad_texts_are_refused_by_the_layer(case):
    text, said = BAD_TEXTS[case]
    with pytest.raises(SignbitError, match="--model") as caught:
        parse(text)
    assert said in str(caught.value) and "\n" not in str(caught.value)


BAD_TOML = {
    "syntax": "layers = [",
    "no layers": "x = 1",
    "not a table": "layers = [1]",
    "no kind": "layers = [{outputs = 3}]",
    "unknown key": 'layers = [{kind = "dense", size = 3}]',
    "wrong type": 'layers = [{kind = "dense", outputs = "3"}]',
    "boolean": 'layers = [{kind = "dense", outputs = true}]',
    "kernel of three": 'layers = [{kind = "conv", outputs = 3, kernel = [1, 2, 3]}, {kind = "dense"}]',
    "padding text": 'layers = [{kind = "conv", outputs = 3, kernel = [3, 3], padding = "x"}, {kind = "dense"}]',
    "negative padding": 'layers = [{kind = "conv", outputs = 3, kernel = [3, 3], padding = -1}, {kind = "dense"}]',
    "unknown kind": 'layers = [{kind = "lstm"}]',
    "no inputs": 'layers = [{kind = "dense", outputs = 3, inputs = []}, {kind = "dense"}]',
    "inputs that are no numbers": 'layers = [{kind = "dense", outputs = 3, inputs = [-1.5]}, {kind = "dense"}]',
    "two inputs": 'layers = [{kind = "dense", outputs = 3, inputs = [-1, -2]}, {kind = "dense"}]',
    "addition that skips": 'layers = [{kind = "dense", outputs = 3}, {kind = "add", inputs = [-2]}, {kind = "dense"}]',
    "unknown activation": 'layers = [{kind = "dense", outputs = 3, activation = "tanh"}, {kind = "dense"}]',
}


@pytest.mark.parametrize("case", BAD_TOML)
def test_bad_toml_is_one_line(tmp_path, case):
    path = tmp_path / "net.toml"
    path.write_text(BAD_TOML[case])
    with pytest.raises(SignbitError, match="--model") as caught:
        read_toml(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(SignbitError, match="can't be read"):
        read_toml(tmp_path / "missing.toml")


def test_layers_that_do_not_fit_the_data_are_refused():
    for text, shape, classes, said in (
        ("conv9x9:4, dense", (8, 8, 1), 3, "larger"),
        ("conv3x3:4, conv3x3:4 pool5, dense", (8, 8, 1), 3, "larger"),
        ("conv3x3:4, dense", (64,), 3, "image"),
        ("globalavg, dense", (64,), 3, "image"),
        ("conv3x3:4, dense:10", (8, 8, 1), 3, "3 classes"),
        ("dense:9, conv3x3:8, dense", (8, 8, 1), 3, "layer 2, conv3x3:8: needs an image"),
        ("conv3x1:8, globalavg, dense", (300, 1, 2), 3, "layer 2, globalavg: has a side of 298 .* 255"),
        ("conv3x3:8 sign, globalavg, dense", (8, 8, 1), 3, r"layer 2, globalavg: reads 8-bit .* one-bit"),
        ("conv3x3:8 sign, conv3x3pad:8 sign, add(-2), dense", (8, 8, 1), 3, r"layer 3, add\(-2\): .* one-bit"),
        ("conv3x3:8 sign, conv3x3pad:8, concat(-2), dense", (8, 8, 1), 3, r"layer 3, concat\(-2\): .*together"),
        ("conv3x3:8, conv3x3:8, add(-2), dense", (8, 8, 1), 3, r"layer 3, add\(-2\): .*\(4, 4, 8\) and \(6, 6, 8\)"),
        ("conv3x3:8, conv3x3:8, concat(-2), dense", (8, 8, 1), 3, r"layer 3, concat\(-2\): .*one height and width"),
    ):
        with pytest.raises(SignbitError, match=said):
            resolve(parse(text), shape, classes)
    with pytest.raises(SignbitError, match="for images"):
        presets.text("small", (64,))


@pytest.mark.parametrize("shape", [(28, 28, 1), (8, 8, 1)])
def test_presets_grow(shape):
    sizes = [summarize(resolve(parse(presets.text(name, shape)), shape, 10), shape, 10) for name in presets.NAMES]
    flash_bytes = [size.flash_bytes for size in sizes]
    assert flash_bytes == sorted(flash_bytes)


def test_summary_is_the_plans(capsys):
    """By hand: 5x5 kernels at 2x2 places, 3x3 pooled, then 2x2x4 values to 3 classes."""
    result = summarize(resolve(parse("conv3x3:4 pool2, dense"), (6, 6, 1), 3), (6, 6, 1), 3)
    conv, dense = result.layers
    assert (conv.output_shape, conv.weight_bits, conv.macs) == ((2, 2, 4), 36, 16 * 36)
    assert (dense.output_shape, dense.weight_bits, dense.macs) == ((3,), 48, 48)
    # 9 or 16 bits a row in bytes or words, 6 bytes of parameters a neuron
    assert conv.flash_bytes >= 4 * (2 + 6) and dense.flash_bytes >= 3 * (2 + 6)
    assert result.flash_bytes == conv.flash_bytes + dense.flash_bytes
    print_summary(console(), result)
    text = capsys.readouterr().out
    assert f"{result.arena_bytes:,} bytes of RAM" in text and "cortex-m4" in text
    assert json.loads(json.dumps(summary_json(result)))["macs"] == 16 * 36 + 48


def test_summary_of_a_graph():
    """An addition has no weights; the value it reads a second time stays in the arena."""
    shape, chain = (6, 6, 1), "conv3x3pad:4, conv3x3pad:4, conv3x3:4, dense"
    residual = chain.replace("conv3x3:4,", "add(-2), conv3x3:4,")
    plain, summary = (summarize(resolve(parse(text), shape, 3), shape, 3) for text in (chain, residual))
    added = summary.layers[2]
    assert (added.layer, added.output_shape, added.weight_bits, added.flash_bytes) == ("add(-2)", (6, 6, 4), 0, 0)
    assert summary.flash_bytes == plain.flash_bytes
    assert summary.arena_bytes >= plain.arena_bytes


def test_mlp_helper_ends_in_classes():
    assert architecture_text(resolve(mlp((8, 6)), (4,), 3)) == "dense:8, dense:6, dense:3"


@pytest.mark.parametrize(("text", "shape"), [("conv3x5:1, dense", (3, 5, 4386)), ("dense", (65_793,))])
def test_a_neuron_has_at_most_65_793_inputs(text, shape):
    """In a kernel that is not square too."""
    resolve(parse(text), shape, 2)
    with pytest.raises(SignbitError, match=r"has 65,\d+ inputs per neuron, but at most 65,793 are possible"):
        resolve(parse(text), (*shape[:-1], shape[-1] + 1), 2)


def test_a_toml_file_has_at_most_one_mebibyte(tmp_path):
    path = tmp_path / "net.toml"
    text = 'layers = [{kind = "dense"}]\n#'
    path.write_text(text.ljust(1 << 20, "x"))
    assert [spec.kind for spec in read_toml(path)] == ["dense"]
    path.write_text(text.ljust((1 << 20) + 1, "x"))
    with pytest.raises(SignbitError, match="is larger than 1,048,576 bytes"):
        read_toml(path)
