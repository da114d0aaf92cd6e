"""Suggestions as a person reads them on the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from .recommender import Recommendation


def suggestions_table(recommendations: Sequence[Recommendation]) -> Table:
    """One row a suggestion, customers apart."""
    table = Table(title="Suggestions 推荐产品")
    for heading in ("customer", "", "product", "产品", "family"):
        table.add_column(heading)
    table.add_column("propensity", justify="right")
    for recommendation in recommendations:
        for suggestion in recommendation.suggestions:
            table.add_row(
                recommendation.customer_id if suggestion.rank == 1 else "",
                str(suggestion.rank),
                f"{suggestion.name} ({suggestion.product_id})",
                suggestion.name_zh or "",
                suggestion.family,
                f"{suggestion.propensity:.2%}",
            )
        if not recommendation.suggestions:
            table.add_row(recommendation.customer_id, "", "nothing to offer", "暂无可推荐产品", "", "")
        table.add_section()
    return table
