"""The evaluation report: what is printed, stored as JSON and logged."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich import box
from rich.table import Table

from features.errors import BadInput

from .evaluator import Evaluation, EvaluationCounts, ProductFigures
from .intervals import BootstrapInterval
from .metrics import DENOMINATORS

BASELINE = "popularity"
"""The model that every other is shown beside."""

_COLUMNS = (
    ("hit_rate", 3, "hit\nrate@3"),
    ("precision", 3, "prec.\n@3"),
    ("recall", 3, "recall\n@3"),
    ("mrr", 3, "MRR\n@3"),
    ("map", 7, "MAP\n@7"),
    ("ndcg", 7, "NDCG\n@7"),
    ("share_of_ceiling", 7, "ceiling\nshare@7"),
    ("coverage", 7, "cover.\n@7"),
    ("auc", None, "AUC\n"),
    ("calibration_error", None, "calib.\nerror"),
)


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

    def __post_init__(self) -> None:
        missing = [name for name in (self.selected, BASELINE) if name not in self.models]
        if missing:
            raise BadInput(
                f"a report needs the selected model and {BASELINE} among its models: {', '.join(missing)} is not in "
                f"{', '.join(self.models)}; evaluate it too"
            )

    @classmethod
    def of(
        cls, evaluation: Evaluation, *, protocol: str, selected: str, product_ids: Sequence[str]
    ) -> EvaluationReport:
        """The report of `evaluation`; `product_ids` in order of position."""
        return cls(
            protocol=protocol,
            selected=selected,
            models={
                model: {name: found for name, found in metrics.items() if not math.isnan(found.value)}
                for model, metrics in evaluation.metrics.items()
            },
            ceilings=evaluation.ceilings,
            counts=evaluation.counts,
            per_product={
                model: dict(zip(product_ids, figures, strict=True)) for model, figures in evaluation.per_product.items()
            },
        )

    def to_json(self) -> str:
        """Protocol, selected model and every figure; what is undefined is null or absent, never NaN."""
        content = {
            "protocol": self.protocol,
            "selected": self.selected,
            "models": {
                model: {name: _without_nan(asdict(found)) for name, found in metrics.items()}
                for model, metrics in self.models.items()
            },
            "ceilings": dict(self.ceilings),
            "counts": asdict(self.counts),
            "denominators": dict(DENOMINATORS),
            "per_product": {
                model: {product: _without_nan(asdict(figures)) for product, figures in products.items()}
                for model, products in self.per_product.items()
            },
        }
        return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> EvaluationReport:
        """Read what `to_json` wrote."""
        content = json.loads(text)
        return cls(
            protocol=content["protocol"],
            selected=content["selected"],
            models={
                model: {name: BootstrapInterval(**_with_nan(found)) for name, found in metrics.items()}
                for model, metrics in content["models"].items()
            },
            ceilings=content["ceilings"],
            counts=EvaluationCounts(**content["counts"]),
            per_product={
                model: {product: ProductFigures(**_with_nan(figures)) for product, figures in products.items()}
                for model, products in content["per_product"].items()
            },
        )

    def flat_metrics(self) -> dict[str, float]:
        """``<model>/<metric>``, with ``/low`` and ``/high``, and ``ceiling/<metric>``: finite numbers for a tracker."""
        flat = {
            f"{model}/{name}{part}": value
            for model, metrics in self.models.items()
            for name, found in metrics.items()
            for part, value in (("", found.value), ("/low", found.low), ("/high", found.high))
        }
        flat |= {f"ceiling/{name}": value for name, value in self.ceilings.items()}
        return {name: value for name, value in flat.items() if math.isfinite(value)}

    def render(self) -> Table:
        """A table for 100 columns: models by descending MAP, the selected one marked, ceilings below."""
        columns = [(f"{name}@{k}" if k else name, header) for name, k, header in self._columns()]
        table = Table(
            title=f"Evaluation by {self.protocol}: {self.selected} is selected",
            caption=self._caption([metric for metric, _ in columns]),
            caption_justify="left",
            box=box.SIMPLE_HEAD,
            padding=(0, 1, 0, 0),
            pad_edge=False,
        )
        table.add_column("model", no_wrap=True)
        for _, header in columns:
            table.add_column(header, justify="right", no_wrap=True)
        by = next((metric for metric, _ in columns if metric.startswith("map@")), "")
        order = sorted(self.models, key=lambda model: -self._value(model, by))
        for model in order:
            cells = [_cell(self.models[model].get(metric)) for metric, _ in columns]
            chosen = model == self.selected
            table.add_row(f"{model}\n[green]selected[/]" if chosen else model, *cells, style="bold" if chosen else "")
        table.add_section()
        ceilings = [f"{self.ceilings[metric]:.4f}" if metric in self.ceilings else "" for metric, _ in columns]
        table.add_row("perfect", *ceilings, style="dim")
        return table

    def _columns(self) -> list[tuple[str, int | None, str]]:
        """The columns of the table, at the length of list nearest to the usual one that was evaluated."""
        present = {metric for metrics in self.models.values() for metric in metrics}
        columns: list[tuple[str, int | None, str]] = []
        for name, wanted, header in _COLUMNS:
            lengths = [int(metric.partition("@")[2]) for metric in present if metric.startswith(f"{name}@")]
            if wanted is None:
                columns += [(name, None, header)] * (name in present)
            elif lengths:
                k = min(lengths, key=lambda length: (abs(length - wanted), length))
                columns.append((name, k, header.replace(f"@{wanted}", f"@{k}")))
        return columns

    def _value(self, model: str, metric: str) -> float:
        found = self.models[model].get(metric)
        return found.value if found else -math.inf

    def _caption(self, metrics: list[str]) -> str:
        counts = self.counts
        asked = (
            f"{counts.rows:,} times asked about {counts.customers:,} customers, of whom {counts.acquirers:,} acquired "
            f"{counts.acquisitions:,} products; {counts.rows_left_out:,} times there was no candidate."
        )
        reading = "± half of the 95% interval over customers. perfect: what a perfect ranking reaches."
        divisions = [f"{metric}: {DENOMINATORS[metric.partition('@')[0]]}" for metric in metrics]
        return "\n".join([asked, reading, *divisions])


def _cell(found: BootstrapInterval | None) -> str:
    if found is None:
        return "–"
    half = (found.high - found.low) / 2
    return f"{found.value:.4f}" + ("" if math.isnan(half) or half == 0 else f"\n[dim]±{half:.4f}[/]".replace("±0", "±"))


def _without_nan(values: dict[str, Any]) -> dict[str, Any]:
    return {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in values.items()}


def _with_nan(values: dict[str, Any]) -> dict[str, Any]:
    return {name: math.nan if value is None else value for name, value in values.items()}
