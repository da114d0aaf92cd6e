"""Grounds: all that an offer's reasons may come from, numbered, and which of them speak for it, the strongest first.

The topics of the model's features come first, then what is not made of features: the strongest rule, what models say
that are not explained by features, triggers. A block's grounds are weighed and ranked as arrays; words are sought for
the few that are said.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from features.contracts import BIRTH_DATE, FOUNDED_ON, TIER
from features.families import Subject
from features.kernels import kernel
from features.states.segments import SEGMENT_SOURCES

from ..policy.sections import TRIGGERS
from .topics import PATTERN, SIMILAR, Topics
from .wording import SENTENCES
from .wording_client import Sentence

LEAST_STRENGTH = 0.05
"""Below it a reason is too weak to be said: about 5% more priority."""

AGE = "age"
"""By which a policy silences ages, of persons and of companies: whatever is made of the dates they come from."""

RULE, TRIGGER = "rule", "trigger:"

FURTHER = (RULE, PATTERN, SIMILAR, *(TRIGGER + name for name in (*TRIGGERS, "later")))
"""Codes of the grounds that are not made of features alone, in order; that of similar clients is the topic's, with what
models of segments add."""

ReasonKind = Literal["model", "holdings", "trigger", "popularity", "asked"]

_ATTRIBUTES = {
    SIMILAR: SEGMENT_SOURCES,
    TRIGGER + "next_tier": frozenset({TIER}),
    TRIGGER + "life_stage_birthday": frozenset({BIRTH_DATE}),
}
"""Columns of customers that the words of `FURTHER` speak of."""

_NOT_OF_TOPICS = frozenset({Subject.UNSPOKEN, Subject.SIMILAR})
"""Never said of a topic alone: on purpose, or because it is said with what models add, as one of `FURTHER`."""

_KEPT: WeakKeyDictionary[Topics, dict[frozenset[str], Grounds]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Grounds:
    """The grounds that some states give, under a policy.

    Attributes
    ----------
    codes : of the topics, then `FURTHER`
    kinds : of the reasons they give
    sentences : of the topics
    least : float64, shape (n_grounds,); strength above which each is said; infinite: never
    ranks : int64, shape (n_grounds,); places in the order of codes, by which ties go
    """

    codes: tuple[str, ...]
    kinds: tuple[ReasonKind, ...]
    sentences: tuple[Sentence, ...]
    least: NDArray[np.float64]
    ranks: NDArray[np.int64]

    @classmethod
    def of(cls, topics: Topics, silenced: frozenset[str]) -> Grounds:
        """Those of `topics` when nothing is said of the attributes `silenced`, of which `AGE` may be one; made once."""
        kept = _KEPT.setdefault(topics, {})
        found = kept.get(silenced)
        if found is None:
            found = kept[silenced] = cls._of(topics, silenced)
        return found

    @classmethod
    def _of(cls, topics: Topics, silenced: frozenset[str]) -> Grounds:
        if AGE in silenced:
            silenced |= {BIRTH_DATE, FOUNDED_ON}
        codes = (*(topic.code for topic in topics.topics), *FURTHER)
        least = [
            LEAST_STRENGTH if topic.subject not in _NOT_OF_TOPICS and silenced.isdisjoint(topic.attributes) else np.inf
            for topic in topics.topics
        ]
        for code in FURTHER:
            speaks = silenced.isdisjoint(_ATTRIBUTES.get(code, ()))
            # a lift or weight that is said at all is above 1
            least.append((LEAST_STRENGTH if code in (PATTERN, SIMILAR) else 0.0) if speaks else np.inf)
        ranks = np.empty(len(codes), dtype=np.int64)
        ranks[sorted(range(len(codes)), key=codes.__getitem__)] = np.arange(len(codes))
        kinds = tuple(_kind_of(code) for code in codes)
        sentences = tuple(SENTENCES[topic.subject] for topic in topics.topics)
        return cls(codes, kinds, sentences, np.array(least), ranks)

    def ranked(self, strengths: NDArray[np.float64]) -> tuple[list[list[list[int]]], list[list[list[float]]]]:
        """Of each customer and offer, the grounds that are strong enough to be said, the strongest first, ties by code;
        and how strong they are.

        Of all as many: -1 where there are no more.

        Parameters
        ----------
        strengths : float64, shape (n_customers, k, n_grounds)
        """
        order, sizes = np.empty(strengths.shape, dtype=np.int64), np.empty(strengths.shape)
        longest = _rank(strengths, self.least, self.ranks, order, sizes)
        return order[..., :longest].tolist(), sizes[..., :longest].tolist()


def _kind_of(code: str) -> ReasonKind:
    if code in (RULE, PATTERN):
        return "holdings"
    return "trigger" if code.startswith(TRIGGER) else "model"


@kernel
def _rank(strengths, least, ranks, order, sizes):  # type: ignore[no-untyped-def]
    """Write the grounds of each offer that exceed `least` into `order`, then -1, and their strengths into `sizes`; the
    most that any has."""
    longest = 0
    for row in range(len(strengths)):
        for place in range(strengths.shape[1]):
            mine, chosen = strengths[row, place], order[row, place]
            count = 0
            for ground in range(len(least)):
                strength = mine[ground]
                if not strength > least[ground]:
                    continue
                # an insertion sort: there are few
                at = count
                while at > 0:
                    other = chosen[at - 1]
                    if mine[other] > strength or (mine[other] == strength and ranks[other] < ranks[ground]):
                        break
                    chosen[at] = other
                    at -= 1
                chosen[at] = ground
                count += 1
            chosen[count:] = -1
            for at in range(count):
                sizes[row, place, at] = mine[chosen[at]]
            longest = max(longest, count)
    return longest
