"""What is said of balances, of money that came and went, and of how the customer uses the bank."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.calendar import HISTORY_BITS
from features.families import Feature, Measure

from .topics import AsOf, Topic
from .wording_client import Client, of_strongest, raising
from .wording_parts import (
    Said,
    amount,
    channel_name,
    counted,
    each_period,
    family_name,
    is_amount,
    periods_before,
    tidy,
    times,
)  # fmt: skip

_LEAST_FOR_PERCENT = 100.0  # below it, a share says little and the features' log((now + 1) / (before + 1)) is no ratio
_KEPT = 1024  # sentences kept of each sort: of the offers to one customer, several say the same one
_TOTAL = Said("Total balance", "各项余额合计")
_TOTAL_WITH_DEBTS = Said("Total balance, debts included", "各项余额（含负债）合计")


def balances(topic: Topic, client: Client, product: int, added: NDArray[np.float64]) -> Said | None:
    """Level and change of the total or of a family, as far as each speaks for the product."""
    told, level = raising(topic, added), topic.first[Measure.LEVEL]
    now = client.value(topic, level)
    if not is_amount(now):
        return _no_balance(topic, client, product, now) if level in told else None
    values = tuple([(topic.features[index], client.value(topic, index)) for index in told])
    return _balance(_what(topic, client), now, values, client.as_of)


@lru_cache(_KEPT)
def _balance(what: Said, now: float, told: tuple[tuple[Feature, float], ...], as_of: AsOf) -> Said | None:
    """The level, if it is among what is `told`, features and their values, and the first change that can be said."""
    change, with_level = None, False
    for feature, value in told:
        if feature.measure is Measure.LEVEL:
            with_level = True
        elif change is None:
            change = _change(now, value, feature.window, as_of)
    if not with_level:
        if change is None:
            return None
        return Said(f"{what.text} in {as_of.name.text} {change.text}", f"{what.text_zh}{change.text_zh}")
    money = amount(now)
    text = f"{what.text}: {money.text} in {as_of.name.text}"
    text_zh = f"{as_of.name.text_zh}{what.text_zh}{money.text_zh}"
    return Said(text, text_zh) if change is None else Said(f"{text}, {change.text}", f"{text_zh}，{change.text_zh}")


def _what(topic: Topic, client: Client) -> Said:
    if topic.about:
        return _family_balance(topic.about)
    return _TOTAL_WITH_DEBTS if client.facts.debts.item(client.row) > 0 else _TOTAL


@lru_cache(_KEPT)
def _family_balance(family: str) -> Said:
    name = family_name(family)
    return Said(f"Balance in {name.text}", f"{name.text_zh}余额")


def _no_balance(topic: Topic, client: Client, product: int, now: float) -> Said | None:
    if now == 0:
        what = _what(topic, client)
        now_name = client.as_of.name
        return Said(f"{what.text}: none in {now_name.text}", f"{now_name.text_zh}{what.text_zh}为零")
    offered = client.block.states.catalogue.products[product].family
    if math.isnan(now) and topic.about == offered and not client.holds_any(offered):
        family = family_name(offered)
        return Said(f"Holds nothing in {family.text} yet", f"尚未持有{family.text_zh}类产品")
    return None


def _change(now: float, log_ratio: float, n: int, as_of: AsOf) -> Said | None:
    """How `now` compares with `n` periods before; ``log_ratio = log((now + 1) / (before + 1))``."""
    if not abs(log_ratio) < HISTORY_BITS:
        return None
    before = (now + 1) / math.exp(log_ratio) - 1
    if min(now, before) < _LEAST_FOR_PERCENT:
        return None
    span, ratio = counted(n, as_of.calendar), now / before
    percent = round(100 * abs(ratio - 1))
    if percent == 0:
        return Said(f"about the same as {span.text} before", f"与{span.text_zh}前基本持平")
    if ratio >= 3:
        shown = tidy(ratio)
        return Said(f"{shown} times that of {span.text} before", f"为{span.text_zh}前的{shown}倍")
    if percent == 100 and ratio < 1:
        return Said(f"down by more than 99% in {span.text}", f"{span.text_zh}内下降超过99%")
    way, way_zh = ("up", "上升") if ratio > 1 else ("down", "下降")
    return Said(f"{way} {percent}% in {span.text}", f"{span.text_zh}内{way_zh}{percent}%")


class _When(NamedTuple):
    """The time that a figure of activity is of.

    Attributes
    ----------
    span : in the middle of a sentence in English, at its beginning in Chinese
    each, each_zh : behind a figure in English, before its verb in Chinese, where it is the mean of the periods before
        the newest; else empty
    """

    span: Said
    each: str
    each_zh: str


@lru_cache(_KEPT)
def _when(feature: Feature, as_of: AsOf) -> _When:
    if feature.measure is Measure.LEVEL:
        return _When(as_of.name, "", "")
    each = each_period(as_of.calendar)
    return _When(periods_before(feature.window, as_of.period, as_of.calendar), f" {each.text}", f"平均{each.text_zh}")


@of_strongest
def use(topic: Topic, client: Client, feature: Feature, value: float) -> Said | None:
    """How often a channel was used; that no use is on record."""
    channel = channel_name(topic.about)
    if math.isnan(value):
        return Said(f"No use of {channel.text} on record lately", f"近期没有使用{channel.text_zh}的记录")
    span, each, _ = _when(feature, client.as_of)
    if value == 0 and not each:
        text = f"No use of {channel.text} on record in {span.text}"
        return Said(text, f"{span.text_zh}没有使用{channel.text_zh}的记录")
    count = round(value * feature.window if each else value) if 0 < value < math.inf else 0
    if count < 1:
        return None
    often = times(count)
    return Said(
        f"Used {channel.text} {often.text} in {span.text}", f"{span.text_zh}使用{channel.text_zh}{often.text_zh}"
    )


def money(topic: Topic, client: Client, product: int, added: NDArray[np.float64]) -> Said | None:
    """What came in, or went out; beside what was usual, where it is much more."""
    way, way_zh, side = ("came in", "转入", "in") if topic.about == "inflow" else ("went out", "转出", "out")
    level, mean = topic.first[Measure.LEVEL], topic.first[Measure.MEAN]
    now, before = client.value(topic, level), client.value(topic, mean)
    for index in raising(topic, added):
        value = client.value(topic, index)
        span, each, each_zh = _when(topic.features[index], client.as_of)
        if value == 0 and not each:
            return Said(f"No money {side} on record in {span.text}", f"{span.text_zh}没有{way_zh}记录")
        if not is_amount(value):
            continue
        total = amount(value)
        text = f"{total.text}{each} {way} during {span.text}"
        text_zh = f"{span.text_zh}{each_zh}{way_zh}{total.text_zh}"
        if not each and is_amount(before) and now / before >= 1.5:
            ratio, earlier = tidy(now / before), counted(topic.features[mean].window, client.as_of.calendar)
            text += f", {ratio} times the average of the {earlier.text} before"
            text_zh += f"，为此前{earlier.text_zh}平均值的{ratio}倍"
        return Said(text, text_zh)
    return None


@of_strongest
def payments(topic: Topic, client: Client, feature: Feature, value: float) -> Said | None:
    """Whom and how much the customer paid, or was paid by."""
    if not is_amount(value):
        return None
    span, each, each_zh = _when(feature, client.as_of)
    money, shown = amount(value), tidy(value)
    partners = "counterparty" if shown == "1" else "counterparties"
    text, text_zh = {
        "payees": (f"Paid {shown} {partners}", f"向{shown}个交易对手付款"),
        "paid": (f"Paid counterparties {money.text}", f"向交易对手付款{money.text_zh}"),
        "payers": (f"Was paid by {shown} {partners}", f"收到{shown}个交易对手的付款"),
        "received": (f"Was paid {money.text} by counterparties", f"收到交易对手付款{money.text_zh}"),
    }[feature.key]
    return Said(f"{text}{each} in {span.text}", f"{span.text_zh}{each_zh}{text_zh}")
