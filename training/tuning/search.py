"""Tuning: trying settings of one model on past dates, and keeping every trial, so that a run can be stopped and go on.

The newest dates of what `train` learns from are held out and every trial is judged on them. The dates on which `train`
selects between models, and those that stay unseen for `evaluate`, lie after them: they still judge a tuned model as if
it had never been tuned.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress

from features import CustomerStates
from features.errors import BadInput
from features.files import AnyPath, write_text
from features.states import current_states

from ..config import TrainingConfig, TuningConfig, metric_k
from ..evaluation import BootstrapInterval
from ..evaluation.intervals import BootstrapEstimate, resample
from ..evaluation.metrics import RANKING_METRICS
from ..examples import Batch, DatedExamples, Examples, HiddenHoldings, RememberedExamples, remembered
from ..jobs.train import recorded_run
from ..models import Model
from ..probabilities.calibration import ProductCalibration
from ..ranking import top_k
from ..tracking import Tracking
from .search_spaces import SEARCH_SPACES
from .toml_changes import toml_table
from .trials import Settings, Trial, TrialStore, opened_trials

_FORMAT = 1  # raised when trials of older code can no longer be compared with new ones
_HELD_OUT_SHARE = 0.25  # of the customers, where holdings have no dates


@dataclass(frozen=True)
class TuneOutcome:
    """What ``tune`` found.

    Attributes
    ----------
    model, metric : what was tuned, by what
    trials : all there are of the study
    added : how many of them this run made
    failed : how many ended in an error, which are not among `trials`
    present, best : the trial of the settings in use, and the best there is; the same when nothing is better
    gain : of the best over those in use, on the tuning dates; see `honest_gain`
    interrupted : whether the run was stopped by hand
    """

    model: str
    metric: str
    trials: tuple[Trial, ...]
    added: int
    failed: int
    present: Trial
    best: Trial
    gain: BootstrapInterval
    interrupted: bool

    @property
    def is_noise(self) -> bool:
        """Whether other customers might have shown no gain at all."""
        return not self.gain.low > 0

    @property
    def values(self) -> dict[str, int | float | str]:
        """The best settings that a file can hold; TOML knows no null."""
        return {name: value for name, value in self.best.settings.items() if value is not None}

    @property
    def table(self) -> str:
        """The table of the configuration that they belong to."""
        return f"training.{self.model}"

    def to_toml(self) -> str:
        """The best settings as they go into the configuration file."""
        return toml_table(self.table, self.values)

    def summary(self) -> str:
        """What was found, in a few sentences."""
        failed = f", {self.failed} more failed" if self.failed else ""
        ran = f"{len(self.trials)} trials ({self.added} new{failed})"
        said = [f"{self.model}: {ran}, judged by {self.metric} within what `train` learns from."]
        if self.best is self.present:
            said.append(f"The settings in use are the best of them: {self.present.estimate.value:.5f}.")
        else:
            said.append(
                f"In use: {self.present.estimate.value:.5f}. Best: {self.best.estimate.value:.5f}, a gain of "
                f"{self.gain.value:+.5f} [{self.gain.low:+.5f}, {self.gain.high:+.5f}] after allowing for the choice "
                f"among {len(self.trials)}" + (": within noise." if self.is_noise else ".")
            )
        if self.interrupted:
            said.append("Stopped by hand; run it again to go on.")
        return "\n".join(said)


def tune(
    workspace: AnyPath,
    model: str,
    training: TrainingConfig | None = None,
    tuning: TuningConfig | None = None,
    *,
    tracking_uri: str | None = None,
    progress: Progress | None = None,
) -> TuneOutcome:
    """Try settings of `model` until the time or the trials are used up, the present settings first.

    Every trial is kept in ``WORKSPACE/tuning.db`` as it ends, so a run that was stopped or killed goes on where it
    was, to the same trials in the same order. Trials belong to one build of the states and one configuration of
    everything that is not tuned; under another, a study begins anew. The best settings are written to
    ``WORKSPACE/reports/tuned-MODEL.toml``.

    Raises
    ------
    BadInput : when the model has nothing to tune, or the history is too short
    NotReady : without states, or while another run tunes in the workspace
    """
    workspace = Path(workspace)
    training, tuning = training or TrainingConfig(), tuning or TuningConfig()
    if not SEARCH_SPACES.get(model):
        raise BadInput(f"{model!r} has no settings to tune; there are: {', '.join(SEARCH_SPACES)}")
    states = current_states(workspace)
    bench = _Bench(training, model, tuning, *tuning_examples(states, training, tuning))
    identity = _identity(states, bench)
    study = f"{model} {hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]}"
    tracking = Tracking(workspace, tracking_uri)
    with opened_trials(workspace, study, identity, SEARCH_SPACES[model], bench.present, tuning.seed) as store:
        settings = identity | {"study": study, "trials": tuning.trials, "minutes": tuning.minutes}
        with recorded_run(tracking, f"tune {model}", states, settings) as run_id:
            outcome = _run(store, bench, _Diary(tracking, run_id, model, training.select_by), progress)
            figures = {
                "present": outcome.present.estimate.value,
                "best": outcome.best.estimate.value,
                "gain": outcome.gain.value,
                "gain/low": outcome.gain.low,
                "gain/high": outcome.gain.high,
            }
            tracking.log_metrics(run_id, {f"tuning/{training.select_by}/{name}": v for name, v in figures.items()})
            tracking.log_text(run_id, outcome.to_toml(), f"tuned-{model}.toml")
    (workspace / "reports").mkdir(exist_ok=True)
    write_text(workspace / "reports" / f"tuned-{model}.toml", outcome.to_toml())
    return outcome


def tuning_examples(
    states: CustomerStates, training: TrainingConfig, tuning: TuningConfig
) -> tuple[Examples, list[Batch]]:
    """What a trial learns from and what it is judged on, both out of what `train` would learn from.

    The newest dates are judged on, and no label of an earlier date reaches into them. Undated holdings are parted by
    customer. Of more rows to be judged on than `TuningConfig.max_rows`, as many are drawn.

    Raises
    ------
    BadInput : when too few dates are left to learn from, or nothing was acquired at either part
    """
    whole = training.split(states).train
    learn: DatedExamples | HiddenHoldings
    held_out: DatedExamples | HiddenHoldings
    if isinstance(whole, DatedExamples):
        held_out = DatedExamples(states, whole.periods[-tuning.periods :], whole.horizon)
        earlier = tuple(period for period in whole.periods if period + whole.horizon <= held_out.periods[0])
        if not earlier:
            raise BadInput(
                f"the history is too short to tune on: training has {len(whole.periods)} dates, of which the newest "
                f"{len(held_out.periods)} are held out; bring older accounts, or lower tuning.periods in the "
                "configuration"
            )
        learn = DatedExamples(states, earlier, whole.horizon)
    elif isinstance(whole, HiddenHoldings):
        drawn = np.random.default_rng(tuning.seed).random(len(whole.positions)) < _HELD_OUT_SHARE
        learn = HiddenHoldings(states, whole.positions[~drawn])
        held_out = HiddenHoldings(states, whole.positions[drawn])
    else:
        raise TypeError(f"{type(whole).__name__} cannot be parted into what to learn from and what to judge on")
    judged = _drawn(held_out, tuning)
    for what, batches in (("learn from", learn.batches()), ("judge trials on", judged)):
        if not any(batch.acquired.any() for batch in batches):
            raise BadInput(f"there is no acquisition to {what}, so no settings can be told from others")
    return RememberedExamples(learn), judged


def honest_gain(best: Trial, present: Trial, trials: tuple[Trial, ...]) -> BootstrapInterval:
    """What `best` brings over `present`, paired by customer, less what it owes to having been picked.

    The best of many trials is in part the luckiest on these customers. How lucky, the bootstrap tells (Efron and
    Tibshirani 1993, ch. 17): in each resample the winner is picked anew, and what it gains there over what it gains
    on all customers is luck; its mean is taken off the value and both ends.
    """
    found = best.estimate.minus(present.estimate).interval()
    if best is present:
        return found
    gains = [trial.estimate.minus(present.estimate) for trial in trials]
    resampled = np.stack([gain.replicates for gain in gains])
    picked = resampled.argmax(axis=0)
    on_all = np.array([gain.value for gain in gains])
    luck = max(float(np.mean(resampled[picked, np.arange(len(picked))] - on_all[picked])), 0.0)
    return BootstrapInterval(found.value - luck, found.low - luck, found.high - luck)


@dataclass(frozen=True)
class _Bench:
    """Where settings are tried: fitted, calibrated and judged as `train` does it, without the fall-back."""

    training: TrainingConfig
    model: str
    tuning: TuningConfig
    learn: Examples
    judged: list[Batch]

    @property
    def present(self) -> Settings:
        """The settings in use."""
        config = getattr(self.training, self.model)
        return {name: getattr(config, name) for name in SEARCH_SPACES[self.model]}

    def try_out(self, settings: Settings) -> BootstrapEstimate:
        """The metric of a model with `settings` on the tuning dates."""
        config = getattr(self.training, self.model)
        changed = type(config).model_validate(config.model_dump() | settings)
        model: Model = self.training.model_copy(update={self.model: changed}).new_model(self.model).fit(self.learn)
        scores = [model.score(batch.block) for batch in self.judged]
        counts = ProductCalibration.accumulator(self.learn.n_products)
        for batch, of_batch in zip(self.judged, scores, strict=True):
            counts.add(of_batch, batch.acquired, batch.block.candidates)
        calibration = counts.fit()
        calibrated = [calibration.apply(of_batch) for of_batch in scores]
        return self._estimate(calibrated)

    def _estimate(self, scores: list[NDArray[np.float32]]) -> BootstrapEstimate:
        """The metric as `evaluate` gives it, without all else that it gives."""
        metric, k = RANKING_METRICS[self.training.select_by.partition("@")[0]], metric_k(self.training.select_by)
        values, acquirers, asked = [], [], []
        for batch, of_batch in zip(self.judged, scores, strict=True):
            block, active = batch.block, batch.acquired.any(axis=1)
            ranked = top_k(of_batch[active], block.candidates[active], k)
            values.append(metric(ranked, batch.acquired[active], k).astype(np.float32))
            acquirers.append(block.positions[active])
            asked.append(block.positions[block.candidates.any(axis=1)])
        drawn = resample(
            np.concatenate(values)[:, np.newaxis],
            np.concatenate(acquirers),
            np.concatenate(asked),
            seed=self.tuning.seed,
            resamples=self.tuning.resamples,
        )
        return drawn.mean(0)


@dataclass(frozen=True)
class _Diary:
    """Trials as runs of MLflow within the run that made them."""

    tracking: Tracking
    parent: str
    model: str
    metric: str

    def note(self, trial: Trial, seconds: float) -> None:
        run_id = self.tracking.start_run(
            f"{self.model} trial {trial.number}", dict(trial.settings), {"mlflow.parentRunId": self.parent}
        )
        self.tracking.log_metrics(run_id, {f"tuning/{self.metric}": trial.estimate.value, "seconds": seconds})
        self.tracking.finish_run(run_id)


def _run(store: TrialStore, bench: _Bench, diary: _Diary, progress: Progress | None) -> TuneOutcome:
    """Trials until a bound is met, but the present settings whatever the bounds say."""
    task = progress.add_task(f"Tuning {bench.model}", total=bench.tuning.trials) if progress else None
    started, added, interrupted = time.monotonic(), 0, False
    try:
        if _of_present(store.trials, bench) is None:
            diary.note(store.add(bench.present, bench.try_out(bench.present)), time.monotonic() - started)
            added += 1
        while True:
            trials = store.trials
            ended = len(trials) + store.failed
            if progress and task is not None:
                highest = max(trial.estimate.value for trial in trials)
                progress.update(task, completed=ended, description=f"Tuning {bench.model}: {highest:.4f}")
            spent = time.monotonic() - started
            usual = spent / added if added else 0.0
            # a trial that would likely end too late is not begun
            if ended >= bench.tuning.trials or spent + usual > 60 * bench.tuning.minutes:
                break
            _try_next(store, bench, diary)
            added += 1
    except KeyboardInterrupt:
        interrupted = True
    trials = store.trials
    present = _of_present(trials, bench)
    if present is None:
        raise KeyboardInterrupt  # there is nothing to tell yet
    best = max(trials, key=lambda trial: (trial.estimate.value, trial is present))
    return TuneOutcome(
        model=bench.model,
        metric=bench.training.select_by,
        trials=trials,
        added=added,
        failed=store.failed,
        present=present,
        best=best,
        gain=honest_gain(best, present, trials),
        interrupted=interrupted,
    )


def _of_present(trials: tuple[Trial, ...], bench: _Bench) -> Trial | None:
    return next((trial for trial in trials if trial.settings == bench.present), None)


def _try_next(store: TrialStore, bench: _Bench, diary: _Diary) -> None:
    started = time.monotonic()
    proposal = store.propose()
    known = next((trial for trial in store.trials if trial.settings == proposal.settings), None)
    try:
        estimate = known.estimate if known else bench.try_out(proposal.settings)
    except Exception as error:  # settings at the edge of what is possible must not end a night's work
        store.give_up(proposal, error)
        return
    diary.note(store.keep(proposal, estimate), time.monotonic() - started)


def _drawn(examples: Examples, tuning: TuningConfig) -> list[Batch]:
    n_rows = sum(batch.block.n_customers for batch in examples.batches())
    generator = np.random.default_rng(tuning.seed)
    drawn = []
    for batch in examples.batches():
        rows: NDArray[np.int64] = np.flatnonzero(generator.random(batch.block.n_customers) * n_rows < tuning.max_rows)
        if len(rows):
            drawn.append(remembered(Batch(batch.block.take(rows), batch.acquired[rows])))
    return drawn


def _identity(states: CustomerStates, bench: _Bench) -> dict[str, Any]:
    """Everything that the trials' values and order depend on, but what is tuned."""
    space = SEARCH_SPACES[bench.model]
    shared = {"horizon", "train_periods", "validation_periods", "test_periods", "select_by", "seed"}
    config = getattr(bench.training, bench.model)
    return {
        "version": [version("nextproduct"), _FORMAT],
        "states": states.manifest.build_id,
        "training": bench.training.model_dump(mode="json", include=shared),
        "model": config.model_dump(mode="json", exclude=set(space)),
        "space": {name: repr(space[name].distribution(value)) for name, value in bench.present.items()},
        "tuning": bench.tuning.model_dump(mode="json", exclude={"minutes", "trials"}),
    }
