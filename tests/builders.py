"""Random but valid models: the tests' raw material."""

from itertools import pairwise

import numpy as np
from hypothesis import strategies as st

from qmodel.activations import Logits, Requantize
from qmodel.integer import INT32_MAX, MULTIPLIER_MAX
from qmodel.layers import Dense
from qmodel.model import QuantizedModel


def random_model(
    seed: int, sizes: tuple[int, ...], *, input_shift: int = 1, high: int = 127, logit_shift: int = 12
) -> QuantizedModel:
    """A dense model with layers of `sizes` and outputs that use their whole range; `validate` has passed."""
    rng = np.random.default_rng(seed)
    layers = []
    input_high = 255 >> input_shift
    for fan_in, neurons in pairwise(sizes):
        # rows from all +1 to all -1, so that accumulators reach their bounds and one-sided rows appear
        weights = np.where(rng.random((neurons, fan_in)) < rng.random((neurons, 1)), -1, 1).astype(np.int8)
        last = len(layers) == len(sizes) - 2
        layers.append(Dense(weights, random_activation(rng, weights, input_high, high, last)))
        input_high = high
    labels = tuple(f"class {index}" for index in range(sizes[-1]))
    return QuantizedModel("random", (sizes[0],), input_shift, tuple(layers), labels, logit_shift).validate()


def random_activation(rng, weights: np.ndarray, input_high: int, high: int, last: bool) -> Requantize | Logits:
    """Multipliers, biases and a shift that spread typical accumulators over the output's range.

    A typical accumulator lies within a few sqrt(fan_in) * input_high of its row's middle; some multipliers are
    negative, some 0, and nothing leaves int32.
    """
    neurons, fan_in = weights.shape
    reach = input_high * fan_in
    middle = weights.sum(axis=1, dtype=np.int64) * input_high / 2
    spread = max(1.0, input_high * np.sqrt(fan_in) / 2)
    # the largest shift at which multiplier * reach and the bias stay inside int32 and int16
    ceiling = min(INT32_MAX / (4 * reach), MULTIPLIER_MAX)
    shift = int(np.clip(np.floor(np.log2(ceiling * spread / high)) - rng.integers(0, 4), 1, 30))
    gain = rng.uniform(0.3, 1, neurons) * rng.choice([-1, 1], neurons) * (rng.random(neurons) > 0.05)
    multiplier = np.rint(np.clip(gain * high * 2.0**shift / spread, -ceiling, ceiling)).astype(np.int16)
    offset = rng.uniform(-0.2, 1.2, neurons) * min(high * 2.0**shift, INT32_MAX / 4)
    bias = np.rint(offset - multiplier * middle).astype(np.int32)
    return Logits(multiplier, bias) if last else Requantize(multiplier, bias, shift, high)


@st.composite
def models(draw, most_layers: int = 3, most_neurons: int = 70, most_inputs: int = 130) -> QuantizedModel:
    sizes = [draw(st.integers(1, most_inputs))]
    sizes += draw(st.lists(st.integers(1, most_neurons), min_size=1, max_size=most_layers))
    return random_model(
        draw(st.integers(0, 2**32 - 1)),
        tuple(sizes),
        input_shift=draw(st.integers(0, 1)),
        high=draw(st.sampled_from((1, 15, 127, 255))),
        logit_shift=draw(st.integers(0, 26)),
    )
