"""A mutant: one small change of one file, with an identity that outlives changes elsewhere."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """`wrong` in place of the bytes `start` to `end` of `file`, which is relative to the checkout."""

    file: str
    start: int
    end: int
    wrong: str
    line: int
    """From 1 on."""
    change: str
    """What a reader is shown, such as `a < b` -> `a <= b`."""
    name: str
    """A hash of the file's name, of the changed function or line, and of the change in it; no other code counts."""
    tests: tuple[str, ...] = ()
    """Those that must catch it; none: whichever tests run its line."""

    def planted(self, source: bytes) -> bytes:
        """The file's bytes with the bug."""
        return source[: self.start] + self.wrong.encode() + source[self.end :]


@dataclass(frozen=True)
class Site:
    """Where `file` can be changed, before a mutant has its name: `home` is the text of the function or line."""

    start: int
    end: int
    wrong: str
    operator: str
    home: bytes
    offset: int
    """Of `start` in `home`."""


def named(file: str, sites: Iterable[Site]) -> Iterator[tuple[str, Site]]:
    """The names of the mutants of a file's sites.  Equal changes in equal lines are numbered."""
    seen: Counter[bytes] = Counter()
    for site in sites:
        identity = f"{file}\0{site.operator}\0{site.offset}\0".encode() + site.home
        seen[identity] += 1
        yield hashlib.sha256(identity + bytes(seen[identity])).hexdigest()[:10], site


def made(file: str, source: bytes, name: str, site: Site, tests: tuple[str, ...] = ()) -> Mutant:
    """The mutant of a site."""
    line = source.count(b"\n", 0, site.start) + 1
    return Mutant(file, site.start, site.end, site.wrong, line, _change(source, site), name, tests)


def _change(source: bytes, site: Site) -> str:
    """The line as it is and as it becomes, or of several lines the first."""
    begin = source.rfind(b"\n", 0, site.start) + 1
    end = source.find(b"\n", site.end)
    before, after = source[begin : site.start].decode(), source[site.end : end if end >= 0 else None].decode()
    right = source[site.start : site.end].decode()
    shown = [" ".join(f"{before}{text}{after}".split()) for text in (right, site.wrong)]
    return " -> ".join(f"{text[:97]}..." if len(text) > 100 else text for text in shown)
