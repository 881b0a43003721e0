"""The only way that names and texts get into C."""

import re

from signbit.qmodel.errors import SignbitError

PREFIX_PATTERN = re.compile(r"[a-z][a-z0-9_]{0,30}", re.ASCII)
SAFE_IN_STRING = re.compile(r"[A-Za-z0-9 .,:;+=_()<>/*-]", re.ASCII)


def prefix_from(name: str) -> str:
    """The C prefix for a model's name: lower case, with '_' for '-'."""
    return check_prefix(name.lower().replace("-", "_"))


def check_prefix(prefix: str) -> str:
    """`prefix` itself, if every symbol can begin with it; raises SignbitError otherwise.

    Every symbol is the prefix, '_' and more, so that none can be a keyword, macro or function of the C library.
    """
    if not PREFIX_PATTERN.fullmatch(prefix) or prefix.endswith("_"):
        raise SignbitError(
            f"prefix {prefix!r} must be 1 to 31 lower-case ASCII letters, digits or '_', "
            "starting with a letter and not ending with '_'"
        )
    return prefix


def string_literal(text: str) -> str:
    """`text` as a C string literal in UTF-8; all but harmless ASCII is written as octal escapes.

    Octal escapes end after three digits, so what follows can't be swallowed; quotes, backslashes, trigraphs,
    line ends and NUL never appear as themselves.
    """
    return '"' + "".join(_escape(octet) for octet in text.encode()) + '"'


def _escape(octet: int) -> str:
    character = chr(octet)
    return character if SAFE_IN_STRING.fullmatch(character) else f"\\{octet:03o}"
