"""A copy of the checkout in which bugs are planted, one after the other, and tests are asked about each."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path

from signbit.places import ROOT
from signbit.qmodel.errors import SignbitError
from tools.mutants.mutant import Mutant

SERVER = Path(__file__).with_name("server.py")
NOT_COPIED = shutil.ignore_patterns(".*", "build", "*.egg-info")
OLD_S = 1_000_000_000
"""The first planted file's time; each has its own, so that none is taken for another by what Python compiled."""


class Planting(AbstractContextManager):
    """Where mutants are planted; as a context, since the copy and its servers go at the end."""

    def __init__(self, tests: Iterable[str]):
        """`tests` are all that will be asked."""
        self._time_s = OLD_S
        self._folder = tempfile.TemporaryDirectory(prefix="signbit-")
        self.copy = Path(self._folder.name, "checkout")
        shutil.copytree(ROOT, self.copy, ignore=NOT_COPIED, symlinks=True)
        self._servers: list[subprocess.Popen] = []
        self._loaded = self._start(*sorted({test.partition("::")[0] for test in tests}))

    def __exit__(self, *error) -> None:
        for server in self._servers:
            server.kill()
            server.communicate()
        self._folder.cleanup()

    def failing(self, mutant: Mutant, tests: list[str]) -> str:
        """The first of the tests that fails on the mutant, "" if none does.

        Raises SignbitError where there are no such tests.
        """
        path = self.copy / mutant.file
        source, times = path.read_bytes(), path.stat()
        question = {"tests": tests, "file": mutant.file, "before": source.decode()}
        self._time_s += 1
        path.write_bytes(mutant.planted(source))
        os.utime(path, (self._time_s, self._time_s))
        try:
            test, has_begun = _ask(self._loaded, question)
            if not test or not has_begun:
                # maybe it changes what is computed while modules are imported
                test, has_begun = _ask(self._fresh, question)
        finally:
            path.write_bytes(source)
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        # a mutant that can't be imported is noticed by all tests, but there must be some
        if not has_begun and not _ask(self._fresh, question)[1]:
            raise SignbitError(f"{tests[0]}: there is no such test")
        return test

    @cached_property
    def _fresh(self) -> subprocess.Popen:
        return self._start()

    def _start(self, *files: str) -> subprocess.Popen:
        environment = {"PYTHONPATH": str(self.copy), "PYTHONDONTWRITEBYTECODE": "", "OPENBLAS_NUM_THREADS": "1"}
        server = subprocess.Popen(
            [sys.executable, str(SERVER), *files],
            cwd=self.copy,
            env=os.environ | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._servers.append(server)
        # before it has loaded what it is asked about nothing may be planted
        if server.stdout.readline() != "ready\n":
            raise SignbitError(f"no tests can be loaded of {', '.join(files)}")
        return server


def _ask(server: subprocess.Popen, question: dict) -> tuple[str, bool]:
    """What the server says: the test that fails, and whether any began."""
    server.stdin.write(json.dumps(question) + "\n")
    server.stdin.flush()
    return tuple(json.loads(server.stdout.readline()))
