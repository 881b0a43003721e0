"""A file system that remembers: what a program did to files, and what a power cut may leave of it.

`Recorder` writes down what happens below a folder: names that come, move and go, contents, and fsync of files and
folders.  `after_cut` then gives one of the states that POSIX allows after a cut: what was not fsynced may be there or
not, contents cut short or zeros, and names in any combination.
"""

import os
import random
import stat
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from unittest import mock

ROOT = 0
"""The node of the folder itself."""


@dataclass(frozen=True)
class Step:
    """`name` of folder `parent` is now `node`, or nothing if that is None; or `node` has `content`; or it is synced."""

    kind: str
    node: int | None = None
    parent: int = ROOT
    name: str = ""
    content: bytes | None = None


@dataclass
class Recorder(AbstractContextManager):
    """Records while it is entered; calls of fsync for which `ignores(mode)` is true are not seen: a planted bug."""

    folder: Path
    ignores: Callable[[int], bool] = lambda mode: False
    steps: list[Step] = field(default_factory=list)

    def __post_init__(self):
        self._nodes = {self.folder.stat().st_ino: ROOT}
        self._count = 1
        self._contents: dict[int, bytes] = {}
        self._names: dict[tuple[int, str], int] = {}
        self._scan()
        self.steps += [Step("sync", node) for node in self._nodes.values()]

    def __enter__(self) -> Self:
        self._patches = [
            mock.patch.object(os, name, self._after(name)) for name in ("rename", "replace", "mkdir", "rmdir")
        ]
        self._patches += [
            mock.patch.object(os, "unlink", self._after("unlink")),
            mock.patch.object(os, "fsync", self._fsync),
        ]
        for patch in self._patches:
            patch.start()
        return self

    def __exit__(self, *error) -> None:
        for patch in self._patches:
            patch.stop()
        self._scan()

    def _after(self, name: str) -> Callable:
        real = getattr(os, name)

        def call(*arguments, **options):
            # what was written until now was written before
            self._scan()
            done = real(*arguments, **options)
            self._scan()
            return done

        return call

    def _fsync(self, descriptor: int) -> None:
        self._scan()
        found = os.fstat(descriptor)
        if not self.ignores(found.st_mode) and found.st_ino in self._nodes:
            self.steps.append(Step("sync", self._nodes[found.st_ino]))

    def _scan(self) -> None:
        """Record how the folder differs from what is known of it: at most one name moved, by one rename."""
        names, contents = {}, {}
        # a number of a file that is gone may be that of another one
        known, self._nodes = self._nodes, {self.folder.stat().st_ino: ROOT}
        for path in sorted(self.folder.rglob("*")):
            found = path.lstat()
            if found.st_ino not in known:
                known[found.st_ino] = self._count
                self._count += 1
            node = self._nodes[found.st_ino] = known[found.st_ino]
            names[self._nodes[path.parent.stat().st_ino], path.name] = node
            if stat.S_ISREG(found.st_mode):
                contents[node] = path.read_bytes()
        changed = {place: node for place, node in names.items() if self._names.get(place) != node}
        gone = [place for place in self._names if place not in names]
        for node, content in contents.items():
            if self._contents.get(node) != content:
                self.steps.append(Step("write", node, content=content))
        for (parent, name), node in changed.items():
            self.steps.append(Step("name", node, parent, name))
        for parent, name in gone:
            self.steps.append(Step("name", None, parent, name))
        self._names, self._contents = names, contents


def after_cut(steps: list[Step], rng: random.Random) -> dict[str, bytes]:
    """Files by their paths after a power cut following `steps`, in one of the ways in which that may end."""
    content: dict[int, bytes] = {}
    names: dict[tuple[int, str], int | None] = {}
    written: dict[int, bytes] = {}
    named: list[Step] = []
    for step in steps:
        if step.kind == "write":
            written[step.node] = step.content
        elif step.kind == "name":
            named.append(step)
        else:
            if step.node in written:
                content[step.node] = written.pop(step.node)
            for each in [each for each in named if each.parent == step.node]:
                names[each.parent, each.name] = each.node
                named.remove(each)
    for step in named:
        if rng.random() < 0.5:
            names[step.parent, step.name] = step.node
    for node, data in written.items():
        part = data[: rng.randrange(len(data) + 1)]
        content[node] = rng.choice([content.get(node, b""), data, part, part + bytes(len(data) - len(part))])
    return dict(_files(ROOT, "", names, content))


def _files(parent: int, path: str, names: dict, content: dict):
    for (folder, name), node in names.items():
        if folder == parent and node is not None:
            if node in content:
                yield path + name, content[node]
            else:
                yield from _files(node, f"{path}{name}/", names, content)
