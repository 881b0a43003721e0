"""Float layers: forward and backward written out.

Every layer has

    forward(x, mode) -> y        keeps what its backward pass needs
    backward(dy) -> dx           dy = dLoss/dy; sets `gradient` of each parameter
    parameters                   what the optimizer changes

Arrays have shape (batch, features) and the dtype the layer was built with: float32, or float64 where a test
compares with numeric gradients.
"""

import math
from dataclasses import dataclass, field
from enum import Enum, auto

import numpy as np

BINARIZATIONS = ("none", "deterministic", "stochastic")


class Mode(Enum):
    """What a forward pass is for."""

    TRAIN = auto()
    """Batch norm uses the batch's statistics; stochastic weights are drawn."""
    CALIBRATE = auto()
    """As TRAIN, with weights sign(latent); batch norm keeps the statistics for the modes below."""
    EVALUATE = auto()
    """Kept statistics, weights sign(latent), rounded activations: what the microcontroller computes, in float."""
    UNROUNDED = auto()
    """As EVALUATE, but activations are not rounded: shows what rounding costs."""


@dataclass(eq=False)
class Parameter:
    """An array to learn, its gradient, and how it may move."""

    value: np.ndarray
    rate: float = 1.0
    """Multiplies the learning rate."""
    limit: float | None = None
    """After each step the values are clipped to -limit..limit; None leaves them free."""
    gradient: np.ndarray = field(init=False)

    def __post_init__(self):
        self.gradient = np.zeros_like(self.value)


class Layer:
    """A layer without parameters or statistics; the others say what they have."""

    @property
    def parameters(self) -> list[Parameter]:
        return []

    @property
    def arrays(self) -> list[np.ndarray]:
        """All that training changes, for snapshots."""
        return [parameter.value for parameter in self.parameters]


class Dense(Layer):
    """y = x @ W, plus a bias b in a float network.  W is (fan_in, fan_out), b is (1, fan_out).

    With `binarize` other than "none" this is BinaryConnect (Courbariaux, Bengio and David, 2015): `weight` holds
    latent weights in -1..1, and both passes use weights of +1 and -1 made from them,

        deterministic   sign(latent), with sign(0) = +1
        stochastic      +1 with probability (latent + 1) / 2 while training, else as deterministic

    The gradient found for the +-1 weights is used for the latent ones as it is (straight-through).  There is
    no bias: batch norm follows.
    """

    def __init__(self, fan_in: int, fan_out: int, binarize: str, rng: np.random.Generator, dtype=np.float32):
        self.binarize = binarize
        self._rng = rng
        glorot_bound = math.sqrt(6 / (fan_in + fan_out))
        bound, limit = (glorot_bound, None) if binarize == "none" else (LATENT_INIT, 1.0)
        self.weight = Parameter(rng.uniform(-bound, bound, (fan_in, fan_out)).astype(dtype), limit=limit)
        self.bias = Parameter(np.zeros((1, fan_out), dtype)) if binarize == "none" else None
        self._used = np.empty_like(self.weight.value)

    @property
    def parameters(self) -> list[Parameter]:
        return [self.weight] if self.bias is None else [self.weight, self.bias]

    def forward(self, x: np.ndarray, mode: Mode) -> np.ndarray:
        self._x = x
        if self.binarize == "none":
            return x @ self.weight.value + self.bias.value
        self._binarize_weights(mode)
        # x holds integers and the weights are +-1: each sum stays below 2^24 and is exact in float32
        return x @ self._used

    def backward(self, dy: np.ndarray, wants_dx: bool = True) -> np.ndarray | None:
        """`wants_dx` is False for the first layer, whose dx nobody needs: a third of the work there."""
        np.matmul(self._x.T, dy, out=self.weight.gradient)
        if self.bias is not None:
            dy.sum(axis=0, keepdims=True, out=self.bias.gradient)
        if not wants_dx:
            return None
        return dy @ (self.weight.value if self.binarize == "none" else self._used).T

    def _binarize_weights(self, mode: Mode) -> None:
        latent, used = self.weight.value, self._used
        if self.binarize == "stochastic" and mode is Mode.TRAIN:
            # u is uniform in -1..1, so that latent + u >= 0 has probability (latent + 1) / 2
            self._rng.random(out=used, dtype=used.dtype)
            used *= -2
            used += 1
            used += latent
        else:
            # -0.0 + 0.0 is +0.0, so that copysign gives the +1 that sign(0) is defined as
            np.add(latent, 0.0, out=used)
        np.copysign(1, used, out=used)


LATENT_INIT = 0.3
"""Latent weights start in U(-0.3, 0.3): small enough that the first steps can flip a sign."""


class BatchNorm(Layer):
    """y = gamma * (x - mean) / sqrt(variance + EPSILON) + beta, feature by feature (Ioffe and Szegedy, 2015).

    TRAIN takes mean and variance of the batch.  The other modes take those of the last CALIBRATE pass, one
    large batch: running averages lag behind the weights and cost accuracy.
    """

    EPSILON = 1.0
    """Inputs are integer accumulators with a spread of tens to thousands, so one unit squared is small."""
    CONSTANT_VARIANCE = 1 / 16
    """An integer with a smaller variance is (nearly) constant: its scale becomes 0 and y = beta.  It carries no
    information, and gamma / sqrt(variance) of such a neuron would dwarf all others in the integer model."""

    def __init__(self, features: int, gamma: float = 1.0, rate: float = 1.0, dtype=np.float32):
        self.gamma = Parameter(np.full((1, features), gamma, dtype), rate)
        self.beta = Parameter(np.zeros((1, features), dtype), rate)
        self.mean = np.zeros((1, features), dtype)
        self.variance = np.ones((1, features), dtype)

    @property
    def parameters(self) -> list[Parameter]:
        return [self.gamma, self.beta]

    @property
    def arrays(self) -> list[np.ndarray]:
        return [*super().arrays, self.mean, self.variance]

    @property
    def scale(self) -> np.ndarray:
        """gamma / sqrt(variance + EPSILON) of the kept statistics; 0 for a nearly constant input."""
        scale = self.gamma.value / np.sqrt(self.variance + self.EPSILON)
        return np.where(self.variance < self.CONSTANT_VARIANCE, 0, scale)

    def forward(self, x: np.ndarray, mode: Mode) -> np.ndarray:
        if mode in (Mode.EVALUATE, Mode.UNROUNDED):
            return (x - self.mean) * self.scale + self.beta.value
        mean = x.mean(axis=0, keepdims=True)
        centred = x - mean
        variance = np.einsum("nf,nf->f", centred, centred)[np.newaxis] / len(x)
        if mode is Mode.CALIBRATE:
            self.mean[:], self.variance[:] = mean, variance
        self._inverse_deviation = 1 / np.sqrt(variance + self.EPSILON)
        self._normal = np.multiply(centred, self._inverse_deviation, out=centred)
        return self._normal * self.gamma.value + self.beta.value

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """Mean and variance depend on every x of the batch, which is where the two corrections come from:

        dx = gamma / deviation * (dy - mean(dy) - normal * mean(dy * normal))
        """
        dy.sum(axis=0, keepdims=True, out=self.beta.gradient)
        np.einsum("nf,nf->f", dy, self._normal, out=self.gamma.gradient[0])
        dx = self._normal * (self.gamma.gradient / -len(dy))
        dx += dy
        dx -= self.beta.gradient / len(dy)
        dx *= self.gamma.value * self._inverse_deviation
        return dx


class QuantizedRelu(Layer):
    """q = clip(rint(gain * z), 0, high): an integer, which the next layer takes as it is.

    `gain` = (high + 1) / 8 spreads 0 to 8 standard deviations of a batch norm's output over the range.
    Rounding has no useful derivative; the backward pass uses that of clip(gain * z, 0, high).
    """

    def __init__(self, high: int):
        self.high = high
        self.gain = (high + 1) / 8

    def forward(self, z: np.ndarray, mode: Mode) -> np.ndarray:
        q = z * self.gain
        self._passes = (q > 0) & (q < self.high)
        if mode is not Mode.UNROUNDED:
            np.rint(q, out=q)
        return np.clip(q, 0, self.high, out=q)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        dz = dy * self._passes
        dz *= self.gain
        return dz


class Relu(Layer):
    """y = max(x, 0), for float networks."""

    def forward(self, x: np.ndarray, mode: Mode) -> np.ndarray:
        self._passes = x > 0
        return x * self._passes

    def backward(self, dy: np.ndarray) -> np.ndarray:
        return dy * self._passes
