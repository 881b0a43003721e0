"""What the rows of a table are: samples with classes, groups and parts; what is missing, and what is said of it."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from signbit.qmodel.counted import counted
from signbit.qmodel.data.readers import roles
from signbit.qmodel.data.readers.dialect import DECIMAL_COMMA
from signbit.qmodel.data.readers.loading import LoadingOptions
from signbit.qmodel.data.readers.roles import Role
from signbit.qmodel.data.readers.samples import Samples, classes_of, groups_of
from signbit.qmodel.data.readers.table import Table, columns_text
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.untrusted import shown


def samples_of(table: Table, options: LoadingOptions) -> Samples:
    """What the rows of a table are; raises SignbitError with the place of a cell that is not a number, or missing.

    `options.missing` says what becomes of the latter.
    """
    for index in table.features:
        if index in table.odd:
            place, text = table.odd[index]
            option = "--decimal" if DECIMAL_COMMA.fullmatch(text) else "--ignore-column"
            raise SignbitError(
                f"{place}, column {shown(table.names[index])!r}: {shown(text, 40)!r} is not a number; correct it, "
                f"or see {option}"
            )
    kept, notes = _handle_missing(table, options)
    for role in (Role.GROUP, Role.RECORDING, Role.SPLIT):
        texts = table.column(role)
        if texts is not None and "" in texts:
            index = table.plan.find(role)[0]
            raise _missing(table, texts.index(""), index)
    groups, recordings, split = (table.column(role) for role in (Role.GROUP, Role.RECORDING, Role.SPLIT))
    starts = table.starts
    if recordings is not None:
        starts = starts | np.array([True, *(a != b for a, b in pairwise(recordings))])
    samples = Samples(
        table.values,
        *_classes(table, table.column(Role.LABEL)),
        groups=None if groups is None else groups_of(groups),
        part=None if split is None else _parts(table, split),
        columns=tuple(table.names[index] for index in table.features),
        starts=starts,
        label_columns=tuple(table.names[index] for index in table.plan.find(Role.LABEL)),
        notes=(*table.notes, *_role_notes(table), *notes),
    )
    return samples if kept is None else samples.only(kept)


def _missing(table: Table, row: int, column: int, count: int = 1) -> SignbitError:
    more = f" ({count} are missing in all)" if count > 1 else ""
    return SignbitError(
        f"{table.place(row)}, column {shown(table.names[column])!r}: the value is missing{more}; fill it in or remove "
        "the row, or see --missing"
    )


def _handle_missing(table: Table, options: LoadingOptions) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Which rows are kept, None for all, and a note; values that the median replaces stay NaN."""
    is_missing = np.zeros(len(table.rows), bool)
    total = 0
    for place in range(table.values.shape[1]):
        found = np.isnan(table.values[:, place])
        total += int(np.count_nonzero(found))
        is_missing |= found
    labels = table.column(Role.LABEL) or []
    unlabelled = [row for row, text in enumerate(labels) if not text]
    if options.missing != "drop" and unlabelled:
        raise _missing(table, unlabelled[0], table.plan.find(Role.LABEL)[0], len(unlabelled))
    if options.missing == "refuse" and total:
        row = int(np.flatnonzero(is_missing)[0])
        place = int(np.flatnonzero(np.isnan(table.values[row]))[0])
        raise _missing(table, row, table.features[place], total)
    if options.missing == "median" and total:
        rows = counted(np.count_nonzero(is_missing), "row")
        return None, (f"{counted(total, 'missing value')}, in {rows}, replaced by the column's median",)
    is_missing[unlabelled] = True
    count = int(np.count_nonzero(is_missing))
    return (
        (~is_missing, (f"left out {count:,} of {counted(len(is_missing), 'row')}, which lack a value",))
        if count
        else (None, ())
    )


def _classes(table: Table, labels: list[str] | None) -> tuple[np.ndarray, tuple[str, ...]]:
    if labels is None:
        return np.zeros(len(table.rows), np.int64), ("",)
    names = table.source.label_names
    if not names:
        return classes_of(labels)
    odd = next((index for index, text in enumerate(labels) if not (text.isdigit() and int(text) < len(names))), None)
    if odd is not None:
        raise SignbitError(
            f"{table.place(odd)}: class {shown(labels[odd])!r} is not one of the {len(names)} in the first row"
        )
    return np.array([int(text) for text in labels], np.int64), names


def _parts(table: Table, texts: list[str]) -> np.ndarray:
    for row, text in enumerate(texts):
        if text.lower() not in roles.PARTS:
            raise SignbitError(
                f"{table.place(row)}: the split column says {shown(text)!r}, but must say train, validation or test"
            )
    return np.array([roles.PARTS[text.lower()] for text in texts], np.int8)


def _role_notes(table: Table) -> Iterator[str]:
    """One line for the label, one for all that is left out for the same reason."""
    why = table.plan.why
    labels = table.plan.find(Role.LABEL)
    if labels and labels[0] in why and why[labels[0]] != "the last column":
        yield f"the label is {columns_text(table.names, labels)}: {why[labels[0]]}; see --label-column"
    for index in table.plan.find(Role.SPLIT):
        if index in why:
            yield f"column {shown(table.names[index])!r} gives the parts: {why[index]}; see --split-column"
    by_reason: dict[str, list[int]] = {}
    for index in table.plan.find(Role.LEFT_OUT):
        if index in why:
            by_reason.setdefault(why[index], []).append(index)
    for reason, indices in by_reason.items():
        yield f"left out {columns_text(table.names, indices)}: {reason}"
