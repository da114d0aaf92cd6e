"""What a policy keeps from the models moves nothing they say: whoever has another value of it is scored the same."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from features import block_of, feature_set_of
from features.states.segments import SEGMENT_SOURCES
from serving.answering.engine import DecisionEngine
from serving.decisions import Policy
from serving.decisions.layers.hidden_features import unseen
from serving.decisions.policy.schema import NEEDED_ATTRIBUTES
from tests.features.families.other_attributes import attributes_of, with_others_values
from tests.serving.later import CLOCK
from training import CHAMPION, Bundle, Tracking


@pytest.fixture(scope="module")
def whole(trained):
    """The champion's bundle with every model of it."""
    return Bundle.open(Tracking(trained).version(CHAMPION).folder)


def hiding(engine, *attributes: str) -> Policy:
    content = engine.policy.policy.model_dump(by_alias=True, exclude_unset=True)
    return Policy.model_validate(content | {"attributes": {"not_used": attributes}})


def said_by(whole, engine, states, attributes) -> dict[str, bytes]:
    """What each model says of everybody, and what is served."""
    block = block_of(states, np.arange(states.n_customers), states.as_of_period)
    seen = unseen(block, feature_set_of(states).made_of(attributes))
    served = DecisionEngine(states, whole, "1", engine.policy, CLOCK).score_for(hiding(engine, *attributes))
    models = {name: whole.propensities(seen, name).tobytes() for name in whole.models}
    return models | {"served": served(block).tobytes()}


@given(st.data(), st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_not_used_changes_no_propensity(whole, engine, data, seed):
    states = engine.states
    allowed = sorted(set(attributes_of(states)) - NEEDED_ATTRIBUTES)
    attribute = data.draw(st.sampled_from(allowed))
    others = data.draw(st.lists(st.sampled_from(allowed), unique=True, max_size=2))
    changed = with_others_values(states, attribute, np.random.default_rng(seed))
    hidden = sorted({attribute, *others})
    assert said_by(whole, engine, states, hidden) == said_by(whole, engine, changed, hidden)


@pytest.mark.parametrize("attribute", ["income", "onboarded_on"])
def test_used_it_would(whole, engine, attribute):
    states = engine.states
    changed = with_others_values(states, attribute, np.random.default_rng(1))
    before, after = (said_by(whole, engine, each, []) for each in (states, changed))
    assert before["propensity"] != after["propensity"]


@pytest.mark.parametrize("attribute", sorted(NEEDED_ATTRIBUTES))
def test_what_is_needed_cannot_be_left_unused(engine, attribute):
    with pytest.raises(ValidationError, match=f"'{attribute}' cannot be left unused"):
        hiding(engine, attribute)


@pytest.mark.parametrize("attribute", sorted(SEGMENT_SOURCES))
def test_what_segments_are_made_of_is_needed(whole, engine, attribute):
    """To hide the features would not do: models read the segment beside them."""
    assert attribute in NEEDED_ATTRIBUTES
    states = engine.states
    changed = with_others_values(states, attribute, np.random.default_rng(1))
    before, after = (said_by(whole, engine, each, []) for each in (states, changed))
    assert before["popularity"] != after["popularity"]
