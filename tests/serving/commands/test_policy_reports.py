"""The commands that say what a policy does to everybody, on the trained workspace."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from features.errors import NotFound
from serving.commands.policy_reports import app
from serving.decisions import FreshEvents
from serving.decisions.policy.problems import BadPolicy
from serving.simulation.outcomes import compare
from serving.simulation.scenarios import scenarios_of
from tests.serving.simulation.scenarios import LIMIT, POLICY, bank_policy, simulate


@pytest.fixture
def policies(tmp_path):
    """Two policy files: the bank's, and one that takes silence for a no and hides nothing from the models."""
    old, new = tmp_path / "old.yaml", tmp_path / "new.yaml"
    old.write_text(POLICY, encoding="utf-8")
    changed = POLICY.replace("not_used: [region]", "not_used: []")
    new.write_text(changed + "consent: {marketing_without_record: refused}\n", encoding="utf-8")
    return old, new


def run(*arguments) -> str:
    outcome = CliRunner().invoke(app, [str(one) for one in arguments], catch_exceptions=False)
    assert outcome.exit_code == 0, outcome.output
    return outcome.stdout


class TestDiff:
    def test_says_what_each_change_does(self, trained, policies):
        text = run("diff", *policies, "--on", trained)
        assert "changed consent.marketing_without_record" in text
        assert "changed attributes.not_used: region -> none" in text
        assert "all together" in text

    def test_is_json_of_the_same(self, trained, policies):
        content = json.loads(run("diff", *policies, "--on", trained, "--json", "--limit", LIMIT))
        assert [change["name"] for change in content["changes"]] == [
            "attributes.not_used",
            "consent.marketing_without_record",
        ]
        assert content["whole"]["lost"] > 0
        assert content["customers"] > 600

    def test_through_a_channel(self, trained, policies):
        content = json.loads(run("diff", *policies, "--on", trained, "--json", "--channel", "app"))
        assert content["old"]["channel"] == content["new"]["channel"] == "app"

    def test_a_channel_that_does_not_exist_is_refused(self, trained, policies):
        with pytest.raises(NotFound, match="pigeon"):
            run("diff", *policies, "--on", trained, "--channel", "pigeon")

    def test_a_policy_that_does_not_fit_the_bank_is_refused(self, trained, policies):
        policies[1].write_text(POLICY.replace("personal_pension", "personal_penson"), encoding="utf-8")
        with pytest.raises(BadPolicy, match="personal_penson"):
            run("diff", *policies, "--on", trained)


def test_levers_of_the_policy_in_use(own):
    workspace, _ = own
    (workspace / "policy.yaml").write_text(POLICY, encoding="utf-8")
    assert "pension-push" in run("levers", workspace)
    content = json.loads(run("levers", workspace, "--json"))
    assert [one["rule"] for one in content["levers"]] == ["pension-push", "gold-push"]


def test_fairness_of_the_policy_in_use(own):
    workspace, _ = own
    (workspace / "policy.yaml").write_text(POLICY, encoding="utf-8")
    assert "Who is offered what under bank@1" in run("fairness", workspace, "--all")
    content = json.loads(run("fairness", workspace, "--json"))
    assert content["policy"] == "bank@1"
    assert content["findings"]


def test_what_is_simulated_is_what_is_served(engine):
    """The newest period under the policy in use: the offers of the engine's own stream."""
    policy = engine.policy.policy
    scenario = scenarios_of(engine, None, FreshEvents.none())(policy)
    assert scenario.context == engine.context()
    (found,) = simulate(scenario.score, [scenario.policy], scenario.context, limit=LIMIT)
    served = list(engine.stream(limit=LIMIT))
    offers = [
        sum((decisions.products == product).sum() for decisions in served) for product in range(len(found.offers))
    ]
    assert found.offers.tolist() == offers
    assert sum(offers) > 0


def test_hiding_an_attribute_changes_what_the_models_see(engine):
    """The score of a policy that hides income is another one, and both are computed once."""
    scenario_of = scenarios_of(engine, None, FreshEvents.none())
    plain, hiding = (
        scenario_of(bank_policy(attributes=bank_policy().attributes.model_copy(update={"not_used": names})))
        for names in ((), ("income", "occupation"))
    )
    _, (difference,) = compare(plain, [hiding], limit=LIMIT)
    assert difference.customers > 0
