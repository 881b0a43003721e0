"""How own data are read: the options that a model keeps, so that its data can be read the same way again."""

import math
from dataclasses import dataclass, field, fields

from signbit.qmodel.errors import SignbitError

FOLDS = 5
"""Parts that cross-validation takes by turns as the test part."""
LSB_ALL = ""
"""Key of `lsb` for all columns without one of their own."""

WINDOW_MAX = 1 << 16
SIDE_MAX = 1 << 12


@dataclass(frozen=True)
class LoadingOptions:
    """What the user says about own data beside its path.  Columns are named, or counted from 1."""

    label_column: str | None = None
    """Of a .csv; the last by default."""
    group_column: str | None = None
    """Of a .csv: whose samples stay on one side of the split."""
    ignore_columns: tuple[str, ...] = ()
    """Of a .csv."""
    window: int | None = None
    """Rows of a time series that make an input."""
    stride: int | None = None
    """Rows from one window's beginning to the next's; `window` by default."""
    lsb: dict[str, float] = field(default_factory=dict)
    """What one count of a column is worth, in the column's unit."""
    resize: tuple[int, int] | None = None
    """Height and width that images are resized to."""
    grey: bool = False
    fold: int = 0
    """Which fifth of the samples is the test part, 0 to 4."""

    def __post_init__(self) -> None:
        if self.stride is not None and self.window is None:
            raise SignbitError("--stride is for windows; say their length with --window")
        for name, value, most in (("window", self.window, WINDOW_MAX), ("stride", self.stride, WINDOW_MAX)):
            if value is not None and not 1 <= value <= most:
                raise SignbitError(f"--{name} is {value}, but must be 1 to {most}")
        for column, value in self.lsb.items():
            if not 0 < value < math.inf:
                raise SignbitError(f"--lsb {lsb_text(column, value)}: what a count is worth must be a number above 0")
        if not 0 <= self.fold < FOLDS:
            raise SignbitError(f"--fold is {self.fold}, but must be 0 to {FOLDS - 1}")
        if self.resize is not None and not all(1 <= side <= SIDE_MAX for side in self.resize):
            raise SignbitError(f"--resize {_size_text(self.resize)}: sides must be 1 to {SIDE_MAX}")

    @property
    def step(self) -> int | None:
        """Rows from one window to the next."""
        return self.window if self.stride is None else self.stride

    def given(self) -> dict:
        """The options that are not at their default, by name."""
        return {item.name: getattr(self, item.name) for item in fields(self) if getattr(self, item.name) not in EMPTY}

    def words(self) -> list[str]:
        """The same as words of a command line."""
        words = []
        for name, value in self.given().items():
            option = f"--{name.replace('_', '-')}"
            match name:
                case "ignore_columns":
                    words += [word for column in value for word in ("--ignore-column", column)]
                case "lsb":
                    words += [word for item in value.items() for word in (option, lsb_text(*item))]
                case "resize":
                    words += [option, _size_text(value)]
                case "grey":
                    words.append(option)
                case _:
                    words += [option, str(value)]
        return words

    def refuse(self, what: str, *allowed: str) -> None:
        """Raises SignbitError if an option is given that means nothing for `what`."""
        for name in self.given():
            if name not in allowed:
                option = name.removesuffix("s") if name == "ignore_columns" else name
                raise SignbitError(f"--{option.replace('_', '-')} means nothing for {what}; leave it out")

    def as_dict(self) -> dict:
        """Plain JSON values, `from_dict`'s inverse."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in self.given().items()}

    @classmethod
    def from_dict(cls, values: dict) -> "LoadingOptions":
        """Options as a model file has them; raises SignbitError where they can't be understood."""
        checks = {
            "label_column": _is_text,
            "group_column": _is_text,
            "ignore_columns": lambda value: isinstance(value, list) and all(map(_is_text, value)),
            "window": _is_whole,
            "stride": _is_whole,
            "lsb": lambda value: isinstance(value, dict) and all(map(_is_number, value.values())),
            "resize": lambda value: isinstance(value, list) and len(value) == 2 and all(map(_is_whole, value)),
            "grey": lambda value: isinstance(value, bool),
            "fold": _is_whole,
        }
        for name, value in values.items():
            if name not in checks or not checks[name](value):
                raise SignbitError(f"the model's loading option {name!r} can't be understood; its file is damaged")
        return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})


EMPTY = (None, (), {}, False, 0)


def lsb_text(column: str, value: float) -> str:
    """`acc_x=6.1e-05`, or the number alone for all columns."""
    return repr(value) if column == LSB_ALL else f"{column}={value!r}"


def _size_text(size: tuple[int, int]) -> str:
    return "x".join(map(str, size))


def _is_text(value) -> bool:
    return isinstance(value, str)


def _is_whole(value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
