"""How the documents' pictures are drawn: one style, one palette, the same bytes each time."""

import io

from qmodel.errors import SignbitError

DPI = 110
INK, BLUE, ORANGE, GREEN, PURPLE = "#222222", "#0072b2", "#d55e00", "#009e73", "#cc79a7"
"""Of Okabe and Ito's palette: different to the colour-blind; blue and vermilion also in grey."""
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.edgecolor": "#888888",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "figure.facecolor": "white",
}


def pyplot():
    """matplotlib without a display; raises SignbitError where the extra is missing."""
    try:
        import matplotlib
    except ImportError:
        raise SignbitError('the pictures need matplotlib; pip install "signbit[plot]"') from None
    matplotlib.use("Agg")
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
