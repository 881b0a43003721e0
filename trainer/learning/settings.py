"""Everything that decides what a training run does, and the defaults."""

import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from signbit.qmodel.errors import SignbitError
from signbit.qmodel.value import Shape
from signbit.trainer.network import presets
from signbit.trainer.network.architecture import Architecture, architecture_text, mlp, parse, read_toml, resolve

DATA_SETS = ("digits", "mnist")
LR_SCALINGS = ("none", "glorot")
CLASS_WEIGHTS = ("none", "balanced")


@dataclass(frozen=True)
class Settings:
    """One run.  The same settings and data give the same model, byte for byte."""

    data: str
    model: str
    """`mlp`, `logistic`, a preset, or the text of an architecture."""
    hidden: tuple[int, ...]
    """Sizes of an mlp's hidden layers; empty for all others."""
    binarize: str
    optimizer: str
    schedule: str
    epochs: int
    frozen_epochs: int
    """The last of `epochs`, trained through the integers of the model file."""
    batch_size: int
    lr: float
    """At the start; `schedule` says how it goes on."""
    lr_scaling: str
    norm_rate: float
    """Multiplies the learning rate of batch norm's gamma and beta."""
    logit_gamma: float
    """The last batch norm's gamma at the start: how sure the first answers are."""
    augment: str
    augment_amount: float
    """Multiplies how far warps go."""
    mild_epochs: int
    """The last of `epochs`, in which warps go half as far (`signbit.trainer.learning.train.MILD_FACTOR`)."""
    input_noise: float
    """Standard deviation of noise added to the inputs, whose values are 0 to 255."""
    dropout: float
    """Part of each dense layer's inputs that is left out in training."""
    label_smoothing: float
    class_weights: str
    high: int
    """Largest activation."""
    seed: int

    @classmethod
    def names(cls) -> tuple[str, ...]:
        return tuple(field.name for field in fields(cls))

    def architecture(self, input_shape: Shape, classes: int) -> Architecture:
        """The layers, with the sizes that the data decide; raises SignbitError where they don't fit."""
        if self.model in PERCEPTRONS:
            return resolve(mlp(self.hidden), input_shape, classes)
        return resolve(parse(presets.text(self.model, input_shape)), input_shape, classes)

    def as_dict(self) -> dict:
        return {**asdict(self), "hidden": list(self.hidden)}

    @classmethod
    def from_dict(cls, values: dict) -> "Settings":
        """`as_dict`'s inverse; raises TypeError for keys that settings don't have."""
        return cls(**values | {"hidden": tuple(values["hidden"])})

    def command(self, name: str, out: str | None, loading: Sequence[str] = ()) -> str:
        """The command line that makes this run again, every option written out.

        `out` is a bare file name, as `data` is one of own data; `loading` are the words that say how these are read.
        """
        options = {key.replace("_", "-"): value for key, value in asdict(self).items()}
        options["hidden"] = ",".join(map(str, self.hidden))
        options |= {"name": name, "out": out}
        words = ["python", "-m", "trainer", "train"]
        for option, value in options.items():
            if value not in ("", None):
                words += [f"--{option}", str(value)]
        return shlex.join([*words, *loading])


PERCEPTRONS = ("logistic", "mlp")
MODEL = {"digits": "mlp", "mnist": "small"}
HIDDEN = {"digits": (64,), "mnist": (128,)}
EPOCHS = {"digits": 120, "mnist": 15}
CONV_EPOCHS = {"digits": 100, "mnist": 8}
BATCH_SIZE = {"digits": 32, "mnist": 100}
CONV_BATCH_SIZE = {"digits": 50, "mnist": 50}
AUGMENT_AMOUNT = {"digits": 1.0, "mnist": 0.6}

LR = {
    # (weights, optimizer, learning-rate scaling): by kind of network
    ("float", "adam", "none"): {"logistic": 0.003, "mlp": 0.003, "conv": 0.003},
    ("float", "sgd", "none"): {"logistic": 0.1, "mlp": 0.1, "conv": 0.1},
    ("binarized", "adam", "none"): {"logistic": 0.1, "mlp": 0.03, "conv": 0.01},
    ("binarized", "adam", "glorot"): {"logistic": 0.004, "mlp": 0.002, "conv": 0.001},
    ("binarized", "sgd", "none"): {"logistic": 1.0, "mlp": 1.0, "conv": 1.0},
    ("binarized", "sgd", "glorot"): {"logistic": 0.01, "mlp": 0.01, "conv": 0.01},
}
"""Latent weights are larger than float ones (`signbit.trainer.learning.optim.glorot_rate`), and so are their rates."""
RATE_FACTOR = {"digits": 2.0, "mnist": 1.0}
"""What convolutions' rates are multiplied by: few data mean few steps."""


def default_settings(
    data: str = "digits",
    model: str | None = None,
    binarize: str = "deterministic",
    optimizer: str = "adam",
    lr_scaling: str = "none",
    **given,
) -> Settings:
    """Settings chosen on the validation parts, with what is `given` (by the names of `Settings`) in their place.

    `model` may also be the path of a TOML file, whose text form is kept.  Raises SignbitError for settings that don't
    go together.
    """
    # own data, whose name says nothing, are taken for a small set
    known = data if data in DATA_SETS else "digits"
    model = MODEL[known] if model is None else model
    if model.endswith(".toml"):
        model = architecture_text(read_toml(Path(model)))
    is_conv = model not in PERCEPTRONS
    recipe = "conv" if is_conv else model
    weights = "float" if binarize == "none" else "binarized"
    defaults = {
        "hidden": HIDDEN[known] if model == "mlp" else (),
        "schedule": "cosine",
        "epochs": (CONV_EPOCHS if is_conv else EPOCHS)[known],
        "frozen_epochs": 0,
        "batch_size": (CONV_BATCH_SIZE if is_conv else BATCH_SIZE)[known],
        "lr": LR[weights, optimizer, lr_scaling][recipe] * (RATE_FACTOR[known] if is_conv else 1),
        "norm_rate": 0.1 if is_conv else 1.0,
        "logit_gamma": 3.0 if is_conv else 1.0,
        "augment": "affine" if is_conv else "none",
        "augment_amount": AUGMENT_AMOUNT[known],
        "mild_epochs": 0,
        "input_noise": 0.0,
        "dropout": 0.0,
        "label_smoothing": 0.0,
        "class_weights": "none",
        "high": 127,
        "seed": 0,
    }
    settings = Settings(
        data, model, binarize=binarize, optimizer=optimizer, lr_scaling=lr_scaling, **(defaults | given)
    )
    if settings.frozen_epochs and binarize == "none":
        raise SignbitError("--frozen-epochs is for integers, which --binarize none does not have; leave it out")
    if settings.mild_epochs and settings.augment == "none":
        raise SignbitError("--mild-epochs is for --augment, which is none here; leave it out")
    for name in ("frozen_epochs", "mild_epochs"):
        if getattr(settings, name) >= settings.epochs:
            option = f"--{name.replace('_', '-')}"
            raise SignbitError(f"{option} is {getattr(settings, name)}, but must be below --epochs, {settings.epochs}")
    return settings
