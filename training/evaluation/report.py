"""The evaluation report: every figure of an evaluation, as it is stored, logged and shown."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.table import Table

from features.errors import BadInput

from .evaluator import BASELINE, Evaluation, EvaluationCounts
from .intervals import BootstrapInterval
from .metrics import DENOMINATORS
from .probabilities import PeriodCounts, ProductFigures, ProductReliability
from .serial import from_json, plain, to_json
from .slices import ProductSlice, Slice
from .table import evaluation_table


@dataclass(frozen=True)
class Subject:
    """What was judged: a registered version and its run, on a build of states, as of its last day if it has one."""

    version: str
    run_id: str
    build_id: str
    as_of: str | None


@dataclass(frozen=True)
class Comparison:
    """The selected model beside the others, by one metric, on the same customers.

    Attributes
    ----------
    metric : by which
    differences : other model -> the selected model's value minus the other's
    ratio : the selected model's value over the baseline's
    """

    metric: str
    differences: Mapping[str, BootstrapInterval]
    ratio: BootstrapInterval


@dataclass(frozen=True)
class EvaluationReport:
    """The figures of one evaluation.

    Attributes
    ----------
    protocol : how customers were asked about: ``periods``, ``occasions`` or ``hide-one``
    selected : the model that serves
    models : model -> metric -> value and interval; undefined metrics are absent
    ceilings : metric -> what a perfect ranking reaches
    per_product : probabilistic model -> product id -> figures
    truth : metric -> what ranking by the true probabilities reaches, where they are known
    selected_at : how many first offers of a customer "selected" means
    comparison : the selected model beside the others
    expected_and_realised : probabilistic model -> date looked from -> product id -> counts
    reliability : product id -> bins, of the selected model
    slices : facet -> label -> figures by ``comparison.metric``
    product_slices : product id -> share of its acquisitions among the first k, k as in ``comparison.metric``
    subject : which champion on which states, when it was one
    uplift : metric -> what the predicted effects of contacts are worth on contacts made since; empty: not known

    Raises
    ------
    BadInput : when the selected model or the baseline is not among the models
    """

    protocol: str
    selected: str
    models: Mapping[str, Mapping[str, BootstrapInterval]]
    ceilings: Mapping[str, float]
    counts: EvaluationCounts
    per_product: Mapping[str, Mapping[str, ProductFigures]]
    truth: Mapping[str, float] = field(default_factory=dict)
    selected_at: int = 3
    comparison: Comparison | None = None
    expected_and_realised: Mapping[str, Mapping[str, Mapping[str, PeriodCounts]]] = field(default_factory=dict)
    reliability: Mapping[str, ProductReliability] = field(default_factory=dict)
    slices: Mapping[str, Mapping[str, Slice]] = field(default_factory=dict)
    product_slices: Mapping[str, ProductSlice] = field(default_factory=dict)
    subject: Subject | None = None
    uplift: Mapping[str, BootstrapInterval] = field(default_factory=dict)

    def __post_init__(self) -> None:
        missing = [name for name in (self.selected, BASELINE) if name not in self.models]
        if missing:
            raise BadInput(
                f"a report needs the selected model and {BASELINE} among its models: {', '.join(missing)} is not in "
                f"{', '.join(self.models)}; evaluate it too"
            )

    @classmethod
    def of(
        cls,
        evaluation: Evaluation,
        *,
        protocol: str,
        selected: str,
        product_ids: Sequence[str],
        selected_k: int = 3,
        period_name: Callable[[int], str] = str,
        subject: Subject | None = None,
    ) -> EvaluationReport:
        """The report of `evaluation`; `product_ids` in order of position."""

        def named(figures: Sequence[Any]) -> dict[str, Any]:
            return dict(zip(product_ids, figures, strict=True))

        longest = max(int(name.partition("@")[2]) for name in evaluation.outcomes.metrics)
        metric = f"map@{longest}"
        return cls(
            protocol=protocol,
            selected=selected,
            models={
                model: {name: found for name, found in metrics.items() if not math.isnan(found.value)}
                for model, metrics in evaluation.metrics.items()
            },
            ceilings=evaluation.ceilings,
            counts=evaluation.counts,
            per_product={model: named(figures) for model, figures in evaluation.per_product.items()},
            truth=evaluation.truth,
            selected_at=selected_k,
            comparison=Comparison(
                metric,
                {
                    model: evaluation.paired_difference(selected, model, metric)
                    for model in evaluation.metrics
                    if model != selected
                },
                evaluation.ratio(selected, BASELINE, metric),
            )
            if {selected, BASELINE} <= evaluation.metrics.keys()
            else None,
            expected_and_realised={
                model: {period_name(period): named(counts) for period, counts in periods.items()}
                for model, periods in evaluation.periods.items()
            },
            reliability=named(evaluation.reliability[selected]) if selected in evaluation.reliability else {},
            slices=evaluation.slices,
            product_slices=named(evaluation.product_slices),
            subject=subject,
        )

    def to_json(self) -> str:
        """Every figure, and what each metric divides by; what is undefined is null or absent, never NaN."""
        return to_json(plain(self) | {"denominators": dict(DENOMINATORS)})

    @classmethod
    def from_json(cls, text: str) -> EvaluationReport:
        """Read what `to_json` wrote."""
        return from_json(cls, text)

    def flat_metrics(self) -> dict[str, float]:
        """``<model>/<metric>``, with ``/low`` and ``/high``, and ``ceiling/<metric>``: finite numbers for a tracker."""
        flat = {
            f"{model}/{name}{part}": value
            for model, metrics in self.models.items()
            for name, found in metrics.items()
            for part, value in (("", found.value), ("/low", found.low), ("/high", found.high))
        }
        flat |= {f"ceiling/{name}": value for name, value in self.ceilings.items()}
        flat |= {f"truth/{name}": value for name, value in self.truth.items()}
        flat |= {f"uplift/{name}": found.value for name, found in self.uplift.items()}
        return {name: value for name, value in flat.items() if math.isfinite(value)}

    def render(self) -> Table:
        """A table for a terminal: models by descending MAP, the selected one marked, ceilings below."""
        return evaluation_table(self.protocol, self.selected, self.models, self.ceilings, self.counts)
