"""Optimizers and learning-rate schedules."""

import math
from collections.abc import Callable, Iterable

import numpy as np

from signbit.trainer.exact import arithmetic
from signbit.trainer.network.layer import Parameter


class Optimizer:
    """What optimizers share: running means for each parameter, and scratch of its shape."""

    MEANS = 1
    """Arrays per parameter."""

    def __init__(self, parameters: Iterable[Parameter]):
        self._states = [
            (p, *(np.zeros_like(p.value) for _ in range(self.MEANS)), np.empty_like(p.value)) for p in parameters
        ]
        self.decay = np.ones(self.MEANS)
        """What is left of the means' start at zero, where the optimizer corrects for it."""

    def keep(self, parameters: Iterable[Parameter]) -> None:
        """Change these from now on and no others."""
        kept = {id(parameter) for parameter in parameters}
        self._states = [state for state in self._states if id(state[0]) in kept]

    @property
    def arrays(self) -> list[np.ndarray]:
        """All that `step` changes besides the parameters."""
        return [self.decay, *(mean for _, *means, _ in self._states for mean in means)]


class Sgd(Optimizer):
    """Gradient descent with momentum:  v <- momentum * v - lr * g;  w <- w + v."""

    def __init__(self, parameters: Iterable[Parameter], momentum: float = 0.9):
        super().__init__(parameters)
        self.momentum = momentum

    def step(self, lr: float) -> None:
        for parameter, velocity, scratch in self._states:
            np.multiply(parameter.gradient, lr * parameter.rate, out=scratch)
            velocity *= self.momentum
            velocity -= scratch
            parameter.value += velocity


class Adam(Optimizer):
    """Kingma and Ba, 2015:  m, v <- running means of g and g^2;  w <- w - lr * m' / (sqrt(v') + epsilon).

    m' and v' are m and v without their start at zero: m' = m / (1 - beta1^t), v' = v / (1 - beta2^t).
    """

    MEANS = 2

    def __init__(
        self, parameters: Iterable[Parameter], beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8
    ):
        super().__init__(parameters)
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon

    def step(self, lr: float) -> None:
        # beta^t by products: the C library's pow differs from one system to another
        self.decay *= (self.beta1, self.beta2)
        mean_start, square_start = 1 - float(self.decay[0]), math.sqrt(1 - self.decay[1])
        for parameter, mean, square, scratch in self._states:
            gradient = parameter.gradient
            mean *= self.beta1
            np.multiply(gradient, 1 - self.beta1, out=scratch)
            mean += scratch
            square *= self.beta2
            np.multiply(gradient, gradient, out=scratch)
            scratch *= 1 - self.beta2
            square += scratch
            # m' / (sqrt(v') + epsilon) with both corrections moved into scalars: two passes less over the arrays
            np.sqrt(square, out=scratch)
            scratch += self.epsilon * square_start
            np.divide(mean, scratch, out=scratch)
            scratch *= lr * parameter.rate * square_start / mean_start
            parameter.value -= scratch


OPTIMIZERS: dict[str, type[Sgd] | type[Adam]] = {"adam": Adam, "sgd": Sgd}

EXPONENTIAL_END = 1e-3
STEP_AT, STEP_FACTOR = (0.5, 0.75), 0.1

SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda done: 1.0,
    "cosine": lambda done: (1 + arithmetic.cos(math.pi * done)) / 2,
    "exponential": lambda done: arithmetic.power(EXPONENTIAL_END, done),
    "step": lambda done: STEP_FACTOR ** sum(done >= at for at in STEP_AT),
}
"""What the learning rate is multiplied by after the fraction `done` (0 to 1) of all steps."""


def glorot_rate(fan_in: int, fan_out: int, optimizer: str) -> float:
    """The paper's learning-rate scaling for latent weights in -1..1: 1 / H for Adam, 1 / H^2 for SGD.

    H = sqrt(1.5 / (fan_in + fan_out)) is the spread that a float layer's weights start with (Glorot and Bengio,
    2010).  Latent weights are 1 / H larger, so their steps have to be; SGD's gradient is H smaller as well.
    Courbariaux et al. 2015, section 2.5 and their published code.
    """
    glorot = math.sqrt(1.5 / (fan_in + fan_out))
    return 1 / glorot if optimizer == "adam" else 1 / glorot**2
