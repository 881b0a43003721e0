"""Training runs of the zoo, many at once, with a bar on a terminal and a line for each that ends."""

import re
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait

from signbit.jobs.bars import Bars
from signbit.jobs.executor import Died, Jobs, result
from signbit.jobs.signals import Signals, Stopped
from signbit.qmodel.errors import SignbitError
from tools.zoo.runs import Run

SHOWN_EVERY_S = 0.5


class Pool:
    """`failed` has a line for each run that gave no model."""

    def __init__(self, data_dir: str | None, count: int | None, cluster: str | None):
        self.failed: list[str] = []
        self._data_dir, self._count, self._cluster = data_dir, count, cluster

    def train(self, runs: Sequence[Run]) -> None:
        """Start them in order and wait for all.

        Ctrl-C and SIGTERM stop those that run, in order, so that they can go on later, and start no more.
        """
        bars = Bars("all runs", len(runs))
        with bars, Jobs(self._count, self._cluster) as jobs, Signals(jobs.stop.set) as signals:
            waiting = {jobs.submit(run.train, self._data_dir, jobs.stop): run for run in runs}
            while waiting and not signals():
                done, _ = wait(waiting, SHOWN_EVERY_S, FIRST_COMPLETED)
                for future in done:
                    run = waiting.pop(future)
                    bars.end(run)
                    self._finish(run, future, bars)
                bars.done(len(runs) - len(waiting))
                for run in waiting.values():
                    _show(bars, run)
            for future in waiting:
                future.cancel()
        if number := signals():
            raise Stopped(number)

    def _finish(self, run: Run, future: Future, bars: Bars) -> None:
        try:
            if not result(future):
                self.failed.append(f"{run.title}: was ended by a signal")
                return
        except Died:
            self.failed.append(f"{run.title}: its process died")
        except SignbitError as error:
            self.failed.append(str(error))
            bars.screen.print(f"FAILED {error}")
        else:
            record = run.record(None)
            score = record["report"]["accuracy"]["validation"]
            # nothing about the test part is shown before the choice is made
            bars.screen.print(f"{run.title}: {score['integer']:.2%} on validation, {record['cpu_s']:.0f} s of CPU")


def _show(bars: Bars, run: Run) -> None:
    """The last line that a run has written, if any."""
    if line := run.last_line():
        epoch = re.search(r"\bepoch (\d+)/(\d+)", line)
        bars.show(run, f"{run.title}: {line}", *(map(int, epoch.groups()) if epoch else ()))
