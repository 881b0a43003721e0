"""What the documents say about the zoo: models/README.md, and tables, pictures and sources of bench/README.md."""

import json
import statistics
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from signbit.codegen.kernels.targets import SIZE, SPEED
from signbit.qmodel.shipped import accuracy_text
from tools.documents.blocks import ROOT, markdown_table, table_of
from tools.zoo.rows import build_of

RIVALS = ROOT / "bench" / "rivals.json"
MARKS = ROOT / "bench" / "marks.json"
"""Others' figures for what is not MNIST, each with the data set that it was measured on."""
TRAINED = ROOT / "bench" / "rivals_trained.json"
"""Others' networks, trained on our data (tools/zoo/train_rivals.py)."""
BLOCK, MODELS_BLOCK, PROMISE_BLOCK = "zoo", "models", "promise"
HEADLINE = "mnist-4k.npz"
FIRST_PAGE = ("digits-mlp.npz", "mnist-1k.npz", HEADLINE)
FIRST_BUILD = ("m0", SPEED)
M0_MHZ = 48
TITLES = {SPEED: "fastest", SIZE: "smallest"}

ACCURACY_NOTE = """\
Accuracy is that of the integer model on the test part, which each run reads once, at its end: the mean ± standard
deviation over all runs, and in brackets that of the run whose model ships, the best on the validation part (the lowest
seed on a tie; of folds, the first)."""
BUILDS_NOTE = """\
A row is one build: what `signbit export` makes for the core with `--optimize speed` (the fastest, compiled by gcc with
-O2) or `size` (the smallest, with -Os). Flash is what the linked inference takes: weights, parameters and code. Its
RAM is the scratch and, at most, the stack. Instructions are exact, counted on emulated cores (the M0's of a model
beyond 245 KiB on a machine with an M3, which executes an M0's code as it is), those of a front end not among them:
`signbit inspect` has these. Cycles are estimates from Arm's timing tables with zero wait states; for an M55 there are
none. No physical board took part."""
TRAINED_NOTE = """\
Rivals trained here got the training part with its copies, the split and the log-mel features of `commands-4k`, by
`python -m tools train_rivals`, which writes [rivals_trained.json](rivals_trained.json). Their accuracy is that of the
float network, so quantization costs them nothing here; their bytes are what they would take with 8-bit weights: a byte
each, and 12 for a channel's bias, multiplier and shift."""
MODELS_TEXT = """# Models that come with signbit

Networks whose weights take one bit each. Every file holds the integer model and, as provenance, its command, data hash,
settings and scores; `python -m trainer evaluate FILE` counts the test score again. `python -m tools zoo` trains and
measures them, and writes [zoo.json](zoo.json) and this page; [tools/zoo/recipes.py](../tools/zoo/recipes.py) is the
list of recipes, and [bench/README.md](../bench/README.md) compares the models with others.

%(table)s

%(accuracy)s

"Different" are test inputs, of all runs together, that the fake-quantized network and the integer model label
differently (`trainer/learning/evaluate.py` says what these are). CPU time is that of a whole run on one core.

%(builds)s

%(sections)s
%(data)s

The same command gives the same hash with other BLAS kernels, thread counts and SIMD instructions, which
`tests/test_networks.py` checks; `trainer/exact/grid.py` says how.
"""
DATA = {
    "mnist": """\
The mnist commands need MNIST's files: see `--data-dir` in `python -m trainer --help`.""",
    "fashion": """\
The models of fashion are trained on Fashion-MNIST (H. Xiao, K. Rasul, R. Vollgraf, Fashion-MNIST: a Novel Image Dataset
for Benchmarking Machine Learning Algorithms, 2017; github.com/zalandoresearch/fashion-mnist, MIT): 60,000 images of
clothes, an eighth of them for validation, and the authors' 10,000 to test. The folder `fashion` of the data directory
holds their four IDX files.""",
    "activity": """\
The models of activity are trained on HAPT (J.-L. Reyes-Ortiz, L. Oneto, A. Samà, X. Parra, D. Anguita,
Transition-Aware Human Activity Recognition Using Smartphones, Neurocomputing 171, 2016; data set 341 of
archive.ics.uci.edu, where it is CC BY 4.0): windows of 128 rows, 2.56 s, every 64, of accelerometer and gyroscope,
labels 1 to 6. `python -m tools activity` makes their table of the published files, in the folder `activity` of the
data directory. The nine people of the test part are those of UCI HAR's; the three of validation were chosen by
number.""",
    "commands": """\
The models of commands are trained on clips of the Arabic Speech Commands (A. Ghandoura, F. Hjabo, O. Al Dakkak,
Engineering Applications of Artificial Intelligence, 2021; CC BY 4.0;
github.com/abdulkaderghandoura/arabic-speech-commands-dataset), with the authors' split by person: all 300 of each of
ten words, two a person of each of ten others, the class `unknown`, and two recordings of noise, the class `silence`.
The folder `commands` of the data directory holds them, with the authors' lists as `train.csv`, `val.csv` and
`test.csv`. Of the 786 test inputs 720 are words.""",
}
"""Where a data set is from, by its name; digits come with the package."""
SECTION = """## %(file)s

%(purpose)s.

- network `%(network)s`
- model hash `%(hash)s`
- data hash `%(data_hash)s`

%(builds)s

%(runs)s

```
%(command)s
```
"""
COSTS = (
    ("weights and parameters, bytes", "data_bytes"),
    ("flash, bytes", "flash_bytes"),
    ("scratch, bytes", "scratch_bytes"),
    ("stack, bytes", "stack_bytes"),
    ("instructions", "instructions"),
    ("est. cycles", "estimated_cycles"),
)


def models_text(rows: Sequence[dict]) -> str:
    """models/README.md."""
    columns = (
        ("file", lambda row: f"[{row['file']}](#{row['file'].replace('.', '')})"),
        ("test accuracy", accuracy_text),
        ("macro F1", macro_f1_text),
        ("runs", lambda row: f"{len(row['seeds'])} {'folds' if row['folds'] else 'seeds'}"),
        ("MACs", "macs"),
        ("different", "labels_different"),
        ("CPU time", lambda row: f"{row['train_cpu_s']:.0f} s"),
    )
    sections = [
        SECTION
        % (
            row
            | {
                "purpose": _sentence(row["purpose"]),
                "builds": table_of(row["builds"], (("build", build_title), *COSTS)),
                "runs": _runs(row),
            }
        )
        for row in rows
    ]
    values = {"accuracy": ACCURACY_NOTE, "builds": BUILDS_NOTE, "sections": "\n".join(sections)}
    names = dict.fromkeys(Path(row["data"]).stem for row in rows)
    data = "\n\n".join(DATA[name] for name in names if name in DATA)
    return MODELS_TEXT % (values | {"table": table_of(rows, columns), "data": data})


def tables_text(rows: Sequence[dict], rivals: Sequence[dict]) -> str:
    """The block of bench/README.md: both pictures, our builds, others' points."""
    names = ", ".join(rival["name"] for rival in rivals)
    pictures = [
        f"![Test accuracy on MNIST against {what}, on logarithmic axes: our builds with the spread over their "
        f"runs, and {names}](../docs/img/accuracy_{axis}.png)"
        for axis, what in (("flash", "bytes of weights"), ("cycles", "cycles of one inference"))
    ]
    sources = "\n".join(
        f"- {rival['name']}: {rival['style']}. From {rival['source']}. Bytes: {rival['sizes']}.{_cycles(rival)}"
        for rival in rivals
    )
    return "\n\n".join(
        [
            *pictures,
            builds_table(rows),
            ACCURACY_NOTE,
            BUILDS_NOTE,
            "[models/README.md](../models/README.md) has commands, seeds and hashes; `python -m tools zoo` makes all "
            "of it. What others publish for MNIST on microcontrollers, their own figures:",
            rivals_table(rivals),
            sources,
            "Searches over 8-bit networks, such as SpArSe (Fedorov et al., NeurIPS 2019) and µNAS (Liberis, Dudziak "
            "and Lane, EuroMLSys 2021), also report MNIST in a few kilobytes; their tables could not be checked, "
            "so they are not drawn.",
            "Other data sets, beside what others publish for the same or a similar one; ours are the smallest builds:",
            marks_table(rows, json.loads(MARKS.read_text()), read_trained()),
            TRAINED_NOTE,
        ]
    )


def marks_table(rows: Sequence[dict], marks: Sequence[dict], trained: Sequence[dict]) -> str:
    """For each data set with marks and a model of ours, a line for each model, rival trained here and mark."""
    lines: list[list[str]] = []
    for data in dict.fromkeys(Path(row["data"]).stem for row in rows):
        found = [_trained_mark(rival) for rival in trained if rival["data"] == data]
        found += [list(mark.values()) for mark in marks if mark["data"] == data]
        if found:
            lines += [[data, *_our_mark(row)] for row in rows if Path(row["data"]).stem == data]
        lines += found
    headings = ["data", "network", "weights and parameters", "test", "measured on", "source"]
    return markdown_table(headings, lines, left=len(headings))


def _our_mark(row: dict) -> tuple[str, ...]:
    size = f"{build_of(row, 'm0', SIZE)['data_bytes']:,} B"
    figures = accuracy_text(row) + (f", macro F1 {macro_f1_text(row)}" if "test_macro_f1" in row else "")
    return Path(row["file"]).stem, size, figures, Path(row["data"]).stem, f"{len(row['seeds'])} seeds"


def _trained_mark(rival: dict) -> list[str]:
    runs = rival["runs"]
    if runs:
        accuracies = [100 * run["test_correct"] / run["test_count"] for run in runs]
        spread = f" ± {statistics.stdev(accuracies):.2f}" if len(runs) > 1 else ""
        figure = f"{statistics.mean(accuracies):.2f} %{spread} as float"
        how = f"{rival['source']}, trained here: {_counted(len(runs), 'seed')}, {_counted(rival['epochs'], 'epoch')}"
    else:
        figure, how = "NOT RUN", f"{rival['source']}: python -m tools train_rivals --only {rival['rival']}"
    return [rival["data"], rival["name"], f"{rival['int8_bytes']:,} B as int8", figure, rival["data"], how]


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"


def macro_f1_text(row: dict) -> str:
    """`0.9321 ± 0.0054`, or nothing where it was not counted."""
    return f"{row['test_macro_f1_mean']:.4f} ± {row['test_macro_f1_sd']:.4f}" if "test_macro_f1" in row else ""


def first_page(rows: Sequence[dict]) -> dict[str, str]:
    """The README's blocks: one build in three lines, and a build of each of three models; none without these."""
    chosen = [row | {"builds": [build_of(row, *FIRST_BUILD)]} for row in rows if row["file"] in FIRST_PAGE]
    if len(chosen) < len(FIRST_PAGE):
        return {}
    headline = next(row for row in chosen if row["file"] == HEADLINE)
    (build,) = headline["builds"]
    milliseconds = build["estimated_cycles"] / (1000 * M0_MHZ)
    promise = (
        f"- **{accuracy_text(headline)} of MNIST** by the integer model, so by the device too;",
        f"- **{build['flash_bytes']:,} bytes of flash,** code included, {build['scratch_bytes']:,} bytes of RAM and at "
        f"most {build['stack_bytes']:,} of stack;",
        f"- **{build['instructions']:,} instructions** per inference on a Cortex-M0, about {milliseconds:.0f} ms at "
        f"{M0_MHZ} MHz.",
    )
    return {PROMISE_BLOCK: "\n".join(promise), MODELS_BLOCK: builds_table(chosen, "models/")}


def builds_table(rows: Sequence[dict], folder: str = "../models/") -> str:
    """Every build of every model, one line each."""
    lines = [(row, build) for row in rows for build in row["builds"]]
    columns = (
        ("model", lambda line: f"[{line[0]['file'].removesuffix('.npz')}]({folder}{line[0]['file']})"),
        ("data", lambda line: line[0]["data"].removesuffix(".csv")),
        ("test accuracy", lambda line: accuracy_text(line[0])),
        ("build", lambda line: build_title(line[1])),
        *((heading, lambda line, key=key: line[1][key]) for heading, key in COSTS),
    )
    return table_of(lines, columns, left=4)


def rivals_table(rivals: Sequence[dict]) -> str:
    """Others' published points, one line each."""
    columns = (
        ("others", "name"),
        ("network", "label"),
        ("test accuracy", lambda point: f"{100 * point['accuracy']:.2f} %"),
        ("bytes", "flash_bytes"),
        ("cycles", "cycles"),
    )
    return table_of([rival | point for rival in rivals for point in rival["points"]], columns, left=2)


def read_rivals() -> list[dict]:
    return json.loads(RIVALS.read_text())


def read_trained() -> list[dict]:
    """A row for each rival of tools/zoo/rival_networks.py; `runs` has the finished ones."""
    return json.loads(TRAINED.read_text()) if TRAINED.is_file() else []


def build_title(build: dict) -> str:
    """`M0, fastest`"""
    return f"{build['core'].upper()}, {TITLES[build['optimize']]}"


def _runs(row: dict) -> str:
    ships = row["shipped_seed"]
    parts = ("validation", "test") if "test_macro_f1" in row else ()
    columns = (
        (
            "fold and seed" if row["folds"] else "seed",
            lambda run: f"**{ships}**, ships" if run["seed"] == ships else run["seed"],
        ),
        ("epoch", lambda run: f"{run['epoch']} of {run['epochs']}"),
        *((part, partial(_score, part)) for part in ("validation", "test")),
        *((f"macro F1, {part}", lambda run, part=part: f"{run[f'{part}_macro_f1']:.4f}") for part in parts),
        ("CPU time", lambda run: f"{run['train_cpu_s']:.0f} s"),
    )
    return table_of(row["runs"], columns)


def _score(part: str, run: dict) -> str:
    correct, count = run[f"{part}_correct"], run[f"{part}_count"]
    return f"{100 * correct / count:.2f} % ({correct}/{count})"


def _cycles(rival: dict) -> str:
    return f" Cycles: {rival['cycles_on']}." if rival["cycles_on"] else ""


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]
