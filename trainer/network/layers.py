"""Layers of every network: dense, batch norm and the activations."""

import numpy as np

from signbit.qmodel import layers as integer_layers
from signbit.qmodel.activations import Activation
from signbit.qmodel.layer import Layer as IntegerLayer
from signbit.trainer.exact.grid import Grid
from signbit.trainer.network.layer import Layer, Mode, Parameter
from signbit.trainer.network.weights import Weighted


class Dense(Weighted):
    """y = x @ W, or x @ W + b in a float network; images are flattened in HWC order."""

    def forward(self, x: np.ndarray, mode: Mode) -> np.ndarray:
        self._input_shape = x.shape
        self._x = x.reshape(len(x), -1)
        weights = self.weights(mode)
        # x holds integers and the weights are +-1: each sum stays below 2^24 and is exact in float32
        y = np.matmul(
            self._x, weights, out=self.buffers.take("y", (len(x), weights.shape[1]), x.dtype, mode is Mode.TRAIN)
        )
        if self.bias is not None:
            y += self.bias.value
        return y

    def backward(self, dy: np.ndarray, wants_dx: bool = True) -> np.ndarray | None:
        """`wants_dx` is False for the first layer, whose dx nobody needs: a third of the work there."""
        np.matmul(self._x.T, dy, out=self.weight.gradient)
        self.bias_backward(dy)
        if not wants_dx:
            return None
        dx = np.matmul(dy, self._used.T, out=self.buffers.take("dx", self._x.shape, dy.dtype))
        return dx.reshape(self._input_shape)

    def integer_layer(self, activation: Activation) -> IntegerLayer:
        return integer_layers.Dense(self.rows, activation)


class BatchNorm(Layer):
    """y = gamma * (x - mean) / sqrt(variance + EPSILON) + beta, feature by feature (Ioffe and Szegedy, 2015).

    A feature is a neuron, or a channel over all pixels.  TRAIN takes mean and variance of the batch.  The other
    modes take those of the last CALIBRATE pass, one large batch: running averages trail the weights and cost
    accuracy.  Statistics are sums of whole numbers in float64, exact below 2^53; the gradient for x goes through a
    `Grid` in float32 if `factor`, the largest input of the layer before, is given.
    """

    EPSILON = 1.0
    """Inputs are integer accumulators with a spread of tens to thousands, so one unit squared is small."""
    CONSTANT_VARIANCE = 1 / 16
    """An integer with a smaller variance is (nearly) constant: its scale becomes 0 and y = beta.  It carries no
    information, and gamma / sqrt(variance) of such a neuron would dwarf all others in the integer model."""

    def __init__(
        self, features: int, gamma: float = 1.0, rate: float = 1.0, dtype=np.float32, factor: float | None = None
    ):
        super().__init__()
        self.gamma = Parameter(np.full((1, features), gamma, dtype), rate)
        self.beta = Parameter(np.zeros((1, features), dtype), rate)
        self.mean = np.zeros((1, features), dtype)
        self.variance = np.ones((1, features), dtype)
        self.factor = factor
        self.grid = Grid(factor) if factor is not None and dtype == np.float32 else None

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
        y = self.buffers.take("y", x.shape, x.dtype, mode is Mode.TRAIN)
        if mode in (Mode.EVALUATE, Mode.UNROUNDED):
            np.subtract(x, self.mean[0], out=y)
            y *= self.scale[0]
            y += self.beta.value[0]
            return y
        self._x = x
        rows = x.reshape(-1, x.shape[-1])
        wide = self.buffers.take("wide", rows.shape, np.float64, mode is Mode.TRAIN)
        np.copyto(wide, rows)
        self._mean = _column_sums(wide) / len(rows)
        np.multiply(wide, wide, out=wide)
        variance = np.maximum(_column_sums(wide) / len(rows) - self._mean * self._mean, 0)
        if mode is Mode.CALIBRATE:
            self.mean[:], self.variance[:] = self._mean, variance
        self._inverse_deviation = 1 / np.sqrt(variance + self.EPSILON)
        np.subtract(x, self._mean[0].astype(x.dtype), out=y)
        y *= (self._inverse_deviation * self.gamma.value)[0].astype(x.dtype)
        y += self.beta.value[0]
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """Mean and variance depend on every x of the batch, which is where the two corrections come from:

        dx = gamma / deviation * (dy - mean(dy) - normal * mean(dy * normal)),  normal = (x - mean) / deviation

        With sums over dy and dy * x, which are exact, in place of those over `normal`.
        """
        rows, x = dy.reshape(-1, dy.shape[-1]), self._x.reshape(-1, dy.shape[-1])
        wide = self.buffers.take("wide", rows.shape, np.float64)
        np.copyto(wide, rows)
        beta_gradient = _column_sums(wide)
        wide *= x
        gamma_gradient = (_column_sums(wide) - self._mean * beta_gradient) * self._inverse_deviation
        self.beta.gradient[:], self.gamma.gradient[:] = beta_gradient, gamma_gradient

        scale = self.gamma.value * self._inverse_deviation
        slope = -scale * self._inverse_deviation * gamma_gradient / len(rows)
        offset = -scale * beta_gradient / len(rows) - slope * self._mean
        dx = self.buffers.take("dx", dy.shape, dy.dtype)
        scaled = self.buffers.take("scaled", dy.shape, dy.dtype)
        np.multiply(self._x, slope[0].astype(dy.dtype), out=dx)
        dx += offset[0].astype(dy.dtype)
        dx += np.multiply(dy, scale[0].astype(dy.dtype), out=scaled)
        return dx if self.grid is None else self.grid.round(dx)


class QuantizedRelu(Layer):
    """q = clip(rint(gain * z), 0, high): an integer, which the next layer takes as it is.

    `gain` = (high + 1) / 8 spreads 0 to 8 standard deviations of a batch norm's output over the range.
    Rounding has no useful derivative; the backward pass uses that of clip(gain * z, 0, high).
    """

    def __init__(self, high: int):
        super().__init__()
        self.high = high
        self.gain = (high + 1) / 8

    def forward(self, z: np.ndarray, mode: Mode) -> np.ndarray:
        q = np.multiply(z, self.gain, out=self.buffers.take("q", z.shape, z.dtype, mode is Mode.TRAIN))
        if mode is Mode.UNROUNDED:
            self._passes = (q > 0) & (q < self.high)
            return np.clip(q, 0, self.high, out=q)
        # before rounding: 0 < q < high, found as q unchanged by the clip and not at an end
        self._passes = self.buffers.take("passes", z.shape, bool, mode is Mode.TRAIN)
        below = self.buffers.take("below", z.shape, bool, mode is Mode.TRAIN)
        np.greater(q, 0, out=self._passes)
        np.less(q, self.high, out=below)
        self._passes &= below
        np.rint(q, out=q)
        return np.clip(q, 0, self.high, out=q)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        dz = np.multiply(dy, self._passes, out=self.buffers.take("dz", dy.shape, dy.dtype))
        dz *= self.gain
        return dz


class Sign(Layer):
    """y = sign(z), +1 or -1 with sign(0) = +1: one bit for the next layer.

    The backward pass uses the derivative of clip(z, -1, 1) (Hubara et al., Binarized neural networks, 2016).
    """

    def forward(self, z: np.ndarray, mode: Mode) -> np.ndarray:
        self._passes = np.abs(z) <= 1
        y = np.add(z, 0.0, out=self.buffers.take("y", z.shape, z.dtype, mode is Mode.TRAIN))
        return np.copysign(1, y, out=y)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        return dy * self._passes


class Relu(Layer):
    """y = max(x, 0), for float networks."""

    def forward(self, x: np.ndarray, mode: Mode) -> np.ndarray:
        self._passes = x > 0
        return x * self._passes

    def backward(self, dy: np.ndarray) -> np.ndarray:
        return dy * self._passes


def _column_sums(rows: np.ndarray) -> np.ndarray:
    """Sum over axis 0, shape (1, features); as a product it is twice as fast as `sum`."""
    return np.ones((1, len(rows)), rows.dtype) @ rows
