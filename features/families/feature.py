"""What a family declares of each of its features, so that nobody has to guess it from a name.

Models read a feature's values by its name and `dtype`; reasons are put into words by its topic, measure and window; a
policy keeps an attribute of customers from the models by the features that have it among their sources.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from ..contracts import OUTCOMES

DTYPES = ("flag", "count", "periods", "years", "share", "amount", "log_ratio", "code", "number")
"""What the float32 values of a feature may be."""


class Title(NamedTuple):
    """What something is called at the beginning of a line, in English and in Chinese."""

    text: str
    text_zh: str


class Subject(StrEnum):
    """What a topic is about: which sentence is made of it.

    `FIGURE` serves any topic: its title, and the value of the feature that speaks the loudest. A topic that must never
    be spoken of says so by `UNSPOKEN`.
    """

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
    FIGURE = "figure"
    UNSPOKEN = "unspoken"


class Measure(StrEnum):
    """What the number is of. Those of `WINDOWED` look at as many periods as the feature's window has."""

    LEVEL = "level"
    """How much or how many, in the newest period or at its end."""
    EARLIER = "earlier"
    """How much or how many, the window's periods before."""
    MEAN = "mean"
    """How much or how many in a period, on average over the window's periods before the newest."""
    RATE = "rate"
    """How much or how many in a period, on average over the window's newest periods."""
    CHANGE = "change"
    """How the newest period compares with the one that is the window's periods before."""
    SHARE = "share"
    """How many of the others whom the topic is about; with a window, of those met in its newest periods."""
    TENURE = "tenure"
    """How long it has lasted."""
    AGO = "ago"
    """How long ago it happened: in periods or years, where the dtype says so, else in days."""
    COUNT = "count"
    """How often it happened in the window's newest periods; likewise all that follow."""
    ADDED = "added"
    ENDED = "ended"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    LATER = "later"
    NO_ANSWER = "no_answer"


OF_OUTCOMES: Mapping[str, Measure] = {outcome: Measure(outcome) for outcome in OUTCOMES}
"""How often a contact had each outcome."""

WINDOWED = frozenset({
    Measure.EARLIER, Measure.MEAN, Measure.RATE, Measure.CHANGE, Measure.COUNT, Measure.ADDED, Measure.ENDED,
    *OF_OUTCOMES.values(),
})  # fmt: skip
"""Measures that mean nothing without a window."""


@dataclass(frozen=True)
class TopicKey:
    """What makes a topic one: for a person, features of equal keys are one thing.

    Attributes
    ----------
    code : stable name, for records and statistics
    about : the product, family, channel, flow or attribute it is about; empty: the customer as a whole
    title : what a `FIGURE` is called; others have words of their own
    """

    code: str
    subject: Subject
    about: str = ""
    title: Title | None = None

    def __post_init__(self) -> None:
        if (self.subject is Subject.FIGURE) != (self.title is not None):
            raise ValueError(f"topic {self.code!r}: a topic has a title when it is a figure, and only then")


# two features are equal when they are one object: sentences said before are looked up by it, without reading its fields
@dataclass(frozen=True, eq=False, kw_only=True)
class Feature:
    """One column of the feature block.

    Attributes
    ----------
    group : what the columns of one computation share
    product : id of the product it is of, where the group has one column for each product
    key : what else the column is of, where the group has one for each: a family of products, a channel, a flow
    meaning : one line that a data scientist who has not read the code understands
    dtype : what the float32 values are, one of `DTYPES`
    topic : what it is of for a person
    window : periods that the measure looks at; 0: none
    sources : columns of customers that it is made of, directly or by way of what is made of them, such as the segment;
        a policy that hides one of them hides the feature
    vocabulary : column of customers whose texts the values are codes of; empty: they are no codes of texts
    """

    group: str
    product: str = ""
    key: str = ""
    meaning: str
    dtype: str
    topic: TopicKey
    measure: Measure
    window: int = 0
    sources: frozenset[str] = frozenset()
    vocabulary: str = ""

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise ValueError(f"feature {self.name!r}: dtype {self.dtype!r} is none of {', '.join(DTYPES)}")
        if self.measure in WINDOWED and self.window < 1:
            raise ValueError(
                f"feature {self.name!r}: measure {self.measure.value!r} needs a window of a period or more"
            )
        if self.topic.subject is Subject.FIGURE and self.dtype == "code" and not self.vocabulary:
            raise ValueError(f"feature {self.name!r}: a code can only be spoken of by the texts of a vocabulary")

    @property
    def name(self) -> str:
        """The group alone, or ``group:key`` where it has one column for each product, channel or the like."""
        key = self.product or self.key
        return f"{self.group}:{key}" if key else self.group
