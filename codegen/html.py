"""What the project's HTML pages share: a strict environment, one look, and the first layer's weights."""

import base64
import hashlib
import json
import re
from functools import cache
from importlib import resources

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from jinja2.filters import do_mark_safe as marked_safe

from signbit.codegen.plan import LayerPlan
from signbit.codegen.report import shape_text
from signbit.qmodel.layers import Dense, Weighted

COMMENT = re.compile(r"^\s*/\*(?s:.*?)\*/$|(?:^|\s)\s*// .*$", re.MULTILINE)
MARGIN = re.compile(r"^\s+", re.MULTILINE)
SCRIPT_BREAKS = re.compile(r"(?<=[{(\[,;])\n|\n(?=[}\])])")
"""Line breaks that end no statement."""
CSS_BLANKS = re.compile(r"([{};:,])\s+| (?={)")
NEURONS_MAX = 64
"""Neurons whose weights are shown."""


@cache
def environment() -> Environment:
    """Text is escaped unless it is marked safe."""
    made = Environment(
        loader=PackageLoader("signbit.codegen"), undefined=StrictUndefined, autoescape=True, trim_blocks=True
    )
    made.filters |= {"shape": shape_text, "number": "{:,.0f}".format}
    return made


def source(suffix: str, *names: str) -> str:
    """Scripts (.js) or styles (.css) of templates/page, one after the other, without comments and needless blanks."""
    folder = resources.files("signbit.codegen") / "templates" / "page"
    paths = [folder / (name + suffix) for name in names]
    text = "".join(path.read_text() for path in paths if path.is_file())
    text = MARGIN.sub("", COMMENT.sub("", text))
    return marked_safe(CSS_BLANKS.sub(r"\1", text) if suffix == ".css" else SCRIPT_BREAKS.sub("", text))


def hash_source(text: str) -> str:
    """The source expression of a content security policy that allows an inline script or style."""
    digest = hashlib.sha256(text.encode()).digest()
    return marked_safe(f"'sha256-{base64.b64encode(digest).decode()}'")


def json_text(value: dict) -> str:
    """JSON for a script element, which nothing in it can end: texts are the user's."""
    return marked_safe(json.dumps(value, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c"))


def first_weights(layer: LayerPlan) -> np.ndarray | None:
    """-1, 0 and +1 of the first neurons as pictures, (neurons, height, width); None where there are no weights.

    Of an image's channels the first is shown; windows of a time series have a row for each channel.
    """
    if not isinstance(layer.layer, Weighted):
        return None
    weights = layer.layer.weights[:NEURONS_MAX].astype(int)
    if isinstance(layer.layer, Dense):
        shape = layer.inputs[0].shape
        weights = weights.reshape(len(weights), *(shape if len(shape) == 3 else (1, *shape, 1)))
    if weights.ndim < 4:
        return weights
    return weights[:, :, 0].swapaxes(1, 2) if weights.shape[2] == 1 else weights[..., 0]
