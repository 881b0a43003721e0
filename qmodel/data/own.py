"""Own data: from a path to a data set, split and quantized."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from signbit.qmodel.data import series
from signbit.qmodel.data.dataset import Dataset, Split
from signbit.qmodel.data.readers.csv_file import read_csv
from signbit.qmodel.data.readers.idx_folder import has_idx, read_idx_folder
from signbit.qmodel.data.readers.image_folder import read_images
from signbit.qmodel.data.readers.loading import LoadingOptions
from signbit.qmodel.data.readers.npz_file import read_npz
from signbit.qmodel.data.readers.samples import Samples
from signbit.qmodel.data.split import (
    SAMPLES_MIN,
    VALIDATION_EVERY,
    check_parts,
    every_nth,
    split_groups,
    split_rule,
    split_samples,
)
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.input_quantization import fit
from signbit.qmodel.model import INPUT_SIZE_MAX, QuantizedModel, check_labels
from signbit.qmodel.value import size_of

Parts = tuple[np.ndarray, np.ndarray, np.ndarray]


def load_own(path: Path, options: LoadingOptions, model: QuantizedModel | None = None) -> Dataset:
    """The data set in `path`: a .npz, a .csv, a folder with a folder of images a class, or one with IDX files.

    Counts become uint8 inputs by a quantization fitted to the training part.  For a `model` that is there already, its
    quantization and labels are taken instead.  Raises SignbitError with what is wrong with the data.
    """
    samples = read(path, options)
    if options.window is not None:
        samples = series.cut(samples, options)
    if model is not None:
        samples = _relabelled(samples, model)
    _check(path, samples)
    parts, rule = _split(samples, options.fold)
    quantization = None
    x = samples.values
    if x.dtype == np.int16:
        quantization = fit(x[parts[0]]) if model is None else model.input_quantization
        x = quantization.run(x)
    x = x.reshape(len(x), -1)
    return Dataset(
        path.resolve().name,
        samples.values.shape[1:],
        samples.labels,
        *(Split(x[part], samples.classes[part]) for part in parts),
        split_rule=rule,
        quantization=quantization,
        columns=samples.columns,
        options=options,
    )


def read(path: Path, options: LoadingOptions) -> Samples:
    """The samples, or the rows of a time series, as they stand in `path`."""
    if path.is_dir():
        return (read_idx_folder if has_idx(path) else read_images)(path, options)
    readers = {".npz": read_npz, ".csv": read_csv}
    if path.suffix.lower() not in readers:
        raise SignbitError(f"--data {path.name}: must be a .npz, a .csv or a folder")
    return readers[path.suffix.lower()](path, options)


def _check(path: Path, samples: Samples) -> None:
    if len(samples.labels) < 2:
        raise SignbitError(f"{path.name}: all samples are of class {samples.labels[0]!r}; it takes two classes")
    check_labels(samples.labels, len(samples.labels))
    shape = samples.values.shape[1:]
    if size_of(shape) > INPUT_SIZE_MAX:
        raise SignbitError(f"{path.name}: inputs of {shape} have more than {INPUT_SIZE_MAX} values")


def _split(samples: Samples, fold: int) -> tuple[Parts, str]:
    """Indices of the training, validation and test part, and the rule in words."""
    classes = samples.classes
    if samples.groups is not None:
        parts = split_groups(classes, samples.groups, fold)
        check_parts(classes, parts, samples.labels)
        return parts, f"groups together, stratified by their commonest class: {split_rule(fold)}"
    if samples.is_test is not None:
        if fold:
            raise SignbitError("--fold means nothing for data with their own test part; leave it out")
        train, validation = every_nth(classes, np.flatnonzero(~samples.is_test), VALIDATION_EVERY)
        parts = train, validation, np.flatnonzero(samples.is_test)
        check_parts(classes, parts, samples.labels)
        return parts, f"the data set's own test; validation stratified, every {VALIDATION_EVERY}th training sample"
    counts = np.bincount(classes, minlength=len(samples.labels))
    present = counts > 0
    if counts[present].min() < SAMPLES_MIN:
        label = samples.labels[np.flatnonzero(present & (counts < SAMPLES_MIN))[0]]
        count = counts[samples.labels.index(label)]
        raise SignbitError(
            f"class {label!r} has only {count} of the {SAMPLES_MIN} samples that the split needs; "
            f"add some or leave it out, if it is a class at all"
        )
    return split_samples(classes, fold), f"stratified: {split_rule(fold)}"


def _relabelled(samples: Samples, model: QuantizedModel) -> Samples:
    """The samples with the model's labels; raises SignbitError if they are not what it takes."""
    unknown = sorted(set(samples.labels) - set(model.labels))
    if unknown:
        raise SignbitError(f"class {unknown[0]!r} is none of the model's, which are {', '.join(model.labels)}")
    shape = samples.values.shape[1:]
    if shape != model.input_shape:
        raise SignbitError(f"the data have inputs of {shape}, but the model takes {model.input_shape}")
    if (samples.values.dtype == np.int16) != (model.input_quantization is not None):
        kinds = ["bytes as they come", "sensor counts"]
        wants, has = kinds if model.input_quantization is None else kinds[::-1]
        raise SignbitError(f"the data are {has}, but the model takes {wants}")
    index = np.array([model.labels.index(label) for label in samples.labels])
    return replace(samples, classes=index[samples.classes], labels=model.labels)
