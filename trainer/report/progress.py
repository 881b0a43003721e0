"""Progress of a training run on stderr: a live bar in a terminal, a few plain lines elsewhere."""

import sys
from contextlib import AbstractContextManager
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from signbit.console import console
from signbit.trainer.learning.train import Epoch

LINES_MAX = 20
"""Plain lines of one run, however many epochs it has."""


class Watch(AbstractContextManager):
    """Called with each epoch; shows epoch, loss, training and validation accuracy, time left."""

    def __init__(self, epochs: int, quiet: bool = False):
        self.epochs = epochs
        self._quiet = quiet
        self._line_every = -(-epochs // LINES_MAX)
        # rich knows NO_COLOR, TERM=dumb and pipes
        screen = console(stderr=True)
        live = screen.is_interactive and not quiet
        self._bar = _bar(screen) if live else None

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
            self._task = self._bar.add_task("", total=self.epochs, state="first epoch ...")
        return self

    def __exit__(self, *error) -> None:
        if self._bar:
            self._bar.stop()

    def __call__(self, epoch: Epoch) -> None:
        if self._bar:
            self._bar.update(self._task, completed=epoch.number, state=self._state(epoch))
        elif not self._quiet and (epoch.number % self._line_every == 0 or epoch.number == self.epochs):
            print(f"epoch {epoch.number}/{self.epochs}  {self._state(epoch)}", file=sys.stderr, flush=True)

    def _state(self, epoch: Epoch) -> str:
        left_s = epoch.seconds / epoch.number * (self.epochs - epoch.number)
        return (
            f"loss {epoch.loss:.4f}  train {epoch.train_accuracy:.2%}  "
            f"validation {epoch.validation_accuracy:.2%}  {left_s:.0f} s left"
        )


class Steps(AbstractContextManager):
    """Called with how many of how many steps are done; shows `what` they are, in a terminal as a bar."""

    def __init__(self, what: str, quiet: bool = False):
        self._what = what
        self._quiet = quiet
        self._bar: Progress | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error) -> None:
        if self._bar:
            self._bar.stop()

    def __call__(self, done: int, count: int) -> None:
        if self._quiet:
            return
        screen = console(stderr=True)
        if not screen.is_interactive:
            if done in (1, count):
                print(f"{self._what}: {done}/{count} runs", file=sys.stderr, flush=True)
            return
        if self._bar is None:
            self._bar = _bar(screen, self._what)
            self._bar.start()
            self._task = self._bar.add_task("", total=count, state="")
        self._bar.update(self._task, completed=done)


def _bar(screen: Console, what: str = "epoch") -> Progress:
    return Progress(
        TextColumn(what), MofNCompleteColumn(), BarColumn(), TextColumn("{task.fields[state]}"), console=screen
    )
