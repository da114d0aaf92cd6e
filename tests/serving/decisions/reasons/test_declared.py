"""What is said of a feature, silenced, hidden or exchanged follows what its family declares, whatever it is called."""

from dataclasses import replace

import numpy as np
import pytest

from features import block_of, current_states, families, feature_set_of
from features.families import FAMILIES, Measure, Subject
from serving.decisions.policy.sections import TRIGGERS
from serving.decisions.reasons.grounds import FURTHER
from serving.decisions.reasons.sources import _COVERED
from serving.decisions.reasons.topics import Topics
from serving.decisions.reasons.wording import SENTENCES
from serving.decisions.reasons.wording_client import unsaid
from tests.features.families import toy_family
from tests.features.families.other_attributes import attributes_of
from training.bundle.layout import Layout
from training.evaluation.importance import _units
from training.uplift.design import Design

from .told_bank import build_bank, client_of, sentence

UNSPOKEN = {
    "complaints", "attribute:gender", "attribute:kind", "date:risk_assessed_on", "date:risk_expires_on",
}  # fmt: skip
"""What nobody is told of, on purpose."""


def renamed(family):
    """The same family, in which no group has a name that tells anything."""

    class Renamed(family):
        def define(self, states):
            groups = {}
            return [
                replace(feature, group=groups.setdefault(feature.group, f"{family.name[:2]}{len(groups)}"))
                for feature in super().define(states)
            ]

    return Renamed


@pytest.fixture(scope="module", params=["hand-made", "synthetic"])
def workspace(request, trained, tmp_path_factory):
    return trained if request.param == "synthetic" else build_bank(tmp_path_factory.mktemp("told"))


@pytest.fixture
def pair(workspace, monkeypatch):
    """States as they are, and with other names for every feature."""
    usual = current_states(workspace)
    feature_set_of(usual)
    monkeypatch.setattr(families, "FAMILIES", tuple(renamed(family) for family in FAMILIES))
    other = current_states(workspace)
    assert set(feature_set_of(usual).names).isdisjoint(feature_set_of(other).names)
    return usual, other


class TestOtherNames:
    def test_change_no_topic(self, pair):
        usual, other = (Topics.of(states) for states in pair)
        assert (usual.holds, usual.similar) == (other.holds, other.similar)
        for mine, theirs in zip(usual.topics, other.topics, strict=True):
            assert replace(mine, columns=0, features=0) == replace(theirs, columns=0, features=0)
            assert mine.columns.tolist() == theirs.columns.tolist()

    def test_change_no_sentence(self, pair):
        usual, other = pair
        rng, said = np.random.default_rng(5), 0
        n_features, n_products = len(feature_set_of(usual).names), len(usual.catalogue)
        for position in rng.permutation(usual.n_customers)[:40].tolist():
            clients = [client_of(states, position) for states in pair]
            added, product = rng.normal(size=n_features), int(rng.integers(n_products))
            for topics in zip(Topics.of(usual).topics, Topics.of(other).topics, strict=True):
                one, two = (sentence(t, c, product, added) for t, c in zip(topics, clients, strict=True))
                assert one == two, topics[0].code
                said += one is not None
        assert said > 50

    def test_hide_nothing_else(self, pair):
        usual, other = (feature_set_of(states) for states in pair)
        for attribute in attributes_of(pair[0]):
            assert usual.made_of({attribute}).tolist() == other.made_of({attribute}).tolist()

    def test_exchange_nothing_else(self, pair):
        usual, other = (_units(states) for states in pair)
        assert [replace(unit, name="") for unit in usual] == [replace(unit, name="") for unit in other]

    def test_lay_out_nothing_else(self, pair):
        usual, other = (Design.of(states) for states in pair)
        assert usual.customer_columns.tolist() == other.customer_columns.tolist()
        assert usual.product_columns.tolist() == other.product_columns.tolist()
        assert Layout.of(pair[0]).vocabularies == Layout.of(pair[1]).vocabularies

    def test_change_no_value(self, pair):
        usual, other = (block_of(states, np.arange(5), states.as_of_period).features for states in pair)
        assert usual.tobytes() == other.tobytes()


class TestSubjects:
    def test_each_has_a_sentence_or_is_unspoken_on_purpose(self):
        assert set(SENTENCES) == set(Subject)
        assert {subject for subject, say in SENTENCES.items() if say is unsaid} == {Subject.UNSPOKEN}

    def test_what_is_unspoken_is_known(self, workspace):
        topics = Topics.of(current_states(workspace)).topics
        assert {topic.code for topic in topics if topic.subject is Subject.UNSPOKEN} <= UNSPOKEN

    def test_measures_that_sentences_ask_for_are_there(self, workspace):
        needed = {
            Subject.BALANCES: {Measure.LEVEL},
            Subject.MONEY: {Measure.LEVEL, Measure.MEAN},
            Subject.USE: {Measure.LEVEL, Measure.MEAN},
            Subject.PAYMENTS: {Measure.LEVEL, Measure.MEAN},
        }
        for topic in Topics.of(current_states(workspace)).topics:
            assert needed.get(topic.subject, set()) <= set(topic.first), topic.code
            assert all(topic.features[place].measure is measure for measure, place in topic.first.items())

    def test_topics_that_triggers_cover_are_declared(self, trained):
        codes = {topic.code for topic in Topics.of(current_states(trained)).topics}
        assert set(_COVERED) <= set(TRIGGERS)
        assert {code for covered in _COVERED.values() for code in covered} <= codes
        assert codes & set(FURTHER) == {"similar"}

    def test_two_topics_of_one_code_are_refused(self, workspace, monkeypatch):
        def define(self, states):
            (feature,) = toy_family.ToyFamily.define(self, states)
            return [replace(feature, topic=replace(feature.topic, code="contacts"))]

        clash = type("Clash", (toy_family.ToyFamily,), {"define": define})
        monkeypatch.setattr(families, "FAMILIES", (*FAMILIES, clash))
        with pytest.raises(ValueError, match="two topics have the code 'contacts'"):
            Topics.of(current_states(workspace))
