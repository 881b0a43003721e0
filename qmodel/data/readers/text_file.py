"""Lines of an untrusted text file."""

import codecs
import io
from collections.abc import Iterator
from pathlib import Path

from signbit.qmodel.data.readers.samples import BYTES_MAX
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.untrusted import open_file

LINE_CHARACTERS_MAX = 1 << 22
FORMATS = {
    b"PK\x03\x04": "a workbook or an archive; save its table as .csv",
    b"\xd0\xcf\x11\xe0": "a workbook; save its table as .csv",
    b"\x1f\x8b": "compressed; add .gz to its name",
    b"PAR1": "Parquet; call it .parquet",
}
"""What files that are no text begin with, and what to do with them."""
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def lines(path: Path) -> Iterator[str]:
    """Each line with its end, of UTF-8, or UTF-16 with a byte order mark, gzipped (.gz) or not."""
    try:
        with open_file(path, BYTES_MAX) as stream:
            for magic, what in FORMATS.items():
                if stream.peek(len(magic)).startswith(magic):
                    raise SignbitError(f"{path.name}: is {what}")
            encoding = "utf-16" if stream.peek(2)[:2] in UTF_16 else "utf-8-sig"
            text = io.TextIOWrapper(stream, encoding, newline="")
            number = 0
            while line := text.readline(LINE_CHARACTERS_MAX):
                number += 1
                if "\0" in line:
                    raise SignbitError(
                        f"{path.name}: line {number} has zero bytes in it; remove that line, or save the file as UTF-8"
                    )
                if len(line) == LINE_CHARACTERS_MAX:
                    raise SignbitError(f"{path.name}: has a line of {LINE_CHARACTERS_MAX:,} characters; is it a table?")
                yield line
    except UnicodeError:
        raise SignbitError(f"{path.name}: is not text in UTF-8; save it as UTF-8") from None
