"""The jobs that learn: train, retrain. Each reads the workspace, keeps its record in MLflow and returns what it did."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress

from features import CustomerBlock, CustomerStates, feature_set_of
from features.build import BuildConfig, build_states
from features.checks import CheckReport
from features.errors import BadInput, NotReady
from features.files import AnyPath
from features.states import current_states

from ..bundle import Bundle, Layout, manifest_of
from ..config import EvaluationConfig, TrainingConfig, metric_k
from ..evaluation import BootstrapInterval, EvaluationBatch, evaluate_scorers
from ..examples import Examples, RememberedExamples
from ..models import Model
from ..probabilities.blend import BLEND, Blend, Choices, pooled
from ..probabilities.calibration import ProductCalibration
from ..probabilities.fallback import Fallback
from ..tracking import BUNDLE, CHALLENGER, CHAMPION, Tracking, Version
from ..unseen import unseen_batches
from ..uplift import fit_uplift, trials_of

_RESAMPLES = 200
_REMEMBERED = 1_000_000_000  # bytes of the training dates, and again of the validation dates, kept between models


@dataclass(frozen=True)
class TrainOutcome:
    """What ``train`` did.

    Attributes
    ----------
    version : the registered bundle
    selected : the model that serves
    validation : the selecting metric of each model on the validation dates
    effects : what was learned of the effects of contacts, or why nothing
    """

    version: Version
    selected: str
    validation: dict[str, float]
    effects: str


@dataclass(frozen=True)
class RetrainOutcome:
    """What ``retrain`` did.

    Attributes
    ----------
    champion, challenger : versions compared
    metric : what they were compared by
    champion_value, challenger_value : on the dates that neither has seen
    difference : challenger minus champion, paired by customer
    promoted : whether the challenger is the champion now
    checks : what the checks found of the tables and the inbox
    """

    champion: Version
    challenger: Version
    metric: str
    champion_value: float
    challenger_value: float
    difference: BootstrapInterval
    promoted: bool
    checks: CheckReport


def train(
    workspace: AnyPath,
    config: TrainingConfig | None = None,
    *,
    alias: str = CHAMPION,
    tracking_uri: str | None = None,
    progress: Progress | None = None,
) -> TrainOutcome:
    """Fit every model on the training dates, calibrate and select on the validation dates, register the bundle.

    The alias moves last: a run that dies leaves the champion in use.
    """
    workspace = Path(workspace)
    config = config or TrainingConfig()
    states = current_states(workspace)
    tracking = Tracking(workspace, tracking_uri)
    with recorded_run(tracking, "train", states, config.model_dump(mode="json")) as run_id:
        bundle, validation = fit_bundle(states, config, progress)
        effects = _fit_effects(bundle, states, config, progress)
        tracking.log_metrics(run_id, {f"validation/{config.select_by}/{k}": v for k, v in validation.items()})
        tracking.log_text(run_id, json.dumps(feature_set_of(states).dictionary(), indent=1), "features.json")
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / BUNDLE
            folder.mkdir()
            bundle.save(folder)
            tracking.log_folder(run_id, folder, BUNDLE)
    version = tracking.register(run_id, alias)
    return TrainOutcome(version, bundle.manifest.selected, validation, effects)


def fit_bundle(
    states: CustomerStates,
    config: TrainingConfig,
    progress: Progress | None = None,
    *,
    thinned: Callable[[Examples], Examples] | None = None,
) -> tuple[Bundle, dict[str, float]]:
    """Fit, calibrate, blend and select.

    Parameters
    ----------
    thinned : takes a part of the training examples, to see what a model makes of less

    Returns
    -------
    bundle : all models and their blend, what is to serve selected
    validation : the selecting metric of each of them
    """
    parts = config.split(states)
    # every model goes through them
    training = RememberedExamples(thinned(parts.train) if thinned else parts.train, _REMEMBERED)
    validating = RememberedExamples(parts.validation, _REMEMBERED)
    task = progress.add_task("Training models", total=2 * len(config.models) + 3) if progress else None

    def step(what: str) -> None:
        if progress and task is not None:
            progress.update(task, advance=1, description=what)

    models: dict[str, Model] = {}
    calibrations: dict[str, ProductCalibration] = {}
    for name in config.models:
        models[name] = config.new_model(name).fit(training)
        step(f"Fitted {name}")
    for name, model in models.items():
        calibrations[name] = _calibrate(model, validating)
        step(f"Calibrated {name}")
    blend = _blend(models, calibrations, validating)
    step("Blended the models")
    seen = chain(training.batches(), validating.batches())
    fallback = Fallback.learn(states.catalogue, states.n_segments, seen)
    step("Learnt what to fall back to")
    manifest = manifest_of(
        states,
        selected=BLEND if blend else config.models[0],
        models=tuple(models),
        protocol=parts.protocol,
        horizon=config.horizon,
        trained_to=parts.trained_to,
        seed=config.seed,
    )
    bundle = Bundle(manifest, states.catalogue, Layout.of(states), models, calibrations, fallback, blend)
    validation, selected = _select(bundle, validating, config)
    bundle.manifest = replace(manifest, selected=selected)
    step("Selected a model")
    return bundle, validation


def _fit_effects(bundle: Bundle, states: CustomerStates, config: TrainingConfig, progress: Progress | None) -> str:
    """Learn what contacts change, from what the bundle has seen, beside its propensities; say what came of it."""
    task = progress.add_task("Learning effects of contacts", total=1) if progress else None
    trials = trials_of(
        states,
        horizon=config.horizon,
        known_to=bundle.manifest.trained_to,
        newest=config.uplift.max_contacts,
        propensities=bundle.propensities,
    )
    fit = fit_uplift(trials, config.uplift)
    bundle.uplift = fit.learner
    if progress and task is not None:
        progress.advance(task)
    return fit.sentence()


def retrain(
    workspace: AnyPath,
    build: BuildConfig | None = None,
    training: TrainingConfig | None = None,
    evaluation: EvaluationConfig | None = None,
    *,
    tracking_uri: str | None = None,
    progress: Progress | None = None,
) -> RetrainOutcome:
    """Build the newest states, train a challenger, and make it the champion only if it is not worse.

    Both are judged on the same dates, which neither has seen. Not worse means that the paired interval of the
    difference in the selecting metric lies above minus `TrainingConfig.margin` times the champion's. The alias moves
    in the last step, so a run that dies at any moment leaves the champion in use.

    Raises
    ------
    NotReady : when there is no champion to compare with
    """
    workspace = Path(workspace)
    training = training or TrainingConfig()
    evaluation = evaluation or EvaluationConfig()
    tracking = Tracking(workspace, tracking_uri)
    champion = tracking.version(CHAMPION)
    source = current_states(workspace).manifest
    mapping = Path(source.mapping) if source.mapping else None
    built = build_states(Path(source.tables), workspace, build, mapping=mapping, progress=progress)
    states = built.states
    challenger = train(workspace, training, alias=CHALLENGER, tracking_uri=tracking_uri, progress=progress).version
    bundles = {CHAMPION: Bundle.open(champion.folder), CHALLENGER: Bundle.open(challenger.folder)}
    comparison = evaluate_scorers(
        counted(unseen_batches(states, *(bundle.manifest for bundle in bundles.values())), "Comparing", progress),
        {role: bundle.propensities for role, bundle in bundles.items()},
        ks=(metric_k(training.select_by),),
        seed=evaluation.seed,
        resamples=evaluation.resamples,
        probabilistic=frozenset(),
    )
    metric = training.select_by
    values = {role: comparison.metrics[role][metric].value for role in bundles}
    difference = comparison.paired_difference(CHALLENGER, CHAMPION, metric)
    promoted = difference.low >= -training.margin * values[CHAMPION]
    tracking.log_metrics(
        challenger.run_id,
        {
            f"against_champion/{metric}/difference": difference.value,
            f"against_champion/{metric}/low": difference.low,
            f"against_champion/{metric}/high": difference.high,
            "promoted": float(promoted),
        },
    )
    if promoted:
        tracking.point(CHAMPION, challenger.number)
    return RetrainOutcome(
        champion, challenger, metric, values[CHAMPION], values[CHALLENGER], difference, promoted, built.checks
    )


def counted(batches: Iterator[EvaluationBatch], what: str, progress: Progress | None) -> Iterator[EvaluationBatch]:
    """`batches`, with a bar that counts them."""
    task = progress.add_task(what, total=None) if progress else None
    for batch in batches:
        yield batch
        if progress and task is not None:
            progress.advance(task)


@contextmanager
def recorded_run(tracking: Tracking, name: str, states: CustomerStates, settings: dict[str, Any]) -> Iterator[str]:
    """A run in MLflow that says what it read and how it ended; its id."""
    manifest = states.manifest
    tags = {f"fingerprint.{table}": digest for table, digest in manifest.fingerprints.items()}
    tags |= {"states": manifest.build_id, "as_of": manifest.as_of, "tables": manifest.tables}
    run_id = tracking.start_run(name, _flat(settings), tags)
    try:
        yield run_id
    except BaseException:
        tracking.finish_run(run_id, "FAILED")
        raise
    tracking.finish_run(run_id)


def _flat(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat


def _calibrate(model: Model, examples: Examples) -> ProductCalibration:
    calibration = ProductCalibration.accumulator(examples.n_products)
    for batch in examples.batches():
        calibration.add(model.score(batch.block), batch.acquired, batch.block.candidates)
    try:
        return calibration.fit()
    except NotReady as error:
        raise BadInput(
            "nobody to validate on could have acquired anything: bring more customers, or older accounts"
        ) from error


def _blend(models: dict[str, Model], calibrations: dict[str, ProductCalibration], examples: Examples) -> Blend | None:
    """The blend of `models`, or nothing when one of them alone is as good."""

    def parts_of(block: CustomerBlock, names: Iterable[str]) -> dict[str, NDArray[np.float32]]:
        return {name: calibrations[name].apply(models[name].score(block)) for name in names}

    choices = Choices(tuple(models))
    for batch in examples.batches():
        chose = batch.of_acquirers()
        choices.add(parts_of(chose.block, models), chose.acquired, chose.block.candidates)
    weights = choices.fit()
    if len(weights) < 2:
        return None
    calibration = ProductCalibration.accumulator(examples.n_products)
    for batch in examples.batches():
        scores = pooled(parts_of(batch.block, weights), weights)
        calibration.add(scores, batch.acquired, batch.block.candidates)
    return Blend(weights, calibration.fit())


def _select(bundle: Bundle, examples: Examples, config: TrainingConfig) -> tuple[dict[str, float], str]:
    """The selecting metric of everything in the bundle, and what is to serve.

    That is the blend, unless a single model is better beyond noise: its paired interval lies above 0.
    """
    metric = config.select_by
    evaluation = evaluate_scorers(
        (EvaluationBatch(batch, batch.block.positions) for batch in examples.batches()),
        {name: partial(bundle.propensities, model=name) for name in bundle.names},
        ks=(metric_k(metric),),
        seed=config.seed,
        resamples=_RESAMPLES,
        probabilistic=frozenset(),
    )
    found = {name: evaluation.metrics[name][metric].value for name in bundle.names}
    best = max(bundle.models, key=lambda name: found[name])
    if bundle.blend and evaluation.paired_difference(best, BLEND, metric).low <= 0:
        return found, BLEND
    return found, best
