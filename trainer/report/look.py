"""What own data are, before anything is trained: columns, classes, what would be done, what is suggested."""

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from rich.console import Console

from signbit.console import Column, print_table
from signbit.qmodel.counted import counted
from signbit.qmodel.data import counts
from signbit.qmodel.data.dataset import Dataset
from signbit.qmodel.data.own import load_own
from signbit.qmodel.data.readers.loading import LoadingOptions
from signbit.qmodel.data.readers.roles import Role
from signbit.qmodel.data.readers.table import Table
from signbit.qmodel.data.reading import read, read_as_table
from signbit.qmodel.data.split import SAMPLES_MIN
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.front_end import NONE
from signbit.qmodel.untrusted import shown
from signbit.trainer.learning.settings import fronted_shape, own_front_end

ROWS_SHOWN = 64
"""Columns, and classes, that are printed."""
COLUMNS_SUGGESTED = 5
RUN_ROWS = 30
"""From this mean length of a stretch of one class on, rows look like a time series."""
GROUP_WORDS = ("subject", "person", "user", "participant", "patient", "volunteer", "session", "group")
WINDOW = 64
"""The window suggested for one without recordings."""


@dataclass(frozen=True)
class ColumnLook:
    name: str
    role: str
    kind: str
    low: float | None
    high: float | None
    missing: int
    lsb: float | None
    why: str


@dataclass(frozen=True)
class Look:
    name: str
    samples: int
    """Samples, or rows of a time series."""
    columns: tuple[ColumnLook, ...]
    """Those of a table; otherwise empty."""
    classes: dict[str, int]
    recordings: int
    notes: tuple[str, ...]
    result: str
    """What training would be given, or why it would be refused."""
    is_refused: bool
    suggestions: tuple[str, ...]


def look(path: Path, options: LoadingOptions) -> Look:
    """Read `path` as training would; raises SignbitError only for what can't be read at all."""
    table = read_as_table(path, options)
    dataset, refusal = None, ""
    try:
        dataset = load_own(path, options)
    except SignbitError as error:
        refusal = str(error)
    if table is not None:
        classes = Counter(table.column(Role.LABEL) or [])
        names = table.source.label_names
        if names and all(text.isdigit() and int(text) < len(names) for text in classes):
            classes = Counter({names[int(text)]: count for text, count in classes.items()})
        columns, samples, recordings = _columns(table), len(table.rows), int(np.count_nonzero(table.starts))
    else:
        found = read(path, options)
        counted = np.bincount(found.classes, minlength=len(found.labels)).tolist()
        classes, columns, samples = Counter(dict(zip(found.labels, counted, strict=True))), (), len(found.classes)
        recordings = 1 if found.starts is None else int(np.count_nonzero(found.starts))
    notes = dataset.notes if dataset is not None else tuple(table.notes) if table is not None else ()
    result = refusal or _result(dataset)
    suggestions = () if table is None else tuple(_suggestions(table, classes, options))
    return Look(path.name, samples, columns, dict(classes), recordings, notes, result, bool(refusal), suggestions)


def print_look(screen: Console, found: Look) -> None:
    """The columns as a table, then the classes and what would be done."""
    size = f"{found.samples:,} {'rows' if found.columns else 'samples'}"
    recordings = f" in {found.recordings:,} recordings" if found.recordings > 1 else ""
    screen.print(f"{shown(found.name)}: {size}{recordings}", soft_wrap=True)
    screen.print("")
    if found.columns:
        heads = (
            *(Column("column", left=True), Column("role", left=True), Column("kind", 1, left=True)),
            *(Column("lowest"), Column("highest"), Column("missing"), Column("lsb", 2)),
        )
        rows = [
            (
                *(shown(column.name), column.role, column.kind, _number(column.low), _number(column.high)),
                *(f"{column.missing:,}" if column.missing else "", _number(column.lsb)),
            )
            for column in found.columns[:ROWS_SHOWN]
        ]
        print_table(screen, heads, rows)
        _print_rest(screen, len(found.columns), "columns")
    width = max((len(shown(label)) for label in found.classes), default=5)
    screen.print(f"{'class':<{width}}  samples")
    for label, count in sorted(found.classes.items())[:ROWS_SHOWN]:
        screen.print(f"{shown(label):<{width}}  {count:>7,}")
    _print_rest(screen, len(found.classes), "classes")
    screen.print("")
    for note in found.notes:
        screen.print(shown(note, 500), soft_wrap=True)
    screen.print(f"training {'is refused' if found.is_refused else 'gets'}: {shown(found.result, 500)}", soft_wrap=True)
    for suggestion in found.suggestions:
        screen.print(f"suggested: {shown(suggestion, 500)}", soft_wrap=True)


def look_json(found: Look) -> dict:
    return {"command": "look", **vars(found), "columns": [vars(column) for column in found.columns]}


def _print_rest(screen: Console, count: int, what: str) -> None:
    if count > ROWS_SHOWN:
        screen.print(f"... and {count - ROWS_SHOWN:,} more {what}")


def _columns(table: Table) -> tuple[ColumnLook, ...]:
    lsb = counts.choose_lsb(table.values) if table.features else np.empty(0)
    places = {index: place for place, index in enumerate(table.features)}
    found = []
    for index, name in enumerate(table.names):
        role, why = table.plan.roles[index], table.plan.why.get(index, "")
        low = high = worth = None
        missing, kind = 0, "text"
        if index in places:
            place = places[index]
            values = table.values[:, place]
            is_missing = np.isnan(values)
            # a text in place of a number is not missing
            missing, worth = 0 if index in table.odd else int(np.count_nonzero(is_missing)), float(lsb[place])
            kind = "whole" if worth == 1 else "real"
            if not is_missing.all():
                low, high = float(np.nanmin(values)), float(np.nanmax(values))
            if index in table.odd:
                kind, why = "mixed", f"{table.odd[index][0]} has {shown(table.odd[index][1], 40)!r}"
        elif index in table.texts:
            missing = table.texts[index].count("")
        else:
            kind = ""
        found.append(ColumnLook(name, role.value, kind, low, high, missing, worth, why))
    return tuple(found)


def _result(dataset: Dataset) -> str:
    front_end = own_front_end(dataset)
    shape = "x".join(map(str, fronted_shape(dataset, front_end)))
    shape += f" by the front end {front_end}" if front_end != NONE else ""
    parts = f"{len(dataset.train):,} to train, {len(dataset.validation):,} to validate, {len(dataset.test):,} to test"
    return f"inputs of {shape}, {len(dataset.labels)} classes; {parts} ({dataset.split_rule})"


def _suggestions(table: Table, classes: Counter, options: LoadingOptions) -> list[str]:
    """Options that help, each with its reason."""
    found = []
    odd = [index for index in table.odd if index in table.features]
    for index in odd[:COLUMNS_SUGGESTED]:
        place, text = table.odd[index]
        column = shown(table.names[index])
        found.append(f"--ignore-column {column!r}, since {place} has {shown(text, 40)!r} in it; or --group-column")
    if len(odd) > COLUMNS_SUGGESTED:
        found.append(f"the same for {len(odd) - COLUMNS_SUGGESTED:,} more columns; do the rows hold the samples?")
    numbers = table.values[:, [index not in table.odd for index in table.features]]
    if options.missing == "refuse" and (rows := int(np.isnan(numbers).any(axis=1).sum())):
        found.append(f"--missing drop or --missing median, for {counted(rows, 'row')} with missing values")
    for index in table.features:
        if (name := table.names[index]).lower() in GROUP_WORDS:
            found.append(f"--group-column {shown(name)!r}, if new ones will come that training has not seen")
    if options.window is not None:
        return found
    rare = [label for label, count in classes.items() if count < SAMPLES_MIN]
    if rare and options.rare_classes == "refuse" and len(classes) - len(rare) > 1:
        few = counted(len(rare), "class", "classes")
        found.append(f"--rare-classes drop, for {few} with fewer than {SAMPLES_MIN} samples")
    lengths = np.diff(np.flatnonzero(table.starts), append=len(table.starts))
    labels = table.column(Role.LABEL) or []
    changes = 1 + sum(before != after for before, after in pairwise(labels))
    if len(lengths) > 1 and lengths.min() == lengths.max() > 1:
        found.append(f"--window {lengths[0]}, since empty lines or files end recordings of that many rows")
    elif len(lengths) > 1 or (changes > 2 * len(classes) and len(labels) / changes >= RUN_ROWS):
        found.append(f"--window {WINDOW}, if the rows are moments of a time series")
    return found


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:g}"
