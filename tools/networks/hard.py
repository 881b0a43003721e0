"""Models at the ends of what is allowed: where a kernel's counters, offsets and sums are fullest, and nothing typical.

Every limit `high`, sizes at the kernels' limits and one beyond, biases and products that end exactly at int32's ends,
multipliers of both signs and 0, classes that tie or differ by what confidence just tells apart, average pools of odd
sizes, maps of one pixel, strides beyond the kernel, padding wider than the image.
"""

import numpy as np

from signbit.qmodel.activations import Activation, Logits, Requantize, Sign
from signbit.qmodel.integer import INT16_MAX, INT16_MIN, INT32_MAX, INT32_MIN, SHIFT_MAX
from signbit.qmodel.layer import Layer
from signbit.qmodel.layers import AveragePool, Conv2D, Dense, DepthwiseConv2D
from signbit.qmodel.model import QuantizedModel
from signbit.qmodel.value import Encoding, Value
from signbit.qmodel.window import Window
from tools.networks.random import random_weights

LIMITS = (1, 7, 8, 16, 31, 32, 64, 90, 115, 128, 255, 256, 512)
"""Sizes at which some kernel changes its counters, chunks or tables; one beyond is tried as well."""
FAR_LIMITS = (1020, 2040, 4080, 4095, 4096, 8160, 16_000)
"""Fan-ins at the limits of offsets and chunk counters; of few neurons, since they are long."""
NEGLIGIBLE = 16
"""Real distance from the first class at which another adds nothing to the confidence's sum -- SPEC 7."""


def hard_network(seed: int) -> QuantizedModel:
    """A layer that is hard, sometimes two, and then logits that are."""
    rng = np.random.default_rng((seed, 1))
    input_shift = int(rng.integers(0, 2))
    make, shape = _KINDS[rng.integers(len(_KINDS))](rng)
    value = Value(shape, Encoding.UINT8, 0, 255 >> input_shift)
    layers: list[Layer] = []
    if len(shape) == 3 and rng.random() < 0.4:
        layers.append(AveragePool((1, 1), shape[2], int(rng.integers(1, 256))))
        value = layers[-1].output(value)
    layers.append(make(value, str(rng.choice(["requantize", "requantize", "sign"]))))
    value = layers[-1].output(value)
    if len(value.shape) == 3 and value.encoding is Encoding.UINT8 and rng.random() < 0.3:
        size = tuple(int(rng.integers(1, side + 1)) for side in value.shape[:2])
        layers.append(AveragePool(size, value.shape[2], int(rng.integers(1, 256))))
        value = layers[-1].output(value)
    shift = int(rng.integers(0, 27))
    layers.append(_last(rng, value, shift))
    labels = tuple(f"class {index}" for index in range(layers[-1].neurons))
    return QuantizedModel("hard", shape, input_shift, tuple(layers), labels, shift).validate()


def hard_activation(rng: np.random.Generator, low: np.ndarray, high: np.ndarray, kind: str) -> Activation:
    """For accumulators from `low` to `high`, int64 (neurons,): products and sums that reach int32's very ends."""
    neurons = len(low)
    reach = np.maximum(np.abs(low), np.abs(high)).clip(1)
    if kind == "sign":
        at = np.stack(
            [low, high, low - 1, high + 1, (low + high) // 2, *([end] * neurons for end in (INT32_MIN, INT32_MAX))]
        )
        direction = rng.choice([-1, 1], neurons)
        threshold = at[rng.integers(len(at), size=neurons), np.arange(neurons)]
        ends = np.clip(direction * threshold, INT32_MIN, INT32_MAX)
        return Sign(ends.astype(np.int32), direction.astype(np.int8))
    most = np.minimum(INT32_MAX // reach, INT16_MAX)
    multiplier = (rng.choice([-1, 1], neurons) * (most >> rng.integers(0, 16, neurons))).astype(np.int64)
    multiplier = np.where((multiplier == -INT16_MAX) & (reach * -INT16_MIN <= INT32_MAX), INT16_MIN, multiplier)
    multiplier[rng.random(neurons) < 0.05] = 0
    products = np.sort(np.stack([low * multiplier, high * multiplier]), axis=0)
    room_low = np.maximum(INT32_MIN - products[0], INT32_MIN)
    room_high = np.minimum(INT32_MAX - products[1], INT32_MAX)
    draw = rng.random(neurons)
    shift = int(rng.integers(1, SHIFT_MAX + 1))
    middle = np.clip(-products.sum(axis=0) // 2 + (1 << shift - 1), room_low, room_high)
    bias = np.where(draw < 0.2, room_low, np.where(draw < 0.4, room_high, middle))
    parameters = multiplier.astype(np.int16), bias.astype(np.int32)
    return Logits(*parameters) if kind == "logits" else Requantize(*parameters, shift, int(rng.integers(1, 256)))


def _activation(rng, weights: np.ndarray, value: Value, kind: str) -> Activation:
    rows = weights.reshape(len(weights), -1).astype(np.int64)
    positive, negative = (rows > 0).sum(axis=1), (rows < 0).sum(axis=1)
    low = positive * value.low - negative * value.high
    return hard_activation(rng, low, positive * value.high - negative * value.low, kind)


def _size(rng, limits: tuple[int, ...]) -> int:
    """A limit, one beyond, or one below."""
    return max(1, int(rng.choice(limits) + rng.integers(-1, 2)))


def _dense(rng):
    far = rng.random() < 0.1
    fan_in, neurons = _size(rng, FAR_LIMITS if far else LIMITS), _size(rng, LIMITS[:6] if far else LIMITS)

    def make(value, kind):
        weights = random_weights(rng, (neurons, value.size), bool(rng.random() < 0.2))
        return Dense(weights, _activation(rng, weights, value, kind))

    return make, (fan_in,)


def _conv(rng):
    """A kernel of any size up to 8, over an image that it may cover whole, with steps that may be longer than it."""
    kernel = tuple(int(side) for side in rng.integers(1, 9, 2))
    channels = _size(rng, LIMITS[:6])
    whole = rng.random() < 0.3
    sides = kernel if whole else tuple(int(side + rng.integers(0, 7)) for side in kernel)
    padding = tuple(int(side) for side in rng.integers(0, 9, 4)) if rng.random() < 0.3 else (0, 0, 0, 0)
    stride = tuple(int(step) for step in rng.integers(1, 12, 2)) if rng.random() < 0.4 else (1, 1)
    places = Window(stride, padding).accumulator_shape(sides, kernel)
    pool = tuple(int(rng.integers(1, min(place, 5) + 1)) for place in places)
    window = Window(stride, padding, pool if rng.random() < 0.5 else (1, 1))
    deep = rng.random() < 0.3
    neurons = channels if deep else _size(rng, LIMITS[:7])

    def make(value, kind):
        shape = (neurons, *kernel) if deep else (neurons, *kernel, channels)
        weights = random_weights(rng, shape, bool(rng.random() < 0.2))
        return (DepthwiseConv2D if deep else Conv2D)(weights, _activation(rng, weights, value, kind), window)

    return make, (*sides, channels)


_KINDS = (_dense, _conv)


def _last(rng, value: Value, shift: int) -> Dense:
    """Logits that tie, that differ by just what confidence tells apart, or that reach int32's ends."""
    neurons = _size(rng, (2, 3, 10, 32))
    weights = random_weights(rng, (neurons, value.size), bool(rng.random() < 0.2))
    activation = _activation(rng, weights, value, "logits")
    multiplier, bias = activation.multiplier.copy(), activation.bias.copy()
    draw = rng.random()
    if draw < 0.35:
        twins = rng.integers(neurons, size=neurons)
        weights, multiplier, bias = weights[twins], multiplier[twins], bias[twins]
    elif draw < 0.7:
        distance = min(NEGLIGIBLE << shift, INT32_MAX)
        multiplier[:] = 0
        near = rng.integers(-1, 2, neurons) + distance * rng.integers(0, 2, neurons)
        bias = np.clip(int(rng.choice([INT32_MAX, 0, INT32_MIN + distance])) - near, INT32_MIN, INT32_MAX).astype(
            np.int32
        )
    return Dense(weights, Logits(multiplier, bias))
