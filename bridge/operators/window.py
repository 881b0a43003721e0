"""Kernels, strides and padding of convolutions and pools, as nodes have them."""

from collections.abc import Sequence

from signbit.bridge.graph.node import Node
from signbit.qmodel.errors import SignbitError

PLAIN_PADS = ("NOTSET", "VALID")
SAME_PADS = ("SAME_UPPER", "SAME_LOWER")


def strides_of(node: Node, sides: int) -> list[int]:
    strides = node.attribute("strides", [1] * sides)
    if len(strides) != sides or min(strides) < 1:
        raise SignbitError(f"has a stride below 1, or strides for other than {sides} axes")
    return strides


def pads_of(node: Node, image: Sequence[int], kernel: Sequence[int]) -> list[int]:
    """Rows and columns before the image, then those after it; `auto_pad` SAME keeps the image's size at stride 1.

    SAME adds max((ceil(side / stride) - 1) * stride + kernel - side, 0), the odd one at the end or at the beginning.
    """
    mode, sides = node.attribute("auto_pad", "NOTSET"), len(image)
    if mode in PLAIN_PADS:
        pads = node.attribute("pads", [0] * 2 * sides)
        if len(pads) != 2 * sides or min(pads) < 0:
            raise SignbitError(f"has pads below 0, or pads for other than {sides} axes")
        return pads
    if mode not in SAME_PADS:
        raise SignbitError(f"pads by auto_pad {mode!r}, which is unknown; export it with pads of their own")
    strides = strides_of(node, sides)
    totals = [
        max((-(-side // stride) - 1) * stride + width - side, 0)
        for side, stride, width in zip(image, strides, kernel, strict=True)
    ]
    less, more = ([total // 2 for total in totals], [-(-total // 2) for total in totals])
    return less + more if mode == "SAME_UPPER" else more + less
