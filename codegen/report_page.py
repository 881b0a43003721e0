"""A plan as one self-contained HTML page: table, bars, and the first layer's weights as pictures."""

import base64
import struct
import zlib
from dataclasses import dataclass

import numpy as np

from signbit.codegen.html import environment, first_weights
from signbit.codegen.measure import Measured
from signbit.codegen.plan import LayerPlan, Plan

PICTURE_PIXELS = 84
NEGATIVE, NOTHING, POSITIVE = (178, 88, 22), (247, 247, 247), (33, 102, 172)
"""Brown, grey and blue: colour-blind readers can tell them apart, too."""


@dataclass(frozen=True)
class Bar:
    """One layer's part of a whole, in per cent."""

    label: str
    value: int
    percent: float


def page_text(plan: Plan, measured: Measured | None) -> str:
    """The page; `measured` adds what the compiler found."""
    template = environment().get_template("page/report.html.j2")
    instructions = [layer.cost.instructions for layer in plan.layers]
    return template.render(
        plan=plan,
        accuracy=plan.accuracy and plan.accuracy.split(" of ")[0],
        measured=measured,
        work=_bars(plan, instructions if None not in instructions else [layer.job.macs for layer in plan.layers]),
        work_unit="MACs" if None in instructions else "instructions",
        bytes=_bars(plan, [layer.flash_bytes for layer in plan.layers]),
        pictures=_pictures(plan.layers[0]),
        picture_pixels=PICTURE_PIXELS,
    )


def _bars(plan: Plan, values: list[float]) -> list[Bar]:
    total = max(1, sum(values))
    return [
        Bar(f"{layer.index} {layer.title}", round(value), 100 * value / total)
        for layer, value in zip(plan.layers, values, strict=True)
    ]


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
