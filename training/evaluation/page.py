"""The evaluation as a page to look at: one file, nothing fetched from elsewhere, English with Chinese terms."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import jinja2

from .backtest import Backtest
from .charts import LineChart, line_chart, reliability_panel
from .evaluator import BASELINE
from .importance import Importance, Level
from .intervals import BootstrapInterval
from .learning_curve import LearningCurve
from .metrics import DENOMINATORS
from .page_tables import (
    ProductName,
    backtest_table,
    counts_table,
    figure,
    importance_table,
    models_table,
    panels_order,
    products_table,
    slices_table,
    with_interval,
)
from .report import EvaluationReport
from .wording import GLOSSARY, PROTOCOLS, metric_title

PANELS_SHOWN = 12
"""Reliability plots shown at once; those of products with fewer acquisitions can be unfolded."""

PANEL_SIZE = 132.0

TEMPLATE = "page.html.jinja"


def render_page(
    report: EvaluationReport,
    products: Mapping[str, ProductName],
    *,
    importance: Importance | None = None,
    learning_curve: LearningCurve | None = None,
    backtest: Backtest | None = None,
) -> str:
    """The page of `report`; what is missing is left out, and said how to get.

    Parameters
    ----------
    products : product id -> what it is called; texts of the bank are escaped
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    panels = [
        (product, products.get(product, ProductName(product, None, "")), reliability_panel(found, PANEL_SIZE))
        for product in panels_order(report)
        for found in [report.reliability[product]]
    ]
    return environment.get_template(TEMPLATE).render(
        report=report,
        baseline=BASELINE,
        protocol=PROTOCOLS[report.protocol],
        verdict=_verdict(report),
        cards=_cards(report),
        models=models_table(report),
        counts=counts_table(report, products),
        slices=slices_table(report) if report.slices else None,
        product_table=products_table(report, products) if report.product_slices else None,
        panels=panels[:PANELS_SHOWN],
        more_panels=panels[PANELS_SHOWN:],
        importance=importance,
        importance_tables=[importance_table(importance, level) for level in Level if importance.at(level)]
        if importance
        else [],
        curve=_curve(learning_curve) if learning_curve else None,
        learning_curve=learning_curve,
        backtest=backtest,
        backtest_table=backtest_table(backtest) if backtest else None,
        backtest_chart=_origins(backtest) if backtest else None,
        denominators=[(name, *metric_title(name), said) for name, said in DENOMINATORS.items()],
        glossary=GLOSSARY,
        figure=figure,
        with_interval=with_interval,
        metric_title=metric_title,
    )


def _verdict(report: EvaluationReport) -> tuple[str, str]:
    """Whether the selected model is better than the baseline, in a sentence of each language."""
    comparison = report.comparison
    assert comparison is not None
    if report.selected == BASELINE:
        return f"{BASELINE}, the baseline, was selected: nothing did better.", "基准模型被选用：没有更好的模型。"
    found = comparison.differences[BASELINE]
    if found.low > 0:
        return f"{report.selected} is better than {BASELINE}, beyond chance.", "所选模型显著优于基准。"
    if found.high < 0:
        return f"{report.selected} is worse than {BASELINE}, beyond chance.", "所选模型显著差于基准。"
    return f"{report.selected} and {BASELINE} cannot be told apart.", "所选模型与基准无显著差异。"


def _cards(report: EvaluationReport) -> list[tuple[str, str, str, str]]:
    """What matters most: title in English and in Chinese, figure, what it means."""
    comparison = report.comparison
    assert comparison is not None
    metrics = report.models[report.selected]
    metric = comparison.metric
    k = metric.partition("@")[2]

    def card(name: str, said: str, decimals: int = 4) -> list[tuple[str, str, str, str]]:
        if name not in metrics:
            return []
        return [(*metric_title(name), with_interval(metrics[name], decimals), said)]

    return [
        *card(metric, f"a perfect ranking reaches {figure(report.ceilings[metric])}"),
        (
            f"Times {BASELINE}'s",
            "为基准的倍数",
            with_interval(comparison.ratio, 3),
            "paired on the same customers; 1: no better",
        ),
        *card(f"share_of_ceiling@{k}", "of what knowing the future would reach", 3),
        *card(f"share_of_truth@{k}", "of what the bank's true probabilities reach", 3),
        *card(
            "calibration_error_selected",
            f"where selected (first {report.selected_at}); chance alone: "
            + figure(metrics["calibration_noise_selected"].value)
            if "calibration_noise_selected" in metrics
            else "where selected",
        ),
        *card("expected_over_realised_selected", "where selected; above 1: overrated", 3),
    ]


def _curve(found: LearningCurve) -> LineChart:
    """Shares on a logarithmic scale: what doubling brings is seen as a step."""
    first = math.log(found.points[0].share)
    places = [1 - math.log(point.share) / first if first else 1.0 for point in found.points]
    names = list(found.points[0].values)
    lines = [
        (name, "baseline" if name == BASELINE else "selected", [point.values[name] for point in found.points])
        for name in names
    ]
    return line_chart(places, [f"{point.share:.0%}" for point in found.points], lines)


def _origins(found: Backtest) -> LineChart:
    n = len(found.origins)
    places = [number / (n - 1) if n > 1 else 0.5 for number in range(n)]

    def of(model: str | None) -> list[BootstrapInterval]:
        return [origin.models[model or origin.selected][found.metric] for origin in found.origins]

    return line_chart(
        places,
        [origin.as_of for origin in found.origins],
        [(BASELINE, "baseline", of(BASELINE)), ("as selected", "selected", of(None))],
    )
