"""Training runs of the zoo, many at once, with a bar on a terminal and a line for each that ends."""

import contextlib
import os
import re
import signal
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from subprocess import Popen

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from signbit.console import console
from signbit.qmodel.errors import SignbitError
from tools.zoo.runs import Run, Stopped

LINE_MAX = 100


class Pool:
    """`failed` has a line for each run that gave no model."""

    def __init__(self, data_dir: str | None, jobs: int):
        self.failed: list[str] = []
        self._data_dir, self._jobs = data_dir, jobs
        self._lock = threading.Lock()
        self._processes: set[Popen] = set()
        self._stopped = False
        self._console = console(stderr=True)

    def train(self, runs: Sequence[Run]) -> None:
        """Start them in order and wait for all.

        Ctrl-C and SIGTERM stop those that run, in order, so that they can go on later, and start no more.
        """
        default = signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            self._train_all(runs)
        finally:
            signal.signal(signal.SIGTERM, default)

    def _train_all(self, runs: Sequence[Run]) -> None:
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
        live = self._console.is_terminal
        with Progress(*columns, console=self._console, transient=True, disable=not live) as progress:
            self._progress, self._whole = progress, progress.add_task("all runs", total=len(runs))
            with ThreadPoolExecutor(self._jobs) as executor:
                futures = [executor.submit(self._train, run) for run in runs]
                try:
                    for future in futures:
                        future.result()
                except BaseException:
                    self._stop()
                    executor.shutdown(cancel_futures=True)
                    raise

    def _train(self, run: Run) -> None:
        shown = self._progress.add_task(run.title, total=None)
        try:
            run.train(self._data_dir, self._started, lambda line: self._say(shown, f"{run.title}: {line}"))
        except Stopped:
            self.failed.append(f"{run.title}: was ended by a signal")
        except SignbitError as error:
            self.failed.append(str(error))
            self._console.print(f"FAILED {error}")
        else:
            record = run.record(None)
            score = record["report"]["accuracy"]["validation"]
            # nothing about the test part is shown before the choice is made
            self._console.print(f"{run.title}: {score['integer']:.2%} on validation, {record['cpu_s']:.0f} s of CPU")
        finally:
            self._progress.remove_task(shown)
            self._progress.advance(self._whole)

    def _say(self, shown: TaskID, line: str) -> None:
        epoch = re.search(r"\bepoch (\d+)/(\d+)", line)
        done = {"completed": int(epoch[1]), "total": int(epoch[2])} if epoch else {}
        self._progress.update(shown, description=line[:LINE_MAX], **done)

    def _started(self, process: Popen) -> None:
        with self._lock:
            self._processes.add(process)
            if self._stopped:
                _terminate(process)

    def _stop(self) -> None:
        with self._lock:
            self._stopped = True
            for process in self._processes:
                _terminate(process)


def _terminate(process: Popen) -> None:
    """SIGTERM without Popen's own, which would wait for a process that its run waits for."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGTERM)
