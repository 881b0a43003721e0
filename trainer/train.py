"""BinaryConnect: the training loop, which is also its explanation.

A network with weights of +1 and -1 can't be trained by small steps: a sign has none between its two values.  So
each weight gets a latent one, a real number in -1..1, and each step does three things.

1. Forward and backward with the weights sign(latent): the loss and its gradient are those of the network that
   will run on the microcontroller.
2. The gradient of each +-1 weight changes its latent weight.  Many small steps one way flip the sign; noise
   cancels out.
3. Latent weights are clipped to -1..1, so that none drifts away so far that it could never come back.

Float networks go through the same loop; their weights are just used as they are.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from qmodel.datasets import Dataset, Split
from qmodel.errors import SignbitError
from trainer import noise
from trainer.augment import GROUP, Augmenter
from trainer.layer import Mode
from trainer.loss import balanced_weights, cross_entropy
from trainer.network import Network
from trainer.optim import OPTIMIZERS, SCHEDULES, glorot_rate
from trainer.settings import Settings
from trainer.weights import Weighted


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
    """At the end of the epoch, with rounded activations."""
    validation_loss: float
    seconds: float
    """Since training began."""


@dataclass(frozen=True)
class History:
    epochs: tuple[Epoch, ...]
    chosen: Epoch


# a loss that overflows is reported in one line below; numpy's warnings before it would only be noise
@np.errstate(over="ignore", invalid="ignore")
def train(
    network: Network,
    data: Dataset,
    settings: Settings,
    rng: np.random.Generator,
    watch: Callable[[Epoch], None] = lambda epoch: None,
) -> History:
    """Train `network` in place and leave it as it was after the epoch that the validation part chooses.

    That is the latest one that is not clearly worse than the best (`_tolerance`): the highest of many noisy
    figures is mostly luck, and a falling learning rate makes late epochs the good ones.  `watch` is called after
    every epoch.  Raises SignbitError when the loss is no longer finite.
    """
    _scale_rates(network, settings)
    optimizer = OPTIMIZERS[settings.optimizer](network.parameters)
    schedule = SCHEDULES[settings.schedule]
    x, y = data.train.x, data.train.y
    batch_size = min(settings.batch_size, len(y))
    # what doesn't fill a batch waits for the next epoch's order
    steps = len(y) // batch_size
    augmenter = _augmenter(data, settings, rng)
    class_weights = balanced_weights(y, len(data.labels)) if settings.class_weights == "balanced" else None
    epochs: list[Epoch] = []
    best_accuracy = 0.0
    start = time.perf_counter()

    for number in range(1, settings.epochs + 1):
        order = noise.permutation(rng, len(y))[: steps * batch_size]
        loss_sum, right = 0.0, 0
        for step, (inputs, classes) in enumerate(_batches(x, y, order, batch_size, augmenter)):
            logits = network.forward(inputs, Mode.TRAIN)
            loss, gradient = cross_entropy(logits, classes, settings.label_smoothing, class_weights)
            network.backward(gradient)
            done = (number - 1 + step / steps) / settings.epochs
            optimizer.step(settings.lr * schedule(done))
            network.clip()

            loss_sum += loss
            right += int(np.count_nonzero(logits.argmax(axis=1) == classes))
        if not math.isfinite(loss_sum):
            raise SignbitError(f"the loss is not finite in epoch {number}; try a lower --lr than {settings.lr:g}")

        network.calibrate(x)
        accuracy, validation_loss = _validate(network, data.validation)
        epoch = Epoch(
            number,
            loss_sum / steps,
            right / (steps * batch_size),
            accuracy,
            validation_loss,
            time.perf_counter() - start,
        )
        epochs.append(epoch)
        best_accuracy = max(best_accuracy, accuracy)
        if accuracy >= best_accuracy - _tolerance(best_accuracy, len(data.validation)):
            chosen, weights = epoch, network.snapshot()
        watch(epoch)

    network.restore(weights)
    return History(tuple(epochs), chosen)


def _augmenter(data: Dataset, settings: Settings, rng: np.random.Generator) -> Augmenter | None:
    if settings.augment == "none":
        return None
    return Augmenter(data.input_shape, settings.augment, settings.augment_amount, rng)


def _batches(
    x: np.ndarray, y: np.ndarray, order: np.ndarray, batch_size: int, augmenter: Augmenter | None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Inputs and classes in `order`, `batch_size` at a time; as many batches are augmented together as fill a group."""
    block_size = max(1, GROUP // batch_size) * batch_size
    for block_start in range(0, len(order), block_size):
        block = order[block_start : block_start + block_size]
        inputs, classes = x[block], y[block]
        if augmenter is not None:
            inputs = augmenter.warp(inputs)
        for start in range(0, len(block), batch_size):
            yield inputs[start : start + batch_size], classes[start : start + batch_size]


def _tolerance(accuracy: float, count: int) -> float:
    """Two standard errors of an accuracy measured on `count` inputs, with one success and one failure added.

    The added two keep the error of a perfect score above 0 (Agresti and Coull, 1998, in its simplest form).
    """
    smoothed = (accuracy * count + 1) / (count + 2)
    return 2 * math.sqrt(smoothed * (1 - smoothed) / count)


def _validate(network: Network, part: Split) -> tuple[float, float]:
    """Accuracy and loss on `part`."""
    logits = network.logits(part.x)
    loss, _ = cross_entropy(logits, part.y)
    return float(np.mean(logits.argmax(axis=1) == part.y)), loss


def _scale_rates(network: Network, settings: Settings) -> None:
    if settings.lr_scaling == "glorot":
        for layer in network.layers:
            if isinstance(layer, Weighted):
                layer.weight.rate = glorot_rate(*layer.weight.value.shape, settings.optimizer)
