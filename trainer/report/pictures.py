"""A run's results as PNG files: learning curves, confusion matrix, misclassified samples, first weights."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from signbit.qmodel.atomic import write_whole
from signbit.qmodel.data.dataset import Dataset
from signbit.qmodel.model import QuantizedModel
from signbit.trainer.learning.evaluate import Confusion
from signbit.trainer.learning.train import History
from signbit.trainer.report.confusion import shown_labels
from signbit.trainer.report.figure import BLUE, GREY, INK, ORANGE, new_figure, png, style
from signbit.trainer.report.results import interval_text
from signbit.trainer.report.tiles import first_weights, misclassified

CLASSES_WITH_COUNTS, CLASSES_WITH_LABELS = 40, 100
"""Most classes whose counts, and whose names, a confusion matrix shows; more would be too small to read."""


def draw(
    history: History, confusion: Confusion | None, model: QuantizedModel | None, data: Dataset, folder: Path
) -> list[Path]:
    """Write the pictures of this run into `folder`, and remove others that an earlier run left there.

    A float network has no `model` and no `confusion`, so only curves; samples that are vectors, or all of them
    classified right, have no picture.  Raises SignbitError where matplotlib is missing, OSError where `folder` is.
    """
    figures: dict[str, Callable] = {"curves.png": lambda: curves(history)}
    if confusion is not None and model is not None:
        figures |= {
            "confusion.png": lambda: confusion_matrix(confusion, f"{model.name} on {data.name}"),
            "misclassified.png": lambda: misclassified(model, data),
            "weights.png": lambda: first_weights(model, data.columns),
        }
    written = []
    with style():
        for name in ("curves.png", "confusion.png", "misclassified.png", "weights.png"):
            figure = figures[name]() if name in figures else None
            if figure is None:
                (folder / name).unlink(missing_ok=True)
                continue
            write_whole(folder / name, png(figure))
            written.append(folder / name)
    return written


def curves(history: History):
    """Loss and accuracy by epoch, with the epoch that was chosen."""
    from matplotlib.ticker import MaxNLocator

    figure = new_figure(9.6, 4.0)
    epochs, chosen = history.epochs, history.chosen
    numbers = [epoch.number for epoch in epochs]
    loss = [epoch.loss for epoch in epochs], [epoch.validation_loss for epoch in epochs]
    accuracy = (
        [100 * epoch.train_accuracy for epoch in epochs],
        [100 * epoch.validation_accuracy for epoch in epochs],
    )
    # one epoch is a point, which a line does not show
    marker = "o" if len(epochs) == 1 else ""
    left, right = figure.subplots(1, 2)
    for axis, (train, validation) in ((left, loss), (right, accuracy)):
        axis.plot(numbers, train, marker=marker, color=ORANGE, linewidth=1.5, linestyle="--", label="training steps")
        axis.plot(numbers, validation, marker=marker, color=BLUE, linewidth=2, label="validation")
        axis.axvline(chosen.number, color=GREY, linewidth=1, linestyle=":")
        chosen_value = validation[chosen.number - 1]
        axis.plot(chosen.number, chosen_value, "o", color=BLUE, markersize=7, markeredgecolor="white", clip_on=False)
        axis.set(xlabel="epoch", xlim=(1, numbers[-1]) if len(epochs) > 1 else (0.5, 1.5))
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
        axis.set_ylim(*_limits(train, validation))
        axis.grid(axis="y")
    left.set(ylabel="loss", title=f"validation loss {chosen.validation_loss:.4f} in the chosen epoch, {chosen.number}")
    right.set(ylabel="accuracy, %", title=f"validation accuracy {chosen.validation_accuracy:.2%} in that epoch")
    figure.legend(*right.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def _limits(train: list[float], validation: list[float]) -> tuple[float, float]:
    """Limits of an axis that shows all but the first epochs, which would squeeze the others together."""
    first = len(train) // 10
    values = [*train[first:], *validation[first:]]
    low, high = min(values), max(values)
    margin = 0.06 * max(high - low, 0.01 * high, 1e-6)
    return max(0, low - margin), high + margin


def confusion_matrix(confusion: Confusion, title: str):
    """Counts by actual and predicted class; right ones blue, errors orange, each by its share of the actual class."""
    labels, counts = shown_labels(confusion.labels), confusion.counts
    size = len(labels)
    rotated = max(map(len, labels)) > 3
    cell = 0.5 if size <= 12 else 0.36 if size <= CLASSES_WITH_COUNTS else 14 / size
    margin = 0.09 * max(map(len, labels))
    figure = new_figure(max(5.2, cell * size + margin + 1), max(2.6, cell * size + (margin if rotated else 0) + 1.2))
    axis = figure.subplots()
    axis.imshow(_confusion_colours(counts), interpolation="nearest")
    if size <= CLASSES_WITH_LABELS:
        axis.set_xticks(range(size), labels, rotation=90 if rotated else 0)
        axis.set_yticks(range(size), labels)
        axis.set_xticks(np.arange(size + 1) - 0.5, minor=True)
        axis.set_yticks(np.arange(size + 1) - 0.5, minor=True)
        axis.grid(which="minor", color="#e4e4e4", linewidth=0.5)
        axis.tick_params(which="minor", length=0)
    axis.tick_params(length=0, labelsize=9 if size <= CLASSES_WITH_COUNTS else 6)
    score = confusion.score
    words = f"{title}\n{score.accuracy:.2%} ({score.right}/{score.count}), 95 % interval {interval_text(score)}"
    figure.suptitle(words, x=0.01, ha="left", size=11)
    axis.set(xlabel="predicted", ylabel="actual")
    axis.spines[:].set_visible(False)
    if size <= CLASSES_WITH_COUNTS:
        colours = _confusion_colours(counts)
        text_size = 9 if size <= 12 else 7
        for row, column in np.argwhere(counts):
            # white on dark cells; the weights are those of luma in Rec. ITU-R BT.601
            is_dark = colours[row, column] @ [0.299, 0.587, 0.114] < 0.55
            axis.text(
                column,
                row,
                str(counts[row, column]),
                ha="center",
                va="center",
                size=text_size if counts[row, column] < 1000 else text_size - 1.5,
                color="white" if is_dark else INK,
            )
    return figure


def _confusion_colours(counts: np.ndarray) -> np.ndarray:
    """RGB of each cell, 0..1."""
    from matplotlib.colors import to_rgb

    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    is_right = np.eye(len(counts), dtype=bool)
    errors = np.where(is_right, 0, shares)
    # few errors must be seen, too: the root, from a colour that is not nearly white
    strength = np.where(
        is_right, shares, np.where(errors > 0, 0.15 + 0.85 * np.sqrt(errors / max(errors.max(), 0.05)), 0)
    )
    hue = np.where(is_right[..., None], to_rgb(BLUE), to_rgb(ORANGE))
    return 1 - strength[..., None] * (1 - hue)
