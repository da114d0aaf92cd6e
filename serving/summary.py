"""Suggestions as a person reads them on the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from .language import Language
from .recommendation import Recommendation, Suggestion

_NOTHING = {Language.EN: "nothing to offer", Language.ZH: "暂无可推荐产品"}
_NOT_PERSONALISED = {
    Language.EN: "by popularity: personalisation refused",
    Language.ZH: "按热度排序：客户拒绝个性化推荐",
}


def suggestions_table(recommendations: Sequence[Recommendation], language: Language = Language.EN) -> Table:
    """Service actions and suggestions, one row each, customers apart."""
    table = Table(title="Suggestions 推荐产品")
    for heading in ("customer", "", "product 产品"):
        table.add_column(heading)
    table.add_column("propensity", justify="right")
    table.add_column("priority", justify="right")
    table.add_column("reasons 推荐理由", max_width=78, overflow="fold")
    for recommendation in recommendations:
        lines = [
            ("!", action.action, "", "", action.text_zh if language is Language.ZH else action.text)
            for action in recommendation.service_actions
        ]
        lines += [_line(suggestion, language) for suggestion in recommendation.suggestions]
        if not recommendation.suggestions:
            lines.append(("", _NOTHING[language], "", "", ""))
        if not recommendation.personalised:
            lines.append(("", "", "", "", _NOT_PERSONALISED[language]))
        for number, line in enumerate(lines):
            table.add_row("" if number else recommendation.customer_id, *line)
        table.add_section()
    return table


def _line(suggestion: Suggestion, language: Language) -> tuple[str, str, str, str, str]:
    name = suggestion.name_zh if language is Language.ZH and suggestion.name_zh else suggestion.name
    reasons = [reason.text_zh if language is Language.ZH else reason.text for reason in suggestion.reasons]
    steps = [f"→ {step}" for step in suggestion.steps]
    return (
        str(suggestion.rank),
        f"{name} ({suggestion.product_id})",
        "" if suggestion.propensity is None else f"{suggestion.propensity:.2%}",
        f"{suggestion.priority:,.2f}",
        "\n".join(reasons + steps),
    )
