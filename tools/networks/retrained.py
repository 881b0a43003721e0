"""Another model of the same form: what training anew makes of a network."""

from dataclasses import replace

import numpy as np

from signbit.qmodel.activations import Requantize
from signbit.qmodel.layer import Layer
from signbit.qmodel.layers import Weighted
from signbit.qmodel.model import QuantizedModel
from signbit.qmodel.value import Value
from tools.networks.random import RANDOM_QUANTIZATIONS, random_activation, random_reject, random_weights


def retrained(model: QuantizedModel, seed: int) -> QuantizedModel:
    """`model` with other weights, activations, shifts, logit shift and margins; shapes and labels stay."""
    rng = np.random.default_rng(seed)
    layers = tuple(_retrained(layer, model.inputs_of(index), rng) for index, layer in enumerate(model.layers))
    reject = random_reject(rng, model.output_size) if model.reject else None
    made = replace(model, name="another", layers=layers, reject=reject, logit_shift=int(rng.integers(0, 27)))
    quantization = model.input_quantization
    if quantization is not None and quantization.kind == "affine":
        other = RANDOM_QUANTIZATIONS[type(quantization)](seed, model.input_shape[-1])
        made = replace(made, input_quantization=replace(other, shift=quantization.shift))
    return made.validate()


def _retrained(layer: Layer, inputs: tuple[Value, ...], rng: np.random.Generator) -> Layer:
    if not isinstance(layer, Weighted):
        return layer
    weights = random_weights(rng, layer.weights.shape, layer.ternary)
    rows = replace(layer, weights=weights).rows
    value, old = inputs[0], layer.activation
    high = old.high if isinstance(old, Requantize) else 127
    activation = random_activation(rng, rows, (value.low, value.high), high, old.kind)
    return replace(layer, weights=weights, activation=activation)
