"""Own data: from a path to a data set, split and quantized."""

from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np

from signbit.qmodel.counted import counted
from signbit.qmodel.data import counts, series
from signbit.qmodel.data.dataset import UNKNOWN, Dataset, Split
from signbit.qmodel.data.readers import csv_file, sound_file
from signbit.qmodel.data.readers.doubts import doubts
from signbit.qmodel.data.readers.idx_folder import has_idx, read_idx_folder
from signbit.qmodel.data.readers.image_folder import has_images, read_images
from signbit.qmodel.data.readers.loading import LSB_ALL, LoadingOptions
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
from signbit.qmodel.data.readers.samples import Samples, find_column
from signbit.qmodel.data.readers.sound_folder import read_sounds
from signbit.qmodel.data.readers.table import Table, read_table, samples_of
from signbit.qmodel.data.silence import SILENCE, Parts, noise_parts, with_silence
from signbit.qmodel.data.split import (
    PARTS,
    SAMPLES_MIN,
    VALIDATION_EVERY,
    check_parts,
    every_nth,
    split_groups,
    split_rule,
    split_samples,
)
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.model import INPUT_SIZE_MAX, QuantizedModel, check_labels
from signbit.qmodel.untrusted import shown
from signbit.qmodel.value import size_of

UNKNOWN_LABEL = "unknown"
WORKBOOKS = (".xlsx", ".xlsm", ".xls", ".ods", ".numbers")
NOTES_MAX = 40
"""At most so many notes of the same kind."""


@dataclass(frozen=True, eq=False)
class Inputs:
    """Samples that are inputs: `start` of each window in the rows, None where each sample is an input."""

    samples: Samples
    start: np.ndarray | None = None
    window: int = 1

    @property
    def shape(self) -> tuple[int, ...]:
        shape = self.samples.values.shape[1:]
        return shape if self.start is None else (self.window, 1, *shape)

    def rows(self, part: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Indices of the rows that the inputs `part` are made from, and in how many of them each row is, None for 1."""
        if self.start is None:
            return part, None
        weights = series.coverage(self.start[part], self.window, len(self.samples.values))
        rows = np.flatnonzero(weights)
        return rows, weights[rows]


def load_own(path: Path, options: LoadingOptions) -> Dataset:
    """The data set in `path`: a table, a .npz, or a folder of recordings, of images by class, or of IDX files.

    Real numbers become counts, which are still to be converted to inputs (`Dataset.with_inputs`).  Raises SignbitError
    with what is wrong with the data.
    """
    samples = read(path, options)
    samples = replace(samples, notes=(*samples.notes, *islice(doubts(samples), NOTES_MAX)))
    if options.test_data is not None:
        samples = _joined(path, samples, Path(options.test_data), options)
        # the model keeps no path
        options = replace(options, test_data=Path(options.test_data).name)
    inputs, options = _inputs(path, samples, options)
    inputs, options = _without_rare(path, inputs, options)
    _check(path, inputs)
    parts, rule = _split(inputs.samples, options.fold)
    inputs, parts = _with_silence(inputs, parts)
    lsb = lsb_of(inputs.samples, options)
    return _dataset(path, inputs, parts, options, rule, lsb)


def load_for(path: Path, model: QuantizedModel, record: dict, options: LoadingOptions) -> Dataset:
    """The data set in `path` for an existing `model`: its columns by name, its lsb, quantization and labels.

    `record` is what the model says about its data.  If the data are those, the parts are too; otherwise all samples are
    in the test part.
    """
    columns = _texts_of(record, "columns")
    wanted = Wanted(columns, _texts_of(record, "label_columns")) if columns else None
    options = replace(options, test_data=None)
    samples = read(path, options, wanted)
    if options.rare_classes == "drop":
        known = np.isin(samples.labels, model.labels)[samples.classes]
        note = f"left out {counted(np.count_nonzero(~known), 'sample')} of classes that the model does not know"
        samples = samples if known.all() else samples.only(known, note)
    inputs, _ = _inputs(path, samples, options)
    samples = _relabelled(inputs, model)
    inputs = replace(inputs, samples=samples if SILENCE in model.labels else replace(samples, noise=()))
    check_labels(model.labels, len(model.labels))
    real = inputs.samples.values.dtype != np.uint8
    lsb = _recorded_lsb(inputs.samples, record, options) if real else None
    medians = _numbers_of(record, "medians")
    is_known = UNKNOWN not in inputs.samples.classes

    def make(parts: Parts, rule: str) -> Dataset:
        return _dataset(path, *_with_silence(inputs, parts), options, rule, lsb, model, medians)

    try:
        if is_known and (dataset := make(*_split(inputs.samples, options.fold))).hash == record.get("hash"):
            return dataset
    except SignbitError:
        # too few groups, classes or samples for a split, which new data need not have
        pass
    none = np.empty(0, np.int64)
    return make((none, none, np.arange(len(inputs.samples.classes))), "all samples, which are new to the model")


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


def _joined(path: Path, samples: Samples, test_path: Path, options: LoadingOptions) -> Samples:
    """The samples, and after them those of the test part."""
    if not test_path.exists():
        raise SignbitError(f"--test-data {test_path}: is not there")
    if samples.part is not None:
        raise SignbitError(f"{path.name}: names its own test part; leave out --test-data, or --split-column")
    test = read(test_path, options, Wanted(samples.columns, samples.label_columns) if samples.columns else None)
    unknown = sorted(set(test.labels) - set(samples.labels))
    if unknown:
        raise SignbitError(f"--test-data {test_path.name}: class {shown(unknown[0])!r} is not in {path.name}")
    if test.rate_hz != samples.rate_hz:
        raise SignbitError(
            f"--test-data {test_path.name}: has {test.rate_hz} samples a second, but {path.name} {samples.rate_hz}"
        )
    if test.values.shape[1:] != samples.values.shape[1:] or (test.values.dtype == np.uint8) != (
        samples.values.dtype == np.uint8
    ):
        raise SignbitError(f"--test-data {test_path.name}: differs in shape or kind from {path.name}")
    index = np.array([samples.labels.index(label) for label in test.labels])
    starts = None
    if samples.starts is not None and test.starts is not None:
        starts = np.concatenate([samples.starts, test.starts])
    return replace(
        samples,
        values=np.concatenate([samples.values, test.values]),
        classes=np.concatenate([samples.classes, index[test.classes]]),
        # groups only serve the split, which is given here
        groups=None,
        part=np.repeat(np.int8([0, 2]), [len(samples.classes), len(test.classes)]),
        starts=starts,
    )


def _inputs(path: Path, samples: Samples, options: LoadingOptions) -> tuple[Inputs, LoadingOptions]:
    """Windows of a time series, or the samples as they are, and the options with the window that was chosen."""
    if options.window is None:
        window = _recording_length(path, samples) if path.is_dir() and samples.starts is not None else None
        if window is None:
            return Inputs(samples), options
        options = replace(options, window=window)
        samples = replace(
            samples, notes=(*samples.notes, f"each recording, of {window} rows, is an input; see --window")
        )
    found = series.cut(samples, options.window, options.step)
    notes = samples.notes
    if found.rows_left:
        notes += (f"rows in no window: {found.rows_left:,} of {len(samples.values):,}",)
    cut = replace(
        samples,
        classes=samples.classes[found.start],
        groups=found.groups,
        part=None if samples.part is None else samples.part[found.start],
        starts=None,
        notes=notes,
    )
    return Inputs(cut, found.start, options.window), options


def _recording_length(path: Path, samples: Samples) -> int:
    """Rows of each recording; raises SignbitError where they differ."""
    lengths = np.diff(np.flatnonzero(samples.starts), append=len(samples.starts))
    if lengths.min() != lengths.max():
        raise SignbitError(
            f"{shown(path.name)}: its recordings have {lengths.min()} to {lengths.max()} rows; say how many make an "
            f"input, --window {min(int(lengths.min()), 128)} for example"
        )
    return int(lengths[0])


def _without_rare(path: Path, inputs: Inputs, options: LoadingOptions) -> tuple[Inputs, LoadingOptions]:
    """The inputs of classes that have enough of them; raises SignbitError if some have not and may not be dropped."""
    samples = inputs.samples
    count = np.bincount(samples.classes, minlength=len(samples.labels))
    if samples.part is not None:
        return inputs, options
    rare = np.flatnonzero(count < SAMPLES_MIN)
    if not len(rare) or len(samples.labels) < 2:
        return inputs, options
    if options.rare_classes == "drop":
        if len(rare) > len(count) - 2:
            raise SignbitError(f"{path.name}: fewer than two classes have the {SAMPLES_MIN} samples that a split needs")
        kept = ~np.isin(samples.classes, rare)
        gone, few = np.count_nonzero(~kept), counted(len(rare), "class", "classes")
        note = f"left out {few} with fewer than {SAMPLES_MIN} samples each, {counted(gone, 'sample')} in all"
        if inputs.start is None:
            return replace(inputs, samples=samples.only(kept, note)), options
        fewer = replace(samples, values=np.empty((len(kept), 0))).only(kept, note)
        return Inputs(replace(fewer, values=samples.values), inputs.start[kept], inputs.window), options
    if samples.groups is not None and inputs.start is None:
        return inputs, options
    if len(rare) * 2 > len(count) and len(count) * 4 > len(samples.classes) and samples.label_columns:
        raise SignbitError(
            f"column {shown(samples.label_columns[0])!r} has {len(count)} different values in {len(samples.classes)} "
            "samples, too many for classes; name the one with the label, --label-column COLUMN"
        )
    label, found = samples.labels[rare[0]], int(count[rare[0]])
    what = "windows" if inputs.start is not None else "samples"
    raise SignbitError(
        f"class {shown(label)!r} has only {found} of the {SAMPLES_MIN} {what} that the split needs; add some, or leave "
        f"out such classes with --rare-classes drop"
    )


def _check(path: Path, inputs: Inputs) -> None:
    labels = inputs.samples.labels
    if len(labels) < 2 and not inputs.samples.noise:
        raise SignbitError(f"{path.name}: all samples are of class {shown(labels[0])!r}; it takes two classes")
    check_labels(labels, len(labels))
    values = inputs.samples.values
    if values.dtype.kind == "f" and not any(
        (column != column[0]).any() for column in values.reshape(len(values), -1).T
    ):
        raise SignbitError(f"{path.name}: all samples have the same values, so there is nothing to learn from")
    if size_of(inputs.shape) > INPUT_SIZE_MAX:
        raise SignbitError(f"{path.name}: inputs of {inputs.shape} have more than {INPUT_SIZE_MAX} values")


def _with_silence(inputs: Inputs, parts: Parts) -> tuple[Inputs, Parts]:
    """The same with a class of silence, where there is noise for it."""
    if not inputs.samples.noise:
        return inputs, parts
    samples, start, parts = with_silence(inputs.samples, inputs.start, inputs.window, parts)
    return replace(inputs, samples=samples, start=start), parts


def _split(samples: Samples, fold: int) -> tuple[Parts, str]:
    """Indices of the training, validation and test part, and the rule in words."""
    classes = samples.classes
    if samples.part is not None:
        if fold:
            raise SignbitError("--fold means nothing for data with their own test part; leave it out")
        train, validation, test = (np.flatnonzero(samples.part == part) for part in range(3))
        rule = "the data set's own parts"
        if not len(validation):
            train, validation = every_nth(classes, train, VALIDATION_EVERY)
            rule = f"the data set's own test; validation stratified, every {VALIDATION_EVERY}th training sample"
        check_parts(classes, (train, validation, test), samples.labels)
        return (train, validation, test), rule
    if samples.groups is not None:
        parts = split_groups(classes, samples.groups, fold)
        check_parts(classes, parts, samples.labels)
        return parts, f"groups together, stratified by their commonest class: {split_rule(fold)}"
    return split_samples(classes, fold), f"stratified: {split_rule(fold)}"


def lsb_of(samples: Samples, options: LoadingOptions) -> np.ndarray | None:
    """What a count is worth in each column: as given, else chosen; None for bytes."""
    if samples.values.dtype == np.uint8:
        return None
    lsb = counts.choose_lsb(samples.values)
    if LSB_ALL in options.lsb:
        lsb[:] = options.lsb[LSB_ALL]
    for name, value in options.lsb.items():
        if name != LSB_ALL:
            lsb[find_column(samples.columns, name, "--lsb")] = value
    return lsb


def _recorded_lsb(samples: Samples, record: dict, options: LoadingOptions) -> np.ndarray:
    """What a count is worth in each column; older models have it among the options that their data were read with."""
    usual = 1.0 if "lsb" in record else options.lsb.get(LSB_ALL, 1.0)
    worth = _numbers_of(record, "lsb") or options.lsb
    return np.array([float(worth.get(column, usual)) for column in samples.columns])


def _dataset(
    path: Path,
    inputs: Inputs,
    parts: Parts,
    options: LoadingOptions,
    rule: str,
    lsb: np.ndarray | None,
    model: QuantizedModel | None = None,
    medians: dict[str, float] | None = None,
) -> Dataset:
    """The parts as counts or bytes; a `model` fills them with its medians and makes inputs of them."""
    samples = inputs.samples
    x, notes, worth = samples.values, samples.notes, {}
    if lsb is not None:
        columns = samples.columns
        notes += tuple(_count_notes(samples, lsb))
        x = counts.to_counts(x, lsb)
        medians = _fill_missing(inputs, x, parts[0], medians)
        worth = {name: value for name, value in zip(columns, lsb.tolist(), strict=True) if value != 1}
    if inputs.start is None:
        x = x.reshape(len(x), -1)
        splits = [Split(x[part], samples.classes[part]) for part in parts]
    else:
        starts = inputs.start.astype(np.int32)
        splits = [Split(series.Windows(x, starts[part], inputs.window), samples.classes[part]) for part in parts]
    data = Dataset(
        path.resolve().name,
        inputs.shape,
        samples.labels,
        *splits,
        split_rule=rule,
        rate_hz=samples.rate_hz,
        columns=samples.columns,
        options=options,
        label_columns=samples.label_columns,
        lsb=worth,
        medians=medians or {},
        notes=notes,
        noise=noise_parts(samples.noise) if samples.noise else (),
        is_kept_apart=inputs.start is not None or samples.groups is not None or _names_validation(samples),
    )
    if model is None:
        return data
    if model.front_end is not None:
        data = data.with_front_end(model.front_end)
    elif data.has_counts:
        data = replace(data, test=replace(data.test, samples=data.test.x))
    return data.with_inputs(model.input_quantization) if data.has_counts else data


def _names_validation(samples: Samples) -> bool:
    return samples.part is not None and bool((samples.part == PARTS.index("validation")).any())


def _fill_missing(inputs: Inputs, x: np.ndarray, train: np.ndarray, medians: dict[str, float] | None) -> dict[str, int]:
    """Replace missing counts of `x` by their column's median over the training part, or by that in `medians`."""
    values, columns = inputs.samples.values, inputs.samples.columns
    found: dict[str, int] = {}
    if values.ndim != 2 or values.dtype.kind != "f":
        return found
    for index, name in enumerate(columns):
        is_missing = np.isnan(values[:, index])
        if not is_missing.any():
            continue
        if medians is not None:
            median = medians.get(name)
            if median is None:
                raise SignbitError(
                    f"column {shown(name)!r} lacks values, and the model has no median for it; fill them in"
                )
        else:
            rows, _ = inputs.rows(train)
            there = rows[~is_missing[rows]]
            median = np.rint(np.median(x[there, index])) if len(there) else 0
        found[name] = int(np.clip(median, np.iinfo(np.int16).min, np.iinfo(np.int16).max))
        x[is_missing, index] = found[name]
    return found if medians is None else {name: int(value) for name, value in medians.items()}


def _count_notes(samples: Samples, lsb: np.ndarray) -> list[str]:
    """What columns lose as counts, one line each."""
    columns, values = samples.columns, samples.values
    notes = []
    clamped = counts.check_range(values, lsb, columns)
    for index in np.flatnonzero(clamped)[:NOTES_MAX]:
        notes.append(
            f"column {shown(columns[index])!r}: {counted(clamped[index], 'value')} beyond int16 with counts of "
            f"{lsb[index]:g}, clamped to its ends"
        )
    for index in counts.coarse_columns(values, lsb)[:NOTES_MAX]:
        notes.append(
            f"column {shown(columns[index])!r} covers few counts of {lsb[index]:g}, so that rounding loses part of it; "
            "give it a smaller --lsb, or subtract a constant from it"
        )
    return notes


def _relabelled(inputs: Inputs, model: QuantizedModel) -> Samples:
    """The samples with the model's labels; raises SignbitError if they are not what it takes.

    A model with a reject also takes samples of other classes, which become UNKNOWN.
    """
    samples = inputs.samples
    unknown = sorted(set(samples.labels) - set(model.labels))
    if unknown and model.reject is None:
        labels = ", ".join(map(shown, model.labels[:20]))
        raise SignbitError(f"class {shown(unknown[0])!r} is not one of the model's, which are {labels}")
    wanted = model.sensor_shape or model.input_shape
    if inputs.shape != wanted:
        raise SignbitError(f"the data have inputs of {inputs.shape}, but the model takes {wanted}")
    if (samples.values.dtype != np.uint8) != (model.sensor_shape is not None):
        kinds = ["bytes as they come", "sensor counts"]
        wants, has = kinds if model.sensor_shape is None else kinds[::-1]
        raise SignbitError(f"the data are {has}, but the model takes {wants}")
    rate_hz = model.front_end.rate_hz if model.front_end else 0
    if rate_hz and samples.rate_hz and samples.rate_hz != rate_hz:
        raise SignbitError(f"the data have {samples.rate_hz} samples a second, but the model takes {rate_hz}")
    index = np.array([UNKNOWN if label in unknown else model.labels.index(label) for label in samples.labels])
    return replace(samples, classes=index[samples.classes], labels=model.labels)


def _texts_of(record: dict, name: str) -> tuple[str, ...]:
    values = record.get(name, [])
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise SignbitError(f"the model's {name} can't be understood; its file is damaged")
    return tuple(values)


def _numbers_of(record: dict, name: str) -> dict[str, float]:
    values = record.get(name, {})
    if not isinstance(values, dict) or not all(
        isinstance(value, int | float) and not isinstance(value, bool) for value in values.values()
    ):
        raise SignbitError(f"the model's {name} can't be understood; its file is damaged")
    return values
