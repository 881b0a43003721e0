"""`python -m tools tutorial_pictures`: train what docs/TUTORIAL.md quotes; write figures, tables and pictures.

Networks for MNIST with float, deterministic and stochastic weights, three seeds each.  The figures go into
bench/tutorial.json, the tables made from them into the tutorial, the pictures into docs/img.
"""

import copy
import json
import os
import re
import statistics
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

if __name__ == "__main__":
    # as in trainer/__main__.py: one BLAS thread, set before numpy is imported
    for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")

import numpy as np

from signbit import __version__
from signbit.qmodel import integer
from signbit.qmodel.atomic import write_whole
from signbit.qmodel.command import Parser
from signbit.qmodel.data.named import Dataset, load_dataset
from signbit.qmodel.file import load
from signbit.qmodel.layers import Dense as IntegerDense
from signbit.trainer.learning.run import Run, run
from signbit.trainer.learning.settings import default_settings
from signbit.trainer.network.layers import Dense, Parameter
from signbit.trainer.network.network import Network
from signbit.trainer.report.figure import BLUE, INK, ORANGE
from tools.documents.blocks import ROOT, markdown_table, replace_block
from tools.documents.pictures import picture, pyplot

FIGURES = ROOT / "bench" / "tutorial.json"
TUTORIAL = ROOT / "docs" / "TUTORIAL.md"
PICTURES = ROOT / "docs" / "img"
PACKED_MODEL = ROOT / "models" / "digits-mlp.npz"
ACCURACY_BLOCK, RATE_BLOCK = "accuracy", "rates"
SEEDS = (0, 1, 2)
KINDS = ("none", "deterministic", "stochastic")
NAMES = {"none": "float", "deterministic": "deterministic", "stochastic": "stochastic"}
ACCURACY = [
    *({"model": "logistic", "binarize": kind} for kind in KINDS),
    *({"model": "mlp", "binarize": kind} for kind in KINDS),
    *({"model": "mlp", "binarize": kind, "epochs": 60} for kind in KINDS[1:]),
]
RATES = [{"model": "logistic", "lr": 0.0001}, {"model": "logistic", "lr_scaling": "glorot"}]


@dataclass(frozen=True)
class Row:
    """One experiment with all its seeds; counts are of the test part, one per seed.

    `correct` is the integer model's, or the float network's where there is none; `correct_latent` is found with the
    latent weights used as real numbers, as the paper tests networks that were trained with stochastic ones.
    """

    network: str
    binarize: str
    epochs: int
    lr: float
    lr_scaling: str
    count: int
    correct: list[int] = field(default_factory=list)
    correct_latent: list[int] = field(default_factory=list)
    validation_accuracy: list[list[float]] = field(default_factory=list)
    """By seed, epoch by epoch."""


def measure(data: Dataset, progress: Callable[[str], None]) -> tuple[dict, dict[str, Run]]:
    """The figures as plain JSON values, and the runs of the first seed by "network weights"."""
    parts, shown = {}, {}
    for part, experiments in (("accuracy", ACCURACY), ("rates", RATES)):
        parts[part] = []
        for given in experiments:
            row, first = _row(data, given, progress)
            parts[part].append(asdict(row))
            shown.setdefault(f"{row.network} {row.binarize}", first)
    figures = {
        "command": "python -m tools tutorial_pictures --data-dir DIR",
        "signbit": __version__,
        "numpy": np.__version__,
        "data": {"name": data.name, "hash": data.hash},
        "seeds": list(SEEDS),
        **parts,
    }
    return figures, shown


def with_latent_weights(network: Network, inputs: np.ndarray) -> Network:
    """A copy whose latent weights are used as they are; its batch norms take their statistics from `inputs`."""
    real = copy.deepcopy(network)
    for layer in real.layers:
        if isinstance(layer, Dense):
            layer.binarize = "none"
            layer.bias = Parameter(np.zeros((1, layer.weight.value.shape[1]), network.dtype))
    real.calibrate(inputs)
    return real


def accuracy_table(figures: dict) -> str:
    """The tutorial's table of accuracies."""
    rows = []
    for row in figures["accuracy"]:
        first = [row["network"], NAMES[row["binarize"]], str(row["epochs"])]
        rows.append([*first, _spread(row["correct"], row["count"]), _spread(row["correct_latent"], row["count"])])
    headings = ["network", "weights", "epochs", "test %, weights as run", "test %, latent weights"]
    return markdown_table(headings, rows, left=2)


def rate_table(figures: dict) -> str:
    """The tutorial's table of learning rates: deterministic logistic regression."""
    usual = [row for row in figures["accuracy"] if (row["network"], row["binarize"]) == ("784-10", "deterministic")]
    rows = [
        [f"{row['lr']:g}", row["lr_scaling"], _spread(row["correct"], row["count"])]
        for row in [*figures["rates"], *usual]
    ]
    return markdown_table(["learning rate", "scaling", "test %"], rows, left=2)


def main(arguments: list[str]) -> None:
    options = command_parser().parse_args(arguments)
    pyplot()
    data = load_dataset("mnist", options.data_dir)
    figures, shown = measure(data, lambda text: print(text, file=sys.stderr, flush=True))
    write_whole(FIGURES, figures_text(figures).encode())
    replace_block(ACCURACY_BLOCK, accuracy_table(figures), TUTORIAL)
    replace_block(RATE_BLOCK, rate_table(figures), TUTORIAL)
    PICTURES.mkdir(exist_ok=True)
    draw(figures, shown, data, PICTURES)
    print(accuracy_table(figures), rate_table(figures), sep="\n\n")


def command_parser() -> Parser:
    parser = Parser(
        prog="python -m tools tutorial_pictures",
        description="Train what the tutorial quotes; write bench/tutorial.json, docs/img and the tutorial's tables.",
    )
    parser.add_argument("--data-dir", metavar="DIR", help="folder of MNIST's files")
    return parser


def figures_text(figures: dict) -> str:
    """JSON with a line for each innermost list."""
    text = json.dumps(figures, indent=1)
    return re.sub(r"\[[^\[\]{}]*\]", lambda found: " ".join(found[0].split()), text) + "\n"


def draw(figures: dict, shown: dict[str, Run], data: Dataset, folder: Path) -> None:
    """All pictures.  The same input and matplotlib give the same bytes."""
    for name, figure in (
        ("weights", _weights(shown)),
        ("curves", curves(figures)),
        ("latent", _latent(shown, data)),
        ("packed", _packed(load(PACKED_MODEL).layers[0])),
    ):
        write_whole(folder / f"{name}.png", picture(figure))


def _row(data: Dataset, given: dict, progress: Callable[[str], None]) -> tuple[Row, Run]:
    """All seeds of one experiment, and the first seed's run."""
    runs = []
    for seed in SEEDS:
        settings = default_settings(data=data.name, seed=seed, **given)
        done = run(settings, data)
        runs.append(done)
        progress(f"{_network(done)} {settings.binarize}, {settings.epochs} epochs, seed {seed}: {_correct(done)}")
    settings = runs[0].settings
    row = Row(_network(runs[0]), settings.binarize, settings.epochs, settings.lr, settings.lr_scaling, len(data.test))
    for done in runs:
        row.correct.append(_correct(done))
        row.validation_accuracy.append([round(epoch.validation_accuracy, 6) for epoch in done.history.epochs])
        if done.model is not None:
            predicted = with_latent_weights(done.network, data.train.x).predict(data.test.x)
            row.correct_latent.append(int(np.count_nonzero(predicted == data.test.y)))
    return row, runs[0]


def _network(done: Run) -> str:
    """784-128-10"""
    sizes = [layer.weight.value.shape for layer in done.network.layers if isinstance(layer, Dense)]
    return "-".join(map(str, (sizes[0][0], *(fan_out for _, fan_out in sizes))))


def _correct(done: Run) -> int:
    scores = done.scores["test"]
    return (scores["float"] if done.model is None else scores["integer"]).right


def _spread(correct: list[int], count: int) -> str:
    """`97.75 ± 0.05`: mean and standard deviation over the seeds, in per cent."""
    if not correct:
        return "–"
    values = [100 * right / count for right in correct]
    return f"{statistics.mean(values):.2f} ± {statistics.stdev(values):.2f}"


# --- pictures

CURVE_EPOCHS = 15
LINES = {"none": (INK, "-"), "deterministic": (BLUE, "-"), "stochastic": (ORANGE, "--")}
DIVERGING = (ORANGE, "#ffffff", BLUE)


def _weights(shown: dict[str, Run]):
    """Logistic regression's weights of each class as images: a row for each way of training."""
    latent = {kind: shown[f"784-10 {kind}"].network.layers[0].weight.value for kind in KINDS}
    spread = float(np.quantile(np.abs(latent["none"]), 0.995))
    rows = [
        ("float", latent["none"], spread),
        ("deterministic:\nlatent", latent["deterministic"], 1.0),
        ("deterministic:\nsign(latent)", integer.sign(latent["deterministic"]), 1.0),
        ("stochastic:\nlatent", latent["stochastic"], 1.0),
    ]
    plots = pyplot()
    from matplotlib.colors import LinearSegmentedColormap

    colours = LinearSegmentedColormap.from_list("signs", DIVERGING)
    figure, axes = plots.subplots(
        len(rows), 11, figsize=(9.6, 3.75), layout="constrained", width_ratios=[1] * 10 + [0.16]
    )
    for digit, cell in enumerate(axes[0, :10]):
        cell.set_title(str(digit), loc="center")
    for (title, weights, limit), row in zip(rows, axes, strict=True):
        for digit, cell in enumerate(row[:10]):
            pixels = weights[:, digit].reshape(28, 28)
            image = cell.imshow(pixels, cmap=colours, vmin=-limit, vmax=limit, interpolation="nearest")
            cell.set(xticks=[], yticks=[])
            cell.spines[:].set(visible=True, linewidth=0.5)
        row[0].set_ylabel(title, rotation=0, ha="right", va="center", labelpad=8)
        ends = [f"{sign}{limit:.2g}" for sign in "−+"]
        figure.colorbar(image, cax=row[10]).set_ticks([-limit, 0, limit], labels=[ends[0], " 0", ends[1]])
        row[10].tick_params(labelsize=8)
    return figure


def curves(figures: dict):
    """Validation error by epoch: line for the seeds' mean, band for their range."""
    figure, axes = pyplot().subplots(1, 2, figsize=(9.6, 3.7), layout="constrained")
    for network, axis in zip(("784-10", "784-128-10"), axes, strict=True):
        for row in figures["accuracy"]:
            if (row["network"], row["epochs"]) != (network, CURVE_EPOCHS):
                continue
            error = 100 * (1 - np.array(row["validation_accuracy"]))
            epochs = np.arange(1, error.shape[1] + 1)
            colour, dashes = LINES[row["binarize"]]
            axis.plot(epochs, error.mean(axis=0), dashes, color=colour, linewidth=2, label=NAMES[row["binarize"]])
            axis.fill_between(epochs, error.min(axis=0), error.max(axis=0), color=colour, alpha=0.2, linewidth=0)
        title = f"{network}, {'one hidden layer' if network.count('-') > 1 else 'logistic regression'}"
        axis.set(title=title, xlabel="epoch", xticks=[1, 5, 10, 15], xlim=(1, CURVE_EPOCHS), ylim=(0, None))
        axis.grid(axis="y", color="#dddddd", linewidth=0.6)
        axis.set_axisbelow(True)
    axes[0].set_ylabel("validation error, %")
    axes[0].legend(frameon=False, loc="lower left")
    return figure


def _latent(shown: dict[str, Run], data: Dataset):
    """Where 784-128-10's first latent weights are after training."""
    lit = data.train.x.max(axis=0) > 0
    figure, axis = pyplot().subplots(figsize=(7.2, 3.3), layout="constrained")
    for kind in KINDS[1:]:
        latent = shown[f"784-128-10 {kind}"].network.layers[0].weight.value[lit]
        share, edges = np.histogram(latent, bins=40, range=(-1, 1))
        colour, dashes = LINES[kind]
        axis.stairs(100 * share / latent.size, edges, color=colour, linestyle=dashes, linewidth=2, label=NAMES[kind])
    axis.set(xlabel="latent weight", ylabel="share of the weights, %", xlim=(-1.02, 1.02), xticks=[-1, -0.5, 0, 0.5, 1])
    axis.legend(frameon=False, loc="upper center")
    return figure


def _packed(layer: IntegerDense):
    """The first neuron's 8x8 weights as signs, and as the two words that hold them."""
    weights = layer.rows[0]
    words = integer.pack_bits(layer.rows[:1])[0]
    plots = pyplot()
    figure, (signs, bits) = plots.subplots(
        1, 2, figsize=(9.6, 2.75), layout="constrained", width_ratios=[1, 3.2], gridspec_kw={"wspace": 0.04}
    )
    signs.set_title("weights, by pixel")
    for index, weight in enumerate(weights):
        _cell(signs, index % 8, index // 8, "−" if weight < 0 else "+", weight < 0)
    signs.set(xlim=(-0.05, 8.05), ylim=(8.05, -0.05), aspect="equal")

    bits.set_title("the same, packed: bit 1 means −1")
    for row, word in enumerate(words):
        top = 3.4 * row
        bits.text(0, top - 0.3, f"word {row} = 0x{word:08x}", family="DejaVu Sans Mono", va="bottom")
        for bit in range(32):
            value = int(word) >> bit & 1
            _cell(bits, 31 - bit, top, str(value), value == 1)
        for bit in (31, 24, 16, 8, 0):
            bits.text(31.5 - bit, top + 1.3, f"bit {bit}", ha="center", va="top", size=8, color="#555555")
    bits.set(xlim=(-0.05, 32.8), ylim=(6.4, -1.6), aspect="equal")
    for axis in (signs, bits):
        axis.axis("off")
    return figure


def _cell(axis, x: float, y: float, text: str, filled: bool) -> None:
    from matplotlib.patches import Rectangle

    axis.add_patch(Rectangle((x, y), 1, 1, facecolor=ORANGE if filled else "white", edgecolor="#bbbbbb", linewidth=0.8))
    axis.text(x + 0.5, y + 0.52, text, ha="center", va="center", color="white" if filled else INK, size=9)
