"""Grounds: which there are, what silences them, and the order in which they are said."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.contracts import BIRTH_DATE, TIER
from features.families import Subject
from features.states import current_states
from serving.decisions.policy.sections import TRIGGERS
from serving.decisions.reasons.grounds import FURTHER, LEAST_STRENGTH, Grounds
from serving.decisions.reasons.topics import Topics


@pytest.fixture(scope="module")
def topics(trained):
    return Topics.of(current_states(trained))


def least_of(grounds: Grounds) -> dict[str, float]:
    """By code; similar clients are spoken of once, with what models add, which stands last."""
    return dict(zip(grounds.codes, grounds.least.tolist(), strict=True))


SIZES = st.lists(
    st.lists(st.sampled_from([-1.0, 0.0, 0.05, 0.0500001, 0.3, 0.3, 2.0]), min_size=4, max_size=4), max_size=5
)


@given(SIZES)
def test_the_strongest_come_first_and_ties_go_by_code(strengths):
    least = np.array([0.05, 0.05, 0.0, np.inf])
    grounds = Grounds(("b", "a", "d", "c"), ("model",) * 4, (None,) * 4, least, np.array([1, 0, 3, 2]))
    ranked, ordered = grounds.ranked(np.array(strengths).reshape(1, -1, 4))
    expected = [
        sorted(
            (ground for ground in range(4) if row[ground] > least[ground]),
            key=lambda ground, row=row: (-row[ground], grounds.codes[ground]),
        )
        for row in strengths
    ]
    longest = max(map(len, expected), default=0)
    assert ranked == [[mine + [-1] * (longest - len(mine)) for mine in expected]]
    for row, mine, strongest in zip(strengths, expected, *ordered, strict=True):
        assert strongest[: len(mine)] == [row[ground] for ground in mine]


def test_are_the_topics_and_what_is_not_made_of_features(topics):
    grounds = Grounds.of(topics, frozenset())
    assert grounds.codes == (*(topic.code for topic in topics.topics), *FURTHER)
    in_order = [grounds.codes[ground] for ground in np.argsort(grounds.ranks)]
    assert in_order == sorted(grounds.codes)
    assert set(FURTHER) == {"rule", "holdings_pattern", "similar", "trigger:later", *(f"trigger:{t}" for t in TRIGGERS)}
    kinds = dict(zip(grounds.codes, grounds.kinds, strict=True))
    assert (kinds["rule"], kinds["holdings_pattern"]) == ("holdings", "holdings")
    assert (kinds["trigger:later"], kinds["similar"], kinds["age"]) == ("trigger", "model", "model")


def test_are_made_once_for_what_is_silenced(topics):
    assert Grounds.of(topics, frozenset({TIER})) is Grounds.of(topics, frozenset({TIER}))
    assert Grounds.of(topics, frozenset({TIER})) is not Grounds.of(topics, frozenset())


def test_without_words_are_never_said(topics):
    grounds = Grounds.of(topics, frozenset())
    for ground, topic in enumerate(topics.topics):
        speaks = topic.subject not in (Subject.UNSPOKEN, Subject.SIMILAR)  # the latter is said with what models add
        assert grounds.least[ground] == (LEAST_STRENGTH if speaks else np.inf)


@pytest.mark.parametrize(
    ("silenced", "codes"),
    [
        (TIER, {"attribute:tier", "similar", "trigger:next_tier"}),
        (BIRTH_DATE, {"age", "similar", "trigger:life_stage_birthday"}),
        ("age", {"age", "founded", "similar", "trigger:life_stage_birthday"}),
        ("region", {"attribute:region"}),
        ("nonsense", set()),
    ],
)
def test_of_a_silenced_attribute_are_never_said(topics, silenced, codes):
    spoken, rest = least_of(Grounds.of(topics, frozenset())), least_of(Grounds.of(topics, frozenset({silenced})))
    assert {code for code in rest if rest[code] == np.inf > spoken[code]} == codes & spoken.keys()
    assert all(rest[code] == spoken[code] for code in rest.keys() - codes)
