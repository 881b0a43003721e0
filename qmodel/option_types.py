"""What an option takes: from a word of a command line, from Python, and as words again."""

import argparse
import math
import numbers
from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np


class OptionType(ABC):
    """Which values an option takes.  Its text is what a value must be."""

    @abstractmethod
    def __str__(self) -> str: ...

    @abstractmethod
    def allows(self, value) -> bool:
        """Whether an option may have a value, which is one of Python's own types."""

    def read(self, word: str):
        """The value that a word means; raises ValueError if it means none."""
        return word

    def plain(self, value):
        """A value in Python's own types: the JSON of a file takes no other numbers."""
        return value.item() if isinstance(value, np.generic) else value

    def text(self, value) -> str:
        return str(value)

    def words(self, flag: str, value) -> list[str]:
        """The words of a command line that give the option this value."""
        return [flag, self.text(value)]

    def argument(self) -> dict:
        """What argparse has to know; a type that doesn't say it otherwise has a `metavar`."""
        return {"type": self._convert, "metavar": self.metavar}

    def gather(self, found):
        """The value of what argparse found."""
        return found

    def _convert(self, word: str):
        try:
            value = self.read(word)
        except ValueError:
            value = None
        if not self.allows(value):
            raise argparse.ArgumentTypeError(f"{word!r} is not {self}")
        return value


@dataclass(frozen=True)
class Text(OptionType):
    metavar: str

    def __str__(self) -> str:
        return "text"

    def allows(self, value) -> bool:
        return isinstance(value, str)


@dataclass(frozen=True)
class Choice(OptionType):
    choices: Collection[str]

    def __str__(self) -> str:
        return f"one of {', '.join(self.choices)}"

    def allows(self, value) -> bool:
        return isinstance(value, str) and value in self.choices

    def argument(self) -> dict:
        return {"choices": tuple(self.choices)}


class Flag(OptionType):
    def __str__(self) -> str:
        return "True or False"

    def allows(self, value) -> bool:
        return isinstance(value, bool)

    def words(self, flag: str, value: bool) -> list[str]:
        return [flag] if value else []

    def argument(self) -> dict:
        return {"action": "store_true", "default": None}


@dataclass(frozen=True)
class Whole(OptionType):
    """Whole numbers from `low` to `high`."""

    low: int
    high: int
    metavar: str = "N"

    def __str__(self) -> str:
        return f"a whole number from {self.low} to {self.high}"

    def allows(self, value) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and self.low <= value <= self.high

    def read(self, word: str) -> int:
        # int() would take "1_0" and other scripts' digits
        if not (word.isascii() and word.isdigit() and len(word) <= 20):
            raise ValueError
        return int(word)


@dataclass(frozen=True)
class Number(OptionType):
    """Finite numbers from `low` to `high`; a parenthesis in `ends` leaves that end out."""

    metavar: str
    low: float
    high: float = math.inf
    ends: str = "[]"

    def __str__(self) -> str:
        low = f"{'from' if self.ends[0] == '[' else 'above'} {self.low:g}"
        high = f" to {'' if self.ends[1] == ']' else 'below '}{self.high:g}"
        return f"a number {low}{'' if self.high == math.inf else high}"

    def allows(self, value) -> bool:
        if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value):
            return False
        is_left_out = (value == self.low and self.ends[0] == "(") or (value == self.high and self.ends[1] == ")")
        return self.low <= value <= self.high and not is_left_out

    def read(self, word: str) -> float:
        return float(word)


@dataclass(frozen=True)
class Several(OptionType):
    """A tuple of values."""

    item: OptionType
    """Its metavar is what help texts call the whole."""

    @property
    def metavar(self) -> str:
        return self.item.metavar

    def allows(self, value) -> bool:
        return isinstance(value, tuple) and all(map(self.item.allows, value))

    def plain(self, value):
        return tuple(map(self.item.plain, value)) if isinstance(value, list | tuple | np.ndarray) else value


@dataclass(frozen=True)
class Joined(Several):
    """`least` to `most` values in one word: 64,32 or 28x28."""

    separator: str
    least: int
    most: int

    def __str__(self) -> str:
        most = "" if self.least == self.most else f", at most {self.most} of them"
        return f"{self.item.metavar}, each {self.item}{most}"

    def allows(self, value) -> bool:
        return super().allows(value) and self.least <= len(value) <= self.most

    def read(self, word: str) -> tuple:
        return tuple(map(self.item.read, word.split(self.separator)))

    def text(self, value: tuple) -> str:
        return self.separator.join(map(self.item.text, value))

    def words(self, flag: str, value: tuple) -> list[str]:
        return [flag, self.text(value)] if value else []


@dataclass(frozen=True)
class Repeated(Several):
    """A value each time that the option is given."""

    def __str__(self) -> str:
        return f"a list, each {self.item}"

    def words(self, flag: str, value: tuple) -> list[str]:
        return [word for item in value for word in self.item.words(flag, item)]

    def argument(self) -> dict:
        return {**self.item.argument(), "action": "append"}

    def gather(self, found: list) -> tuple:
        return tuple(found)


@dataclass(frozen=True)
class Keyed(OptionType):
    """A dict, a value each time that the option is given; the key "" is for all without one of their own."""

    key: str
    item: OptionType

    def __str__(self) -> str:
        return f"{self.item}, alone or after {self.key}="

    def allows(self, value) -> bool:
        return (
            isinstance(value, dict)
            and all(isinstance(key, str) for key in value)
            and all(map(self.item.allows, value.values()))
        )

    def read(self, word: str) -> dict:
        key, _, item = word.rpartition("=")
        return {key: self.item.read(item)}

    def plain(self, value):
        return {key: self.item.plain(item) for key, item in value.items()} if isinstance(value, dict) else value

    def words(self, flag: str, value: dict) -> list[str]:
        items = [f"{key}={self.item.text(item)}" if key else self.item.text(item) for key, item in value.items()]
        return [word for item in items for word in (flag, item)]

    def argument(self) -> dict:
        return {"type": self._convert, "metavar": f"[{self.key}=]{self.item.metavar}", "action": "append"}

    def gather(self, found: list) -> dict:
        return {key: item for entry in found for key, item in entry.items()}
