"""`python -m tools bench_tune`: search networks in place of the zoo's for digits, and one for a table; bench/tune.json.

A search may cost what the recipe's network costs on a Cortex-M0, and its space, bench/tune_NAME.toml, has no recipe of
the zoo.  The best network of the front and the recipe are then trained on the same five folds.  Goes on where it was
stopped, and writes table and pictures of docs/TUNE.md.
"""

import json
import resource
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from signbit.codegen.measure import measure, missing
from signbit.console import console
from signbit.jobs.bars import Bars
from signbit.jobs.executor import Jobs
from signbit.jobs.signals import Stopped
from signbit.qmodel.atomic import write_whole
from signbit.qmodel.command import EXIT_OK, Parser, note
from signbit.qmodel.data.named import Dataset, load_dataset
from signbit.qmodel.data.readers.loading import LoadingOptions
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.file import load
from signbit.qmodel.option_types import choice, number, whole
from signbit.trainer.learning.settings import Settings
from signbit.trainer.network.architecture import architecture_text
from signbit.trainer.tune import export
from signbit.trainer.tune.cost import Budget, Cost, cost, plan_within
from signbit.trainer.tune.front import front, print_front
from signbit.trainer.tune.search import Problem, Search
from signbit.trainer.tune.space import default_space, read_space
from signbit.trainer.tune.study import begin_study
from signbit.trainer.tune.training import FOLDS, Place, Training
from tools.documents.blocks import ROOT, replace_block, table_of
from tools.documents.pictures import picture
from tools.measure.tables import own_files
from tools.zoo.recipes import RECIPES, Recipe
from tools.zoo.rows import read_rows

RESULTS = ROOT / "bench" / "tune.json"
DOCUMENT = ROOT / "docs" / "TUNE.md"
PICTURES = ROOT / "docs" / "img"
BLOCK = "tune"
TARGET = "cortex-m0"
TABLE = "breast_cancer"
TABLE_BUDGET = Budget(TARGET, 4096, None, 10_000)
MINUTES = {"digits-mlp": 20.0, "digits-conv": 40.0, TABLE: 5.0}
"""For each search."""
SPENT = "spent.json"


@dataclass(frozen=True)
class Spent:
    """Time that a search has taken, all its processes together."""

    wall_s: float = 0.0
    cpu_s: float = 0.0

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(round(self.wall_s + other.wall_s, 1), round(self.cpu_s + other.cpu_s, 1))


def main(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments)
    if missing_tools := missing(_plan_of_zoo()):
        raise SignbitError(missing_tools)
    for name in [options.only] if options.only else MINUTES:
        runs = Path(options.runs).resolve() / name
        runs.mkdir(parents=True, exist_ok=True)
        try:
            row = _row(name, runs, MINUTES[name] if options.minutes is None else options.minutes, options.jobs)
        except Stopped as stop:
            note("stopped; the same command goes on")
            return stop.exit_code
        write_whole(RESULTS, (json.dumps(read() | {name: row}, indent=1) + "\n").encode())
    write_documents()
    return EXIT_OK


def read() -> dict[str, dict]:
    """What was found so far, by the searches' names."""
    return json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}


def write_documents() -> None:
    replace_block(BLOCK, "\n\n".join(text(name, row) for name, row in read().items()), DOCUMENT)


def text(name: str, row: dict) -> str:
    """A search in the document: what it cost, its front, and how good its best network and the recipe are."""
    columns = (
        ("network", lambda one: f"`{one['network']}`"),
        ("test accuracy", lambda one: f"{one['test_accuracy_mean']:.2%} ± {100 * one['test_accuracy_sd']:.2f}"),
        *(("folds", lambda one: f"{one['folds_right'] / one['folds_count']:.2%}"), ("flash, bytes", "flash_bytes")),
        *(("RAM, bytes", "ram_bytes"), ("instructions", "instructions")),
    )
    spent, budget = row["spent"], Budget(**row["budget"])
    said = (
        f"{row['networks']} networks were trained on up to {FOLDS} folds of the training and validation part, of "
        f"{row['drawn']} drawn, "
        + (f"in {spent['cpu_s'] / 60:.1f} minutes of CPU." if spent else "in a time that was not recorded.")
    )
    parts = [f"### {name}", f"{export.bounds_text(budget)} {said}"]
    if len(row["front"]) > 1:
        parts.append(f"![the front](img/tune_{name}.png)")
    parts.append(table_of(row["front"], columns))
    if "recipe" in row:
        best, recipe = row["best"], row["recipe"]
        parts.append(
            f"The best of them, `{best['network']}`, has {best['measured_flash_bytes']:,} bytes as compiled and "
            f"{best['instructions']:,} instructions; the zoo's own, `{recipe['network']}`, "
            f"{recipe['measured_flash_bytes']:,} and {recipe['instructions']:,}. In the search's own folds they are "
            f"right in {best['search_accuracy']:.2%} and {recipe['search_accuracy']:.2%}; on five of all samples, "
            f"by which nothing was chosen, in {best['folds_accuracy']:.2%} and {recipe['folds_accuracy']:.2%}."
        )
    return "\n\n".join(parts)


def _row(name: str, runs: Path, minutes: float, count: int | None) -> dict:
    recipe = next((recipe for recipe in RECIPES if recipe.stem == name), None)
    with tempfile.TemporaryDirectory(prefix="signbit-") as folder:
        path = "digits" if recipe else next(path for path in own_files(Path(folder)) if Path(path).stem == name)
        data = load_dataset(path, None, LoadingOptions())
        recipe_settings = recipe and recipe.settings(0)
        budget = _budget(cost(recipe_settings, data, Budget(TARGET))) if recipe else TABLE_BUDGET
        place = Place(str(path), None, LoadingOptions())
        space = read_space(ROOT / "bench" / f"tune_{name}.toml") if recipe else default_space(data.input_shape)
        problem = Problem(data, place, space, budget, {}, FOLDS)
        study = begin_study(f"sqlite:///{runs / 'study.db'}", name, problem.facts)
        spent = _searched(problem, study, runs, minutes, count)
        found = front(study)
        print_front(console(), found, FOLDS)
        row = {
            "budget": asdict(budget),
            "spent": asdict(spent),
            "drawn": len(study.get_trials(deepcopy=False)),
            "networks": len(list(runs.glob("*/fold0/result.json"))),
        }
        with Jobs(count) as jobs, Bars("runs", None) as bars:
            exported = export.retrained(found, problem, name, runs, jobs, bars)
            row["front"] = export.rows(exported)
            if recipe:
                best = max(exported, key=_validated).found
                row["best"] = _on_folds(best.settings, data, budget, runs / best.key, jobs)
                row["best"]["search_accuracy"] = round(best.accuracy, 6)
                row["recipe"] = _shipped(recipe) or _on_folds(
                    recipe_settings, data, Budget(TARGET), runs / "recipe", jobs
                )
                row["recipe"]["search_accuracy"] = _in_search(recipe_settings, problem, runs / "recipe", jobs)
        if len(exported) > 1:
            drawn = export.picture(exported, f"{data.name} on {TARGET}")
            write_whole(PICTURES / f"tune_{name}.png", picture(drawn))
        return row


def _validated(one: export.Exported) -> int:
    """Samples that were classified right in all validations, folds and seeds: the more, the less is luck."""
    return one.found.right + sum(run.validation.right for run in one.runs)


def _budget(most: Cost) -> Budget:
    """To cost at most what another network costs; RAM is free."""
    return Budget(TARGET, most.flash_bytes, None, most.instructions)


def _searched(problem: Problem, study, runs: Path, minutes: float, count: int | None) -> Spent:
    """Search for so long, the times of all workers together; what that has taken."""
    left_s = 60 * minutes - _spent(runs).wall_s
    if left_s <= 0:
        return _spent(runs)
    start, cpu_s = time.monotonic(), _cpu_s()
    try:
        with Jobs(count) as jobs, Bars("networks", None) as bars:
            Search(problem, study, runs, jobs, bars).run(None, left_s)
    finally:
        # another worker may have added its own meanwhile
        spent = _spent(runs) + Spent(time.monotonic() - start, _cpu_s() - cpu_s)
        write_whole(runs / SPENT, json.dumps(asdict(spent)).encode())
    return spent


def _spent(runs: Path) -> Spent:
    path = runs / SPENT
    return Spent(**json.loads(path.read_text())) if path.is_file() else Spent()


def _cpu_s() -> float:
    """Seconds of CPU of this process and of those that it started and that ended."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _shipped(recipe: Recipe) -> dict | None:
    """What the zoo has measured of a recipe that it trains on five folds itself; None for others."""
    if not recipe.folds:
        return None
    row = next(row for row in read_rows(ROOT / "models") if row["file"] == recipe.file)
    right, count = (sum(run[name] for run in row["runs"]) for name in ("test_correct", "test_count"))
    plan = plan_within(load(ROOT / "models" / recipe.file), Budget(TARGET))
    return _worth(row["network"], right, count, plan)


def _on_folds(settings: Settings, data: Dataset, budget: Budget, runs: Path, jobs: Jobs) -> dict:
    """Accuracy on the test parts of five folds of all samples, and bytes as compiled."""
    trainings = []
    for fold in range(FOLDS):
        place = Place("digits", None, LoadingOptions(fold=fold))
        trainings.append(Training(settings, place, place.load().hash, None, "digits", str(runs / f"whole{fold}")))
    done = list(export.all_trained(trainings, jobs))
    plan = plan_within(load(Path(trainings[0].folder) / "model.npz"), budget)
    right, count = (sum(getattr(one.test, name) for one in done) for name in ("right", "count"))
    return _worth(architecture_text(settings.architecture(data.input_shape, len(data.labels))), right, count, plan)


def _in_search(settings: Settings, problem: Problem, runs: Path, jobs: Jobs) -> float:
    """Accuracy on the folds that the search chooses by."""
    trainings = [problem.training(settings, runs / f"fold{fold}", fold) for fold in range(FOLDS)]
    scores = [done.validation for done in export.all_trained(trainings, jobs)]
    return round(sum(score.right for score in scores) / sum(score.count for score in scores), 6)


def _worth(network: str, right: int, count: int, plan) -> dict:
    return {
        "network": network,
        "folds_right": right,
        "folds_count": count,
        "folds_accuracy": round(right / count, 6),
        "measured_flash_bytes": measure(plan).flash_bytes,
        "instructions": round(plan.instructions),
    }


def _plan_of_zoo():
    return plan_within(load(ROOT / "models" / RECIPES[0].file), Budget(TARGET))


def _parser() -> Parser:
    parser = Parser(prog="python -m tools bench_tune", description=__doc__.partition(": ")[2])
    parser.add_argument("--only", type=choice(tuple(MINUTES)).argument()["type"], metavar="NAME", help="one search")
    shown = ", ".join(f"{name} {minutes:g}" for name, minutes in MINUTES.items())
    parser.add_argument("--minutes", **number("N", 0).argument(), help=f"for each search (default: {shown})")
    parser.add_argument("--jobs", **whole(1).argument(), help="processes (default: one for each core)")
    parser.add_argument("--runs", metavar="DIR", default=str(ROOT / "build" / "tune"), help="folder of the runs")
    return parser
