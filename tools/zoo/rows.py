"""models/zoo.json: a row for each model that ships, in the order of the recipes.

`train` writes what training says, `measure` what the model costs; the second is a function of the model's file alone.
"""

import json
import statistics
from collections.abc import Sequence
from pathlib import Path

from signbit.qmodel.atomic import write_whole
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.file import load
from tools.zoo.recipes import Recipe
from tools.zoo.runs import Run

FILE = "zoo.json"
MACRO_F1 = "integer_macro_f1"
MEASURED = ("network", "macs", "builds")
"""Keys that `measure` adds; `builds` are those of tools/zoo/measure.py."""


def read_rows(models: Path) -> list[dict]:
    """The rows in the folder of models; none where there is no file yet."""
    path = models / FILE
    return json.loads(path.read_text()) if path.is_file() else []


def write_rows(models: Path, rows: Sequence[dict]) -> None:
    write_whole(models / FILE, (json.dumps(list(rows), indent=1, ensure_ascii=False) + "\n").encode())


def measured_rows(models: Path) -> list[dict]:
    """The same; raises SignbitError where a model was not measured since it was trained."""
    rows = read_rows(models)
    for row in rows:
        if not set(MEASURED) <= set(row):
            raise SignbitError(f"{row['file']} is not measured yet: python -m tools zoo measure")
    return rows


def build_of(row: dict, core: str, optimize: str) -> dict:
    """The figures of one build."""
    return next(build for build in row["builds"] if (build["core"], build["optimize"]) == (core, optimize))


def keep_measured(row: dict, old: dict | None) -> dict:
    """`row` with what was measured of the same model before."""
    if old is None or old["hash"] != row["hash"]:
        return row
    return row | {key: old[key] for key in MEASURED if key in old}


def shipped_index(recipe: Recipe, records: Sequence[dict]) -> int:
    """The run that ships: the best on the validation part, the lowest seed on a tie.

    Folds have validation parts of their own, which can't be compared: of these the first ships.
    """
    right = [record["report"]["accuracy"]["validation"]["integer_correct"] for record in records]
    return 0 if recipe.folds else right.index(max(right))


def training_row(recipe: Recipe, runs: Sequence[Run], records: Sequence[dict]) -> dict:
    """What training says about a recipe: plain JSON values.

    Accuracies and macro F1 are the integer model's, as fractions; `validation_accuracy`, `test_accuracy` and
    `test_macro_f1` are those of the model that ships.  The standard deviation divides by n - 1.
    """
    parts = [record["report"]["accuracy"] for record in records]
    index = shipped_index(recipe, records)
    model = load(runs[index].model)
    accuracies = [part["test"]["integer_correct"] / part["test"]["count"] for part in parts]
    return {
        "file": recipe.file,
        "data": recipe.data,
        "purpose": recipe.purpose,
        "command": model.provenance["command"],
        "hash": model.hash,
        "data_hash": model.provenance["data"]["hash"],
        "seeds": list(recipe.seeds),
        "folds": recipe.folds,
        "shipped_seed": recipe.seeds[index],
        "validation_accuracy": round(parts[index]["validation"]["integer"], 6),
        "test_accuracy": round(accuracies[index], 6),
        "test_accuracy_mean": round(statistics.mean(accuracies), 6),
        "test_accuracy_sd": round(statistics.stdev(accuracies), 6),
        **_macro_f1(parts, index),
        "labels_different": _labels_different(parts),
        "train_cpu_s": round(statistics.mean(record["cpu_s"] for record in records), 1),
        "runs": [_run_values(run, record) for run, record in zip(runs, records, strict=True)],
    }


def _run_values(run: Run, record: dict) -> dict:
    report = record["report"]
    return {
        "seed": run.seed,
        "hash": report["model"]["hash"],
        "epoch": report["epoch"],
        "epochs": report["settings"]["epochs"],
        **{
            f"{part}_{key}": report["accuracy"][part][figure]
            for part in ("validation", "test")
            for key, figure in (("correct", "integer_correct"), ("count", "count"), ("macro_f1", MACRO_F1))
            if figure in report["accuracy"][part]
        },
        "train_cpu_s": record["cpu_s"],
    }


def _macro_f1(parts: Sequence[dict], shipped: int) -> dict[str, float]:
    """Macro F1 on the test part; nothing where an older trainer did not report it."""
    found = [part["test"][MACRO_F1] for part in parts if MACRO_F1 in part["test"]]
    if len(found) < len(parts):
        return {}
    figures = {"": found[shipped], "_mean": statistics.mean(found), "_sd": statistics.stdev(found)}
    return {f"test_macro_f1{name}": round(value, 6) for name, value in figures.items()}


def _labels_different(parts: Sequence[dict]) -> int:
    """Test inputs that the fake-quantized and the integer network label differently, over all runs."""
    return sum(part["test"]["fake_quantized_different"] for part in parts)
