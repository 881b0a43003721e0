"""The recipes of the zoo: which models ship, and the words of the command that trains each."""

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from signbit.qmodel.errors import SignbitError
from signbit.trainer.command.options import train_parser
from signbit.trainer.learning.settings import Settings, default_settings
from tools.zoo.activity import activity_csv

SEEDS = (0, 1, 2)
MADE: dict[str, Callable[[Path], str]] = {"activity.csv": activity_csv}
"""Tables that are made for the training, of a folder of the data directory: name -> text of that folder's."""
FOLDERS = ("fashion", "commands")
"""Own data in folders of the data directory, beside MNIST's."""
COMMANDS = (
    "--unknown cancel,digit,enter,four,nine,open,rotate,send,two,zero --group-pattern '^([0-9]{8})' --augment "
    "sound:copies=9 "
)
ACTIVITY = "--group-column person --recording-column recording --window 128 --stride 64 "


@dataclass(frozen=True)
class Recipe:
    """One model that ships, and how it is trained.

    `words` are options of `signbit train`; data set, seed, fold, model name and output are put in from here.
    """

    file: str
    data: str
    """`digits`, `mnist`, or a name of `MADE` or `FOLDERS`."""
    words: str
    purpose: str
    """One line for the documents."""
    seeds: tuple[int, ...] = SEEDS
    folds: bool = False
    """Each seed is also the number of the fold whose part is the test part."""

    @property
    def stem(self) -> str:
        return Path(self.file).stem

    def place(self, data_dir: Path) -> Path:
        """Where own data are in the data directory: themselves, or the folder that they are made of."""
        return data_dir / Path(self.data).stem

    def options(self, seed: int) -> list[str]:
        """The command's options except data, output and form of the report."""
        words = [*shlex.split(self.words), "--seed", str(seed)]
        if "--name" not in words:
            words += ["--name", self.stem]
        return [*words, "--fold", str(seed)] if self.folds else words

    def settings(self, seed: int) -> Settings:
        """What the command decides for a named data set."""
        given = Settings.given_in(train_parser().parse_args(self.options(seed)))
        return default_settings(**given | {"data": self.data})


RECIPES = (
    Recipe(
        "digits-mlp.npz",
        "digits",
        "--model mlp --hidden 64 --epochs 120 --batch-size 32 --lr 0.03 --name digits",
        "the smallest example: one hidden layer on 8×8 digits",
        seeds=(0, 1, 2, 3, 4),
    ),
    Recipe(
        "digits-conv.npz",
        "digits",
        '--model "conv3x3pad:16, conv3x3pad:28 pool2, dense" --epochs 100',
        "8×8 digits by convolutions",
        seeds=(0, 1, 2, 3, 4),
        folds=True,
    ),
    Recipe(
        "mnist-logistic.npz",
        "mnist",
        "--model logistic --epochs 40 --optimizer sgd",
        "no hidden layer: binarized logistic regression",
    ),
    Recipe(
        "mnist-1k.npz",
        "mnist",
        '--model "conv5x5s2:10, conv3x3:14 pool2, conv3x3:17, dense" --epochs 25 --frozen-epochs 3',
        "convolutions in 1.0 KiB",
    ),
    Recipe(
        "mnist-1k5.npz",
        "mnist",
        '--model "conv5x5s2:14, conv3x3:21 pool2, conv3x3:21, dense" --epochs 25 --frozen-epochs 3',
        "convolutions in 1.5 KiB",
    ),
    Recipe(
        "mnist-2k.npz",
        "mnist",
        '--model "conv5x5s2:14, conv3x3:28 pool2, conv3x3:28, dense" --epochs 30 --frozen-epochs 3 --augment elastic',
        "convolutions in 2.2 KiB",
    ),
    Recipe(
        "mnist-4k.npz",
        "mnist",
        '--model "conv5x5s2:21, conv3x3:32 pool2, conv3x3:49, dense" '
        "--epochs 60 --mild-epochs 12 --augment elastic --augment-amount 0.8",
        "convolutions in 3.8 KiB",
    ),
    Recipe(
        "mnist-7k.npz",
        "mnist",
        '--model "conv5x5s2:21, conv3x3:42 pool2, conv3x3pad:42, conv3x3:46, dense" '
        "--epochs 40 --mild-epochs 8 --augment elastic --augment-amount 0.8",
        "convolutions in 6.8 KiB",
    ),
    Recipe(
        "mnist-12k.npz",
        "mnist",
        '--model "conv5x5s2:32, conv3x3:56 pool2, conv3x3pad:60, conv3x3:60, dense" '
        "--epochs 40 --frozen-epochs 4 --augment elastic --augment-amount 0.8",
        "convolutions in 12 KiB",
    ),
    Recipe(
        "mnist-mlp.npz",
        "mnist",
        "--model mlp --hidden 128 --epochs 15 --batch-size 100 --lr 0.03 --name mnist",
        "one hidden layer, the example of the documents",
        seeds=(0, 1, 2, 3, 4),
    ),
    Recipe(
        "mnist-pi.npz",
        "mnist",
        "--model mlp --hidden 1024,1024,1024 --epochs 40 --batch-size 200 --dropout 0.1 --label-smoothing 0.1",
        "permutation-invariant: dense layers, no augmentation, as in the BinaryConnect paper",
    ),
    Recipe(
        "fashion-4k.npz",
        "fashion",
        '--model "conv5x5pad:21 pool2, conv3x3pad:32 pool2, conv3x3pad:49 pool2, dense" '
        "--epochs 20 --lr 0.01 --flip horizontal",
        "clothes, Fashion-MNIST, in 3.8 KiB",
    ),
    Recipe(
        "fashion-12k.npz",
        "fashion",
        '--model "conv5x5pad:21 pool2, conv3x3pad:42 pool2, conv3x3pad:60, conv3x3pad:85 pool2, dense" '
        "--epochs 20 --lr 0.01 --flip horizontal",
        "clothes in 12 KiB",
    ),
    Recipe(
        "activity-600.npz",
        "activity.csv",
        ACTIVITY + '--model "conv7x1s2:14, conv5x1:18 pool2x1, globalavg, dense" --epochs 24',
        "what people do, from windows of an accelerometer and a gyroscope, in 600 bytes",
    ),
    Recipe(
        "activity-1k3.npz",
        "activity.csv",
        ACTIVITY + "--model small --epochs 24",
        "the same in 1.3 KiB",
    ),
    Recipe(
        "commands-2k.npz",
        "commands",
        COMMANDS + '--model "conv5x1:21 pool2x1, conv5x1:25 pool2x1, conv3x1:31 pool2x1, dense" --epochs 40',
        "ten spoken words, others and silence in 2.0 KiB, from the samples of a second",
    ),
    Recipe(
        "commands-4k.npz",
        "commands",
        COMMANDS + '--model "conv5x1:32 pool2x1, conv5x1:42 pool2x1, conv3x1:68 pool2x1, dense" --epochs 40',
        "ten spoken words, others and silence in 4.0 KiB",
    ),
    Recipe(
        "commands-12k.npz",
        "commands",
        COMMANDS + '--model "conv5x1:64 pool2x1, conv5x1:96 pool2x1, conv3x1:117 pool2x1, dense" --epochs 30',
        "ten spoken words, others and silence in 12 KiB",
    ),
)
"""By data set, and there from small to large."""


def chosen(recipes: Sequence[Recipe], names: str | None) -> list[Recipe]:
    """Those that `names`, "mnist-1k,digits-mlp.npz" for example, names; all for None."""
    if names is None:
        return list(recipes)
    wanted = {name.removesuffix(".npz") for name in names.split(",")}
    unknown = wanted - {recipe.stem for recipe in recipes}
    if unknown:
        known = ", ".join(recipe.stem for recipe in recipes)
        raise SignbitError(f"--only {sorted(unknown)[0]!r} is unknown; there are {known}")
    return [recipe for recipe in recipes if recipe.stem in wanted]
