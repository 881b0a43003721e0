"""Arrays that are used again in every training step: fresh memory costs a page fault per 4 KiB."""

import numpy as np


class Buffers:
    def __init__(self):
        self._arrays: dict[str, np.ndarray] = {}

    def take(self, name: str, shape: tuple[int, ...], dtype, reuse: bool = True) -> np.ndarray:
        """An uninitialized array; with `reuse` the same one again for the same name, shape and dtype."""
        if not reuse:
            return np.empty(shape, dtype)
        array = self._arrays.get(name)
        if array is None or array.shape != shape or array.dtype != dtype:
            array = self._arrays[name] = np.empty(shape, dtype)
        return array
