"""Ctrl-C and SIGTERM: noted, so that work ends in good order and can go on later."""

import signal
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Self

from signbit.qmodel.command import Ended

SIGNALS = (signal.SIGINT, signal.SIGTERM)
EXIT_SIGNAL = 128
"""Plus the signal's number, as shells have it: 130 for Ctrl-C."""


class Stopped(Ended):
    """Work was asked to end early and did; it goes on from there when it is begun again.

    Jobs don't raise it: a cluster passes on Exceptions only.
    """

    def __init__(self, number: int = signal.SIGTERM):
        super().__init__(number)
        self.number = number

    @property
    def exit_code(self) -> int:
        return EXIT_SIGNAL + self.number


class Signals(AbstractContextManager):
    """Ctrl-C and SIGTERM, noted until someone asks for their number; a second one is not held back.

    `then` is called with the first, whose number a Stopped gets that leaves the block.
    """

    def __init__(self, then: Callable[[], None] = lambda: None):
        self._number: int | None = None
        self._then = then

    def __call__(self) -> int | None:
        return self._number

    def __enter__(self) -> Self:
        self._handlers = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(self, kind, error, trace) -> None:
        self._restore()
        if isinstance(error, Stopped) and self._number is not None:
            error.number = self._number

    def _note(self, number: int, _frame) -> None:
        self._number = number
        self._restore()
        self._then()

    def _restore(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
