"""What a search shows in a terminal: how many networks are done, which are trained now, and what came of each."""

from contextlib import AbstractContextManager
from typing import Self

from rich import progress

from signbit.console import console

NETWORK_SHOWN = 60


class Progress(AbstractContextManager):
    """Shows nothing where stderr is no terminal; all may be called from any thread."""

    def __init__(self, total: int | None, quiet: bool = False, what: str = "networks"):
        self._screen = console(stderr=True)
        live = self._screen.is_terminal and not self._screen.is_dumb_terminal and not quiet
        columns = (
            progress.TextColumn("{task.description}"),
            progress.BarColumn(20),
            progress.MofNCompleteColumn(),
            progress.TimeElapsedColumn(),
        )
        self._bars = progress.Progress(*columns, console=self._screen, disable=not live)
        self._live, self._total = live, total
        self._whole = self._bars.add_task(what, total=total)
        self._tasks: dict[int, progress.TaskID] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *error) -> None:
        self._bars.stop()

    def begun(self, number: int, network: str, steps: int) -> None:
        """A trial is going to train a network `steps` times."""
        shown = network if len(network) <= NETWORK_SHOWN else f"{network[: NETWORK_SHOWN - 1]}…"
        self._tasks[number] = self._bars.add_task(f"trial {number}: {shown}", total=steps)

    def step(self, number: int) -> None:
        """One time is over."""
        self._bars.advance(self._tasks[number])

    def ended(self, number: int, text: str) -> None:
        """What came of the trial."""
        self._bars.remove_task(self._tasks.pop(number))
        if self._live:
            self._screen.print(f"trial {number}: {text}", soft_wrap=True)

    def done(self, count: int) -> None:
        """So many of all are done."""
        # those that were begun before it was enough are finished, too
        self._bars.update(self._whole, completed=count if self._total is None else min(count, self._total))
