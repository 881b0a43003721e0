"""Sound files of a folder as rows of a time series: a class a folder or a name, or what lists of files say."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from signbit.qmodel.counted import counted
from signbit.qmodel.data.readers import sound_file
from signbit.qmodel.data.readers.doubts import folders_below
from signbit.qmodel.data.readers.loading import NO_NOISE, NOISE_FOLDERS, LoadingOptions
from signbit.qmodel.data.readers.recordings import (
    TABLE_READERS,
    file_labels,
    groups_by_pattern,
    left_out,
    recording_files,
    stem,
    suffix_of,
    table_source,
)
from signbit.qmodel.data.readers.roles import PARTS
from signbit.qmodel.data.readers.samples import BYTES_MAX, Samples, classes_of, groups_of
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.untrusted import shown

SOUND_OPTIONS = (
    *("fold", "test_data", "window", "stride", "label_column", "group_column", "rare_classes"),
    *("group_pattern", "unknown", "noise", "rate"),
)
FILE_COLUMNS = frozenset(("file", "filename", "file name", "path"))
"""Names of the column by which a table is a list of files."""


@dataclass(frozen=True)
class Clips:
    """Files with a class each, and the part of the split where lists give it."""

    files: list[Path]
    labels: list[str]
    parts: list[int] | None
    notes: tuple[str, ...] = ()


def read_sounds(folder: Path, options: LoadingOptions) -> Samples:
    """Frames (frames, channels) of all sound files, one after the other, with `starts` where each begins.

    A class is a folder below, where there are any, else the file's name without a number at its end.  Tables in the
    folder with a column called file or path are lists: they give the class in their last column, and as train.csv,
    val.csv and test.csv the parts.  `--label-column` and `--group-column` are parts of the file's name, counted from 1.
    """
    options.refuse("a folder of sound files", *SOUND_OPTIONS)
    files, others = recording_files(folder)
    noise_name = _noise_name(folder, options.noise)
    noise_files = [path for path in files if path.relative_to(folder).parts[0] == noise_name]
    words = [path for path in files if path not in set(noise_files)]
    if not words:
        raise SignbitError(f"{shown(folder.name)}: has no sound files except those of noise in {shown(noise_name)}")
    clips = _clips(folder, words, options)
    values, columns, rate_hz = _frames(folder, [*clips.files, *noise_files], options.rate)
    values, noise = values[: len(clips.files)], values[len(clips.files) :]
    sizes = [len(array) for array in values]
    groups = _groups(clips, options)
    classes, labels = classes_of(clips.labels)
    kinds = " and ".join(sorted({suffix_of(path) for path in files}))
    starts = np.zeros(sum(sizes), bool)
    starts[np.cumsum([0, *sizes[:-1]])] = True
    others = [path for path in others if not _is_list(path, options)]
    notes = (f"{counted(len(clips.files), f'{kinds} file')} at {rate_hz} Hz", *clips.notes, *left_out(others))
    if noise and options.noise is None:
        notes += (f"the folder {shown(noise_name)} is taken for noise; see --noise",)
    return Samples(
        np.concatenate(values),
        np.repeat(classes, sizes),
        labels,
        None if groups is None else np.repeat(groups, sizes),
        None if clips.parts is None else np.repeat(np.array(clips.parts, np.int8), sizes),
        columns,
        starts,
        rate_hz,
        notes=notes,
        noise=tuple(noise),
    )


def _noise_name(folder: Path, chosen: str | None) -> str | None:
    """The folder of noise."""
    if chosen is None:
        return next((name for name in NOISE_FOLDERS if (folder / name).is_dir()), None)
    if chosen == NO_NOISE:
        return None
    if chosen not in [path.name for path in folder.iterdir() if path.is_dir()]:
        raise SignbitError(f"--noise {shown(chosen)}: {shown(folder.name)} has no folder of that name")
    return chosen


def _frames(
    folder: Path, files: Sequence[Path], wanted_hz: int | None
) -> tuple[list[np.ndarray], tuple[str, ...], int]:
    """Frames of each file, the channels' names and the rate; raises SignbitError where files differ."""
    values: list[np.ndarray] = []
    first: tuple[tuple[str, ...], int] | None = None
    total_bytes = 0
    for path in files:
        found, names, rate_hz = sound_file.read_sound(path, wanted_hz)
        first = first or (names, rate_hz)
        if (names, rate_hz) != first:
            raise SignbitError(
                f"{path.relative_to(folder)}: has {counted(len(names), 'channel')} at {rate_hz} Hz, but "
                f"{files[0].name} has {len(first[0])} at {first[1]} Hz; give all one rate with --rate {first[1]}"
            )
        if not len(found):
            raise SignbitError(f"{path.relative_to(folder)}: holds no samples")
        values.append(found)
        total_bytes += found.nbytes
        if total_bytes > BYTES_MAX:
            raise SignbitError(f"{shown(folder.name)}: holds more than {BYTES_MAX // 8:,} numbers; take a part of it")
    return values, *first


def _clips(folder: Path, files: list[Path], options: LoadingOptions) -> Clips:
    """The files that lists name, or all, with their classes."""
    lists = [path for path in sorted(folder.iterdir()) if _is_list(path, options)]
    if options.label_column is not None:
        return Clips(files, [_name_part(path, options.label_column, "--label-column") for path in files], None)
    if not lists:
        return Clips(files, file_labels(folder, files), None, folders_below(folder, files))
    entries = {}
    known = {path.relative_to(folder).as_posix(): path for path in files}
    for path in lists:
        part = PARTS.get(stem(path).lower())
        for place, name, label in _entries(path, options):
            if name not in known:
                raise SignbitError(f"{path.name}, {place}: there is no sound file {shown(name)}")
            if name in entries:
                raise SignbitError(f"{path.name}, {place}: {shown(name)} is listed already")
            entries[name] = label, part
    names = sorted(entries)
    parts = [entries[name][1] for name in names]
    has_parts = any(part is not None for part in parts)
    if has_parts and None in parts:
        names = ", ".join(path.name for path in lists)
        raise SignbitError(
            f"{shown(folder.name)}: some of its lists ({names}) are those of a part and some are not; call them "
            "train.csv, val.csv and test.csv, or put all files into one"
        )
    unlisted = [path for name, path in known.items() if name not in entries]
    notes = (f"the files and classes are those of {', '.join(path.name for path in lists)}", *left_out(unlisted))
    labels = [entries[name][0] for name in names]
    return Clips([known[name] for name in names], labels, parts if has_parts else None, notes)


def _is_list(path: Path, options: LoadingOptions) -> bool:
    return path.is_file() and suffix_of(path) in TABLE_READERS and bool(_file_columns(path, options))


def _file_columns(path: Path, options: LoadingOptions) -> list[int]:
    try:
        columns = table_source(path, options).columns
    except SignbitError:
        # another table, which is left out
        return []
    return [index for index, name in enumerate(columns) if name.lower() in FILE_COLUMNS]


def _entries(path: Path, options: LoadingOptions):
    """(place, file, class) of each row."""
    source = table_source(path, options)
    (column, *_) = _file_columns(path, options)
    if column == len(source.columns) - 1:
        raise SignbitError(f"{path.name}: its last column is the file's name; it must be the class")
    for row in source.rows:
        if len(row.cells) != len(source.columns):
            raise SignbitError(
                f"{path.name}, row {row.number}: has {counted(len(row.cells), 'value')} for "
                f"{counted(len(source.columns), 'column')}"
            )
        yield f"row {row.number}", row.cells[column], row.cells[-1]


def _groups(clips: Clips, options: LoadingOptions) -> np.ndarray | None:
    """The group of each file; raises SignbitError where lists put one into two parts."""
    groups = groups_by_pattern(clips.files, options.group_pattern)
    if options.group_column is not None:
        groups = groups_of([_name_part(path, options.group_column, "--group-column") for path in clips.files])
    if groups is not None and clips.parts is not None:
        where: dict[int, int] = {}
        for path, group, part in zip(clips.files, groups.tolist(), clips.parts, strict=True):
            if where.setdefault(group, part) != part:
                raise SignbitError(f"{path.name}: the lists put its group into two parts")
    return groups


def _name_part(path: Path, number: str, option: str) -> str:
    parts = re.split(r"[ _.-]+", stem(path))
    if not (number.isascii() and number.isdigit() and 1 <= int(number[:4]) <= len(parts)):
        raise SignbitError(f"{option} {number}: for sound files give the number of a part of the name, such as 1")
    return parts[int(number[:4]) - 1]
