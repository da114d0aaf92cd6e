"""The jobs on effects of contacts: learn them for a bundle, judge them, measure learners side by side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from rich.progress import Progress

from features import CustomerStates, block_of
from features.errors import BadInput, NotReady
from features.files import AnyPath, write_text
from features.states import current_states

from ..bundle import Bundle
from ..config import EvaluationConfig, TrainingConfig
from ..evaluation import BootstrapInterval
from ..evaluation.serial import to_json
from ..examples import PERIODS, protocol_of
from ..tracking import Tracking
from ..uplift import LEARNERS, TrialCounts, Trials, UpliftConfig, trials_of
from ..uplift.metrics import Ranked
from ..uplift.report import LATER, OTHERS, UpliftReport, intervals_of
from .train import fit_bundle, recorded_run

REPORT = Path("reports") / "uplift.json"

_BESIDE = ("popularity", "propensity")


def measure_uplift(
    workspace: AnyPath,
    training: TrainingConfig | None = None,
    evaluation: EvaluationConfig | None = None,
    *,
    tracking_uri: str | None = None,
    progress: Progress | None = None,
) -> UpliftReport:
    """Fit every learner of effects on earlier contacts and judge it on later ones; log the report in MLflow.

    What was known `test_periods` of the uplift section ago is learned from, propensities included, which the learners
    start from as those of a bundle do. Where all contacts were made at once, half of the customers are learned from
    and the others judged on.

    Raises
    ------
    NotReady : when there are too few contacts with a randomised arm
    """
    workspace = Path(workspace)
    training, evaluation = training or TrainingConfig(), evaluation or EvaluationConfig()
    config, states = training.uplift, current_states(workspace)
    known = trials_of(states, horizon=training.horizon)
    counts = TrialCounts.of(known)
    if not counts.suffice(config):
        raise NotReady(
            f"there is too little to measure effects by: {counts.sentence()}; at least {config.min_contacts:,} and "
            f"{config.min_acquisitions:,} are needed. Bring `contacts` with `arm` treated and control"
        )
    protocol, learned, judged = _parts(states, known, training, progress)
    task = progress.add_task("Learning effects", total=len(LEARNERS)) if progress else None
    tracking = Tracking(workspace, tracking_uri)
    settings = {"horizon": training.horizon, "uplift": config.model_dump(mode="json")}
    with recorded_run(tracking, "uplift", states, settings) as run_id:
        learners = {}
        for name, learner in LEARNERS.items():
            learners[name] = learner(config).fit(learned)
            if progress and task is not None:
                progress.advance(task)
        report = UpliftReport.of(
            learners,
            judged,
            protocol=protocol,
            selected=config.learner,
            learned_from=TrialCounts.of(learned),
            seed=evaluation.seed,
            resamples=evaluation.resamples,
        )
        tracking.log_metrics(run_id, report.flat_metrics())
        tracking.log_text(run_id, to_json(report), REPORT.name)
    (workspace / REPORT).parent.mkdir(exist_ok=True)
    write_text(workspace / REPORT, to_json(report))
    return report


def uplift_of_bundle(bundle: Bundle, states: CustomerStates, config: EvaluationConfig) -> dict[str, BootstrapInterval]:
    """Metric -> value and interval of the effects in `bundle` on contacts made since it was trained.

    Empty where the bundle knows no effects, or where the contacts since have one arm only or no acquisition.
    """
    if bundle.uplift is None:
        return {}
    later = trials_of(states, horizon=bundle.manifest.horizon, later_than=bundle.manifest.trained_to)
    counts = TrialCounts.of(later)
    if not 0 < counts.control < counts.contacts or not counts.acquisitions:
        return {}
    effects = np.zeros(len(later))
    for period in np.unique(later.periods).tolist():
        there = np.flatnonzero(later.periods == period)
        found = bundle.effects(block_of(states, later.customers[there], period))
        if found is not None:
            effects[there] = found[np.arange(len(there)), later.products[there]]
    return intervals_of(Ranked(effects, later).figures(seed=config.seed, resamples=config.resamples))


def _parts(
    states: CustomerStates, known: Trials, training: TrainingConfig, progress: Progress | None
) -> tuple[str, Trials, Trials]:
    """How learners are judged, the trials to learn from, and those to judge on."""
    config, horizon = training.uplift, training.horizon
    cut = states.as_of_period - config.test_periods - (horizon - 1)
    earlier, later = known.take(known.periods + horizon <= cut), known.take(known.periods >= cut)
    if not all(TrialCounts.of(part).suffice(config) for part in (earlier, later)):
        return OTHERS, *_halves(known, config)
    bundle = _bundle_at_cut(states, training, progress)
    if bundle is None:
        return LATER, earlier.take(np.arange(len(earlier))[-config.max_contacts :]), later
    return (
        LATER,
        trials_of(
            states,
            horizon=horizon,
            known_to=cut,
            newest=config.max_contacts,
            propensities=bundle.propensities,
        ),
        trials_of(states, horizon=horizon, later_than=cut, propensities=bundle.propensities),
    )


def _bundle_at_cut(states: CustomerStates, training: TrainingConfig, progress: Progress | None) -> Bundle | None:
    """What gives propensities without having seen the later contacts; None where the history is too short for it."""
    if protocol_of(states) != PERIODS:
        return None
    names = tuple(name for name in training.models if name in _BESIDE)
    update = {"test_periods": training.uplift.test_periods, "models": names}
    try:
        return fit_bundle(states, training.model_copy(update=update), progress)[0]
    except BadInput:
        return None


def _halves(trials: Trials, config: UpliftConfig) -> tuple[Trials, Trials]:
    """The trials of one half of the customers, drawn at random, and of the other."""
    customers, rows = np.unique(trials.customers, return_inverse=True)
    first = np.random.default_rng(config.seed).permutation(len(customers))[rows] % 2 == 0
    return trials.take(first), trials.take(~first)
