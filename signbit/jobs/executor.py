"""Jobs: functions that run in processes of this computer or of a Dask cluster, through one executor.

Whoever submits a job may have to run it again, since the process that has it may die; so each gives the same result
however often it is begun.
"""

import multiprocessing
import os
import signal
import tempfile
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager
from pathlib import Path

from signbit.jobs.stop import ClusterStop, FileStop, Stop
from signbit.qmodel.errors import SignbitError

TRIES = 4
"""For a job whose process dies."""
CONNECT_S = 20


class Died(Exception):
    """The process ended before its job did."""


class Jobs(AbstractContextManager):
    """Runs jobs, `count` at a time; `stop` asks them to end, and leaving cancels those that have not begun."""

    def __init__(self, count: int | None = None, cluster: str | None = None):
        """`count` processes of this computer (default: one for each core), or those of the cluster at an address.

        Raises SignbitError where the cluster can't be reached or has no workers.
        """
        self._lock = threading.Lock()
        self._client = None if cluster is None else _connected(cluster)
        if self._client is None:
            self.count = count or os.cpu_count() or 1
            self._folder = tempfile.TemporaryDirectory(prefix="signbit-")
            self.stop: Stop = FileStop(str(Path(self._folder.name, "stop")))
            self._executor = self._processes()
        else:
            self.count = count or sum(self._client.nthreads().values())
            self.stop = ClusterStop(f"signbit-stop-{uuid.uuid4().hex}")
            self._executor = self._client.get_executor(pure=False)

    def __exit__(self, *error) -> None:
        if self._client is None:
            self._executor.shutdown(cancel_futures=True)
            self._folder.cleanup()
        else:
            self._executor.shutdown()
            self._client.close()

    def submit(self, function: Callable, *arguments) -> Future:
        """Begin a job.  `function` is one that can be imported, and all it takes and gives can be pickled."""
        with self._lock:
            try:
                return self._executor.submit(function, *arguments)
            except BrokenProcessPool:
                # a process that died took its pool along
                self._executor = self._processes()
                return self._executor.submit(function, *arguments)

    def call(self, function: Callable, *arguments):
        """The result of a job, begun again where its process died; raises Died where that happens each time."""
        for _ in range(TRIES - 1):
            try:
                return result(self.submit(function, *arguments))
            except Died:
                continue
        return result(self.submit(function, *arguments))

    def _processes(self) -> Executor:
        return ProcessPoolExecutor(self.count, multiprocessing.get_context("spawn"), initializer=_begin_process)


def add_cluster(parser) -> None:
    """The option that names a cluster."""
    parser.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="run in the processes of a Dask cluster, tcp://HOST:8786 for example, and not of this computer",
    )


def result(future: Future):
    """What the job gave, or raised; raises Died where its process ended first."""
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise Died(str(error)) from None
    except Exception as error:
        # the cluster's class for it, whose package may not be installed
        if type(error).__name__ == "KilledWorker":
            raise Died(str(error)) from None
        raise


def _connected(address: str):
    try:
        from distributed import Client
    except ImportError:
        raise SignbitError('--cluster needs Dask; pip install "signbit[cluster]"') from None
    try:
        client = Client(address, timeout=CONNECT_S)
    except (OSError, ValueError, TypeError) as error:
        reason = str(error).split("\n", 1)[0] or "no answer"
        raise SignbitError(f"--cluster {address}: no scheduler to connect to: {reason}") from None
    if not client.nthreads():
        client.close()
        raise SignbitError(f"--cluster {address}: it has no workers; start some with: dask worker {address}")
    return client


def _begin_process() -> None:
    """Ctrl-C is for the parent, which asks jobs to stop; and a process whose parent was killed ends as well."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)
