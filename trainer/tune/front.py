"""The front of a study: the networks than which none is better in all of accuracy, bytes and instructions."""

from dataclasses import dataclass

from rich.console import Console

from signbit.console import Column, print_table
from signbit.trainer.learning.settings import Settings
from signbit.trainer.tune.cost import Cost
from signbit.trainer.tune.search import KEY
from signbit.trainer.tune.study import facts_of


@dataclass(frozen=True)
class Found:
    """A network of the front."""

    trial: int
    key: str
    network: str
    settings: Settings
    cost: Cost
    right: int
    """Validation samples of all folds that were classified right."""
    count: int
    options: dict
    """The training options that were drawn."""

    @property
    def accuracy(self) -> float:
        return self.right / self.count


def front(study) -> list[Found]:
    """Each network once, the smallest first."""
    training = facts_of(study)["space"]["training"]
    found: dict[str, Found] = {}
    for trial in sorted(study.best_trials, key=lambda trial: trial.number):
        attributes = trial.user_attrs
        found.setdefault(
            attributes[KEY],
            Found(
                trial.number,
                attributes[KEY],
                attributes["network"],
                Settings.from_dict(attributes["settings"]),
                Cost(*(attributes[name] for name in ("flash_bytes", "ram_bytes", "instructions"))),
                attributes["right"],
                attributes["count"],
                {name: trial.params[name] for name in training},
            ),
        )
    return sorted(found.values(), key=lambda one: (one.cost.flash_bytes, one.cost.instructions))


def print_front(screen: Console, found: list[Found], folds: int) -> None:
    """A line for each network."""
    columns = (
        *(Column("trial", 2), Column("accuracy"), Column("flash, bytes"), Column("RAM, bytes", 3)),
        *(Column("instructions"), Column("network", left=True), Column("options", 4, left=True)),
    )
    rows = [
        (
            f"{one.trial}",
            f"{one.accuracy:.2%}",
            f"{one.cost.flash_bytes:,}",
            f"{one.cost.ram_bytes:,}",
            f"{one.cost.instructions:,}",
            one.network,
            options_text(one.options),
        )
        for one in found
    ]
    print_table(screen, columns, rows)
    what = f"over {folds} folds of the training and validation part" if folds > 1 else "on the validation part"
    screen.print(f"accuracy {what}; flash, RAM and instructions as predicted", soft_wrap=True)


def options_text(options: dict) -> str:
    """`--lr 0.0123 --epochs 60`"""
    texts = (f"{value:.3g}" if isinstance(value, float) else str(value) for value in options.values())
    return " ".join(f"{Settings.flag(name)} {text}" for name, text in zip(options, texts, strict=True))


def front_json(found: list[Found]) -> list[dict]:
    return [
        {
            "trial": one.trial,
            "accuracy": round(one.accuracy, 6),
            "right": one.right,
            "count": one.count,
            **vars(one.cost),
            "network": one.network,
            "settings": one.settings.as_dict(),
        }
        for one in found
    ]
