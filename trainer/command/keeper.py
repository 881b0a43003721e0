"""Keeps what a run has reached: metrics every epoch, a checkpoint every half minute and when the user stops it."""

import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Self

from signbit.qmodel.command import note
from signbit.trainer.command.output import Output
from signbit.trainer.learning import checkpoint
from signbit.trainer.learning.checkpoint import Task
from signbit.trainer.learning.train import Training

SAVE_EVERY_S = 30.0
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(Exception):
    """The user stopped the run; its state is saved if `kept`."""

    def __init__(self, number: int, epochs_done: int, kept: Path | None):
        super().__init__(f"stopped after {epochs_done} epochs")
        self.number = number
        """The signal's."""
        self.epochs_done = epochs_done
        self.kept = kept


class Signals(AbstractContextManager):
    """Ctrl-C and SIGTERM, noted until someone asks for their number; a second one is not held back.

    `then` is called with the first.
    """

    def __init__(self, then: Callable[[], None] = lambda: None):
        self._number: int | None = None
        self._then = then

    def __call__(self) -> int | None:
        return self._number

    def __enter__(self) -> Self:
        self._handlers = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(self, *error) -> None:
        self._restore()

    def _note(self, number: int, _frame) -> None:
        self._number = number
        self._restore()
        self._then()

    def _restore(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)


class Keeper:
    """Called at each point where a run may stop, and stops it there when `signalled` gives a signal's number."""

    def __init__(self, output: Output, task: Task, signalled: Callable[[], int | None]):
        self._output = output
        self._task = task
        self._signalled = signalled
        self._saved_at = time.monotonic()
        self._complained = False

    def __call__(self, training: Training) -> None:
        """Raises Stopped if that was asked for."""
        number = self._signalled()
        try:
            self._write(training, number is not None)
        except OSError as error:
            if number is not None:
                raise
            # a full disk must not end a long run, which may still find room for its model
            self._complain(f"{error.filename}: {error.strerror}; training goes on without")
        if number is not None:
            raise Stopped(number, len(training.state.epochs), self._output.checkpoint)

    def _write(self, training: Training, stops: bool) -> None:
        path, state = self._output.checkpoint, training.state
        if state.order is None:
            self._output.note_epochs(state.epochs)
        is_due = stops or time.monotonic() - self._saved_at >= SAVE_EVERY_S
        if path is not None and is_due:
            self._saved_at = time.monotonic()
            checkpoint.save(path, self._task, training)

    def _complain(self, text: str) -> None:
        """Once is enough."""
        if not self._complained:
            note(text)
        self._complained = True

    def discard(self) -> None:
        """Remove the checkpoint of a run that is finished and saved."""
        if self._output.checkpoint is not None:
            self._output.checkpoint.unlink(missing_ok=True)
