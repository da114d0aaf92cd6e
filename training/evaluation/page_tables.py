"""The tables of the page: figures beside a drawing of them, one row a model, a slice, a product, a feature."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from features import families

from .backtest import Backtest
from .charts import Axis, Tick, Whisker
from .evaluator import BASELINE
from .importance import Importance, Level
from .intervals import BootstrapInterval
from .probabilities import PeriodCounts
from .report import EvaluationReport
from .wording import FACETS, metric_title

STRIP = 240.0
"""Width of the drawing in a row."""

_MODEL_METRICS = (("hit_rate", 3), ("recall", 3), ("ndcg", 7))
_MOST_UNITS = 20


@dataclass(frozen=True)
class ProductName:
    """What a product is called."""

    name: str
    name_zh: str | None
    family: str


@dataclass(frozen=True)
class Row:
    """A row: what it is of, its figures, what is drawn of them.

    Attributes
    ----------
    key : machine-readable name
    cells : one text for each column
    note : said in small print beside the label
    is_strong : set in bold
    """

    key: str
    label: str
    label_zh: str
    cells: tuple[str, ...]
    marks: tuple[Whisker, ...]
    note: str = ""
    is_strong: bool = False


@dataclass(frozen=True)
class Table:
    """Rows in groups, under one axis.

    Attributes
    ----------
    columns : English and Chinese heads: of the label, of each cell, of the drawing
    groups : English and Chinese title, rows
    ticks, reference : of the axis; where a line is drawn through all rows
    """

    columns: tuple[tuple[str, str], ...]
    groups: tuple[tuple[str, str, tuple[Row, ...]], ...]
    ticks: tuple[Tick, ...]
    reference: float | None = None
    length: float = STRIP


def figure(value: float, decimals: int = 4) -> str:
    """A number, or a dash where there is none."""
    return f"{value:,.{decimals}f}" if math.isfinite(value) else "–"


def with_interval(found: BootstrapInterval | None, decimals: int = 4) -> str:
    """``0.0198 [0.0185, 0.0211]``."""
    if found is None or math.isnan(found.value):
        return "–"
    if not math.isfinite(found.low) or not math.isfinite(found.high):
        return figure(found.value, decimals)
    return f"{found.value:.{decimals}f} [{found.low:.{decimals}f}, {found.high:.{decimals}f}]"


def signed(found: BootstrapInterval | None, decimals: int = 4) -> str:
    """``+0.0037 [+0.0028, +0.0046]``."""
    if found is None or not all(map(math.isfinite, (found.value, found.low, found.high))):
        return "–"
    return f"{found.value:+.{decimals}f} [{found.low:+.{decimals}f}, {found.high:+.{decimals}f}]"


def models_table(report: EvaluationReport) -> Table:
    """Models by descending MAP, with what they differ from the selected one."""
    comparison = report.comparison
    assert comparison is not None
    metric = comparison.metric
    order = sorted(report.models, key=lambda model: -report.models[model][metric].value)
    axis = _axis_of(report.models[model][metric] for model in order)
    others = [_nearest(report, name, k) for name, k in _MODEL_METRICS]
    rows = tuple(
        Row(
            key=model,
            label=model,
            label_zh={report.selected: "所选", BASELINE: "基准"}.get(model, ""),
            note={report.selected: "selected", BASELINE: "baseline"}.get(model, ""),
            cells=(
                with_interval(report.models[model][metric]),
                signed(comparison.differences.get(model)),
                *(figure(_value(report, model, name)) for name in others),
                figure(_value(report, model, "auc")),
            ),
            marks=_marks((report.models[model][metric], _style(model, report.selected), model), axis=axis),
            is_strong=model == report.selected,
        )
        for model in order
    )
    return Table(
        (
            ("Model", "模型"),
            metric_title(metric),
            ("Selected minus this", "所选减此模型"),
            *(metric_title(name) for name in others),
            metric_title("auc"),
            (f"{metric_title(metric)[0]} with 95% interval", "含 95% 置信区间"),
        ),
        (("", "", rows),),
        axis.ticks(),
        axis.at(report.truth[metric]) if metric in report.truth else None,
    )


def slices_table(report: EvaluationReport) -> Table:
    """The selected model beside the baseline in every slice."""
    chosen = report.selected
    every = [found for facet in report.slices.values() for found in facet.values()]
    shown = [each.models[name] for each in every if not each.is_small for name in (chosen, BASELINE)]
    top = max((found.high for found in shown if math.isfinite(found.high)), default=0.0) or 1.0
    axis = Axis(0.0, 1.05 * top, STRIP, is_root=True)
    groups = tuple(
        (
            *FACETS.get(facet, (facet, "")),
            tuple(
                Row(
                    key=f"{facet}/{label}",
                    label=label,
                    label_zh="",
                    note="few 样本少" if found.is_small else "",
                    cells=(
                        f"{found.customers:,}",
                        f"{found.acquirers:,}",
                        with_interval(found.models[chosen]),
                        signed(found.above_baseline.get(chosen)),
                    ),
                    marks=_marks(
                        (found.models[BASELINE], "baseline", BASELINE),
                        (found.models[chosen], "selected", chosen),
                        axis=axis,
                    ),
                )
                for label, found in labels.items()
            ),
        )
        for facet, labels in report.slices.items()
    )
    title = metric_title(report.comparison.metric)[0] if report.comparison else "MAP"
    return Table(
        (
            ("Slice", "分组"),
            ("Customers", "客户数"),
            ("Acquirers", "新增客户数"),
            (f"{title} of {chosen}", "所选模型"),
            (f"minus {BASELINE}", "与基准之差"),
            (f"{title}: selected ●, baseline ○", "所选 ●，基准 ○"),
        ),
        groups,
        axis.ticks(),
    )


def products_table(report: EvaluationReport, products: Mapping[str, ProductName]) -> Table:
    """Products by descending acquisitions: how many of these were among the first offers."""
    chosen = report.selected
    figures = report.per_product.get(chosen, {})
    order = sorted(report.product_slices, key=lambda product: (-report.product_slices[product].acquisitions, product))
    axis = Axis(0.0, 1.0, STRIP, is_share=True)
    rows = []
    for product in order:
        found, own, name = report.product_slices[product], figures.get(product), products.get(product)
        mine, base = found.models.get(chosen), found.models.get(BASELINE)
        rows.append(
            Row(
                key=product,
                label=name.name if name else product,
                label_zh=(name.name_zh or "") if name else "",
                note="few 样本少" if found.is_small else "",
                cells=(
                    f"{found.acquisitions:,}",
                    with_interval(mine, 3),
                    figure(base.value, 3) if base else "–",
                    figure(own.auc, 3) if own else "–",
                    figure(own.calibration_error) if own else "–",
                    figure(own.calibration_error_selected) if own else "–",
                ),
                marks=_marks((base, "baseline", BASELINE), (mine, "selected", chosen), axis=axis),
            )
        )
    k = report.comparison.metric.partition("@")[2] if report.comparison else "k"
    return Table(
        (
            ("Product", "产品"),
            ("Acquisitions", "新增持有"),
            (f"Found in first {k}", f"前 {k} 位召回"),
            (f"by {BASELINE}", "基准"),
            metric_title("auc"),
            ("Calibration error", "校准误差"),
            ("… where selected", "入选时"),
            ("Share found: selected ●, baseline ○", "召回比例"),
        ),
        (("", "", tuple(rows)),),
        axis.ticks(),
    )


def counts_table(report: EvaluationReport, products: Mapping[str, ProductName]) -> Table:
    """Realised acquisitions over expected ones, by date and by product, with what chance alone would do."""
    dates = report.expected_and_realised.get(report.selected, {})
    axis = Axis(0.0, 2.0, STRIP)
    by_date = tuple(_count_row(date, date, "", found.values(), axis) for date, found in dates.items())
    ids = sorted(
        next(iter(dates.values()), {}), key=lambda product: -sum(found[product].expected for found in dates.values())
    )
    by_product = tuple(
        _count_row(
            product,
            products[product].name if product in products else product,
            (products[product].name_zh or "") if product in products else "",
            [found[product] for found in dates.values()],
            axis,
        )
        for product in ids
    )
    return Table(
        (
            ("Date or product", "日期或产品"),
            ("Expected", "预期"),
            ("Realised", "实际"),
            ("Deviations from expected", "偏离标准差数"),
            ("Realised / expected; bar: ±2 deviations of chance", "实际与预期之比"),
        ),
        (("By date looked from", "按日期", by_date), ("By product", "按产品", by_product)),
        axis.ticks(),
        axis.at(1.0),
    )


def _count_row(key: str, label: str, label_zh: str, counts: Iterable[PeriodCounts], axis: Axis) -> Row:
    found = list(counts)
    expected, realised = sum(each.expected for each in found), sum(each.realised for each in found)
    deviation = math.sqrt(sum(each.deviation**2 for each in found))
    off = (realised - expected) / deviation if deviation else math.nan
    marks: tuple[Whisker, ...] = ()
    if expected > 0:
        title = f"{label}: {expected:,.1f} expected, {realised:,} realised"
        low, high = (axis.at(1 + sign * 2 * deviation / expected) for sign in (-1, 1))
        style = "off" if abs(off) > 2 else "selected"
        marks = (Whisker(axis.at(realised / expected), low, high, style, title),)
    return Row(key, label, label_zh, (figure(expected, 1), f"{realised:,}", f"{off:+.1f}" if deviation else "–"), marks)


def importance_table(importance: Importance, level: Level) -> Table:
    """What is lost without each unit of one level."""
    units = importance.at(level)[:_MOST_UNITS]
    titles = {family.name: family.title for family in families.FAMILIES} if level is Level.FAMILY else {}
    axis = Axis.around(
        [end for unit in units for end in (unit.lost.low, unit.lost.high)], STRIP, include=(0.0,), is_share=True
    )
    rows = tuple(
        Row(
            key=unit.name,
            label=titles[unit.name].text if unit.name in titles else unit.name,
            label_zh=titles[unit.name].text_zh if unit.name in titles else "",
            note="" if level is Level.FEATURE else f"{unit.columns} columns",
            cells=(f"{unit.lost.value:.1%} [{unit.lost.low:.1%}, {unit.lost.high:.1%}]",),
            marks=_marks((unit.lost, "selected", unit.name), axis=axis),
        )
        for unit in units
    )
    return Table(
        (
            {Level.FAMILY: ("Family", "特征族"), Level.GROUP: ("Group", "特征组"), Level.FEATURE: ("Feature", "特征")}[
                level
            ],
            (f"Share of {metric_title(importance.metric)[0]} lost", "损失比例"),
            ("", ""),
        ),
        (("", "", rows),),
        axis.ticks(),
        axis.at(0.0),
    )


def backtest_table(backtest: Backtest) -> Table:
    """Every model over all origins together, beside the baseline."""
    axis = _axis_of(backtest.pooled.values())
    served = Row(
        key="as selected",
        label="as selected at each origin",
        label_zh="各时点所选",
        cells=(with_interval(backtest.as_selected), signed(backtest.as_selected_difference), "–"),
        marks=_marks((backtest.as_selected, "selected", "as selected"), axis=axis),
        is_strong=True,
    )
    rows = tuple(
        Row(
            key=model,
            label=model,
            label_zh="",
            cells=(
                with_interval(found),
                signed(backtest.differences.get(model)),
                with_interval(backtest.share_of_ceiling[model], 3),
            ),
            marks=_marks((found, "baseline" if model == BASELINE else "other", model), axis=axis),
        )
        for model, found in sorted(backtest.pooled.items(), key=lambda item: -item[1].value)
    )
    title = metric_title(backtest.metric)
    return Table(
        (
            ("Model", "模型"),
            title,
            (f"minus {BASELINE}", "与基准之差"),
            ("Share of ceiling", "占上限比例"),
            (f"{title[0]} over all origins", "全部时点合计"),
        ),
        (("", "", (served, *rows)),),
        axis.ticks(),
    )


def _axis_of(found: Iterable[BootstrapInterval]) -> Axis:
    return Axis.around([end for each in found for end in (each.value, each.low, each.high)], STRIP)


def _marks(*found: tuple[BootstrapInterval | None, str, str], axis: Axis) -> tuple[Whisker, ...]:
    marks = [
        Whisker.of(each, axis, style, f"{name}: {with_interval(each)}")
        for each, style, name in found
        if each is not None
    ]
    return tuple(mark for mark in marks if mark is not None)


def _style(model: str, selected: str) -> str:
    return "selected" if model == selected else "baseline" if model == BASELINE else "other"


def _value(report: EvaluationReport, model: str, metric: str) -> float:
    found = report.models[model].get(metric)
    return found.value if found else math.nan


def _nearest(report: EvaluationReport, metric: str, wanted: int) -> str:
    """The metric at the length of list nearest to the usual one that was evaluated."""
    lengths = [int(name.partition("@")[2]) for name in report.ceilings if name.startswith(f"{metric}@")]
    return f"{metric}@{min(lengths, key=lambda k: (abs(k - wanted), k))}"


def panels_order(report: EvaluationReport) -> Sequence[str]:
    """Products with a candidate, most acquisitions first."""
    figures = report.per_product.get(report.selected, {})
    return sorted(
        (product for product in report.reliability if report.reliability[product].candidates),
        key=lambda product: (-figures[product].acquired, product),
    )
