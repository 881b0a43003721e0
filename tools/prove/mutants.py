"""Planted bugs in the product, each caught by the tests that are nearest to it.

`python -m tools mutants` plants them all and writes bench/mutants.json; the first cases here are planted anew, in turn
with the code, and must fail the test that caught them.  The others are counted from there.
"""

import hashlib
import random
from dataclasses import replace

from tools.mutants import results
from tools.mutants.chosen import mutants
from tools.mutants.mutant import Mutant
from tools.mutants.planting import Planting
from tools.prove.row import Outcome, Row

SHORT, TOTAL = 20, 1500
UNTOUCHED = "tests/test_integer.py::test_sign_of_zero_is_plus_one"


def run(first: int, count: int) -> Outcome:
    chosen = order()[first : first + count]
    lacking = first + count - max(len(order()), first)
    outcome = planted_anew(chosen) if first < SHORT else recorded(chosen)
    return outcome + Outcome({}, (f"{lacking} mutants have no result: python -m tools mutants",) if lacking > 0 else ())


def order() -> list[str]:
    """The names of the mutants with a result: SHORT that were caught, others whenever code changes, and the rest."""
    found = {name: test for name, test in results.load().items() if name in mutants()}
    caught = sorted(name for name, test in found.items() if test)
    seed = hashlib.sha256("".join(sorted(mutants())).encode()).digest()
    anew = random.Random(seed).sample(caught, min(SHORT, len(caught)))
    return anew + sorted(found.keys() - set(anew), key=lambda name: (found[name] != "", name))


def planted_anew(names: list[str]) -> Outcome:
    """Each with the test that caught it."""
    found, outcome = results.load(), Outcome()
    with Planting(found[name] for name in names) as planting:
        for mutant in map(mutants().get, names):
            test = found[mutant.name]
            caught = planting.failing(mutant, [test])
            outcome += Outcome({"caught": 1}) if caught else _finding(mutant, f"{test} passes")
    return outcome


def recorded(names: list[str]) -> Outcome:
    """What the record says of each."""
    found, explained, outcome = results.load(), results.explained(), Outcome()
    for name in names:
        if found[name]:
            outcome += Outcome({"caught": 1})
        elif name in explained:
            outcome += Outcome({"explained": 1})
        else:
            outcome += _finding(mutants()[name], "survives")
    return outcome


def _finding(mutant: Mutant, what: str) -> Outcome:
    return Outcome({}, (f"{mutant.file}:{mutant.line}: {mutant.change}: {what}",))


def harmless() -> Outcome:
    """A change that no test can catch."""
    mutant = replace(next(iter(mutants().values())), file="qmodel/ranges.py", start=0, end=0, wrong="")
    with Planting([UNTOUCHED]) as planting:
        return Outcome() if planting.failing(mutant, [UNTOUCHED]) else _finding(mutant, "survives")


ROW = Row(
    "mutants",
    "a bug that is planted in the product fails a test",
    "bugs",
    short=SHORT,
    total=TOTAL,
    step=SHORT,
    covers=("qmodel", "trainer", "codegen", "firmware", "signbit", "tests", "tools/mutants", "bench/mutants.json"),
    run=run,
    controls={"a change that is none": harmless},
)
