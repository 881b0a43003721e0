"""`signbit emulate MODEL`: the real firmware on emulated cores against Python, every value of every layer.

With --stream the firmware listens to a sound, which goes over its UART, and its words are printed as they come.
"""

import argparse
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from signbit.console import Column, console, print_table
from signbit.emulate.emulation import UART_INPUTS, CoreResult, emulate, given_by, missing
from signbit.emulate.machines import CORES, MACHINES, add_cores_option
from signbit.emulate.streaming import StreamResult, build, listen
from signbit.line.words import as_dict, print_word
from signbit.qmodel.command import EXIT_DIFFERENT, EXIT_NOT_RUN, EXIT_OK, Parser, note
from signbit.qmodel.counted import counted
from signbit.qmodel.data.named import dataset_for
from signbit.qmodel.data.readers.sound_file import read_rows
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.file import load
from signbit.qmodel.option_types import whole
from signbit.qmodel.shipped import add_model
from signbit.qmodel.stream import Word, check_answers, check_streams
from signbit.qmodel.untrusted import shown

STREAM_CORE = "m4"
"""The core that a sound goes to if none is named."""


def print_results(screen: Console, results: list[CoreResult]) -> None:
    """One row per core."""
    columns = (
        *(Column("core", left=True), Column("machine", 2, left=True)),
        *(
            Column("inputs"),
            Column("values"),
            Column("different"),
            Column("UART"),
            Column("boot ms", 1),
            Column("s", 3),
        ),
    )
    rows = [
        (
            result.title,
            result.machine,
            f"{result.inputs:,}",
            f"{result.values:,}",
            f"{result.different:,}",
            f"{result.uart_trips - result.uart_different}/{result.uart_trips}" if result.uart_trips else "-",
            f"{result.boot_ms:.0f}" if result.boot_ms else "-",
            f"{result.seconds:.1f}",
        )
        for result in results
    ]
    print_table(screen, columns, rows, [None if result.equal else "bold red" for result in results])


def main(arguments: list[str], prog: str = "signbit emulate") -> int:
    """Returns 0 when all is equal, 1 when anything differs, 3 with --require when a core could not be run."""
    options = _parser(prog).parse_args(arguments)
    options.cores = options.cores or ([STREAM_CORE] if options.stream else list(CORES))
    if options.stream:
        _check_stream(options)
    reasons = {core: reason for core in options.cores if (reason := missing([core]))}
    cores = [core for core in options.cores if core not in reasons]
    told = "; ".join(dict.fromkeys(reasons.values()))
    if reasons and (options.require or not cores):
        print(json.dumps({"not_run": told}) if options.json else f"NOT RUN: {told}")
        return EXIT_NOT_RUN if options.require else EXIT_OK
    if options.stream:
        return stream(options, cores)
    model = load(options.model)
    test = dataset_for(model, options.data, options.data_dir).test
    given = given_by(test, model)[: options.limit]
    with console(stderr=True).status("") as status:
        results = emulate(options.model, given, cores, options.uart, status.update)
    if options.json:
        print(json.dumps([dataclasses.asdict(result) for result in results], indent=2))
    else:
        print_results(console(), results)
    if reasons:
        note(f"NOT RUN: {', '.join(reasons)}: {told}")
    if options.require and len(results) < len(cores):
        return EXIT_NOT_RUN
    return EXIT_OK if all(result.equal for result in results) else EXIT_DIFFERENT


def stream(options: argparse.Namespace, cores: list[str]) -> int:
    """Print what each core hears, and whether it is what Python hears."""
    model, screen = load(options.model), console()
    check_streams(model)
    rows, rate_hz = read_rows(options.stream, model.front_end.channels, model.front_end.rate_hz)
    check_answers(model, options.stream.name, rows, rate_hz)
    hop_s = model.front_end.hop / rate_hz
    if model.decision is None:
        note(f"{model.name} has no decision, so that it names no words; choose one with: signbit decide")
    results = []
    for machine in (MACHINES[core] for core in cores):
        with console(stderr=True).status(f"building for {machine.title}"):
            elf = build(options.model, model, machine)
        if not options.json:
            screen.print(f"{machine.title} listens to {shown(options.stream.name)}", style="bold", soft_wrap=True)

        def heard(word: Word) -> None:
            if not options.json:
                print_word(screen, word, model.labels, hop_s)

        results.append(listen(machine, elf, model, rows, heard))
        if not options.json:
            screen.print(_stream_words(results[-1], len(rows) / rate_hz), soft_wrap=True)
    if options.json:
        print(json.dumps([_stream_dict(result, model.labels, hop_s) for result in results], indent=2))
    return EXIT_OK if all(result.equal for result in results) else EXIT_DIFFERENT


def _stream_words(result: StreamResult, sound_s: float) -> str:
    verdict = "all as in Python" if result.equal else f"{result.different:,} DIFFERENT"
    return (
        f"{result.answers:,} answers, {result.logits:,} logits, {counted(len(result.words), 'word')}: {verdict}; "
        f"{sound_s:.1f} s of sound in {result.seconds:.1f} s"
    )


def _stream_dict(result: StreamResult, labels: Sequence[str], hop_s: float) -> dict:
    found = [as_dict(word, labels, hop_s) for word in result.words]
    return dataclasses.asdict(result) | {"words": found, "equal": result.equal}


def _check_stream(options: argparse.Namespace) -> None:
    """Raises SignbitError for options that say nothing about a stream, and for cores without a UART."""
    given = {"--data": options.data, "--data-dir": options.data_dir, "--limit": options.limit}
    for name, value in given.items():
        if value is not None:
            raise SignbitError(f"{name} chooses test inputs; with --stream the sound is all there is")
    for core in options.cores:
        if core not in MACHINES:
            raise SignbitError(f"--stream goes over a UART, which {core} has not; there are {', '.join(MACHINES)}")


def _parser(prog: str) -> Parser:
    parser = Parser(prog=prog, description=" ".join(__doc__.partition(": ")[2].split()))
    add_model(parser)
    parser.add_argument("--data", metavar="NAME", help="test set (default: the one the model was trained on)")
    parser.add_argument("--data-dir", metavar="DIR", help="folder with the data set's files")
    add_cores_option(parser)
    parser.set_defaults(cores=None)
    parser.add_argument(
        "--stream",
        metavar="FILE",
        type=Path,
        help=f"listen to a sound, .wav or .flac, in place of test inputs, on {STREAM_CORE} if no core is named",
    )
    parser.add_argument("--limit", **whole(1).argument(), help="take only the first N inputs")
    parser.add_argument(
        "--uart", **whole(0).argument(), default=UART_INPUTS, help="UART round trips (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--require", action="store_true", help="exit with code 3 when compiler or emulator is missing")
    return parser
