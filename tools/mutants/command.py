"""`python -m tools mutants [FILE ...]`: Plant bugs, and run for each the tests that are nearest; bench/mutants.json.

Those with a result are not planted again.  `python -m tools mutants_map` must have noted before which tests run which
lines.  Prints at the end what survives.
"""

import os
import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from math import inf

from signbit.jobs.bars import Bars
from signbit.qmodel.command import EXIT_DIFFERENT, EXIT_OK, Parser
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.option_types import number, whole
from tools.mutants import results
from tools.mutants.chosen import mutants
from tools.mutants.mutant import Mutant
from tools.mutants.nearest import Nearest
from tools.mutants.planting import Planting

SAVE_S = 20


class Asking:
    """Plants the mutants of a list in turn, in several copies of the checkout at once."""

    def __init__(self, asked: list[Mutant], seconds: float, show: Callable[[int], None]):
        self.nearest = Nearest()
        self.asked, self.show = asked, show
        self.before = results.load()
        self.end = time.monotonic() + seconds
        self.found: dict[str, str] = {}
        self.killers: dict[str, list[str]] = defaultdict(list)
        self.tests = {test for mutant in asked for test in self._tests(mutant)}
        self._lock, self._saved = threading.Lock(), time.monotonic()

    def work(self) -> None:
        """Until none is left or the time is over."""
        with Planting(self.tests) as planting:
            while time.monotonic() < self.end and (mutant := self._next()):
                tests = self._tests(mutant)
                self._note(mutant, planting.failing(mutant, tests) if tests else "")

    def _tests(self, mutant: Mutant) -> list[str]:
        return list(mutant.tests) or self.nearest.tests(mutant, self.killers[mutant.file])

    def _next(self) -> Mutant | None:
        with self._lock:
            return self.asked.pop() if self.asked else None

    def _note(self, mutant: Mutant, test: str) -> None:
        with self._lock:
            self.found[mutant.name] = test
            self.show(len(self.found))
            self.killers[mutant.file] += [test] if test else []
            if time.monotonic() > self._saved + SAVE_S:
                self.save()

    def save(self) -> None:
        """Others may write the same file: what they have done meanwhile is not done again."""
        done = results.save(self.found, mutants())
        self.asked = [mutant for mutant in self.asked if done.get(mutant.name) == self.before.get(mutant.name)]
        self._saved = time.monotonic()


def main(arguments: list[str]) -> int:
    """Returns 1 when a mutant survives that is not explained."""
    options = _parser().parse_args(arguments)
    chosen = [mutant for mutant in mutants().values() if not options.files or mutant.file in options.files]
    if not chosen:
        raise SignbitError("no mutant is made of these files; name them as in bench/mutants.json")
    done = {name for name, test in results.load().items() if test or not options.again}
    asked = [mutant for mutant in chosen if mutant.name not in done]
    asked = file_by_file(asked)
    if asked and options.minutes != 0:
        plant(asked, options.jobs or os.cpu_count() or 1, inf if options.minutes is None else 60 * options.minutes)
    return EXIT_DIFFERENT if report(chosen) else EXIT_OK


def file_by_file(asked: list[Mutant]) -> list[Mutant]:
    """Several commands at once begin with different files."""
    files = sorted({mutant.file for mutant in asked})
    random.Random(os.getpid()).shuffle(files)
    return sorted(asked, key=lambda mutant: files.index(mutant.file))


def plant(asked: list[Mutant], jobs: int, seconds: float) -> None:
    """Each in turn, with a bar on a terminal."""
    with Bars("mutants", len(asked)) as bars, ThreadPoolExecutor(jobs) as pool:
        asking = Asking(asked, seconds, bars.done)
        for future in [pool.submit(asking.work) for _ in range(jobs)]:
            future.result()
        asking.save()


def report(chosen: list[Mutant]) -> int:
    """Prints the survivors without an explanation, and the counts; returns how many those are."""
    found, explained = results.load(), results.explained()
    survivors = [mutant for mutant in chosen if found.get(mutant.name) == ""]
    open_ones = [mutant for mutant in survivors if mutant.name not in explained]
    for mutant in open_ones:
        print(f"{mutant.name} {mutant.file}:{mutant.line}: {mutant.change}")
    planted = sum(mutant.name in found for mutant in chosen)
    print(
        f"{len(chosen):,} mutants: {planted:,} planted, {planted - len(survivors):,} caught, "
        f"{len(survivors) - len(open_ones)} explained, {len(open_ones)} survive"
    )
    return len(open_ones)


def _parser() -> Parser:
    parser = Parser(prog="python -m tools mutants", description=__doc__.partition(": ")[2])
    parser.add_argument("files", nargs="*", metavar="FILE", help="of which mutants are planted (default: all)")
    parser.add_argument("--again", action="store_true", help="plant those that survived again, after a new test")
    parser.add_argument("--jobs", **whole(1).argument(), help="copies of the checkout at once (default: one a core)")
    parser.add_argument("--minutes", **number("N", 0).argument(), help="with 0 only the results are printed")
    return parser
