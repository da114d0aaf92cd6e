"""Topics: what people understand of a model's features. Every feature belongs to exactly one.

A model tells ``held``, ``tenure`` and ``age_since_add`` of a product apart; for a person they are one thing, having the
product since a time. What the features of a topic add to a log-odds is summed, so the topics add up to what the
features do.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from features import Calendar, Catalogue, CustomerStates, feature_set_of
from features.contracts import BIRTH_DATE, FOUNDED_ON, KIND, ONBOARDED_ON, TIER
from features.featureset import FeatureSet
from features.kernels import kernel

from .wording_parts import Said, period_name, product_names

AGE = "age"
"""By which a policy silences ages, of persons and of companies, beside the dates that they come from."""

SIMILAR, PATTERN = "similar", "holdings_pattern"
"""Topics of what models say that are not explained by features: of the segment, and of the products held."""

HOLDS = "holds:"
"""Before a product's id: the topic of having it."""

SEGMENT_ATTRIBUTES = frozenset({KIND, TIER, BIRTH_DATE, FOUNDED_ON, AGE})
"""What similar customers are similar in, see `features.states.segments`."""


class Subject(StrEnum):
    """What a topic is about: which sentence is made of it."""

    HOLDING = "holding"
    BREADTH = "breadth"
    BALANCES = "balances"
    USE = "use"
    MONEY = "money"
    PAYMENTS = "payments"
    CONTACTS = "contacts"
    SIMILAR = "similar"
    PARTNERS = "partners"
    AGE = "age"
    FOUNDED = "founded"
    ONBOARDING = "onboarding"
    ATTRIBUTE = "attribute"
    SEASON = "season"
    UNSPOKEN = "unspoken"


class _Key(NamedTuple):
    """What makes a topic one: features of equal keys belong together."""

    code: str
    subject: Subject
    about: str = ""
    attributes: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Topic:
    """One thing that people understand.

    Attributes
    ----------
    code : stable name, for records and statistics
    about : the product, family, channel, flow or attribute it is about; empty: the customer as a whole
    product : position of the product it is about; -1: none
    attributes : columns of customers it comes from, and `AGE`; a policy that silences one silences the topic
    features : names of its features
    columns : int64, shape (len(features),); where they stand in the feature set
    places : the same
    vocabulary : the texts behind the codes of the attribute it is about; None: its values are numbers
    """

    code: str
    subject: Subject
    about: str
    product: int
    attributes: frozenset[str]
    features: tuple[str, ...]
    columns: NDArray[np.int64]
    places: tuple[int, ...]
    vocabulary: tuple[str, ...] | None


class AsOf:
    """The period that words are as of. There is one object of each, by which sentences made before are kept.

    Attributes
    ----------
    name : what the period is called
    end : its last day
    """

    def __init__(self, period: int, calendar: Calendar, first_period: int | None) -> None:
        """`first_period` : from which on openings are known; None: they are not."""
        self.period, self.calendar = period, calendar
        self.name: Said = period_name(period, calendar)
        self.end: date = calendar.end_of(period)
        self._remembered = 0 if first_period is None else period - first_period + 1

    def ago(self, periods: int) -> Said:
        """The name of an earlier period."""
        return period_name(self.period - periods, self.calendar)

    def remembers(self, window: int) -> bool:
        """Whether openings of the last `window` periods would be known."""
        return window <= self._remembered


_KEPT: WeakKeyDictionary[FeatureSet, Topics] = WeakKeyDictionary()


class Topics:
    """The topics of all features of some states.

    Attributes
    ----------
    topics : in the order in which their first features stand
    names : what the products are called, by position
    holds : codes of the topics of having them, by position
    similar : where among the topics that of similar customers is
    """

    def __init__(self, states: CustomerStates) -> None:
        columns: dict[_Key, list[int]] = {}
        names = feature_set_of(states).names
        for column, described in enumerate(feature_set_of(states).dictionary()):
            key = _key_of(described["family"], described["name"], described["dtype"])
            columns.setdefault(key, []).append(column)
        self.names: tuple[Said, ...] = product_names(states.catalogue)
        self.holds: tuple[str, ...] = tuple(HOLDS + product_id for product_id in states.catalogue.product_ids)
        self.topics: tuple[Topic, ...] = tuple(
            Topic(
                key.code,
                key.subject,
                key.about,
                _product_of(key, states.catalogue),
                key.attributes,
                tuple(names[column] for column in found),
                np.array(found, dtype=np.int64),
                tuple(found),
                states.profile.vocabularies.get(key.about) if key.subject is Subject.ATTRIBUTE else None,
            )
            for key, found in columns.items()
        )
        self.similar: int = [topic.code for topic in self.topics].index(SIMILAR)
        manifest = states.manifest
        self._calendar, self._first_period = states.calendar, manifest.first_period if manifest.dated else None
        self._as_of: dict[int, AsOf] = {}
        self._order = np.concatenate([topic.columns for topic in self.topics])
        self._starts = np.cumsum([0, *(len(topic.columns) for topic in self.topics)])

    @classmethod
    def of(cls, states: CustomerStates) -> Topics:
        """Those of `states`, made once."""
        found = _KEPT.get(feature_set_of(states))
        if found is None:
            found = _KEPT[feature_set_of(states)] = cls(states)
        return found

    def as_of(self, period: int) -> AsOf:
        """What words about customers at the end of `period` are as of, made once."""
        found = self._as_of.get(period)
        if found is None:
            found = self._as_of[period] = AsOf(period, self._calendar, self._first_period)
        return found

    def sum_up(self, features: NDArray[np.float64], out: NDArray[np.float64]) -> None:
        """Write what each topic adds to the log-odds into `out`, shape (n, k, n_topics) or wider.

        Parameters
        ----------
        features : float64, shape (n, k, n_features); what each feature adds
        """
        _sum_up(features, self._order, self._starts, out)


def _product_of(key: _Key, catalogue: Catalogue) -> int:
    is_product = key.subject in (Subject.HOLDING, Subject.PARTNERS)
    return catalogue.position_of(key.about) if is_product else -1


def _key_of(family: str, name: str, dtype: str) -> _Key:
    """The topic of one feature of a family of features."""
    group, _, about = name.partition(":")
    if family == "holdings":
        return _Key(HOLDS + about, Subject.HOLDING, about) if about else _Key("breadth", Subject.BREADTH)
    if family == "balances":
        return _Key(f"balance:{about}" if about else "balance_total", Subject.BALANCES, about)
    if family == "activity":
        return _activity(group.removesuffix("_before"), about)
    if family == "contacts":
        return _silent("complaints") if name == "open_complaints" else _Key("contacts", Subject.CONTACTS)
    if family == "adoption":
        if group == "partner_holding_share":
            return _Key(f"partners:{about}", Subject.PARTNERS, about)
        return _Key(SIMILAR, Subject.SIMILAR, attributes=SEGMENT_ATTRIBUTES)
    if family == "profile":
        return _profile(name, dtype)
    return _silent("other")


def _activity(panel: str, about: str) -> _Key:
    if panel == "use":
        return _Key(f"use:{about}", Subject.USE, about)
    if panel == "payments":
        return _Key("payments", Subject.PAYMENTS)
    return _Key(_FLOWS[about], Subject.MONEY, about) if about in _FLOWS else _silent("other")


_FLOWS = {"inflow": "money_in", "outflow": "money_out"}


def _profile(name: str, dtype: str) -> _Key:
    """An attribute's topic; by type, because a bank may call a column of its own by any name."""
    if dtype == "years":
        column = name.removeprefix("years_since_")
        code, subject, *also = _DATES.get(column, (f"date:{column}", Subject.UNSPOKEN))
        return _Key(code, subject, attributes=frozenset({column, *also}))
    if name == "season":
        return _Key("season", Subject.SEASON)
    # nobody is told that it is for being a man or a woman; that somebody is a company goes without saying
    subject = Subject.UNSPOKEN if name in ("gender", KIND) else Subject.ATTRIBUTE
    return _Key(f"attribute:{name}", subject, name, frozenset({name}))


_DATES: dict[str, tuple] = {
    BIRTH_DATE: ("age", Subject.AGE, AGE),
    FOUNDED_ON: ("founded", Subject.FOUNDED, AGE),
    ONBOARDED_ON: ("onboarding", Subject.ONBOARDING),
}


def _silent(code: str) -> _Key:
    return _Key(code, Subject.UNSPOKEN)


@kernel(inline="always")
def _sum(values, start, n):  # type: ignore[no-untyped-def]
    """Of up to 128 values, as NumPy adds them up: eight sums side by side."""
    total, added = -0.0, 0
    if n >= 8:
        a, b, c, d = values[start], values[start + 1], values[start + 2], values[start + 3]
        e, f, g, h = values[start + 4], values[start + 5], values[start + 6], values[start + 7]
        added = n // 8 * 8
        for i in range(start + 8, start + added, 8):
            a, b, c, d = a + values[i], b + values[i + 1], c + values[i + 2], d + values[i + 3]
            e, f, g, h = e + values[i + 4], f + values[i + 5], g + values[i + 6], h + values[i + 7]
        total = ((a + b) + (c + d)) + ((e + f) + (g + h))
    for i in range(start + added, start + n):
        total += values[i]
    return total


@kernel
def _sum_of_halves(values, start, n):  # type: ignore[no-untyped-def]
    """Of any number of values, as NumPy adds them up."""
    if n <= 128:
        return _sum(values, start, n)
    half = n // 16 * 8
    return _sum_of_halves(values, start, half) + _sum_of_halves(values, start + half, n - half)


@kernel
def _sum_up(features, order, starts, out):  # type: ignore[no-untyped-def]
    mine = np.empty(len(order))
    for row in range(features.shape[0]):
        for place in range(features.shape[1]):
            for i in range(len(order)):
                mine[i] = features[row, place, order[i]]
            for topic in range(len(starts) - 1):
                rest, n = starts[topic] + 1, starts[topic + 1] - starts[topic] - 1
                further = _sum(mine, rest, n) if n <= 128 else _sum_of_halves(mine, rest, n)
                out[row, place, topic] = mine[rest - 1] + further
