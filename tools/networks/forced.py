"""Models that make a given kernel work: sizes around its blocks, every window, inputs in the arena and the caller's."""

from collections.abc import Iterator

import numpy as np

from signbit.codegen.jobs import jobs_of
from signbit.codegen.kernels.base import Kernel
from signbit.codegen.kernels.targets import SPEED
from signbit.codegen.plan import Plan, make_plan
from signbit.qmodel.layer import Layer
from signbit.qmodel.layers import AveragePool, Conv2D, Dense, DepthwiseConv2D, Windowed
from signbit.qmodel.merge import Merge
from signbit.qmodel.model import QuantizedModel
from signbit.qmodel.value import Encoding, Value, size_of
from signbit.qmodel.window import Window
from tools.networks.random import random_activation, random_merge, random_network, random_weights

AROUND_BLOCKS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 15, 16, 17, 20, 24, 28, 31, 32, 33, 35, 47, 48, 49, 56, 57, 63, 64)
LARGER = (65, 80, 96, 111, 112, 113, 127, 128, 129, 144, 160, 200, 224, 225, 255, 256, 257)


def models_for(
    kernel: Kernel, target: str, count: int, seed: int, optimize: str = SPEED
) -> Iterator[tuple[QuantizedModel, Plan]]:
    """`count` models and plans in which `kernel` computes at least one layer; prefixes m0, m1, ..."""
    rng = np.random.default_rng(seed)
    found = 0
    for _ in range(400 * count):
        if found == count:
            return
        model = random_layer_model(rng, kernel.layer)
        if any(kernel.computes(job) for job in jobs_of(model, target, optimize)):
            yield model, make_plan(model, f"m{found}", target, optimize, kernel=kernel.name, pack=False)
            found += 1
    raise AssertionError(f"only {found} of {count} random models use {kernel.name} on {target}")


def random_layer_model(rng, layer: type[Layer] = Layer) -> QuantizedModel:
    """A model around one layer of any size, of a kind that would be rare if `layer` is; sometimes a random network."""
    if issubclass(layer, Merge):
        return merge_model(rng)
    draw = rng.random()
    if draw < 0.2:
        return merge_model(rng) if rng.random() < 0.3 else random_network(int(rng.integers(2**32)))
    if layer is DepthwiseConv2D:
        return _closed(rng, *_conv_layers(rng, is_depthwise=True))
    layers = _dense_layers if draw < 0.6 else _conv_layers
    return _closed(rng, *layers(rng))


def merge_model(rng) -> QuantizedModel:
    """Two or three branches of one image, added or side by side, and then the logits."""
    sides, channels = rng.integers(1, 8, 2).tolist(), int(rng.choice((1, 2, 3, 4, 7, 16, 31, 32, 33)))
    input_shift, high, kind = int(rng.integers(0, 2)), int(rng.choice([1, 15, 127, 127, 255])), "requantize"
    values = [Value((*sides, channels), Encoding.UINT8, 0, 255 >> input_shift)]
    if rng.random() < 0.2:
        kind = "sign"
    layers: list[Layer] = []
    for number in range(int(rng.integers(2, 4))):
        # one scale for most of them, and sometimes the model's input itself
        neurons = channels if rng.random() < 0.7 else int(rng.integers(1, 40))
        top = high if rng.random() < 0.7 else int(rng.integers(1, 256))
        weights = random_weights(rng, (neurons, 1, 1, channels))
        activation = random_activation(rng, weights.reshape(neurons, -1), (0, values[0].high), top, kind)
        layers.append(Conv2D(weights, activation, inputs=(-1 - number,)))
        values.append(layers[-1].output(values[0]))
    first = 0 if kind == "requantize" and rng.random() < 0.2 else 1
    layers.append(random_merge(rng, values[first:], tuple(range(first - len(values), 0))))
    last = layers[-1].output(*values[first:])
    layers.append(_dense(rng, last.size, int(rng.integers(1, 4)), (last.low, last.high), "logits", high))
    labels = tuple(f"class {index}" for index in range(layers[-1].neurons))
    return QuantizedModel("merge", values[0].shape, input_shift, tuple(layers), labels, 8).validate()


def _dense_layers(rng):
    fan_in, neurons = (int(rng.choice(AROUND_BLOCKS + LARGER * (rng.random() < 0.3))) for _ in range(2))
    return (fan_in,), lambda inputs, shape, kind, high: _dense(rng, fan_in, neurons, inputs, kind, high)


def _conv_layers(rng, is_depthwise: bool = False):
    channels = int(rng.choice((1, 1, 2, 3, 4, 5, 7, 8, 12, 15, 16, 17, 20, 24, 32, 33)))
    neurons = int(rng.choice((1, 2, 3, 4, 5, 8, 15, 16, 17, 20, 24, 32, 33)))
    kernel = [(3, 3), (3, 3), (5, 5), (1, 1), (2, 3), (1, 4), (4, 4), (5, 1), (7, 1)][rng.integers(9)]
    is_series = kernel[0] > kernel[1]
    room = (60, 1) if is_series else (9, 9)
    shape = (*(int(side + rng.integers(0, more)) for side, more in zip(kernel, room, strict=True)), channels)
    stride = (1, 1) if rng.random() < 0.6 else tuple(int(n) for n in rng.integers(1, 4, 2))
    padding = tuple(int(n) for n in rng.integers(0, 3, 4)) if rng.random() < 0.4 else (0, 0, 0, 0)
    places = Window(stride, padding).accumulator_shape(shape, kernel)
    pool = (2, 1 if is_series else 2)
    pool = pool if all(np.greater_equal(places, pool)) and rng.random() < 0.5 else (1, 1)
    window = Window(stride, padding, pool)
    layer, weights = Conv2D, (neurons, *kernel, channels)
    if is_depthwise:
        layer, weights = DepthwiseConv2D, (channels, *kernel)
    return shape, lambda inputs, shape, kind, high: _conv(rng, layer, weights, inputs, kind, high, window)


def _closed(rng, shape, make_layer) -> QuantizedModel:
    """The layer under test as the first layer, or after a layer that brings it 7, 8 or 1 bits; then the logits."""
    high = int(rng.choice([1, 15, 127, 127, 255]))
    place = rng.choice(["first", "behind values", "behind signs"], p=[0.3, 0.5, 0.2])
    layers, input_shift = [], int(rng.integers(0, 2))
    inputs, inner = (0, 255 >> input_shift), shape
    if place == "behind values":
        shape = shape if len(shape) == 3 else (1, 1, *shape)
        layers.append(AveragePool((1, 1), shape[2], high))
    elif place == "behind signs":
        size = size_of(shape)
        is_dense = len(shape) == 1
        weights = random_weights(rng, (size, size) if is_dense else (shape[2], 1, 1, 1))
        activation = random_activation(rng, weights.reshape(len(weights), -1), inputs, high, "sign")
        layers.append(Dense(weights, activation) if is_dense else Conv2D(weights, activation))
        shape = shape if is_dense else (*shape[:2], 1)
    value = Value(shape, Encoding.UINT8, *inputs)
    if layers:
        value = layers[0].output(value)
    last = rng.random() < 0.2 and len(inner) == 1
    kind = "logits" if last else str(rng.choice(["requantize", "requantize", "requantize", "sign"]))
    layers.append(make_layer((value.low, value.high), inner, kind, high))
    if not last:
        value = layers[-1].output(value)
        layers.append(_dense(rng, value.size, int(rng.integers(1, 4)), (value.low, value.high), "logits", high))
    labels = tuple(f"class {index}" for index in range(layers[-1].neurons))
    return QuantizedModel("random", shape, input_shift, tuple(layers), labels, 8).validate()


def _dense(rng, fan_in, neurons, inputs, kind, high) -> Dense:
    weights = random_weights(rng, (neurons, fan_in), ternary=bool(rng.random() < 0.15))
    return Dense(weights, random_activation(rng, weights, inputs, high, kind))


def _conv(rng, layer: type[Windowed], shape, inputs, kind, high, window) -> Windowed:
    weights = random_weights(rng, shape, ternary=bool(rng.random() < 0.15))
    return layer(weights, random_activation(rng, weights.reshape(shape[0], -1), inputs, high, kind), window)
