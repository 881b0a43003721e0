"""Keeps what a run has reached: metrics every epoch, a checkpoint every half minute and when the user stops it."""

import time
from collections.abc import Callable

from signbit.jobs.signals import Stopped
from signbit.qmodel.command import note
from signbit.trainer.command.output import Output
from signbit.trainer.learning import checkpoint
from signbit.trainer.learning.checkpoint import Task
from signbit.trainer.learning.train import Training

SAVE_EVERY_S = 30.0


class Keeper:
    """Called at each point where a run may stop, and stops it there when `signalled` gives a signal's number."""

    def __init__(self, output: Output, task: Task, signalled: Callable[[], int | None]):
        self._output = output
        self._task = task
        self._signalled = signalled
        self.epochs_done = 0
        self._saved_at = time.monotonic()
        self._complained = False

    def __call__(self, training: Training) -> None:
        """Raises Stopped if that was asked for."""
        number, self.epochs_done = self._signalled(), len(training.state.epochs)
        try:
            self._write(training, number is not None)
        except OSError as error:
            if number is not None:
                raise
            # a full disk must not end a long run, which may still find room for its model
            self._complain(f"{error.filename}: {error.strerror}; training goes on without")
        if number is not None:
            raise Stopped(number)

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
