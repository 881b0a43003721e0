"""The front as something to use: each network trained on all of the training part, with several seeds, and generated.

Only now is the test part read.
"""

import json
import statistics
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from signbit.jobs.bars import Bars
from signbit.jobs.executor import Jobs
from signbit.jobs.signals import Signals, Stopped
from signbit.qmodel.atomic import write_folder
from signbit.qmodel.file import load
from signbit.trainer.report.figure import GREY, new_figure, png, require_matplotlib, style
from signbit.trainer.tune.cost import Budget, Cost, cost_of, plan_within
from signbit.trainer.tune.front import Found, options_text
from signbit.trainer.tune.search import Problem
from signbit.trainer.tune.training import Trained, Training, train

SEEDS = (0, 1, 2)
NAME_DIGITS = 6
SIZE_INCHES = (8.0, 4.5)


@dataclass(frozen=True)
class Exported:
    """A network of the front, retrained; the model is the run's that is best on the validation part."""

    name: str
    found: Found
    runs: tuple[Trained, ...]
    """One for each of SEEDS."""
    chosen: int
    """Index of the model's run."""
    cost: Cost
    model: bytes
    header: str

    @property
    def accuracies(self) -> list[float]:
        """On the test part, of all runs."""
        return [run.test.accuracy for run in self.runs]

    @property
    def accuracy(self) -> float:
        return statistics.mean(self.accuracies)

    @property
    def spread(self) -> float:
        """Standard deviation of the accuracies."""
        return statistics.stdev(self.accuracies)


def retrained(found: list[Found], problem: Problem, name: str, runs: Path, jobs: Jobs, bars: Bars) -> list[Exported]:
    """Each network of the front, whose names begin with `name`; raises Stopped after Ctrl-C or SIGTERM."""
    trainings = [
        problem.training(
            replace(one.settings, seed=seed), runs / one.key / f"seed{seed}", None, f"{name}_{one.key[:NAME_DIGITS]}"
        )
        for one in found
        for seed in SEEDS
    ]
    done: list[Trained] = []
    for trained in all_trained(trainings, jobs):
        done.append(trained)
        bars.done(len(done))
    exported = []
    for number, one in enumerate(found):
        part = slice(number * len(SEEDS), (number + 1) * len(SEEDS))
        exported.append(_exported(one, trainings[part], tuple(done[part]), problem.budget))
    return exported


def all_trained(trainings: Sequence[Training], jobs: Jobs) -> Iterator[Trained]:
    """What each run came to, in order; raises Stopped after Ctrl-C or SIGTERM."""
    with Signals(jobs.stop.set), ThreadPoolExecutor(jobs.count) as threads:
        for trained in threads.map(lambda training: jobs.call(train, training, jobs.stop), trainings):
            if trained is None:
                raise Stopped
            yield trained


def _exported(found: Found, trainings, runs: tuple[Trained, ...], budget: Budget) -> Exported:
    from signbit.codegen.render import header_text

    chosen = max(range(len(runs)), key=lambda index: (runs[index].validation.right, -index))
    path = Path(trainings[chosen].folder) / "model.npz"
    plan = plan_within(load(path), budget)
    return Exported(trainings[chosen].name, found, runs, chosen, cost_of(plan), path.read_bytes(), header_text(plan))


def write(exported: list[Exported], folder: Path, title: str, budget: Budget, draws: bool) -> None:
    """Models, headers, table, figures and, where it `draws`, a picture: all or none."""
    files = {f"{one.name}.npz": one.model for one in exported}
    files |= {f"{one.name}.h": one.header.encode() for one in exported}
    files["front.json"] = (json.dumps(rows(exported), indent=1) + "\n").encode()
    shown = "![the front](front.png)\n\n" if draws else ""
    files["README.md"] = f"# {title}\n\n{bounds_text(budget)}\n\n{shown}{table(exported)}\n".encode()
    if draws:
        files["front.png"] = png(picture(exported, title))
    write_folder(folder, files)


def rows(exported: list[Exported]) -> list[dict]:
    """Plain JSON values, one of a network."""
    return [
        {
            "name": one.name,
            "network": one.found.network,
            "options": one.found.options,
            **vars(one.cost),
            "folds_right": one.found.right,
            "folds_count": one.found.count,
            "test_accuracy_mean": round(one.accuracy, 6),
            "test_accuracy_sd": round(one.spread, 6),
            "chosen_seed": SEEDS[one.chosen],
            "runs": [
                {
                    "seed": seed,
                    "hash": run.hash,
                    "validation_right": run.validation.right,
                    "validation_count": run.validation.count,
                    "test_right": run.test.right,
                    "test_count": run.test.count,
                }
                for seed, run in zip(SEEDS, one.runs, strict=True)
            ],
        }
        for one in exported
    ]


def table(exported: list[Exported]) -> str:
    """The front in Markdown."""
    heads = ("model", "test accuracy", "folds", "flash, bytes", "RAM, bytes", "instructions", "network", "options")
    lines = [f"| {' | '.join(heads)} |", "| --- | ---: | ---: | ---: | ---: | ---: | --- | --- |"]
    for one in exported:
        cells = (
            f"{one.name}",
            f"{one.accuracy:.2%} ± {100 * one.spread:.2f}",
            f"{one.found.accuracy:.2%}",
            *(f"{figure:,}" for figure in vars(one.cost).values()),
            f"`{one.found.network}`",
            f"`{options_text(one.found.options)}`",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def bounds_text(budget: Budget) -> str:
    """The budget in words."""
    units = "bytes of flash", "bytes of RAM", "instructions"
    bounds = [f"{most:,} {unit}" for most, unit in zip(budget.bounds, units, strict=True) if most is not None]
    return f"{budget.target}, at most {', '.join(bounds)}." if bounds else f"{budget.target}, without bounds."


def picture(exported: list[Exported], title: str):
    """Test accuracy against flash, with standard deviations over the seeds; colours are instructions."""
    require_matplotlib()
    from matplotlib.colors import LogNorm
    from matplotlib.ticker import StrMethodFormatter

    with style():
        figure = new_figure(*SIZE_INCHES)
        view = figure.subplots()
        at = [one.cost.flash_bytes for one in exported]
        heights = [100 * one.accuracy for one in exported]
        view.errorbar(at, heights, [100 * one.spread for one in exported], fmt="none", ecolor=GREY, capsize=3)
        work = [one.cost.instructions for one in exported]
        points = view.scatter(at, heights, c=work, norm=LogNorm(), cmap="viridis", s=50, zorder=3)
        bar = figure.colorbar(points, label="instructions of one inference")
        for put in (bar.ax.yaxis.set_major_formatter, bar.ax.yaxis.set_minor_formatter):
            put(StrMethodFormatter("{x:,.0f}"))
        view.set_xlabel("flash, bytes")
        view.set_ylabel("test accuracy, %")
        view.set_title(title)
        view.grid(True)
        return figure
