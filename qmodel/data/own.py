"""Own data: from a path to a data set, split and quantized."""

from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from signbit.qmodel.counted import counted
from signbit.qmodel.data import counts, series
from signbit.qmodel.data.dataset import UNKNOWN, Dataset, Split
from signbit.qmodel.data.inputs import Inputs, check, inputs_of, with_silence, without_rare
from signbit.qmodel.data.readers.doubts import doubts
from signbit.qmodel.data.readers.loading import LSB_ALL, LoadingOptions
from signbit.qmodel.data.readers.roles import Wanted
from signbit.qmodel.data.readers.samples import Samples, find_column
from signbit.qmodel.data.reading import read
from signbit.qmodel.data.silence import SILENCE, Parts, noise_parts
from signbit.qmodel.data.split import (
    PARTS,
    VALIDATION_EVERY,
    check_parts,
    every_nth,
    split_groups,
    split_rule,
    split_samples,
)
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.model import QuantizedModel, check_labels
from signbit.qmodel.untrusted import shown

NOTES_MAX = 40
"""At most so many notes of the same kind."""


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
    inputs, options = inputs_of(path, samples, options)
    inputs, options = without_rare(path, inputs, options)
    check(path, inputs)
    parts, rule = _split(inputs.samples, options.fold)
    inputs, parts = with_silence(inputs, parts)
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
    inputs, _ = inputs_of(path, samples, options)
    samples = _relabelled(inputs, model)
    inputs = replace(inputs, samples=samples if SILENCE in model.labels else replace(samples, noise=()))
    check_labels(model.labels, len(model.labels))
    real = inputs.samples.values.dtype != np.uint8
    lsb = _recorded_lsb(inputs.samples, record, options) if real else None
    medians = _numbers_of(record, "medians")
    is_known = UNKNOWN not in inputs.samples.classes

    def make(parts: Parts, rule: str) -> Dataset:
        return _dataset(path, *with_silence(inputs, parts), options, rule, lsb, model, medians)

    try:
        if is_known and (dataset := make(*_split(inputs.samples, options.fold))).hash == record.get("hash"):
            return dataset
    except SignbitError:
        # too few groups, classes or samples for a split, which new data need not have
        pass
    none = np.empty(0, np.int64)
    return make((none, none, np.arange(len(inputs.samples.classes))), "all samples, which are new to the model")


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
