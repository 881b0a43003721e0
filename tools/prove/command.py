"""`python -m tools prove [NAME ...]`: Run promises' proofs, a line each; the short form of all by default.

A proof is a number of cases, and some planted bugs that it must find.  With --long the cases go on where the record
of the same code ends, bench/proofs.json, until all are done or the minutes are over, and are added to the record.
"""

import time
from argparse import Namespace, RawDescriptionHelpFormatter
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from itertools import islice
from math import inf
from textwrap import fill

from signbit.jobs.bars import Bars
from signbit.jobs.executor import Died, Jobs, add_cluster, result
from signbit.qmodel.command import EXIT_DIFFERENT, EXIT_OK, Parser
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.option_types import choice, number, whole
from tools.prove import record
from tools.prove.row import Outcome, Row
from tools.prove.rows import ROWS

COLUMNS = 80


def main(arguments: list[str]) -> int:
    """Returns 1 when a proof has findings, found a planted bug not, or could not be run."""
    options = _options(arguments)
    rows = [row for row in ROWS if not options.names or row.name in options.names]
    failed = 0
    # before the record changes the checkout
    start, commit = time.monotonic(), record.commit()
    for index, row in enumerate(rows):
        left = (inf if options.minutes is None else options.minutes * 60) - (time.monotonic() - start)
        if reason := row.missing():
            print(f"{row.name}: NOT RUN: {reason}", flush=True)
            failed += 1
        elif options.long:
            failed += not prove_long(row, max(left, 0) / (len(rows) - index), commit, options.cluster)
        else:
            count = options.cases or row.short
            failed += not prove(row, options.first // row.step * row.step, count, options.cluster)
    return EXIT_DIFFERENT if failed else EXIT_OK


def prove(row: Row, first: int, count: int, cluster: str | None = None) -> bool:
    """The planted bugs, and `count` cases; prints a line, and before it each finding."""
    start = time.monotonic()
    blind = blind_controls(row)
    outcome = sum((found for _, found in _run(row, first, count, cluster)), Outcome())
    _say(row, first, count, outcome, blind, time.monotonic() - start)
    return not (outcome.findings or blind)


def prove_long(row: Row, seconds: float, commit: str, cluster: str | None = None) -> bool:
    """Cases after the recorded ones, for about so long, added to the record as the commit's; prints how far it is."""
    found = record.record_of(row, record.load())
    start, first = time.monotonic(), found.cases
    blind, done, outcome = [], 0, Outcome()
    if found.cases < row.total:
        blind = blind_controls(row)
        for count, part in _run(row, first, row.total - first, cluster, seconds - (time.monotonic() - start)):
            done, outcome = done + count, outcome + part
        found.add(first, done, outcome, time.monotonic() - start, commit)
        # other rows may have been recorded meanwhile
        record.save(record.load() | {row.name: found}, ROWS)
    _say(row, first, done, outcome, blind, time.monotonic() - start)
    if found.cases < row.total:
        print(
            f"{row.name}: {found.cases:,} of {row.total:,} {row.unit} so far, {found.cases / row.total:.1%}", flush=True
        )
    return not (found.findings or blind)


def blind_controls(row: Row) -> list[str]:
    """The planted bugs that the proof does not find."""
    return [name for name, control in row.controls.items() if not control().findings]


def run_step(name: str, first: int, count: int) -> Outcome:
    """Some cases of the row of that name."""
    return next(row for row in ROWS if row.name == name).run(first, count)


def _run(
    row: Row, first: int, count: int, cluster: str | None = None, seconds: float = inf
) -> Iterator[tuple[int, Outcome]]:
    """Cases as jobs, in order, until all are done or no more are begun."""
    end, steps = time.monotonic() + seconds, iter(row.steps(first, count))
    done = 0
    with Bars(row.name, count) as bars, Jobs(cluster=cluster) as jobs:
        begun = deque(_begin(jobs, row, step) for step in islice(steps, jobs.count + 1))
        while begun:
            (start, size), future = begun.popleft()
            try:
                yield size, result(future)
                done += size
                bars.done(done)
            except Died:
                yield size, Outcome({}, (f"cases {start} to {start + size - 1}, or those after: the process died",))
                return
            if time.monotonic() < end:
                begun.extend(_begin(jobs, row, step) for step in islice(steps, 1))


def _begin(jobs: Jobs, row: Row, step: tuple[int, int]) -> tuple[tuple[int, int], Future]:
    return step, jobs.submit(run_step, row.name, *step)


def _say(row: Row, first: int, count: int, outcome: Outcome, blind: list[str], seconds: float) -> None:
    for finding in outcome.findings:
        print(f"{row.name}: {finding}")
    for name in blind:
        print(f"{row.name}: does not find the planted bug: {name}")
    counts = "".join(f", {part}" for part in [record.words(outcome.counts)] if part)
    planted = f"{len(row.controls) - len(blind)} of {len(row.controls)} planted bugs found"
    print(
        f"{row.name}: {count:,} {row.unit} from {first:,} on{counts}: {len(outcome.findings)} findings; {planted};"
        f" {seconds:.0f} s",
        flush=True,
    )


def _options(arguments: list[str]) -> Namespace:
    """Raises SignbitError for options that do nothing together."""
    options = _parser().parse_args(arguments)
    if not options.long and options.minutes is not None:
        raise SignbitError("--minutes is for --long; the short form runs --cases")
    if options.long and (options.first or options.cases):
        raise SignbitError("--first and --cases are for the short form; --long goes on where the record ends")
    return options


def _parser() -> Parser:
    rows = "\n".join(
        fill(
            f"  {row.name:<18}{row.short:,} of {row.total:,} {row.unit}: {row.promise}",
            COLUMNS,
            subsequent_indent=20 * " ",
        )
        for row in ROWS
    )
    parser = Parser(
        prog="python -m tools prove",
        description=__doc__.partition(": ")[2],
        epilog=f"proofs, with the cases of the short and the long form:\n{rows}",
        formatter_class=RawDescriptionHelpFormatter,
    )
    names = choice([row.name for row in ROWS])
    parser.add_argument("names", nargs="*", type=names.argument()["type"], metavar="NAME", help="default: all")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--short", action="store_true", help="the short form (default)")
    form.add_argument("--long", action="store_true", help="go on where the record ends, and add to it")
    parser.add_argument(
        "--minutes", **number("N", 0).argument(), help="for all proofs together, with --long (default: no limit)"
    )
    add_cluster(parser)
    parser.add_argument("--first", **whole(0).argument(), default=0, help="the short form's first case (default: 0)")
    parser.add_argument("--cases", **whole(1).argument(), help="how many the short form runs")
    return parser
