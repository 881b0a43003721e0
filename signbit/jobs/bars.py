"""What runs now, on a terminal: a bar for all jobs, and one for each that is under way."""

from collections.abc import Hashable
from contextlib import AbstractContextManager
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column

from signbit.console import console

BAR_COLUMNS = 20
FIGURES_COLUMNS = 25
"""For counts, time and the spaces between."""
TITLE_COLUMNS_MIN = 10


class Bars(AbstractContextManager):
    """Bars on stderr where that is a terminal, else nothing; all may be called from any thread."""

    def __init__(self, what: str, total: int | None, quiet: bool = False):
        self.screen = console(stderr=True)
        self.live = self.screen.is_interactive and not quiet
        # a title that is too long must not drive out bar and counts
        title_columns = max(TITLE_COLUMNS_MIN, self.screen.width - BAR_COLUMNS - FIGURES_COLUMNS)
        columns = (
            TextColumn("{task.description}", markup=False, table_column=Column(max_width=title_columns, no_wrap=True)),
            BarColumn(BAR_COLUMNS),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        self._bars = Progress(*columns, console=self.screen, transient=True, disable=not self.live)
        self._total = total
        self._whole = self._bars.add_task(what, total=total)
        self._tasks: dict[Hashable, TaskID] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *error) -> None:
        self._bars.stop()

    def show(self, job: Hashable, title: str, done: int = 0, steps: int | None = None) -> None:
        """`done` of a job's `steps`."""
        if job not in self._tasks:
            self._tasks[job] = self._bars.add_task(title, total=steps)
        self._bars.update(self._tasks[job], description=title, completed=done, total=steps)

    def end(self, job: Hashable) -> None:
        """Show a job no more, if it was shown."""
        if job in self._tasks:
            self._bars.remove_task(self._tasks.pop(job))

    def done(self, count: int) -> None:
        """So many of all are done."""
        # those that were begun before it was enough are finished, too
        self._bars.update(self._whole, completed=count if self._total is None else min(count, self._total))
