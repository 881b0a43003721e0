"""What all pictures share: colours, style, and how a figure becomes a file."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from signbit.qmodel.errors import SignbitError

INK, GREY, PALE = "#222222", "#888888", "#dddddd"
BLUE, ORANGE, GREEN, PURPLE = "#0072b2", "#d55e00", "#009e73", "#cc79a7"
LINES = (BLUE, ORANGE, GREEN, PURPLE, "#56b4e9", "#e69f00", INK)
"""Okabe and Ito's palette (Color universal design, 2008): different to the colour-blind, too."""
DPI = 120
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.axisbelow": True,
    "grid.color": PALE,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "figure.facecolor": "white",
    # labels are the user's texts: a $ in them is a $
    "text.parse_math": False,
}


def require_matplotlib():
    """The module; raises SignbitError where the extra is missing."""
    try:
        import matplotlib
    except ImportError:
        raise SignbitError('pictures need matplotlib; pip install "signbit[plot]"') from None
    return matplotlib


@contextmanager
def style() -> Iterator[None]:
    """The project's style regardless of the user's matplotlibrc, which is restored afterwards."""
    matplotlib = require_matplotlib()
    with matplotlib.rc_context(), warnings.catch_warnings():
        # DejaVu Sans has no Chinese, for example; boxes are shown in its place
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


def new_figure(width: float, height: float):
    """An empty figure, sides in inches, that belongs to no window and no global state."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def png(figure) -> bytes:
    """The same figure and matplotlib give the same bytes."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=DPI, metadata={"Software": None})
    return stream.getvalue()
