"""Nobody's first answer waits for what could have been made ready: `test_compilation` tells that nothing does."""

from dataclasses import replace

import numpy as np

from serving.deployment.rehearsal import _TOGETHER, _one_of_each_kind
from serving.desk.desk import BLOCK


def test_it_asks_about_as_many_together_as_the_desk_does():
    """The desk is built on what is in use, which cannot look up to it."""
    assert max(_TOGETHER) == BLOCK


def test_it_asks_for_a_customer_of_each_kind_that_exists(engine):
    states = engine.states
    profile = states.profile

    def kinds(of):
        positions = np.array([states.position_of(customer_id) for customer_id in _one_of_each_kind(of)])
        return [profile.text("kind", version) for version in profile.indptr[positions]]

    assert sorted(kinds(states)) == ["corporate", "retail"]
    retail = profile.vocabularies["kind"].index("retail")
    only = replace(profile, codes=profile.codes | {"kind": np.full_like(profile.codes["kind"], retail)})
    assert _one_of_each_kind(replace(states, profile=only)) == [states.customer_id(0)]
    nobody = replace(profile, codes=profile.codes | {"kind": np.full_like(profile.codes["kind"], -1)})
    assert _one_of_each_kind(replace(states, profile=nobody)) == []
