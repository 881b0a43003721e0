"""Softmax and cross-entropy."""

import numpy as np


def softmax(logits: np.ndarray) -> np.ndarray:
    """p[n, c] = exp(logits[n, c]) / sum_k exp(logits[n, k]).

    The row's largest logit is subtracted first, which changes nothing but keeps exp from overflowing.
    """
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    return p


def cross_entropy(logits: np.ndarray, classes: np.ndarray) -> tuple[float, np.ndarray]:
    """Mean of -log p[n, classes[n]] over the batch, and its gradient with respect to the logits.

    The gradient is (p - onehot) / batch.  `classes` are whole numbers, shape (batch,).
    """
    batch = len(logits)
    shifted = logits - logits.max(axis=1, keepdims=True)
    gradient = np.exp(shifted)
    total = gradient.sum(axis=1, keepdims=True)
    rows = np.arange(batch)
    # log p = shifted - log(total): no log of a p that underflowed to 0
    loss = float((np.log(total[:, 0]) - shifted[rows, classes]).mean(dtype=np.float64))
    gradient /= total
    gradient[rows, classes] -= 1
    gradient /= batch
    return loss, gradient
