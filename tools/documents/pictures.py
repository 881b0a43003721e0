"""How the documents' pictures are drawn: in the style of a run's pictures, with the same bytes each time."""

import io

from signbit.trainer.report.figure import STYLE, require_matplotlib

DPI = 110


def pyplot():
    """matplotlib without a display; raises SignbitError where the extra is missing."""
    require_matplotlib().use("Agg")
    from matplotlib import pyplot as plots

    plots.rcdefaults()
    plots.rcParams.update(STYLE)
    return plots


def picture(figure) -> bytes:
    """The figure with a palette of 256 colours, a third of the bytes, and without a note of what wrote it."""
    from PIL import Image

    full, small = io.BytesIO(), io.BytesIO()
    figure.savefig(full, dpi=DPI, format="png")
    pyplot().close(figure)
    with Image.open(full) as image:
        image.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(small, "png", optimize=True)
    return small.getvalue()
