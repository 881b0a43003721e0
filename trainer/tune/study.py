"""A search's study in its database: opened, checked, and kept whole when workers die.

Workers share nothing but the study.  A worker marks its trials every HEARTBEAT_S seconds; one whose mark is older than
GRACE_S is given to another worker, with the same network and options.
"""

import random
import re
import time
import warnings

from signbit.qmodel.errors import SignbitError

HEARTBEAT_S, GRACE_S = 10, 60
ENGINES = {
    # seconds to wait for another worker that writes
    "sqlite": {"connect_args": {"timeout": 60}},
    # a database without an encoding gives bytes for text
    "postgresql": {"client_encoding": "utf8"},
}
TRIES, RETRY_S = 8, (0.2, 1.0)
"""Two workers that begin at once both make the tables, and one of them fails."""
PASSWORD = re.compile(r"://([^:/@]*):[^@]*@")
OBJECTIVES = {"accuracy": "maximize", "flash_bytes": "minimize", "instructions": "minimize"}
STARTUP_TRIALS = 20
"""At random, before the sampler has something to learn from."""
OVER = "over"
"""A trial's attribute: how much of each bound it exceeds."""
FACTS = "signbit"
"""The study's attribute with what all its trials have in common."""
FACT_SHOWN = 200
"""Characters; longer ones are not printed."""


def require_optuna():
    """The module, which is quiet; raises SignbitError where the extra is missing."""
    try:
        import optuna
    except ImportError:
        raise SignbitError('tune needs Optuna; pip install "signbit[tune]"') from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    # 5.0 deprecates what 4.9 has nothing else for
    warnings.filterwarnings("ignore", "`constraints_func` has been deprecated", FutureWarning)
    return optuna


def begin_study(url: str, name: str, facts: dict):
    """The study to work on, made where there is none; raises SignbitError where it is one of other `facts`."""
    optuna = require_optuna()
    sampler = optuna.samplers.TPESampler(
        constraints_func=lambda trial: trial.user_attrs[OVER],
        constant_liar=True,
        multivariate=True,
        group=True,
        n_startup_trials=STARTUP_TRIALS,
    )

    def create():
        made = optuna.create_study(
            storage=_storage(url),
            study_name=name,
            sampler=sampler,
            directions=list(OBJECTIVES.values()),
            load_if_exists=True,
        )
        is_new = len(made.directions) == len(OBJECTIVES) and not made.get_trials(deepcopy=False)
        if is_new and FACTS not in made.user_attrs:
            made.set_metric_names(list(OBJECTIVES))
            made.set_user_attr(FACTS, facts)
        return made

    study = _persistent(url, create)
    check_facts(study, facts)
    return study


def facts_of(study) -> dict:
    """What all its trials have in common; raises SignbitError where `tune` did not make the study."""
    try:
        return study.user_attrs[FACTS]
    except KeyError:
        raise SignbitError(f"study {study.study_name!r} is not one of `signbit tune`; name another --study") from None


def check_facts(study, facts: dict) -> None:
    """Raises SignbitError where a study is one of other data, another budget or another space."""
    known = facts_of(study)
    if odd := [name for name, value in facts.items() if known.get(name) != value]:
        texts = f" is {known.get(odd[0])}, not {facts[odd[0]]}"
        which = texts if len(texts) < FACT_SHOWN else " is another"
        raise SignbitError(
            f"study {study.study_name!r} was begun with other options: its {odd[0]}{which}; name another --study"
        )


def open_study(url: str, name: str):
    """A study that is there already."""
    optuna = require_optuna()
    try:
        study = _persistent(url, lambda: optuna.load_study(study_name=name, storage=_storage(url)))
    except KeyError:
        raise SignbitError(f"--study {name!r} is not in {_shown(url)}; name one that is, or search first") from None
    facts_of(study)
    return study


def work_on(url: str, action):
    """What `action` gives; raises SignbitError where the database is lost meanwhile."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    return _explained(url, action, StorageInternalError, SQLAlchemyError)


def reap(study) -> int:
    """Give the trials that run back, for the next worker that asks; how many there were.

    For workers that died a moment ago: nobody else may be working on the study.
    """
    state = require_optuna().trial.TrialState
    trials = study.get_trials(deepcopy=False, states=(state.RUNNING,))
    for trial in trials:
        give_back(study, trial._trial_id)
    return len(trials)


def give_back(study, trial_id: int) -> None:
    """Let a trial that was begun be begun again, with all that was drawn for it.

    Without its mark: by an old one it would look as if its next worker had died before that one can mark it.
    """
    from optuna.storages._rdb.models import TrialHeartbeatModel as Mark

    study._storage.set_trial_state_values(trial_id, state=require_optuna().trial.TrialState.WAITING)
    with study._storage._backend.engine.begin() as connection:
        connection.execute(Mark.__table__.delete().where(Mark.trial_id == trial_id))


def _storage(url: str):
    from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback

    storage = RDBStorage(
        url,
        heartbeat_interval=HEARTBEAT_S,
        grace_period=GRACE_S,
        heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(),
        engine_kwargs=ENGINES.get(url.partition(":")[0].partition("+")[0]),
    )
    if storage.engine.dialect.name == "sqlite":
        _take_turns(storage.engine)
    return storage


def _take_turns(engine) -> None:
    """Let SQLite's transactions follow each other, also those that begin by reading.

    It has no SELECT ... FOR UPDATE, so two workers that look for a trial at once would both take the same.  The driver
    begins a transaction at the first writing only; without it we begin one that locks.
    """
    from sqlalchemy import event

    event.listen(engine, "connect", lambda connection, _: setattr(connection, "isolation_level", None))
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    engine.dispose()


def _persistent(url: str, action):
    """What `action` gives, tried again where another worker does the same to a new database."""
    from sqlalchemy.exc import ArgumentError, SQLAlchemyError

    for _ in range(TRIES - 1):
        try:
            return _explained(url, action, ArgumentError, ImportError, RuntimeError)
        except SQLAlchemyError:
            time.sleep(random.uniform(*RETRY_S))
    return _explained(url, action, SQLAlchemyError, ImportError, RuntimeError)


def _explained(url: str, action, *expected: type[Exception]):
    """What `action` gives; raises SignbitError in place of what is `expected`, or came of that."""
    try:
        return action()
    except SignbitError:
        raise
    except Exception as error:
        # Optuna fails again where it handles a lost database
        causes = [error]
        while causes[-1].__context__ is not None:
            causes.append(causes[-1].__context__)
        found = [cause for cause in causes if isinstance(cause, expected)]
        if not found:
            raise
        # what it began with: Optuna's own words for any failure blame the data
        reason = str(found[-1]).strip().split("\n", 1)[0]
        raise SignbitError(f"--storage {_shown(url)}: {reason}") from None


def _shown(url: str) -> str:
    """A database's URL without the password."""
    return PASSWORD.sub(r"://\1:***@", url)
