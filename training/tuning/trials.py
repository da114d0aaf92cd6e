"""Trials of settings, kept by Optuna in a SQLite file as they end: a run that dies loses the one it was at."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from features.errors import NotReady
from features.files import put_in_place

from ..evaluation.intervals import BootstrapEstimate
from .search_spaces import Range, Setting

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import Trial as OptunaTrial

DATABASE = "tuning.db"
_LOCK = "tuning.lock"
_RANDOM = 8  # trials before the sampler learns from them
_RESULT, _ERROR = "result", "error"

Settings = dict[str, Setting]


@dataclass(frozen=True)
class Trial:
    """Settings that were tried.

    Attributes
    ----------
    number : in the study
    settings : field -> value
    estimate : the metric on the tuning dates; all trials of a study share their resamples
    """

    number: int
    settings: Settings
    estimate: BootstrapEstimate


class TrialStore:
    """The trials of one study, and what to try next.

    What is proposed depends on the seed and the trials that have ended, so it makes no difference where a run was
    stopped in between.
    """

    def __init__(self, study: Study, space: Mapping[str, Range], present: Settings, seed: int) -> None:
        self._study = study
        self._space = space
        self._distributions = {name: space[name].distribution(value) for name, value in present.items()}
        self._seed = seed

    @property
    def trials(self) -> tuple[Trial, ...]:
        """Those with a result, in the order in which they began."""
        from optuna.trial import TrialState

        complete = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        return tuple(_trial(found.number, **found.user_attrs[_RESULT]) for found in complete)

    @property
    def failed(self) -> int:
        """Those that ended in an error; one that was cut off did not end."""
        from optuna.trial import TrialState

        failed = self._study.get_trials(deepcopy=False, states=(TrialState.FAIL,))
        return sum(_ERROR in trial.user_attrs for trial in failed)

    def add(self, settings: Settings, estimate: BootstrapEstimate) -> Trial:
        """Keep the result of settings that were not proposed."""
        from optuna.trial import create_trial

        self._study.add_trial(
            create_trial(
                value=estimate.value,
                params=settings,
                distributions=self._distributions,
                user_attrs={_RESULT: _result(settings, estimate)},
            )
        )
        return self.trials[-1]

    def propose(self) -> Proposal:
        """Settings to try next."""
        from optuna.samplers import TPESampler

        ended = len(self.trials) + self.failed
        self._study.sampler = TPESampler(
            seed=int(np.random.SeedSequence([self._seed, ended]).generate_state(1)[0]),
            n_startup_trials=_RANDOM,
            multivariate=True,
            constant_liar=False,
        )
        asked = self._study.ask(self._distributions)
        return Proposal(asked, {name: self._space[name].setting(drawn) for name, drawn in asked.params.items()})

    def keep(self, proposal: Proposal, estimate: BootstrapEstimate) -> Trial:
        """The result of settings proposed."""
        proposal.asked.set_user_attr(_RESULT, _result(proposal.settings, estimate))
        self._study.tell(proposal.asked, estimate.value)
        return Trial(proposal.asked.number, proposal.settings, estimate)

    def give_up(self, proposal: Proposal, error: Exception) -> None:
        """No result, and why."""
        from optuna.trial import TrialState

        proposal.asked.set_user_attr(_ERROR, f"{type(error).__name__}: {error}")
        self._study.tell(proposal.asked, state=TrialState.FAIL)


@dataclass(frozen=True)
class Proposal:
    """Settings to try, which the store waits to hear of."""

    asked: OptunaTrial
    settings: Settings


@contextmanager
def opened_trials(
    workspace: Path, name: str, identity: dict[str, Any], space: Mapping[str, Range], present: Settings, seed: int
) -> Iterator[TrialStore]:
    """The study `name` of a workspace, as far as it has come; `identity` says in full what it belongs to.

    Raises
    ------
    NotReady : while another run has it
    """
    import optuna
    from optuna.storages import RDBStorage
    from optuna.trial import TrialState

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with _only_run_in(workspace):
        database = workspace / DATABASE
        if not database.is_file():  # its tables take many steps to make; nobody may be killed half way
            aside = workspace / f".{DATABASE}.new"
            aside.unlink(missing_ok=True)
            RDBStorage(f"sqlite:///{aside}").engine.dispose()
            put_in_place(aside, database)
        storage = RDBStorage(f"sqlite:///{database}")
        try:
            study = optuna.create_study(storage=storage, study_name=name, direction="maximize", load_if_exists=True)
            study.set_user_attr("identity", identity)
            for cut_off in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
                study.tell(cut_off.number, state=TrialState.FAIL)
            yield TrialStore(study, space, present, seed)
        finally:
            storage.remove_session()
            storage.engine.dispose()


@contextmanager
def _only_run_in(workspace: Path) -> Iterator[None]:
    """Two runs at once would try the same settings."""
    with (workspace / _LOCK).open("w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise NotReady(f"another `nextproduct tune` is at work in {workspace}: wait for it, or stop it") from None
        yield


def _result(settings: Settings, estimate: BootstrapEstimate) -> dict[str, Any]:
    return {"settings": settings, "value": estimate.value, "replicates": estimate.replicates.tolist()}


def _trial(number: int, settings: Settings, value: float, replicates: list[float]) -> Trial:
    return Trial(number, settings, BootstrapEstimate(value, np.array(replicates)))
