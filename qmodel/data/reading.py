"""From a path to samples: which reader takes it."""

from dataclasses import replace
from pathlib import Path

from signbit.qmodel.data.readers import csv_file, sound_file
from signbit.qmodel.data.readers.idx_folder import has_idx, read_idx_folder
from signbit.qmodel.data.readers.image_folder import has_images, read_images
from signbit.qmodel.data.readers.loading import LoadingOptions
from signbit.qmodel.data.readers.npz_file import read_npz
from signbit.qmodel.data.readers.recordings import (
    RECORDINGS,
    TABLE_READERS,
    recording_files,
    recordings_source,
    suffix_of,
    table_source,
)
from signbit.qmodel.data.readers.roles import Wanted
from signbit.qmodel.data.readers.samples import Samples
from signbit.qmodel.data.readers.sound_folder import read_sounds
from signbit.qmodel.data.readers.table import Table, read_table
from signbit.qmodel.data.readers.table_samples import samples_of
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.untrusted import shown

UNKNOWN_LABEL = "unknown"
WORKBOOKS = (".xlsx", ".xlsm", ".xls", ".ods", ".numbers")
TABLE_OPTIONS = (
    "fold",
    "test_data",
    "label_column",
    "group_column",
    "recording_column",
    "split_column",
    "ignore_columns",
    "use_columns",
    "separator",
    "decimal",
    "header",
    "missing",
    "rare_classes",
    "unknown",
    "window",
    "stride",
    "lsb",
)


def read(path: Path, options: LoadingOptions, wanted: Wanted | None = None) -> Samples:
    """The samples, or the rows of a time series, as they are in `path`, with `--unknown` classes as one."""
    samples = _read(path, options, wanted)
    if not options.unknown:
        return samples
    # other data need not have all of a model's
    if wanted is None and (absent := set(options.unknown) - set(samples.labels)):
        raise SignbitError(f"--unknown: {shown(path.name)} has no class {shown(min(absent))!r}")
    return samples.merged(options.unknown, UNKNOWN_LABEL)


def _read(path: Path, options: LoadingOptions, wanted: Wanted | None) -> Samples:
    table = read_as_table(path, options, wanted)
    if table is not None:
        return samples_of(table, options)
    if path.is_dir():
        if has_idx(path):
            return read_idx_folder(path, options)
        return read_images(path, options) if has_images(path) else read_sounds(path, options)
    return read_npz(path, options)


def read_as_table(path: Path, options: LoadingOptions, wanted: Wanted | None = None) -> Table | None:
    """The table in `path`, or of the tables in a folder; None where there is none.  Raises SignbitError."""
    if not path.is_dir():
        if suffix_of(path) not in (*TABLE_READERS, *csv_file.ALSO_NAMED, ".npz"):
            if suffix_of(path) in WORKBOOKS:
                raise SignbitError(f"--data {shown(path.name)}: is a workbook; save its sheet as .csv")
            kinds = ", ".join((".npz", *TABLE_READERS))
            raise SignbitError(f"--data {shown(path.name)}: must be a folder or one of {kinds}, gzipped (.gz) or not")
        if suffix_of(path) == ".npz":
            return None
        options.refuse(f"a {path.suffix}", *TABLE_OPTIONS)
        return read_table(table_source(path, options), options, wanted)
    if has_idx(path) or has_images(path):
        return None
    files, _ = recording_files(path)
    sounds = sum(suffix_of(file) in sound_file.SUFFIXES for file in files)
    if not files:
        raise SignbitError(
            f"{shown(path.name)}: has neither folders of images, nor recordings ({', '.join(RECORDINGS)}), nor IDX "
            "files in it"
        )
    if sounds == len(files):
        return None
    if sounds:
        raise SignbitError(f"{shown(path.name)}: holds both tables and sound files; name a folder of one kind")
    options.refuse("a folder of recordings", *TABLE_OPTIONS)
    source, label = recordings_source(path, options)
    return read_table(source, replace(options, label_column=label), wanted)
