"""BinaryConnect as a scikit-learn classifier (docs/ESTIMATOR.md)."""

import numbers
import os
import textwrap
import warnings
from dataclasses import dataclass, field, fields, make_dataclass, replace

import numpy as np

from signbit import __version__
from signbit.qmodel.atomic import write_whole
from signbit.qmodel.counted import counted
from signbit.qmodel.data import counts
from signbit.qmodel.data.named import Dataset, Split
from signbit.qmodel.data.split import split_fraction
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.file import save
from signbit.qmodel.integer import REJECTED
from signbit.qmodel.model import check_labels, check_name
from signbit.qmodel.value import size_of
from signbit.trainer.learning.loss import softmax
from signbit.trainer.learning.reject import accepted_as_dict
from signbit.trainer.learning.run import Run, run
from signbit.trainer.learning.settings import Settings
from signbit.trainer.report.choice import settings_shown
from signbit.trainer.report.progress import Watch

try:
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.utils import check_random_state
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError:
    raise ImportError(
        'signbit.trainer.estimator needs scikit-learn 1.6 or newer; pip install "signbit[sklearn]"'
    ) from None

BY_POSITION = ("model", "hidden")
SETTINGS = tuple(item for item in fields(Settings) if item.name not in ("data", "seed"))
"""Those that are parameters: the data come to `fit`, and the seed is scikit-learn's `random_state`."""

Parameters = make_dataclass(
    "Parameters",
    [
        (
            item.name,
            item.type | None,
            field(default=Settings.defaults().get(item.name), kw_only=item.name not in BY_POSITION),
        )
        for item in SETTINGS
    ],
    eq=False,
    repr=False,
)


@dataclass(eq=False, repr=False, kw_only=True)
class BinaryConnectClassifier(ClassifierMixin, BaseEstimator, Parameters):
    """Classifier with one-bit weights, whose predictions are those of the microcontroller, bit for bit.

    X is a matrix (samples, features), or with `input_shape` (height, width, channels) a matrix of flattened images or
    windows.  uint8 is used unchanged.  All else becomes int16 sensor counts rint(x / lsb) first, and those become
    uint8 by the model's own quantization, which is fitted to X and exported with the model.

    Parameters of the estimator alone:

    `lsb`                   what a count is worth: a number, one for each column (channel of `input_shape`), or None for
                            `signbit.qmodel.data.counts.choose_lsb`
    `validation_fraction`   part of the samples, stratified by class, that choose the epoch instead of training
    `random_state`          the seed; the same whole number and data give the same model, byte for byte
    `name`                  of the model, and in front of every C symbol
    `verbose`               show the progress on stderr

    After `fit`: `classes_`, `n_features_in_`, `feature_names_in_` where X has names, `lsb_` (float64, one per column;
    None for uint8), `model_` (the `QuantizedModel`), `history_` (`signbit.trainer.learning.train.History`).

    All others are the options of `python -m trainer`, where None leaves the choice to the data:\n
    """

    input_shape: tuple[int, ...] | None = None
    lsb: object = None
    validation_fraction: float = 0.125
    random_state: object = 0
    name: str = "classifier"
    verbose: bool = False

    def fit(self, X, y):
        """Train on X, uint8 or real (samples, features), and classes y (samples,); returns self."""
        X, y = validate_data(self, X, y, dtype="numeric")
        check_classification_targets(y)
        self._check_parameters()
        self.classes_, classes = np.unique(y, return_inverse=True)
        data = self._dataset(X, classes)
        # what was given, then what own data get by default, then the trainer's defaults
        settings = settings_shown(data, self._given() | {"seed": self._seed()}, not self.verbose)
        data = settings.prepared(data)
        with Watch(settings.epochs, quiet=not self.verbose) as watch:
            done = run(settings, data, self.name, watch=watch)
        self.history_ = done.history
        self.model_ = replace(done.model, provenance=_provenance(done, data))
        return self

    def predict(self, X):
        """The integer model's class of each row of X."""
        predicted = self._logits(X).argmax(axis=1)
        return self.classes_[predicted]

    def predict_proba(self, X):
        """Softmax of the integer model's logits, float64 (samples, classes) in the order of `classes_`."""
        logits = self._logits(X)
        return softmax(logits * 2.0**-self.model_.logit_shift)

    def predict_or_reject(self, X, rejected=-1):
        """The class of each row of X, or `rejected` where PREFIX_predict_or_reject() refuses; needs `reject`.

        `rejected` is of the classes' type: a text where they are texts.
        """
        logits = self._logits(X)
        if self.model_.reject is None:
            raise SignbitError("fitted without a reject, so nothing is refused; give the estimator a rate as reject")
        decided = self.model_.decide(logits)
        return np.where(decided == REJECTED, rejected, self.classes_[decided])

    def counts(self, X):
        """The int16 counts that a sensor would give for X, (samples, features).

        PREFIX_quantize_input() takes them, or with a `front_end` PREFIX_features().
        """
        X = self._checked(X)
        if self.lsb_ is None:
            raise SignbitError("fitted to uint8, which is used unchanged: there are no counts")
        return counts.to_counts(self._shaped(X), self.lsb_).reshape(len(X), -1)

    def inputs(self, X):
        """The uint8 inputs that the integer model gets for X, (samples, features): what PREFIX_infer() takes."""
        check_is_fitted(self)
        if self.lsb_ is not None:
            return self.model_.inputs_from(self.counts(X))
        X = self._checked(X)
        as_bytes = X.astype(np.uint8)
        if not np.array_equal(as_bytes, X):
            raise SignbitError("fitted to uint8, but X has values that are not whole numbers from 0 to 255")
        return as_bytes

    def export(self, path, prefix=None, target="portable", optimize="speed", test_vectors=0):
        """Write the model as one C header, as `python -m codegen export` does."""
        check_is_fitted(self)
        # imported late so that training works without it
        from signbit.codegen.plan import make_plan
        from signbit.codegen.render import header_text

        write_whole(path, header_text(make_plan(self.model_, prefix, target, optimize, test_vectors)).encode())

    def save(self, path: str | os.PathLike) -> None:
        """Write the model as a file that `python -m codegen` and `signbit.qmodel.file.load` read."""
        check_is_fitted(self)
        save(self.model_, path)

    def _logits(self, X) -> np.ndarray:
        inputs = self.inputs(X)
        return self.model_.run(inputs)

    def _checked(self, X) -> np.ndarray:
        check_is_fitted(self)
        return validate_data(self, X, dtype="numeric", reset=False)

    def _shaped(self, X: np.ndarray) -> np.ndarray:
        """X in float64 with a last axis of columns, or of `input_shape`'s channels."""
        return X.astype(np.float64).reshape(len(X), *self._input_shape())

    def _input_shape(self) -> tuple[int, ...]:
        return (self.n_features_in_,) if self.input_shape is None else tuple(map(int, self.input_shape))

    def _columns(self) -> tuple[str, ...]:
        """Names of the columns, or of `input_shape`'s channels, counted from 1 where they have none."""
        names = getattr(self, "feature_names_in_", None)
        if names is not None and self.input_shape is None:
            return tuple(names)
        return tuple(str(number) for number in range(1, self._input_shape()[-1] + 1))

    def _dataset(self, X: np.ndarray, classes: np.ndarray) -> Dataset:
        """The training and the validation part, which also serves as the test part."""
        shape, columns = self._input_shape(), self._columns()
        if size_of(shape) != X.shape[1]:
            raise SignbitError(f"input_shape {shape} has {size_of(shape)} values, but X has {X.shape[1]} features")
        labels = tuple(map(_label, self.classes_.tolist()))
        check_labels(labels, len(labels))
        train, validation = split_fraction(classes, self.validation_fraction)
        if not len(validation):
            validation = train
        worth = {}
        if X.dtype == np.uint8:
            if self.lsb is not None:
                raise SignbitError("X is uint8 and used unchanged; leave out lsb")
            self.lsb_ = None
        else:
            values = self._shaped(X)
            self.lsb_ = self._find_lsb(values)
            self._warn_of_saturation(counts.check_range(values, self.lsb_, columns))
            X = counts.to_counts(values, self.lsb_)
            pairs = zip(columns, self.lsb_.tolist(), strict=True)
            worth = {column: value for column, value in pairs if value != 1}
        X = X.reshape(len(X), -1)
        parts = [Split(X[part], classes[part]) for part in (train, validation, validation)]
        rule = f"a part of {self.validation_fraction:g} of the training samples for validation, stratified"
        columns = () if self.lsb_ is None else columns
        return Dataset(self.name, shape, labels, *parts, rule, columns=columns, lsb=worth)

    def _warn_of_saturation(self, saturated: np.ndarray) -> None:
        for index in np.flatnonzero(saturated):
            warnings.warn(
                f"column {self._columns()[index]!r}: {counted(saturated[index], 'value')} beyond int16 with counts of "
                f"{self.lsb_[index]:g} and are clamped to its ends",
                UserWarning,
                stacklevel=4,
            )

    def _find_lsb(self, values: np.ndarray) -> np.ndarray:
        if self.lsb is None:
            chosen = counts.choose_lsb(values)
            for index in counts.coarse_columns(values, chosen):
                warnings.warn(
                    f"column {self._columns()[index]!r} lies far from 0 for how little it changes, so that counts of "
                    f"{chosen[index]:g} are coarse; subtract a constant from it",
                    UserWarning,
                    stacklevel=4,
                )
            return chosen
        lsb = np.asarray(self.lsb, np.float64)
        if lsb.ndim > 1 or (lsb.ndim == 1 and len(lsb) != values.shape[-1]):
            raise SignbitError(f"lsb has shape {lsb.shape}, but must be a number or one for each of {values.shape[-1]}")
        if not (np.isfinite(lsb) & (lsb > 0)).all():
            raise SignbitError("lsb is what a count is worth, so it must be above 0")
        return np.broadcast_to(lsb, values.shape[-1:]).copy()

    def _given(self) -> dict:
        """The settings that are not left to the data."""
        values = {item.name: getattr(self, item.name) for item in SETTINGS}
        return Settings.checked({name: value for name, value in values.items() if value is not None})

    def _seed(self) -> int:
        if isinstance(self.random_state, numbers.Integral):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _check_parameters(self) -> None:
        """Raises SignbitError for the first parameter with an impossible value."""
        check_name(self.name)
        if self._given()["binarize"] == "none":
            raise SignbitError("binarize is 'none', but float weights have no integer model; leave it out")
        if not 0 < self.validation_fraction <= 0.5:
            raise SignbitError(f"validation_fraction is {self.validation_fraction!r}, but must be above 0, at most 0.5")


# python -OO takes docstrings away
BinaryConnectClassifier.__doc__ = (BinaryConnectClassifier.__doc__ or "") + "\n".join(
    textwrap.fill(
        Settings.declared()[item.name].help,
        width=120,
        initial_indent=f"    {f'`{item.name}`':24}",
        subsequent_indent=" " * 28,
    )
    for item in SETTINGS
)


def _label(value) -> str:
    """A class's name in the model: whole numbers without a decimal point, as the trainer's own readers give them."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _provenance(done: Run, data: Dataset) -> dict:
    """How the model was made; there was no test part, and no command makes it again."""
    record = done.model.provenance
    validation = {part: kept for part, kept in done.accepted.items() if part == "validation"}
    reject = {"rate": done.settings.reject, **accepted_as_dict(validation)}
    no_test = replace(data, test=Split(data.test.x[:0], data.test.y[:0]))
    return {
        "estimator": "BinaryConnectClassifier",
        "signbit": __version__,
        "data": no_test.as_dict(),
        "settings": record["settings"],
        "epoch": record["epoch"],
        "accuracy": {"validation": record["accuracy"]["validation"]},
        **({"reject": reject} if validation else {}),
    }
