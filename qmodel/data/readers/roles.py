"""What each column of a table is for: as the user says, else as names and first rows suggest."""

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from enum import Enum

import numpy as np

from signbit.qmodel.data.readers.dialect import MISSING
from signbit.qmodel.data.readers.loading import LoadingOptions
from signbit.qmodel.data.readers.samples import find_column
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.untrusted import shown


class Role(Enum):
    FEATURE = "feature"
    LABEL = "label"
    GROUP = "group"
    RECORDING = "recording"
    SPLIT = "split"
    LEFT_OUT = "left out"


KEPT_AS_TEXT = (Role.LABEL, Role.GROUP, Role.RECORDING, Role.SPLIT)
LABEL_WORDS = frozenset(("label", "labels", "class", "target", "category", "activity", "gesture", "species", "output"))
SPLIT_WORDS = frozenset(("split", "partition", "subset"))
PARTS = {"train": 0, "training": 0, "validation": 1, "val": 1, "valid": 1, "dev": 1, "test": 2, "testing": 2}
"""Words of a split column, and the part that each means."""
COUNTING_MIN = 0.99
"""Part of a counter's values that follow the one before."""
RISING_MIN = 0.9
"""The same of values that are higher than the one before; a time may begin anew with each recording."""
COUNTER_NAME = re.compile(
    r"1|#|unnamed.*|__index_level_[0-9]+__|(row|serial|sample|record)?[ _]*(index|idx|id|no|nr|number|row)[.:]?", re.I
)
TIME_NAME = re.compile(
    r"((unix|epoch|elapsed|local|utc|system|device)[ _]*)?(t|time|timestamp|time[ _]stamp|datetime|date|epoch|millis|"
    r"micros|uptime|seconds|ts)([ _]*([(\[].*[)\]]|ms|us|ns|s|sec|utc))?",
    re.I,
)
FIRST_ROWS_MIN = 20
"""Fewer don't show whether a column's values repeat."""


@dataclass(frozen=True)
class Wanted:
    """What a model takes of a table: its features in their order, and the label's columns, one or one-hot."""

    features: tuple[str, ...]
    labels: tuple[str, ...]


@dataclass
class Plan:
    """A role for each column, and where it was guessed the reason."""

    roles: list[Role]
    why: dict[int, str] = field(default_factory=dict)

    def find(self, role: Role) -> list[int]:
        return [index for index, found in enumerate(self.roles) if found is role]


def assign(
    table: str,
    names: Sequence[str],
    sample: Sequence[Sequence[str]],
    options: LoadingOptions,
    is_number: Callable[[str], bool],
    wanted: Wanted | None = None,
) -> Plan:
    """The roles by what the user says and by the first rows.

    Raises SignbitError for options that name no column, or one for two purposes.
    """
    plan = Plan([Role.FEATURE] * len(names))
    if wanted is not None:
        return _of_model(table, names, sample, options, wanted)
    given = {
        Role.LABEL: ("--label-column", options.label_column),
        Role.GROUP: ("--group-column", options.group_column),
        Role.RECORDING: ("--recording-column", options.recording_column),
        Role.SPLIT: ("--split-column", options.split_column),
    }
    for role, (option, name) in given.items():
        if name is None:
            continue
        index = find_column(names, name, option)
        if plan.roles[index] is not Role.FEATURE:
            other = plan.roles[index].value
            raise SignbitError(f"{shown(names[index])!r} can't be both the {other} and the {role.value}; see {option}")
        plan.roles[index] = role
    for name in options.ignore_columns:
        index = find_column(names, name, "--ignore-column")
        if plan.roles[index] in KEPT_AS_TEXT:
            raise SignbitError(f"--ignore-column: {shown(names[index])!r} is the {plan.roles[index].value} column")
        plan.roles[index] = Role.LEFT_OUT
    kept = {find_column(names, name, "--use-column") for name in options.use_columns}
    cells = {index: [row[index] for row in sample if len(row) == len(names)] for index in plan.find(Role.FEATURE)}
    texts = [index for index, column in cells.items() if _is_text(column, is_number) and index not in kept]
    for index in plan.find(Role.FEATURE):
        if index not in kept and len(names) > 2 and _is_empty(cells[index]):
            plan.roles[index], plan.why[index] = Role.LEFT_OUT, "no value in any row"
    if options.split_column is None:
        _guess_split(plan, names, sample, Role.FEATURE)
        texts = [index for index in texts if plan.roles[index] is Role.FEATURE]
    if options.label_column is None:
        _guess_label(plan, names, cells, texts, table)
    for index in texts:
        if plan.roles[index] is Role.FEATURE and _is_key(cells[index]):
            plan.roles[index], plan.why[index] = Role.LEFT_OUT, "a different text in each row; see --label-column"
    if not plan.find(Role.FEATURE):
        raise SignbitError(f"{table}: no column is left for the features")
    return plan


def counters(
    names: Sequence[str], values: np.ndarray, indices: Sequence[int], used: Collection[str], starts: np.ndarray
) -> dict[int, str]:
    """Those of the columns `indices`, which `values` (rows, columns) are of, that only number or date rows, and why.

    A column does if its name allows it and its values rise from row to row of a recording, which begin at `starts`:
    where the rows are in the order of their classes, such a column names the class.  `used` are wanted all the same.
    """
    found = {}
    if len(values) < 2 or len(indices) < 2:
        return found
    for place, index in enumerate(indices):
        name = names[index]
        is_number = COUNTER_NAME.fullmatch(name) is not None
        if name in used or not (is_number or TIME_NAME.fullmatch(name)):
            continue
        steps = np.diff(values[:, place])
        if is_number and (steps == 1).mean() >= COUNTING_MIN:
            found[index] = "a count of the rows"
        elif (steps > 0)[~starts[1:]].sum() >= RISING_MIN * max(1, np.count_nonzero(~starts[1:])):
            found[index] = "values that rise from row to row, as a number or time of the row does"
    return found


def one_hot(values: np.ndarray) -> int:
    """How many of the last columns have a 1 in one of them and 0 in all others, in every row; 0 if none do."""
    total = np.zeros(len(values))
    for count in range(1, values.shape[1] + 1):
        column = values[:, -count]
        if not np.isin(column, (0, 1)).all():
            return 0
        total += column
        if total.max() > 1:
            return 0
        if total.min() == 1:
            return count if count > 2 else 0
    return 0


def _of_model(
    table: str,
    names: Sequence[str],
    sample: Sequence[Sequence[str]],
    options: LoadingOptions,
    wanted: Wanted,
) -> Plan:
    """A model's columns by their names; what else the table has is left out."""
    plan = Plan([Role.LEFT_OUT] * len(names))
    missing = [name for name in wanted.features if name not in names]
    if missing:
        raise SignbitError(
            f"{table}: there is no column {shown(missing[0])!r}, which the model takes; there are {_some(names)}"
        )
    positions = {name: index for index, name in enumerate(names)}
    for name in wanted.features:
        plan.roles[positions[name]] = Role.FEATURE
    for name in wanted.labels or names[-1:]:
        if name not in positions:
            raise SignbitError(
                f"{table}: there is no column {shown(name)!r} with the classes; there are {_some(names)}"
            )
        plan.roles[positions[name]] = Role.LABEL
    for role, name in (
        (Role.GROUP, options.group_column),
        (Role.RECORDING, options.recording_column),
        (Role.SPLIT, options.split_column),
    ):
        # a new file need not have them
        if name is not None and name in positions:
            plan.roles[positions[name]] = role
    if options.split_column is None:
        _guess_split(plan, names, sample, Role.LEFT_OUT)
    plan.why = {
        index: "no input of the model"
        for index in plan.find(Role.LEFT_OUT)
        if names[index] not in options.columns_named()
    }
    return plan


def _guess_split(plan: Plan, names: Sequence[str], sample: Sequence[Sequence[str]], free: Role) -> None:
    """Give the role to a column that is `free`, has such a name, and says train, validation or test in each row."""
    for index in plan.find(free):
        cells = [row[index] for row in sample if len(row) == len(names)]
        if names[index].lower() in SPLIT_WORDS and cells and all(cell.lower() in PARTS for cell in cells):
            plan.roles[index], plan.why[index] = Role.SPLIT, "it says train or test"
            return


def _guess_label(plan: Plan, names: Sequence[str], cells: dict[int, list[str]], texts: list[int], table: str) -> None:
    free = plan.find(Role.FEATURE)
    if not free:
        raise SignbitError(f"{table}: no column is left for the label")
    named = [index for index in free if names[index].lower() in LABEL_WORDS]
    possible = [index for index in texts if not _is_key(cells[index]) and _repeats(cells[index], 2)]
    if len(named) == 1:
        label, why = named[0], "by its name"
    elif free[-1] not in possible and len(possible) == 1:
        label, why = possible[0], "the only column of text with repeated values"
    elif not _repeats(cells[free[-1]], 2) and _repeats(cells[free[0]], 10) and free[0] not in texts:
        label, why = free[0], "the first column, since the last one's values hardly repeat"
    else:
        label, why = free[-1], "the last column"
    plan.roles[label], plan.why[label] = Role.LABEL, why


def _repeats(cells: Sequence[str], times: int) -> bool:
    """Whether the values of a column are found so many times on average, or are too few to show it."""
    return len(set(cells)) * times <= len(cells) or len(cells) < FIRST_ROWS_MIN


def _is_text(cells: Sequence[str], is_number: Callable[[str], bool]) -> bool:
    there = [cell for cell in cells if cell.lower() not in MISSING]
    return bool(there) and not any(map(is_number, there))


def _is_key(cells: Sequence[str]) -> bool:
    """Dates, names of files: all different."""
    return len(cells) > 9 and len(set(cells)) == len(cells)


def _is_empty(cells: Sequence[str]) -> bool:
    return len(cells) > 0 and not any(cells)


def _some(names: Sequence[str]) -> str:
    """The first of many names."""
    return ", ".join(shown(name) for name in names[:20])
