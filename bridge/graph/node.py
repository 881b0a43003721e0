"""A node of the graph with its inputs, as an operator sees it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from signbit.bridge.graph.builder import Builder
from signbit.bridge.graph.tensor import Difference, Tensor, Unmappable
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.untrusted import shown

Known = Tensor | Difference | Unmappable | np.ndarray
"""What a name in the graph is known to be."""


@dataclass(frozen=True, eq=False)
class Node:
    """`inputs` are None where the node leaves them out; `names` are their names in the graph."""

    kind: str
    domain: str
    name: str
    inputs: tuple[Known | None, ...]
    names: tuple[str, ...]
    attributes: dict
    opset: int

    @property
    def place(self) -> str:
        return f"node {shown(self.name)} ({shown(self.kind)})"

    @property
    def is_constant(self) -> bool:
        return not any(isinstance(each, Tensor | Difference | Unmappable) for each in self.inputs)

    def attribute(self, name: str, default):
        """A number or text of the default's type, or a list of whole numbers."""
        value = self.attributes.get(name, default)
        if isinstance(value, int) and isinstance(default, float):
            value = float(value)
        if default is not None and not isinstance(value, type(default)):
            raise SignbitError(f"has an attribute {name} of another type than it must be")
        return value

    def tensor(self, index: int = 0) -> Tensor:
        """An input that depends on the graph's."""
        found = self._input(index)
        if not isinstance(found, Tensor):
            raise SignbitError(f"has a constant for its input {index}")
        return found

    def constant(self, index: int, default=None) -> np.ndarray:
        """An input that doesn't, as float64; `default` where it is left out."""
        found = self.inputs[index] if index < len(self.inputs) else None
        if found is None and default is not None:
            return np.asarray(default, np.float64)
        found = self._input(index)
        if isinstance(found, Tensor):
            raise SignbitError(f"computes its input {shown(self.names[index])} from the network's input")
        values = found.astype(np.float64)
        if np.isnan(values).any():
            raise SignbitError(f"has a constant that is not a number, {shown(self.names[index])}")
        return values

    def number(self, index: int, default: float | None = None) -> float:
        """A constant input of one number."""
        found = self.constant(index, default)
        if found.size != 1:
            raise SignbitError(f"has {found.size} numbers where it must have one for all channels")
        return float(found.reshape(()))

    def whole_numbers(self, index: int) -> list[int]:
        values = self.constant(index).reshape(-1)
        if np.isinf(values).any() or (values != np.rint(values)).any():
            raise SignbitError(f"has a constant of other than whole numbers, {shown(self.names[index])}")
        return [int(value) for value in values]

    def has(self, index: int) -> bool:
        return index < len(self.inputs) and self.inputs[index] is not None

    def _input(self, index: int) -> Known:
        if not self.has(index):
            raise SignbitError(f"has no input {index}")
        return self.inputs[index]


Operator = Callable[[Node, Builder], Known]
