"""A policy goes into use when another person has approved it: by a swap, and at a start."""

import pytest

from serving.decisions.policy.loading import POLICY_FILE, load_policy
from tests.serving.api.bank import Bank, assert_problem, bank_of
from tests.serving.deployment.changing import break_policy, edit_policy

ROUTE, SWAP, ROLLBACK = "/v1/approvals", "/v1/admin/swap", "/v1/admin/rollback"
APPROVE = {"decision": "approve"}


@pytest.fixture
def bank(trained, tmp_path):
    with bank_of(trained, tmp_path) as running:
        yield running


@pytest.fixture
def workspace(bank):
    return bank.workspace


@pytest.fixture
def officer(bank):
    return bank.token("risk_officer", subject="officer")


def digest_in(workspace):
    return load_policy(workspace / POLICY_FILE).digest


def in_use(bank):
    return bank.service.in_use.get()[0].policy_digest


def approved(bank, officer, **content):
    asked = bank.post(ROUTE, json={"kind": "policy", "content": content}).json()
    answer = bank.post(f"{ROUTE}/{asked['approval_id']}", officer, json=APPROVE)
    assert answer.status_code == 200, answer.text
    return asked


class TestSwap:
    def test_another_policy_takes_an_approval(self, bank, workspace, officer):
        """Broken before: one administrator alone put any policy into use."""
        before = in_use(bank)
        assert bank.post(SWAP, json={}).status_code == 200  # the same policy
        edit_policy(workspace, "another")
        digest = digest_in(workspace)
        for wanted in ({}, {"policy": "current"}):
            assert_problem(bank.post(SWAP, json=wanted), 409, f"#{digest} is not put into use", "has no approval")
        asked = bank.post(ROUTE, json={"kind": "policy"}).json()
        assert asked["content"] == {"digest": digest, "name": f"demo@2026.2#{digest}"}
        for wanted in ({}, {"policy": "current"}, {"policy": digest}):
            assert_problem(bank.post(SWAP, json=wanted), 409, "waits for its approval", asked["approval_id"])
        assert_problem(bank.post(f"{ROUTE}/{asked['approval_id']}", json=APPROVE), 403, "another person")
        assert bank.post(f"{ROUTE}/{asked['approval_id']}", officer, json=APPROVE).status_code == 200
        assert bank.post(SWAP, json={"policy": "current"}).json()["policy"].endswith(f"#{digest}")
        assert bank.post(ROLLBACK).json()["policy"].endswith(f"#{before}")  # it was in use before

    def test_the_rest_takes_none(self, bank, workspace):
        edit_policy(workspace, "another")
        assert bank.post(SWAP, json={"model": "champion", "states": "current"}).status_code == 200

    def test_what_was_approved_is_what_is_used(self, bank, workspace, officer):
        """Whatever becomes of the file between approval and swap."""
        edit_policy(workspace, "approved")
        digest = approved(bank, officer)["content"]["digest"]
        edit_policy(workspace, "changed since")
        assert_problem(bank.post(SWAP, json={"policy": "current"}), 409, "has no approval")
        assert bank.post(SWAP, json={"policy": digest}).json()["policy"].endswith(f"#{digest}")

    def test_a_refused_one_may_be_asked_for_again(self, bank, workspace, officer):
        edit_policy(workspace, "another")
        first = bank.post(ROUTE, json={"kind": "policy"}).json()
        refusal = {"decision": "refuse", "reason": "too early"}
        assert bank.post(f"{ROUTE}/{first['approval_id']}", officer, json=refusal).status_code == 200
        assert_problem(bank.post(SWAP, json={}), 409, "has no approval")
        approved(bank, officer)
        assert bank.post(SWAP, json={}).status_code == 200

    def test_one_person_may_where_the_settings_allow_it(self, trained, tmp_path):
        with bank_of(trained, tmp_path, access={"single_person": True}) as bank:
            edit_policy(bank.workspace, "another")
            assert bank.post(SWAP, json={}).json()["policy"].endswith(f"#{digest_in(bank.workspace)}")
            edit_policy(bank.workspace, "a third")
            asked = bank.post(ROUTE, json={"kind": "policy"}).json()
            assert bank.post(f"{ROUTE}/{asked['approval_id']}", json=APPROVE).json()["status"] == "approved"


class TestAsking:
    def test_whoever_decides_sees_what_is_asked(self, bank, workspace, officer):
        edit_policy(workspace, "to be read by the officer")
        asked = bank.post(ROUTE, json={"kind": "policy"}).json()
        seen = bank.get(f"{ROUTE}/{asked['approval_id']}", officer).json()
        assert seen["policy"]["document"].endswith("# to be read by the officer\n")
        assert seen["policy"]["words"]
        in_chinese = bank.get(f"{ROUTE}/{asked['approval_id']}", officer, params={"language": "zh"}).json()
        assert in_chinese["policy"]["words"][0]["heading"] != seen["policy"]["words"][0]["heading"]
        assert in_chinese["policy"]["suitability_pack"] == seen["policy"]["suitability_pack"]

    def test_it_is_asked_for_once(self, bank, workspace, officer):
        edit_policy(workspace, "another")
        key = {"Idempotency-Key": "policy-1"}
        asked = bank.post(ROUTE, json={"kind": "policy"}, headers=key).json()
        again = bank.post(ROUTE, json={"kind": "policy"}, headers=key).json()
        assert again == asked | {"repeated": True}
        other = bank.token("administrator", subject="another")
        refused = bank.post(ROUTE, other, json={"kind": "policy"})
        assert_problem(refused, 409, f"is open already, by approval {asked['approval_id']}")
        bank.post(f"{ROUTE}/{asked['approval_id']}", officer, json=APPROVE)
        assert_problem(bank.post(ROUTE, other, json={"kind": "policy"}), 409, "is approved already")

    def test_what_is_broken_is_not_asked_for(self, bank, workspace):
        break_policy(workspace)
        assert_problem(bank.post(ROUTE, json={"kind": "policy"}), 422, "no_such_section")
        assert_problem(bank.post(ROUTE, json={"kind": "policy", "content": {"policy": "f00"}}), 404, "f00")
        assert_problem(bank.post(ROUTE, json={"kind": "war"}), 422, "kind")
        assert bank.get(ROUTE).json()["total"] == 0


class TestStart:
    """A start takes up what the workspace names: it must not be a way around the approval."""

    @pytest.fixture
    def started(self, bank, workspace):
        """Start another service over the workspace; what it has in use, and why not something else."""

        def start(**access):
            with Bank(workspace, access=access) as again:
                return again.service.in_use.get()[0], again.service.in_use.failure

        return start

    def test_it_takes_up_no_policy_that_nobody_approved(self, bank, workspace, officer, started):
        before = in_use(bank)
        edit_policy(workspace, "another")
        for _ in range(2):  # and not at the next start either
            deployment, failure = started()
            assert (deployment.number, deployment.policy_digest) == (1, before)
            assert failure.startswith("the policy of deployment 1 stays in use: ")
            assert "has no approval" in failure
        approved(bank, officer)
        deployment, failure = started()
        assert (deployment.number, deployment.policy_digest, failure) == (2, digest_in(workspace), None)

    def test_one_person_may_where_the_settings_allow_it(self, bank, workspace, started):
        edit_policy(workspace, "another")
        assert started(single_person=True)[0].policy_digest == digest_in(workspace)

    def test_the_first_needs_none(self, bank):
        assert bank.service.in_use.get()[0].number == 1
