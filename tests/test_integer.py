"""signbit.qmodel.integer against exact rational arithmetic."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signbit.qmodel import integer
from signbit.qmodel.activations import Logits, Sign
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.input_quantization import Thermometer
from signbit.qmodel.integer import INT32_MAX, INT32_MIN
from signbit.qmodel.layers import AveragePool, Conv2D, Dense, DepthwiseConv2D
from signbit.qmodel.merge import Add, Concatenate, Merge
from signbit.qmodel.ranges import prove
from signbit.qmodel.value import Encoding, Value
from signbit.qmodel.window import Window
from tools.networks.random import networks


@given(st.integers(1, 5), st.integers(1, 100), st.integers(0, 2**32 - 1))
def test_packed_bits_are_the_sign_bits(rows, count, seed):
    weights = np.where(np.random.default_rng(seed).random((rows, count)) < 0.5, -1, 1).astype(np.int8)
    words = integer.pack_bits(weights)
    assert words.dtype == np.uint32 and words.shape == (rows, math.ceil(count / 32))
    for row in range(rows):
        for index in range(32 * words.shape[1]):
            bit = int(words[row, index // 32]) >> (index % 32) & 1
            assert bit == (index < count and weights[row, index] == -1)
    assert np.array_equal(integer.unpack_bits(words, count), weights)


def test_sign_of_zero_is_plus_one():
    assert integer.sign(np.array([-0.5, -0.0, 0.0, 0.5])).tolist() == [-1, 1, 1, 1]


@given(st.integers(1, 3), st.integers(1, 300), st.integers(0, 2**32 - 1))
def test_dense_is_the_exact_sum(rows, fan_in, seed):
    rng = np.random.default_rng(seed)
    weights = integer.sign(rng.random((rows, fan_in)) - 0.5)
    x = rng.integers(0, 256, (2, fan_in), dtype=np.uint8)
    exact = [[sum(int(w) * int(v) for w, v in zip(row, inputs, strict=True)) for row in weights] for inputs in x]
    assert integer.dense(x, weights).tolist() == exact


def test_dense_is_exact_at_the_largest_fan_in():
    ones = np.ones((1, integer.FAN_IN_MAX), np.int8)
    x = np.full((1, integer.FAN_IN_MAX), 255, np.uint8)
    assert integer.dense(x, ones).item() == 2**24 - 1
    assert integer.dense(x, -ones).item() == -(2**24 - 1)
    x[0, 1] = 254
    assert integer.dense(x, ones).item() == 2**24 - 2


def requantize_exactly(acc: int, multiplier: int, bias: int, shift: int, high: int) -> int:
    return clamped(math.floor(Fraction(acc * multiplier + bias, 2**shift)), high)


def clamped(value: int, high: int) -> int:
    return min(max(value, 0), high)


@given(
    st.integers(-(2**24), 2**24),
    st.integers(-(2**15), 2**15 - 1),
    st.integers(INT32_MIN, INT32_MAX),
    st.integers(1, 30),
    st.integers(1, 255),
)
def test_requantize_is_the_exact_floor(acc, multiplier, bias, shift, high):
    if not (INT32_MIN <= acc * multiplier <= INT32_MAX and INT32_MIN <= acc * multiplier + bias <= INT32_MAX):
        return
    found = integer.requantize(
        np.array([[acc]]), np.array([multiplier], np.int16), np.array([bias], np.int32), shift, high
    )
    assert found.item() == requantize_exactly(acc, multiplier, bias, shift, high)


@pytest.mark.parametrize(("acc", "expected"), [(-3, 0), (-1, 0), (0, 0), (1, 1), (2, 1), (3, 2), (300, 127)])
def test_requantize_rounds_halves_up_and_clamps(acc, expected):
    """acc / 2: the rounding half is in the bias."""
    found = integer.requantize(np.array([[acc]]), np.array([1], np.int16), np.array([1], np.int32), 1, 127)
    assert found.item() == expected


def test_lowest_index_wins_a_tie():
    assert integer.argmax(np.array([[3, 7, 7], [5, 5, 5], [-1, -2, -1]])).tolist() == [1, 0, 0]


@given(st.integers(0, 26), st.integers(2, 12), st.floats(0.05, 8), st.integers(0, 2**32 - 1))
def test_confidence_is_softmax_within_four_per_mille(logit_shift, classes, spread, seed):
    real = np.random.default_rng(seed).normal(0, spread, (20, classes))
    logits = np.clip(np.rint(real * 2.0**logit_shift), INT32_MIN, INT32_MAX).astype(np.int32)
    z = logits * 2.0**-logit_shift
    exact = 1000 / np.exp(z - z.max(axis=1, keepdims=True)).sum(axis=1)
    assert np.abs(integer.confidence(logits, logit_shift) - exact).max() <= 4


def test_confidence_at_its_ends():
    assert integer.confidence(np.array([[INT32_MIN, INT32_MAX]], np.int32), 26).item() == 1000
    assert integer.confidence(np.array([[7, 7, 7, 7]], np.int32), 3).item() == 250
    assert integer.confidence(np.array([[7]], np.int32), 0).item() == 1000


@given(networks())
def test_proved_ranges_hold_and_are_attained(model):
    """The inputs that drive a row to its bounds give exactly the proved accumulator."""
    for index, (layer, proof) in enumerate(zip(model.layers, model.ranges, strict=True)):
        inputs = model.inputs_of(index)
        low, high = inputs[0].low, inputs[0].high
        if isinstance(layer, Merge):
            products = [(x.low * m, x.high * m) for x, m in zip(inputs, layer.multipliers, strict=True)]
            ends = [(min(lows), max(highs)) for lows, highs in [zip(*products, strict=True)]]
            sums = [tuple(map(sum, zip(*products, strict=True)))]
            half = 2 ** (layer.shift - 1) if layer.shift else 0
            assert proof.accumulator == proof.product == (sums if isinstance(layer, Add) else ends)[0]
            assert proof.scaled == tuple(end + half for end in proof.product)
            continue
        if isinstance(layer, AveragePool):
            assert proof.accumulator == (low * layer.fan_in, high * layer.fan_in)
            continue
        rows = layer.rows.astype(np.int64)
        lowest = (rows * np.where(rows < 0, high, low)).sum(axis=1)
        highest = (rows * np.where(rows > 0, high, low)).sum(axis=1)
        assert (int(lowest.min()), int(highest.max())) == proof.accumulator
        if isinstance(layer.activation, Sign):
            continue
        products = np.stack([lowest, highest]) * layer.activation.multiplier
        assert (int(products.min()), int(products.max())) == proof.product
        scaled = products + layer.activation.bias
        assert (int(scaled.min()), int(scaled.max())) == proof.scaled


class Exact:
    """A model computed with Python's integers and fractions, value by value: slow, and independent of numpy."""

    def __init__(self, model):
        self.model = model

    def trace(self, inputs):
        """Outputs of each layer as nested lists {(place, neuron): value}; one-bit values are +1 and -1."""
        shapes = [self.model.input_shape]
        is_bits = [isinstance(self.model.input_quantization, Thermometer)]
        values = [self._bits(inputs) if is_bits[0] else [int(v) >> self.model.input_shift for v in inputs]]
        for layer in self.model.layers:
            read = [(values[back], shapes[back], is_bits[back]) for back in layer.inputs]
            if isinstance(layer, Merge):
                values.append([*self._merge(layer, read)])
            else:
                values.append(self._layer(layer, *read[0]))
            is_bits.append(read[0][2] if isinstance(layer, Concatenate) else isinstance(layer.activation, Sign))
            shapes.append(layer.output_shape(*(shape for _, shape, _ in read)))
            yield values[-1]

    def _bits(self, octets):
        """One-bit inputs of a caller's bytes: each pixel has words of its own, and a set bit is -1."""
        channels = self.model.input_shape[-1]
        pixel_bytes = 4 * -(-channels // 32)
        return [
            -1 if int(octets[pixel * pixel_bytes + channel // 8]) >> channel % 8 & 1 else 1
            for pixel in range(math.prod(self.model.input_shape[:-1]))
            for channel in range(channels)
        ]

    def _merge(self, layer, read):
        half = Fraction(1, 2) if layer.shift else 0
        terms = [
            [Fraction(v * multiplier, 2**layer.shift) for v in values]
            for (values, _, _), multiplier in zip(read, layer.multipliers, strict=True)
        ]
        if isinstance(layer, Add):
            yield from (clamped(math.floor(sum(each) + half), layer.high) for each in zip(*terms, strict=True))
            return
        for pixel in range(math.prod(read[0][1][:-1])):
            for each, (_, shape, is_bits) in zip(terms, read, strict=True):
                for term in each[pixel * shape[-1] :][: shape[-1]]:
                    yield int(term) if is_bits else clamped(math.floor(term + half), layer.high)

    def _layer(self, layer, values, shape, is_bits):
        if isinstance(layer, Dense):
            places = [[[sum(int(w) * v for w, v in zip(row, values, strict=True))] for row in layer.weights]]
        elif isinstance(layer, AveragePool):
            places = [[[total] for total in window] for window in self._window_sums(layer, shape, values)]
        else:
            places = self._windows(layer, shape, values, -1 if is_bits else 0)
        return [self._activate(layer.activation, j, max(accs)) for place in places for j, accs in enumerate(place)]

    def _windows(self, layer, shape, values, outside):
        """For each output place and neuron the accumulators that its pool maximizes."""
        window = layer.window
        height, width, channels = shape
        depthwise = isinstance(layer, DepthwiseConv2D)

        def pixel(y, x, c):
            inside = 0 <= y < height and 0 <= x < width
            return values[(y * width + x) * channels + c] if inside else outside

        def accumulator(j, y, x):
            total = 0
            for index, weight in np.ndenumerate(layer.weights[j]):
                c = j if depthwise else index[2]
                total += int(weight) * pixel(y + index[0], x + index[1], c)
            return total

        rows, columns = layer.output_shape(shape)[:2]
        for row in range(rows):
            for column in range(columns):
                yield [
                    [
                        accumulator(
                            j,
                            (row * window.pool[0] + a) * window.stride[0] - window.padding[0],
                            (column * window.pool[1] + b) * window.stride[1] - window.padding[2],
                        )
                        for a in range(window.pool[0])
                        for b in range(window.pool[1])
                    ]
                    for j in range(layer.neurons)
                ]

    @staticmethod
    def _window_sums(layer, shape, values):
        rows, columns, channels = layer.output_shape(shape)
        height, width = layer.size
        for row in range(rows):
            for column in range(columns):
                yield [
                    sum(
                        values[((row * height + a) * shape[1] + column * width + b) * channels + c]
                        for a in range(height)
                        for b in range(width)
                    )
                    for c in range(channels)
                ]

    @staticmethod
    def _activate(activation, j, acc):
        if isinstance(activation, Sign):
            return 1 if int(activation.direction[j]) * acc >= int(activation.threshold[j]) else -1
        multiplier, bias = int(activation.multiplier[j]), int(activation.bias[j])
        if isinstance(activation, Logits):
            return acc * multiplier + bias
        return requantize_exactly(acc, multiplier, bias, activation.shift, activation.high)


@given(networks(), st.integers(0, 2**32 - 1))
def test_whole_model_against_fractions(model, seed):
    """Every layer's every output, computed with Python's exact integers."""
    x = np.random.default_rng(seed).integers(0, 256, (1, model.input_size), dtype=np.uint8)
    for value, found, exact in zip(model.values[1:], model.trace(x), Exact(model).trace(x[0]), strict=True):
        if value.encoding is Encoding.BIT:
            found = integer.unpack_bits(found.reshape(-1, found.shape[-1]), value.shape[-1])
        assert found.reshape(-1).tolist() == exact


@pytest.mark.parametrize(
    ("multipliers", "shift", "expected"),
    [((1, 1), 0, [0, 3, 200, 200]), ((3, 1), 2, [0, 2, 114, 200]), ((1, 1), 1, [0, 2, 128, 200])],
)
def test_addition_saturates_and_rounds_halves_up(multipliers, shift, expected):
    values = [Value((4,), Encoding.UINT8, 0, 255)] * 2
    inputs = [np.array([[0, 2, 100, 255]], np.uint8), np.array([[0, 1, 155, 255]], np.uint8)]
    add = Add((-1, -2), 200, multipliers, shift)
    assert add.run(inputs, values).tolist() == [expected]


def test_concatenation_copies_or_rescales_channels():
    values = [Value((1, 2, 1), Encoding.UINT8, 0, 255), Value((1, 2, 2), Encoding.UINT8, 0, 255)]
    inputs = [np.array([[[[1], [2]]]], np.uint8), np.array([[[[10, 20], [30, 255]]]], np.uint8)]
    copied = Concatenate((-1, -2), 255, (1, 1), 0).run(inputs, values)
    assert copied.tolist() == [[[[1, 10, 20], [2, 30, 255]]]]
    scaled = Concatenate((-1, -2), 127, (3, 1), 1).run(inputs, values)
    assert scaled.tolist() == [[[[2, 5, 10], [3, 15, 127]]]]


def test_average_pool_is_the_rounded_mean():
    """M = round(2^22 / n) is so close to 1 / n that only exact halves could round otherwise."""
    rng = np.random.default_rng(0)
    for size in ((1, 1), (2, 2), (3, 3), (5, 7), (28, 28)):
        x = rng.integers(0, 256, (200, *size, 1), dtype=np.uint8)
        means = x.reshape(200, -1).mean(axis=1)
        found = AveragePool(size, 1, 255).run([x], [Value((*size, 1), Encoding.UINT8, 0, 255)]).reshape(-1)
        assert np.abs(found - means).max() < 0.51


@pytest.mark.parametrize(
    ("kind", "shape", "more"),
    [(Dense, (2, 9), ()), (Conv2D, (2, 3, 3, 1), (Window(),)), (DepthwiseConv2D, (1, 3, 3), (Window(),))],
)
def test_weights_that_can_not_be_are_refused_in_every_layer(kind, shape, more):
    value = Value((9,) if kind is Dense else (4, 4, 1), Encoding.UINT8, 0, 255)
    logits = Logits(np.ones(shape[0], np.int16), np.zeros(shape[0], np.int32))
    ones = np.ones(shape, np.int8)
    kind(ones, logits, *more).check(value)
    for weights, words in ((ones.astype(np.int16), "weights must be int8"), (2 * ones, r"must be \+1 or -1")):
        with pytest.raises(SignbitError, match=words):
            kind(weights, logits, *more).check(value)


@pytest.mark.parametrize(("multiplier", "bias"), [(1, INT32_MAX - 255), (-1, INT32_MIN + 255)])
def test_the_ends_of_int32_are_reached_and_not_passed(multiplier, bias):
    """The bias moves the bound to the end, and one beyond it."""

    def proved(by):
        logits = Logits(np.array([multiplier], np.int16), np.array([bias + by * multiplier], np.int32))
        layer = Dense(np.ones((1, 1), np.int8), logits)
        return prove(layer, Value((1,), Encoding.UINT8, 0, 255))

    assert proved(0).scaled == tuple(sorted([bias, bias + 255 * multiplier]))
    with pytest.raises(SignbitError, match="scaled accumulator can reach"):
        proved(1)
