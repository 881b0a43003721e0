"""Pictures made of tiles: misclassified samples, and the weights of the first layer."""

import math

import numpy as np

from signbit.qmodel.data.dataset import Dataset
from signbit.qmodel.layers import Conv2D, Dense, DepthwiseConv2D
from signbit.qmodel.model import QuantizedModel
from signbit.qmodel.value import Encoding, Shape
from signbit.trainer.report.confusion import shown_labels
from signbit.trainer.report.figure import DPI, GREY, LINES, new_figure

SAMPLES_MAX = 40
CHANNELS_NAMED = 6
ASPECT_MAX = 2
"""Room for a sample, its height by its width; a narrower one leaves some of it free."""
TILES_MAX = 256
WEIGHTS_MAX = 1 << 21
"""Total over all tiles, so that time and memory stay bounded."""
PIXELS_MAX = 2400
"""Side of a mosaic; a larger one is shown smaller than it is."""
TILE_MAX = 0.6
"""Side of a tile, in inches."""
COLUMN_NAMES_MAX = 64
WIDTH, MIN_WIDTH = 9.6, 5.2
"""Width of a figure, in inches."""
BACKGROUND = 0.82, 0.87, 0.92
"""Between tiles: a pale blue that is neither +1 nor 0 nor -1."""
BETWEEN = 2
"""Marks it among weights."""
NAME_HEIGHT, LINE_MIN = 0.16, 0.02
"""Height of a matrix's line with a name and without, in inches."""
LINED_CELL = 0.09
"""Cells of this side, in inches, have lines between them; in smaller ones there would be nothing but lines."""


def misclassified(model: QuantizedModel, data: Dataset):
    """Test samples with "actual → predicted", the surest first; None for vectors, and where all are right."""
    shape = data.input_shape
    if len(shape) != 3 or data.encoding is not Encoding.UINT8:
        return None
    x, y = data.test.x, data.test.y
    logits = model.run(x)
    predicted = logits.argmax(axis=1)
    wrong = np.flatnonzero(predicted != y)
    if not len(wrong):
        return None
    # how much larger the wrong answer's logit is than the right one's
    lead = logits[wrong, predicted[wrong]].astype(np.int64) - logits[wrong, y[wrong]]
    chosen = wrong[np.argsort(-lead, kind="stable")][:SAMPLES_MAX]
    is_series = shape[1] == 1
    labels = shown_labels(data.labels)
    columns = min(len(chosen), 4 if is_series else 10 if max(map(len, labels)) <= 4 else 5)
    rows = -(-len(chosen) // columns)
    tile = WIDTH / (4 if is_series else max(columns, 6))
    height = tile * 0.6 if is_series else 0.93 * tile * min(shape[0] / shape[1], ASPECT_MAX) + 0.24
    figure = new_figure(max(MIN_WIDTH, tile * columns), rows * height + (0.8 if is_series else 0.4))
    axes = figure.subplots(rows, columns, squeeze=False, sharex=is_series, sharey=is_series).ravel()
    for axis, index in zip(axes, chosen, strict=False):
        _sample(axis, x[index].reshape(shape))
        axis.set_title(f"{labels[y[index]]} → {labels[predicted[index]]}", size=9, loc="center", pad=3)
    for axis in axes[len(chosen) :]:
        axis.set_visible(False)
    rest = "" if len(chosen) == len(wrong) else f", here the {len(chosen)} surest"
    title = f"{len(wrong)} of {len(y)} test samples are misclassified{rest}: actual → predicted"
    figure.suptitle(title, x=0.01, ha="left", size=11)
    if is_series:
        names = data.columns or tuple(f"channel {number}" for number in range(1, shape[2] + 1))
        figure.supxlabel("time, samples", size=9)
        figure.supylabel("input, 0 to 255", size=9)
        lines = axes[0].get_lines()[:CHANNELS_NAMED]
        figure.legend(lines, shown_labels(names)[: len(lines)], loc="outside upper right", ncols=len(lines), fontsize=9)
    return figure


def _sample(axis, values: np.ndarray) -> None:
    """An image, or a time series with one line per channel."""
    if values.shape[1] == 1:
        for channel in range(values.shape[2]):
            axis.plot(values[:, 0, channel], color=LINES[channel % len(LINES)], linewidth=1.2)
        axis.set_ylim(-4, 259)
        axis.set_yticks([0, 128, 255])
        axis.tick_params(labelsize=8)
        return
    image = values if values.shape[2] == 3 else values.mean(axis=2)
    axis.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set(visible=True, linewidth=0.5, color=GREY)


def first_weights(model: QuantizedModel, columns: tuple[str, ...] = ()):
    """The first layer with weights: +1 white, -1 black, 0 grey; one tile per neuron, or a matrix for plain vectors."""
    index, layer = next((index, layer) for index, layer in enumerate(model.layers) if hasattr(layer, "weights"))
    shape = model.inputs_of(index)[0].shape
    kind = {Dense: "neurons", Conv2D: "kernels", DepthwiseConv2D: "kernels"}[type(layer)]
    planes = _planes(layer, shape)
    count = min(len(planes), TILES_MAX, max(1, WEIGHTS_MAX // planes[0].size))
    shown = str(count) if count == len(planes) else f"first {count} of {len(planes)}"
    signs = "white +1, black −1" + (", grey 0" if layer.ternary else "")
    title = f"layer {index}: {shown} {kind}{_what(layer, shape)}; {signs}"
    names = shown_labels(model.labels) if index == len(model.layers) - 1 else None
    if isinstance(layer, Dense) and len(shape) == 1:
        return _matrix(planes[:count, 0], title, columns if index == 0 and len(columns) == shape[0] else (), names)
    return _mosaic(planes[:count], title, names)


def _what(layer, shape: Shape) -> str:
    """What a tile shows, in words."""
    if len(shape) == 3 and shape[1] == 1:
        return ", time →, one row per channel"
    size = shape[:2] if isinstance(layer, Dense) else layer.weights.shape[1:3]
    words = f" of {size[0]}×{size[1]}" if len(size) == 2 else ""
    is_deep = len(shape) == 3 and shape[2] > 1 and not isinstance(layer, DepthwiseConv2D)
    return words + (", channels side by side" if is_deep else "")


def _planes(layer, shape: Shape) -> np.ndarray:
    """Each neuron's weights as an image, int8 (neurons, height, width)."""
    neurons = layer.neurons
    if isinstance(layer, Dense):
        weights = layer.rows.reshape(neurons, *shape) if len(shape) == 3 else layer.rows[:, None, :, None]
    else:
        weights = layer.weights.reshape(neurons, *layer.weights.shape[1:3], -1)
    _, height, width, channels = weights.shape
    if len(shape) == 3 and shape[1] == 1 and width == 1:
        return weights[:, :, 0].transpose(0, 2, 1)
    if channels == 1:
        return weights[..., 0]
    # channels side by side, a column of background between them
    padded = np.full((neurons, height, channels, width + 1), BETWEEN, np.int8)
    padded[..., :width] = weights.transpose(0, 1, 3, 2)
    return padded.reshape(neurons, height, -1)[..., :-1]


def _mosaic(planes: np.ndarray, title: str, names: list[str] | None):
    """All tiles in one image, each weight a square of whole pixels if it is not too large for that."""
    count, height, width = planes.shape
    # wider than between a neuron's channels
    gap = max(1, round(0.12 * min(height, width))) + (2 if (planes == BETWEEN).any() else 0)
    head = max(2, round(0.3 * height)) if names else 0
    step_y, step_x = height + gap + head, width + gap
    columns = _columns(count, step_y / step_x)
    rows = -(-count // columns)
    canvas = np.empty((rows * step_y + gap, columns * step_x + gap, 3))
    canvas[:] = BACKGROUND
    corners = [(gap + head + step_y * (n // columns), gap + step_x * (n % columns)) for n in range(count)]
    for plane, (top, left) in zip(planes, corners, strict=True):
        tile = np.where(plane[..., None] == BETWEEN, BACKGROUND, (plane[..., None] + 1) / 2)
        canvas[top : top + height, left : left + width] = tile
    pixels = max(1, int(min(WIDTH / canvas.shape[1], TILE_MAX / min(height, width)) * DPI))
    pixels = min(pixels, PIXELS_MAX / max(canvas.shape))
    figure = new_figure(max(MIN_WIDTH, canvas.shape[1] * pixels / DPI), canvas.shape[0] * pixels / DPI + 0.35)
    figure.suptitle(title, x=0.01, ha="left", size=10)
    axis = figure.subplots()
    axis.imshow(canvas, interpolation="nearest")
    axis.set_anchor("W")
    axis.axis("off")
    for name, (top, left) in zip(names or (), corners, strict=False):
        axis.text(left + (width - 1) / 2, top - 1, name, ha="center", va="bottom", size=8)
    return figure


def _columns(count: int, tile_aspect: float) -> int:
    """Columns of a mosaic two to four times as wide as high: the number that leaves the fewest places empty."""
    ideal = min(count, max(1, math.sqrt((4 if count <= 64 else 2) * count * tile_aspect)))
    near = range(math.ceil(0.75 * ideal), min(count, round(1.5 * ideal)) + 1)
    return min(near, key=lambda columns: (-count % columns, abs(columns - ideal)))


def _matrix(rows: np.ndarray, title: str, columns: tuple[str, ...], names: list[str] | None):
    """Vectors' weights: neurons by inputs, the longer side horizontal."""
    from matplotlib.ticker import MaxNLocator

    neurons = ("class" if names else "neuron", names or [], rows.shape[0])
    inputs = ("input", shown_labels(columns) if len(columns) <= COLUMN_NAMES_MAX else [], rows.shape[1])
    is_wide = rows.shape[1] >= rows.shape[0]
    across, down = (inputs, neurons) if is_wide else (neurons, inputs)
    cell = min(0.25, 0.9 * WIDTH / across[2])
    line = max(cell, NAME_HEIGHT if down[1] else LINE_MIN)
    head = 0.07 * max(map(len, across[1]), default=0)
    side = 0.08 * max(map(len, down[1]), default=4)
    figure = new_figure(max(MIN_WIDTH, cell * across[2] + side + 0.6), line * down[2] + head + 1)
    figure.suptitle(title, x=0.01, ha="left", size=10)
    axis = figure.subplots()
    shown = rows if is_wide else rows.T
    axis.imshow(shown, cmap="gray", vmin=-1, vmax=1, interpolation="nearest", aspect=line / cell)
    axis.set(xlabel=across[0], ylabel=down[0])
    for ticks in (axis.xaxis, axis.yaxis):
        ticks.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
    if across[1]:
        axis.set_xticks(range(across[2]), across[1], rotation=90, size=8)
    if down[1]:
        axis.set_yticks(range(down[2]), down[1], size=8)
    if cell >= LINED_CELL:
        axis.set_xticks(np.arange(across[2] + 1) - 0.5, minor=True)
        axis.set_yticks(np.arange(down[2] + 1) - 0.5, minor=True)
        axis.grid(which="minor", color=BACKGROUND, linewidth=1.5)
        axis.tick_params(which="minor", length=0)
    axis.spines[:].set(visible=True)
    return figure
