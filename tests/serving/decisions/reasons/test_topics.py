import numpy as np
import pytest

from features import feature_set_of
from features.build import BuildConfig, build_states
from features.calendar import Calendar, Frequency
from features.families import Subject
from features.states import CustomerStates, current_states
from features.states.segments import SEGMENT_SOURCES
from serving.decisions.reasons.topics import Topics, _sum_up
from tests.features.banks import NEWEST_DAY, RandomBank, write_parquet

FREQUENCIES = [Frequency.MONTH, Frequency.WEEK, Frequency.QUARTER]


@pytest.fixture(scope="module", params=["synthetic", *FREQUENCIES])
def states(request, trained, tmp_path_factory) -> CustomerStates:
    if request.param == "synthetic":
        return current_states(trained)
    folder = tmp_path_factory.mktemp("random")
    write_parquet(folder / "tables", RandomBank(21, Calendar(request.param)).tables())
    return build_states(
        folder / "tables", folder / "workspace", BuildConfig(period=request.param), as_of=NEWEST_DAY
    ).states


def topic_of(states: CustomerStates, code: str):
    return next(topic for topic in Topics.of(states).topics if topic.code == code)


def test_every_feature_has_exactly_one_topic(states):
    topics = Topics.of(states).topics
    columns = np.concatenate([topic.columns for topic in topics])
    assert sorted(columns.tolist()) == list(range(len(feature_set_of(states).names)))
    codes = [topic.code for topic in topics]
    assert len(set(codes)) == len(codes)


def test_names_stand_beside_their_columns(states):
    for topic in Topics.of(states).topics:
        names = tuple(feature.name for feature in topic.features)
        assert names == tuple(feature_set_of(states).names[column] for column in topic.columns)


def test_sums_of_topics_are_sums_of_features(states):
    topics = Topics.of(states)
    rng = np.random.default_rng(3)
    features = rng.normal(size=(4, 2, len(feature_set_of(states).names)))
    sums = np.full((4, 2, len(topics.topics) + 1), 7.0)
    topics.sum_up(features, sums)
    assert (sums[..., -1] == 7).all()
    np.testing.assert_allclose(sums[..., :-1].sum(axis=-1), features.sum(axis=-1), rtol=1e-12)
    for number, topic in enumerate(topics.topics):
        mine = features[..., topic.columns]
        np.testing.assert_allclose(sums[..., number], mine.sum(axis=-1), rtol=1e-12, atol=1e-14)
        assert np.array_equal(sums[..., number], np.add.reduceat(mine, [0], axis=-1)[..., 0])


@pytest.mark.parametrize("size", [1, 2, 8, 9, 24, 129, 130, 700])
def test_sums_are_numpys_to_the_last_bit(size):
    rng = np.random.default_rng(size)
    features = rng.normal(size=(3, 2, size + 3)) * 10.0 ** rng.integers(-6, 6, (3, 2, size + 3))
    order, starts, sums = rng.permutation(size + 3), np.array([0, size, size + 3]), np.empty((3, 2, 2))
    _sum_up(features, order, starts, sums)
    assert sums.tobytes() == np.add.reduceat(features[..., order], starts[:-1], axis=-1).tobytes()


def test_are_made_once(states):
    assert Topics.of(states) is Topics.of(states)


def test_a_product_is_one_topic_whatever_is_known_of_its_holding(states):
    product_id = states.catalogue.product_ids[-1]
    topic = topic_of(states, f"holds:{product_id}")
    groups = ["held", "held_lag_1", "held_lag_2", "held_lag_3", "tenure", "age_since_add", "age_since_drop"]
    names = tuple(feature.name for feature in topic.features)
    assert names == tuple(f"{group}:{product_id}" for group in [*groups, "adds", "drops"])
    assert topic.product == len(states.catalogue) - 1


def test_what_may_be_silenced(states):
    topics = {topic.code: topic for topic in Topics.of(states).topics}
    assert topics["age"].attributes == {"birth_date"}
    assert topics["founded"].attributes == {"founded_on"}
    assert topics["similar"].attributes == SEGMENT_SOURCES
    for name in ("gender", "region", "tier", "risk_level", "income"):
        assert topics[f"attribute:{name}"].attributes == {name}
    for topic in topics.values():
        if topic.subject in (Subject.ATTRIBUTE, Subject.AGE, Subject.FOUNDED, Subject.ONBOARDING):
            assert topic.attributes


@pytest.mark.parametrize("code", ["complaints", "attribute:gender", "attribute:kind", "date:risk_expires_on"])
def test_what_is_never_spoken(states, code):
    assert topic_of(states, code).subject is Subject.UNSPOKEN
