"""Everything that decides what a training run does, each option declared once, and the defaults."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from signbit.qmodel.data.named import NAMES, Dataset
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.front_end import LOGMEL, NONE, FrontEnd, make, usual_frame
from signbit.qmodel.front_end import OPTIONS as FRONT_ENDS
from signbit.qmodel.input_quantization import PIECES_MAX, THRESHOLDS_MAX, Thermometer, fit
from signbit.qmodel.integer import FAN_IN_MAX
from signbit.qmodel.layer import LAYERS_MAX
from signbit.qmodel.option_types import choice, counted, joined, number, parametrized, share, text, whole
from signbit.qmodel.options import Options, option, value_text
from signbit.qmodel.value import Shape
from signbit.trainer.learning.augment import AUGMENTATIONS, FLIPS
from signbit.trainer.learning.optim import OPTIMIZERS, SCHEDULES
from signbit.trainer.learning.reject import check_count
from signbit.trainer.network import presets
from signbit.trainer.network.architecture import Architecture, architecture_text, mlp, parse, read_toml, resolve
from signbit.trainer.network.weights import BINARIZATIONS

PERCEPTRONS = ("logistic", "mlp")
AUTO = "auto"
"""The model that `signbit.trainer.learning.auto` replaces by another."""
EPOCHS_MAX = 100_000
IMAGE_OPTIONS = ("augment", "flip")
SOUND = "sound"
"""The augmentation of samples before a front end."""
SOUND_BOUNDS = {"copies": (1, 100), "shift": (0, 50), "gain": (0, 40), "speed": (0, 50), "noise": (0, 60)}
OWN_SAMPLES_SHOWN = 150_000
"""Own training samples that a run shows the network by default, over all its epochs."""
TABLE_SAMPLES_SHOWN = 800_000
"""The same of a table, whose samples are small."""
OWN_EPOCHS = 10, 120
"""Fewest and most by default."""


@dataclass(frozen=True, kw_only=True)
class Settings(Options):
    """One run.  The same settings and data give the same model, byte for byte.

    An option without a default here has one in `DEFAULTS` or `LR`, by data and network.
    """

    data: str = option(text("DATA"), f"{', '.join(NAMES)}, or the path of a .npz, .csv or folder")
    model: str = option(
        text("MODEL"), f"{AUTO}, {', '.join((*PERCEPTRONS, *presets.NAMES))}, a FILE.toml, or layers as a line of text"
    )
    hidden: tuple[int, ...] = option(
        joined(whole(1, FAN_IN_MAX, "N,N,..."), ",", 0, LAYERS_MAX - 1), "sizes of an mlp's hidden layers"
    )
    front_end: str = option(
        parametrized("KIND[:NAME=N,...]", FRONT_ENDS),
        "features made from windows of samples, as a part of the model: logmel, the power in bands of frequency that "
        "are as wide as the ear's; spectrum, in bands of one width; stats, mean, deviation, energy, zero crossings and "
        "bands of each channel; numbers are bands, frame, hop, steps an octave, and rate for logmel",
        NONE,
        default_text="logmel for sound files, none for all else",
    )
    input_encoding: str = option(
        counted("KIND[:N]", {"affine": None, "pieces": (1, PIECES_MAX), "thermometer": (1, THRESHOLDS_MAX)}),
        "how a sensor's counts become inputs: affine, 8 bits spread evenly over a column's range; pieces, the same in "
        "N pieces of as many samples each; thermometer, one-bit comparisons with up to N thresholds",
        "affine",
    )
    binarize: str = option(
        choice(BINARIZATIONS),
        "weights as sign(latent), as random signs while training, or real numbers",
        "deterministic",
    )
    optimizer: str = option(choice(OPTIMIZERS), "how gradients change the weights", "adam")
    schedule: str = option(choice(SCHEDULES), "how the learning rate changes from start to end", "cosine")
    epochs: int = option(
        whole(1, EPOCHS_MAX),
        f"passes over the training part; for own data {OWN_EPOCHS[0]} to {OWN_EPOCHS[1]}, fewer for more samples",
    )
    frozen_epochs: int = option(
        whole(0, EPOCHS_MAX),
        "the last epochs, trained through the integers of the model file",
        0,
        idle=("binarize", "none"),
    )
    batch_size: int = option(whole(2, 1_000_000), "training inputs in a step")
    lr: float = option(
        number("RATE", 0, ends="()"),
        "learning rate at the start",
        default_text="by model, weights, optimizer and scaling; the result names it",
    )
    lr_scaling: str = option(
        choice(("none", "glorot")),
        "scale the latent weights' rates by their layer's size, as in the paper",
        "none",
        idle=("binarize", "none"),
    )
    norm_rate: float = option(
        number("FACTOR", 0, ends="()"), "multiplies the learning rate of batch norm's scale and shift"
    )
    logit_gamma: float = option(
        number("GAMMA", 0, ends="()"), "scale of the last batch norm at the start: how sure the first answers are"
    )
    augment: str = option(
        parametrized("KIND[:NAME=N,...]", {kind: {} for kind in AUGMENTATIONS} | {SOUND: SOUND_BOUNDS}),
        "move, turn and bend images at random, own ones only if it is given; sound: train on copies of each sound "
        "too, moved by up to shift % of its length, louder and quieter by up to gain dB, faster and slower by up to "
        "speed %, with the noise of --noise (white noise without) at least noise dB below; copies says how many",
    )
    augment_amount: float = option(number("FACTOR", 0, ends="()"), "multiplies how far")
    mild_epochs: int = option(
        whole(0, EPOCHS_MAX), "the last epochs, in which images are moved half as far", 0, idle=("augment", "none")
    )
    flip: str = option(
        choice(FLIPS), "mirror images at random, each with even odds: left to right, top to bottom, or both", "none"
    )
    input_noise: float = option(
        number("SPREAD", 0, 255), "standard deviation of noise added to inputs, whose values are 0 to 255", 0.0
    )
    dropout: float = option(
        number("PART", 0, 1, "[)"), "part of each dense layer's inputs left out in training, at random", 0.0
    )
    label_smoothing: float = option(number("PART", 0, 1, "[)"), "part of the target given to all classes", 0.0)
    class_weights: str = option(choice(("none", "balanced")), "balanced: rare classes count more", "none")
    high: int = option(whole(1, 255), "largest activation; up to 127 inputs have 7 bits too", 127)
    reject: float = option(
        share("RATE"),
        "let the model refuse inputs that it is least sure of: at most this share of each class's validation inputs, "
        "0.05 or 5%; 0 for none",
        0.0,
        idle=("binarize", "none"),
    )
    seed: int = option(whole(0, 2**63 - 1), "start of the random numbers; the same seed gives the same model", 0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.hidden and self.model != "mlp":
            raise SignbitError(
                f"model {self.model} has no hidden layers to size; leave out --hidden or choose --model mlp"
            )
        if self.is_sound_augmented and self.mild_epochs:
            raise SignbitError("--mild-epochs is for images, but --augment is for sound; leave one of them out")
        for name in ("frozen_epochs", "mild_epochs"):
            if getattr(self, name) >= self.epochs:
                raise SignbitError(
                    f"{self.flag(name)} is {getattr(self, name)}, but must be below --epochs, {self.epochs}"
                )

    @property
    def is_sound_augmented(self) -> bool:
        """Training takes copies of its sounds."""
        return self.augment.partition(":")[0] == SOUND

    @classmethod
    def default_text(cls, name: str) -> str:
        return _default_text(DEFAULTS[name]) if name in DEFAULTS else super().default_text(name)

    def architecture(self, input_shape: Shape, classes: int) -> Architecture:
        """The layers, with the sizes that the data decide; raises SignbitError where settings don't fit these."""
        for name in IMAGE_OPTIONS:
            if name == "augment" and self.is_sound_augmented:
                continue
            if (value := getattr(self, name)) != "none" and len(input_shape) != 3:
                flag = self.flag(name)
                raise SignbitError(f"{flag} {value} is for images, but the inputs are {input_shape}; use {flag} none")
        if self.model in PERCEPTRONS:
            return resolve(mlp(self.hidden), input_shape, classes)
        return resolve(parse(presets.text(self.model, input_shape)), input_shape, classes)

    def prepared(self, data: Dataset) -> Dataset:
        """The data set with features by `front_end` and inputs by `input_encoding`, fitted to the training part.

        Raises SignbitError for a data set of bytes, which has nothing to encode, and for one with too few validation
        inputs for `reject`.
        """
        check_count(self.reject, len(data.validation))
        data = fronted(data, self.front_end)
        if data.has_counts:
            data = data.with_inputs(fit(self.input_encoding, *data.training_rows))
        elif data.quantization is None and self.input_encoding != "affine":
            raise SignbitError(f"--input-encoding is for a sensor's counts, but {data.name} has bytes; leave it out")
        if self.is_sound_augmented and data.front_end is None:
            raise SignbitError(
                f"--augment {SOUND} changes samples before a front end, but {data.name} has none; see --front-end"
            )
        if self.input_noise and isinstance(data.quantization, Thermometer):
            raise SignbitError("--input-noise is for 8-bit inputs; leave it out or choose another --input-encoding")
        return data

    def recorded(self) -> dict:
        """All of them, so that other defaults give the same model."""
        return vars(self)

    def command(self, name: str, out: str | None, loading: Sequence[str] = ()) -> str:
        """The command line that makes this run again, every option written out.

        `out` is a bare file name, as `data` is one of own data; `loading` are the words that say how these are read.
        """
        place = ["--out", out] if out else []
        return shlex.join(["signbit", "train", *self.words(), "--name", name, *place, *loading])


# fmt: off
DEFAULTS = {
    #                  perceptrons          convolutions
    #                  digits    mnist      digits    mnist
    "model":          ("mlp",    "small",   "mlp",    "small"),
    "hidden":         ((64,),    (128,),    (),       ()),
    "epochs":         (120,      15,        100,      8),
    "batch_size":     (32,       100,       50,       50),
    "norm_rate":      (1.0,      1.0,       0.1,      0.1),
    "logit_gamma":    (1.0,      1.0,       3.0,      3.0),
    "augment":        ("none",   "none",    "affine", "affine"),
    "augment_amount": (1.0,      0.6,       1.0,      0.6),
}
"""Chosen on the validation parts.  Own data are taken for a set as small as the digits, except for `own_defaults`."""

LR = {
    # optimizer, weights          perceptrons         convolutions
    #                             logistic  mlp       digits    mnist
    ("adam", "float"):           (0.003,    0.003,    0.006,    0.003),
    ("adam", "latent"):          (0.1,      0.03,     0.02,     0.01),
    ("adam", "latent, glorot"):  (0.004,    0.002,    0.002,    0.001),
    ("sgd", "float"):            (0.1,      0.1,      0.2,      0.1),
    ("sgd", "latent"):           (1.0,      1.0,      2.0,      1.0),
    ("sgd", "latent, glorot"):   (0.01,     0.01,     0.02,     0.01),
}
"""Learning rates.  Latent weights are larger than float ones (`signbit.trainer.learning.optim.glorot_rate`), and so are
their rates; few data mean few steps, which have to be larger."""
# fmt: on


def fronted(data: Dataset, front_end: str) -> Dataset:
    """The data set with the features of the front end that is named, if it hasn't got them."""
    made = _front_end(data, front_end)
    return data if made is None else data.with_front_end(made)


def fronted_shape(data: Dataset, front_end: str) -> Shape:
    """The shape of the features."""
    made = _front_end(data, front_end)
    return data.input_shape if made is None else made.features_shape


def _front_end(data: Dataset, front_end: str) -> FrontEnd | None:
    if data.front_end is not None:
        return None
    if front_end != NONE and not data.has_counts:
        raise SignbitError(f"--front-end is for a sensor's samples, but {data.name} has bytes; leave it out")
    return make(front_end, data.input_shape, data.rate_hz)


def own_front_end(data: Dataset) -> str:
    """The front end for own data: that of sound where an input is long enough to have frames."""
    is_sound = data.rate_hz is not None and len(data.input_shape) == 3
    return (
        LOGMEL if is_sound and data.input_shape[0] >= usual_frame(LOGMEL, data.input_shape[0], data.rate_hz) else NONE
    )


def own_defaults(data: Dataset, front_end: str | None = None) -> dict:
    """Settings for own data, by what they are: perceptrons for vectors, convolutions for images and time series.

    `front_end` is the one that is given.
    """
    front_end = front_end or own_front_end(data)
    is_table = len(fronted_shape(data, front_end)) == 1
    shown = TABLE_SAMPLES_SHOWN if is_table else OWN_SAMPLES_SHOWN
    return {
        "data": data.name,
        "front_end": front_end,
        "model": AUTO if is_table else "small",
        "epochs": int(np.clip(shown // len(data.train), *OWN_EPOCHS)),
        # only an image's owner knows what may happen to it without changing its class
        "augment": "none",
    }


def default_settings(data: str = "digits", model: str | None = None, **given) -> Settings:
    """The default settings, replaced by what is `given` (by the names of `Settings`).

    `model` may also be the path of a TOML file, whose text form is kept.  Raises SignbitError for settings that can't
    be or don't go together.
    """
    is_mnist = data == "mnist"
    given = Settings.checked(given | {"data": data, "model": DEFAULTS["model"][is_mnist] if model is None else model})
    if given["model"].endswith(".toml"):
        given["model"] = architecture_text(read_toml(Path(given["model"])))
    is_perceptron = given["model"] in PERCEPTRONS
    column = is_mnist + (0 if is_perceptron else 2)
    values = Settings.defaults() | {name: row[column] for name, row in DEFAULTS.items()} | given
    if given["model"] == "logistic" and "hidden" not in given:
        values["hidden"] = ()
    weights = "latent, glorot" if values["lr_scaling"] == "glorot" else "latent"
    rates = LR[values["optimizer"], "float" if values["binarize"] == "none" else weights]
    rate = rates[PERCEPTRONS.index(given["model"]) if is_perceptron else column]
    return Settings(**({"lr": rate} | values))


def _default_text(row: tuple) -> str:
    """A row of `DEFAULTS` in words."""
    perceptrons, convolutions = (
        value_text(digits) if digits == mnist else f"{value_text(digits)} for digits, {value_text(mnist)} for mnist"
        for digits, mnist in (row[:2], row[2:])
    )
    return perceptrons if convolutions in ("", perceptrons) else f"{perceptrons}; with convolutions {convolutions}"
