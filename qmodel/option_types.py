"""What an option takes: from a word of a command line, from Python, and as words again."""

import argparse
import math
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from numbers import Real
from typing import Any

import numpy as np


@dataclass(frozen=True)
class OptionType:
    """Values of one kind, which are of Python's own types."""

    says: str
    """What a value must be."""
    allows: Callable[[Any], bool]
    metavar: str | None = None
    """What help texts call a value; None for options without one."""
    read: Callable[[str], Any] = str
    """The value that a word means; raises ValueError if it means none."""
    texts: Callable[[Any], Sequence[str]] = lambda value: [str(value)]
    """The words that mean a value."""
    gather: Callable[[list], Any] | None = None
    """The value that those of an option which may be repeated make."""

    def argument(self) -> dict:
        """What argparse has to know."""
        if self.metavar is None:
            return {"action": "store_true", "default": None}
        return {"type": self._convert, "metavar": self.metavar, "action": "append" if self.gather else "store"}

    def value(self, found):
        """The value of what argparse found."""
        return found if self.gather is None else self.gather(found)

    def words(self, flag: str, value) -> list[str]:
        """The words of a command line that give the option this value."""
        if self.metavar is None:
            return [flag] if value else []
        return [word for text in self.texts(value) for word in (flag, text)]

    def _convert(self, word: str):
        try:
            value = self.read(word)
        except ValueError:
            value = None
        if not self.allows(value):
            raise argparse.ArgumentTypeError(f"{word!r} is not {self.says}")
        return value


def text(metavar: str) -> OptionType:
    return OptionType("text", lambda value: isinstance(value, str), metavar)


def choice(choices: Collection[str]) -> OptionType:
    says = f"one of {', '.join(choices)}"
    return OptionType(says, lambda value: isinstance(value, str) and value in choices, f"{{{','.join(choices)}}}")


def counted(metavar: str, kinds: dict[str, tuple[int, int] | None]) -> OptionType:
    """One of `kinds`; some take a whole number after a colon, from the least to the most that `kinds` has for them."""
    says = "one of " + ", ".join(f"{kind}[:{span[0]}..{span[1]}]" if span else kind for kind, span in kinds.items())

    def allows(value) -> bool:
        kind, colon, count = value.partition(":") if isinstance(value, str) else ("", "", "")
        span = kinds.get(kind)
        if span is None or not colon:
            return value in kinds
        return count.isascii() and count.isdigit() and span[0] <= int(count) <= span[1]

    return OptionType(says, allows, metavar)


def parametrized(metavar: str, kinds: dict[str, dict[str, tuple[int, int]]]) -> OptionType:
    """One of `kinds`, some with whole numbers of a name, a least and a most: bands:count=40,width=3."""
    says = "one of " + ", ".join(
        f"{kind}[:{','.join(f'{name}={low}..{high}' for name, (low, high) in spans.items())}]" if spans else kind
        for kind, spans in kinds.items()
    )

    def allows(value) -> bool:
        kind, colon, numbers = value.partition(":") if isinstance(value, str) else ("", "", "")
        if kind not in kinds or not colon:
            return value in kinds
        pairs = [part.partition("=") for part in numbers.split(",")]
        return len({name for name, _, _ in pairs}) == len(pairs) and all(
            name in kinds[kind]
            and count.isascii()
            and count.isdigit()
            and kinds[kind][name][0] <= int(count[:12]) <= kinds[kind][name][1]
            for name, _, count in pairs
        )

    return OptionType(says, allows, metavar)


def parameters(value: str) -> tuple[str, dict[str, int]]:
    """The kind and the numbers of a value that `parametrized` allows."""
    kind, _, numbers = value.partition(":")
    pairs = (part.partition("=") for part in numbers.split(",") if part)
    return kind, {name: int(count) for name, _, count in pairs}


def pattern() -> OptionType:
    """A regular expression whose search takes no longer than the cube of a name's length, whoever wrote it."""

    def allows(value) -> bool:
        if not isinstance(value, str) or len(value) > PATTERN_MAX or REPEATED_GROUP.search(value):
            return False
        if len(REPETITION.findall(value)) > REPETITIONS_MAX:
            return False
        try:
            return bool(re.compile(value))
        except (re.error, OverflowError, RecursionError):
            return False

    says = (
        f"a regular expression of at most {PATTERN_MAX} characters with at most {REPETITIONS_MAX} repetitions "
        "(* + ? {}), none of them of a group"
    )
    return OptionType(says, allows, "REGEX")


PATTERN_MAX, REPETITIONS_MAX = 100, 3
REPETITION, REPEATED_GROUP = re.compile(r"[*+?{]"), re.compile(r"\)[*+?{]")


def flag() -> OptionType:
    return OptionType("True or False", lambda value: isinstance(value, bool))


def whole(low: int, high: int = 2**31 - 1, metavar: str = "N") -> OptionType:
    """Whole numbers from `low` to `high`."""
    says = f"a whole number from {low} to {high}"
    return OptionType(says, lambda value: type(value) is int and low <= value <= high, metavar, _read_whole)


def number(metavar: str, low: float, high: float = math.inf, ends: str = "[]") -> OptionType:
    """Finite numbers from `low` to `high`; a parenthesis in `ends` leaves that end out."""

    def allows(value) -> bool:
        if not isinstance(value, Real) or isinstance(value, bool) or not low <= value <= high:
            return False
        return math.isfinite(value) and (value != low or ends[0] == "[") and (value != high or ends[1] == "]")

    above = "from" if ends[0] == "[" else "above"
    until = "" if high == math.inf else f" to {high:g}" if ends[1] == "]" else f" to below {high:g}"
    return OptionType(f"a number {above} {low:g}{until}", allows, metavar, float)


def size_bytes() -> OptionType:
    """Bytes, with K for KiB if wanted."""
    says = "a number of bytes such as 3000 or 16K"
    return OptionType(says, lambda value: type(value) is int and value >= 0, "BYTES", _read_bytes)


def share(metavar: str, ends: str = "[)") -> OptionType:
    """A number from 0 to 1, which a word may also give in per cent: 0.05 or 5%."""
    plain = number(metavar, 0, 1, ends)
    return replace(plain, says=f"{plain.says}, or per cent such as 5%", read=_read_share)


def joined(item: OptionType, separator: str, least: int, most: int) -> OptionType:
    """A tuple of `least` to `most` values in one word, 64,32 or 28x28, which the item's metavar shows whole."""
    return OptionType(
        f"{item.metavar}, each {item.says}" + ("" if least == most else f", at most {most} of them"),
        lambda value: _is_tuple_of(item, value) and least <= len(value) <= most,
        item.metavar,
        lambda word: tuple(map(item.read, word.split(separator))),
        lambda value: [separator.join(chain(*map(item.texts, value)))] if value else [],
    )


def repeated(item: OptionType) -> OptionType:
    """A tuple of values, one each time that the option is given."""
    return OptionType(
        f"a list, each {item.says}",
        lambda value: _is_tuple_of(item, value),
        item.metavar,
        lambda word: (item.read(word),),
        lambda value: [*chain(*map(item.texts, value))],
        lambda found: tuple(chain(*found)),
    )


def keyed(key: str, item: OptionType) -> OptionType:
    """A dict, one value each time that the option is given; that of the key "" is for all without their own."""

    def read(word: str) -> dict:
        name, _, value = word.rpartition("=")
        return {name: item.read(value)}

    def allows(value) -> bool:
        return isinstance(value, dict) and all(type(name) is str and item.allows(one) for name, one in value.items())

    return OptionType(
        f"{item.says}, alone or after {key}=",
        allows,
        f"[{key}=]{item.metavar}",
        read,
        lambda value: [f"{name}={text}" if name else text for name, one in value.items() for text in item.texts(one)],
        lambda found: {name: one for entry in found for name, one in entry.items()},
    )


def plain(value):
    """A value in Python's own types, which are all that the JSON of a file takes; lists and arrays are tuples."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    return tuple(map(plain, value)) if isinstance(value, list | tuple | np.ndarray) else value


def _read_whole(word: str) -> int:
    # int() would take "1_0" and other scripts' digits
    if not (word.isascii() and word.isdigit() and len(word) <= 20):
        raise ValueError
    return int(word)


def _read_bytes(word: str) -> int:
    number, unit = (word[:-1], 1024) if word[-1:] in ("k", "K") else (word, 1)
    return _read_whole(number) * unit


def _read_share(word: str) -> float:
    return float(f"{word[:-1]}e-2" if word.endswith("%") else word)


def _is_tuple_of(item: OptionType, value) -> bool:
    return isinstance(value, tuple) and all(map(item.allows, value))
