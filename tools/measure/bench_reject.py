"""`python -m tools bench_reject`: what a reject of 5 % refuses, of known, of unknown inputs and of noise.

Networks learn the digits, and MNIST where it is there, without two of the classes, which are the unknown inputs.  The
margin is compared with the other scores that a network's logits give.  Writes the table of docs/TRAINING.md.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from signbit.places import ROOT
from signbit.qmodel import integer
from signbit.qmodel.command import Parser
from signbit.qmodel.data.dataset import Dataset, Split
from signbit.qmodel.data.named import load_dataset
from signbit.qmodel.model import QuantizedModel
from signbit.trainer.learning.quantize import quantize
from signbit.trainer.learning.reject import at_share
from signbit.trainer.learning.run import begin
from signbit.trainer.learning.settings import default_settings
from tools.documents.blocks import replace_block, table_of

DOCUMENT = ROOT / "docs" / "TRAINING.md"
BLOCK = "reject"
LEFT_OUT = ((0, 1), (2, 3), (4, 5), (6, 7), (8, 9))
RATE = Fraction(1, 20)
NOISE_INPUTS = 1000
SCORES: dict[str, Callable[[QuantizedModel, np.ndarray], np.ndarray]] = {
    "margin": lambda model, logits: integer.margin(logits),
    "confidence": lambda model, logits: model.confidence(logits),
    "largest logit": lambda model, logits: logits.max(axis=1),
}


@dataclass(frozen=True)
class Share:
    """Counts over all networks of a data set."""

    right: int = 0
    count: int = 0

    def __add__(self, found: np.ndarray) -> "Share":
        return Share(self.right + int(np.count_nonzero(found)), self.count + len(found))

    def __str__(self) -> str:
        return f"{100 * self.right / self.count:.1f} %"


def measure(name: str, data_dir: str | None = None) -> list[dict]:
    """One row per score: what is refused of the test part, of the classes left out and of noise, at RATE."""
    data, settings = load_dataset(name, data_dir), default_settings(name, "mlp")
    columns = ("all right", "refused", "right of the others", "unknown refused", "noise refused")
    rows = {score: dict.fromkeys(columns, Share()) for score in SCORES}
    noise = np.random.default_rng(0).integers(0, 256, (NOISE_INPUTS, data.test.x.shape[1]), np.uint8)
    for left_out in LEFT_OUT:
        known, unknown = without(data, left_out)
        training = begin(settings, known)
        training.run()
        model = quantize(training.trained, name, known.input_shape, known.labels)
        chosen_on, *others = (model.run(x) for x in (known.validation.x, known.test.x, unknown, noise))
        right = integer.argmax(others[0]) == known.test.y
        for score, row in rows.items():
            at = SCORES[score](model, chosen_on), integer.argmax(chosen_on)
            thresholds = at_share(*at, len(known.labels), RATE, from_top=False)
            refused = [SCORES[score](model, logits) < thresholds[integer.argmax(logits)] for logits in others]
            for column, found in zip(columns, (right, refused[0], right[~refused[0]], *refused[1:]), strict=True):
                row[column] += found
    return [{"data": name, "score": score} | row for score, row in rows.items()]


def without(data: Dataset, left_out: tuple[int, ...]) -> tuple[Dataset, np.ndarray]:
    """The data set without some classes, and their inputs of the test part."""
    kept = [index for index in range(len(data.labels)) if index not in left_out]
    parts = {}
    for name in ("train", "validation", "test"):
        part = getattr(data, name)
        is_kept = np.isin(part.y, kept)
        parts[name] = Split(part.x[is_kept], np.searchsorted(kept, part.y[is_kept]))
    labels = tuple(data.labels[index] for index in kept)
    return replace(data, labels=labels, **parts), data.test.x[~np.isin(data.test.y, kept)]


def main(arguments: list[str]) -> int:
    """Measure, write the table."""
    parser = Parser(prog="python -m tools bench_reject", description=__doc__.partition(": ")[2].partition("\n\n")[0])
    parser.add_argument("--data-dir", metavar="DIR", help="folder of MNIST's files")
    options = parser.parse_args(arguments)
    rows = [row for name in ("digits", "mnist") for row in measure(name, options.data_dir)]
    table = table_of(rows, [(heading, heading) for heading in rows[0]], left=2)
    text = (
        f"{table}\n\nNetworks of the default `--model mlp` that learn eight of the ten digits, five networks per data "
        "set, with the two others as unknown inputs and random bytes as noise; refused at a rate of 5 %, chosen on the "
        "validation part. Written by `python -m tools bench_reject`."
    )
    replace_block(BLOCK, text, DOCUMENT)
    print(table)
    return 0
