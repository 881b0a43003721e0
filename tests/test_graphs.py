"""Networks whose layers read any values: residual additions, concatenations, branches."""

import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signbit.qmodel.data.named import load_dataset
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.file import from_bytes, to_bytes
from signbit.qmodel.graph import Graph
from signbit.trainer.exact.grid import EXACT
from signbit.trainer.learning.quantize import freeze, quantize
from signbit.trainer.learning.run import run
from signbit.trainer.learning.settings import default_settings
from signbit.trainer.network.architecture import parse, resolve
from signbit.trainer.network.layer import Mode
from signbit.trainer.network.network import build
from tests.test_networks import LABELS, SHAPE, calibrated

RESIDUAL = "conv3x3pad:12, conv3x3pad:12, add(-2), conv3x3pad:12 pool2, conv3x3pad:12, add(-2), dense"
JOINED = (
    "conv3pad:8 sign, conv1x1:8 sign from(-2), concat(-2), conv3x3:9 pool2, dense:9, dense:9 from(-2), add(-2), dense"
)
PROJECTED = "conv3x3s2pad:12, conv3x3pad:12, conv1x1s2:12 from(-3), add(-2), dense"


@st.composite
def architectures(draw):
    """A text on images of SHAPE, and `high`: layers on any values, and a head that reads what no other layer did."""
    high = draw(st.sampled_from((15, 127, 255)))
    layers, values, unread = [], [(SHAPE[2], high == 15, False)], set()

    def append(text, reads, value):
        unread.difference_update(reads)
        unread.add(len(values))
        layers.append(text)
        values.append(value)

    for _ in range(draw(st.integers(1, 7))):
        last = len(values) - 1
        channels, is_input, is_bit = values[last]
        kind = draw(st.sampled_from(("conv", "conv", "from", "depthwise", "average", "add", "add", "concat")))
        sign = draw(st.sampled_from(("", "", " sign")))
        outputs = draw(st.sampled_from((2, 2, 3, 5)))
        if kind in ("add", "concat"):
            alike = [
                number
                for number, (*other, bit) in enumerate(values[:-1])
                if bit == is_bit and (kind == "concat" or (other == [channels, is_input] and not bit))
            ]
            if alike:
                chosen = draw(st.lists(st.sampled_from(alike), min_size=1, max_size=3, unique=True))
                back = ",".join(str(number - len(values)) for number in chosen)
                size = channels if kind == "add" else channels + sum(values[number][0] for number in chosen)
                # the input's range is another where high is 15, and so is that of what holds it
                is_wide = is_input or any(values[number][1] for number in chosen)
                append(f"{kind}({back})", [last, *chosen], (size, is_wide, is_bit))
        elif kind == "average":
            if not is_bit:
                append("avgpool1", [last], (channels, is_input, False))
        elif kind == "depthwise":
            append(f"depthwise3x3pad{sign}", [last], (channels, False, bool(sign)))
        elif kind == "from":
            source = draw(st.integers(0, last))
            append(f"conv1x1:{outputs}{sign} from({source - len(values)})", [source], (outputs, False, bool(sign)))
        else:
            append(f"conv3x3pad:{outputs}{sign}", [last], (outputs, False, bool(sign)))
    heads = []
    for value in sorted(unread):
        heads.append(len(values))
        append(f"dense:3 from({value - len(values)})", [value], (3, False, False))
    if len(heads) > 1:
        layers.append(f"concat({','.join(str(head - len(values)) for head in heads[:-1])})")
    return ", ".join([*layers, "dense"]), high


def outputs_of(network, inputs):
    """Every block's output, as `Network.forward` computes it."""
    values = [(inputs >> network.input_shift).astype(network.dtype).reshape(-1, *network.input_shape)]
    for block in network.blocks:
        values.append(block.forward(*(values[back] for back in block.inputs), mode=Mode.EVALUATE))
    return values[1:]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


# --- the graph


@pytest.mark.parametrize("take_all", [True, False])
def test_values_are_let_go_of_after_their_last_reader(take_all):
    """The values alive when each layer runs, of a chain with one value that is read again."""

    class Something:
        pass

    graph, alive, made = Graph(((0,), (1,), (2,), (3, 1), (4,))), [], []

    def run(index, values):
        alive.append([number for number, reference in enumerate(made) if reference() is not None])
        output = Something()
        made.append(weakref.ref(output))
        return output

    if take_all:
        assert len([1 for _ in graph.outputs(None, run)]) == 5
    else:
        assert graph.result(None, run) is made[-1]()
    # numbered as layers: layer 0's output is there until layer 3 has read it
    assert alive == [[], [0], [0, 1], [0, 2], [3]]


# --- the integer model


@given(architectures(), st.booleans())
@settings(max_examples=40)
def test_every_value_of_a_frozen_graph_is_the_integer_models(drawn, any_weights):
    text, high = drawn
    network, inputs = calibrated(text, np.random.default_rng(0), high)
    frozen = freeze(network, any_weights)
    model = quantize(frozen, "m", SHAPE, LABELS)
    *hidden, logits = outputs_of(frozen, inputs)
    *expected, expected_logits = model.trace(inputs)
    for value, found, right in zip(model.values[1:], hidden, expected, strict=False):
        np.testing.assert_array_equal(value.packed(found.astype(np.int8 if value.low < 0 else np.uint8)), right)
    np.testing.assert_array_equal(logits, expected_logits * 2.0**-model.logit_shift)
    np.testing.assert_array_equal(frozen.predict(inputs), model.predict(inputs))
    if not any_weights:
        assert model.hash == quantize(network, "m", SHAPE, LABELS).hash
    assert from_bytes(to_bytes(model)).hash == model.hash


@given(architectures())
@settings(max_examples=30)
def test_a_graphs_gradients_do_not_depend_on_the_order_of_the_sums(drawn):
    """A batch in another order changes no bit, neither with batch norm nor with frozen integers."""
    text, high = drawn
    network, inputs = calibrated(text, np.random.default_rng(0), high)
    inputs = inputs[:60]
    gradient = np.rint(np.random.default_rng(1).normal(size=(60, 3)) * 2.0**10).astype(np.float32) * 2.0**-16
    order = np.random.default_rng(2).permutation(60)
    for is_frozen in (False, True):
        found = []
        for part in (np.arange(60), order):
            fresh = freeze(network, any_weights=True) if is_frozen else network
            for grid in fresh.grids:
                grid.exponent = None
            fresh.forward(inputs[part], Mode.TRAIN)
            fresh.backward(gradient[part].astype(np.float32))
            found.append([parameter.gradient.copy() for parameter in fresh.parameters])
        for one, other in zip(*found, strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_value_that_two_layers_read_has_a_grid(rng):
    """Only where the gradient is needed; no value of a chain has one."""
    counts = []
    for text in (RESIDUAL, PROJECTED, "conv3x3pad:4, conv3x3:4, dense"):
        network = build(resolve(parse(text), (8, 8, 1), 10), (8, 8, 1), "deterministic", rng)
        counts.append(len(network.grids) - len([layer for layer in network.layers if layer.grid is not None]))
    # two layers read the input of PROJECTED, which has no gradient
    assert counts == [2, 0, 0]


def test_summed_gradients_lie_on_one_grid(rng):
    """One reader's gradient is a thousandth of the other's, and their sum keeps no finer step than exact sums allow."""
    network = build(resolve(parse(RESIDUAL), (8, 8, 1), 10), (8, 8, 1), "deterministic", rng)
    norm = network.blocks[1].norm
    norm.gamma.value[:], norm.beta.value[:] = 2.0**-10, 1
    arrived = []
    backward = network.blocks[0].backward
    network.blocks[0].backward = lambda dy, **options: (arrived.append(dy.copy()), backward(dy, **options))[1]
    network.forward(rng.integers(256, size=(50, 64), dtype=np.uint8), Mode.TRAIN)
    network.backward((rng.normal(size=(50, 10)) / 500).astype(np.float32))
    units = arrived[0].astype(np.float64) * 2.0 ** -network.grids[-2].exponent
    assert units.any() and np.array_equal(units, np.rint(units))
    assert np.abs(units).sum(axis=(0, 1, 2)).max() < 2 * EXACT


def test_an_addition_of_other_ranges_is_refused(rng):
    """The input has 7 bits where activations have 4."""
    architecture = resolve(parse("conv3x3pad:2, add(-2), dense"), SHAPE, 3)
    with pytest.raises(SignbitError, match=r"layer 2, add\(-2\): .*0\.\.127 and 0\.\.15; .* --high 127 or 255"):
        build(architecture, SHAPE, "deterministic", rng, high=15)


# --- training


@pytest.mark.parametrize("text", [RESIDUAL, JOINED, PROJECTED])
def test_graphs_learn_digits(text):
    result = run(default_settings("digits", text, epochs=10, frozen_epochs=2, lr=0.02), load_dataset("digits"))
    assert result.scores["validation"]["integer"].accuracy >= 0.85
    assert result.scores["test"]["fake_quantized"].different == 0


def test_a_float_graph_learns_digits(digits):
    result = run(default_settings("digits", RESIDUAL, binarize="none", epochs=6), digits)
    assert result.scores["validation"]["float"].accuracy >= 0.9
