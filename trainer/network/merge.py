"""Layers without weights that make one value from several: residual addition and concatenation."""

import numpy as np

from signbit.trainer.network.layer import Mode, Weightless


class Add(Weightless):
    """y = min(sum of the inputs, high), activations of one scale -- SPEC 4; a float network's sum has no bound.

    The gradient goes to every input alike where the sum is not cut off.
    """

    def forward(self, *inputs: np.ndarray, mode: Mode) -> np.ndarray:
        first, second, *others = inputs
        y = self.buffers.take("y", first.shape, first.dtype, mode is Mode.TRAIN)
        np.add(first, second, out=y)
        for x in others:
            y += x
        if self.is_float:
            return y
        self._passes = y <= self.integer.high
        return np.minimum(y, self.integer.high, out=y)

    def backward(self, dy: np.ndarray) -> list[np.ndarray]:
        dx = dy if self.is_float else np.multiply(dy, self._passes, out=self.buffers.take("dx", dy.shape, dy.dtype))
        return [dx] * len(self.inputs)


class Concatenate(Weightless):
    """y = the inputs' channels, one input after the other -- SPEC 4."""

    def forward(self, *inputs: np.ndarray, mode: Mode) -> np.ndarray:
        self._ends = np.cumsum([x.shape[-1] for x in inputs])
        shape = (*inputs[0].shape[:-1], self._ends[-1])
        y = self.buffers.take("y", shape, inputs[0].dtype, mode is Mode.TRAIN)
        return np.concatenate(inputs, axis=-1, out=y)

    def backward(self, dy: np.ndarray) -> list[np.ndarray]:
        """Views into `dy`."""
        return np.split(dy, self._ends[:-1], axis=-1)
