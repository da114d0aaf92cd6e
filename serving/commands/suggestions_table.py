"""Suggestions as a person reads them on the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from ..answering.recommendation import AskedProduct, Recommendation, Suggestion
from ..decisions import Reason
from ..decisions.why_not import REASON_WORDS, WhyNot
from ..language import Language, text_in

_NOTHING = {Language.EN: "nothing to offer", Language.ZH: "暂无可推荐产品"}
_RULE = {Language.EN: "rule: ", Language.ZH: "规则："}
_ALSO = {Language.EN: "also: ", Language.ZH: "其他原因："}


def suggestions_table(recommendations: Sequence[Recommendation], language: Language = Language.EN) -> Table:
    """Service actions, suggestions and what the client asked for in vain, one row each, customers apart."""
    table = Table(title="Suggestions 推荐产品")
    for heading in ("customer", "", "product 产品"):
        table.add_column(heading)
    table.add_column("propensity", justify="right")
    table.add_column("priority", justify="right")
    table.add_column("reasons 推荐理由", max_width=78, overflow="fold")
    for recommendation in recommendations:
        lines = [("!", action.action, "", "", text_in(language, action)) for action in recommendation.service_actions]
        lines += [_line(suggestion, language) for suggestion in recommendation.suggestions]
        if not recommendation.suggestions:
            because = [text_in(language, reason) for reason in recommendation.nothing_because]
            lines.append(("", _NOTHING[language], "", "", "\n".join(because)))
        lines += [_asked(each, language) for each in recommendation.client_asked if each.rank is None]
        if not recommendation.personalised:
            lines.append(("", "", "", "", text_in(language, REASON_WORDS[Reason.PERSONALISATION_REFUSED])))
        for number, line in enumerate(lines):
            table.add_row("" if number else recommendation.customer_id, *line)
        table.add_section()
    return table


def why_not_lines(product_id: str, found: WhyNot, language: Language = Language.EN) -> str:
    """Why a product is not offered, as lines."""
    said = found.to_dict(language)
    if found.layer is None:
        return f"{product_id}: {said['detail']}"
    lines = [f"{product_id}: {found.layer}, {found.reason}", f"{_RULE[language]}{found.rule}", said["detail"]]
    if len(found.reasons) > 1:
        lines.append(_ALSO[language] + ", ".join(found.reasons[1:]))
    return "\n".join(lines)


def _line(suggestion: Suggestion, language: Language) -> tuple[str, str, str, str, str]:
    reasons = [text_in(language, reason) for reason in suggestion.reasons]
    steps = [f"→ {step}" for step in suggestion.steps]
    return (
        str(suggestion.rank),
        _name(suggestion, language),
        "" if suggestion.propensity is None else f"{suggestion.propensity:.2%}",
        f"{suggestion.priority:,.2f}",
        "\n".join(reasons + steps),
    )


def _asked(product: AskedProduct, language: Language) -> tuple[str, str, str, str, str]:
    return "–", _name(product, language), "", "", text_in(language, product)


def _name(product: Suggestion | AskedProduct, language: Language) -> str:
    name = product.name_zh if language is Language.ZH and product.name_zh else product.name
    return f"{name} ({product.product_id})"
