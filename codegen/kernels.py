"""The table of kernels: which layer, on which target, by which template, with which weights in flash."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from qmodel import integer
from qmodel.layers import Dense, Layer


@dataclass(frozen=True)
class Kernel:
    """One way to compute a kind of layer.

    `pack(layer)` gives the weights in the order in which the kernel reads them, uint32 words.  The template
    holds two macros: `definition(plan)`, the C functions, and `call(plan, layer)`.
    """

    name: str
    layer: type[Layer]
    targets: frozenset[str]
    template: str
    pack: Callable[[Layer], np.ndarray]


KERNELS = (
    Kernel(
        name="dense_rows",
        layer=Dense,
        targets=frozenset({"portable"}),
        template="kernels/dense_rows.c.j2",
        pack=lambda layer: integer.pack_bits(layer.weights).reshape(-1),
    ),
)

TARGETS = tuple(sorted(set().union(*(kernel.targets for kernel in KERNELS))))


def choose(layer: Layer, target: str) -> Kernel:
    """The kernel for `layer` on `target`."""
    return next(kernel for kernel in KERNELS if kernel.layer is type(layer) and target in kernel.targets)
