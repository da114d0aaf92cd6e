"""What is said of any topic that has no words of its own: its title, and the figure that speaks the loudest.

The title is the family's; how a figure is written follows its dtype, and the time it is of its measure and window. So a
new family of features is explained by what it declares.
"""

from __future__ import annotations

import math
from datetime import timedelta
from functools import lru_cache

from features.calendar import HISTORY_BITS
from features.families import Feature, Measure, Title

from .topics import AsOf, Topic
from .wording_client import Client, of_strongest
from .wording_parts import (
    Said,
    amount,
    counted,
    day_name,
    each_period,
    is_amount,
    periods_before,
    positional,
    up_to,
    value_name,
)  # fmt: skip

_KEPT = 1024  # sentences kept, as of other topics
_MOST_YEARS = 1000
_MOST_DAYS = 36_500
_MOST_COUNTED = 10**6
_LASTING = frozenset({Measure.AGO, Measure.TENURE})
"""Measures whose figure is a time itself."""


@of_strongest
def figure(topic: Topic, client: Client, feature: Feature, value: float) -> Said | None:
    """The title and one figure; None where it is not known or next to nothing."""
    if topic.title is None or not math.isfinite(value):
        return None
    if not feature.vocabulary:
        return _line(topic.title, feature, value, client.as_of)
    words = client.block.states.profile.vocabularies[feature.vocabulary]
    return _line_of_text(topic.title, words[int(value)]) if 0 <= value < len(words) else None


@lru_cache(_KEPT)
def _line_of_text(title: Title, word: str) -> Said | None:
    said = value_name(word)
    return Said(f"{title.text}: {said.text}", f"{title.text_zh}：{said.text_zh}") if said.text else None


@lru_cache(_KEPT)
def _line(title: Title, feature: Feature, value: float, as_of: AsOf) -> Said | None:
    is_lasting = feature.measure in _LASTING
    said = _time(feature, value, as_of) if is_lasting else _size(feature.dtype, value)
    if said is None:
        return None
    of = Said("", "") if is_lasting else _time_of(feature, as_of)
    return Said(f"{title.text}: {said.text}{of.text}", f"{title.text_zh}：{of.text_zh}{said.text_zh}")


def _size(dtype: str, value: float) -> Said | None:
    """How much, how many, how large a share, or whether."""
    if dtype == "amount":
        return amount(value) if is_amount(value) else None
    if dtype == "flag":
        return Said("yes", "是") if value else Said("no", "否")
    if dtype == "share":
        percent = round(100 * value)
        return Said(f"{percent}%", f"{percent}%") if 1 <= percent <= 100 else None
    if dtype == "log_ratio":
        return _change(value)
    if dtype == "number":
        return Said(positional(value), positional(value))
    count = round(value)
    return Said(f"{count:,}", f"{count}") if 0 <= count < _MOST_COUNTED else None


def _change(log_ratio: float) -> Said | None:
    percent = round(100 * abs(math.expm1(log_ratio))) if abs(log_ratio) < HISTORY_BITS else 0
    if percent == 0:
        return None
    if percent == 100 and log_ratio < 0:
        return Said("down by more than 99%", "下降超过99%")
    way, way_zh = ("up", "上升") if log_ratio > 0 else ("down", "下降")
    return Said(f"{way} {percent:,}%", f"{way_zh}{percent}%")


def _time(feature: Feature, value: float, as_of: AsOf) -> Said | None:
    """When something happened, or since when or how long it has lasted."""
    is_ago = feature.measure is Measure.AGO
    if feature.dtype == "periods":
        if not (0 if is_ago else 1) <= value < HISTORY_BITS:
            return None
        then = as_of.ago(round(value) if is_ago else round(value) - 1)
        return then if is_ago else Said(f"since {then.text}", f"{then.text_zh}起")
    if feature.dtype == "years":
        if not 1 <= value < _MOST_YEARS:
            return None
        (ago, ago_zh), years = (" ago", "前") if is_ago else ("", ""), int(value)
        return Said(f"{years} year{'' if years == 1 else 's'}{ago}", f"{years}年{ago_zh}")
    if not 0 <= value < _MOST_DAYS:
        return None
    then = day_name(as_of.end - timedelta(days=round(value)))
    return then if is_ago else Said(f"since {then.text}", f"{then.text_zh}起")


def _time_of(feature: Feature, as_of: AsOf) -> Said:
    """The time that a figure is of: behind it in English, before it in Chinese."""
    window, measure, calendar = feature.window, feature.measure, as_of.calendar
    if measure is Measure.LEVEL or not window:
        return Said(f" in {as_of.name.text}", as_of.name.text_zh)
    if measure is Measure.EARLIER:
        then = as_of.ago(window)
        return Said(f" in {then.text}", then.text_zh)
    if measure is Measure.CHANGE:
        span = counted(window, calendar)
        return Said(f" in {span.text}", f"{span.text_zh}内")
    each = each_period(calendar)
    if measure is Measure.MEAN:
        span = periods_before(window, as_of.period, calendar)
        return Said(f" {each.text} in {span.text}", f"{span.text_zh}平均{each.text_zh}")
    span = up_to(window, as_of.period, calendar)
    if measure is Measure.RATE:
        return Said(f" {each.text} {span.text}", f"{span.text_zh}平均{each.text_zh}")
    return Said(f" {span.text}", span.text_zh)
