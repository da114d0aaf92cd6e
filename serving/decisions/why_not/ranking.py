"""What arbitration says: the propensity is below the floor, or others come first."""

from __future__ import annotations

from ..reasons.wording_parts import Said
from .case import Case, Explanation, apart

_SHARES = (".3%", ".5%", ".8%")


def below_floor(case: Case) -> Explanation:
    """Too unlikely to be acquired."""
    fitting = [rule for rule in case.rules.floors if case.fits(rule)]
    rule = max(fitting, key=lambda rule: rule.scope.specificity)
    propensity = float(case.decisions.factors.propensities[case.row, case.position])
    floor = float(case.policy.tables(case.context).arbitration.floors[case.group, case.position])
    own, least = apart(propensity, floor, *_SHARES), apart(floor, propensity, *_SHARES)
    return rule.rule, Said(f"propensity {own}, floor {least}", f"购买倾向{own}，低于下限{least}")


def outranked(case: Case) -> Explanation:
    """How far it is from the last one shown."""
    row, factors = case.row, case.decisions.factors
    own = float(factors.priorities[row, case.position])
    shown = case.decisions.products[row][case.decisions.products[row] >= 0]
    if not len(shown):
        return "priority", Said(f"priority {own:.6g}; nothing is shown", f"优先级{own:.6g}；未展示任何产品")
    last = int(shown[-1])
    name, least = case.name(last), float(factors.priorities[row, last])
    if case.catalogue.product_ids[last] in case.context.asked and not case.was_asked_for:
        return "priority", Said(
            f"priority {own:.6g}; what the client asked for comes first and fills the list",
            f"优先级{own:.6g}；客户主动要求的产品排在前面，名额已满",
        )
    if not case.decisions.personalised[row]:
        return "popularity", Said(
            f"acquired {own:.0f} times lately; the last one shown, {name.text}, {least:.0f}",
            f"近期新增持有{own:.0f}次；入选的最后一个产品{name.text_zh}为{least:.0f}次",
        )
    propensity, value = factors.propensities[row, case.position], factors.values[row, case.position]
    context, lever = factors.contexts[row, case.position], factors.levers[row, case.position]
    return "priority", Said(
        f"priority {own:.6g} = propensity {propensity:.3%} x value {value:,.2f} x context {context:.3g} x lever "
        f"{lever:.3g}; {least - own:.6g} below the last one shown, {name.text} ({least:.6g})",
        f"优先级{own:.6g}＝购买倾向{propensity:.3%}×价值{value:,.2f}×情境{context:.3g}×杠杆{lever:.3g}；"
        f"比入选的最后一个产品{name.text_zh}（{least:.6g}）低{least - own:.6g}",
    )
