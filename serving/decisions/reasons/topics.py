"""Topics: what people understand of a model's features. Every feature belongs to exactly one.

A model tells ``held``, ``tenure`` and ``age_since_add`` of a product apart; for a person they are one thing, having the
product since a time. What the features of a topic add to a log-odds is summed, so the topics add up to what the
features do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from features import Calendar, CustomerStates, feature_set_of
from features.families import Feature, Measure, Subject, Title, TopicKey
from features.kernels import kernel

from .wording_parts import Said, period_name, product_names

SIMILAR, PATTERN = "similar", "holdings_pattern"
"""Topics of what models say that are not explained by features: of the segment, and of the products held."""


@dataclass(frozen=True)
class Topic:
    """One thing that people understand.

    Attributes
    ----------
    code : stable name, for records and statistics
    about : the product, family, channel, flow or attribute it is about; empty: the customer as a whole
    title : what a figure is called
    product : position of the product that all of its features are of; -1: none
    attributes : columns of customers it is made of; a policy that silences one silences the topic
    features : what is declared of its features
    columns : int64, shape (len(features),); where they stand in the feature set
    places : the same
    first : where among its features the first of each measure stands
    vocabulary : the texts that the values of its first feature are codes of; None: they are no codes of texts
    """

    code: str
    subject: Subject
    about: str
    title: Title | None
    product: int
    attributes: frozenset[str]
    features: tuple[Feature, ...]
    columns: NDArray[np.int64]
    places: tuple[int, ...]
    first: Mapping[Measure, int]
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


class Topics:
    """The topics of all features of some states.

    Attributes
    ----------
    topics : in the order in which their first features stand
    names : what the products are called, by position
    holds : codes of the topics of having them, by position
    similar : where among the topics that of similar customers is

    Raises
    ------
    ValueError : when two topics have one code
    """

    def __init__(self, states: CustomerStates) -> None:
        features = feature_set_of(states).features
        columns: dict[TopicKey, list[int]] = {}
        for column, feature in enumerate(features):
            columns.setdefault(feature.topic, []).append(column)
        self.topics: tuple[Topic, ...] = tuple(
            _topic(key, found, [features[column] for column in found], states) for key, found in columns.items()
        )
        twice = [code for code, times in Counter(topic.code for topic in self.topics).items() if times > 1]
        if twice:
            raise ValueError(f"two topics have the code {twice[0]!r}: features of one topic declare equal keys")
        held = {topic.about: topic.code for topic in self.topics if topic.subject is Subject.HOLDING}
        self.names: tuple[Said, ...] = product_names(states.catalogue)
        self.holds: tuple[str, ...] = tuple(held[product_id] for product_id in states.catalogue.product_ids)
        self.similar: int = [topic.subject for topic in self.topics].index(Subject.SIMILAR)
        manifest = states.manifest
        self._calendar, self._first_period = states.calendar, manifest.first_period if manifest.dated else None
        self._as_of: dict[int, AsOf] = {}
        self._order = np.concatenate([topic.columns for topic in self.topics])
        self._starts = np.cumsum([0, *(len(topic.columns) for topic in self.topics)])

    @classmethod
    def of(cls, states: CustomerStates) -> Topics:
        """Those of `states`, made once."""
        return states.derived(cls)

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


def _topic(key: TopicKey, columns: list[int], features: list[Feature], states: CustomerStates) -> Topic:
    """The topic of `features`, which stand at `columns`."""
    products = {feature.product for feature in features}
    is_product = len(products) == 1 and products != {""}
    return Topic(
        key.code,
        key.subject,
        key.about,
        key.title,
        states.catalogue.position_of(features[0].product) if is_product else -1,
        frozenset[str]().union(*(feature.sources for feature in features)),
        tuple(features),
        np.array(columns, dtype=np.int64),
        tuple(columns),
        {features[place].measure: place for place in reversed(range(len(features)))},
        states.profile.vocabularies.get(features[0].vocabulary),
    )


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
