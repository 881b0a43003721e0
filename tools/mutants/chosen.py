"""The mutants that are planted: those written by hand, and of all that can be made a share of every file's."""

import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from signbit.places import ROOT
from tools.mutants import c_sites, python_sites
from tools.mutants.mutant import Mutant, Site, made, named

BY_HAND = Path(__file__).with_name("by_hand.toml")
PYTHON = (
    *("qmodel/**/*.py", "trainer/learning/*.py", "trainer/network/*.py", "codegen/**/*.py"),
    *("signbit/line/*.py", "signbit/device/*.py"),
)
C = ("codegen/**/*.c.j2", "codegen/**/*.h.j2", "firmware/src/*.c")
ONE_OF, LEAST = 14, 3
"""Of so many that can be made one is, and of each file so many at the least."""


@cache
def mutants() -> dict[str, Mutant]:
    """By name, file by file."""
    return {mutant.name: mutant for mutant in (*by_hand(), *generated())}


def generated() -> Iterator[Mutant]:
    """Those with the lowest names, which are hashes: other code may change, and a file's stay the same."""
    for patterns, sites in ((PYTHON, python_sites.sites), (C, c_sites.sites)):
        for path in sorted({path for pattern in patterns for path in ROOT.glob(pattern)}):
            source = path.read_bytes()
            file = str(path.relative_to(ROOT))
            found = sorted(named(file, sites(source)), key=lambda pair: pair[0])
            for name, site in sorted(found[: max(LEAST, len(found) // ONE_OF)], key=lambda pair: pair[1].start):
                yield made(file, source, name, site)


def by_hand() -> Iterator[Mutant]:
    """Those of the table, each with the tests that must catch it."""
    for row in tomllib.loads(BY_HAND.read_text())["mutant"]:
        source, right = (ROOT / row["file"]).read_bytes(), row["right"].encode()
        if source.count(right) != 1:
            raise ValueError(f"{BY_HAND.name}: {row['right']!r} is not in {row['file']} once")
        start = source.index(right)
        site = Site(start, start + len(right), row["wrong"], "by hand", right, 0)
        ((name, site),) = named(row["file"], [site])
        yield made(row["file"], source, name, site, tuple(row["tests"]))
