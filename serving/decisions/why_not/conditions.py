"""What the first two layers say: the product is no candidate, or the customer does not meet its conditions."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import numpy as np

from features.contracts import KINDS

from ..reasons.wording_parts import Said, day_name, value_name
from .case import CATALOGUE_RULE, NOT_KNOWN, Case, Explanation, money

_KINDS = {"retail": Said("retail", "零售"), "corporate": Said("corporate", "对公")}


def held(case: Case) -> Explanation:
    """It is held, and cannot be had again."""
    return CATALOGUE_RULE, Said("the customer holds it", "客户已持有该产品")


def not_on_sale(case: Case) -> Explanation:
    """Not on the decision's day, or not on the last day of the states, by which somebody would have to have it."""
    start, stop = case.product.on_sale_from, case.product.on_sale_to
    text = f"on sale from {_day(start).text if start else 'the beginning'} to "
    text += f"{_day(stop).text if stop else 'further notice'}; the decision's day is {case.day.text}"
    window_zh = (f"自{_day(start).text_zh}起" if start else "") + (f"至{_day(stop).text_zh}止" if stop else "")
    text_zh = f"销售期{window_zh}，决策日为{case.day.text_zh}"
    if case.catalogue.on_sale(case.context.day)[case.position]:
        last = day_name(case.block.states.calendar.end_of(case.block.period))
        text += f", but on {last.text}, the last day that the data knows, it was not on sale"
        text_zh += f"，但在数据的最后一天（{last.text_zh}）尚未开售"
    return CATALOGUE_RULE, Said(text, text_zh)


def _day(iso: str) -> Said:
    return day_name(date.fromisoformat(iso))


def wrong_kind(case: Case) -> Explanation:
    """It is sold to the other kind of customers."""
    kind = int(case.fact("kinds"))
    whose = _KINDS[KINDS[kind]] if kind < len(KINDS) else Said("unknown", "类别未知的")
    sold = _KINDS[case.product.customer_kind]
    return CATALOGUE_RULE, Said(
        f"sold to {sold.text} customers; this one is {whose.text}",
        f"仅面向{sold.text_zh}客户销售，该客户为{whose.text_zh}客户",
    )


def too_young(case: Case) -> Explanation:
    """Below the least age, or of unknown age where there is any condition of age."""
    tables = case.policy.tables(case.context).eligibility
    least = tables.min_ages[case.group, case.position]
    if not np.isfinite(least):
        return too_old(case)
    asked = f"须成立满{least:g}年" if case.is_corporate else f"须年满{least:g}岁"
    return case.condition("min_age", least), Said(f"{case.age.text}, from {least:g}", f"{case.age.text_zh}，{asked}")


def too_old(case: Case) -> Explanation:
    """Above the greatest age."""
    most = case.policy.tables(case.context).eligibility.max_ages[case.group, case.position]
    asked = f"成立不得超过{most:g}年" if case.is_corporate else f"不得超过{most:g}岁"
    return case.condition("max_age", most), Said(f"{case.age.text}, up to {most:g}", f"{case.age.text_zh}，{asked}")


def tier_too_low(case: Case) -> Explanation:
    """Of a lower tier, or of none that is known."""
    wanted = int(case.policy.tables(case.context).eligibility.min_tiers[case.group, case.position])
    tiers, own = case.policy.groups.tiers, int(case.fact("tiers"))
    asked = tiers[wanted] if wanted < len(tiers) else str(case.product.min_tier)
    known_zh = f"为{value_name(tiers[own]).text_zh}" if own >= 0 else NOT_KNOWN.text_zh
    return case.condition("min_tier", wanted), Said(
        f"tier {tiers[own] if own >= 0 else 'none known'}, from {asked}",
        f"客户等级{known_zh}，须达到{value_name(asked).text_zh}及以上",
    )


def balance_too_low(case: Case) -> Explanation:
    """Assets below the least, or not known."""
    least = float(case.policy.tables(case.context).eligibility.min_balances[case.group, case.position])
    assets, asked = case.money("assets", least), money(least)
    return case.condition("min_balance", least), Said(
        f"assets {assets.text}, from {asked.text}", f"客户资产{assets.text_zh}，要求不低于{asked.text_zh}"
    )


def relation(setting: str, *, wanted: bool) -> Callable[[Case], Explanation]:
    """Of what the product requires (`wanted`: to be held) or excludes."""

    def explain(case: Case) -> Explanation:
        rule = case.eligibility_rule(setting)
        own = getattr(case.product, setting)
        for name, products in ((CATALOGUE_RULE, own), (rule.rule, rule.settings[setting]) if rule else ("", ())):
            for product_id in products:
                position = case.catalogue.position_of(product_id)
                if bool(case.block.held[case.row, position]) is not wanted:
                    return name, _relation_words(case.name(position), product_id, wanted)
        raise AssertionError(f"{setting} excludes nothing")

    return explain


def _relation_words(name: Said, product_id: str, wanted: bool) -> Said:
    if wanted:
        return Said(f"{name.text} ({product_id}) is not held", f"须先持有{name.text_zh}（{product_id}），客户未持有")
    return Said(f"{name.text} ({product_id}) is held", f"客户已持有{name.text_zh}（{product_id}），两者不可同时持有")
