"""Samples as inputs: as they are, or windows of a time series; those of rare classes left out, silence added."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from signbit.qmodel.counted import counted
from signbit.qmodel.data import series, silence
from signbit.qmodel.data.readers.loading import LoadingOptions
from signbit.qmodel.data.readers.samples import Samples
from signbit.qmodel.data.silence import Parts
from signbit.qmodel.data.split import SAMPLES_MIN
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.model import INPUT_SIZE_MAX, check_labels
from signbit.qmodel.untrusted import shown
from signbit.qmodel.value import size_of


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


def inputs_of(path: Path, samples: Samples, options: LoadingOptions) -> tuple[Inputs, LoadingOptions]:
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
        example = min(lengths.min(), 128) if samples.rate_hz is None else np.bincount(lengths).argmax()
        raise SignbitError(
            f"{shown(path.name)}: its recordings have {lengths.min()} to {lengths.max()} rows; say how many make an "
            f"input, --window {example} for example"
        )
    return int(lengths[0])


def without_rare(path: Path, inputs: Inputs, options: LoadingOptions) -> tuple[Inputs, LoadingOptions]:
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


def check(path: Path, inputs: Inputs) -> None:
    """Raises SignbitError where nothing can be learned from the inputs."""
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


def with_silence(inputs: Inputs, parts: Parts) -> tuple[Inputs, Parts]:
    """The same with a class of silence, where there is noise for it."""
    if not inputs.samples.noise:
        return inputs, parts
    samples, start, parts = silence.with_silence(inputs.samples, inputs.start, inputs.window, parts)
    return replace(inputs, samples=samples, start=start), parts
