"""A copy of the checkout in which bugs are planted, one after the other, and tests are asked about each."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import AbstractContextManager
from pathlib import Path

from signbit.places import ROOT
from signbit.qmodel.errors import SignbitError
from tools.mutants.mutant import Mutant

SERVER = Path(__file__).with_name("server.py")
NOT_COPIED = shutil.ignore_patterns(".*", "build", "*.egg-info")
OLD_S = 1_000_000_000
"""The first planted file's time; each has its own, so that none is taken for another by what Python compiled."""


class Planting(AbstractContextManager):
    """Where mutants are planted; as a context, since the copy and its server go at the end."""

    def __init__(self):
        self._folder = tempfile.TemporaryDirectory(prefix="signbit-")
        self._time_s = OLD_S
        self.copy = Path(self._folder.name, "checkout")
        shutil.copytree(ROOT, self.copy, ignore=NOT_COPIED, symlinks=True)
        environment = os.environ | {
            "PYTHONPATH": str(self.copy),
            "PYTHONDONTWRITEBYTECODE": "",
            "OPENBLAS_NUM_THREADS": "1",
        }
        self._server = subprocess.Popen(
            [sys.executable, str(SERVER)],
            cwd=self.copy,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __exit__(self, *error) -> None:
        self._server.kill()
        self._server.communicate()
        self._folder.cleanup()

    def failing(self, mutant: Mutant, tests: list[str]) -> str:
        """The first of the tests that fails on the mutant, "" if none does.

        Raises SignbitError where there are no such tests.
        """
        path = self.copy / mutant.file
        source, before = path.read_bytes(), path.stat()
        self._time_s += 1
        path.write_bytes(mutant.planted(source))
        os.utime(path, (self._time_s, self._time_s))
        try:
            test, has_begun = self._ask(tests)
        finally:
            path.write_bytes(source)
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        # a mutant that can't be imported is noticed by all tests, but there must be some
        if not has_begun and not self._ask(tests)[1]:
            raise SignbitError(f"{tests[0]}: there is no such test")
        return test

    def _ask(self, tests: list[str]) -> tuple[str, bool]:
        self._server.stdin.write(json.dumps(tests) + "\n")
        self._server.stdin.flush()
        return tuple(json.loads(self._server.stdout.readline()))
