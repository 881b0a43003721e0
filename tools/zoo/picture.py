"""The documents' pictures: accuracy on MNIST against bytes of weights and against cycles, our builds and others'."""

from collections.abc import Sequence
from dataclasses import dataclass

from signbit.codegen.kernels.targets import SIZE, SPEED
from signbit.trainer.report.figure import BLUE, GREEN, INK, LINES, ORANGE, PURPLE
from tools.documents.pictures import pyplot
from tools.zoo.rows import build_of

SIZE_INCHES = (9.2, 5.4)
KIB = 1024
ERROR_MIN, ERROR_MAX = 0.28, 7.5
"""Per cent.  Builds of ours that lie outside are in the tables alone."""
ACCURACIES = ("93", "95", "97", "98", "98.5", "99", "99.2", "99.4", "99.5", "99.6", "99.7")
LABEL_POINTS = 8.5
LEFT, RIGHT = (-7, 4, "right"), (7, -12, "left")
"""Where a label is: points to the right and up, and which part of it is there."""


@dataclass(frozen=True)
class Axis:
    """What accuracy is drawn against: `key` of a build and `rival_key` of a rival's point, from `low` to `high`.

    Of our builds the one that is `labelled` has its accuracies written beside its points.
    """

    title: str
    label: str
    key: str
    rival_key: str
    low: float
    high: float
    ticks: dict[float, str]
    labelled: tuple[str, str]


AXES = {
    "flash": Axis(
        "MNIST: test accuracy against weights in flash",
        "weights and parameters (others: weights alone)",
        "data_bytes",
        "flash_bytes",
        0.7 * KIB,
        20 * KIB,
        {size * KIB: f"{size} KiB" for size in (1, 2, 4, 8, 16)},
        ("m0", SIZE),
    ),
    "cycles": Axis(
        "MNIST: test accuracy against cycles of one inference",
        "estimated cycles (BitNetMCU: measured by its author, on a RISC-V)",
        "estimated_cycles",
        "cycles",
        50_000,
        60_000_000,
        {count * 1e6: f"{count:g} M" for count in (0.1, 0.3, 1, 3, 10, 30)},
        ("m4", SPEED),
    ),
}
OURS = {
    ("m0", SIZE): ("M0, smallest", {"color": LINES[4], "marker": "v"}),
    ("m0", SPEED): ("M0, fastest", {"color": BLUE, "marker": "o"}),
    ("m4", SPEED): ("M4, fastest", {"color": INK, "marker": "D"}),
}
RIVAL_STYLES = (
    {"color": ORANGE, "marker": "s", "linestyle": "--"},
    {"color": ORANGE, "marker": "s", "linestyle": "none", "markerfacecolor": "white"},
    {"color": GREEN, "marker": "^", "linestyle": "--"},
    {"color": PURPLE, "marker": "D", "linestyle": "none"},
)


def accuracy_against(axis: Axis, rows: Sequence[dict], rivals: Sequence[dict]):
    """Error bars are standard deviations over the runs; both axes are logarithmic, the errors' labelled as accuracy."""
    figure, view = pyplot().subplots(figsize=SIZE_INCHES, layout="constrained")
    for rival, style in zip(rivals, RIVAL_STYLES, strict=True):
        _draw_rival(view, axis, rival, style)
    for build, (title, style) in OURS.items():
        _draw_ours(view, axis, [row for row in rows if row["data"] == "mnist"], build, f"signbit, {title}", style)
    _set_axes(view, axis)
    handles, labels = view.get_legend_handles_labels()
    # matplotlib puts error bars last, but ours come first
    order = sorted(range(len(labels)), key=lambda index: not labels[index].startswith("signbit"))
    chosen = [handles[index] for index in order], [labels[index] for index in order]
    view.legend(*chosen, frameon=False, loc="lower center", bbox_to_anchor=(0.45, 0), fontsize=9.5, handlelength=2.6)
    return figure


def _draw_ours(view, axis: Axis, rows: Sequence[dict], build: tuple[str, str], label: str, style: dict) -> None:
    """A line through the convolutional networks, and hollow points for the dense ones."""
    dense = [row for row in rows if "conv" not in row["network"]]
    convolutional = sorted((row for row in rows if row not in dense), key=lambda row: build_of(row, *build)[axis.key])
    lines = (
        (convolutional, {"linestyle": "-", "label": label}, LEFT),
        (dense, {"linestyle": "none", "markerfacecolor": "white"}, RIGHT),
    )
    for drawn, line, place in lines:
        drawn = [row for row in drawn if _inside(axis, row, build)]
        at = [build_of(row, *build)[axis.key] for row in drawn]
        errors = [100 * (1 - row["test_accuracy_mean"]) for row in drawn]
        # a bar never reaches an error of 0, which the axis does not have
        bars = [min(100 * row["test_accuracy_sd"], 0.9 * error) for row, error in zip(drawn, errors, strict=True)]
        view.errorbar(at, errors, bars, markersize=6, linewidth=2, elinewidth=1.2, capsize=3, zorder=5, **line, **style)
        if build == axis.labelled:
            for x, error in zip(at, errors, strict=True):
                _label(view, x, error, style["color"], place, weight="bold")


def _draw_rival(view, axis: Axis, rival: dict, style: dict) -> None:
    points = [point for point in rival["points"] if point[axis.rival_key]]
    if not points:
        return
    at = [point[axis.rival_key] for point in points]
    errors = [100 * (1 - point["accuracy"]) for point in points]
    view.plot(at, errors, label=rival["name"], markersize=6, linewidth=1.5, markeredgewidth=1.4, zorder=3, **style)
    for x, error in zip(at, errors, strict=True):
        _label(view, x, error, style["color"], LEFT if "markerfacecolor" in style else RIGHT)


def _label(view, x: float, error: float, colour: str, place: tuple, weight: str = "normal") -> None:
    right, up, part = place
    view.annotate(
        f"{100 - error:.2f}",
        (x, error),
        xytext=(right, up),
        textcoords="offset points",
        ha=part,
        color=colour,
        fontsize=LABEL_POINTS,
        fontweight=weight,
        zorder=6,
    )


def _set_axes(view, axis: Axis) -> None:
    view.set_xscale("log")
    view.set_yscale("log")
    view.set_xlim(axis.low, axis.high)
    view.set_ylim(ERROR_MAX, ERROR_MIN)
    view.set_xticks(list(axis.ticks), labels=list(axis.ticks.values()))
    view.set_yticks([100 - float(text) for text in ACCURACIES], labels=[f"{text} %" for text in ACCURACIES])
    view.minorticks_off()
    view.grid(color="#e3e3e3", linewidth=0.7)
    view.set_axisbelow(True)
    view.tick_params(length=0, colors=INK)
    view.set_title(axis.title)
    view.set_xlabel(axis.label)


def _inside(axis: Axis, row: dict, build: tuple[str, str]) -> bool:
    error = 100 * (1 - row["test_accuracy_mean"])
    return axis.low <= build_of(row, *build)[axis.key] <= axis.high and ERROR_MIN <= error <= ERROR_MAX
