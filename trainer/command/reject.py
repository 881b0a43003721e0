"""`reject`: choose what a trained model refuses, on the validation part, and write it with that."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from signbit.console import Column, console, print_table
from signbit.qmodel.command import Parser
from signbit.qmodel.data.dataset import UNKNOWN
from signbit.qmodel.data.named import dataset_for
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.file import load, save
from signbit.qmodel.integer import REJECTED
from signbit.qmodel.model import QuantizedModel
from signbit.qmodel.option_types import share
from signbit.qmodel.reject import Reject
from signbit.qmodel.shipped import add_model
from signbit.trainer.command.output import check_writable
from signbit.trainer.learning.evaluate import Score, score
from signbit.trainer.learning.reject import Accepted, accepted, accepted_as_dict, fit_known, fit_unknown
from signbit.trainer.report.results import accuracy_text, coverage_text

RATES = (0.0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
"""Shown where none is chosen."""


@dataclass(frozen=True, eq=False)
class Choice:
    """A reject for `rate`, and what it does to the validation part and to unknown inputs, if there are any."""

    rate: float
    reject: Reject | None
    accepted: Accepted
    unknown: Score | None
    """Right are those that were refused."""

    def as_dict(self) -> dict:
        unknown = None if self.unknown is None else {"refused": self.unknown.right, "count": self.unknown.count}
        return {"rate": self.rate, **accepted_as_dict({"validation": self.accepted}), "unknown": unknown}


def main(arguments: list[str], prog: str) -> None:
    options = _parser(prog).parse_args(arguments)
    if options.unknown_rate is not None and options.unknown is None:
        raise SignbitError("--unknown-rate is a share of unknown inputs; say where they are with --unknown")
    if options.out is not None:
        if options.rate is None and options.unknown_rate is None:
            raise SignbitError("--out needs a rate; choose one with --rate or --unknown-rate")
        check_writable(Path(options.out))
    model = load(options.model)
    logits, classes, unknown = _inputs(model, options.data, options.data_dir, options.unknown)

    def choice(rate: float, reject: Reject | None) -> Choice:
        changed = replace(model, reject=reject)
        refused = score(changed.decide(unknown), REJECTED) if len(unknown) else None
        return Choice(rate, reject, accepted(changed, logits, classes), refused)

    def known(rate: float) -> Choice:
        return choice(rate, fit_known(logits, rate) if rate else None)

    if options.unknown_rate is not None:
        choices = [choice(options.unknown_rate, fit_unknown(unknown, options.unknown_rate))]
    elif options.rate is not None:
        choices = [known(options.rate)]
    else:
        choices = [known(rate) for rate in RATES if rate * (len(logits) + 1) >= 1 or not rate]
    if options.out is not None:
        kind = "rate" if options.unknown_rate is None else "unknown_rate"
        record = {kind if name == "rate" else name: value for name, value in choices[0].as_dict().items()}
        provenance = {name: value for name, value in model.provenance.items() if name != "reject"}
        provenance |= {} if choices[0].reject is None else {"reject": record}
        model = replace(model, reject=choices[0].reject, provenance=provenance)
        save(model, options.out)
    if options.json:
        saved = {"name": model.name, "hash": model.hash, "out": options.out} if options.out else None
        print(json.dumps({"command": "reject", "model": saved, "choices": [one.as_dict() for one in choices]}))
    else:
        _print(choices, model, options.out)


def _parser(prog: str) -> Parser:
    parser = Parser(
        prog=prog,
        description="Choose margins below which a trained model refuses inputs, on data that training did not use, and "
        "write the model with them. Without a rate: what several rates would do.",
    )
    add_model(parser)
    rates = parser.add_mutually_exclusive_group()
    rates.add_argument(
        "--rate",
        **share("RATE").argument(),
        help="refuse at most this share of each class's validation inputs, 0.05 or 5%%; 0 takes the reject away",
    )
    rates.add_argument(
        "--unknown-rate", **share("RATE", "()").argument(), help="refuse at least this share of the --unknown inputs"
    )
    parser.add_argument("--unknown", metavar="DATA", help="inputs of no class of the model, whatever their labels say")
    parser.add_argument("-o", "--out", metavar="FILE", help="model file to write")
    parser.add_argument(
        "--data",
        metavar="DATA",
        help="what to choose on (default: the validation part of the data that the model was trained on); of other "
        "data all inputs are taken",
    )
    parser.add_argument("--data-dir", metavar="DIR", help="folder of MNIST's files")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    return parser


def _inputs(
    model: QuantizedModel, data: str | None, data_dir: str | None, unknown: str | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits and classes of the inputs to choose on, and logits of unknown inputs."""
    # a model with a reject takes inputs of unknown classes
    model = replace(model, reject=Reject(np.zeros(len(model.labels), np.uint32)))
    dataset = dataset_for(model, data, data_dir)
    part = dataset.test if dataset.is_whole else dataset.validation
    logits, is_known = model.run(part.x), part.y != UNKNOWN
    if not is_known.any():
        raise SignbitError(f"{dataset.name} has no input of the model's classes")
    others = logits[~is_known]
    if unknown is not None:
        others = np.concatenate([others, model.run(dataset_for(model, unknown, data_dir).test.x)])
    return logits[is_known], part.y[is_known], others


def _print(choices: list[Choice], model: QuantizedModel, out: str | None) -> None:
    has_unknown = choices[0].unknown is not None
    columns = [Column("rate"), Column("accepted"), Column("right of these")]
    rows = [[f"{one.rate:.4g}", coverage_text(one.accepted), accuracy_text(one.accepted)] for one in choices]
    if has_unknown:
        columns.append(Column("unknown refused"))
        for row, one in zip(rows, choices, strict=True):
            row.append(f"{one.unknown.accuracy:.2%} ({one.unknown.right}/{one.unknown.count})")
    print_table(console(), columns, rows)
    if out is None:
        print("nothing is saved; choose one with --rate and --out")
    else:
        print(f"model {model.name}, hash {model.hash}, saved as {out}")
