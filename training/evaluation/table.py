"""The evaluation as a table on the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping

from rich import box
from rich.table import Table

from .backtest import Backtest
from .evaluator import BASELINE, EvaluationCounts
from .intervals import BootstrapInterval
from .metrics import DENOMINATORS

_COLUMNS = (
    ("hit_rate", 3, "hit\nrate@3"),
    ("recall", 3, "recall\n@3"),
    ("mrr", 3, "MRR\n@3"),
    ("map", 7, "MAP\n@7"),
    ("ndcg", 7, "NDCG\n@7"),
    ("share_of_ceiling", 7, "ceiling\nshare@7"),
    ("share_of_truth", 7, "truth\nshare@7"),
    ("auc", None, "AUC\n"),
    ("calibration_error", None, "calib.\nerror"),
    ("calibration_error_selected", None, "calib.\nselect."),
)

Models = Mapping[str, Mapping[str, BootstrapInterval]]


def evaluation_table(
    protocol: str, selected: str, models: Models, ceilings: Mapping[str, float], counts: EvaluationCounts
) -> Table:
    """A table for 110 columns: models by descending MAP, the selected one marked, ceilings below."""
    columns = [(f"{name}@{k}" if k else name, header) for name, k, header in _columns(models)]
    table = Table(
        title=f"Evaluation by {protocol}: {selected} is selected",
        caption=_caption([metric for metric, _ in columns], counts),
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    table.add_column("model", no_wrap=True)
    for _, header in columns:
        table.add_column(header, justify="right", no_wrap=True)
    by = next((metric for metric, _ in columns if metric.startswith("map@")), "")
    for model in sorted(models, key=lambda model: -_value(models[model].get(by))):
        cells = [_cell(models[model].get(metric)) for metric, _ in columns]
        chosen = model == selected
        table.add_row(f"{model}\n[green]selected[/]" if chosen else model, *cells, style="bold" if chosen else "")
    table.add_section()
    perfect = [f"{ceilings[metric]:.4f}" if metric in ceilings else "" for metric, _ in columns]
    table.add_row("perfect", *perfect, style="dim")
    return table


def backtest_table(backtest: Backtest) -> Table:
    """Origins, oldest first, and all of them together; each with the selected model beside the baseline."""
    metric = backtest.metric
    table = Table(
        title=f"Backtest over {len(backtest.origins)} days of the past, by {metric}",
        caption=f"difference: what would have served minus {BASELINE}, paired by customer, with its 95% interval.",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
    )
    for header in ("as of", "would have served", metric, BASELINE, "difference", "acquisitions"):
        table.add_column(header, justify="left" if header in ("as of", "would have served") else "right", no_wrap=True)
    for origin in backtest.origins:
        table.add_row(
            origin.as_of,
            origin.selected,
            f"{origin.models[origin.selected][metric].value:.4f}",
            f"{origin.models[BASELINE][metric].value:.4f}",
            _signed(origin.difference),
            f"{origin.acquisitions:,}",
        )
    table.add_section()
    table.add_row(
        "together",
        "",
        f"{backtest.as_selected.value:.4f}",
        f"{backtest.pooled[BASELINE].value:.4f}",
        _signed(backtest.as_selected_difference),
        f"{sum(origin.acquisitions for origin in backtest.origins):,}",
        style="bold",
    )
    for model, found in sorted(backtest.pooled.items(), key=lambda item: -item[1].value):
        difference = backtest.differences.get(model)
        table.add_row("", model, f"{found.value:.4f}", "", _signed(difference) if difference else "", "", style="dim")
    return table


def _signed(found: BootstrapInterval) -> str:
    return f"{found.value:+.4f} \\[{found.low:+.4f}, {found.high:+.4f}]"


def _columns(models: Models) -> list[tuple[str, int | None, str]]:
    """The columns of the table, at the length of list nearest to the usual one that was evaluated."""
    present = {metric for metrics in models.values() for metric in metrics}
    columns: list[tuple[str, int | None, str]] = []
    for name, wanted, header in _COLUMNS:
        lengths = [int(metric.partition("@")[2]) for metric in present if metric.startswith(f"{name}@")]
        if wanted is None:
            columns += [(name, None, header)] * (name in present)
        elif lengths:
            k = min(lengths, key=lambda length: (abs(length - wanted), length))
            columns.append((name, k, header.replace(f"@{wanted}", f"@{k}")))
    return columns


def _value(found: BootstrapInterval | None) -> float:
    return found.value if found else -math.inf


def _caption(metrics: list[str], counts: EvaluationCounts) -> str:
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
