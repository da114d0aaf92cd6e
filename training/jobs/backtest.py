"""The backtest job: train and evaluate on days of the past as one would have then."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import numpy as np
from rich.progress import Progress

from features import CustomerStates
from features.build import BuildConfig, build_states
from features.errors import BadInput, NotReady
from features.files import AnyPath, put_in_place, write_text
from features.sources.inbox import INBOX
from features.states import current_states

from ..config import EvaluationConfig, TrainingConfig, metric_k
from ..evaluation import BASELINE
from ..evaluation.backtest import Backtest, Origin, pooled
from ..evaluation.outcomes import Outcomes
from ..evaluation.serial import from_json, to_json
from ..examples import PERIODS, protocol_of
from ..tracking import Tracking
from .evaluate import judged, report_of
from .reports import BACKTEST
from .train import fit_bundle, recorded_run


def backtest(
    workspace: AnyPath,
    build: BuildConfig | None = None,
    training: TrainingConfig | None = None,
    config: EvaluationConfig | None = None,
    *,
    tracking_uri: str | None = None,
    progress: Progress | None = None,
) -> Backtest:
    """Go back to days of the past and do what would have been done then: build, train, evaluate.

    An origin is reached by building states from the tables as of that day, which nothing known later enters, and by
    the very functions that ``train`` and ``evaluate`` use. Finished origins are kept aside, so a run that dies is gone
    on with. The result is kept in the workspace and logged in MLflow.

    Raises
    ------
    BadInput : when the data have no periods to go back in, the tables are not those of the states any more, or the
        history is too short for the oldest origin
    """
    workspace = Path(workspace)
    build, training, config = build or BuildConfig(), training or TrainingConfig(), config or EvaluationConfig()
    states = current_states(workspace)
    if protocol_of(states) != PERIODS:
        raise BadInput(
            f"there is nothing to go back in: these data are judged by {protocol_of(states)}, and a backtest needs "
            "dated accounts without occasions"
        )
    newest = states.as_of_period
    days = [
        states.calendar.end_of(newest - config.backtest_step * back)
        for back in reversed(range(config.backtest_origins))
    ]
    folder = workspace / BACKTEST.parent / "backtest" / _fingerprint(states, build, training, config)
    task = progress.add_task("Days gone back to", total=len(days)) if progress else None
    origins = []
    with _only_backtest_in(folder):
        for day in days:
            kept = folder / day.isoformat()
            if not kept.is_dir():
                _reach(kept, day, states, workspace / INBOX, build, training, config, progress)
            origin = from_json(Origin, (kept / _ORIGIN).read_text(encoding="utf-8"))
            origins.append((origin, Outcomes.load(kept / _ROWS)))
            if progress and task is not None:
                progress.advance(task)
    result = pooled(states.manifest.build_id, training.select_by, origins, seed=config.seed, resamples=config.resamples)
    text = to_json(result)
    write_text(workspace / BACKTEST, text)
    tracking = Tracking(workspace, tracking_uri)
    settings = {"backtest": config.model_dump(mode="json"), "training": training.model_dump(mode="json")}
    with recorded_run(tracking, "backtest", states, settings) as run_id:
        tracking.log_metrics(run_id, {f"backtest/{m}/{training.select_by}": v.value for m, v in result.pooled.items()})
        tracking.log_text(run_id, text, BACKTEST.name)
    return result


_ORIGIN, _ROWS = "origin.json", "rows.npz"
_LOCK = "lock"


@contextmanager
def _only_backtest_in(folder: Path) -> Iterator[None]:
    """Keep other runs out, and remove what one that died left behind; the lock goes with the process that holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise NotReady(f"another backtest is running in {folder}: wait until it has ended") from None
        for leftover in folder.glob(".*"):
            shutil.rmtree(leftover)
        yield


def _reach(
    kept: Path,
    day: date,
    states: CustomerStates,
    inbox: Path,
    build: BuildConfig,
    training: TrainingConfig,
    config: EvaluationConfig,
    progress: Progress | None,
) -> None:
    """Do what would have been done on `day`, in a workspace of its own, and keep what came of it in `kept`."""
    source = states.manifest
    with tempfile.TemporaryDirectory(prefix=f".{kept.name}.", dir=kept.parent) as scratch:
        then = build_states(
            Path(source.tables),
            Path(scratch),
            build,
            mapping=Path(source.mapping) if source.mapping else None,
            as_of=day,
            inbox=inbox,
            progress=progress,
        ).states
        if then.manifest.fingerprints != source.fingerprints or then.manifest.frequency != source.frequency:
            raise BadInput(
                f"the tables in {source.tables}, what lies in {inbox}, or the period's length, are not those that the "
                "states were built "
                "from: run `nextproduct build` again, then the backtest"
            )
        bundle, _ = fit_bundle(then, training, progress)
        ks = tuple(sorted({*config.ks, metric_k(training.select_by)}))
        settings = config.model_copy(update={"ks": ks})
        evaluation = judged(bundle, then, settings, progress)
        report = report_of(evaluation, bundle, then, settings)
        # customers are numbered anew in each build: those of the states in use are common to all origins
        places = np.searchsorted(states.customer_ids, then.customer_ids)
        rows = evaluation.outcomes
        outcomes = Outcomes(rows.metrics, rows.values, places[rows.acquirers], places[rows.clusters])
        origin = Origin(
            as_of=day.isoformat(),
            selected=report.selected,
            rows=report.counts.rows,
            customers=report.counts.customers,
            acquirers=report.counts.acquirers,
            acquisitions=report.counts.acquisitions,
            models=report.models,
            difference=evaluation.paired_difference(report.selected, BASELINE, training.select_by),
        )
        aside = Path(scratch) / "kept"
        aside.mkdir()
        (aside / _ORIGIN).write_text(to_json(origin), encoding="utf-8")
        outcomes.save(aside / _ROWS)
        put_in_place(aside, kept)


def _fingerprint(states: CustomerStates, build: BuildConfig, training: TrainingConfig, config: EvaluationConfig) -> str:
    """What the outcome of an origin depends on, in 12 characters."""
    settings = [
        build.model_dump(mode="json", include={"period", "history_periods"}),
        training.model_dump(mode="json"),
        config.model_dump(mode="json", include={"ks", "resamples", "seed", "selected_k"}),
    ]
    content = json.dumps([states.manifest.fingerprints, settings], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:12]
