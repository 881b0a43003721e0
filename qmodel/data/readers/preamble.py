"""What may be above a table of text: a spreadsheet's line `sep=;`, and comments, the last of which may be a header."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from signbit.qmodel.data.readers.dialect import Dialect, is_number, rows_of

SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
COMMENT_SIGNS = ("#", "%", "//")


@dataclass(frozen=True)
class Preamble:
    """The first `lines` of a file, empty ones included; `comments` are those without their sign."""

    lines: int
    comments: tuple[str, ...]
    separator: str | None

    @classmethod
    def of(cls, sample: Sequence[str]) -> "Preamble":
        """The preamble of a file that begins with the lines of `sample`."""
        lines, comments, separator = 0, [], None
        for line in sample:
            if match := SEPARATOR_LINE.fullmatch(line):
                separator = match[1]
            elif line.startswith(COMMENT_SIGNS):
                comments.append(line.lstrip("#%/ "))
            elif line.strip():
                break
            lines += 1
        return cls(lines, tuple(comments), separator)

    def header(self, dialect: Dialect, below: Sequence[str]) -> str | None:
        """The last comment if it has as many cells as the rows `below`, the first of which is not a header itself."""
        names, rows = (rows_of(dialect, lines) for lines in (self.comments[-1:], below))
        if not names or not rows or not len(names[0]) == len(rows[0]) > 1:
            return None
        has_names = not any(map(is_number, names[0])) and any(map(is_number, rows[0]))
        return self.comments[-1] if has_names else None
