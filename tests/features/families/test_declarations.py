"""What families declare of their features is complete, and true."""

from dataclasses import replace

import numpy as np
import pytest

from features import block_of, feature_set_of
from features.families import FAMILIES, Feature, Measure, Subject, Title, TopicKey
from features.states.segments import SEGMENT_SOURCES

from . import toy_family
from .other_attributes import attributes_of, with_others_values


def declared(**changed) -> Feature:
    return Feature(
        **{
            "group": "visits", "meaning": "visits", "dtype": "count", "measure": Measure.LEVEL,
            "topic": TopicKey("visits", Subject.FIGURE, title=Title("Visits", "到访")),
        } | changed
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"dtype": "days"}, "'visits': dtype 'days' is none of flag, count"),
        ({"measure": Measure.MEAN}, "'visits': measure 'mean' needs a window of a period or more"),
        ({"dtype": "code"}, "'visits': a code can only be spoken of by the texts of a vocabulary"),
    ],
)
def test_what_could_not_be_spoken_of_is_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        declared(**changed)


@pytest.mark.parametrize(("subject", "title"), [(Subject.FIGURE, None), (Subject.UNSPOKEN, Title("Visits", "到访"))])
def test_a_topic_has_a_title_when_it_is_a_figure(subject, title):
    with pytest.raises(ValueError, match="'visits': a topic has a title when it is a figure, and only then"):
        TopicKey("visits", subject, title=title)


def test_names_are_made_of_the_group_and_what_the_column_is_of():
    assert declared().name == "visits"
    assert declared(key="branch").name == "visits:branch"
    assert declared(product="loan").name == "visits:loan"


def test_families_have_titles_of_their_own():
    for titles in (
        [family.name for family in FAMILIES],
        [family.title.text for family in FAMILIES],
        [family.title.text_zh for family in FAMILIES],
    ):
        assert all(titles)
        assert len(set(titles)) == len(FAMILIES)


def test_sources_are_columns_of_customers(synthetic_states):
    known = set(attributes_of(synthetic_states))
    for feature in feature_set_of(synthetic_states).features:
        assert feature.sources <= known, feature.name
        if feature.topic.subject in (Subject.ATTRIBUTE, Subject.AGE, Subject.FOUNDED, Subject.ONBOARDING):
            assert len(feature.sources) == 1, feature.name


def test_what_is_made_of_the_segment_is_made_of_its_sources(synthetic_states):
    found = {f.group for f in feature_set_of(synthetic_states).features if f.sources >= SEGMENT_SOURCES}
    assert found == {"segment_holding_share", "segment_acquisition_rate"}
    dates = feature_set_of(synthetic_states).made_of({"birth_date"})
    groups = {feature_set_of(synthetic_states).features[column].group for column in dates}
    assert groups == {"years_since_birth_date", *found}


def test_nothing_is_made_of_no_attribute(synthetic_states):
    assert len(feature_set_of(synthetic_states).made_of(())) == 0
    assert len(feature_set_of(synthetic_states).made_of({"nonsense"})) == 0


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("with_toy", [False, True])
def test_no_feature_is_made_of_what_it_does_not_declare(synthetic_states, seed, with_toy, monkeypatch):
    """So none escapes a policy that hides an attribute."""
    if with_toy:
        toy_family.register(monkeypatch)
    states = replace(synthetic_states)  # nothing derived yet
    features, rng = feature_set_of(states), np.random.default_rng(seed)
    everyone = np.arange(states.n_customers)
    before = block_of(states, everyone, states.as_of_period).features
    moving = set()
    for attribute in attributes_of(states):
        after = block_of(with_others_values(states, attribute, rng), everyone, states.as_of_period).features
        moved = [c for c in range(before.shape[1]) if before[:, c].tobytes() != after[:, c].tobytes()]
        escaping = np.setdiff1d(moved, features.made_of({attribute}))
        assert [features.names[column] for column in escaping] == [], attribute
        moving |= {attribute} if moved else set()
    assert moving >= {"kind", "tier", "birth_date", "founded_on", "onboarded_on", "gender", "region", "income"}
    assert (toy_family.COLUMN in features.names) == with_toy
