"""A table in Weka's format, .arff, by way of SciPy."""

import io
import math
from pathlib import Path

from signbit.qmodel.data.readers.loading import LoadingOptions
from signbit.qmodel.data.readers.source import TEXT_OPTIONS, Row, Source
from signbit.qmodel.data.readers.text_file import lines
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.untrusted import shown

SUFFIX = ".arff"


def read_arff(path: Path, options: LoadingOptions) -> Source:
    """Numeric and nominal attributes are columns; rows count from 1 below @data."""
    options.refuse(f"a {path.suffix}", *(name for name in options.given() if name not in TEXT_OPTIONS))
    try:
        from scipy.io import arff
    except ImportError:
        raise SignbitError("reading .arff needs SciPy; install it with: pip install 'signbit[tables]'") from None
    text = "".join(lines(path))
    try:
        data, meta = arff.loadarff(io.StringIO(text))
    except NotImplementedError as error:
        raise SignbitError(
            f"{path.name}: {shown(error, 200)}; leave out all but numeric and nominal attributes, or save it as .csv"
        ) from None
    except Exception as error:
        # SciPy raises errors of a dozen kinds for a file that is not ARFF
        raise SignbitError(f"{path.name}: not readable as ARFF ({shown(error, 200)}); save it as .csv") from None
    names = meta.names()
    rows = (Row(number, [_cell(row[name]) for name in names]) for number, row in enumerate(data, start=1))
    return Source(path.name, tuple(names), rows)


def _cell(value) -> str:
    if isinstance(value, bytes):
        return value.decode(errors="replace").strip()
    return "" if math.isnan(value) else repr(float(value))
