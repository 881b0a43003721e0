"""Rows of a time series from a folder of recordings: one per file, its class in the folder's or file's name."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from signbit.qmodel.counted import counted
from signbit.qmodel.data.readers import arff_file, arrow_file, csv_file, sound_file
from signbit.qmodel.data.readers.doubts import folders_below
from signbit.qmodel.data.readers.loading import LoadingOptions
from signbit.qmodel.data.readers.samples import groups_of
from signbit.qmodel.data.readers.source import BEGIN, Row, Source
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.untrusted import shown

TABLE_READERS = {
    **dict.fromkeys(csv_file.SUFFIXES, csv_file.read_csv),
    arff_file.SUFFIX: arff_file.read_arff,
    **dict.fromkeys(arrow_file.SUFFIXES, arrow_file.read_arrow),
}
RECORDINGS = (*TABLE_READERS, *sound_file.SUFFIXES)
FILES_MAX = 100_000
DEPTH_MAX = 8


def table_source(path: Path, options: LoadingOptions) -> Source:
    """The table in a file, by its suffix."""
    return TABLE_READERS.get(suffix_of(path), csv_file.read_csv)(path, options)


def suffix_of(path: Path) -> str:
    """Lower case, without .gz."""
    name = path.name.lower().removesuffix(".gz")
    return Path(name).suffix


def files_below(folder: Path) -> Iterator[Path]:
    """Every file that is not hidden, in the order of names, folders within folders too; raises SignbitError."""
    count = 0
    waiting = [(folder, 0)]
    while waiting:
        current, depth = waiting.pop()
        if depth > DEPTH_MAX:
            raise SignbitError(f"{shown(folder.name)}: has folders more than {DEPTH_MAX} deep")
        for path in sorted(current.iterdir(), reverse=True):
            count += 1
            if count > FILES_MAX:
                raise SignbitError(f"{shown(folder.name)}: has more than {FILES_MAX:,} files")
            if path.name.startswith("."):
                continue
            if path.is_dir():
                waiting.append((path, depth + 1))
            else:
                yield path


def left_out(files: Sequence[Path]) -> tuple[str, ...]:
    """A note that counts files that are not read, by suffix."""
    if not files:
        return ()
    kinds = Counter(path.suffix.lower() or "without a suffix" for path in files)
    listed = ", ".join(f"{count:,} {kind}" for kind, count in sorted(kinds.items()))
    return (f"left out {counted(len(files), 'file')}: {listed}",)


def recording_files(folder: Path) -> tuple[list[Path], list[Path]]:
    """Files of recordings in a folder, tables or sounds, and all others."""
    files = sorted(files_below(folder))
    found = [path for path in files if suffix_of(path) in RECORDINGS]
    # a file next to the classes' folders has no class
    below = [path for path in found if path.parent != folder]
    found = below or found
    taken = set(found)
    return found, [path for path in files if path not in taken]


def recordings_source(folder: Path, options: LoadingOptions) -> tuple[Source, str | None]:
    """All tables of a folder as one whose recordings begin where a file does, and the column with the class.

    The class is the folder below, where there are any, else the file's name without a number at its end, in a column
    that is added; with `--label-column` it is a column of the tables.
    """
    files, others = recording_files(folder)
    first = table_source(files[0], options)
    names = first.columns
    label = options.label_column
    labels = None if label is not None else file_labels(folder, files)
    if labels is not None:
        label = next(name for name in FILE_COLUMNS if name not in names)
    rows = _chained(folder, files, options, first, labels)
    below = () if labels is None else folders_below(folder, files)
    notes = (*first.notes, *below, *left_out(others))
    return replace(
        first,
        name=folder.name,
        columns=names if labels is None else (*names, label),
        rows=rows,
        notes=notes,
        row_count=None,
    ), label


FILE_COLUMNS = ("class", "folder", "file name", "class of the file")
"""Names for the column that is added; the first one that the tables don't have."""


def _chained(
    folder: Path, files: Sequence[Path], options: LoadingOptions, first: Source, labels: list[str] | None
) -> Iterator[Row]:
    for number, path in enumerate(files):
        source = first if number == 0 else table_source(path, options)
        if set(source.columns) != set(first.columns):
            raise SignbitError(
                f"{path.relative_to(folder)}: has the columns {_some(source.columns)}, but {files[0].name} has "
                f"{_some(first.columns)}"
            )
        order = None if source.columns == first.columns else [source.columns.index(name) for name in first.columns]
        extra = [] if labels is None else [labels[number]]
        gap = BEGIN
        for row in source.rows:
            if len(row.cells) != len(first.columns):
                raise SignbitError(
                    f"{path.relative_to(folder)}, row {row.number}: has {counted(len(row.cells), 'value')}, but "
                    f"there are {len(first.columns)} columns"
                )
            cells = row.cells if order is None else [row.cells[index] for index in order]
            yield Row(row.number, cells + extra, gap or row.gap, str(path.relative_to(folder)))
            gap = 0


def file_labels(folder: Path, files: Sequence[Path]) -> list[str]:
    """The class of each file."""
    if files[0].parent != folder:
        return [path.relative_to(folder).parts[0] for path in files]
    return [re.sub(r"[ _.-]*\(?[0-9]+\)?$", "", stem(path)) or stem(path) for path in files]


def groups_by_pattern(files: Sequence[Path], pattern: str | None) -> np.ndarray | None:
    """The group of each file by what `pattern` finds in its name: its first group, or all; raises SignbitError."""
    if pattern is None:
        return None
    found = [re.search(pattern, path.name) for path in files]
    for path, match in zip(files, found, strict=True):
        if match is None:
            raise SignbitError(f"--group-pattern {pattern}: matches nothing in the name of {shown(path.name)}")
    return groups_of([match[min(match.re.groups, 1)] or "" for match in found])


def _some(names: Sequence[str]) -> str:
    return ", ".join(shown(name) for name in names[:12])


def stem(path: Path) -> str:
    name = path.name
    return name[: name.lower().rindex(suffix_of(path))]
