"""What suitability says: the product's risk and the customer's level, age and means."""

from __future__ import annotations

from collections.abc import Callable

from features.contracts import RISK_RATINGS

from ..policy.suitability_pack import Funds
from ..reason_codes import Reason
from ..reasons.wording_parts import Said
from .case import NOT_KNOWN, Case, Explanation, day_of, money


def above_tolerance(case: Case) -> Explanation:
    """A rating that the customer's level is not allowed."""
    pack, level = case.rules.suitability.pack, case.level
    allowed = pack.allowed[level]  # type: ignore[index]
    asked, listed = _asked_in_vain(case, Reason.RISK_ABOVE_TOLERANCE), "、".join(allowed)
    may_zh = f"可推荐{listed}产品" if allowed else "不可推荐任何有评级的产品"
    return f"{pack.pack}: allowed", Said(
        f"level {level} may be offered {', '.join(allowed) or 'nothing'}; the product is {case.rating}{asked.text}",
        f"{level}客户{may_zh}，该产品风险等级为{case.rating}{asked.text_zh}",
    )


def assessment(what: str) -> Callable[[Case], Explanation]:
    """Of the risk assessment, which is missing or has expired."""

    def explain(case: Case) -> Explanation:
        pack, profile = case.rules.suitability.pack, case.block.states.profile
        version = int(case.block.versions[case.row])
        assessed, expires = (
            day_of(int(profile.days[name][version])) if version >= 0 else NOT_KNOWN
            for name in ("risk_assessed_on", "risk_expires_on")
        )
        level_zh = f"客户风险等级{case.level}" if case.level else "客户没有风险等级"
        return f"{pack.pack}: {what}", Said(
            f"level {case.level or 'none'}, assessed on {assessed.text}, expires on {expires.text}, valid for "
            f"{pack.valid_days} days at most; the decision's day is {case.day.text}; the product is {case.rating}",
            f"{level_zh}，评估日期{assessed.text_zh}，到期日{expires.text_zh}，有效期最长{pack.valid_days}天；"
            f"决策日为{case.day.text_zh}，该产品风险等级为{case.rating}",
        )

    return explain


def elderly(case: Case) -> Explanation:
    """Of an age, or of unknown age, at which a further step is needed."""
    pack = case.rules.suitability.pack
    asked = _asked_in_vain(case, Reason.ELDERLY_HIGH_RISK)
    assert pack.elderly is not None
    from_age, from_rating, step = pack.elderly.from_age, pack.elderly.from_rating, pack.elderly.step
    return f"{pack.pack}: elderly", Said(
        f"{case.age.text}; from {from_age} on a product of {from_rating} or more needs the step {step!r}; "
        f"the product is {case.rating}{asked.text}",
        f"{case.age.text_zh}；{from_age}岁及以上（或年龄未知）客户购买{from_rating}及以上产品须先完成“{step}”，"
        f"该产品风险等级为{case.rating}{asked.text_zh}",
    )


def funds(case: Case) -> Explanation:
    """Means that do not match the risk, or are not known."""
    pack, rating = case.rules.suitability.pack, case.policy.suitability.ratings[case.position]
    those = [each for each in pack.funds if rating >= RISK_RATINGS.index(each.from_rating) + 1]
    limits = [_limits(each) for each in those]
    least = max((each.min_assets for each in those if each.min_assets is not None), default=None)
    assets, debts = case.money("assets", least), case.money("debts")
    return f"{pack.pack}: funds", Said(
        f"assets {assets.text}, debts {debts.text}; {'; '.join(limit.text for limit in limits)}; "
        f"the product is {case.rating}",
        f"客户资产{assets.text_zh}，负债{debts.text_zh}；{'；'.join(limit.text_zh for limit in limits)}；"
        f"该产品风险等级为{case.rating}",
    )


def _limits(asked: Funds) -> Said:
    parts = []
    if asked.min_assets is not None:
        least = money(asked.min_assets)
        parts.append(Said(f"assets of {least.text}", f"资产不低于{least.text_zh}"))
    if asked.max_debt_to_assets is not None:
        most = asked.max_debt_to_assets
        parts.append(Said(f"debts up to {most:g} x assets", f"负债不超过资产的{most:g}倍"))
    return Said(
        f"from {asked.from_rating} {' and '.join(part.text for part in parts)}",
        f"{asked.from_rating}及以上产品要求{'且'.join(part.text_zh for part in parts)}",
    )


def _asked_in_vain(case: Case, reason: Reason) -> Said:
    """What to add where the client asked for the product and it is excluded all the same."""
    if not case.was_asked_for:
        return Said("", "")
    asked = case.rules.suitability.pack.client_asked
    if asked is not None and reason.name in asked.allows:
        return Said(
            "; the client asked for it, which does not open it to this level",
            "；客户虽主动要求，但该风险等级的客户不适用",
        )
    return Said("; the client asked for it, which changes nothing here", "；客户虽主动要求，按适当性规则仍不可办理")
