"""`signbit emulate MODEL`: the real firmware on emulated cores against Python, every value of every layer."""

import dataclasses
import json

from rich.console import Console

from signbit.console import Column, console, print_table
from signbit.emulate.emulation import UART_INPUTS, CoreResult, emulate, given_by, missing
from signbit.emulate.machines import add_cores_option
from signbit.qmodel.command import EXIT_DIFFERENT, EXIT_NOT_RUN, EXIT_OK, Parser, note
from signbit.qmodel.data.named import dataset_for
from signbit.qmodel.file import load
from signbit.qmodel.option_types import whole
from signbit.qmodel.shipped import add_model


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
    reasons = {core: reason for core in options.cores if (reason := missing([core]))}
    cores = [core for core in options.cores if core not in reasons]
    told = "; ".join(dict.fromkeys(reasons.values()))
    if reasons and (options.require or not cores):
        print(json.dumps({"not_run": told}) if options.json else f"NOT RUN: {told}")
        return EXIT_NOT_RUN if options.require else EXIT_OK
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


def _parser(prog: str) -> Parser:
    parser = Parser(prog=prog, description=__doc__.partition(": ")[2])
    add_model(parser)
    parser.add_argument("--data", metavar="NAME", help="test set (default: the one the model was trained on)")
    parser.add_argument("--data-dir", metavar="DIR", help="folder with the data set's files")
    add_cores_option(parser)
    parser.add_argument("--limit", **whole(1).argument(), help="take only the first N inputs")
    parser.add_argument(
        "--uart", **whole(0).argument(), default=UART_INPUTS, help="UART round trips (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--require", action="store_true", help="exit with code 3 when compiler or emulator is missing")
    return parser
