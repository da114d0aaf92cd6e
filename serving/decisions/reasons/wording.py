"""What is said of a topic: one sentence with the customer's own numbers, true whatever they are, or nothing.

A topic is only put into words when it speaks for a product, and by those of its features that do: where the level of a
balance speaks for it and its fall against it, the fall is left out. What is not known, negative or next to nothing is
not put into numbers; an absence is said as one, where it is to the point, or left out. Periods are named, because "last
month" is false a month later.
"""

from __future__ import annotations

import math
from datetime import date, timedelta
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from features.calendar import HISTORY_BITS
from features.contracts import KINDS, RISK_LEVEL, RISK_LEVELS, TIER
from features.families import Feature, Measure, Subject
from features.states.segments import DAYS_PER_YEAR

from ..layers.facts import RETAIL
from .topics import AsOf, Topic
from .wording_client import Client, Sentence, of_strongest, unsaid
from .wording_figures import figure
from .wording_money import balances, money, payments, use
from .wording_parts import (
    Said,
    amount,
    attribute_name,
    channel_name,
    day_name,
    is_amount,
    month_name,
    positional,
    times,
    up_to,
    value_name,
)  # fmt: skip

CORPORATE = KINDS.index("corporate")

FEWEST_PARTNERS = 5
"""Payment partners below which what they hold is not said: it would tell one client about another."""

_KEPT = 1024  # sentences kept of each sort: a few ages, values, counts and periods are everybody's


def holding(client: Client, product: int) -> Said | None:
    """Since when a product is held, or until when it was; None: never, as far as is remembered."""
    word = client.word(product)
    if word & 1:
        return _held(client.names[product], (~word & (word + 1)).bit_length() - 1, client.as_of)
    return _was_held(client.names[product], (word & -word).bit_length() - 2, client.as_of) if word else None


@lru_cache(_KEPT)
def _held(name: Said, periods: int, as_of: AsOf) -> Said:
    if periods >= HISTORY_BITS:  # since when is not remembered, or was never known
        return Said(f"Holds {name.text}", f"持有{name.text_zh}")
    if periods == 1:  # perhaps an event since the period ended
        return Said(f"Took out {name.text} lately", f"近期新办理{name.text_zh}")
    since = as_of.ago(periods - 1)
    return Said(f"Has held {name.text} since {since.text}", f"{since.text_zh}起持有{name.text_zh}")


@lru_cache(_KEPT)
def _was_held(name: Said, ago: int, as_of: AsOf) -> Said:
    if ago == 0:
        return Said(f"Held {name.text} until recently", f"不久前曾持有{name.text_zh}")
    until = as_of.ago(ago)
    return Said(f"Held {name.text} until {until.text}", f"曾持有{name.text_zh}，至{until.text_zh}")


def _holding(topic: Topic, client: Client, product: int, added: NDArray[np.float64]) -> Said | None:
    return holding(client, topic.product) or _not_held(client, topic.product, product)


def _not_held(client: Client, absent: int, product: int) -> Said | None:
    """That a product was never held: the one on offer, or one of its family that such a customer could have."""
    if absent == product:
        return _absent(client.names[absent], is_offered=True)
    products = client.block.states.catalogue.products
    kinds = ("both", *KINDS[client.kind : client.kind + 1])
    if products[absent].family == products[product].family and products[absent].customer_kind in kinds:
        return _absent(client.names[absent], is_offered=False)
    return None


@lru_cache(_KEPT)
def _absent(name: Said, *, is_offered: bool) -> Said:
    if is_offered:
        return Said(f"Has no {name.text} yet", f"尚未持有{name.text_zh}")
    return Said(f"Does not hold {name.text}", f"未持有{name.text_zh}")


@of_strongest
def _breadth(topic: Topic, client: Client, feature: Feature, value: float) -> Said | None:
    return _counted(feature, round(value), client.as_of) if 0 <= value < math.inf else None


@lru_cache(_KEPT)
def _counted(feature: Feature, count: int, as_of: AsOf) -> Said | None:
    """Of a feature of holdings that is not about one product."""
    measure, window = feature.measure, feature.window
    if measure is Measure.LEVEL:
        if count == 0:
            return Said("Holds no product of ours yet", "尚未持有我行产品")
        return Said(f"Holds {count:,} product{'' if count == 1 else 's'} of ours", f"持有我行{count}个产品")
    if measure is Measure.AGO:
        if count == 0:
            return Said("Took out something new lately", "近期有新办理的产品")
        since = as_of.ago(min(count, HISTORY_BITS))
        return Said(f"Last took out something new in {since.text}", f"最近一次新办理产品是在{since.text_zh}")
    if measure is Measure.TENURE:
        if not 2 <= count < HISTORY_BITS:
            return None
        since = as_of.ago(count - 1)
        return Said(f"Has held a product of ours since {since.text}", f"自{since.text_zh}起持有我行产品")
    if not as_of.remembers(window):
        return None
    span, often = up_to(window, as_of.period, as_of.calendar), times(count)
    if measure is Measure.ADDED:
        if count == 0:
            return Said(f"Took out nothing new {span.text}", f"{span.text_zh}没有新办理产品")
        return Said(f"Took out something new {often.text} {span.text}", f"{span.text_zh}新办理产品{often.text_zh}")
    if count == 0:
        return Said(f"No product ended {span.text}", f"{span.text_zh}没有产品到期或终止")
    return Said(f"A product ended {often.text} {span.text}", f"{span.text_zh}产品到期或终止{often.text_zh}")


@of_strongest
def _contacts(topic: Topic, client: Client, feature: Feature, value: float) -> Said | None:
    return _contacted(feature, round(value), client.as_of) if 0 <= value < 10**5 else None


@lru_cache(_KEPT)
def _contacted(feature: Feature, count: int, as_of: AsOf) -> Said | None:
    """Of a feature of contacts."""
    measure = feature.measure
    if measure is Measure.AGO:
        day = day_name(as_of.end - timedelta(days=count))
        return Said(f"We were in touch on {day.text}", f"{day.text_zh}与客户有过联系")
    span, often = up_to(feature.window, as_of.period, as_of.calendar), times(count)
    if measure is Measure.ACCEPTED and count:
        return Said(f"Said yes to us {often.text} {span.text}", f"{span.text_zh}接受我行推荐{often.text_zh}")
    if measure is Measure.LATER and count:
        text = f"Asked us {often.text} to come back later {span.text}"
        return Said(text, f"{span.text_zh}{often.text_zh}表示稍后再联系")
    if measure is Measure.COUNT and count:
        return Said(f"We were in touch {often.text} {span.text}", f"{span.text_zh}与客户联系{often.text_zh}")
    if measure is Measure.COUNT:
        return Said(f"No contact from us {span.text}", f"{span.text_zh}我行未联系过客户")
    return None  # refusals and silence are no reason to give


def _similar(topic: Topic, client: Client, product: int, added: NDArray[np.float64]) -> Said | None:
    """No figures: a segment's rates are shrunk towards those of all, so a share read from them is nobody's."""
    return SIMILAR_CLIENTS


SIMILAR_CLIENTS = Said("What similar clients hold and take speaks for it", "同类客户的持有和办理情况支持这一推荐")


def _partners(topic: Topic, client: Client, product: int, added: NDArray[np.float64]) -> Said | None:
    share = client.value(topic)
    if not 0.01 <= share <= 1:
        return None
    if client.n_partners(topic.features[0].window) < FEWEST_PARTNERS:
        return None
    name, percent = client.names[topic.product], round(100 * share)
    return Said(
        f"{percent}% of the payment partners who are clients of ours hold {name.text}",
        f"与客户有资金往来的我行客户中，{percent}%持有{name.text_zh}",
    )


def _age(topic: Topic, client: Client, product: int, added: NDArray[np.float64]) -> Said | None:
    years = _completed(client, topic)
    return None if client.kind != RETAIL or years is None else _old(years)


@lru_cache(_KEPT)
def _old(years: int) -> Said:
    return Said(f"Is {years} year{'' if years == 1 else 's'} old", f"客户{years}岁")


def _founded(topic: Topic, client: Client, product: int, added: NDArray[np.float64]) -> Said | None:
    years = _completed(client, topic)
    if client.kind != CORPORATE or years is None:
        return None
    if years == 0:
        return Said("Founded less than a year ago", "成立不足一年")
    return Said(f"Founded {years} year{'' if years == 1 else 's'} ago", f"成立已{years}年")


def _completed(client: Client, topic: Topic) -> int | None:
    """Completed years on the decision's day, on which triggers and rules judge ages too."""
    years: float = client.facts.ages.item(client.row)
    return int(years) if 0 <= years < 1000 and not math.isnan(client.value(topic)) else None


def _onboarding(topic: Topic, client: Client, product: int, added: NDArray[np.float64]) -> Said | None:
    years = client.value(topic)
    end = client.as_of.end
    if not 0 <= years < end.year - date.min.year:
        return None
    return _with_us((end - timedelta(days=round(years * DAYS_PER_YEAR))).replace(day=1))


@lru_cache(_KEPT)
def _with_us(month: date) -> Said:
    since = month_name(month)
    return Said(f"With us since {since.text}", f"{since.text_zh}成为我行客户")


def _attribute(topic: Topic, client: Client, product: int, added: NDArray[np.float64]) -> Said | None:
    value = client.value(topic)
    if not math.isfinite(value):
        return None
    words = topic.vocabulary
    if words is not None:
        return _text(topic.about, words[int(value)]) if 0 <= value < len(words) else None
    return _number(topic.about, value)


@lru_cache(_KEPT)
def _text(attribute: str, word: str) -> Said | None:
    value, name = value_name(word), attribute_name(attribute)
    if not value.text:
        return None
    if attribute == TIER:
        return Said(f"Is in the {value.text} tier", f"客户等级为{value.text_zh}")
    if attribute == "channel_preference":
        channel = channel_name(word)
        return Said(f"Prefers {channel.text}", f"偏好{channel.text_zh}")
    return Said(f"{name.text}: {value.text}", f"{name.text_zh}：{value.text_zh}")


@lru_cache(_KEPT)
def _number(attribute: str, value: float) -> Said | None:
    name = attribute_name(attribute)
    if attribute == RISK_LEVEL:
        rank = round(value)
        level = RISK_LEVELS[rank - 1] if 1 <= rank <= len(RISK_LEVELS) else ""
        return Said(f"Risk level {level}", f"风险等级{level}") if level else None
    if attribute == "income":
        money = amount(value)
        return Said(f"{name.text}: {money.text}", f"{name.text_zh}{money.text_zh}") if is_amount(value) else None
    if attribute == "employees":
        count = round(value)
        return Said(f"Employs {count:,}", f"员工{count}人") if count >= 1 else None
    shown = positional(value)
    return Said(f"{name.text}: {shown}", f"{name.text_zh}：{shown}")


def _season(topic: Topic, client: Client, product: int, added: NDArray[np.float64]) -> Said | None:
    return Said("The time of year speaks for it", "当前时节适合办理")


SENTENCES: dict[Subject, Sentence] = {
    Subject.HOLDING: _holding,
    Subject.BREADTH: _breadth,
    Subject.BALANCES: balances,
    Subject.USE: use,
    Subject.MONEY: money,
    Subject.PAYMENTS: payments,
    Subject.CONTACTS: _contacts,
    Subject.SIMILAR: _similar,
    Subject.PARTNERS: _partners,
    Subject.AGE: _age,
    Subject.FOUNDED: _founded,
    Subject.ONBOARDING: _onboarding,
    Subject.ATTRIBUTE: _attribute,
    Subject.SEASON: _season,
    Subject.FIGURE: figure,
    Subject.UNSPOKEN: unsaid,
}
"""Of every subject: one that lacks is a mistake that shows before anything is decided."""
