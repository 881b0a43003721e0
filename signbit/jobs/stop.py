"""Requests to jobs to end early, which processes of this computer or of a cluster see.

Not signals: these reach neither the threads of a cluster's workers nor other machines.
"""

import os
from pathlib import Path
from typing import Protocol


class Stop(Protocol):
    """A request to all running jobs to end early; jobs get it as an argument, and ask it now and then."""

    def __call__(self) -> bool:
        """Whether it was made."""

    def set(self) -> None:
        """Make it."""


class FileStop:
    """A file, which all processes of a computer see."""

    def __init__(self, path: str):
        self._path = path

    def __call__(self) -> bool:
        return os.path.exists(self._path)  # noqa: PTH110 - asked many times a second

    def set(self) -> None:
        Path(self._path).touch()


class ClusterStop:
    """An event that the cluster's scheduler keeps."""

    def __init__(self, name: str):
        self._name = name

    def __call__(self) -> bool:
        return self._event().is_set()

    def set(self) -> None:
        self._event().set()

    def _event(self):
        from distributed import Event

        return Event(self._name)
