"""What the folder of a training run says about its model: accuracy epoch by epoch, and the confusion matrix."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from signbit.codegen.plan import Plan
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.untrusted import read_file

RESULT = "result.json"
RESULT_BYTES_MAX = 1 << 26
PARTS = {"training": "train_accuracy", "validation": "validation_accuracy"}
"""Keys of an epoch's record, by the names on the page."""


@dataclass(frozen=True, eq=False)
class RunRecord:
    """`accuracies` are fractions, (epochs,), by part; `confusion` counts test inputs, (actual, predicted)."""

    accuracies: dict[str, np.ndarray]
    chosen: int
    """The epoch whose weights were kept, from 1."""
    confusion: np.ndarray


def read_run(folder: Path, plan: Plan) -> RunRecord:
    """The record of the run that made `plan`'s model; raises SignbitError if the folder holds none, or another's."""
    path = folder / RESULT
    if not path.is_file():
        raise SignbitError(f"--run {folder}: there is no {RESULT} in it; name a folder that train --run has finished")
    try:
        record = json.loads(read_file(path, RESULT_BYTES_MAX))
        model_hash = record["model"]["hash"]
        accuracies = {name: np.array([float(epoch[key]) for epoch in record["epochs"]]) for name, key in PARTS.items()}
        chosen, confusion = int(record["epoch"]), np.array(record["confusion"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise SignbitError(f"{path}: can't be understood; it is no result of a run, or damaged") from None
    if model_hash != plan.model_hash:
        raise SignbitError(f"--run {folder}: its model is {str(model_hash)[:8]}, but this one is {plan.model_hash[:8]}")
    classes = len(plan.labels)
    is_counts = confusion.shape == (classes, classes) and confusion.dtype.kind == "i" and confusion.min() >= 0
    is_fractions = all(len(values) and ((values >= 0) & (values <= 1)).all() for values in accuracies.values())
    if not is_counts or not is_fractions:
        raise SignbitError(f"{path}: its figures can't be those of this model; it is damaged")
    return RunRecord(accuracies, chosen, confusion)
