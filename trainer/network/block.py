"""A block of float layers, which the integer model has as one layer."""

from dataclasses import dataclass, replace

import numpy as np

from signbit.qmodel.activations import Activation
from signbit.qmodel.layer import CHAIN
from signbit.qmodel.layer import Layer as IntegerLayer
from signbit.trainer.network.dropout import Dropout
from signbit.trainer.network.frozen import IntegerActivation
from signbit.trainer.network.layer import Layer, Mode, Parameter
from signbit.trainer.network.layers import BatchNorm, QuantizedRelu, Relu, Sign
from signbit.trainer.network.pool import MaxPool
from signbit.trainer.network.weights import Weighted


@dataclass(eq=False)
class Block(Layer):
    """y = activation(norm(pool(weights @ dropout(x)))); all but the weights may be None.

    A float network has no batch norm, and the network's last block no activation.  A frozen block has an
    `IntegerActivation` in place of both, and no dropout.
    """

    weights: Weighted
    pool: MaxPool | None = None
    norm: BatchNorm | None = None
    activation: QuantizedRelu | Sign | Relu | IntegerActivation | None = None
    dropout: Dropout | None = None
    inputs: tuple[int, ...] = CHAIN

    @property
    def parts(self) -> list[Layer]:
        parts = (self.dropout, self.weights, self.pool, self.norm, self.activation)
        return [part for part in parts if part is not None]

    @property
    def parameters(self) -> list[Parameter]:
        return [parameter for part in self.parts for parameter in part.parameters]

    @property
    def arrays(self) -> list[np.ndarray]:
        return [array for part in self.parts for array in part.arrays]

    @property
    def is_frozen(self) -> bool:
        return isinstance(self.activation, IntegerActivation)

    def integer_layer(self, activation: Activation | None = None) -> IntegerLayer:
        """The integer model's layer, with `activation` or a frozen block's own."""
        layer = self.weights.integer_layer(self.activation.folded.integers if activation is None else activation)
        return replace(layer, inputs=self.inputs)

    def forward(self, x: np.ndarray, mode: Mode) -> np.ndarray:
        for part in self.parts:
            x = part.forward(x, mode)
            self.largest = max(self.largest, x[0].size)
        return x

    def backward(self, dy: np.ndarray, wants_dx: bool = True) -> np.ndarray | None:
        """`wants_dx` is False where nothing before the block learns."""
        for part in (self.activation, self.norm, self.pool):
            dy = dy if part is None else part.backward(dy)
        dx = self.weights.backward(dy, wants_dx)
        return self.dropout.backward(dx) if wants_dx and self.dropout is not None else dx
