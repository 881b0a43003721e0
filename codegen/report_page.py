"""A plan as one self-contained HTML page: table, bars, the first layer's weights, and how the model was trained."""

import base64
import struct
import zlib
from dataclasses import dataclass

import numpy as np

from signbit.codegen.html import environment, first_weights, hash_source, source
from signbit.codegen.measure import Measured
from signbit.codegen.plan import LayerPlan, Plan
from signbit.codegen.run import RunRecord

CURVE_SIZE = 600, 200
NEGATIVE, NOTHING, POSITIVE = (178, 88, 22), (247, 247, 247), (33, 102, 172)
"""Brown, grey and blue: colour-blind readers can tell them apart, too."""


@dataclass(frozen=True)
class Bar:
    """One layer's part of a whole, in per cent."""

    label: str
    value: int
    percent: float


@dataclass(frozen=True)
class Curve:
    """Accuracy over epochs: `points` of an SVG polyline in CURVE_SIZE."""

    name: str
    points: str
    percent: float
    """At the chosen epoch."""


def page_text(plan: Plan, measured: Measured | None, run: RunRecord | None = None) -> str:
    """The page; `measured` adds what the compiler found, `run` the learning curves and the confusion matrix."""
    template = environment().get_template("page/report.html.j2")
    style = source(".css", "look", "report")
    instructions = [layer.cost.instructions for layer in plan.layers]
    return template.render(
        plan=plan,
        style=style,
        style_hash=hash_source(style),
        run=run,
        curves=_curves(run) if run else [],
        curve_size=CURVE_SIZE,
        lowest=f"{100 * _lowest(run):.0f}" if run else None,
        confusion=list(zip(plan.labels, run.confusion.tolist(), strict=True)) if run else [],
        accuracy=plan.accuracy and plan.accuracy.split(" of ")[0],
        measured=measured,
        work=_bars(plan, instructions if None not in instructions else [layer.job.macs for layer in plan.layers]),
        work_unit="MACs" if None in instructions else "instructions",
        bytes=_bars(plan, [layer.flash_bytes for layer in plan.layers]),
        pictures=_pictures(plan.layers[0]),
    )


def _bars(plan: Plan, values: list[float]) -> list[Bar]:
    total = max(1, sum(values))
    return [
        Bar(f"{layer.index} {layer.title}", round(value), 100 * value / total)
        for layer, value in zip(plan.layers, values, strict=True)
    ]


def _lowest(run: RunRecord) -> float:
    """Where the curves' axis begins: the lowest accuracy, rounded down to a tenth."""
    return np.floor(min(values.min() for values in run.accuracies.values()) * 9.999) / 10


def _curves(run: RunRecord) -> list[Curve]:
    width, height = CURVE_SIZE
    low = _lowest(run)
    found = []
    for name, values in run.accuracies.items():
        x = np.linspace(0, width, len(values)) if len(values) > 1 else [width / 2]
        y = height * (1 - values) / (1 - low)
        points = " ".join(f"{across:.1f},{down:.1f}" for across, down in zip(x, y, strict=True))
        chosen = values[min(max(run.chosen, 1), len(values)) - 1]
        found.append(Curve(name, points, 100 * chosen))
    return found


def _pictures(layer: LayerPlan) -> list[str]:
    """The weights of the first neurons as PNG data addresses; none where they are no pictures."""
    weights = first_weights(layer)
    if weights is None:
        return []
    colours = np.array([NEGATIVE, NOTHING, POSITIVE], np.uint8)[weights + 1]
    return [f"data:image/png;base64,{base64.b64encode(png(picture)).decode()}" for picture in colours]


def png(pixels: np.ndarray) -> bytes:
    """A PNG of `pixels`, uint8 (height, width, 3): RGB, 8 bits, no filter (ISO/IEC 15948)."""
    height, width, _ = pixels.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], axis=1)
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows.tobytes(), 9)),
        (b"IEND", b""),
    )
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body
