"""`python -m tools.ablation`: what each of the trainer's means is worth, on MNIST's validation part.

One small network is trained with one setting changed at a time, with several seeds.  The test part is not read.  Writes
bench/ablation.json and the table of docs/TRAINING.md.
"""

import os

# before numpy is imported: processes side by side, one thread each
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import json
import statistics
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from rich.console import Console
from rich.progress import track

from codegen.plan import make_plan
from qmodel.atomic import write_whole
from qmodel.command import Parser, run_command
from qmodel.datasets import load_dataset
from tools.readme import ROOT, markdown_table, replace_block
from trainer.presets import IMAGES
from trainer.quantize import quantize
from trainer.run import begin
from trainer.settings import default_settings

RECORD = ROOT / "bench" / "ablation.json"
DOCUMENT = ROOT / "docs" / "TRAINING.md"
BLOCK = "ablation"
SEEDS = (0, 1, 2)
BASE = {"model": IMAGES["tiny"], "epochs": 4}
CHANGES: dict[str, dict] = {
    "base: 4 epochs, `--augment affine`": {},
    "`--epochs 12`": {"epochs": 12},
    "`--epochs 12 --augment none`": {"epochs": 12, "augment": "none"},
    "`--epochs 12 --augment elastic`": {"epochs": 12, "augment": "elastic"},
    "`--frozen-epochs 1`": {"frozen_epochs": 1},
    "`--lr 0.003`": {"lr": 0.003},
    "`--schedule constant`": {"schedule": "constant"},
    "`--label-smoothing 0.1`": {"label_smoothing": 0.1},
    "`--input-noise 16`": {"input_noise": 16.0},
    "`--binarize stochastic`": {"binarize": "stochastic"},
    "every layer `ternary`": {
        "model": "conv5x5s2:14 ternary, conv3x3:21 pool2 ternary, conv3x3:21 ternary, dense ternary"
    },
    "`sign` behind the second layer": {"model": "conv5x5s2:14, conv3x3:21 pool2 sign, conv3x3:21, dense"},
}
"""What stands in the table, and the settings that differ from BASE."""


@dataclass(frozen=True)
class Result:
    """Of one training run, at its end."""

    validation_accuracy: float
    validation_loss: float
    flash_bytes: int


def train(change: dict, seed: int) -> Result:
    data = load_dataset("mnist")
    settings = default_settings("mnist", **(BASE | change), seed=seed)
    training = begin(settings, data)
    last = training.run().epochs[-1]
    model = quantize(training.trained, "ablation", data.input_shape, data.labels)
    return Result(last.validation_accuracy, last.validation_loss, make_plan(model, optimize="size").data_bytes)


def table(record: dict) -> str:
    rows = [
        [
            row["change"],
            f"{100 * row['accuracy_mean']:.2f} % ± {100 * row['accuracy_sd']:.2f}",
            f"{row['loss_mean']:.4f} ± {row['loss_sd']:.4f}",
            f"{row['flash_bytes']:,}",
        ]
        for row in record["rows"]
    ]
    note = (
        f"{record['network']}; mean ± standard deviation over {len(record['seeds'])} seeds, at the last epoch, on "
        f"{record['validation_count']:,} validation images. Written by `python -m tools.ablation`."
    )
    return markdown_table(["what differs", "accuracy", "loss", "bytes"], rows) + f"\n\n{note}"


def main(arguments: list[str]) -> None:
    description = __doc__.partition(": ")[2].partition("\n\n")[0]
    Parser(prog="python -m tools.ablation", description=description).parse_args(arguments)
    jobs = [(change, seed) for change in CHANGES.values() for seed in SEEDS]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        results_of_jobs = pool.map(train, *zip(*jobs, strict=True))
        found = list(track(results_of_jobs, "training", len(jobs), console=Console(stderr=True)))
    rows = []
    for index, change in enumerate(CHANGES):
        results = found[index * len(SEEDS) : (index + 1) * len(SEEDS)]
        row = {"change": change, "settings": CHANGES[change], "flash_bytes": results[0].flash_bytes}
        for name in ("accuracy", "loss"):
            values = [getattr(result, f"validation_{name}") for result in results]
            row |= {f"{name}_mean": round(statistics.mean(values), 6), f"{name}_sd": round(statistics.stdev(values), 6)}
        rows.append(row)
    record = {
        "network": BASE["model"],
        "seeds": list(SEEDS),
        "validation_count": len(load_dataset("mnist").validation),
        "rows": rows,
    }
    write_whole(RECORD, (json.dumps(record, indent=2) + "\n").encode())
    replace_block(BLOCK, table(record), DOCUMENT)
    print(table(record))


if __name__ == "__main__":
    sys.exit(run_command(main))
