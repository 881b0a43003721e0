"""Options that are declared once, as fields of a dataclass.

    epochs: int = option(Whole(1, 100_000), "passes over the training part", 10)

says what an option takes, what it is for and its default.  The argument of a command line, its help, the
check of a value from Python or from a file and the words that give a value again all follow from it.
"""

import argparse
import dataclasses
import reprlib
from dataclasses import MISSING, dataclass
from typing import Self

from signbit.qmodel.errors import SignbitError
from signbit.qmodel.option_types import OptionType, plain


@dataclass(frozen=True)
class Option:
    """One declaration."""

    type: OptionType
    help: str
    default: object
    """MISSING where other things decide."""
    default_text: str = ""
    """How the help shows it, where that is not the value."""
    flag: str | None = None
    """Where it is not the field's name."""
    idle: tuple[str, object] | None = None
    """Name and value of another option with which this one has no effect."""


def option(type: OptionType, help: str, default=MISSING, **more):
    """A field of `Options`, declared as in `Option`."""
    # dataclasses refuse a dict that all instances would share
    given = {"default_factory": dict} if default == {} else {"default": default}
    return dataclasses.field(**given, metadata={"option": Option(type, help, default, **more)})


@dataclass(frozen=True)
class Options:
    """Values of declared options, of which each is one that its option takes."""

    def __post_init__(self) -> None:
        """Raises SignbitError for values that can't be, or that don't go together."""
        for name, value in self.checked(vars(self)).items():
            object.__setattr__(self, name, value)
        for name in self.given():
            if (idle := self.declared()[name].idle) and getattr(self, idle[0]) == idle[1]:
                other = self.flag(idle[0])
                why = f"without {other}" if idle[1] is None else f"with {other} {idle[1]}"
                raise SignbitError(f"{self.flag(name)} means nothing {why}; leave it out")

    @classmethod
    def declared(cls) -> dict[str, Option]:
        return {item.name: item.metadata["option"] for item in dataclasses.fields(cls)}

    @classmethod
    def flag(cls, name: str) -> str:
        return cls.declared()[name].flag or f"--{name.replace('_', '-')}"

    @classmethod
    def help(cls, name: str) -> str:
        default = cls.default_text(name)
        return cls.declared()[name].help + (f" (default: {default})" if default else "")

    @classmethod
    def default_text(cls, name: str) -> str:
        """The default as help texts show it; nothing where leaving out the option does nothing."""
        declared = cls.declared()[name]
        return declared.default_text or value_text(cls.defaults().get(name))

    @classmethod
    def defaults(cls) -> dict:
        """The defaults of options that have one, by name."""
        return {name: item.default for name, item in cls.declared().items() if item.default is not MISSING}

    @classmethod
    def add_arguments(cls, parser, *names: str) -> None:
        """Add arguments for these options; the parser has None for one that is not given."""
        for name in names:
            argument = cls.declared()[name].type.argument()
            parser.add_argument(cls.flag(name), dest=name, help=cls.help(name).replace("%", "%%"), **argument)

    @classmethod
    def given_in(cls, arguments: argparse.Namespace) -> dict:
        """The values of the options that a command line gave."""
        found = {name: getattr(arguments, name, None) for name in cls.declared()}
        return {name: cls.declared()[name].type.value(one) for name, one in found.items() if one is not None}

    @classmethod
    def checked(cls, values: dict) -> dict:
        """The values in Python's own types; raises SignbitError for the first that its option refuses."""
        values = {name: plain(value) for name, value in values.items()}
        for name, value in values.items():
            declared = cls.declared()[name]
            if not (declared.type.allows(value) or (value is None and declared.default is None)):
                raise SignbitError(f"{name} is {reprlib.repr(value)}, but must be {declared.type.says}")
        return values

    def given(self) -> dict:
        """The values that are not the defaults."""
        defaults = self.defaults()
        return {name: value for name, value in vars(self).items() if name not in defaults or value != defaults[name]}

    def recorded(self) -> dict:
        """What files and command lines keep of the options."""
        return self.given()

    def words(self) -> list[str]:
        """The words of a command line that give these options again."""
        return [
            word
            for name, value in self.recorded().items()
            for word in self.declared()[name].type.words(self.flag(name), value)
        ]

    def refuse(self, what: str, *allowed: str) -> None:
        """Raises SignbitError if an option is given that means nothing for `what`."""
        for name in self.given():
            if name not in allowed:
                raise SignbitError(f"{self.flag(name)} means nothing for {what}; leave it out")

    def as_dict(self) -> dict:
        """`recorded` in plain JSON values."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in self.recorded().items()}

    @classmethod
    def from_dict(cls, values) -> Self:
        """`as_dict`'s inverse; raises SignbitError for values of a file that can't be understood."""
        try:
            if not isinstance(values, dict):
                raise SignbitError("they have no names")
            needed = cls.declared().keys() - cls.defaults().keys()
            if odd := (values.keys() - cls.declared().keys()) | (needed - values.keys()):
                raise SignbitError(f"{min(odd)} is missing or unknown")
            return cls(**values)
        except SignbitError as error:
            raise SignbitError(f"the file's options can't be understood, so it is damaged: {error}") from None


def value_text(value) -> str:
    """A default as help texts show it: 0 for 0.0, and nothing for one that is empty."""
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple):
        return ",".join(map(value_text, value))
    return str(value) if isinstance(value, int | str) and value is not False else ""
