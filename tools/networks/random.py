"""Random but valid models: the tests' raw material."""

import dataclasses
from itertools import pairwise

import numpy as np
from hypothesis import strategies as st

from signbit.qmodel import integer
from signbit.qmodel.activations import Logits, Requantize, Sign
from signbit.qmodel.decision import SURE, Decision
from signbit.qmodel.front_end import Statistics, make
from signbit.qmodel.input_quantization import THRESHOLDS_MAX, Affine, InputQuantization, Pieces, Thermometer
from signbit.qmodel.integer import INT16_MAX, INT16_MIN, INT32_MAX, INT32_MIN, MULTIPLIER_MAX
from signbit.qmodel.layer import Layer
from signbit.qmodel.layers import AveragePool, Conv2D, Dense, DepthwiseConv2D
from signbit.qmodel.merge import Add, Concatenate
from signbit.qmodel.model import QuantizedModel
from signbit.qmodel.reject import Reject
from signbit.qmodel.value import Encoding, Shape, Value, size_of
from signbit.qmodel.window import Window


def random_model(
    seed: int, sizes: tuple[int, ...], *, input_shift: int = 1, high: int = 127, logit_shift: int = 12
) -> QuantizedModel:
    """A dense model with layers of `sizes` and outputs that use their whole range; `validate` has passed."""
    rng = np.random.default_rng(seed)
    layers = []
    input_high = 255 >> input_shift
    for fan_in, neurons in pairwise(sizes):
        weights = random_weights(rng, (neurons, fan_in))
        kind = "logits" if len(layers) == len(sizes) - 2 else "requantize"
        layers.append(Dense(weights, random_activation(rng, weights, (0, input_high), high, kind)))
        input_high = high
    labels = tuple(f"class {index}" for index in range(sizes[-1]))
    return QuantizedModel("random", (sizes[0],), input_shift, tuple(layers), labels, logit_shift).validate()


def random_activation(
    rng, rows: np.ndarray, inputs: tuple[int, int], high: int, kind: str
) -> Requantize | Logits | Sign:
    """An activation that spreads typical accumulators over its range, for rows (neurons, fan_in) of weights.

    A typical accumulator lies within a few sqrt(fan_in) * input range of its row's middle; some multipliers are
    negative, some 0, some thresholds are never or always passed, and nothing leaves int32.
    """
    neurons, fan_in = rows.shape
    low_in, high_in = inputs
    reach = fan_in * max(abs(low_in), abs(high_in))
    middle = rows.sum(axis=1, dtype=np.int64) * (low_in + high_in) / 2
    spread = max(1.0, (high_in - low_in) * np.sqrt(fan_in) / 2)
    if kind == "sign":
        threshold = np.rint(middle + rng.normal(0, 0.5, neurons) * spread).astype(np.int32)
        direction = rng.choice([-1, 1], neurons).astype(np.int8)
        extreme = rng.choice([INT32_MIN, INT32_MAX], neurons)
        threshold = np.where(rng.random(neurons) < 0.05, extreme, direction * threshold)
        return Sign(threshold.astype(np.int32), direction)
    # the largest shift at which multiplier * reach and the bias stay inside int32 and int16
    ceiling = min(INT32_MAX / (4 * reach), MULTIPLIER_MAX)
    shift = int(np.clip(np.floor(np.log2(ceiling * spread / high)) - rng.integers(0, 4), 1, 30))
    gain = rng.uniform(0.3, 1, neurons) * rng.choice([-1, 1], neurons) * (rng.random(neurons) > 0.05)
    multiplier = np.rint(np.clip(gain * high * 2.0**shift / spread, -ceiling, ceiling)).astype(np.int16)
    offset = rng.uniform(-0.2, 1.2, neurons) * min(high * 2.0**shift, INT32_MAX / 4)
    bias = np.rint(offset - multiplier * middle).astype(np.int32)
    return Logits(multiplier, bias) if kind == "logits" else Requantize(multiplier, bias, shift, high)


def random_affine(seed: int, channels: int) -> Affine:
    """Any multipliers, biases that use the whole range of inputs or go to int32's very ends; `check` has passed."""
    rng = np.random.default_rng(seed)
    multiplier = rng.integers(INT16_MIN, INT16_MAX + 1, channels) >> rng.integers(0, 16, channels)
    ends = np.array([[INT16_MIN], [INT16_MAX]]) * multiplier
    room_low, room_high = INT32_MIN - ends.min(axis=0), INT32_MAX - ends.max(axis=0)
    shift = int(rng.integers(1, integer.SHIFT_MAX + 1))
    within = rng.integers(INT16_MIN, INT16_MAX + 1, channels) * -multiplier + (128 << min(shift, 23))
    kind = rng.random(channels)
    bias = np.where(kind < 0.1, room_low, np.where(kind < 0.2, room_high, np.clip(within, room_low, room_high)))
    quantization = Affine(multiplier.astype(np.int16), bias.astype(np.int32), shift)
    quantization.check()
    return quantization


def random_pieces(seed: int, channels: int) -> Pieces:
    """Knots near each other or at int16's ends, some of them equal, so that pieces are empty; 1 to 9 pieces."""
    rng = np.random.default_rng(seed)
    knots = rng.integers(INT16_MIN, INT16_MAX + 1, (channels, int(rng.integers(2, 11)))) >> rng.integers(0, 16)
    knots = np.where(rng.random(knots.shape) < 0.2, rng.choice([INT16_MIN, 0, INT16_MAX], knots.shape), knots)
    quantization = Pieces(np.sort(knots, axis=1).astype(np.int16))
    quantization.check()
    return quantization


def random_thermometer(seed: int, bits: int) -> Thermometer:
    """`bits` thresholds in all, in channels with none, few or many of them, int16's ends among them."""
    rng = np.random.default_rng(seed)
    counts = np.bincount(rng.integers(0, int(rng.integers(-(-bits // 200), bits + 2)), bits))
    if counts.max() > THRESHOLDS_MAX:
        counts = np.array([len(part) for part in np.array_split(np.arange(bits), -(-bits // THRESHOLDS_MAX))])
    ends = [INT16_MIN, INT16_MIN + 1, -1, 0, 1, INT16_MAX]
    pools = [np.unique([*rng.integers(INT16_MIN, INT16_MAX, 300), *ends]) for _ in counts]
    chosen = [np.sort(rng.choice(pool, count, replace=False)) for pool, count in zip(pools, counts, strict=True)]
    quantization = Thermometer(np.concatenate(chosen).astype(np.int16), counts.astype(np.uint8))
    quantization.check()
    return quantization


def random_weights(rng, shape: tuple[int, ...], ternary: bool = False) -> np.ndarray:
    """Rows from all +1 to all -1, so that accumulators reach their bounds and one-sided rows appear."""
    share = rng.random((shape[0],) + (1,) * (len(shape) - 1))
    weights = np.where(rng.random(shape) < share, -1, 1)
    if ternary:
        weights[rng.random(shape) < 0.3] = 0
        weights.reshape(-1)[0] = 0
    return weights.astype(np.int8)


def random_network(seed: int, layers: int | None = None) -> QuantizedModel:
    """A model with layers of every kind, window and activation; small, so that thousands of them can be run.

    `layers` counts those that have weights or pool; branches, additions and concatenations come on top.
    """
    rng = np.random.default_rng(seed)
    image = rng.random() < 0.8
    shape = (
        tuple(int(n) for n in (*rng.integers(3, 13, 2), rng.integers(1, 5))) if image else (int(rng.integers(1, 90)),)
    )
    input_shift = int(rng.integers(0, 2))
    values, built = [Value(shape, Encoding.UINT8, 0, 255 >> input_shift)], []

    def put(layer: Layer) -> None:
        values.append(layer.output(*(values[back] for back in layer.inputs)))
        built.append(layer)

    count = int(rng.integers(1, 5)) if layers is None else layers
    for index in range(count):
        last = index == count - 1
        high = int(rng.choice([1, 15, 127, 255]))
        kind = "logits" if last else str(rng.choice(["requantize", "requantize", "sign"]))
        layer = _random_layer(rng, values[-1], high, kind)
        put(layer)
        if not last and rng.random() < 0.2:
            # a second branch, which begins where this one does
            put(dataclasses.replace(layer, inputs=(-2,)))
            put(random_merge(rng, [values[-1], values[-2]], (-1, -2)))
        if not last and rng.random() < 0.3:
            reads = _mergeable(rng, values)
            if len(reads) > 1:
                put(random_merge(rng, [values[back] for back in reads], reads))
    labels = tuple(f"class {index}" for index in range(values[-1].size))
    model = QuantizedModel("random", shape, input_shift, tuple(built), labels, int(rng.integers(0, 27)))
    reject = random_reject(rng, len(labels)) if rng.random() < 0.3 else None
    return dataclasses.replace(model, reject=reject).validate()


def random_reject(rng, classes: int) -> Reject:
    """Margins of any size, some of them never met and some always."""
    margins = rng.integers(0, 2**32, classes) >> rng.integers(0, 32, classes)
    margins = np.where(rng.random(classes) < 0.2, rng.choice([0, integer.MARGIN_MAX], classes), margins)
    return Reject(margins.astype(np.uint32))


def _random_layer(rng, value: Value, high: int, kind: str) -> Layer:
    shape, inputs = value.shape, (value.low, value.high)
    options = ["dense"]
    if len(shape) == 3 and kind != "logits":
        options = ["conv2d", "conv2d", "depthwise", "dense"]
        if kind == "requantize" and value.encoding is Encoding.UINT8:
            options.append("average")
    choice = rng.choice(options)
    if choice == "average":
        size = tuple(int(rng.integers(1, side + 1)) for side in shape[:2])
        return AveragePool(size, shape[2], high)
    neurons = int(rng.choice([1, 2, 3, 4, 5, 8, 10, 16, 17, 31, 32, 33, 40]))
    ternary = bool(rng.random() < 0.2)
    if choice == "dense":
        weights = random_weights(rng, (neurons, value.size), ternary)
        return Dense(weights, random_activation(rng, weights, inputs, high, kind))
    kernel = tuple(int(rng.integers(1, min(side, 5) + 1)) for side in shape[:2])
    window = _random_window(rng, shape, kernel)
    if choice == "conv2d":
        weights = random_weights(rng, (neurons, *kernel, shape[2]), ternary)
        return Conv2D(weights, random_activation(rng, weights.reshape(neurons, -1), inputs, high, kind), window)
    weights = random_weights(rng, (shape[2], *kernel), ternary)
    activation = random_activation(rng, weights.reshape(shape[2], -1), inputs, high, kind)
    return DepthwiseConv2D(weights, activation, window)


def _mergeable(rng, values: list[Value]) -> tuple[int, ...]:
    """The last value, and up to two before it that go together with it."""
    last = values[-1]
    fitting = [
        back
        for back in range(-len(values), -1)
        if values[back].encoding is last.encoding and values[back].shape[:-1] == last.shape[:-1]
    ]
    return (-1, *rng.permutation(fitting)[:2].tolist())


def random_merge(rng, values: list[Value], reads: tuple[int, ...]) -> Add | Concatenate:
    """Inputs of one scale or of several: their sum, if all have one shape, or their channels side by side."""
    if values[0].encoding is Encoding.BIT:
        return Concatenate(reads, 1, (1,) * len(reads), 0)
    kind = Add if len({value.shape for value in values}) == 1 and rng.random() < 0.7 else Concatenate
    high = int(rng.choice([1, 15, 127, 127, 255]))
    if rng.random() < 0.5:
        return kind(reads, high, (1,) * len(reads), 0)
    shift = int(rng.integers(0, 17))
    multipliers = rng.integers(1, min(2 << shift, MULTIPLIER_MAX) + 1, len(reads))
    return kind(reads, high, tuple(multipliers.tolist()), shift)


def _random_window(rng, shape, kernel) -> Window:
    """Any stride, padding and pool that leaves at least one output."""
    padding = tuple(int(n) for n in rng.integers(0, 3, 4)) if rng.random() < 0.5 else (0, 0, 0, 0)
    stride = tuple(int(n) for n in rng.integers(1, 4, 2))
    places = Window(stride, padding).accumulator_shape(shape, kernel)
    pool = tuple(int(rng.integers(1, min(side, 3) + 1)) for side in places) if rng.random() < 0.5 else (1, 1)
    return Window(stride, padding, pool)


RANDOM_QUANTIZATIONS = {Affine: random_affine, Pieces: random_pieces, Thermometer: random_thermometer}


def with_counts(model: QuantizedModel, seed: int, kind: type[InputQuantization] = Affine) -> QuantizedModel:
    """The model with a random quantization of sensor counts before it; its first layers must read what that gives."""
    quantization = RANDOM_QUANTIZATIONS[kind](seed, model.input_shape[-1])
    shift = 0 if kind is Thermometer else model.input_shift
    return dataclasses.replace(model, input_quantization=quantization, input_shift=shift).validate()


def quantizations_for(model: QuantizedModel) -> tuple[type[InputQuantization], ...]:
    """The kinds whose inputs the model's first layers read."""
    readers = (layer for layer, sources in zip(model.layers, model.graph.sources, strict=True) if 0 in sources)
    reads_bits = all(Encoding.BIT in layer.encodings and len(layer.inputs) == 1 for layer in readers)
    return (Affine, Pieces, Thermometer) if reads_bits else (Affine, Pieces)


@st.composite
def networks(draw) -> QuantizedModel:
    """Models with layers of every kind, some of them for sensor counts."""
    seed = draw(st.integers(0, 2**32 - 1))
    model = random_network(seed)
    kind = draw(st.sampled_from([None, *quantizations_for(model)]))
    return model if kind is None else with_counts(model, seed, kind)


FRONT_ENDS = (
    ("logmel", (1600, 1, 1), 16_000),
    ("logmel:bands=20,hop=100,steps=5", (900, 1, 2), 8000),
    ("logmel:frame=1024,bands=1", (1100, 1, 1), 16_000),
    ("spectrum", (128, 1, 6), None),
    ("spectrum:frame=32,hop=200,bands=15,steps=32", (555, 1, 1), None),
    ("stats", (128, 1, 3), None),
    ("stats:frame=64,bands=20,hop=7", (300, 1, 1), None),
    ("stats:frame=512,bands=1", (517, 1, 2), None),
)
"""Front ends of every kind and size of FFT: name, shape of the samples and their rate."""


def front_end_model(seed: int, text: str, samples_shape: Shape, rate_hz: int | None) -> QuantizedModel:
    """A dense layer after the front end that is named, with a random quantization of features that are counts."""
    front_end = make(text, samples_shape, rate_hz)
    layer = random_model(seed, (size_of(front_end.features_shape), 3), input_shift=0)
    model = dataclasses.replace(layer, input_shape=front_end.features_shape)
    model = with_counts(model, seed) if isinstance(front_end, Statistics) else model
    decision = (
        None if isinstance(front_end, Statistics) else random_decision(np.random.default_rng(seed), front_end.frames)
    )
    return dataclasses.replace(model, front_end=front_end, decision=decision).validate()


def random_decision(rng, frames: int) -> Decision:
    """One for three classes, of which the last is never named, and a window of so many frames."""
    hops, answers, dead_time = (int(rng.integers(low, high)) for low, high in ((1, 4), (2, 7), (0, 5)))
    thresholds = np.array([*rng.integers(400 * answers, SURE * answers, 2), SURE * answers + 1], np.uint32)
    return Decision(min(hops, frames), answers, dead_time, thresholds)
