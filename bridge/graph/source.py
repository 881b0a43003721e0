"""Where a tensor's whole numbers come from: a value of the integer model, accumulators, or a sum of values."""

from dataclasses import dataclass, replace

import numpy as np

from signbit.qmodel.activations import Logits
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.layer import Layer
from signbit.qmodel.layers import AveragePool, Weighted
from signbit.qmodel.value import Shape, Value, size_of


@dataclass(eq=False)
class Slot:
    """A value of the integer model; `number` 0 is the input, `number` i + 1 what layer i gives."""

    number: int
    value: Value

    @property
    def shape(self) -> Shape:
        return self.value.shape

    def order_of(self, order: np.ndarray) -> np.ndarray:
        """A tensor's `order` as places in the value."""
        return order

    def check_image(self, order: np.ndarray) -> None:
        """Raises SignbitError unless an `order` (1, C, H, W) is the image that the value is."""
        channels, height, width = order.shape[1:]
        if (height, width, channels) != self.shape:
            raise SignbitError(f"makes an image of {(height, width, channels)} from {self.shape}; no layer does that")
        if (self.order_of(order) != canonical(self.shape)).any():
            raise SignbitError("reads an image whose axes are in another order")


@dataclass(eq=False)
class InputSlot(Slot):
    """The input.  How its bytes are ordered is only known when a layer reads it.

    `places[i]` is where number i of the model's input lies in the graph's, both flattened; None as long as no layer
    has read it.  `usual` is where they lie if the first layer is a dense one, in the shape of the input; None
    where nobody knows.
    """

    usual: np.ndarray | None
    places: np.ndarray | None = None

    def read(self, shape: Shape, places: np.ndarray) -> None:
        """Fix the order of the input."""
        self.places = places
        self.value = replace(self.value, shape=tuple(int(side) for side in shape))

    def order_of(self, order: np.ndarray) -> np.ndarray:
        """An input that no layer has read gets an order now."""
        if self.places is None:
            if self.usual is None:
                raise SignbitError(
                    "reads an image of several channels as a vector; say with --layout which axis they are"
                )
            self.read(self.usual.shape, self.usual.ravel())
        inverse = np.empty_like(self.places)
        inverse[self.places] = np.arange(inverse.size, dtype=inverse.dtype)
        return inverse[order]

    def check_image(self, order: np.ndarray) -> None:
        if self.places is None:
            places = order[0].transpose(1, 2, 0)
            self.read(places.shape, places.ravel())
        super().check_image(order)


@dataclass(frozen=True, eq=False)
class Pending:
    """Accumulators of a layer whose activation is not known yet; `layer.activation` is None."""

    reads: tuple[Slot, ...]
    layer: Weighted
    is_mean: bool = False
    """All weights are 1, and the graph divides by their number."""

    @property
    def shape(self) -> Shape:
        return self.layer.output_shape(*(slot.shape for slot in self.reads))

    @property
    def range(self):
        """What the accumulators can be, neuron by neuron."""
        return self.layer.accumulator_range(self.reads[0].value)

    def with_activation(self, activation) -> Layer:
        return replace(self.layer, activation=activation)

    def checked(self) -> "Pending":
        """Raises SignbitError unless the layer fits what it reads."""
        zeros = np.zeros(self.layer.neurons, np.int16)
        self.with_activation(Logits(zeros, zeros.astype(np.int32))).check(self.reads[0].value)
        return self

    def flipped(self, channels: np.ndarray) -> "Pending":
        """The accumulators of `channels`, bool (neurons,), with the opposite sign."""
        weights = self.layer.weights
        signs = np.where(channels, -1, 1).astype(np.int8).reshape(-1, *[1] * (weights.ndim - 1))
        return replace(self, layer=replace(self.layer, weights=weights * signs), is_mean=False)

    def pooled(self, size: tuple[int, int]) -> "Pending":
        """The largest of each window; windows in windows are one larger window."""
        window = self.layer.window
        pool = (window.pool[0] * size[0], window.pool[1] * size[1])
        return replace(self, layer=replace(self.layer, window=replace(window, pool=pool)), is_mean=False)

    def mean(self, high: int) -> AveragePool:
        """The layer that rounds the mean of each window."""
        return AveragePool(self.layer.kernel, self.layer.neurons, high)


@dataclass(frozen=True, eq=False)
class Sum:
    """sum_k gains[k] * u_k of values of one shape; gains are positive real numbers."""

    reads: tuple[Slot, ...]
    gains: tuple[float, ...]

    @property
    def shape(self) -> Shape:
        return self.reads[0].shape


def canonical(shape: Shape) -> np.ndarray:
    """Places of an image (H, W, C) as the graph has it, (1, C, H, W), or of a vector, (1, n)."""
    places = np.arange(size_of(shape), dtype=np.int32).reshape(shape)
    return (places.transpose(2, 0, 1) if len(shape) == 3 else places)[None]
