"""How a table of text is written: what separates its cells, its decimal sign, whether its first row names columns."""

import csv
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

BLANK = " "
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars", BLANK: "blanks"}
MISSING = frozenset(("", "na", "n/a", "nan", "null", "none", "?"))
DECIMAL_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]+([eE][+-]?[0-9]+)?", re.ASCII)
GROUPED_BY_COMMAS = re.compile(r"[+-]?[0-9]{1,3}(,[0-9]{3})*,[0-9]{3}(\.[0-9]+|,[0-9]{3})", re.ASCII)
"""1,234.5 and 1,234,567; but 1,234 may be meant with a decimal comma."""
GROUPED_BY_POINTS = re.compile(r"[+-]?[0-9]{1,3}(\.[0-9]{3})+(,[0-9]+)?", re.ASCII)
"""Where the decimal sign is a comma."""
GROUPED_BY_SIGNS = re.compile(r"[+-]?[0-9]{1,3}([\u00a0\u202f ’'][0-9]{3})+([.,][0-9]+)?")
"""By blanks of three kinds or apostrophes, whatever the decimal sign is."""
GROUP_SIGNS = dict.fromkeys(map(ord, "\u00a0\u202f ’'"))
MINUS = "\u2212"
"""As spreadsheets and tables for print have it."""


@dataclass(frozen=True)
class Dialect:
    separator: str
    decimal: str

    def rows(self, lines: Iterable[str]) -> Iterator[list[str]]:
        """Cells of each line, without blanks around them; [] for an empty line.  Raises csv.Error."""
        if self.separator == BLANK:
            # runs of blanks and tabs separate
            lines = (line.strip().replace("\t", BLANK) for line in lines)
        reader = csv.reader(lines, delimiter=self.separator, strict=True, skipinitialspace=True)
        return ([cell.strip() for cell in row] for row in reader)

    def number(self, text: str) -> float:
        """NaN for what is not a number, or not finite.  Thousands may be in groups if that can mean nothing else."""
        text = text.replace(MINUS, "-")
        if GROUPED_BY_SIGNS.fullmatch(text):
            text = text.translate(GROUP_SIGNS)
        if self.decimal == ".":
            return number(text.replace(",", "") if GROUPED_BY_COMMAS.fullmatch(text) else text)
        if GROUPED_BY_POINTS.fullmatch(text):
            text = text.replace(".", "")
        elif "." in text:
            return math.nan
        return number(text.replace(",", ".") if DECIMAL_COMMA.fullmatch(text) else text)


def number(text: str) -> float:
    """The number that a text is with a decimal point, else NaN; float() would take "1_0" and "inf" too."""
    try:
        value = math.nan if "_" in text else float(text)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def is_number(text: str) -> bool:
    return not math.isnan(number(text))


def guess(sample: Sequence[str], separator: str | None = None, decimal: str | None = None) -> Dialect:
    """The dialect of a table that begins with the lines of `sample`; what is given is kept.

    The separator is the one that gives most rows the same number of cells, more than one, and among those that do
    so equally well the one whose cells are numbers most often.  A comma is decimal where numbers have one and none has
    a point.
    """
    found: list[tuple[tuple, Dialect]] = []
    for order, candidate in enumerate(SEPARATORS if separator is None else (separator,)):
        plain, with_commas = Dialect(candidate, decimal or "."), Dialect(candidate, ",")
        rows = rows_of(plain, sample)
        if not rows or max(map(len, rows)) < 2:
            continue
        widths = Counter(map(len, rows))
        width, count = max(widths.items(), key=lambda item: (item[1], item[0]))
        cells = list(chain.from_iterable(rows[1:] or rows))
        commas = sum("," in cell and not math.isnan(with_commas.number(cell)) for cell in cells)
        # the first row may name the columns
        points = sum("." in cell and is_number(cell) for cell in cells)
        dialect = Dialect(candidate, decimal or ("," if candidate != "," and commas and not points else "."))
        numbers = sum(not math.isnan(dialect.number(cell)) for cell in cells)
        agreement = count / len(rows) if width > 1 else 0
        # dates and names contain blanks too
        is_sure = agreement == 1 and (candidate != BLANK or numbers > 0)
        found.append(((is_sure, agreement, numbers / max(len(cells), 1), -order), dialect))
    if not found:
        return Dialect(separator or ",", decimal or ".")
    return max(found, key=lambda item: item[0])[1]


def rows_of(dialect: Dialect, sample: Sequence[str]) -> list[list[str]] | None:
    """Rows that are not empty; None where the lines can't be read that way."""
    try:
        return [row for row in dialect.rows(sample) if any(row)]
    except csv.Error:
        return None
