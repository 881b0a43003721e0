"""Proof that no accumulator and no product leaves int32 -- SPEC 8."""

from dataclasses import dataclass

import numpy as np

from signbit.qmodel.activations import Sign
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.integer import INT32_MAX, INT32_MIN
from signbit.qmodel.layer import Layer, Range
from signbit.qmodel.value import Value


@dataclass(frozen=True)
class LayerRange:
    """Proved bounds of one layer, each (lowest, highest) over its neurons.

    `scaled` is acc * multiplier + bias, before the shift; the logits themselves in the last layer.  A sign
    activation multiplies nothing: its product and scaled are the accumulator.
    """

    accumulator: tuple[int, int]
    product: tuple[int, int]
    scaled: tuple[int, int]


def prove(layer: Layer, *inputs: Value) -> LayerRange:
    """Bounds of `layer` that reads `inputs`, from its actual weights, multipliers and biases.

    A neuron's acc * M + B is linear in acc, so its extremes are at the ends of the accumulator's interval,
    which inputs attain.  Raises SignbitError if any value could leave int32.
    """
    acc = layer.accumulator_range(*inputs)
    if isinstance(layer.activation, Sign):
        return LayerRange(*[acc.overall()] * 3)
    multiplier = layer.activation.multiplier.astype(np.int64)
    bias = layer.activation.bias.astype(np.int64)
    ends = np.stack([acc.low * multiplier, acc.high * multiplier])
    product = Range(ends.min(axis=0), ends.max(axis=0))
    scaled = Range(product.low + bias, product.high + bias)
    for name, values in (("accumulator", acc), ("product", product), ("scaled accumulator", scaled)):
        low, high = values.overall()
        if low < INT32_MIN or high > INT32_MAX:
            raise SignbitError(f"{name} can reach {low if low < INT32_MIN else high}, which int32 does not hold")
    return LayerRange(acc.overall(), product.overall(), scaled.overall())
