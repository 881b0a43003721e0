"""A data set in three parts."""

import hashlib
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from signbit.qmodel.data.readers.loading import LoadingOptions
from signbit.qmodel.data.series import Windows
from signbit.qmodel.front_end import FrontEnd
from signbit.qmodel.input_quantization import InputQuantization, Thermometer, to_inputs
from signbit.qmodel.value import Encoding, size_of

UNKNOWN = -1
"""Class of a sample whose label a model does not know."""
HASH_SAMPLES = 1000
"""Inputs hashed at once."""
WINDOWS_AT_ONCE = 256
"""Whose samples are gathered for the front end, so that memory stays bounded."""


@dataclass(frozen=True, eq=False)
class Split:
    """Inputs `x` and classes `y`, int64 (n,).

    Inputs are uint8 (n, bytes), as a device gets them, or int16 counts (n, counts) to be converted to them.
    """

    x: np.ndarray | Windows
    y: np.ndarray
    samples: np.ndarray | Windows | None = None
    """What `x` was made from, int16 (n, numbers): a front end's samples, or the counts of a model's test part."""

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Three parts: `train` for the weights, `validation` for every choice, `test` read once at the end."""

    name: str
    input_shape: tuple[int, ...]
    labels: tuple[str, ...]
    train: Split
    validation: Split
    test: Split
    split_rule: str
    quantization: InputQuantization | None = None
    """How the inputs were made from counts; None if the data are bytes already."""
    front_end: FrontEnd | None = None
    """How the counts, or the inputs, were made from samples; None if they are what the sensor gives."""
    rate_hz: int | None = None
    """Rows of a time series a second, if the data say it."""
    columns: tuple[str, ...] = ()
    """Names of the last axis of what the sensor gives, if it has names."""
    options: LoadingOptions | None = None
    """How own data were read; None for a data set that has a name."""
    label_columns: tuple[str, ...] = ()
    lsb: dict[str, float] = field(default_factory=dict)
    """What a count of a column is worth, where it is not 1."""
    medians: dict[str, int] = field(default_factory=dict)
    """Counts that replace missing ones, by column."""
    notes: tuple[str, ...] = ()
    """What was guessed, chosen and left out in reading, one line each."""
    noise: tuple[np.ndarray, ...] = ()
    """Background noise of sounds, for each part: int16 rows (rows, channels); empty where there is none."""
    is_kept_apart: bool = False
    """Training and validation part may not be mixed: they have no group in common, or were given."""

    @property
    def is_whole(self) -> bool:
        """All samples are in `test`: the data are new to the model."""
        return not len(self.train)

    @property
    def has_counts(self) -> bool:
        """Whether the inputs still have to be made from a sensor's counts (`with_inputs`)."""
        return self.test.x.dtype == np.int16

    @property
    def encoding(self) -> Encoding:
        """How the inputs are encoded."""
        return Encoding.BIT if isinstance(self.quantization, Thermometer) else Encoding.UINT8

    @property
    def training_rows(self) -> tuple[np.ndarray, np.ndarray | None]:
        """The training part's counts (rows, ..., channels), and how often each row counts, None for once."""
        x = self.train.x
        return x.rows if isinstance(x, Windows) else (x.reshape(len(x), *self.input_shape), None)

    def with_inputs(self, quantization: InputQuantization) -> "Dataset":
        """The data set with the inputs that `quantization` makes from its counts."""
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        if isinstance(self.test.x, Windows):
            rows = to_inputs(quantization, self.test.x.series)
            made = {name: replace(part, x=part.x.of(rows)) for name, part in parts.items()}
        else:
            made = {
                name: replace(part, x=to_inputs(quantization, part.x.reshape(len(part), *self.input_shape)))
                for name, part in parts.items()
            }
        shape = quantization.value(self.input_shape).shape
        return replace(self, input_shape=shape, quantization=quantization, **made)

    def with_front_end(self, front_end: FrontEnd) -> "Dataset":
        """The data set with the features that `front_end` makes from its samples: bytes, or counts."""
        made = {
            name: Split(_features(front_end, part.x), part.y, part.x)
            for name, part in (("train", self.train), ("validation", self.validation), ("test", self.test))
        }
        return replace(self, input_shape=front_end.features_shape, front_end=front_end, **made)

    def inputs_from(self, samples: np.ndarray | Windows) -> np.ndarray:
        """Inputs, uint8 (n, bytes), of other samples (n, samples), by the front end and the quantization."""
        features = _features(self.front_end, samples)
        if self.quantization is None:
            return features
        return to_inputs(self.quantization, features.reshape(-1, *self.front_end.features_shape)).reshape(
            len(samples), -1
        )

    @cached_property
    def hash(self) -> str:
        """SHA-256 over every input and class, part by part: it changes with the data and with the split."""
        digest = hashlib.sha256()
        for part in (self.train, self.validation, self.test):
            digest.update(len(part).to_bytes(8, "little"))
            for start in range(0, len(part), HASH_SAMPLES):
                digest.update(part.x[start : start + HASH_SAMPLES].tobytes())
            digest.update(part.y.astype("<i8").tobytes())
        return digest.hexdigest()

    def as_dict(self) -> dict:
        """What a model says about the data it was made from: plain JSON values, no path."""
        values = {
            "name": self.name,
            "hash": self.hash,
            "train": len(self.train),
            "validation": len(self.validation),
            "test": len(self.test),
            "split_rule": self.split_rule,
        }
        if self.columns:
            values["columns"] = list(self.columns)
        values |= {"label_columns": list(self.label_columns)} if self.label_columns else {}
        values |= {name: value for name in ("lsb", "medians") if (value := getattr(self, name))}
        if self.options is not None:
            values["options"] = self.options.as_dict()
        return values


def _features(front_end: FrontEnd, samples: np.ndarray | Windows) -> np.ndarray:
    """(n, features) of (n, samples)."""
    shape = front_end.samples_shape
    parts = [front_end.run(np.empty((0, *shape), np.int16))]
    for start in range(0, len(samples), WINDOWS_AT_ONCE):
        parts.append(front_end.run(samples[start : start + WINDOWS_AT_ONCE].reshape(-1, *shape)))
    return np.concatenate(parts).reshape(-1, size_of(front_end.features_shape))
