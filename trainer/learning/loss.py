"""Softmax and cross-entropy."""

import numpy as np

from signbit.trainer.exact import arithmetic

GRADIENT_STEP = 2.0**-24
"""float32 gradients are multiples of this, so that their sums over a batch are exact (`signbit.trainer.exact.grid`)."""


def softmax(logits: np.ndarray) -> np.ndarray:
    """p[n, c] = exp(logits[n, c]) / sum_k exp(logits[n, k]).

    The row's largest logit is subtracted first, which changes nothing but keeps exp from overflowing.
    """
    p = arithmetic.exp(logits - logits.max(axis=1, keepdims=True))
    p /= _row_sums(p)
    return p


def cross_entropy(
    logits: np.ndarray, classes: np.ndarray, smoothing: float = 0.0, class_weights: np.ndarray | None = None
) -> tuple[float, np.ndarray]:
    """Mean of -w sum_c t_c log p_c over the batch, and its gradient with respect to the logits, w (p - t) / batch.

    `classes` are whole numbers, shape (batch,).  The target t is 1 for the class and 0 elsewhere, mixed with
    `smoothing` parts of the uniform distribution; w is the class's of `class_weights`, or 1.
    """
    batch, count = logits.shape
    shifted = logits - logits.max(axis=1, keepdims=True)
    gradient = arithmetic.exp(shifted)
    total = _row_sums(gradient)
    rows = np.arange(batch)
    weights = 1.0 if class_weights is None else class_weights[classes].astype(logits.dtype)
    # log p = shifted - log(total): no log of a p that underflowed to 0
    log_total = np.log(total[:, 0])
    losses = log_total - (1 - smoothing) * shifted[rows, classes]
    if smoothing:
        losses -= smoothing * shifted.mean(axis=1)
    loss = float((losses * weights).mean(dtype=np.float64))
    gradient /= total
    gradient[rows, classes] -= 1 - smoothing
    if smoothing:
        gradient -= smoothing / count
    gradient *= np.reshape(weights, (-1, 1)) / batch
    if gradient.dtype == np.float32:
        gradient = np.rint(gradient / np.float32(GRADIENT_STEP)) * np.float32(GRADIENT_STEP)
    return loss, gradient


def balanced_weights(classes: np.ndarray, count: int) -> np.ndarray:
    """A weight for each of `count` classes that gives all the same share of the loss; the mean over data is 1.

    w_c = inputs / (classes that occur * inputs of class c), 0 for a class without inputs.
    """
    sizes = np.bincount(classes, minlength=count)
    return np.where(sizes > 0, len(classes) / (np.count_nonzero(sizes) * np.maximum(sizes, 1)), 0.0)


def _row_sums(values: np.ndarray) -> np.ndarray:
    """Sums over axis 1, shape (batch, 1), column by column: `sum` may add in another order on another processor."""
    total = np.zeros((len(values), 1), values.dtype)
    for column in range(values.shape[1]):
        total[:, 0] += values[:, column]
    return total
