"""The README's picture: accuracy on MNIST against bytes of weights, ours and what others publish."""

from collections.abc import Sequence

from signbit.trainer.report.figure import BLUE, GREEN, INK, ORANGE, PURPLE
from tools.documents.pictures import pyplot

SIZE_INCHES = (9.2, 5.4)
KIB = 1024
BYTES_MIN, BYTES_MAX = 0.7 * KIB, 20 * KIB
ERROR_MIN, ERROR_MAX = 0.28, 7.5
"""Per cent.  What of ours lies outside is in the tables alone."""
SIZES_KIB = (1, 2, 4, 8, 16)
ACCURACIES = ("93", "95", "97", "98", "98.5", "99", "99.2", "99.4", "99.5", "99.6", "99.7")
RIVAL_STYLES = (
    {"color": ORANGE, "marker": "s", "linestyle": "--"},
    {"color": ORANGE, "marker": "s", "linestyle": "none", "markerfacecolor": "white"},
    {"color": GREEN, "marker": "^", "linestyle": "--"},
    {"color": PURPLE, "marker": "D", "linestyle": "none"},
)
BELOW, LEFT, RIGHT = (0, -18, "center"), (-7, 4, "right"), (7, -12, "left")
"""Where a label stands: points to the right and up, and which part of it is there."""
RIVAL_LABELS = ((LEFT,) * 4 + (RIGHT,) * 2, (RIGHT,) * 2, (RIGHT,) * 2, (BELOW,))
"""For each point of bench/rivals.json."""
LABEL_POINTS = 8.5


def accuracy_flash(rows: Sequence[dict], rivals: Sequence[dict]):
    """Error bars are standard deviations over the runs; both axes are logarithmic, the errors' labelled as accuracy."""
    figure, axis = pyplot().subplots(figsize=SIZE_INCHES, layout="constrained")
    shown = [row for row in rows if row["data"] == "mnist" and _inside(row)]
    convolutional = sorted((row for row in shown if "conv" in row["network"]), key=lambda row: row["flash_bytes"])
    dense = [row for row in shown if row not in convolutional]
    _draw_ours(axis, convolutional, "signbit, convolutions", {"linestyle": "-"}, LEFT)
    _draw_ours(axis, dense, "signbit, dense", {"linestyle": "none", "markerfacecolor": "white"}, RIGHT)
    for rival, style, places in zip(rivals, RIVAL_STYLES, RIVAL_LABELS, strict=True):
        _draw_rival(axis, rival, style, places)
    _set_axes(axis)
    handles, labels = axis.get_legend_handles_labels()
    # matplotlib puts error bars last, but ours come first
    order = sorted(range(len(labels)), key=lambda index: not labels[index].startswith("signbit"))
    axis.legend(
        [handles[index] for index in order],
        [labels[index] for index in order],
        frameon=False,
        loc="lower center",
        bbox_to_anchor=(0.45, 0.02),
        fontsize=9.5,
        handlelength=2.6,
    )
    return figure


def _draw_ours(axis, rows: Sequence[dict], label: str, style: dict, place: tuple) -> None:
    if not rows:
        return
    errors = [100 * (1 - row["test_accuracy_mean"]) for row in rows]
    axis.errorbar(
        [row["flash_bytes"] for row in rows],
        errors,
        # a bar never reaches an error of 0, which the axis does not have
        yerr=[min(100 * row["test_accuracy_sd"], 0.9 * error) for row, error in zip(rows, errors, strict=True)],
        label=label,
        color=BLUE,
        marker="o",
        markersize=7,
        markeredgewidth=1.6,
        linewidth=2.2,
        elinewidth=1.4,
        capsize=3.5,
        zorder=5,
        **style,
    )
    for row, error in zip(rows, errors, strict=True):
        _label(axis, row["flash_bytes"], error, BLUE, place, weight="bold")


def _draw_rival(axis, rival: dict, style: dict, places: Sequence[tuple]) -> None:
    sizes = [point["flash_bytes"] for point in rival["points"]]
    errors = [100 * (1 - point["accuracy"]) for point in rival["points"]]
    axis.plot(sizes, errors, label=rival["name"], markersize=6, linewidth=1.5, markeredgewidth=1.4, zorder=3, **style)
    for size, error, place in zip(sizes, errors, places, strict=True):
        _label(axis, size, error, style["color"], place)


def _label(axis, size: float, error: float, colour: str, place: tuple, weight: str = "normal") -> None:
    right, up, part = place
    axis.annotate(
        f"{100 - error:.2f}",
        (size, error),
        xytext=(right, up),
        textcoords="offset points",
        ha=part,
        color=colour,
        fontsize=LABEL_POINTS,
        fontweight=weight,
        zorder=6,
    )


def _set_axes(axis) -> None:
    axis.set_xscale("log", base=2)
    axis.set_yscale("log")
    axis.set_xlim(BYTES_MIN, BYTES_MAX)
    axis.set_ylim(ERROR_MAX, ERROR_MIN)
    axis.set_xticks([size * KIB for size in SIZES_KIB], labels=[f"{size} KiB" for size in SIZES_KIB])
    axis.set_yticks([100 - float(text) for text in ACCURACIES], labels=[f"{text} %" for text in ACCURACIES])
    axis.minorticks_off()
    axis.grid(color="#e3e3e3", linewidth=0.7)
    axis.set_axisbelow(True)
    axis.tick_params(length=0, colors=INK)
    axis.set_title("MNIST: test accuracy against weights in flash")
    axis.set_xlabel("weights and parameters (others: weights alone)")


def _inside(row: dict) -> bool:
    error = 100 * (1 - row["test_accuracy_mean"])
    return BYTES_MIN <= row["flash_bytes"] <= BYTES_MAX and ERROR_MIN <= error <= ERROR_MAX
