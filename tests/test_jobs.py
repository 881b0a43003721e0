"""Jobs: one executor for the processes of this computer and for a cluster, which no death of a process stops."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from signbit.jobs.bars import Bars
from signbit.jobs.executor import TRIES, Died, Jobs, result
from signbit.jobs.signals import Signals, Stopped
from signbit.qmodel.command import run_command
from signbit.qmodel.data.readers.loading import LoadingOptions
from signbit.qmodel.errors import SignbitError
from signbit.trainer.learning.settings import default_settings
from signbit.trainer.tune.training import Place, Training, train

WAIT_S = 60


def double(number):
    return 2 * number, os.getpid()


def die_at_first(marker, times):
    """Killed as often as `times`, as a computer without memory does it."""
    path = Path(marker)
    begun = len(path.read_text()) if path.exists() else 0
    path.write_text("x" * (begun + 1))
    if begun < times:
        os.kill(os.getpid(), signal.SIGKILL)
    return begun


def wait_for(stop, marker):
    """Whether it was stopped before the time was over."""
    Path(marker).write_text(str(os.getpid()))
    end = time.monotonic() + WAIT_S
    while not stop() and time.monotonic() < end:
        time.sleep(0.05)
    return stop()


def until(condition):
    end = time.monotonic() + WAIT_S
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return found


def is_alive(number):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def test_jobs_run_in_other_processes_and_give_their_results():
    with Jobs(2) as jobs:
        found = [result(future) for future in [jobs.submit(double, number) for number in range(6)]]
        assert [value for value, _ in found] == [0, 2, 4, 6, 8, 10]
        assert os.getpid() not in {number for _, number in found}
        with pytest.raises(TypeError):
            jobs.call(double, None)


def test_a_job_whose_process_dies_is_begun_again(tmp_path):
    with Jobs(1) as jobs:
        assert jobs.call(die_at_first, str(tmp_path / "a"), TRIES - 1) == TRIES - 1
        with pytest.raises(Died):
            jobs.call(die_at_first, str(tmp_path / "b"), TRIES)
        assert jobs.call(double, 4)[0] == 8


def test_a_stop_is_seen_by_jobs_that_run(tmp_path):
    with Jobs(1) as jobs:
        future = jobs.submit(wait_for, jobs.stop, str(tmp_path / "begun"))
        until((tmp_path / "begun").exists)
        jobs.stop.set()
        assert result(future) is True


def test_work_that_ended_early_has_the_exit_code_of_the_signal():
    with Jobs(1) as jobs, pytest.raises(Stopped) as stopped, Signals(jobs.stop.set):
        os.kill(os.getpid(), signal.SIGINT)
        assert jobs.stop()
        raise Stopped
    assert stopped.value.exit_code == 130


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_was_stopped_says_so_and_ends_with_the_signal_s_code(number, capsys):
    def main(_):
        raise Stopped(number)

    assert run_command(main, []) == 128 + number
    assert capsys.readouterr().err == "interrupted\n"


@pytest.mark.parametrize("terminal", ["xterm", "dumb"])
def test_bars_keep_their_counts_beside_a_long_title(monkeypatch, capsys, terminal):
    for name, value in (("FORCE_COLOR", "1"), ("NO_COLOR", "1"), ("COLUMNS", "80"), ("TERM", terminal)):
        monkeypatch.setenv(name, value)
    with Bars("networks", 10) as bars:
        bars.done(3)
        bars.show("job", "conv3x3pad:32 " * 20, 1, 5)
        bars.end("never shown")
    shown = capsys.readouterr().err
    if terminal == "dumb":
        assert shown == ""
    else:
        assert re.search(r"networks .* 3/10 ", shown) and re.search("conv3x3pad:32 .* 1/5 ", shown)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc to find processes in")
def test_a_killed_parent_leaves_no_process(repository, tmp_path):
    marker = tmp_path / "begun"
    script = (
        "from signbit.jobs.executor import Jobs; from tests.test_jobs import wait_for\n"
        f"if __name__ == '__main__':\n with Jobs(1) as jobs: jobs.call(wait_for, jobs.stop, {str(marker)!r})\n"
    )
    (tmp_path / "parent.py").write_text(script)
    environment = os.environ | {"PYTHONPATH": str(repository)}
    parent = subprocess.Popen([sys.executable, tmp_path / "parent.py"], env=environment)
    until(lambda: marker.exists() and marker.read_text())
    child = int(marker.read_text())
    assert is_alive(child)
    parent.kill()
    parent.wait()
    until(lambda: not is_alive(child))


# --- a cluster


@pytest.fixture(scope="module")
def cluster(repository, tmp_path_factory):
    """A scheduler's address, and two workers of one job each."""
    pytest.importorskip("distributed", reason='no Dask: pip install "signbit[cluster]"')
    folder = tmp_path_factory.mktemp("cluster")
    environment = os.environ | {"PYTHONPATH": str(repository)}
    found = folder / "scheduler.json"

    def start(*words):
        command = [sys.executable, "-m", "dask", *words, "--scheduler-file", str(found), "--no-dashboard"]
        log = (folder / f"{words[0]}{len(processes)}.log").open("w")
        return subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT)

    processes = []
    try:
        processes.append(start("scheduler", "--host", "127.0.0.1", "--port", "0"))
        until(found.exists)
        processes += [start("worker", "--nthreads", "1", "--no-nanny", "--host", "127.0.0.1") for _ in range(2)]
        from distributed import Client

        with Client(scheduler_file=str(found)) as client:
            client.wait_for_workers(2, timeout=WAIT_S)
            address = client.scheduler.address
        yield address, processes[1:]
    finally:
        for process in processes:
            process.kill()
            process.wait()


def test_training_in_a_cluster_gives_the_same_model(cluster, digits, tmp_path):
    settings, place = default_settings(hidden=(8,), epochs=2), Place("digits", None, LoadingOptions())
    there, here = (Training(settings, place, digits.hash, 0, "trial", str(tmp_path / name)) for name in ("a", "b"))
    with Jobs(cluster=cluster[0]) as jobs:
        assert jobs.call(train, there, jobs.stop) == train(here, lambda: False)


def test_a_cluster_finishes_what_a_killed_worker_had(cluster, tmp_path):
    address, workers = cluster
    with Jobs(cluster=address) as jobs:
        assert jobs.count == 2
        stopped = jobs.submit(wait_for, jobs.stop, str(tmp_path / "one"))
        until((tmp_path / "one").exists)
        jobs.stop.set()
        assert result(stopped) is True
    with Jobs(cluster=address) as jobs:
        slow = jobs.submit(wait_for, jobs.stop, str(tmp_path / "two"))
        others = [jobs.submit(double, number) for number in range(20)]
        until(lambda: (tmp_path / "two").exists() and (tmp_path / "two").read_text())
        busy = int((tmp_path / "two").read_text())
        (tmp_path / "two").unlink()
        os.kill(busy, signal.SIGKILL)
        # the other worker begins it again
        until(lambda: (tmp_path / "two").exists() and (tmp_path / "two").read_text())
        assert int((tmp_path / "two").read_text()) != busy and busy in [worker.pid for worker in workers]
        jobs.stop.set()
        assert result(slow) is True
        assert [result(future)[0] for future in others] == list(range(0, 40, 2))


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense"])
def test_a_cluster_that_is_not_there_is_one_line(address, monkeypatch):
    pytest.importorskip("distributed", reason='no Dask: pip install "signbit[cluster]"')
    monkeypatch.setattr("signbit.jobs.executor.CONNECT_S", 1)
    with pytest.raises(SignbitError, match=f"--cluster {address}: ") as error:
        Jobs(cluster=address)
    assert "\n" not in str(error.value)
