"""Why a product is not offered to a customer: the layer, the rule and the figures, or how far it is from the last."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from features import CustomerBlock

from ...language import Language
from ..compiled import CompiledPolicy, Context
from ..decide import Decisions
from ..reason_codes import Reason, reasons_in
from ..reasons.wording_parts import Said
from . import conditions, dealings, ranking, risk
from .case import Case, Explanation


@dataclass(frozen=True)
class WhyNot:
    """Why a product is not offered.

    Attributes
    ----------
    layer, reason : of the first reason; None where the product is offered
    rule : the policy's rule behind it
    detail, detail_zh : in words, with the figures
    reasons : all that hold, in the order of the layers
    """

    layer: str | None
    reason: str | None
    rule: str | None
    detail: str
    detail_zh: str
    reasons: tuple[str, ...]

    def to_dict(self, language: Language = Language.EN) -> dict[str, Any]:
        """As the service and ``nextproduct why-not --json`` give it, in one language."""
        detail = self.detail_zh if language is Language.ZH else self.detail
        return {
            "layer": self.layer, "reason": self.reason, "rule": self.rule, "detail": detail, "reasons": self.reasons,
        }  # fmt: skip


def why_not(
    decisions: Decisions, block: CustomerBlock, policy: CompiledPolicy, context: Context,
    row: int, product: int,
) -> WhyNot:  # fmt: skip
    """Why customer `row` of `block` is not offered the product at position `product`."""
    places = np.flatnonzero(decisions.products[row] == product)
    if len(places):
        return WhyNot(None, None, None, *_offered(int(places[0]) + 1), ())
    found = [r for r in reasons_in(int(decisions.excluded[row, product])) if r is not Reason.PERSONALISATION_REFUSED]
    if not found:
        return WhyNot(None, None, None, *_NOT_IN_QUESTION, ())
    rule, detail = EXPLAINED[found[0]](Case(decisions, block, policy, context, row, product))
    return WhyNot(found[0].layer.value, found[0].name, rule, *detail, tuple(reason.name for reason in found))


def _offered(rank: int) -> Said:
    return Said(f"offered, as number {rank}", f"已推荐，排在第{rank}位")


_NOT_IN_QUESTION = Said(
    "could be offered; it is not among the products in question", "可以推荐，但不在本次询问的产品范围内"
)

EXPLAINED: dict[Reason, Callable[[Case], Explanation]] = {
    Reason.HELD: conditions.held,
    Reason.NOT_ON_SALE: conditions.not_on_sale,
    Reason.WRONG_CUSTOMER_KIND: conditions.wrong_kind,
    Reason.TOO_YOUNG: conditions.too_young,
    Reason.TOO_OLD: conditions.too_old,
    Reason.TIER_TOO_LOW: conditions.tier_too_low,
    Reason.BALANCE_TOO_LOW: conditions.balance_too_low,
    Reason.MISSING_PREREQUISITE: conditions.relation("requires", wanted=True),
    Reason.EXCLUDED_BY_HOLDING: conditions.relation("excludes", wanted=False),
    Reason.RISK_ABOVE_TOLERANCE: risk.above_tolerance,
    Reason.RISK_ASSESSMENT_MISSING: risk.assessment("assessment"),
    Reason.RISK_ASSESSMENT_EXPIRED: risk.assessment("valid_days"),
    Reason.ELDERLY_HIGH_RISK: risk.elderly,
    Reason.FUNDS_MISMATCH: risk.funds,
    Reason.MARKETING_REFUSED: dealings.marketing_refused,
    Reason.CHANNEL_REFUSED: dealings.channel_refused,
    Reason.RECENTLY_DECLINED: dealings.silence(Reason.RECENTLY_DECLINED),
    Reason.RECENTLY_CONTACTED: dealings.silence(Reason.RECENTLY_CONTACTED),
    Reason.CONTACT_LIMIT_REACHED: dealings.silence(Reason.CONTACT_LIMIT_REACHED),
    Reason.OPEN_COMPLAINT: dealings.complaint,
    Reason.PROPENSITY_BELOW_FLOOR: ranking.below_floor,
    Reason.OUTRANKED: ranking.outranked,
}
"""Of every reason that excludes."""
