"""Latent weights, and the weights of one bit or three values that the passes use."""

import math

import numpy as np

from signbit.qmodel.activations import Activation
from signbit.qmodel.layer import Layer as IntegerLayer
from signbit.trainer.exact import noise
from signbit.trainer.network.layer import Layer, Mode, Parameter

BINARIZATIONS = ("none", "deterministic", "stochastic")

LATENT_INIT = 0.3
"""Latent weights start in U(-0.3, 0.3): small enough that the first steps can flip a sign."""

TERNARY_THRESHOLD = 0.1
"""A ternary weight is 0 while its latent one is nearer to 0: a third of them at the start."""


class Weighted(Layer):
    """Weights W (fan_in, fan_out), plus a bias b (1, fan_out) in a float network.

    With `binarize` other than "none" this is BinaryConnect (Courbariaux, Bengio and David, 2015): `weight` holds
    latent weights in -1..1, and both passes use weights of +1 and -1 made from them,

        deterministic   sign(latent), with sign(0) = +1
        stochastic      +1 with probability (latent + 1) / 2 while training, else as deterministic
        ternary         0 where |latent| < TERNARY_THRESHOLD, else sign(latent)

    The gradient found for the weights in use is taken for the latent ones as it is (straight-through).  There is
    no bias: batch norm follows.
    """

    def __init__(
        self, fan_in: int, fan_out: int, binarize: str, rng: np.random.Generator, dtype=np.float32, ternary=False
    ):
        super().__init__()
        self.binarize = binarize
        self.ternary = ternary
        self._rng = rng
        glorot_bound = math.sqrt(6 / (fan_in + fan_out))
        bound, limit = (glorot_bound, None) if binarize == "none" else (LATENT_INIT, 1.0)
        self.weight = Parameter(noise.uniform(rng, -bound, bound, (fan_in, fan_out)).astype(dtype), limit=limit)
        self.bias = Parameter(np.zeros((1, fan_out), dtype)) if binarize == "none" else None
        self._used = np.empty_like(self.weight.value)

    @property
    def parameters(self) -> list[Parameter]:
        return [self.weight] if self.bias is None else [self.weight, self.bias]

    def integer_layer(self, activation: Activation) -> IntegerLayer:
        """The integer model's layer with these weights."""
        raise NotImplementedError

    @property
    def rows(self) -> np.ndarray:
        """The weights of the integer model, int8 of +1, -1 and, if ternary, 0; (fan_out, fan_in)."""
        return self.weights(Mode.EVALUATE).T.astype(np.int8)

    def weights(self, mode: Mode) -> np.ndarray:
        """Make the weights for a pass from the latent ones; the backward pass uses the same, `_used`."""
        if self.binarize == "none":
            self._used = self.weight.value
            return self._used
        latent, used = self.weight.value, self._used
        if self.binarize == "stochastic" and mode is Mode.TRAIN:
            # u is uniform in -1..1, so that latent + u >= 0 has probability (latent + 1) / 2
            np.add(latent, noise.uniform32(self._rng, -1, 1, latent.shape), out=used)
        else:
            # -0.0 + 0.0 is +0.0, so that copysign gives the +1 that sign(0) is defined as
            np.add(latent, 0.0, out=used)
        np.copysign(1, used, out=used)
        if self.ternary:
            used *= np.abs(latent) >= TERNARY_THRESHOLD
        return used

    def bias_backward(self, dy: np.ndarray) -> None:
        if self.bias is not None:
            dy.reshape(-1, dy.shape[-1]).sum(axis=0, keepdims=True, out=self.bias.gradient)
