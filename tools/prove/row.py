"""What every proof is: numbered cases that can be run in any order, and planted bugs that it must find."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

MOST = "most "
"""Counts whose names begin so are not added up: the largest is kept."""
SEED = 2015
"""The seed of each case, together with its number."""


@dataclass(frozen=True)
class Outcome:
    """What some cases came to: numbers that are worth knowing, and what should not have happened, a line each."""

    counts: Mapping[str, int] = field(default_factory=dict)
    findings: tuple[str, ...] = ()

    def __add__(self, other: "Outcome") -> "Outcome":
        return Outcome(merged(self.counts, other.counts), self.findings + other.findings)


@dataclass(frozen=True)
class Row:
    """A promise and its proof.

    `run(first, count)` runs the cases first, first + 1, ... in the calling process; `first` is a multiple of `step`,
    and `count` at most `step`.  Each of `controls` runs with a planted bug, and must have findings.
    """

    name: str
    promise: str
    unit: str
    """What a case is, in the plural."""
    short: int
    """How many cases the tests run."""
    total: int
    """How many cases are to be reached by long runs."""
    step: int
    covers: tuple[str, ...]
    """Files and folders of the checkout whose change makes earlier results worthless."""
    run: Callable[[int, int], Outcome]
    controls: Mapping[str, Callable[[], Outcome]]
    missing: Callable[[], str | None] = lambda: None
    """Why nothing can be run here, with what to install; None if it can."""

    def steps(self, first: int, count: int) -> Iterable[tuple[int, int]]:
        """The calls of `run` that make up `count` cases from `first` on."""
        end = first + count
        while first < end:
            until = min(end, (first // self.step + 1) * self.step)
            yield first, until - first
            first = until


def merged(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    """Counts of two runs together."""
    total = Counter(one)
    for name, count in other.items():
        total[name] = max(total[name], count) if name.startswith(MOST) else total[name] + count
    return dict(total)
