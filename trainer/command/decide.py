"""`decide`: choose when the answers of a stream become a decision, on the validation part, and write the model with it.

Also what `evaluate --stream` does: count what a model with a decision names in long sounds.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from signbit.console import Column, console, print_table
from signbit.qmodel.command import Parser, note
from signbit.qmodel.data.dataset import Dataset, Split
from signbit.qmodel.data.named import dataset_for
from signbit.qmodel.data.readers.loading import LoadingOptions
from signbit.qmodel.data.readers.recordings import files_below, suffix_of, table_source
from signbit.qmodel.data.readers.sound_file import SUFFIXES, read_rows
from signbit.qmodel.decision import SPANS
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.file import load, save
from signbit.qmodel.model import QuantizedModel
from signbit.qmodel.option_types import number, whole
from signbit.qmodel.shipped import add_model
from signbit.qmodel.stream import check_answers, check_streams
from signbit.qmodel.untrusted import shown
from signbit.trainer.command.output import check_writable
from signbit.trainer.learning.streams import NEVER_NAMED, Heard, Sound, answers, compose, fit, hear, sound_of
from signbit.trainer.report.results import UNDEFINED

RATES = (0.5, 1.0, 3.0, 10.0)
"""False alarms an hour that are tried where none is chosen."""
MINUTES = 60
COMPOSED = ""
"""What `--stream` is without a PATH."""


def main(arguments: list[str], prog: str) -> None:
    options = _parser(prog).parse_args(arguments)
    if options.out is not None:
        if options.false_alarms is None:
            raise SignbitError("--out needs a rate; choose one with --false-alarms")
        check_writable(Path(options.out))
    model = load(options.model)
    check_streams(model)
    sounds = _composed(dataset_for(model, options.data), options.minutes or MINUTES, is_chosen=True)
    rates = RATES if options.false_alarms is None else (options.false_alarms,)
    choices = []
    for rate in rates:
        try:
            choices.append((rate, *fit(model, list(sounds.values()), rate, options.hops)))
        except SignbitError:
            # a rate that is only tried may be too low
            if options.false_alarms is not None or rate == rates[-1]:
                raise
    if options.out is not None:
        rate, decision, heard = choices[0]
        record = {"false_alarms_allowed": rate, "validation": heard.as_dict()}
        model = replace(model, decision=decision, provenance=model.provenance | {"decision": record})
        save(model, options.out)
    if options.json:
        saved = {"name": model.name, "hash": model.hash, "out": options.out} if options.out else None
        found = [{"allowed": rate, **one.settings(), **heard.as_dict()} for rate, one, heard in choices]
        print(json.dumps({"command": "decide", "model": saved, "choices": found}))
        return
    columns = [Column("allowed an hour"), Column("answers"), Column("threshold")]
    rows = []
    for rate, one, heard in choices:
        threshold = f"{int(one.thresholds.min()) / one.answers / 1000:.0%}"
        rows.append([f"{rate:g}", str(one.answers), threshold, *_cells(heard)])
    print_table(console(), [*columns, *map(Column, HEADS)], rows)
    if options.out is None:
        print("nothing is saved; choose a rate with --false-alarms and --out")
    else:
        print(f"model {model.name}, hash {model.hash}, saved as {options.out}")


def evaluate_stream(model: QuantizedModel, options) -> None:
    """Print what `model` names in the recordings at `options.stream`, or in sounds composed of its test part."""
    if model.decision is None:
        raise SignbitError(f"{model.name} has no decision; choose one with: signbit decide")
    if options.stream == COMPOSED:
        sounds = _composed(dataset_for(model, options.data), options.minutes or MINUTES, is_chosen=False)
    else:
        check_minutes(options)
        sounds = _recordings(model, Path(options.stream))
    found: dict[str, Heard] = {}
    for name, sound in sounds.items():
        logits, until = answers(model, sound, model.decision.hops)
        found[name] = hear(model, model.decision, sound, until, logits)
    if options.json:
        values = {name: heard.as_dict() for name, heard in found.items()}
        print(json.dumps({"command": "evaluate", "model": {"name": model.name, "hash": model.hash}, "sounds": values}))
        return
    heads = [Column("sound", left=True), *map(Column, HEADS)]
    print_table(console(), heads, [[shown(name), *_cells(heard)] for name, heard in found.items()])


HEADS = ("minutes", "words", "false rejects", "false alarms", "an hour", "at most")


def _cells(heard: Heard) -> list[str]:
    rejects = UNDEFINED if heard.false_rejects is None else f"{heard.false_rejects:.2%}"
    hour, most = (f"{count / heard.hours:.1f}" for count in (heard.false_alarms, heard.false_alarms_most))
    return [f"{60 * heard.hours:.1f}", str(heard.words), rejects, str(heard.false_alarms), hour, most]


def _composed(data: Dataset, minutes: float, is_chosen: bool) -> dict[str, Sound]:
    """Sounds of the validation part, or of the test part, which is all there is of new data."""
    part: Split = data.validation if is_chosen and not data.is_whole else data.test
    noise = data.noise[1 if part is data.validation else 2] if data.noise else None
    if noise is None:
        note(f"{data.name} has no noise, so that white noise is between the words; see --noise")
    return {
        "commands": compose(data, part, noise, minutes, commands=True),
        "other words": compose(data, part, noise, minutes, commands=False),
    }


def _recordings(model: QuantizedModel, path: Path) -> dict[str, Sound]:
    """Sound files with the words that NAME.csv beside them says, one a row: its second and its class."""
    files = [file for file in files_below(path) if suffix_of(file) in SUFFIXES] if path.is_dir() else [path]
    if not files:
        raise SignbitError(f"--stream {shown(path.name)}: has no sound files ({', '.join(SUFFIXES)})")
    found, front_end = {}, model.front_end
    for file in files:
        rows, rate_hz = read_rows(file, front_end.channels, front_end.rate_hz)
        check_answers(model, file.name, rows, rate_hz)
        found[file.name] = sound_of(rows, _words(model, file.with_suffix(".csv"), rate_hz, len(rows)), rate_hz)
    return found


def _words(model: QuantizedModel, path: Path, rate_hz: int, rows: int) -> list[tuple[int, int]]:
    if not path.exists():
        return []
    named = {label: index for index, label in enumerate(model.labels) if label not in NEVER_NAMED}
    words = []
    source = table_source(path, LoadingOptions())
    for row in source.rows:
        second = source.parse(row.cells[0])
        if len(row.cells) < 2 or not 0 <= second < 1e6:
            raise SignbitError(f"{path.name}, row {row.number}: must have the second of a word, and the word")
        if second * rate_hz >= rows:
            raise SignbitError(f"{path.name}, row {row.number}: the sound ends before {second:g} s")
        if row.cells[-1] in named:
            words.append((int(np.rint(second * rate_hz)), named[row.cells[-1]]))
    return sorted(words)


def _parser(prog: str) -> Parser:
    parser = Parser(
        prog=prog,
        description="Choose how many answers of a stream have to agree, and how sure they have to be, before a class "
        "is named, in sounds composed of validation data, and write the model with it. Without a rate: what several "
        "rates would do.",
    )
    add_model(parser)
    parser.add_argument(
        "--false-alarms", **number("RATE", 0).argument(), help="the most an hour; of these, the fewest false rejects"
    )
    parser.add_argument("-o", "--out", metavar="FILE", help="model file to write")
    parser.add_argument("--data", metavar="DATA", help="the data that the model was trained on")
    parser.add_argument(
        "--hops", **whole(*SPANS["hops"]).argument(), help="from one answer to the next (default: a sixth of a window)"
    )
    add_minutes(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    return parser


def check_minutes(options) -> None:
    """Raises SignbitError where nothing is composed."""
    if options.minutes is not None:
        raise SignbitError("--minutes is the length of composed sounds; give it with --stream without a PATH")


def add_minutes(parser) -> None:
    parser.add_argument(
        "--minutes",
        **number("MINUTES", 0, 6000, "()").argument(),
        help=f"length of the sound that is composed of unknown words and noise (default: {MINUTES})",
    )
