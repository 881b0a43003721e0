"""Everything that decides what a training run does, and the defaults."""

import shlex
from dataclasses import asdict, dataclass, fields

DATA_SETS = ("digits", "mnist")
LR_SCALINGS = ("none", "glorot")


@dataclass(frozen=True)
class Settings:
    """One run.  The same settings and data give the same model, byte for byte, on the same machine."""

    data: str
    model: str
    hidden: tuple[int, ...]
    """Sizes of the hidden layers; empty for `logistic`."""
    binarize: str
    optimizer: str
    schedule: str
    epochs: int
    batch_size: int
    lr: float
    """At the start; `schedule` says how it goes on."""
    lr_scaling: str
    high: int
    """Largest activation."""
    seed: int

    @classmethod
    def names(cls) -> tuple[str, ...]:
        return tuple(field.name for field in fields(cls))

    def as_dict(self) -> dict:
        return {**asdict(self), "hidden": list(self.hidden)}

    def command(self, name: str, out: str | None) -> str:
        """The command line that makes this run again, every option written out; `out` is a bare file name."""
        options = {key.replace("_", "-"): value for key, value in asdict(self).items()}
        options["hidden"] = ",".join(map(str, self.hidden))
        options |= {"name": name, "out": out}
        words = ["python", "-m", "trainer", "train"]
        for option, value in options.items():
            if value not in ("", None):
                words += [f"--{option}", str(value)]
        return shlex.join(words)


HIDDEN = {"digits": (64,), "mnist": (128,)}
EPOCHS = {"digits": 120, "mnist": 15}
BATCH_SIZE = {"digits": 32, "mnist": 100}

LR = {
    # (weights, optimizer, learning-rate scaling): by model
    ("float", "adam", "none"): {"logistic": 0.003, "mlp": 0.003},
    ("float", "sgd", "none"): {"logistic": 0.1, "mlp": 0.1},
    ("binarized", "adam", "none"): {"logistic": 0.1, "mlp": 0.03},
    ("binarized", "adam", "glorot"): {"logistic": 0.004, "mlp": 0.002},
    ("binarized", "sgd", "none"): {"logistic": 1.0, "mlp": 1.0},
    ("binarized", "sgd", "glorot"): {"logistic": 0.01, "mlp": 0.01},
}
"""Latent weights are larger than float ones (`trainer.optim.glorot_rate`), and so are their rates."""


def default_settings(
    data: str = "digits",
    model: str = "mlp",
    binarize: str = "deterministic",
    optimizer: str = "adam",
    lr_scaling: str = "none",
    **given,
) -> Settings:
    """Settings chosen on the validation parts, with what is `given` (by the names of `Settings`) in their place."""
    defaults = {
        "hidden": HIDDEN[data] if model == "mlp" else (),
        "schedule": "cosine",
        "epochs": EPOCHS[data],
        "batch_size": BATCH_SIZE[data],
        "lr": LR["float" if binarize == "none" else "binarized", optimizer, lr_scaling][model],
        "high": 127,
        "seed": 0,
    }
    return Settings(data, model, binarize=binarize, optimizer=optimizer, lr_scaling=lr_scaling, **(defaults | given))
