"""Training runs of the zoo, many at once, with a bar on a terminal and a line for each that ends."""

import re
from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from signbit.console import console
from signbit.jobs.executor import Died, Jobs, result
from signbit.qmodel.errors import SignbitError
from signbit.trainer.command.keeper import Signals
from tools.zoo.runs import Run, Stopped

LINE_MAX = 100
SHOWN_EVERY_S = 0.5


class Pool:
    """`failed` has a line for each run that gave no model."""

    def __init__(self, data_dir: str | None, count: int | None, cluster: str | None):
        self.failed: list[str] = []
        self._data_dir, self._count, self._cluster = data_dir, count, cluster
        self._console = console(stderr=True)

    def train(self, runs: Sequence[Run]) -> None:
        """Start them in order and wait for all.

        Ctrl-C and SIGTERM stop those that run, in order, so that they can go on later, and start no more.
        """
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
        live = self._console.is_terminal
        progress = Progress(*columns, console=self._console, transient=True, disable=not live)
        with progress, Jobs(self._count, self._cluster) as jobs, Signals(jobs.stop.set) as signals:
            whole = progress.add_task("all runs", total=len(runs))
            waiting = {jobs.submit(run.train, self._data_dir, jobs.stop): run for run in runs}
            shown: dict[Run, TaskID] = {}
            while waiting and not signals():
                done, _ = wait(waiting, SHOWN_EVERY_S, FIRST_COMPLETED)
                for future in done:
                    self._finish(waiting.pop(future), future)
                    progress.advance(whole)
                _show(progress, shown, waiting.values())
            for future in waiting:
                future.cancel()
        if signals():
            raise KeyboardInterrupt

    def _finish(self, run: Run, future: Future) -> None:
        try:
            result(future)
        except Stopped:
            self.failed.append(f"{run.title}: was ended by a signal")
        except Died:
            self.failed.append(f"{run.title}: its process died")
        except SignbitError as error:
            self.failed.append(str(error))
            self._console.print(f"FAILED {error}")
        else:
            record = run.record(None)
            score = record["report"]["accuracy"]["validation"]
            # nothing about the test part is shown before the choice is made
            self._console.print(f"{run.title}: {score['integer']:.2%} on validation, {record['cpu_s']:.0f} s of CPU")


def _show(progress: Progress, shown: dict[Run, TaskID], runs: Iterable[Run]) -> None:
    """The last line that each of the runs has written so far."""
    said = {run: line for run in runs if (line := run.last_line())}
    for run in shown.keys() - said.keys():
        progress.remove_task(shown.pop(run))
    for run, line in said.items():
        if run not in shown:
            shown[run] = progress.add_task(run.title, total=None)
        epoch = re.search(r"\bepoch (\d+)/(\d+)", line)
        done = {"completed": int(epoch[1]), "total": int(epoch[2])} if epoch else {}
        progress.update(shown[run], description=f"{run.title}: {line}"[:LINE_MAX], **done)
