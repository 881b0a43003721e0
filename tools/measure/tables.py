"""`python -m tools tables FILE...`: tables beside what scikit-learn makes of them, and its C by emlearn.

Each data set is trained by the default command and by scikit-learn's logistic regression, decision tree, random forest
and perceptron, on the same training samples, and scored on the same test samples: two folds with two seeds each, or
five where there are fewer than 1,000 samples.  Bytes are what the whole classifier takes in the flash of a Cortex-M4,
from sensor counts to the class.  Writes bench/tables.json, in which other data sets keep their rows, and the table of
bench/README.md.
"""

import json
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from signbit.codegen.plan import make_plan
from signbit.codegen.render import header_text
from signbit.console import Column, console, print_table
from signbit.qmodel.atomic import write_whole
from signbit.qmodel.command import EXIT_OK, Parser, note
from signbit.qmodel.data.named import Dataset, load_dataset
from signbit.qmodel.data.readers.loading import LoadingOptions
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.model import QuantizedModel
from signbit.trainer.learning.auto import settings_for
from signbit.trainer.learning.run import run
from tools.documents.blocks import ROOT, replace_block, table_of
from tools.measure.rival_code import compile_all, compilers, linked_bytes
from tools.measure.rival_emlearn import missing, write_c

RESULTS = ROOT / "bench" / "tables.json"
BLOCK = "tables"
OWN = ("iris", "wine", "breast_cancer", "digits")
"""scikit-learn's."""
SEEDS = 2
FOLDS, FEW_FOLDS, FEW_SAMPLES = 2, 5, 1000
OURS = "signbit"
CORE = "m4"
ALONE = """#include "%(header)s"

int32_t alone(const %(type)s *features, uint8_t *inputs, void *scratch);

int32_t alone(const %(type)s *features, uint8_t *inputs, void *scratch)
{
    (void)inputs;
    (void)scratch;
    %(body)s
}
"""


@dataclass(frozen=True)
class Score:
    """One classifier on one fold with one seed; `flash_bytes` is None where there is no C of it."""

    classifier: str
    fold: int
    seed: int
    accuracy: float
    flash_bytes: int | None
    what: str = ""
    """Ours: the network and the encoding."""
    times_run: float = 0.0
    """Ours: CPU time of choosing and training, in units of the training's."""


def main(arguments: list[str]) -> int:
    """Measure what is given and scikit-learn's own sets, write the file and the table."""
    options = _parser().parse_args(arguments)
    if missing():
        raise SignbitError(missing())
    with tempfile.TemporaryDirectory(prefix="signbit-") as folder:
        paths = [*options.files, *([] if options.files_only else own_files(Path(folder)))]
        for path in paths:
            row = measure(path, options.label_column)
            write_whole(RESULTS, (json.dumps(merged(read(), row), indent=1) + "\n").encode())
            _print(row)
    replace_block(BLOCK, table(read()))
    return EXIT_OK


def read() -> list[dict]:
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else []


def merged(rows: list[dict], row: dict) -> list[dict]:
    """The rows by name, `row` in place of the one with its name."""
    return sorted([*(other for other in rows if other["data"] != row["data"]), row], key=lambda row: row["data"])


def own_files(folder: Path) -> list[Path]:
    """scikit-learn's own sets as CSV, with the columns' names; the class is the last column."""
    from sklearn import datasets

    paths = []
    for name in OWN:
        bunch = getattr(datasets, f"load_{name}")()
        names = [str(column).replace(",", " ") for column in bunch.feature_names]
        rows = [
            ",".join([*(f"{value:g}" for value in values), str(bunch.target_names[number])])
            for values, number in zip(bunch.data, bunch.target, strict=True)
        ]
        paths.append(folder / f"{name}.csv")
        paths[-1].write_text("\n".join([",".join([*names, "class"]), *rows]) + "\n")
    return paths


def measure(path: Path, label_column: str | None = None) -> dict:
    """All classifiers on one data set: a row of bench/tables.json."""
    data = load_dataset(str(path), None, LoadingOptions(label_column=label_column))
    samples = sum(len(part) for part in (data.train, data.validation, data.test))
    if len(data.input_shape) != 1 or not data.has_counts:
        raise SignbitError(f"{path.name}: is no table of numbers, which this benchmark compares")
    scores = []
    for fold in range(FEW_FOLDS if samples < FEW_SAMPLES else FOLDS):
        data = load_dataset(str(path), None, LoadingOptions(fold=fold, label_column=label_column))
        for seed in range(SEEDS):
            scores.append(_ours(data, fold, seed))
            scores += _rivals(data, fold, seed)
            shown = ", ".join(f"{s.classifier} {s.accuracy:.2%}" for s in scores[-len(RIVALS) - 1 :])
            note(f"{data.name}, fold {fold}, seed {seed}: {shown}")
    return {
        "data": path.stem,
        "samples": samples,
        "columns": data.input_shape[0],
        "classes": len(data.labels),
        "scores": [asdict(score) for score in scores],
    }


def _ours(data: Dataset, fold: int, seed: int) -> Score:
    start = time.process_time()
    settings, _ = settings_for(data, {"seed": seed})
    chosen = time.process_time()
    done = run(settings, settings.prepared(data), "table")
    choosing, training = chosen - start, time.process_time() - chosen
    network = f"{settings.model} {'-'.join(map(str, settings.hidden))}".strip()
    return Score(
        OURS,
        fold,
        seed,
        done.scores["test"]["integer"].accuracy,
        flash_bytes(done.model),
        f"{network}, {settings.input_encoding}",
        1 + choosing / training,
    )


def flash_bytes(model: QuantizedModel) -> int:
    """What the whole classifier takes on a Cortex-M4: portable C by gcc -Os, from counts to the class."""
    plan = make_plan(model, "table", "portable", "size")
    with tempfile.TemporaryDirectory(prefix="signbit-") as name:
        folder = Path(name)
        (folder / "table.h").write_text(header_text(plan))
        body = "table_quantize_input(features, inputs);\n    return (int32_t)table_predict(inputs, scratch);"
        source = "#define TABLE_IMPLEMENTATION\n" + ALONE % {"header": "table.h", "type": "int16_t", "body": body}
        return _linked(source, folder, [folder])


def _linked(source: str, folder: Path, includes: list[Path]) -> int:
    path = folder / "alone.c"
    path.write_text(source)
    flags = ["-Os", "-std=gnu17", *(f"-I{include}" for include in includes)]
    return linked_bytes(compile_all(compilers()[0], CORE, flags, [path], folder), CORE, "alone")[0]


def _logistic(seed: int):
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=1000)


def _tree(seed: int):
    from sklearn.tree import DecisionTreeClassifier

    return DecisionTreeClassifier(max_leaf_nodes=16, random_state=seed)


def _forest(seed: int):
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(10, random_state=seed)


def _perceptron(seed: int):
    from sklearn.neural_network import MLPClassifier

    return MLPClassifier((64,), random_state=seed)


RIVALS = {
    # name: maker, whether its features are standardized, C type of a feature; None where emlearn makes no C
    "logistic": (_logistic, True, None),
    "tree, 16 leaves": (_tree, False, "int16_t"),
    "forest, 10 trees": (_forest, False, "int16_t"),
    "float MLP, 64": (_perceptron, True, "float"),
}


def _rivals(data: Dataset, fold: int, seed: int) -> Iterator[Score]:
    x, y = (np.concatenate([getattr(part, name) for part in (data.train, data.validation)]) for name in ("x", "y"))
    mean, deviation = x.mean(axis=0), np.maximum(x.std(axis=0), 1)
    for name, (make, is_scaled, c_type) in RIVALS.items():
        scaled = [(part - mean) / deviation if is_scaled else part for part in (x, data.test.x)]
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # where it stops by itself is its own affair
            classifier = make(seed).fit(scaled[0], y)
        accuracy = float(np.mean(classifier.predict(scaled[1]) == data.test.y))
        yield Score(name, fold, seed, accuracy, None if c_type is None else _emlearn_bytes(classifier, c_type))


def _emlearn_bytes(classifier, c_type: str) -> int:
    with tempfile.TemporaryDirectory(prefix="signbit-") as name:
        folder = Path(name)
        include = write_c(classifier, folder)
        body = f"return rival_predict(features, {classifier.n_features_in_});"
        source = ALONE % {"header": "rival.h", "type": c_type, "body": body}
        return _linked(source, folder, [folder, Path(include)])


def spread(row: dict, classifier: str) -> tuple[float, float, int | None]:
    """Mean and standard deviation of the accuracy over folds and seeds, and the most bytes."""
    scores = [score for score in row["scores"] if score["classifier"] == classifier]
    accuracy = [score["accuracy"] for score in scores]
    most = [score["flash_bytes"] for score in scores if score["flash_bytes"] is not None]
    return float(np.mean(accuracy)), float(np.std(accuracy)), max(most, default=None)


def cell(row: dict, classifier: str) -> str:
    """`97.54 ± 1.74 / 902`: accuracy in percent, its spread, bytes of the largest."""
    mean, deviation, most = spread(row, classifier)
    return f"{100 * mean:.2f} ± {100 * deviation:.2f}" + ("" if most is None else f" / {most:,}")


def table(rows: list[dict]) -> str:
    """The block of bench/README.md."""
    columns = (
        ("data", "data"),
        *((name, name) for name in ("samples", "columns", "classes")),
        (f"**{OURS}**", lambda row: f"**{cell(row, OURS)}**"),
        ("CPU, times a run", lambda row: f"{times_run(row):.1f}"),
        *((name, lambda row, name=name: cell(row, name)) for name in RIVALS),
    )
    return table_of(rows, columns)


def times_run(row: dict) -> float:
    """CPU time of the default command, choosing and training, in units of the training's: the mean."""
    return float(np.mean([score["times_run"] for score in row["scores"] if score["classifier"] == OURS]))


def _print(row: dict) -> None:
    columns = (Column("classifier", left=True), Column("test accuracy"), Column("flash, bytes at most"))
    cells = []
    for name in (OURS, *RIVALS):
        mean, deviation, most = spread(row, name)
        cells.append((name, f"{mean:.2%} ± {100 * deviation:.2f}", "" if most is None else f"{most:,}"))
    screen = console()
    screen.print(f"{row['data']}: {row['samples']:,} samples, {row['columns']} columns, {row['classes']} classes")
    print_table(screen, columns, cells)


def _parser() -> Parser:
    parser = Parser(prog="python -m tools tables", description=__doc__.split("\n")[0].partition(": ")[2])
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="a table, as for python -m trainer --data")
    parser.add_argument("--files-only", action="store_true", help="leave out scikit-learn's own sets")
    parser.add_argument("--label-column", metavar="COLUMN", help="the class in every FILE; by default guessed")
    return parser
