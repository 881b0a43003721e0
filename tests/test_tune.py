"""`signbit tune`: searches within a budget, that lose nothing when they are stopped, killed or begun again."""

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path
from wsgiref.util import setup_testing_defaults

import numpy as np
import pytest

pytest.importorskip("optuna", reason='no Optuna: pip install "signbit[tune]"')

from signbit.codegen.commands.cli import main as codegen
from signbit.codegen.report import as_dict
from signbit.qmodel.command import run_command
from signbit.qmodel.data.readers.loading import LoadingOptions
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.file import load
from signbit.trainer.learning.folds import folds_of
from signbit.trainer.learning.settings import default_settings
from signbit.trainer.tune import search, study
from signbit.trainer.tune.cost import Budget, Cost, cost, plan_within
from signbit.trainer.tune.space import default_space, read_space
from signbit.trainer.tune.training import FOLDS, Place, Training, train
from tools.documents.blocks import block
from tools.zoo import bench_tune, bench_workers
from tools.zoo.recipes import RECIPES

TINY = """
networks = ["dense:{hidden}{sign}, dense", "conv3x3:{width} pool2, dense"]
[network]
hidden = { from = 4, to = 16, step = 4 }
sign = ["", " sign"]
width = [4, 7]
[training]
lr = { from = 0.01, to = 0.05, log = true }
label_smoothing = [0.0, 0.1]
"""
ONE = """
networks = ["dense:8, dense", "dense:8 relu, dense"]
"""
COSTS = "flash_bytes", "ram_bytes", "instructions"
BOUNDS = ("--max-flash", "2K", "--max-instructions", "5000")
QUICK = ("--epochs", "2", "--folds", "2")


pytestmark = pytest.mark.filterwarnings("ignore:Heartbeat of storage is supposed to be used with Study.optimize")


@pytest.fixture
def tiny(tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text(TINY)
    return path


@pytest.fixture
def tune(trainer, tmp_path, tiny):
    """`tune` in this process with a small space, in a folder of the test; gives exit code, stdout and stderr."""

    def call(*words):
        return trainer("tune", "--space", tiny, "--runs", tmp_path / "runs", "--jobs", "1", *words)

    return call


def trials_of(path):
    """(state, user attributes) of each trial, straight from the database."""
    with sqlite3.connect(path) as connection:
        states = dict(connection.execute("select trial_id, state from trials"))
        found = {number: {} for number in states}
        for number, key, value in connection.execute("select trial_id, key, value_json from trial_user_attributes"):
            found[number][key] = json.loads(value)
    return [(states[number], found[number]) for number in sorted(states)]


# --- what it finds


def test_a_search_keeps_the_budget_and_trains_nothing_twice(tune, tmp_path):
    runs = tmp_path / "runs"
    code, out, err = tune(*BOUNDS, *QUICK, "--trials", "4", "--json")
    assert (code, err) == (0, "")
    front = json.loads(out)["front"]
    figures = [(-one["accuracy"], one["flash_bytes"], one["instructions"]) for one in front]
    assert front and all(one["flash_bytes"] <= 2048 and one["instructions"] <= 5000 for one in front)
    assert not any(
        other != one and all(b <= a for a, b in zip(one, other, strict=True)) for one in figures for other in figures
    )
    trials = trials_of(runs / "study.db")
    trained = {values["key"] for state, values in trials if state == "COMPLETE"}
    assert len(trained) == 4 and {path.name for path in runs.iterdir() if path.is_dir()} >= trained
    for state, values in trials:
        # what is over budget was never trained
        assert (max(values["over"]) > 0) == ("key" not in values) and (state == "PRUNED" or "key" in values)
    finished = {path: path.stat().st_mtime_ns for path in runs.glob("*/fold*/result.json")}
    assert len(finished) >= 8 and not any("test" in json.loads(path.read_text())["accuracy"] for path in finished)

    code, out, _ = tune(*BOUNDS, *QUICK, "--trials", "4")
    assert code == 0 and "over 2 folds" in out
    code, again, _ = tune("--front", "--json")
    assert code == 0 and json.loads(again)["front"] == front
    # another study knows the networks that are trained by their folders
    code, *_ = tune(*BOUNDS, *QUICK, "--trials", "2", "--study", "another")
    assert code == 0 and all(path.stat().st_mtime_ns == when for path, when in finished.items())


def test_the_same_network_in_other_words_is_trained_once(trainer, tmp_path, monkeypatch):
    (tmp_path / "one.toml").write_text(ONE)
    monkeypatch.setattr(search, "IDLE_MAX", 6)
    where = ("--space", tmp_path / "one.toml", "--runs", tmp_path / "runs", "--jobs", "1")
    code, _, err = trainer("tune", *where, *QUICK, "--trials", "5")
    assert code == 0 and "the last 6 trials drew nothing that is new and within the budget" in err
    assert len(list((tmp_path / "runs").glob("*/fold0"))) == 1
    assert {values["network"] for _, values in trials_of(tmp_path / "runs" / "study.db")} == {
        "dense:8, dense",
        "dense:8 relu, dense",
    }


def test_nothing_that_fits_says_so(tune, monkeypatch):
    monkeypatch.setattr(search, "IDLE_MAX", 3)
    code, out, err = tune("--max-flash", "100", *QUICK)
    assert (code, out) == (2, "") and err.count("\n") == 1
    assert "no network of 3 is within the budget; allow more" in err


def test_a_budget_of_nothing_is_a_budget():
    over = Budget("cortex-m0", flash_bytes=0, ram_bytes=0, instructions=200).over(Cost(300, 0, 100))
    assert over == [300, 0, -0.5]


def test_time_that_ends_before_anything_fits_says_so(tune):
    code, out, err = tune("--max-flash", "0", *QUICK, "--timeout", "0.3")
    assert (code, out) == (2, "") and err.count("\n") == 1
    assert "no network of " in err and " is within the budget; allow more" in err and "--timeout" not in err


@pytest.mark.parametrize(
    ("network", "training", "said"),
    [("conv9x9:8, dense", "", "9x9"), ("dense", '[training]\naugment = ["sound"]\n', "sound")],
)
def test_a_space_of_which_nothing_can_be_trained_says_why(trainer, tmp_path, monkeypatch, network, training, said):
    monkeypatch.setattr(search, "IDLE_MAX", 3)
    (tmp_path / "none.toml").write_text(f'networks = ["{network}"]\n{training}')
    where = ("--space", tmp_path / "none.toml", "--runs", tmp_path / "runs", "--jobs", "1")
    code, out, err = trainer("tune", *where, "--epochs", "1", "--trials", "1", "--quiet")
    assert (code, out) == (2, "") and err.count("\n") == 1
    assert "no network of 3 could be trained; the last: " in err and said in err


def test_costs_are_those_that_inspect_predicts(digits):
    settings = default_settings(model="conv3x3:14 pool2, conv3x3:21, dense")
    for budget in (Budget("cortex-m0"), Budget("cortex-m0", flash_bytes=2000), Budget("cortex-m4", ram_bytes=600)):
        found = cost(settings, digits, budget)
        assert max(budget.over(found)) <= 0
        plan = plan_within(search_model(settings, digits), budget)
        shown = as_dict(plan)
        assert vars(found) == {
            "flash_bytes": shown["predicted_flash_bytes"],
            "ram_bytes": shown["scratch_bytes"],
            "instructions": round(shown["predicted_instructions"]),
        }
    fast, small = (cost(settings, digits, Budget("cortex-m0", flash_bytes=most)) for most in (None, 2000))
    assert small.flash_bytes < fast.flash_bytes and small.instructions > fast.instructions
    assert max(Budget("cortex-m0", flash_bytes=10).over(cost(settings, digits, Budget("cortex-m0", 10)))) > 0


def search_model(settings, data):
    from signbit.trainer.report.summary import untrained

    layers = settings.architecture(data.input_shape, len(data.labels))
    return untrained(layers, data.input_shape, len(data.labels), settings.high, None, None)


def test_folds_validate_every_sample_once_and_never_see_the_test_part(digits):
    folds = folds_of(digits, FOLDS)
    whole = {row.tobytes() for part in (digits.train, digits.validation) for row in part.x}
    validated = np.concatenate([fold.validation.x for fold in folds])
    assert len(validated) == len(digits.train) + len(digits.validation)
    assert {row.tobytes() for row in validated} == whole
    test = {row.tobytes() for row in digits.test.x} - whole
    for fold in folds:
        seen = {row.tobytes() for part in (fold.train, fold.validation) for row in part.x}
        assert not len(fold.test) and not seen & test and len(fold.train) + len(fold.validation) == len(validated)
    (kept,) = folds_of(replace(digits, is_kept_apart=True), FOLDS)
    assert kept.train is digits.train and not len(kept.test)


def test_the_front_is_retrained_and_exported(tune, tmp_path, capsys):
    assert tune(*BOUNDS, *QUICK, "--trials", "2")[0] == 0
    folder = tmp_path / "front"
    code, out, _ = tune(*BOUNDS, *QUICK, "--export", folder, "--json")
    rows = json.loads(out)["export"]
    assert code == 0 and json.loads((folder / "front.json").read_text()) == rows
    for row in rows:
        model = load(folder / f"{row['name']}.npz")
        chosen = row["runs"][row["chosen_seed"]]
        assert [run["seed"] for run in row["runs"]] == [0, 1, 2] and len({run["hash"] for run in row["runs"]}) == 3
        assert chosen["validation_right"] == max(run["validation_right"] for run in row["runs"])
        assert model.hash == chosen["hash"]
        assert model.provenance["accuracy"]["test"]["integer_correct"] == chosen["test_right"]
        # the header is the one that `export` makes within the same budget
        header = folder / f"{row['name']}.h"
        words = ["export", str(folder / f"{row['name']}.npz"), "--target", "cortex-m0", *BOUNDS, "--out", str(header)]
        assert run_command(codegen, [*words, "--check"]) == 0
        assert row["name"] in (folder / "README.md").read_text()
    assert (folder / "front.png").exists() and "![" in (folder / "README.md").read_text()
    code, _, err = tune(*BOUNDS, *QUICK, "--export", folder)
    assert code == 2 and "not an empty folder" in err and err.count("\n") == 1


def test_a_table_is_searched_with_its_encodings(trainer, parts, tmp_path):
    rows = "".join(f"{n % 13},{n * 7 % 11},{'xy'[n % 13 > 6]}\n" for n in range(200))
    words = ("--data", parts(f"a,b,kind\n{rows}"), "--runs", tmp_path / "runs", "--jobs", "1")
    code, out, _ = trainer("tune", *words, *QUICK, "--trials", "3", "--json")
    assert code == 0 and all("input_encoding" in one["settings"] for one in json.loads(out)["front"])


# --- stopped, killed, begun again


def training(folder, fold=0, **options):
    settings = default_settings(model="conv3x3:7 pool2, dense", **{"epochs": 3} | options)
    place = Place("digits", None, LoadingOptions())
    return Training(settings, place, place.load().hash, fold, "trial", str(folder))


class After:
    """A stop that comes when it was asked so often."""

    def __init__(self, times):
        self.left = times

    def __call__(self):
        self.left -= 1
        return self.left < 0


@pytest.mark.parametrize("fold", [1, None])
def test_a_stopped_run_goes_on_to_the_unbroken_model(tmp_path, fold):
    unbroken = train(training(tmp_path / "unbroken", fold), lambda: False)
    broken = training(tmp_path / "broken", fold)
    for times in (0, 7, 20):
        assert train(broken, After(times)) is None
        assert (tmp_path / "broken" / "checkpoint.npz").exists()
    asked = After(10**9)
    assert train(broken, asked) == unbroken and (unbroken.test is None) == (fold is not None)
    # some of the blocks were not trained again
    whole = After(10**9)
    train(training(tmp_path / "whole", fold), whole)
    assert asked.left > whole.left
    assert not (tmp_path / "broken" / "checkpoint.npz").exists()
    assert (tmp_path / "broken" / "model.npz").read_bytes() == (tmp_path / "unbroken" / "model.npz").read_bytes()
    # what is done is read
    assert train(broken, After(0)) == unbroken


def test_a_checkpoint_of_something_else_is_not_taken(tmp_path):
    train(training(tmp_path / "run"), After(9))
    assert train(training(tmp_path / "run", seed=1), lambda: False) == train(
        training(tmp_path / "other", seed=1), lambda: False
    )
    train(training(tmp_path / "damaged"), After(9))
    (tmp_path / "damaged" / "checkpoint.npz").write_bytes(b"PK nonsense")
    assert train(training(tmp_path / "damaged"), lambda: False) == train(training(tmp_path / "x"), lambda: False)


def test_a_run_refuses_other_data(tmp_path):
    with pytest.raises(SignbitError, match="digits is not the data that the study was begun with"):
        train(replace(training(tmp_path / "run"), data_hash="another"), lambda: False)


def start(repository, tmp_path, *words):
    command = [sys.executable, "-m", "trainer", "tune", "--space", tmp_path / "tiny.toml", "--runs", tmp_path / "runs"]
    return subprocess.Popen(
        [*map(str, command), *map(str, words)],
        cwd=repository,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def begun(tmp_path, name="metrics.csv"):
    """Wait for a run that has finished an epoch."""
    end = time.monotonic() + 120
    while not list((tmp_path / "runs").glob(f"*/fold*/{name}")):
        assert time.monotonic() < end
        time.sleep(0.05)


LONG = ("--jobs", "1", "--epochs", "40", "--folds", "1", "--trials", "1")


def test_ctrl_c_gives_the_trial_back_and_the_same_command_goes_on(repository, tune, tmp_path, tiny, monkeypatch):
    process = start(repository, tmp_path, *LONG)
    begun(tmp_path)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130 and err.startswith("note: stopped") and err.count("\n") == 1
    trials = trials_of(tmp_path / "runs" / "study.db")
    assert [state for state, _ in trials] == ["WAITING"]
    assert [path.name for path in tmp_path.glob("runs/*/fold0/*.npz")] == ["checkpoint.npz"]
    assert tune(*LONG)[0] == 0
    (again,) = trials_of(tmp_path / "runs" / "study.db")
    # what was drawn stays, and there is the hash of a run that nobody stopped
    assert again[0] == "COMPLETE" and trials[0][1].items() <= again[1].items()
    settings = default_settings(**again[1]["settings"])
    place = Place("digits", None, LoadingOptions())
    whole = Training(settings, place, place.load().hash, 0, "trial", str(tmp_path / "whole"))
    (model,) = (load(path) for path in tmp_path.glob("runs/*/fold0/model.npz"))
    assert model.hash == train(whole, lambda: False).hash


def test_a_killed_worker_s_trial_is_reaped(repository, tune, tmp_path, tiny):
    process = start(repository, tmp_path, *LONG)
    begun(tmp_path)
    process.kill()
    process.communicate()
    assert [state for state, _ in trials_of(tmp_path / "runs" / "study.db")] == ["RUNNING"]
    assert tune("--reap") == (0, "given back: 1 trial\n", "")
    assert [state for state, _ in trials_of(tmp_path / "runs" / "study.db")] == ["WAITING"]
    assert tune(*LONG)[0] == 0
    assert [state for state, _ in trials_of(tmp_path / "runs" / "study.db")] == ["COMPLETE"]


def test_a_trial_without_a_heartbeat_is_given_to_the_next_worker(tune, tmp_path, monkeypatch):
    import optuna

    monkeypatch.setattr(study, "HEARTBEAT_S", 1)
    monkeypatch.setattr(study, "GRACE_S", 2)
    url = f"sqlite:///{tmp_path / 'study.db'}"
    made = study.begin_study(url, "one", {"a": 1})
    trial = made.ask()
    drawn = trial.suggest_int("width", 1, 100)
    made._storage.record_heartbeat(trial._trial_id)
    time.sleep(3.5)
    optuna.storages.fail_stale_trials(made)
    states = [(one.state.name, one.params) for one in made.trials]
    assert states == [("FAIL", {"width": drawn}), ("WAITING", {"width": drawn})]
    assert made.ask().suggest_int("width", 1, 100) == drawn


def test_a_trial_that_was_given_back_is_not_taken_for_dead(tmp_path, monkeypatch):
    """It was: by its old mark, until its next worker had marked it."""
    import optuna

    monkeypatch.setattr(study, "HEARTBEAT_S", 1)
    monkeypatch.setattr(study, "GRACE_S", 1)
    made = study.begin_study(f"sqlite:///{tmp_path / 'study.db'}", "one", {"a": 1})
    trial = made.ask()
    made._storage.record_heartbeat(trial._trial_id)
    study.give_back(made, trial._trial_id)
    time.sleep(2.1)
    assert made.ask().number == trial.number
    optuna.storages.fail_stale_trials(made)
    assert [one.state.name for one in made.trials] == ["RUNNING"]


def test_no_trial_is_taken_twice(tmp_path):
    """By workers that look for one at the same moment; Optuna alone gave the same to two of them over SQLite."""
    made = study.begin_study(f"sqlite:///{tmp_path / 'study.db'}", "one", {"a": 1})
    for _ in range(6):
        taken, barrier = [], threading.Barrier(4)
        for number in range(4):
            made.enqueue_trial({"width": number})

        def take(taken=taken, barrier=barrier):
            barrier.wait()
            taken.append(made.ask().number)
            made._storage.remove_session()

        workers = [threading.Thread(target=take) for _ in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert len(set(taken)) == 4


def test_a_job_that_dies_costs_a_trial_nothing(tmp_path, tiny, repository):
    """The process that trains is killed, not the worker that waits for it."""
    process = start(repository, tmp_path, *LONG)
    begun(tmp_path)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    if not children.exists():
        process.kill()
        pytest.skip("no /proc to find the process in")
    for child in children.read_text().split():
        if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
            os.kill(int(child), signal.SIGKILL)
    assert process.communicate() and process.returncode == 0
    assert [state for state, _ in trials_of(tmp_path / "runs" / "study.db")] == ["COMPLETE"]


# --- other storages


@pytest.fixture(scope="module")
def postgresql():
    """The URL of a real server of Debian's, which runs as a user since it refuses root."""
    pytest.importorskip("psycopg", reason='no driver: pip install "signbit[tune]"')
    tools = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not tools:
        pytest.skip("no PostgreSQL server: apt install postgresql")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    user = {"user": "nobody"} if os.geteuid() == 0 else {}
    folder = Path(tempfile.mkdtemp(prefix="signbit-"))
    if user:
        shutil.chown(folder, "nobody")
    where = {"cwd": folder, "env": {"LC_ALL": "C", "PATH": os.environ["PATH"]}, **user}
    data = ("-D", str(folder / "data"))
    subprocess.run(
        [tools[-1] / "initdb", *data, "-U", "signbit", "-A", "trust"], check=True, capture_output=True, **where
    )
    options = ("-p", str(port), "-k", str(folder), "-c", "listen_addresses=127.0.0.1")
    server = subprocess.Popen(
        [tools[-1] / "postgres", *data, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **where
    )
    try:
        end = time.monotonic() + 60
        while subprocess.run(
            [tools[-1] / "pg_isready", "-h", "127.0.0.1", "-p", str(port)], capture_output=True
        ).returncode:
            assert server.poll() is None and time.monotonic() < end
            time.sleep(0.1)
        yield f"postgresql+psycopg://signbit@127.0.0.1:{port}/postgres"
    finally:
        server.send_signal(signal.SIGINT)
        server.wait()
        shutil.rmtree(folder)


def test_two_workers_share_a_study_over_postgresql(postgresql, repository, tmp_path, tiny):
    """Begun at once, so that they race for the tables as well."""
    words = (*QUICK, "--trials", "4", "--jobs", "1", "--storage", postgresql, "--json")
    workers = [start(repository, tmp_path, *words) for _ in range(2)]
    for worker in workers:
        out, err = worker.communicate()
        assert worker.returncode == 0, err
        assert json.loads(out)["front"]
    made = study.open_study(postgresql, "digits-cortex-m0")
    complete = [trial for trial in made.trials if trial.state.name == "COMPLETE"]
    assert len({trial.user_attrs["key"] for trial in complete}) >= 4


def test_the_dashboard_shows_a_study(tune, tmp_path):
    dashboard = pytest.importorskip("optuna_dashboard", reason="no dashboard: pip install optuna-dashboard")
    import optuna

    assert tune(*QUICK, "--trials", "1")[0] == 0
    application = dashboard.wsgi(optuna.storages.RDBStorage(f"sqlite:///{tmp_path / 'runs' / 'study.db'}"))
    request, answer = {"PATH_INFO": "/api/studies"}, []
    setup_testing_defaults(request)
    body = b"".join(application(request, lambda status, *_: answer.append(status)))
    assert answer == ["200 OK"] and b"digits-cortex-m0" in body


# --- mistakes


def test_another_budget_is_another_study(tune):
    assert tune(*BOUNDS, *QUICK, "--trials", "1")[0] == 0
    code, out, err = tune(*QUICK, "--trials", "1")
    assert (code, out) == (2, "") and err.count("\n") == 1
    assert "was begun with other options: its budget" in err and "--study" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--front",), "holds no study"),
        (("--target", "portable"), "--target"),
        (("--max-flash", "much"), "'much' is not a number of bytes such as 3000 or 16K"),
        (("--storage", "nonsense"), "--storage nonsense: "),
        (("--storage", "nosql://x/y"), "--storage nosql://x/y: "),
        (("--space", "nowhere.toml"), "nowhere.toml"),
        (("--data", "nowhere.csv"), "nowhere.csv"),
        (("--trials", "0"), "'0' is not a whole number"),
        (("--timeout", "0"), "'0' is not a number above 0"),
        (("--cluster", "nonsense"), "--cluster nonsense: "),
        (("--front", "--reap"), "not allowed with"),
    ],
)
def test_mistakes_are_one_line(tune, words, said):
    code, out, err = tune(*words)
    assert (code, out) == (2, "") and err.startswith("error: ") and err.count("\n") == 1 and said in err


def test_a_database_that_is_not_there_is_one_line_without_its_password(tune, monkeypatch):
    pytest.importorskip("psycopg", reason='no driver: pip install "signbit[tune]"')
    monkeypatch.setattr(study, "RETRY_S", (0, 0))
    code, _, err = tune("--storage", "postgresql+psycopg://me:secret@127.0.0.1:1/studies")
    assert code == 2 and err.startswith("error: --storage postgresql+psycopg://me:***@127.0.0.1:1/studies: ")
    assert "secret" not in err and err.count("\n") == 1


def test_a_study_s_name_that_is_unknown_does_not_show_the_password(tmp_path):
    with pytest.raises(SignbitError, match="not in sqlite:") as error:
        study.open_study(f"sqlite:///{tmp_path / 'new.db'}", "nobody")
    assert "\n" not in str(error.value)
    assert study._shown("postgresql://me:secret@host/db") == "postgresql://me:***@host/db"


@pytest.mark.parametrize("trials", [0, 1])
@pytest.mark.parametrize("objectives", [1, 3])
def test_a_study_of_somebody_else_is_left_alone(tune, tmp_path, objectives, trials):
    import optuna

    (tmp_path / "runs").mkdir()
    url = f"sqlite:///{tmp_path / 'runs' / 'study.db'}"
    other = optuna.create_study(storage=url, study_name="digits-cortex-m0", directions=["minimize"] * objectives)
    other.optimize(lambda trial: (0.5,) * objectives, n_trials=trials)
    ways = [("--front",), ("--reap",), ("--export", tmp_path / "front")]
    if trials or objectives == 1:
        ways.append((*QUICK, "--trials", "1"))
    for words in ways:
        code, out, err = tune(*words)
        assert (code, out) == (2, "") and err.count("\n") == 1
        assert err == "error: study 'digits-cortex-m0' is not one of `signbit tune`; name another --study\n"


def test_a_study_that_can_t_be_written_says_why(tune, tmp_path):
    assert tune(*QUICK, "--trials", "1")[0] == 0

    def write_nothing(connection, *_):
        connection.execute("pragma query_only = on")

    from sqlalchemy import event
    from sqlalchemy.pool import Pool

    event.listen(Pool, "connect", write_nothing)
    try:
        code, _, err = tune(*QUICK, "--trials", "2")
    finally:
        event.remove(Pool, "connect", write_nothing)
    assert code == 2 and "attempt to write a readonly database" in err and err.count("\n") == 1


def test_a_database_that_is_lost_is_one_line(tune, tmp_path, monkeypatch):
    def lose(*_):
        (tmp_path / "runs" / "study.db").write_bytes(b"")

    monkeypatch.setattr(search.Search, "_twin", lose)
    code, _, err = tune(*QUICK, "--trials", "1")
    assert code == 2 and err.startswith("error: --storage sqlite:") and err.count("\n") == 1


SPACES = {
    "no TOML": ("networks = [", "is not TOML"),
    "nothing": ("", 'needs networks = ["...", ...]'),
    "another table": (f"{TINY}\n[colour]\n", "'colour' is unknown"),
    "a name without values": ('networks = ["dense:{n}, dense"]', "[network] has no 'n'"),
    "values without a name": ('networks = ["dense"]\n[network]\nn = [1]', "no template has {n}"),
    "no network": ('networks = ["sparse:{n}, dense"]\n[network]\nn = [1]', "'sparse:1' is not understood"),
    "an open brace": ('networks = ["dense:{n, dense"]\n[network]\nn = [1]', "template"),
    "an unknown option": ('networks = ["dense"]\n[training]\ncolour = [1]', "'colour' can't be searched"),
    "weights without bits": ('networks = ["dense"]\n[training]\nbinarize = ["none"]', "'binarize' can't be searched"),
    "the seed": ('networks = ["dense"]\n[training]\nseed = [1]', "'seed' can't be searched"),
    "a value that can't be": ('networks = ["dense"]\n[training]\nepochs = [0]', "epochs is 0, but must be"),
    "an empty list": ('networks = ["dense"]\n[training]\nepochs = []', "[training] epochs must be a list"),
    "a range the wrong way": ('networks = ["dense"]\n[training]\nlr = { from = 2, to = 1 }', "[training] lr must be"),
    "braces with a width": (
        'networks = ["dense:{n:>99999999999}, dense"]\n[network]\nn = [1]',
        "braces hold a name of [network] and nothing else",
    ),
    "a number of too many digits": (f'networks = ["dense"]\n[training]\nepochs = [{"9" * 5000}]', "is not TOML"),
    "a step without end": (
        'networks = ["dense"]\n[training]\nlr = { from = 0.1, to = 0.2, step = inf }',
        "with a step that fits into it",
    ),
    "a range without end": (
        'networks = ["dense:{n}, dense"]\n[network]\nn = { from = 1, to = 1e400 }',
        "[network] n must be",
    ),
    "a number beyond all floats": (
        f'networks = ["dense"]\n[training]\nlr = {{ from = 0.1, to = {10**400} }}',
        "[training] lr must be",
    ),
    "a name twice": (
        'networks = ["dense:{lr}, dense"]\n[network]\nlr = [1]\n[training]\nlr = [0.1]',
        "names two things",
    ),
}


@pytest.mark.parametrize("case", SPACES)
def test_a_space_that_can_t_be_is_one_line(tmp_path, case):
    text, said = SPACES[case]
    path = tmp_path / "space.toml"
    path.write_text(text)
    with pytest.raises(SignbitError) as error:
        read_space(path)
    assert said in str(error.value) and str(error.value).startswith("--space ") and "\n" not in str(error.value)
    assert str(error.value).count("template ") < 2


def test_a_range_ends_at_its_last_step(tmp_path, recwarn):
    import optuna

    path = tmp_path / "space.toml"
    path.write_text(
        'networks = ["dense:{n}, dense"]\n[network]\nn = { from = 7, to = 36, step = 7 }\n'
        "[training]\nlr = { from = 0.1, to = 0.35, step = 0.1 }\n"
    )
    space = read_space(path)
    assert (space.network["n"].high, space.training["lr"].high) == (35, 0.3)
    space.draw(optuna.create_study().ask())
    assert not recwarn.list


@pytest.mark.parametrize("shape", [(8, 8, 1), (64, 1, 6), (30,)])
def test_the_package_s_spaces_draw_networks(shape):
    import optuna

    space = default_space(shape)
    made = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    drawn = set()
    for _ in range(200):
        network, options = space.draw(made.ask())
        default_settings(model=network, **options)
        drawn.add(network)
    assert len(drawn) > 20


@pytest.mark.parametrize("name", ["digits-mlp", "digits-conv", None])
def test_no_space_of_the_digits_has_a_recipe_of_the_zoo(repository, digits, name):
    """Otherwise it would say nothing that a search finds networks as good."""
    space = read_space(repository / "bench" / f"tune_{name}.toml") if name else default_space(digits.input_shape)
    hidden, first = (space.network.get(name) for name in ("hidden", "width1"))
    assert hidden or first
    assert hidden is None or 64 not in hidden.values
    assert first is None or 16 not in range(first.low, first.high + 1, first.step)
    drawn = "|".join(recipe.words for recipe in RECIPES if recipe.data == "digits")
    assert "--hidden 64" in drawn and "conv3x3pad:16" in drawn


def test_the_document_is_that_of_the_record(repository):
    rows = bench_tune.read()
    assert rows and block(bench_tune.BLOCK, bench_tune.DOCUMENT) == "\n\n".join(
        bench_tune.text(name, row) for name, row in rows.items()
    )
    for name, row in rows.items():
        drawn = (repository / "docs" / "img" / f"tune_{name}.png").exists()
        assert drawn == (len(row["front"]) > 1)
        budget = Budget(**row["budget"])
        assert all(max(budget.over(Cost(**{key: one[key] for key in COSTS}))) <= 0 for one in row["front"])


def test_the_document_says_what_two_workers_did():
    rows = bench_workers.read()
    assert [row["workers"] for row in rows] == list(bench_workers.WORKERS)
    assert block(bench_workers.BLOCK, bench_workers.DOCUMENT) == bench_workers.text(rows)


def test_the_trainer_needs_no_optuna():
    program = "import sys, signbit.trainer.command.cli, signbit.__main__; sys.exit('optuna' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_without_optuna_the_extra_is_named(tune, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert tune() == (2, "", 'error: tune needs Optuna; pip install "signbit[tune]"\n')


def test_trials_run_in_two_processes(tune, tmp_path):
    assert tune(*QUICK, "--trials", "3", "--jobs", "2")[0] == 0
    assert sum(state == "COMPLETE" for state, _ in trials_of(tmp_path / "runs" / "study.db")) >= 3
