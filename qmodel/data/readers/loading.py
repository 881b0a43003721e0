"""How own data are read: the options that a model keeps, so that its data can be read the same way again."""

from dataclasses import dataclass

from signbit.qmodel.option_types import choice, flag, joined, keyed, number, pattern, repeated, text, whole
from signbit.qmodel.options import Options, option

FOLDS = 5
"""Parts that cross-validation uses as the test part in turn."""
LSB_ALL = ""
"""Key of `lsb` for all columns without one of their own."""

WINDOW_MAX = 1 << 16
UNKNOWN_MAX = 1000
RATES_HZ = (1000, 192_000)
NOISE_FOLDERS, NO_NOISE = ("background_noise", "_background_noise_"), "none"
SIDE_MAX = 1 << 12


@dataclass(frozen=True)
class LoadingOptions(Options):
    """What the user says about own data besides its path.  Columns are named, or counted from 1."""

    label_column: str | None = option(text("COLUMN"), "the class", None, default_text="the last, or what looks like it")
    group_column: str | None = option(text("COLUMN"), "whose samples stay on one side of the split", None)
    ignore_columns: tuple[str, ...] = option(
        repeated(text("COLUMN")), "not a feature; may be repeated", (), flag="--ignore-column"
    )
    window: int | None = option(whole(1, WINDOW_MAX, "ROWS"), "make inputs of this many rows of a time series", None)
    stride: int | None = option(
        whole(1, WINDOW_MAX, "ROWS"),
        "rows from the start of a window to the start of the next",
        None,
        default_text="as --window",
        idle=("window", None),
    )
    lsb: dict[str, float] = option(
        keyed("COLUMN", number("VALUE", 0, ends="()")),
        "what one count of the sensor is worth, in the unit of the column (or of all columns); may be repeated",
        {},
    )
    resize: tuple[int, int] | None = option(
        joined(whole(1, SIDE_MAX, "HxW"), "x", 2, 2), "height and width that images are resized to", None
    )
    grey: bool = option(flag(), "make images grey", False)
    fold: int = option(
        whole(0, FOLDS - 1, "K"),
        "which fifth of the samples is the test part, 0 to 4, for cross-validation; of digits too",
        0,
    )

    recording_column: str | None = option(text("COLUMN"), "where it changes, a recording ends", None)
    split_column: str | None = option(
        text("COLUMN"), "says train, validation or test", None, default_text="one called split, if it says so"
    )
    test_data: str | None = option(text("PATH"), "the test part, in a file or folder of its own", None)
    use_columns: tuple[str, ...] = option(
        repeated(text("COLUMN")), "a feature, whatever it looks like; may be repeated", (), flag="--use-column"
    )
    missing: str = option(
        choice(("refuse", "drop", "median")),
        "rows that lack a value: refuse the file, drop them, or fill in the training part's median",
        "refuse",
    )
    rare_classes: str = option(
        choice(("refuse", "drop")), "classes with too few samples: refuse the file, or drop them", "refuse"
    )
    separator: str | None = option(
        choice((",", ";", "|", "tab", "blank")), "between the cells of a table", None, default_text="guessed"
    )
    decimal: str | None = option(choice(("point", "comma")), "decimal sign", None, default_text="guessed")
    header: str | None = option(
        choice(("yes", "no")), "whether the first row names the columns", None, default_text="guessed"
    )
    background: str | None = option(
        choice(("white", "black")), "background of transparent pixels", None, default_text="white"
    )

    group_pattern: str | None = option(
        pattern(),
        "samples whose files' names have the same text where this matches stay on one side of the split: "
        "^([0-9]{8}) is the first eight digits",
        None,
    )
    unknown: tuple[str, ...] = option(
        joined(text("CLASS,..."), ",", 0, UNKNOWN_MAX), "classes that become one, called unknown", ()
    )
    rate: int | None = option(
        whole(*RATES_HZ, "HZ"), "samples a second that sounds of another rate are converted to", None
    )
    noise: str | None = option(
        text("FOLDER"),
        "folder of noise among those of sounds: it becomes the class silence, and is mixed into sounds by --augment; "
        f"{NO_NOISE} for none",
        None,
        default_text=f"one called {' or '.join(NOISE_FOLDERS)}",
    )

    @property
    def step(self) -> int | None:
        """Rows from one window to the next."""
        return self.window if self.stride is None else self.stride

    def columns_named(self) -> tuple[str, ...]:
        """Every column that an option names."""
        single = self.label_column, self.group_column, self.recording_column, self.split_column
        return (*(name for name in single if name), *self.ignore_columns, *self.use_columns, *self.lsb)
