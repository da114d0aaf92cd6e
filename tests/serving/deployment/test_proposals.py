"""What may not be used is not, whoever asks for it and however."""

import pytest

from serving.decisions.policy.loading import POLICY_FILE, load_policy
from serving.deployment import NotApproved, current, history, propose
from serving.deployment.policies import archived
from tests.serving.later import CLOCK
from training.tracking import CHAMPION, Tracking

from .changing import deploy, edit_policy, made_of, roll_back, take_up


def digest_in(workspace):
    return load_policy(workspace / POLICY_FILE).digest


def refuse(digest):
    return f"{digest} is not good enough"


class TestDeploying:
    def test_what_may_not_be_used_changes_nothing(self, workspace):
        made = deploy(workspace, by="li", may_use=refuse)  # the first needs nobody
        edit_policy(workspace, "another")
        digest = digest_in(workspace)
        with pytest.raises(NotApproved, match=rf"^demo@2026\.2#{digest} is not put into use: {digest} is not good"):
            deploy(workspace, by="li", may_use=refuse)
        assert history(workspace) == (made,)

    def test_what_is_asked_is_the_digest_that_is_to_be_used(self, workspace):
        deploy(workspace, by="li")
        edit_policy(workspace, "another")
        asked = []
        deploy(workspace, policy="current", by="li", may_use=asked.append)
        assert asked == [digest_in(workspace)]
        deploy(workspace, model="2", by="li", may_use=refuse)  # with the policy in use
        roll_back(workspace, by="li")


class TestStarting:
    def test_the_rest_goes_live_without_the_policy(self, workspace, builds):
        """A model promoted and a policy edited since: only the policy waits, until it may."""
        first = deploy(workspace, by="li")
        edit_policy(workspace, "another")
        Tracking(workspace).point(CHAMPION, "2")
        (made, engine), refused = take_up(workspace, may_use=refuse)
        assert made_of(made) == ("2", builds[0], first.policy_digest)
        assert engine.policy.digest == first.policy_digest
        assert refused.endswith("is not good enough")
        (again, _), refused = take_up(workspace, may_use=refuse)  # nothing else is new
        assert again == made
        assert refused.endswith("is not good enough")
        (last, _), refused = take_up(workspace, may_use=lambda digest: None)
        assert (made_of(last), refused) == (("2", builds[0], digest_in(workspace)), None)
        (again, _), refused = take_up(workspace, may_use=refuse)
        assert (again, refused) == (last, None)

    def test_when_it_cannot_be_asked_what_is_in_use_stays(self, workspace):
        made = deploy(workspace, by="li")
        edit_policy(workspace, "another")

        def away(digest):
            raise OSError("no database")

        (deployment, _), refused = take_up(workspace, may_use=away)
        assert deployment == made == current(workspace)
        assert "no database" in refused


def test_what_is_proposed_is_kept_and_not_used(workspace):
    made = deploy(workspace, by="li")
    states = take_up(workspace)[0].engine.states
    edit_policy(workspace, "another")
    proposed = propose(workspace, None, states, CLOCK.today())
    assert proposed.digest == digest_in(workspace)
    assert archived(workspace, proposed.digest).document.data == (workspace / POLICY_FILE).read_bytes()
    assert propose(workspace, made.policy_digest, states, CLOCK.today()).digest == made.policy_digest
    assert current(workspace) == made
