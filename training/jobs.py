"""The jobs: train, evaluate, retrain. Each reads the workspace, keeps its record in MLflow and returns what it did."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress

from features import CustomerBlock, CustomerStates
from features.build import BuildConfig, build_states
from features.errors import BadInput
from features.states import current_states

from .alignment import Layout
from .bundle import Bundle, manifest_of
from .calibration import ProductCalibration
from .config import EvaluationConfig, TrainingConfig, metric_k
from .evaluation import BootstrapInterval, EvaluationBatch, EvaluationReport, evaluate
from .examples import Examples
from .models import Model
from .splits import split
from .tracking import BUNDLE, CHALLENGER, CHAMPION, Tracking, Version
from .unseen import unseen_batches

REPORT = Path("reports") / "evaluation.json"


@dataclass(frozen=True)
class TrainOutcome:
    """What ``train`` did.

    Attributes
    ----------
    version : the registered bundle
    selected : the model that serves
    validation : the selecting metric of each model on the validation dates
    """

    version: Version
    selected: str
    validation: dict[str, float]


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
    """

    champion: Version
    challenger: Version
    metric: str
    champion_value: float
    challenger_value: float
    difference: BootstrapInterval
    promoted: bool


def train(
    workspace: Path,
    config: TrainingConfig | None = None,
    *,
    alias: str = CHAMPION,
    tracking_uri: str | None = None,
    progress: Progress | None = None,
) -> TrainOutcome:
    """Fit every model on the training dates, calibrate and select on the validation dates, register the bundle.

    The alias moves last: a run that dies leaves the champion in use.
    """
    config = config or TrainingConfig()
    states = current_states(workspace)
    tracking = Tracking(workspace, tracking_uri)
    with _run(tracking, "train", states, config.model_dump(mode="json")) as run_id:
        bundle, validation = fit_bundle(states, config, progress)
        tracking.log_metrics(run_id, {f"validation/{config.select_by}/{k}": v for k, v in validation.items()})
        tracking.log_text(run_id, json.dumps(states.feature_set.dictionary(), indent=1), "features.json")
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / BUNDLE
            folder.mkdir()
            bundle.save(folder)
            tracking.log_folder(run_id, folder, BUNDLE)
    version = tracking.register(run_id, alias)
    return TrainOutcome(version, bundle.manifest.selected, validation)


def fit_bundle(
    states: CustomerStates, config: TrainingConfig, progress: Progress | None = None
) -> tuple[Bundle, dict[str, float]]:
    """Fit, calibrate and select.

    Returns
    -------
    bundle : all models, the best of them selected
    validation : the selecting metric of each model
    """
    parts = split(
        states,
        horizon=config.horizon,
        train_periods=config.train_periods,
        validation_periods=config.validation_periods,
        test_periods=config.test_periods,
        seed=config.seed,
    )
    task = progress.add_task("Training models", total=2 * len(config.models) + 1) if progress else None

    def step(what: str) -> None:
        if progress and task is not None:
            progress.update(task, advance=1, description=what)

    models: dict[str, Model] = {}
    calibrations: dict[str, ProductCalibration] = {}
    for name in config.models:
        models[name] = config.new_model(name).fit(parts.train)
        step(f"Fitted {name}")
    for name, model in models.items():
        calibrations[name] = _calibrate(model, parts.validation)
        step(f"Calibrated {name}")
    validation = _validate(models, calibrations, parts.validation, config)
    step("Selected a model")
    manifest = manifest_of(
        states,
        selected=max(validation, key=lambda name: validation[name]),
        models=tuple(models),
        protocol=parts.protocol,
        horizon=config.horizon,
        trained_to=parts.trained_to,
        seed=config.seed,
    )
    return Bundle(manifest, states.catalogue, Layout.of(states), models, calibrations), validation


def evaluate_champion(
    workspace: Path,
    config: EvaluationConfig | None = None,
    *,
    tracking_uri: str | None = None,
    progress: Progress | None = None,
) -> EvaluationReport:
    """Judge every model of the champion's bundle on data it has not seen; log the report with the champion's run."""
    config = config or EvaluationConfig()
    states = current_states(workspace)
    tracking = Tracking(workspace, tracking_uri)
    version = tracking.version(CHAMPION)
    bundle = Bundle.open(version.folder)
    report = evaluate_bundle(bundle, states, config, progress)
    tracking.log_metrics(version.run_id, report.flat_metrics())
    tracking.log_text(version.run_id, report.to_json(), "evaluation.json")
    (workspace / REPORT).parent.mkdir(exist_ok=True)
    write_aside(workspace / REPORT, report.to_json())
    return report


def evaluate_bundle(
    bundle: Bundle, states: CustomerStates, config: EvaluationConfig, progress: Progress | None = None
) -> EvaluationReport:
    """Every model of `bundle`, as it would serve, on what the bundle has not seen of `states`."""
    evaluation = evaluate(
        _counted(unseen_batches(states, bundle.manifest), "Evaluating", progress),
        {name: partial(bundle.propensities, model=name) for name in bundle.models},
        ks=config.ks,
        seed=config.seed,
        resamples=config.resamples,
        probabilistic=frozenset(bundle.models),
    )
    return EvaluationReport.of(
        evaluation,
        protocol=bundle.manifest.protocol,
        selected=bundle.manifest.selected,
        product_ids=states.catalogue.product_ids,
    )


def retrain(
    workspace: Path,
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
    training = training or TrainingConfig()
    evaluation = evaluation or EvaluationConfig()
    tracking = Tracking(workspace, tracking_uri)
    champion = tracking.version(CHAMPION)
    source = current_states(workspace).manifest
    mapping = Path(source.mapping) if source.mapping else None
    states = build_states(Path(source.tables), workspace, build, mapping=mapping, progress=progress).states
    challenger = train(workspace, training, alias=CHALLENGER, tracking_uri=tracking_uri, progress=progress).version
    bundles = {CHAMPION: Bundle.open(champion.folder), CHALLENGER: Bundle.open(challenger.folder)}
    comparison = evaluate(
        _counted(unseen_batches(states, *(bundle.manifest for bundle in bundles.values())), "Comparing", progress),
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
    return RetrainOutcome(champion, challenger, metric, values[CHAMPION], values[CHALLENGER], difference, promoted)


def write_aside(path: Path, text: str) -> None:
    """Write a text file so that readers see all of it or the one before.

    Raises
    ------
    BadInput : when its folder does not exist
    """
    check_path(path)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)


def check_path(path: Path) -> None:
    """Refuse a place that a file cannot be written to, before the work that fills it.

    Raises
    ------
    BadInput : when its folder does not exist, or it is a folder itself
    """
    if not path.parent.is_dir():
        raise BadInput(f"there is no folder {path.parent} to write {path.name} to")
    if path.is_dir():
        raise BadInput(f"{path} is a folder: name a file")


@contextmanager
def _run(tracking: Tracking, name: str, states: CustomerStates, settings: dict[str, Any]) -> Iterator[str]:
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
    return calibration.fit()


def _calibrated(model: Model, calibration: ProductCalibration, block: CustomerBlock) -> NDArray[np.float32]:
    return calibration.apply(model.score(block))


def _validate(
    models: dict[str, Model],
    calibrations: dict[str, ProductCalibration],
    examples: Examples,
    config: TrainingConfig,
) -> dict[str, float]:
    evaluation = evaluate(
        (EvaluationBatch(batch, batch.block.positions) for batch in examples.batches()),
        {name: partial(_calibrated, model, calibrations[name]) for name, model in models.items()},
        ks=(metric_k(config.select_by),),
        seed=config.seed,
        resamples=20,
        probabilistic=frozenset(),
    )
    return {name: evaluation.metrics[name][config.select_by].value for name in models}


def _counted(batches: Iterator[EvaluationBatch], what: str, progress: Progress | None) -> Iterator[EvaluationBatch]:
    task = progress.add_task(what, total=None) if progress else None
    for batch in batches:
        yield batch
        if progress and task is not None:
            progress.advance(task)
