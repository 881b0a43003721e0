"""What passes from layer to layer: how values are laid out in memory, and the range they are proved to stay in."""

from dataclasses import dataclass
from enum import Enum

import numpy as np

from signbit.qmodel import integer

Shape = tuple[int, ...]
WORD_BYTES = 4
NIBBLES_A_WORD = 8
NIBBLE_MAX = 15


def words_of(size_bytes: int) -> int:
    """Words that hold so many bytes."""
    return -(-size_bytes // WORD_BYTES)


class Encoding(Enum):
    """How values are laid out in memory.  The text names one in an error."""

    UINT8 = "8-bit values"
    """One byte per value."""
    BIT = "one-bit values"
    """+1 and -1, the sign bits of each pixel's channels packed into words of their own -- SPEC 5."""
    INT32 = "logits"
    """One word per value."""
    NIBBLE = "values two a byte"
    """Values of at most 15 as a device may keep them, the rows of an image in words of their own -- SPEC 4."""


@dataclass(frozen=True)
class Value:
    """The model's input, or a layer's output: `shape` without the batch, every number in `low`..`high`.

    In Python it is an array (batch, *shape) of uint8, of int8 holding +1 and -1, or of int32.
    """

    shape: Shape
    encoding: Encoding
    low: int
    high: int

    @property
    def size(self) -> int:
        return size_of(self.shape)

    @property
    def size_bytes(self) -> int:
        """Bytes in a device's memory."""
        if self.encoding is Encoding.BIT:
            return WORD_BYTES * size_of(self.shape[:-1]) * integer.words_for(self.shape[-1])
        if self.encoding is Encoding.NIBBLE:
            return WORD_BYTES * self.shape[0] * self.row_words
        return self.size if self.encoding is Encoding.UINT8 else WORD_BYTES * self.size

    @property
    def row_words(self) -> int:
        """Words of a row of an image whose values lie two a byte."""
        return -(-size_of(self.shape[1:]) // NIBBLES_A_WORD)

    @property
    def outside(self) -> int:
        """What a pixel of padding around the image is -- SPEC 3."""
        return -1 if self.encoding is Encoding.BIT else 0

    def packed(self, array: np.ndarray) -> np.ndarray:
        """`array` as it lies in a device's memory: one-bit values become uint32 (batch, ..., words)."""
        return integer.pack_last_axis(array) if self.encoding is Encoding.BIT else array

    def to_bytes(self, array: np.ndarray) -> np.ndarray:
        """`array` as the bytes that a caller passes to a device, uint8 (batch, size_bytes), little-endian."""
        packed = self.packed(array).reshape(len(array), -1)
        return packed.astype(packed.dtype.newbyteorder("<")).view(np.uint8)

    def from_bytes(self, octets: np.ndarray) -> np.ndarray:
        """The array (batch, *shape) of a caller's bytes; bits after a pixel's last channel are ignored -- SPEC 5."""
        if self.encoding is not Encoding.BIT:
            return octets.reshape(len(octets), *self.shape)
        words = np.ascontiguousarray(octets).reshape(len(octets) * size_of(self.shape[:-1]), -1).view("<u4")
        return integer.unpack_bits(words, self.shape[-1]).reshape(len(octets), *self.shape)


def size_of(shape: Shape) -> int:
    """Number of values in a shape."""
    return int(np.prod(shape, dtype=np.int64))
