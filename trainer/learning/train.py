"""BinaryConnect: the training loop, which is also its explanation.

A network with weights of +1 and -1 can't be trained by small steps: a sign has none between its two values.  So
each weight gets a latent one, a real number in -1..1, and each step does three things.

1. Forward and backward with the weights sign(latent): the loss and its gradient are those of the network that
   will run on the microcontroller.
2. The gradient of each +-1 weight changes its latent weight.  Many small steps one way flip the sign; noise
   cancels out.
3. Latent weights are clipped to -1..1, so that none drifts away so far that it could never come back.

Float networks go through the same loop; their weights are just used as they are.

While batch norm learns, its numbers are real.  In the last `frozen_epochs` they are the integers of the model file, and
only weights learn: forward passes are then those of the microcontroller to the bit.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from signbit.qmodel.data.named import Dataset, Split
from signbit.qmodel.errors import SignbitError
from signbit.trainer.exact import noise
from signbit.trainer.exact.grid import Grid
from signbit.trainer.learning.augment import GROUP, Augmenter, add_noise, flip
from signbit.trainer.learning.loss import balanced_weights, cross_entropy
from signbit.trainer.learning.optim import OPTIMIZERS, SCHEDULES, glorot_rate
from signbit.trainer.learning.quantize import freeze
from signbit.trainer.learning.settings import Settings
from signbit.trainer.network.layer import Mode
from signbit.trainer.network.network import Network
from signbit.trainer.network.weights import Weighted

MILD_FACTOR = 0.5
"""What `augment_amount` is multiplied by in the mild epochs."""


@dataclass(frozen=True)
class Epoch:
    """What one pass over the training part gave; accuracies are fractions."""

    number: int
    """From 1."""
    loss: float
    """Mean over the training steps."""
    train_accuracy: float
    """Over the training steps, of weights that were still moving."""
    validation_accuracy: float
    """At the end of the epoch, of the integer model where there is one."""
    validation_loss: float
    seconds: float
    """Since training began."""


@dataclass(frozen=True)
class History:
    epochs: tuple[Epoch, ...]
    chosen: Epoch


@dataclass(eq=False)
class State:
    """How far a run has come, besides the arrays of network and optimizer."""

    epochs: list[Epoch] = field(default_factory=list)
    """The finished ones."""
    chosen: Epoch | None = None
    chosen_arrays: list[np.ndarray] = field(default_factory=list)
    """`Network.arrays` after the chosen epoch."""
    order: np.ndarray | None = None
    """Indices of the training inputs in the current epoch; None between epochs."""
    position: int = 0
    """How many of `order` are done."""
    loss_sum: float = 0.0
    right: int = 0
    seconds: float = 0.0
    """Spent on training before this process."""


class Training:
    """A run that can stop after any block of batches, and go on from its `state` as if it had not stopped."""

    def __init__(self, network: Network, data: Dataset, settings: Settings, rng: np.random.Generator):
        _scale_rates(network, settings)
        self.network = network
        self.data = data
        self.settings = settings
        self.rng = rng
        self.optimizer = OPTIMIZERS[settings.optimizer](network.parameters)
        self.state = State()
        self._start = time.perf_counter()
        self.frozen: Network | None = None
        """Shares its weights with `network`; None until the last epochs."""
        classes = data.train.y
        self._batch_size = min(settings.batch_size, len(classes))
        # batches that are augmented together
        self._block_size = max(1, GROUP // self._batch_size) * self._batch_size
        # what doesn't fill a batch waits for the next epoch's order
        self._steps = len(classes) // self._batch_size
        self._augmenter = _augmenter(data, settings, rng)
        is_balanced = settings.class_weights == "balanced"
        self._class_weights = balanced_weights(classes, len(data.labels)) if is_balanced else None

    # a loss that overflows is reported in one line below; numpy's warnings before it would only be noise
    @np.errstate(over="ignore", invalid="ignore")
    def run(
        self, watch: Callable[[Epoch], None] = lambda epoch: None, between: Callable[[], None] = lambda: None
    ) -> History:
        """Train to the end and leave the network as it was after the epoch that the validation part chooses.

        That is the latest one that is not clearly worse than the best (`_tolerance`): the highest of many noisy
        figures is mostly luck, and a falling learning rate makes late epochs the good ones.  `watch` is called after
        every epoch, `between` at each point where the run may stop: what it raises stops it.  Raises SignbitError when
        the loss is no longer finite.
        """
        state = self.state
        self._start = time.perf_counter() - state.seconds
        while (done := len(state.epochs)) < self.settings.epochs:
            self._train_epoch(done, between)
            self._finish_epoch()
            self.begin_last_epochs_if_due()
            watch(state.epochs[-1])
            between()
        self.network.restore(state.chosen_arrays)
        return History(tuple(state.epochs), state.chosen)

    @np.errstate(over="ignore", invalid="ignore")
    def last(self) -> Network:
        """Train to the end without scoring an epoch; the network after the last one."""
        for done in range(self.settings.epochs):
            self._train_epoch(done)
            self.state = State()
        self.network.calibrate(self.data.train.x)
        return self.network

    @property
    def trained(self) -> Network:
        """The network after `run`, in its frozen form if it was frozen in the chosen epoch.

        Before that batch norm was another, so the frozen integers hold for the frozen epochs only.
        """
        return self.frozen if self.state.chosen.number > self._first_frozen else self.network

    def begin_last_epochs_if_due(self) -> None:
        """Make warps milder, and put the integers in batch norm's place, when the epochs for it begin.

        Batch norm's own arrays learn no more after that.
        """
        settings, done = self.settings, len(self.state.epochs)
        if settings.mild_epochs and done >= settings.epochs - settings.mild_epochs:
            self._augmenter.amount = settings.augment_amount * MILD_FACTOR
        if settings.frozen_epochs and done >= self._first_frozen and self.frozen is None:
            self.frozen = freeze(self.network, any_weights=True)
            self.optimizer.keep(self.frozen.parameters)

    @property
    def grids(self) -> list[Grid]:
        return (self.frozen or self.network).grids

    @property
    def _first_frozen(self) -> int:
        """Epochs before the frozen ones."""
        return self.settings.epochs - self.settings.frozen_epochs

    def _train_epoch(self, done: int, between: Callable[[], None] = lambda: None) -> None:
        """The blocks that are left of the epoch after `done` others.  Raises SignbitError if the loss overflows."""
        state = self.state
        if state.order is None:
            order = noise.permutation(self.rng, len(self.data.train))
            state.order = order[: self._steps * self._batch_size]
        while state.position < len(state.order):
            self._train_block(done, state.order[state.position : state.position + self._block_size])
            state.position += self._block_size
            state.seconds = time.perf_counter() - self._start
            between()
        if not math.isfinite(state.loss_sum):
            raise SignbitError(
                f"the loss is not finite in epoch {done + 1}; try a lower --lr than {self.settings.lr:g}"
            )

    def _train_block(self, done: int, block: np.ndarray) -> None:
        inputs, classes = self.data.train.x[block], self.data.train.y[block]
        if self.settings.flip != "none":
            inputs = flip(inputs, self.data.input_shape, self.settings.flip, self.rng)
        if self._augmenter is not None:
            inputs = self._augmenter.warp(inputs)
        if self.settings.input_noise:
            inputs = add_noise(inputs, self.settings.input_noise, self.rng)
        for start in range(0, len(block), self._batch_size):
            batch = slice(start, start + self._batch_size)
            step = (self.state.position + start) // self._batch_size
            self._train_step(done + step / self._steps, inputs[batch], classes[batch])

    def _train_step(self, epochs_done: float, inputs: np.ndarray, classes: np.ndarray) -> None:
        network, settings, state = self.frozen or self.network, self.settings, self.state
        logits = network.forward(inputs, Mode.TRAIN)
        loss, gradient = cross_entropy(logits, classes, settings.label_smoothing, self._class_weights)
        network.backward(gradient)
        self.optimizer.step(settings.lr * SCHEDULES[settings.schedule](epochs_done / settings.epochs))
        network.clip()

        state.loss_sum += loss
        state.right += int(np.count_nonzero(logits.argmax(axis=1) == classes))

    def _finish_epoch(self) -> None:
        state, number = self.state, len(self.state.epochs) + 1
        if self.frozen is None:
            self.network.calibrate(self.data.train.x)
        accuracy, loss = _validate(self.frozen or self.network, self.data.validation)
        state.seconds = time.perf_counter() - self._start
        epoch = Epoch(
            number, state.loss_sum / self._steps, state.right / len(state.order), accuracy, loss, state.seconds
        )
        state.epochs.append(epoch)
        best = max(epoch.validation_accuracy for epoch in state.epochs)
        if accuracy >= best - _tolerance(best, len(self.data.validation)):
            state.chosen, state.chosen_arrays = epoch, self.network.snapshot()
        state.order, state.position, state.loss_sum, state.right = None, 0, 0.0, 0


def _augmenter(data: Dataset, settings: Settings, rng: np.random.Generator) -> Augmenter | None:
    if settings.augment == "none" or settings.is_sound_augmented:
        return None
    return Augmenter(data.input_shape, settings.augment, settings.augment_amount, rng)


def _tolerance(accuracy: float, count: int) -> float:
    """Two standard errors of an accuracy measured on `count` inputs, with one success and one failure added.

    The added two keep the error of a perfect score above 0 (Agresti and Coull, 1998, in its simplest form).
    """
    smoothed = (accuracy * count + 1) / (count + 2)
    return 2 * math.sqrt(smoothed * (1 - smoothed) / count)


def _validate(network: Network, part: Split) -> tuple[float, float]:
    """Accuracy and loss on `part`, of the integer model where there is one."""
    logits = (freeze(network) if network.is_binarized else network).logits(part.x)
    loss, _ = cross_entropy(logits, part.y)
    return float(np.mean(logits.argmax(axis=1) == part.y)), loss


def _scale_rates(network: Network, settings: Settings) -> None:
    if settings.lr_scaling == "glorot":
        for layer in network.layers:
            if isinstance(layer, Weighted):
                layer.weight.rate = glorot_rate(*layer.weight.value.shape, settings.optimizer)
