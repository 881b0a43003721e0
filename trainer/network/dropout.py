"""Dropout, against networks that memorize their training inputs."""

import numpy as np

from signbit.trainer.exact import noise
from signbit.trainer.network.layer import Layer, Mode


class Dropout(Layer):
    """y = x * m * scale in training, m = 0 with probability `rate` and else 1, drawn anew for each value; else y = x.

    Srivastava et al., Dropout: a simple way to prevent neural networks from overfitting (2014).  A float network
    needs the `scale` 1 / (1 - rate), so that sums keep their mean.  Where batch norm follows, 1 does, and keeps whole
    numbers whole: batch norm divides by the spread it sees, and its kept statistics are taken without dropout.
    """

    def __init__(self, rate: float, rng: np.random.Generator, scale: float = 1.0):
        super().__init__()
        self.rate = rate
        self.scale = scale
        self._rng = rng

    def forward(self, x: np.ndarray, mode: Mode) -> np.ndarray:
        if mode is not Mode.TRAIN:
            return x
        self._kept = noise.uniform32(self._rng, 0, 1, x.shape) >= self.rate
        return self._keep("y", x)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        return self._keep("dx", dy)

    def _keep(self, name: str, values: np.ndarray) -> np.ndarray:
        kept = np.multiply(values, self._kept, out=self.buffers.take(name, values.shape, values.dtype))
        if self.scale != 1:
            kept *= self.scale
        return kept
