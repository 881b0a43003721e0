"""What every float layer has.

    forward(x, mode) -> y        keeps what its backward pass needs
    backward(dy) -> dx           dy = dLoss/dy; sets `gradient` of each parameter
    parameters                   what the optimizer changes

A layer of several inputs has forward(x0, x1, ..., mode=mode) -> y and backward(dy) -> [dx0, dx1, ...].

Arrays have shape (batch, features) or (batch, height, width, channels) and the dtype the layer was built with:
float32, or float64 where a test compares with numeric gradients.  In training, outputs and gradients live in
buffers of the layer and are overwritten by its next pass: copy what has to stay.
"""

from dataclasses import dataclass, field
from enum import Enum, auto

import numpy as np

from signbit.qmodel.layer import CHAIN
from signbit.qmodel.layer import Layer as IntegerLayer
from signbit.trainer.exact.buffers import Buffers
from signbit.trainer.exact.grid import Grid


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

    grid: Grid | None = None
    """Rounds the layer's gradients; its step is part of a checkpoint."""
    inputs: tuple[int, ...] = CHAIN
    """The values that it reads, as in `signbit.qmodel.layer.Layer`."""
    largest = 0
    """Most values per input between the layer's parts."""

    def __init__(self):
        self.buffers = Buffers()

    @property
    def parts(self) -> "list[Layer]":
        """The layers that it is made of, in order: itself, unless it is a `Block`."""
        return [self]

    @property
    def parameters(self) -> list[Parameter]:
        return []

    @property
    def arrays(self) -> list[np.ndarray]:
        """All that training changes, for snapshots."""
        return [parameter.value for parameter in self.parameters]


class Weightless(Layer):
    """A layer that is known before training: its `integer` layer says all.  It rounds unless the network `is_float`."""

    def __init__(self, integer: IntegerLayer, is_float: bool = False):
        super().__init__()
        self.integer = integer
        self.inputs = integer.inputs
        self.is_float = is_float

    def integer_layer(self) -> IntegerLayer:
        return self.integer
