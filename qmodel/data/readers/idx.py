"""Reader for IDX files, the format of MNIST: big-endian header, then unsigned bytes, often gzipped."""

import math
from pathlib import Path

import numpy as np

from signbit.qmodel.errors import SignbitError
from signbit.qmodel.untrusted import open_file

UNSIGNED_BYTE = 0x08
SIZE_BYTES_MAX = 1 << 30


def read_idx(path: Path, axes: int) -> np.ndarray:
    """The uint8 array of an IDX file with `axes` axes; raises SignbitError if it is anything else.

    Header: two zero bytes, the type (0x08), the number of axes, then one big-endian uint32 per axis.
    """
    with open_file(path, SIZE_BYTES_MAX + 1024) as stream:
        header = stream.read(4 + 4 * axes)
        if len(header) != 4 + 4 * axes or header[:4] != bytes((0, 0, UNSIGNED_BYTE, axes)):
            raise SignbitError(f"{path}: not an IDX file of unsigned bytes with {axes} axes (wrong magic number)")
        shape = tuple(int(side) for side in np.frombuffer(header, ">u4", offset=4))
        size_bytes = math.prod(shape)
        if size_bytes > SIZE_BYTES_MAX:
            raise SignbitError(f"{path}: its header says {size_bytes} bytes, more than {SIZE_BYTES_MAX}")
        data = stream.read(size_bytes + 1)
    if len(data) != size_bytes:
        relation = "longer" if len(data) > size_bytes else "shorter"
        raise SignbitError(f"{path}: {relation} than its header says ({size_bytes} bytes of data)")
    return np.frombuffer(data, np.uint8).reshape(shape)
