"""A table in Parquet or Feather, by way of PyArrow."""

from collections.abc import Iterator
from pathlib import Path

from signbit.qmodel.data.readers.loading import LoadingOptions
from signbit.qmodel.data.readers.samples import BYTES_MAX
from signbit.qmodel.data.readers.source import TEXT_OPTIONS, Row, Source
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.untrusted import read_file, shown

SUFFIXES = (".parquet", ".feather")
NUMBERS_MAX = BYTES_MAX // 8
BATCH_ROWS = 4096


def read_arrow(path: Path, options: LoadingOptions) -> Source:
    """Columns of numbers, texts and booleans; rows count from 1."""
    options.refuse(f"a {path.suffix}", *(name for name in options.given() if name not in TEXT_OPTIONS))
    try:
        import pyarrow as arrow
        from pyarrow import feather, parquet
    except ImportError:
        raise SignbitError("reading this needs PyArrow; install it with: pip install 'signbit[tables]'") from None
    content = arrow.BufferReader(read_file(path, BYTES_MAX))
    try:
        if path.suffix.lower() == ".feather":
            table = feather.read_table(content)
            names, count, batches = table.column_names, table.num_rows, table.to_batches(BATCH_ROWS)
        else:
            file = parquet.ParquetFile(content)
            names, count, batches = file.schema_arrow.names, file.metadata.num_rows, file.iter_batches(BATCH_ROWS)
    except Exception as error:
        # PyArrow raises errors of a dozen kinds for a damaged file
        raise _damaged(path, error) from None
    if count * len(names) > NUMBERS_MAX:
        raise SignbitError(f"{path.name}: holds more than {NUMBERS_MAX:,} values; give a part of it")
    return Source(path.name, tuple(names), _rows(path, batches))


def _rows(path: Path, batches) -> Iterator[Row]:
    number = 0
    try:
        for batch in batches:
            # Arrow trusts a file's offsets, and would read anywhere
            batch.validate(full=True)
            for cells in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                number += 1
                yield Row(number, ["" if cell is None else str(cell).strip() for cell in cells])
    except Exception as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> SignbitError:
    return SignbitError(f"{path.name}: not readable as {path.suffix[1:]}, or damaged ({shown(error, 200)})")
