"""Small files of own data for the tests."""

from pathlib import Path

import numpy as np

CLASSES_OF_60 = np.arange(60) % 3


def csv_text(rows: int = 60, classes=("nut", "bolt", "nail"), header: str = "width,height,kind") -> str:
    """A table of whole numbers with the class in the last column."""
    lines = [f"{20 * (row % 3) + row % 7},{-row % 50},{classes[row % len(classes)]}" for row in range(rows)]
    return "\n".join([header, *lines]) + "\n"


def save_npz(folder: Path, **arrays: np.ndarray) -> Path:
    path = folder / "set.npz"
    np.savez(path, **arrays)
    return path


def idx(array: np.ndarray, magic: int = 0x08) -> bytes:
    """An IDX file's content."""
    header = bytes((0, 0, magic, array.ndim)) + b"".join(side.to_bytes(4, "big") for side in array.shape)
    return header + array.tobytes()
