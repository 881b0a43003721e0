"""What programs on this computer have run of their C: lines, and the ways that branches can go, counted by gcov."""

import json
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from signbit.codegen.process import output_of

FLAGS = ("-O0", "-g", "--coverage")
"""A compiler that optimizes would merge lines and branches."""


@dataclass(frozen=True)
class Line:
    """A line of C that has code, as one program ran it; `ways` are those that its branches can go."""

    file: str
    function: str
    number: int
    is_run: bool
    ways: tuple[bool, ...]


@dataclass
class Coverage:
    """Of each place, by its name and its number of ways: whether it was run, and each way taken, by any program."""

    places: dict[tuple[str, int], tuple[bool, ...]] = field(default_factory=dict)

    def add(self, name: str, line: Line) -> None:
        """A line of the place `name`; equal code elsewhere may have the same one."""
        key, taken = (name, len(line.ways)), (line.is_run, *line.ways)
        known = self.places.get(key, taken)
        self.places[key] = tuple(one or other for one, other in zip(known, taken, strict=True))

    @property
    def lines(self) -> int:
        return len(self.places)

    @property
    def branches(self) -> int:
        return sum(ways for _, ways in self.places)

    def missed(self) -> Iterator[str]:
        """Places that were not run, and the ways that no branch there went, a line each."""
        for (name, _), (is_run, *ways) in self.places.items():
            if not is_run:
                yield f"{name}: not run"
            elif not all(ways):
                yield f"{name}: ways {', '.join(str(way) for way, taken in enumerate(ways) if not taken)} not taken"


def build(output: Path, sources: Iterable[Path], options: Iterable[str] = ()) -> Path:
    """Compile a program whose runs are counted; its notes are beside it.  Raises SignbitError where gcc complains."""
    output_of(["gcc", "-std=gnu11", *FLAGS, *options, *sources, "-o", output])
    return output


def lines(folder: Path) -> Iterator[Line]:
    """What all programs whose notes are in `folder` have run so far."""
    notes = sorted(path.name for path in folder.glob("*.gcda"))
    reports = output_of(["gcov", "--branch-probabilities", "--json-format", "--stdout", *notes], folder)
    for report in reports.splitlines():
        for file in json.loads(report)["files"]:
            for line in file["lines"]:
                ways = tuple(branch["count"] > 0 for branch in line["branches"])
                yield Line(file["file"], line.get("function_name", ""), line["line_number"], line["count"] > 0, ways)


def missing() -> str | None:
    return None if shutil.which("gcc") and shutil.which("gcov") else "gcc or gcov is missing: apt install gcc"
