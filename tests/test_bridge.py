"""Import from ONNX: what real frameworks wrote, each operator beside onnx's reference, and each refusal."""

import hashlib
import json
import re
import time

import numpy as np
import pytest

pytest.importorskip("onnx", reason="onnx is missing: pip install onnx")

from signbit.__main__ import COMMANDS
from signbit.bridge.compare import compare
from signbit.bridge.graph.fold import Line, _refined, requantize
from signbit.bridge.graph.library import TensorProto
from signbit.bridge.importing import Options, import_file
from signbit.bridge.running import Runner
from signbit.qmodel.activations import Requantize
from signbit.qmodel.command import run_command, run_named
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.file import load
from signbit.qmodel.layer import Range
from tests.golden.onnx.hashes import HERE, NAMES
from tests.onnx_graphs import Graph, conv, ramp, relu, signs, step_where, to_logits
from tools.documents.blocks import block
from tools.measure import bridge_torch

HASHES = json.loads((HERE / "hashes.json").read_text())
INPUTS = 200


def differences(imported, inputs=INPUTS):
    """Largest difference between the graph's logits and the integer model's, and the labels that differ."""
    model = imported.model
    x = np.random.default_rng(1).integers(0, 256, (inputs, model.input_size), dtype=np.uint8)
    real = np.concatenate([outputs[0] for outputs in Runner(imported, [imported.logits]).outputs(x)])
    ours = model.run(x) * 2.0**-model.logit_shift
    return float(np.abs(real - ours).max()), int((real.argmax(axis=1) != ours.argmax(axis=1)).sum())


# -- files of real frameworks -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_framework_s_file_gives_the_expected_model(name, repository):
    imported = import_file(HERE / name, Options(), external_data=True)
    assert imported.model.hash == HASHES[name]
    certificate = imported.certificate
    assert certificate.possible > 0 and certificate.different <= certificate.possible * 3e-4
    page = (repository / "docs" / "BRIDGE.md").read_text()
    (row,) = [line for line in page.splitlines() if line.startswith(f"| {name.removesuffix('.onnx')} |")]
    assert row.endswith(f"| {certificate.different:,} of {certificate.possible:,} |")


def test_there_is_a_file_of_each_framework():
    assert len(NAMES) == len(HASHES) == 8
    assert {name.partition("_")[0] for name in NAMES} == {"torch", "brevitas", "larq"}


def test_files_of_frameworks_name_no_place_on_their_maker_s_computer():
    """PyTorch writes a stack trace into each node."""
    assert [name for name in NAMES if b"site-packages" in (HERE / name).read_bytes()] == []


@pytest.mark.parametrize("name", ["torch_residual.onnx", "torch_joined.onnx", "larq_conv.onnx", "brevitas_sign.onnx"])
def test_a_framework_s_network_and_the_integers_agree_on_the_digits(name, digits):
    imported = import_file(HERE / name, Options(), external_data=True)
    found = compare(imported, digits.test)
    assert found.labels_equal == found.inputs >= 300
    assert found.difference_max < 0.1 * found.spread


# -- operators --------------------------------------------------------------------------------------------------------


def test_batch_norm_bias_and_clamp_fold_into_a_requantize():
    graph = Graph(2, 6, 6)
    x = graph(
        "BatchNormalization", conv(graph, "x"), *(ramp(4, *ends) for ends in [(-2, 2), (0, 1), (-1, 1), (0.5, 2)])
    )
    imported = graph.imported(to_logits(graph, relu(graph, x, step=0.25), 4 * 16))
    assert [layer.kind for layer in imported.model.layers] == ["conv2d", "dense"]
    assert differences(imported)[1] == 0


@pytest.mark.parametrize("gains", [(0.5, 2.0), (-2.0, 2.0)])
def test_a_max_pool_after_the_activation_is_one_before_it(gains):
    """Where the gain is negative, the largest number comes from the smallest accumulator."""
    graph = Graph(2, 6, 6)
    x = graph("Mul", conv(graph, "x"), ramp(4, *gains).reshape(4, 1, 1) + np.float32(0.1))
    x = graph("Add", x, np.float32(1))
    x = graph("MaxPool", relu(graph, x, step=0.25), kernel_shape=[2, 2], strides=[2, 2])
    imported = graph.imported(to_logits(graph, x, 16))
    assert [layer.kind for layer in imported.model.layers] == ["conv2d", "dense"]
    assert differences(imported) == (pytest.approx(0, abs=0.3), 0)


def test_a_max_pool_after_a_falling_sign_is_one_before_it():
    graph = Graph(2, 6, 6)
    bits = graph("Where", graph("Greater", conv(graph, "x"), np.float32(0.5)), np.float32(-1), np.float32(1))
    x = graph("MaxPool", bits, kernel_shape=[2, 2], strides=[2, 2])
    imported = graph.imported(to_logits(graph, x, 16))
    assert [layer.kind for layer in imported.model.layers] == ["conv2d", "dense"]
    assert differences(imported) == (0.0, 0)


def test_an_image_with_channels_last_gives_the_same_model():
    """The bytes of the model are HWC, whatever the graph's order."""
    first, last = Graph(2, 6, 6), Graph(6, 6, 2)
    hashes = []
    for graph, x in ((first, "x"), (last, last("Transpose", "x", perm=[0, 3, 1, 2]))):
        imported = graph.imported(to_logits(graph, relu(graph, conv(graph, x), step=0.5), 64))
        assert imported.model.input_shape == (6, 6, 2)
        assert differences(imported)[1] == 0
        hashes.append(imported.model.hash)
    assert hashes[0] == hashes[1]


def test_a_vector_that_becomes_an_image_is_read_as_one():
    graph = Graph(36)
    image = graph("Reshape", "x", np.array([1, 1, 6, 6]))
    imported = graph.imported(to_logits(graph, relu(graph, conv(graph, image, channels=1), step=0.5), 64))
    assert imported.model.input_shape == (6, 6, 1) and differences(imported)[1] == 0


def test_a_convolution_over_time_is_one_over_an_image_of_width_1():
    graph = Graph(3, 20)
    x = relu(graph, conv(graph, "x", 6, 3, (5,), pads=[2, 2], strides=[2]), step=0.5)
    x = graph("MaxPool", x, kernel_shape=[2], strides=[2])
    imported = graph.imported(to_logits(graph, x, 30))
    assert imported.model.input_shape == (20, 1, 3) and differences(imported)[1] == 0


def test_a_depthwise_convolution():
    graph = Graph(4, 6, 6)
    x = relu(graph, conv(graph, "x", 4, 1, group=4), step=0.125)
    imported = graph.imported(to_logits(graph, x, 64))
    assert imported.model.layers[0].kind == "depthwise_conv2d" and differences(imported)[1] == 0


def test_ternary_weights_and_a_scale_for_each_output():
    graph = Graph(12)
    weights = signs(12, 6) * ramp(6, -2, 3)
    weights[::3] = 0
    imported = graph.imported(graph.dense(relu(graph, graph("MatMul", "x", weights)), 3, 6))
    assert imported.model.layers[0].ternary and differences(imported)[1] == 0


@pytest.mark.parametrize("is_transposed", [False, True])
def test_the_factors_of_gemm_count(is_transposed):
    """alpha * x @ w + beta * bias."""
    graph, weights = Graph(12), signs(12, 6)
    matrix = weights.T.copy() if is_transposed else weights
    x = graph("Gemm", "x", matrix, ramp(6, -2, 2), alpha=0.5, beta=3.0, transB=int(is_transposed))
    imported = graph.imported(graph.dense(relu(graph, x, step=0.11), 3, 6))
    assert differences(imported)[0] < 0.01


def test_weights_are_folded_constants():
    """As exporters leave them: a sign of latent weights, transposed."""
    graph = Graph(12)
    latent = np.random.default_rng(2).normal(size=(6, 12)).astype(np.float32)
    hard = graph("Where", graph("GreaterOrEqual", latent, np.float32(0)), np.float32(1), np.float32(-1))
    x = graph("MatMul", "x", graph("Transpose", hard, perm=[1, 0]))
    model = graph.imported(graph.dense(relu(graph, x), 3, 6)).model
    assert np.array_equal(model.layers[0].weights, np.where(latent >= 0, 1, -1))


def step_less(graph, x):
    return graph("Where", graph("Less", x, np.float32(0.5)), np.float32(-2), np.float32(2))


def step_cast(graph, x):
    is_up = graph("Not", graph("Greater", np.float32(0.5), x))
    return graph("Sub", graph("Mul", graph("Cast", is_up, to=TensorProto.FLOAT), np.float32(4)), np.float32(2))


def step_larq(graph, x):
    inner = graph("Add", graph("Sign", graph("Sub", x, np.float32(0.5))), np.float32(0.1))
    return graph("Mul", graph("Sign", inner), np.float32(2))


def step_bipolar(graph, x):
    return graph("BipolarQuant", graph("Sub", x, np.float32(0.5)), np.float32(2))


def sign_at(graph, x):
    return graph("Sign", graph("Sub", x, np.float32(0.5)))


def step_zero_replaced(graph, x):
    """out = sign(x); out[out == 0] = 1"""
    sign = sign_at(graph, x)
    is_zero = graph("Equal", sign_at(graph, x), np.float32(0))
    return graph("Mul", graph("Where", is_zero, np.ones((1, 6), np.float32), sign), np.float32(2))


def step_zero_added(graph, x):
    sign = sign_at(graph, x)
    is_zero = graph("Cast", graph("Equal", sign, np.float32(0)), to=TensorProto.FLOAT)
    return graph("Mul", graph("Add", sign, is_zero), np.float32(2))


def step_difference(graph, x):
    sides = [
        graph("Cast", graph(kind, x, np.float32(0.5)), to=TensorProto.FLOAT) for kind in ("GreaterOrEqual", "Less")
    ]
    return graph("Mul", graph("Sub", *sides), np.float32(2))


def step_not_zero(graph, x):
    """A number becomes True where it is not 0."""
    is_up = graph("Cast", graph("Relu", graph("Add", sign_at(graph, x), np.float32(0.5))), to=TensorProto.BOOL)
    return graph("Where", is_up, np.float32(2), np.float32(-2))


def step_bounded(graph, x):
    """Max and Min of constants, and Abs of what has a sign only."""
    bounded = graph("Min", graph("Max", step_where(graph, x), np.float32(-1)), np.float32(1))
    return graph("Mul", bounded, graph("Abs", step_where(graph, x)))


WAYS = [
    *(step_where, step_less, step_cast, step_larq, step_bipolar, step_zero_replaced, step_zero_added),
    *(step_difference, step_not_zero, step_bounded),
]


@pytest.mark.parametrize("step", WAYS)
def test_every_way_to_write_a_sign_is_the_same_thresholds(step):
    graph = Graph(12)
    imported = graph.imported(graph.dense(step(graph, graph.dense("x", 6, 12)), 3, 6), input_unit=0.25)
    assert imported.model.layers[0].activation.kind == "sign"
    # 0.25 * acc >= 0.5
    assert (imported.model.layers[0].activation.threshold == 2).all()
    assert differences(imported) == (0.0, 0) and imported.certificate.different == 0


def test_a_straight_through_estimator_is_what_it_estimates():
    """x + (quantized(x) - x), as it is left in exported graphs; the rounding of float32 aside."""
    hashes = []
    for is_straight in (False, True):
        graph = Graph(12)
        x = graph.dense("x", 6, 12)
        y = relu(graph, x)
        y = graph("Add", x, graph("Sub", y, x)) if is_straight else y
        hashes.append(graph.imported(graph.dense(y, 3, 6)).model.hash)
    assert hashes[0] == hashes[1]


@pytest.mark.parametrize("kind", ["Tanh", "product"])
def test_a_surrogate_without_an_integer_form_cancels_out(kind):
    """soft(x) + (sign(x) - soft(x)), and sign(x) - soft(x) + soft(x): only the sign is left."""
    hashes = []
    for soft in (None, "first", "last"):
        graph = Graph(12)
        x = graph.dense("x", 6, 12)
        hard = step_where(graph, x)
        if soft:
            y = graph("Tanh", x) if kind == "Tanh" else graph("Add", graph("Mul", x, x), x)
            same = graph("Identity", y)
            hard = graph("Add", *(y, graph("Sub", hard, same)) if soft == "first" else (graph("Sub", hard, y), same))
        hashes.append(graph.imported(graph.dense(hard, 3, 6)).model.hash)
    assert len(hashes) == 3 and len(set(hashes)) == 1


def test_another_surrogate_does_not_cancel_out():
    graph = Graph(12)
    x = graph.dense("x", 6, 12)
    soft = graph("Tanh", x)
    twice = graph("Mul", soft, np.float32(2))
    straight = graph("Add", twice, graph("Identity", graph("Sub", step_where(graph, x), graph("Identity", soft))))
    with pytest.raises(SignbitError, match=r"Tanh1.*no integer form of Tanh"):
        graph.imported(graph.dense(straight, 3, 6))


def test_what_nothing_reads_need_not_have_an_integer_form():
    graph = Graph(12)
    graph("Tanh", "x")
    assert len(graph.imported(graph.dense("x", 3, 12)).model.layers) == 1


def test_a_sign_after_a_relu_is_a_step():
    graph = Graph(12)
    up = graph("Sign", graph("Relu", graph.dense("x", 6, 12)))
    imported = graph.imported(graph.dense(up, 3, 6))
    assert imported.model.layers[0].activation.high == 1 and differences(imported) == (0.0, 0)


def test_numbers_on_the_boundary_of_two_levels_are_said():
    """A mean of four multiples of 1/15 lies between two of them in a quarter of cases, except for float32's errors."""
    graph = Graph(2, 6, 6)
    scale = np.float32(1) / np.float32(15)
    x = relu(graph, conv(graph, "x"), step=scale)
    mean = graph("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
    imported = graph.imported(to_logits(graph, relu(graph, mean, step=scale), 16))
    assert imported.model.layers[1].kind == "average_pool"
    # 4 channels, sums of 4 * level - 2; every other one is rounded down in the network
    assert "layer 1: 60 accumulators lie on the boundary of two levels" in imported.notes[0]
    assert imported.certificates[1].different == 4 * 8


@pytest.mark.parametrize("is_wide", [False, True])
def test_a_signal_may_be_an_image_of_either_side_1(is_wide):
    """As Keras writes convolutions and pools over time: the one with height 1, the other with width 1."""
    graph = Graph(3, 1, 20)
    x = relu(graph, conv(graph, "x", 6, 3, (1, 5)), step=0.5)
    if is_wide:
        x = graph("MaxPool", x, kernel_shape=[1, 2], strides=[1, 2])
    else:
        x = graph("MaxPool", graph("Transpose", x, perm=[0, 1, 3, 2]), kernel_shape=[2, 1], strides=[2, 1])
        x = graph("Unsqueeze", graph("Squeeze", x, np.array([3])), np.array([2]))
    mean = graph("ReduceMean", graph("Squeeze", x, np.array([2])), axes=[2])
    imported = graph.imported(to_logits(graph, relu(graph, mean, step=0.5), 6))
    assert [layer.kind for layer in imported.model.layers] == ["conv2d", "average_pool", "dense"]
    assert differences(imported)[0] < 2


@pytest.mark.parametrize("shape", [(36,), (1, 6, 6)])
def test_an_input_that_is_made_binary_gets_a_layer_that_does_it(shape):
    graph = Graph(*shape)
    bits = step_where(graph, "x")
    imported = graph.imported(graph.dense(graph("Flatten", bits), 3, 36))
    assert [layer.kind for layer in imported.model.layers] == ["depthwise_conv2d", "dense"]
    assert imported.model.layers[0].activation.kind == "sign" and differences(imported) == (pytest.approx(0), 0)
    assert "quantizes its input to another grid" in imported.notes[0]


@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_auto_pad_is_worked_out(mode, stride):
    graph = Graph(2, 7, 6)
    x = conv(graph, "x", kernel=(4, 3), auto_pad=mode, strides=[stride, stride])
    fan_in = 4 * -(-7 // stride) * -(-6 // stride)
    assert differences(graph.imported(to_logits(graph, relu(graph, x, step=0.5), fan_in)))[1] == 0


def test_the_larger_of_a_number_and_a_constant_is_a_clamp():
    """As some exporters write Clip and Relu6."""
    hashes = []
    for is_clip in (True, False):
        graph = Graph(12)
        x = graph.dense("x", 6, 12)
        ends = np.float32(0), np.float32(7)
        x = graph("Clip", x, *ends) if is_clip else graph("Min", graph("Max", ends[0], x), ends[1])
        hashes.append(graph.imported(graph.dense(graph("Round", x), 3, 6)).model.hash)
    assert hashes[0] == hashes[1]


def test_one_output_is_said_to_be_one_class():
    graph = Graph(12)
    assert "one output for each class" in graph.imported(graph.dense("x", 1, 12)).notes[0]


def test_a_step_from_0_to_1_has_two_levels():
    graph = Graph(12)
    up = graph("Greater", graph.dense("x", 6, 12), np.float32(0))
    imported = graph.imported(graph.dense(graph("Cast", up, to=TensorProto.FLOAT), 3, 6))
    assert imported.model.layers[0].activation.high == 1 and differences(imported) == (0.0, 0)


def test_a_bare_sign_says_what_becomes_of_0():
    graph = Graph(12)
    imported = graph.imported(graph.dense(graph("Sign", graph.dense("x", 6, 12)), 3, 6))
    assert "Sign gives 0 for 0" in imported.notes[0]
    assert imported.certificate.different == 6


@pytest.mark.parametrize("value", [-1.0, 1.0])
@pytest.mark.parametrize("offset", [0.0, 1e12, -1e12])
def test_one_bit_values_are_padded_with_either_sign(value, offset):
    """Signs that always or never are +1 among them."""
    graph = Graph(2, 6, 6)
    x = step_where(graph, graph("Add", conv(graph, "x"), np.float32([0, offset, 0, 0]).reshape(4, 1, 1)))
    x = graph("Mul", x, np.float32(0.5))
    x = graph("Pad", x, np.array([0, 0, 1, 1, 0, 0, 1, 1]), np.float32(value))
    imported = graph.imported(to_logits(graph, step_where(graph, conv(graph, x, 4, 4, seed=5)), 64))
    assert imported.model.layers[1].window.padding == (1, 1, 1, 1)
    assert differences(imported) == (0.0, 0)


def test_signed_levels_begin_at_the_lowest():
    graph = Graph(12)
    x = graph("Round", graph("Clip", graph.dense("x", 6, 12), np.float32(-4), np.float32(4)))
    imported = graph.imported(graph.dense(graph("Mul", x, np.float32(0.5)), 3, 6))
    assert imported.model.layers[0].activation.high == 8 and differences(imported)[1] == 0


def test_halves_go_to_even_levels_and_the_certificate_counts_them():
    """acc / 2 has a tie at every odd accumulator; the graph rounds every other one up, SPEC 4 all or none."""
    graph = Graph(4)
    x = graph(
        "Round",
        graph(
            "Clip",
            graph("Mul", graph("MatMul", "x", np.ones((4, 1), np.float32)), np.float32(0.5)),
            np.float32(0),
            np.float32(9),
        ),
    )
    imported = graph.imported(graph.dense(x, 2, 1), input_unit=1.0)
    # 1.5, 3.5, 5.5, 7.5, which are fewer than 0.5, 2.5, 4.5, 6.5, 8.5
    assert imported.certificate.different == 4 and imported.certificate.possible == 4 * 255 + 1


def test_the_certificate_is_what_counting_gives():
    """Every accumulator of every neuron, one by one."""
    graph = Graph(40)
    x = graph("Mul", graph.dense("x", 8, 40), ramp(8, -0.9, 1.3) * np.float32(0.01))
    imported = graph.imported(graph.dense(relu(graph, x, high=127.0, step=0.01), 3, 8), input_unit=1.0)
    layer = imported.model.layers[0]
    acc = layer.accumulator_range(imported.model.values[0])
    gains = (ramp(8, -0.9, 1.3) * np.float32(0.01)).astype(np.float64) / np.float64(np.float32(0.01))
    different = 0
    for neuron, gain in enumerate(gains):
        all_acc = np.arange(acc.low[neuron], acc.high[neuron] + 1)
        wanted = np.clip(np.rint(gain * all_acc), 0, 127)
        scaled = all_acc * int(layer.activation.multiplier[neuron]) + int(layer.activation.bias[neuron])
        different += int((np.clip(scaled >> layer.activation.shift, 0, 127) != wanted).sum())
    assert imported.certificate.possible == int((acc.high - acc.low + 1).sum())
    assert imported.certificate.different == different


@pytest.mark.parametrize("seed", range(2))
def test_no_multiplier_nearby_and_no_bias_rounds_fewer_differently(seed):
    """Every bias that could be better, for M and M +- 1, one by one."""
    rng = np.random.default_rng(seed)
    gain = rng.uniform(0.1, 0.3, 3) * [1, -1, 1]
    acc, line = Range(np.full(3, -300), np.full(3, 300)), Line(gain, rng.uniform(-2, 12, 3), 15)
    all_acc = np.arange(-300, 301)[:, None]
    wanted = np.clip(np.floor(gain * all_acc + line.offset), 0, 15)
    # so small a shift leaves M few digits, yet enough that no level is off by more than one accumulator
    shift, coarse = 9, np.rint(gain * 2**9).astype(int)
    start = Requantize(coarse.astype(np.int16), np.rint(line.offset * 2**9).astype(np.int32), shift, 15)
    refined = _refined(line, start, acc)

    def different(multiplier, bias):
        return (np.clip((all_acc * multiplier + bias) >> shift, 0, 15) != wanted).sum(axis=0)

    least = np.min([different(coarse + near, bias) for near in (-1, 0, 1) for bias in range(-1500, 6500)], axis=0)
    assert (different(refined.multiplier.astype(int), refined.bias) == least).all()
    assert requantize(line, acc)[1].different == 0


def test_a_residual_addition_of_one_scale_is_exact():
    graph = Graph(2, 6, 6)
    x = relu(graph, conv(graph, "x", pads=[1, 1, 1, 1]), step=2.03)
    y = relu(graph, conv(graph, x, 4, 4, pads=[1, 1, 1, 1], seed=6), step=2.03)
    imported = graph.imported(to_logits(graph, graph("Add", x, y), 144), input_unit=1.0)
    add = imported.model.layers[2]
    assert (add.kind, add.high, add.multipliers, add.shift) == ("add", 30, (1, 1), 0)
    # two classes of one input have the same logit, which float32 does not see
    assert imported.certificate.different == 0 and differences(imported)[0] < 0.05


def test_a_residual_addition_of_two_scales_is_requantized():
    graph = Graph(2, 6, 6)
    x = relu(graph, conv(graph, "x", pads=[1, 1, 1, 1]), high=127.0, step=0.0301)
    y = relu(graph, conv(graph, x, 4, 4, pads=[1, 1, 1, 1], seed=6), high=127.0, step=0.0203)
    imported = graph.imported(to_logits(graph, relu(graph, graph("Add", x, y), high=127.0, step=0.05), 144))
    add, certificate = imported.model.layers[2], imported.certificates[2]
    assert add.kind == "add" and add.shift > 0
    assert certificate.possible == 128 * 128 and certificate.different <= 8
    assert differences(imported)[1] == 0


def test_channels_side_by_side_even_when_flattened():
    graph = Graph(2, 6, 6)
    parts = [relu(graph, conv(graph, "x", outputs, seed=outputs), step=1.0) for outputs in (3, 4)]
    flat = graph("Concat", *(graph("Flatten", part) for part in parts), axis=1)
    imported = graph.imported(graph.dense(flat, 5, 7 * 16), input_unit=1.0)
    assert imported.model.layers[2].kind == "concatenate" and differences(imported) == (0.0, 0)


@pytest.mark.parametrize("axis", [2, 3])
def test_images_below_or_beside_each_other_before_a_flatten(axis):
    """Their numbers are channels of the integer model, and the dense layer's columns know where."""
    graph = Graph(2, 6, 6)
    parts = [relu(graph, conv(graph, "x", seed=seed), step=1.0) for seed in (3, 4)]
    imported = graph.imported(to_logits(graph, graph("Concat", *parts, axis=axis), 128), input_unit=1.0)
    assert imported.model.layers[2].kind == "concatenate" and differences(imported) == (0.0, 0)


def test_a_mean_that_is_quantized_is_an_average_pool():
    graph = Graph(2, 6, 6)
    x = relu(graph, conv(graph, "x"), high=127.0, step=0.0625)
    x = graph("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
    imported = graph.imported(to_logits(graph, relu(graph, x, high=127.0, step=0.0625), 16))
    assert imported.model.layers[1].kind == "average_pool"
    assert differences(imported)[0] < 1


@pytest.mark.parametrize("kind", ["GlobalAveragePool", "ReduceMean"])
def test_a_mean_is_rounded_only_when_that_is_allowed(kind):
    graph = Graph(2, 6, 6)
    x = relu(graph, conv(graph, "x"), high=127.0, step=0.0625)
    x = graph(kind, x, **({"axes": [2, 3]} if kind == "ReduceMean" else {}))
    output = to_logits(graph, x, 4)
    with pytest.raises(SignbitError, match=r"means that the graph does not round.* --allow-rounding"):
        graph.imported(output)
    imported = graph.imported(output, allow_rounding=True)
    assert imported.model.layers[1].kind == "average_pool"
    assert imported.certificates[1].different == 4 * (16 * 127 - 127)


def test_quantize_and_dequantize_linear():
    graph = Graph(12)
    zero, scale = np.array(128, np.uint8), np.float32(0.25)
    q = graph("QuantizeLinear", graph.dense("x", 6, 12), scale, zero)
    imported = graph.imported(graph.dense(graph("DequantizeLinear", q, scale, zero), 3, 6))
    assert imported.model.layers[0].activation.high == 255 and differences(imported)[1] == 0


def qlinear_network(graph, kind):
    scale, zero, ones = np.float32(1 / 255), np.array(0, np.uint8), np.array(0, np.int8)
    q = graph("QuantizeLinear", "x", scale, zero)
    if kind == "conv":
        weights = signs(4, 2, 3, 3).astype(np.int8)
        bias = np.arange(4, dtype=np.int32) * 100
        y = graph("QLinearConv", q, scale, zero, weights, np.float32(0.5), ones, np.float32(0.02), zero, bias)
        return graph("Flatten", graph("DequantizeLinear", y, np.float32(0.02), zero)), 64
    weights = signs(72, 6).astype(np.int8)
    flat = graph("Flatten", q)
    y = graph("QLinearMatMul", flat, scale, zero, weights, np.float32(0.5), ones, np.float32(0.02), zero)
    return graph("DequantizeLinear", y, np.float32(0.02), zero), 6


@pytest.mark.parametrize("kind", ["conv", "matmul"])
def test_qlinear_operators(kind):
    graph = Graph(2, 6, 6)
    x, fan_in = qlinear_network(graph, kind)
    imported = graph.imported(graph.dense(x, 3, fan_in), layout="NCHW")
    # of 200; a level of y is worth 0.02, and float32 rounds a few the other way
    assert differences(imported)[0] < 0.1 and differences(imported)[1] <= 2


@pytest.mark.parametrize("kind", ["Quant", "IntQuant"])
def test_qonnx_quantizers(kind):
    graph = Graph(12)
    one = [np.float32(value) for value in (0.25, 0, 4)]
    weights = graph("BipolarQuant", signs(12, 6) * np.float32(0.3), np.float32(1))
    x = graph(kind, graph("MatMul", "x", weights), *one, signed=1, narrow=0, rounding_mode="ROUND")
    imported = graph.imported(graph.dense(x, 3, 6))
    assert imported.model.layers[0].activation.high == 15 and differences(imported)[1] == 0


def test_a_truncated_mean_is_a_requantized_sum():
    graph = Graph(2, 6, 6)
    bits = [np.float32(value) for value in (0.5, 0, 8, 6)]
    x = relu(graph, conv(graph, "x"), high=63.0, step=0.5)
    x = graph("Mul", graph("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2]), np.float32(4))
    imported = graph.imported(to_logits(graph, graph("Trunc", x, *bits, rounding_mode="FLOOR"), 16))
    assert differences(imported)[1] == 0


def test_evenly_spaced_thresholds_are_a_requantize():
    graph = Graph(12)
    thresholds = np.arange(-5, 10)[None] * np.array([[3.0], [1.5], [0.7], [40.0]]) + 0.25
    x = graph("MultiThreshold", graph.dense("x", 4, 12), thresholds, out_dtype="UINT4")
    imported = graph.imported(graph.dense(x, 3, 4), input_unit=1.0)
    assert imported.model.layers[0].activation.high == 15
    assert imported.certificate.different == 0 and differences(imported) == (0.0, 0)


@pytest.mark.parametrize("kind", ["Softmax", "LogSoftmax", "Sigmoid"])
def test_a_softmax_at_the_end_is_left_to_the_device(kind):
    graph = Graph(12)
    end = graph(kind, graph.dense("x", 3, 12), **({} if kind == "Sigmoid" else {"axis": 1}))
    imported = graph.imported(graph("Identity", end))
    assert imported.logits == "t0" and differences(imported)[1] == 0


def test_bytes_shifted_right_are_an_input_shift():
    graph = Graph(12, elem_type=TensorProto.UINT8)
    x = graph("Cast", graph("BitShift", "x", np.array(1, np.uint8), direction="RIGHT"), to=TensorProto.FLOAT)
    imported = graph.imported(graph.dense(x, 3, 12))
    assert imported.model.input_shift == 1 and differences(imported) == (0.0, 0)


# -- the command ------------------------------------------------------------------------------------------------------


def command(capsys, *words):
    code = run_command(lambda arguments: run_named(COMMANDS, arguments, "signbit"), [str(word) for word in words])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_the_command_imports_compares_and_says_what_it_did(tmp_path, capsys):
    path = tmp_path / "m.npz"
    words = ("import", HERE / "torch_residual.onnx", "-o", path, "--data", "digits")
    code, out, err = command(capsys, *words, "--labels", ",".join("abcdefghij"))
    assert (code, err) == (0, "")
    assert "360 of 360 equal" in out and "accumulators that can occur" in out and "add" in out
    model = load(path)
    assert (model.name, model.labels[9]) == ("torch_residual", "j")
    record = model.provenance["imported"]
    assert record["producer"].startswith("pytorch")
    assert record["sha256"] == hashlib.sha256((HERE / "torch_residual.onnx").read_bytes()).hexdigest()
    code, out, _ = command(capsys, *words, "--json")
    told = json.loads(out)
    assert told["hash"] == load(path).hash == HASHES["torch_residual.onnx"]
    assert told["comparison"]["labels_equal"] == 360 and len(told["layers"]) == len(model.layers)


@pytest.mark.parametrize(
    "words, text",
    [
        (["torch_plain.onnx", "--name", "1"], "model name '1' must be"),
        (["torch_plain.onnx", "--input-unit", "x"], "'x' is not a number above 0 such as 1/255"),
        (["torch_plain.onnx", "--input-unit", "1/0"], "'1/0' is not a number above 0"),
        (["torch_plain.onnx", "--labels", "a,b"], "2 labels for 10 classes"),
        (["torch_plain.onnx", "--data", "nowhere"], "--data 'nowhere' is unknown"),
        (["torch_plain.onnx", "--calibrate", "digits"], "no float ReLU; leave it out"),
        (["missing.onnx"], "No such file"),
        (["make_torch.py"], "is no ONNX file"),
    ],
)
def test_a_wrong_word_ends_in_one_line_and_no_file(words, text, tmp_path, capsys):
    path = tmp_path / "m.npz"
    code, out, err = command(capsys, "import", HERE / words[0], *words[1:], "-o", path)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert text in err and not path.exists()


@pytest.mark.parametrize(
    "inputs, outputs, text",
    [
        (12, 10, r"the network takes \(12,\), but the inputs of digits are \(8, 8, 1\)"),
        (64, 3, "the network has 3 classes, but digits has 10"),
    ],
)
def test_data_of_other_inputs_or_classes_are_refused(inputs, outputs, text, tmp_path, capsys):
    graph, path = Graph(inputs), tmp_path / "m.onnx"
    path.write_bytes(graph.proto(graph.dense("x", outputs, inputs)).SerializeToString())
    code, out, err = command(capsys, "import", path, "-o", tmp_path / "m.npz", "--data", "digits")
    assert (code, out, err.count("\n")) == (2, "", 1) and re.search(text, err)
    assert not (tmp_path / "m.npz").exists()


def test_a_network_for_sensor_counts_is_compared_with_no_data_set(tmp_path, repository, capsys):
    path = tmp_path / "m.onnx"
    assert command(capsys, "export-onnx", "activity-600", "-o", path)[0] == 0
    imported = import_file(path, Options())
    assert imported.model.hash == load(repository / "models" / "activity-600.npz").hash
    with pytest.raises(SignbitError, match="takes a sensor's counts, and data sets hold bytes; leave out --data"):
        Runner(imported, [imported.logits])


def test_a_network_that_takes_flat_images_is_compared_with_images(tmp_path, capsys):
    graph, path = Graph(64), tmp_path / "m.onnx"
    path.write_bytes(graph.proto(graph.dense("x", 10, 64)).SerializeToString())
    code, out, _ = command(capsys, "import", path, "-o", tmp_path / "m.npz", "--data", "digits")
    assert code == 0 and "360 of 360 equal" in out


def test_a_graph_that_a_runtime_can_t_run_is_reported_in_one_line():
    pytest.importorskip("onnxruntime", reason="onnxruntime is missing: pip install onnxruntime")
    imported = import_file(HERE / "torch_plain.onnx", Options())
    runner = Runner(imported, [imported.logits])
    # other axes than the graph has
    sides = runner._input.type.tensor_type.shape.dim
    sides[1].dim_value, sides[2].dim_value = 2, 4
    with pytest.raises(SignbitError, match=r"can't run the graph: .*") as caught:
        next(runner.outputs(np.zeros((1, 64), np.uint8)))
    assert "\n" not in str(caught.value)


def test_float_relu_is_calibrated_to_7_bits(tmp_path, digits):
    from signbit.bridge.calibrate import calibrated
    from signbit.bridge.graph.reading import checked

    graph = Graph(1, 8, 8)
    x = graph("Relu", graph("Add", conv(graph, "x", channels=1), ramp(4, -1, 1).reshape(4, 1, 1)))
    x = graph("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = graph("Relu", graph.dense(graph("Flatten", x), 8, 36))
    proto = checked(graph.proto(graph.dense(x, 10, 8, seed=4)))
    imported, ranges = calibrated(proto, Options(), digits.train.x)
    assert list(ranges) == ["t4", "t6"] and all(1 < high < 200 for high in ranges.values())
    assert [layer.activation.high for layer in imported.model.layers[:2]] == [127, 127]
    found = compare(imported, digits.test)
    assert found.labels_equal >= 0.97 * found.inputs and found.difference_max < 0.2 * found.spread


# -- docs/BRIDGE.md ---------------------------------------------------------------------------------------------------


def test_the_page_s_commands_print_what_it_shows(repository, tmp_path, capsys, monkeypatch):
    pytest.importorskip("onnxruntime", reason="onnxruntime is missing: pip install onnxruntime")
    monkeypatch.chdir(tmp_path)
    page = (repository / "docs" / "BRIDGE.md").read_text()
    (block,) = re.findall(r"^```console\n(.*?)^```", page, re.M | re.S)
    for part in re.split(r"^\$ signbit ", block, flags=re.M)[1:]:
        line, *wanted = part.splitlines()
        code, out, err = command(capsys, *line.split())
        assert (code, err) == (0, "")
        assert [text for text in wanted if text not in out.splitlines()] == []


def test_the_page_lists_every_option(repository, capsys):
    page = (repository / "docs" / "BRIDGE.md").read_text()
    with pytest.raises(SystemExit):
        command(capsys, "import", "--help")
    options = set(re.findall(r"--[a-z-]+", capsys.readouterr().out)) - {"--help", "--version", "--out", "--data-dir"}
    assert options - set(re.findall(r"`(--[a-z-]+)", page)) <= {"--name"}


def test_the_page_s_program_gave_three_networks_whose_labels_are_all_equal():
    """A network of each kind, trained within 2 minutes, at most 0.01 % of its accumulators on another level."""
    compile(bridge_torch.program(), "BRIDGE.md", "exec")
    text = block(bridge_torch.BLOCK, bridge_torch.DOCUMENT)
    assert tuple(re.findall(r"^\$ python train.py (\w+)$", text, re.M)) == bridge_torch.NETWORKS
    assert text.count("labels equal: 10,000 of 10,000") == 3
    seconds, shares = (re.findall(pattern, text) for pattern in (r"trained in (\d+) s", r"accumulators \(([\d.]+)%\)"))
    assert len(seconds) == len(shares) == 3
    assert max(map(int, seconds)) < 120 and max(map(float, shares)) <= 0.01


def test_a_megabyte_is_imported_in_five_seconds(tmp_path):
    """784-4096-1200-10: 8,139,264 weights, with its certificate; the processor's time, since others may use it."""
    graph = Graph(784)
    x = relu(graph, graph("Mul", graph("MatMul", "x", signs(784, 4096)), np.float64(0.031)), high=127.0, step=0.0613)
    x = relu(graph, graph("Mul", graph("MatMul", x, signs(4096, 1200)), np.float64(0.031)), high=127.0, step=0.0613)
    path = tmp_path / "m.onnx"
    path.write_bytes(graph.proto(graph.dense(x, 10, 1200)).SerializeToString())
    start = time.process_time()
    model = import_file(path, Options()).model
    assert time.process_time() - start < 5.0
    assert sum(array.nbytes for layer in model.layers for array in layer.arrays().values()) > 1e6
