"""The search: a trial draws a network and options, asks what they cost, and trains what is within the budget."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from math import sqrt
from pathlib import Path

from signbit import __version__
from signbit.jobs.bars import Bars
from signbit.jobs.executor import Died, Jobs
from signbit.jobs.signals import Signals, Stopped
from signbit.qmodel.atomic import write_whole
from signbit.qmodel.counted import counted
from signbit.qmodel.data.dataset import Dataset
from signbit.qmodel.data.named import NAMES
from signbit.qmodel.errors import SignbitError
from signbit.trainer.learning.auto import settings_for
from signbit.trainer.learning.settings import Settings, default_settings
from signbit.trainer.network.architecture import architecture_text
from signbit.trainer.tune.cost import Budget, Cost, cost
from signbit.trainer.tune.space import Space
from signbit.trainer.tune.study import OVER, give_back, require_optuna
from signbit.trainer.tune.training import Place, Training, train

KEY = "key"
"""A trial's attribute, and the name of its folder: the hash of its network, its options and its data."""
COUNTS = "right", "count"
"""A finished trial's attributes: validation samples of all folds that were classified right, and how many there are."""
ERROR = "error"
"""A trial's attribute: why its network doesn't fit the data, or wasn't trained to the end."""
CLEARLY = 2
"""A trial so many standard errors below one that costs no more is ended."""
IDLE_MAX = 200
"""Trials in a row that train nothing new, after which a worker ends."""
KEY_DIGITS = 12


@dataclass(frozen=True)
class Problem:
    """What is searched: networks of a space for data, within a budget."""

    data: Dataset
    place: Place
    space: Space
    budget: Budget
    given: dict
    """Settings that are the same for all networks, by the names of `Settings`."""
    folds: int
    """How many of them are trained."""
    _prepared: dict[tuple[str, str], Dataset] = field(default_factory=dict)

    @property
    def facts(self) -> dict:
        """What all trials of a study have in common: plain JSON values."""
        return {
            "version": __version__,
            "data": self.data.name,
            "data_hash": self.data.hash,
            "budget": asdict(self.budget),
            "given": {name: list(value) if isinstance(value, tuple) else value for name, value in self.given.items()},
            "folds": self.folds,
            "space": self.space.as_dict(),
        }

    def settings(self, network: str, options: dict) -> Settings:
        """The settings of a network; what is given to the search itself has the last word."""
        given = options | self.given | {"model": network}
        if self.place.data in NAMES:
            return default_settings(**given, data=self.place.data)
        return settings_for(self.data, given)[0]

    def training(self, settings: Settings, folder: Path, fold: int | None, name: str = "trial") -> Training:
        return Training(settings, self.place, self.data.hash, fold, name, str(folder))

    def prepared(self, settings: Settings) -> Dataset:
        """The data with the inputs of `settings`, which many trials share."""
        key = settings.front_end, settings.input_encoding
        if key not in self._prepared:
            self._prepared[key] = settings.prepared(self.data)
        return self._prepared[key]

    def key(self, settings: Settings) -> str:
        """The same for the same network, by whatever words, trained in the same way on the same data."""
        data = self.prepared(settings)
        network = architecture_text(settings.architecture(data.input_shape, len(data.labels)))
        values = [__version__, self.data.hash, settings.as_dict() | {"model": network, "seed": 0}]
        return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:KEY_DIGITS]


@dataclass
class Search:
    """Trials of a study; `run` works on it until enough networks are done or the time is over."""

    problem: Problem
    study: object
    runs: Path
    jobs: Jobs
    bars: Bars
    _idle: int = 0

    def run(self, trials: int | None, timeout_s: float | None) -> str | None:
        """Work until `trials` networks of the study are trained, or for so long; why it ended earlier, if it did.

        Raises Stopped after Ctrl-C or SIGTERM, when all trials of this worker were given back.
        """
        optuna = require_optuna()
        complete = (optuna.trial.TrialState.COMPLETE,)

        def enough(study, trial) -> None:
            done = len(self._keys(complete))
            self.bars.done(done)
            if self._idle >= IDLE_MAX or (trials is not None and done >= trials):
                study.stop()

        if trials is not None and len(self._keys(complete)) >= trials:
            return None
        with Signals(self.jobs.stop.set):
            self.study.optimize(self._trial, timeout=timeout_s, n_jobs=self.jobs.count, callbacks=[enough])
        if not self._keys(complete):
            return self._why_none()
        if self._idle < IDLE_MAX:
            return None
        return f"the last {IDLE_MAX} trials drew nothing that is new and within the budget"

    def _why_none(self) -> str:
        """Why no network of the study is trained."""
        pruned = (require_optuna().trial.TrialState.PRUNED,)
        drawn = [trial.user_attrs for trial in self.study.get_trials(deepcopy=False, states=pruned)]
        errors = [values[ERROR] for values in drawn if ERROR in values]
        if errors and len(errors) == len(drawn):
            return f"no network of {len(drawn):,} could be trained; the last: {errors[-1]}"
        if any(max(values[OVER]) > 0 for values in drawn):
            return f"no network of {len(drawn):,} is within the budget; allow more, or give a --space of smaller ones"
        return "no network was trained in that time; allow more --timeout"

    def _trial(self, trial) -> tuple[float, ...]:
        """Accuracy over the folds, bytes and instructions of what the trial draws."""
        optuna = require_optuna()
        if self.jobs.stop():
            give_back(self.study, trial._trial_id)
            raise Stopped
        self._idle += 1
        network, options = self.problem.space.draw(trial)
        trial.set_user_attr("network", network)
        try:
            settings = self.problem.settings(network, options)
            found = cost(settings, self.problem.prepared(settings), self.problem.budget)
        except SignbitError as error:
            trial.set_user_attr(OVER, [1.0] * len(self.problem.budget.bounds))
            trial.set_user_attr(ERROR, str(error))
            raise optuna.TrialPruned(str(error)) from None
        over = self.problem.budget.over(found)
        trial.set_user_attr(OVER, over)
        for name, value in asdict(found).items():
            trial.set_user_attr(name, value)
        if max(over) > 0:
            raise optuna.TrialPruned("over budget")
        key = self.problem.key(settings)
        trial.set_user_attr(KEY, key)
        trial.set_user_attr("settings", settings.as_dict())
        if twin := self._twin(trial, key):
            for name in COUNTS:
                trial.set_user_attr(name, twin.user_attrs[name])
            return tuple(twin.values)
        return self._trained(trial, settings, found, key)

    def _trained(self, trial, settings: Settings, found: Cost, key: str) -> tuple[float, ...]:
        optuna = require_optuna()
        idle, self._idle = self._idle, 0
        network, folder = trial.user_attrs["network"], self.runs / key
        folder.mkdir(parents=True, exist_ok=True)
        described = {"network": network, **asdict(found), "settings": settings.as_dict()}
        write_whole(folder / "trial.json", (json.dumps(described, indent=2) + "\n").encode())
        numbers = range(self.problem.folds)
        title = f"trial {trial.number}: {network}"
        right = count = 0
        said = "given back"
        try:
            for fold in numbers:
                self.bars.show(trial.number, title, fold, len(numbers))
                training = self.problem.training(settings, folder / f"fold{fold}", fold)
                done = self.jobs.call(train, training, self.jobs.stop)
                if done is None:
                    give_back(self.study, trial._trial_id)
                    raise Stopped
                right, count = right + done.validation.right, count + done.validation.count
                if fold < numbers[-1] and self._is_clearly_worse(right, count, found):
                    said = f"left after {counted(fold + 1, 'fold')}, at {right / count:.2%}"
                    raise optuna.TrialPruned(said)
            for name, value in zip(COUNTS, (right, count), strict=True):
                trial.set_user_attr(name, value)
            said = f"{right / count:.2%}, {found.flash_bytes:,} bytes, {found.instructions:,} instructions"
            return right / count, found.flash_bytes, found.instructions
        except (SignbitError, Died) as error:
            said = f"failed: {error}"
            trial.set_user_attr(ERROR, str(error))
            self._idle = idle
            raise optuna.TrialPruned(said) from None
        finally:
            self.bars.end(trial.number)
            if self.bars.live:
                self.bars.screen.print(f"trial {trial.number}: {said}  {network}", soft_wrap=True)

    def _twin(self, trial, key: str):
        """A finished trial of the same network; raises TrialPruned where an earlier one is being trained."""
        state = require_optuna().trial.TrialState
        running, complete = state.RUNNING, state.COMPLETE
        same = [
            other
            for other in self.study.get_trials(deepcopy=False, states=(running, complete))
            if other.user_attrs.get(KEY) == key and other.number != trial.number
        ]
        if any(other.state == running and other.number < trial.number for other in same):
            raise require_optuna().TrialPruned("an earlier trial is training the same network")
        return next((other for other in same if other.state == complete), None)

    def _is_clearly_worse(self, right: int, count: int, found: Cost) -> bool:
        """Than a finished network that costs no more."""
        # one success and one failure added, so that it is above 0 for a perfect score
        smoothed = (right + 1) / (count + 2)
        most = right / count + CLEARLY * sqrt(smoothed * (1 - smoothed) / count)
        complete = require_optuna().trial.TrialState.COMPLETE
        return any(
            other.values[0] > most and other.values[1] <= found.flash_bytes and other.values[2] <= found.instructions
            for other in self.study.get_trials(deepcopy=False, states=(complete,))
        )

    def _keys(self, states) -> set[str]:
        return {trial.user_attrs[KEY] for trial in self.study.get_trials(deepcopy=False, states=states)}
