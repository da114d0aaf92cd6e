"""The jobs that judge: evaluate, compare two models, backtest. They read the workspace and change no model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from rich.progress import Progress

from features import CustomerStates
from features.errors import NotFound
from features.files import AnyPath, write_text
from features.states import current_states

from ..bundle import Bundle
from ..config import EvaluationConfig, TrainingConfig, metric_k
from ..evaluation import BASELINE, BootstrapInterval, Evaluation, EvaluationReport, evaluate_scorers
from ..evaluation.facets import CustomerFacets
from ..evaluation.importance import Importance, permutation_importance
from ..evaluation.learning_curve import LearningCurve, LearningPoint, thinned
from ..evaluation.metrics import check_ranking_metric
from ..evaluation.report import Subject
from ..evaluation.serial import to_json
from ..evaluation.truth import TrueProbabilities
from ..examples import PERIODS
from ..probabilities.blend import BLEND
from ..tracking import CHALLENGER, CHAMPION, Tracking
from ..unseen import unseen_batches
from .reports import EVALUATION, IMPORTANCE, LEARNING_CURVE, PAGE, KeptResult, evaluation_page
from .train import counted, fit_bundle
from .uplift import uplift_of_bundle


def evaluate(
    workspace: AnyPath,
    config: EvaluationConfig | None = None,
    *,
    training: TrainingConfig | None = None,
    full: bool = False,
    tracking_uri: str | None = None,
    progress: Progress | None = None,
) -> EvaluationReport:
    """Judge every model of the champion's bundle on data it has not seen; log the report with the champion's run.

    Writes ``reports/evaluation.json`` and ``reports/evaluation.html``. With `full`, also what the selected model lives
    on (permutation importance) and what it makes of fewer customers (learning curve, for which it is fitted anew with
    the settings in `training`): minutes instead of seconds. The page shows the newest of these while they are of the
    same champion and states.
    """
    workspace = Path(workspace)
    config = config or EvaluationConfig()
    states = current_states(workspace)
    tracking = Tracking(workspace, tracking_uri)
    version = tracking.version(CHAMPION)
    bundle = Bundle.open(version.folder)
    manifest = states.manifest
    as_of = manifest.as_of if manifest.dated else None
    subject = Subject(version.number, version.run_id, manifest.build_id, as_of)
    report = evaluate_bundle(bundle, states, config, progress, subject=subject)
    report = replace(report, uplift=uplift_of_bundle(bundle, states, config))
    reports = workspace / EVALUATION.parent
    reports.mkdir(exist_ok=True)
    if full:
        results: dict[Path, Importance | LearningCurve] = {
            IMPORTANCE: _importance(bundle, states, config, progress),
            LEARNING_CURVE: _learning_curve(bundle, states, config, training or TrainingConfig(), progress),
        }
        for path, result in results.items():
            text = to_json(KeptResult(subject, result))
            write_text(workspace / path, text)
            tracking.log_text(version.run_id, text, path.name)
    tracking.log_metrics(version.run_id, report.flat_metrics())
    write_text(workspace / EVALUATION, report.to_json())
    tracking.log_text(version.run_id, report.to_json(), EVALUATION.name)
    page = evaluation_page(workspace, report, states)
    write_text(workspace / PAGE, page)
    tracking.log_text(version.run_id, page, PAGE.name)
    return report


def evaluate_bundle(
    bundle: Bundle,
    states: CustomerStates,
    config: EvaluationConfig,
    progress: Progress | None = None,
    *,
    subject: Subject | None = None,
) -> EvaluationReport:
    """Every model of `bundle`, as it would serve, on what the bundle has not seen of `states`."""
    return report_of(judged(bundle, states, config, progress), bundle, states, config, subject)


def judged(
    bundle: Bundle, states: CustomerStates, config: EvaluationConfig, progress: Progress | None = None
) -> Evaluation:
    """What `evaluate_bundle` reports."""
    return evaluate_scorers(
        counted(unseen_batches(states, bundle.manifest), "Evaluating", progress),
        {name: partial(bundle.propensities, model=name) for name in bundle.names},
        ks=config.ks,
        seed=config.seed,
        resamples=config.resamples,
        probabilistic=frozenset(bundle.names),
        selected_k=config.selected_k,
        truth=_truth(bundle, states),
        facets=CustomerFacets(states),
    )


def report_of(
    evaluation: Evaluation,
    bundle: Bundle,
    states: CustomerStates,
    config: EvaluationConfig,
    subject: Subject | None = None,
) -> EvaluationReport:
    """The report of what `judged` found."""
    return EvaluationReport.of(
        evaluation,
        protocol=bundle.manifest.protocol,
        selected=bundle.manifest.selected,
        product_ids=states.catalogue.product_ids,
        selected_k=config.selected_k,
        period_name=lambda period: states.calendar.end_of(period).isoformat() if states.manifest.dated else "undated",
        subject=subject,
    )


@dataclass(frozen=True)
class ModelComparison:
    """Two models on the same unseen data.

    Attributes
    ----------
    model_a, model_b : as they were named
    value_a, value_b : by `metric`
    difference : of a minus b, paired by customer
    customers : different customers asked about
    """

    model_a: str
    model_b: str
    metric: str
    value_a: float
    value_b: float
    difference: BootstrapInterval
    customers: int

    def to_json(self) -> str:
        """Metric, difference and the ends of its 95% interval."""
        found = self.difference
        return to_json(
            {"metric": self.metric, "difference": found.value, "low": found.low, "high": found.high}
            | {"models": [self.model_a, self.model_b], "values": [self.value_a, self.value_b]}
        )

    def sentence(self) -> str:
        """The finding, in words."""
        found = self.difference
        if found.low > 0:
            finding = f"{self.model_a} is better than {self.model_b}"
        elif found.high < 0:
            finding = f"{self.model_a} is worse than {self.model_b}"
        elif found.low == found.high == 0:
            finding = f"{self.model_a} and {self.model_b} are alike"
        else:
            finding = f"{self.model_a} and {self.model_b} cannot be told apart"
        return (
            f"By {self.metric} {finding}: {self.value_a:.4f} against {self.value_b:.4f}, difference {found.value:+.4f} "
            f"[{found.low:+.4f}, {found.high:+.4f}] on the same {self.customers:,} customers."
        )


def compare_models(
    workspace: AnyPath,
    model_a: str,
    model_b: str,
    metric: str,
    config: EvaluationConfig | None = None,
    *,
    tracking_uri: str | None = None,
    progress: Progress | None = None,
) -> ModelComparison:
    """Compare two models of the champion's bundle on data it has not seen, paired by customer.

    Parameters
    ----------
    model_a, model_b : models of the champion's bundle; or ``champion``, ``challenger``: what their bundles selected,
        on what neither has seen
    metric : a ranking metric at a length of list, as ``map@7``

    Raises
    ------
    BadInput : when there is no such metric
    NotFound : when there is no such model
    """
    workspace = Path(workspace)
    check_ranking_metric(metric)
    config = config or EvaluationConfig()
    states = current_states(workspace)
    tracking = Tracking(workspace, tracking_uri)
    bundles = {CHAMPION: Bundle.open(tracking.version(CHAMPION).folder)}
    if CHALLENGER in (model_a, model_b):
        bundles[CHALLENGER] = Bundle.open(tracking.version(CHALLENGER).folder)
    scorers = {}
    for name in (model_a, model_b):
        bundle = bundles.get(name, bundles[CHAMPION])
        model = bundle.manifest.selected if name in bundles else name
        if model not in bundle.names:
            raise NotFound(
                f"there is no model {name!r} to compare; the champion's bundle has: {', '.join(sorted(bundle.names))}"
                f"; {CHAMPION} and {CHALLENGER} stand for what their bundles selected"
            )
        scorers[name] = partial(bundle.propensities, model=model)
    evaluation = evaluate_scorers(
        counted(unseen_batches(states, *(bundle.manifest for bundle in bundles.values())), "Comparing", progress),
        scorers,
        ks=(metric_k(metric),),
        seed=config.seed,
        resamples=config.resamples,
        probabilistic=frozenset(),
    )
    value_a, value_b = (evaluation.metrics[name][metric].value for name in (model_a, model_b))
    difference = evaluation.paired_difference(model_a, model_b, metric)
    return ModelComparison(model_a, model_b, metric, value_a, value_b, difference, evaluation.counts.customers)


def _truth(bundle: Bundle, states: CustomerStates) -> TrueProbabilities | None:
    """The true probabilities of what `bundle` is judged on, where they are published: of one month ahead."""
    manifest = bundle.manifest
    if manifest.protocol != PERIODS or manifest.horizon != 1:
        return None
    truth = TrueProbabilities.beside(states)
    return truth if truth is not None and truth.covers(range(manifest.trained_to, states.as_of_period)) else None


def _importance(
    bundle: Bundle, states: CustomerStates, config: EvaluationConfig, progress: Progress | None
) -> Importance:
    return permutation_importance(
        lambda: unseen_batches(states, bundle.manifest),
        bundle.propensities,
        states,
        model=bundle.manifest.selected,
        k=max(config.ks),
        rows=config.importance_rows,
        repeats=config.importance_repeats,
        seed=config.seed,
        resamples=config.resamples,
        progress=progress,
    )


def _learning_curve(
    bundle: Bundle,
    states: CustomerStates,
    config: EvaluationConfig,
    training: TrainingConfig,
    progress: Progress | None,
) -> LearningCurve:
    """What ``train`` would serve, given shares of the customers and the parts of what serves now, and the baseline."""
    selected = bundle.manifest.selected
    parts = tuple(bundle.blend.weights) if bundle.blend and selected == BLEND else (selected,)
    fewer = training.model_copy(
        update={"models": tuple(dict.fromkeys((BASELINE, *parts))), "seed": bundle.manifest.seed}
    )
    bundles = {
        share: fit_bundle(states, fewer, progress, thinned=partial(thinned, share=share, seed=config.seed))[0]
        for share in config.learning_curve
    } | {1.0: bundle}
    k = max(config.ks)
    metric = f"map@{k}"
    names = tuple(dict.fromkeys((BASELINE, selected)))
    evaluation = evaluate_scorers(
        counted(unseen_batches(states, bundle.manifest), "Learning curve", progress),
        {
            f"{name} {share}": partial(fitted.propensities, model=BASELINE if name == BASELINE else None)
            for share, fitted in bundles.items()
            for name in names
        },
        ks=(k,),
        seed=config.seed,
        resamples=config.resamples,
        probabilistic=frozenset(),
    )
    return LearningCurve(
        metric,
        tuple(
            LearningPoint(
                share,
                {name: evaluation.metrics[f"{name} {share}"][metric] for name in names},
                {name: evaluation.paired_difference(f"{name} 1.0", f"{name} {share}", metric) for name in names},
            )
            for share in bundles
        ),
    )
