"""What differs between two policies, and what each difference would do, against two decisions compared by hand."""

from __future__ import annotations

import io
import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from features import block_of, current_states
from features.errors import NotFound
from serving.commands.policy_reports import change_in_words, diff_tables
from serving.decisions import Policy, decide
from serving.simulation.policy_diff import Change, KeyChange, changes_between, diff_on, with_change
from tests.serving.decisions.random_banks import SEEDS, bank_of
from tests.serving.decisions.random_policies import policies
from tests.serving.simulation.scenarios import LIMIT, bank_policy, hand_made, in_blocks_of, scenarios_on


@pytest.fixture(scope="module")
def states(trained):
    return current_states(trained)


def edited(*edits) -> Policy:
    """The bank's policy after `edits` of what its file says."""
    content = bank_policy().model_dump(by_alias=True)
    for section in ("eligibility", "floors", "context", "levers"):
        for rule in content[section]:
            rule["for"] = {name: value for name, value in rule["for"].items() if value}
    for edit in edits:
        edit(content)
    return Policy.model_validate(content)


def put(*keys_and_value):
    """An edit: a value at keys; a list's rule is found by its name."""

    def edit(content):
        *way, key, value = keys_and_value
        for step in way:
            content = _step(content, step)
        content[key] = value

    return edit


def remove(section, rule):
    def edit(content):
        content[section] = [one for one in content[section] if one["rule"] != rule]

    return edit


def add(section, **rule):
    def edit(content):
        content[section] = [*content[section], rule]

    return edit


def _step(content, step):
    if isinstance(content, dict):
        return content[step]
    return next(one for one in content if one.get("rule", one.get("action")) == step)


FLOOR = {"rule": "loans-floor", "for": {"family": "loans"}, "floor": 0.08}


class TestChanges:
    def test_between_a_policy_and_itself_there_are_none(self):
        assert changes_between(bank_policy(), edited()) == []

    def test_a_rule_is_one_change_whatever_of_it_changed(self):
        new = edited(put("levers", "pension-push", "factor", 1.2), put("levers", "pension-push", "owner", "B. Li"))
        expected = Change(
            "changed",
            ("levers",),
            "pension-push",
            (KeyChange("factor", 1.5, 1.2), KeyChange("owner", "Pensions", "B. Li")),
        )
        assert changes_between(bank_policy(), new) == [expected]
        assert expected.name == "levers.pension-push"

    def test_rules_that_came_and_went_say_what_they_said(self):
        new = edited(remove("eligibility", "insurance-ordinary"), add("floors", **FLOOR))
        assert changes_between(bank_policy(), new) == [
            Change(
                "removed",
                ("eligibility",),
                "insurance-ordinary",
                (
                    KeyChange("for.family", ("insurance",), None),
                    KeyChange("for.tier", ("ordinary",), None),
                    KeyChange("note", "Not for those who may need the money.", None),
                    KeyChange("min_balance", 20_000, None),
                ),
            ),
            Change(
                "added",
                ("floors",),
                "loans-floor",
                (KeyChange("for.family", None, ("loans",)), KeyChange("floor", None, 0.08)),
            ),
        ]

    def test_a_renamed_rule_went_and_came(self):
        new = edited(put("context", "advised-clients", "rule", "advised"))
        kinds = [(change.kind, change.name) for change in changes_between(bank_policy(), new)]
        assert sorted(kinds) == [("added", "context.advised"), ("removed", "context.advised-clients")]

    def test_the_order_of_rules_means_nothing(self):
        new = edited(lambda content: content.update(context=content["context"][::-1]))
        assert changes_between(bank_policy(), new) == []

    @pytest.mark.parametrize(
        ("edit", "name", "old", "new"),
        [
            (
                put("consent", "marketing_without_record", "refused"),
                "consent.marketing_without_record",
                "allowed",
                "refused",
            ),
            (put("arbitration", "lever_ceiling", 3.0), "arbitration.lever_ceiling", 2, 3),
            (put("arbitration", "context_limits", (0.5, 2.0)), "arbitration.context_limits", (0.2, 5), (0.5, 2)),
            (put("arbitration", "ramp", "weight", 1.1), "arbitration.ramp.weight", 1.3, 1.1),
            (put("channels", "rm", "cost", 9), "channels.rm.cost", 6, 9),
            (
                put("suitability", "pack", "allowed", "C2", ("R1",)),
                "suitability.pack.allowed.C2",
                ("R1", "R2"),
                ("R1",),
            ),
            (put("decision_day", "today"), "decision_day", "as_of", "today"),
            (put("triggers", "maturing", "raises", "weight", 2), "triggers.maturing.raises.weight", 1.5, 2),
            (put("attributes", "not_used", ()), "attributes.not_used", ("region",), None),
            (
                put("tiers", {"ordinary": None, "vip": 90_000, "wealth": 500_000, "private": 4_000_000}),
                "tiers",
                {"ordinary": None, "vip": 100_000, "wealth": 500_000, "private": 4_000_000},
                {"ordinary": None, "vip": 90_000, "wealth": 500_000, "private": 4_000_000},
            ),
        ],
    )
    def test_of_a_setting_say_its_key_and_what_it_was_and_is(self, edit, name, old, new):
        (change,) = changes_between(bank_policy(), edited(edit))
        assert (change.kind, change.name, change.keys) == ("changed", name, (KeyChange("", old, new),))

    def test_the_order_of_tiers_means_everything(self):
        names = ("ordinary", "vip", "wealth", "private")
        without = (put("triggers", {}), put("service_actions", ()))
        plain = edited(put("tiers", dict.fromkeys(names)), *without)
        turned = edited(put("tiers", dict.fromkeys(("vip", "ordinary", "wealth", "private"))), *without)
        (change,) = changes_between(plain, turned)
        assert (change.kind, change.name) == ("changed", "tiers")
        assert with_change(plain, turned, change) == turned
        assert next(iter(with_change(plain, turned, change).tiers)) == "vip"

    @pytest.mark.parametrize(
        ("names", "kinds"),
        [
            (("rm", "phone", "sms"), [("removed", "channels.app")]),
            (("rm", "phone", "sms", "app", "web"), [("added", "channels.web")]),
            (("web", "rm", "phone", "sms", "app"), [("added", "channels.web")]),
            (("app", "rm", "phone", "sms"), [("reordered", "channels")]),
            (("rm", "app", "sms", "phone"), []),
            (("sms", "web", "app", "rm"), [("added", "channels.web"), ("removed", "channels.phone"),
                                          ("reordered", "channels")]),
        ],
    )  # fmt: skip
    def test_of_channels_the_first_is_another_one(self, names, kinds):
        old = bank_policy(levers=())
        channel = next(iter(old.channels.values()))
        new = old.model_copy(update={"channels": {name: old.channels.get(name, channel) for name in names}})
        changes = changes_between(old, new)
        assert sorted((change.kind, change.name) for change in changes) == kinds
        assert applied_in_turn(old, new).default_channel == new.default_channel

    def test_in_words(self):
        new = edited(
            put("levers", "pension-push", "factor", 1.2),
            remove("floors", "worth-a-call"),
            put("consent", "marketing_without_record", "refused"),
            put("tiers", {"ordinary": None, "vip": 90_000, "wealth": 500_000, "private": None}),
        )
        assert [change_in_words(change) for change in changes_between(bank_policy(), new)] == [
            (
                "changed tiers: ordinary, vip 100,000, wealth 500,000, private 4,000,000 -> "
                "ordinary, vip 90,000, wealth 500,000, private"
            ),
            "changed consent.marketing_without_record: allowed -> refused",
            "removed floors.worth-a-call: floor 0.0005",
            "changed levers.pension-push: factor 1.5 -> 1.2",
        ]


def applied_in_turn(old: Policy, new: Policy) -> Policy:
    """`old` with all changes, each on top of those before; none of them has to be a policy before the last is in."""
    from serving.simulation import policy_diff

    content, target = policy_diff._dump(old), policy_diff._dump(new)
    for change in changes_between(old, new):
        content = policy_diff._applied(content, target, change)
    return Policy.model_validate(content)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_all_changes_together_make_the_new_policy(data):
    bank = bank_of(data.draw(st.sampled_from(SEEDS)))
    old, new = (data.draw(policies(bank, bank.as_of)) for _ in range(2))
    made = applied_in_turn(old, new)
    assert changes_between(made, new) == []
    assert made.default_channel == new.default_channel
    assert list(made.tiers) == list(new.tiers)
    for section in ("eligibility", "floors", "context", "levers", "service_actions"):
        ours, theirs = ({repr(rule) for rule in getattr(policy, section)} for policy in (made, new))
        assert ours == theirs
    names = set(Policy.model_fields) - {
        "eligibility",
        "floors",
        "context",
        "levers",
        "service_actions",
        "contact_policy",
    }
    assert all(getattr(made, name) == getattr(new, name) for name in names)


# ------------------------------------------------------------------------------------------------------------ effects


def shown_by(policy: Policy, states, score=hand_made, channel=None):
    """What each customer is shown, as product ids, and the decisions."""
    scenario = scenarios_on(states, channel=channel)(policy)
    block = block_of(states, states.known_at(states.as_of_period), states.as_of_period)
    decisions = decide(score(block), block, scenario.policy, scenario.context, limit=LIMIT)
    products = states.catalogue.product_ids
    return [[products[product] for product in row if product >= 0] for row in decisions.products], decisions, scenario


def by_hand(old: Policy, new: Policy, states, old_score=hand_made, new_score=hand_made, judge=hand_made) -> dict:
    """What `Difference.to_dict` says, customer by customer."""
    before, old_decisions, scenario = shown_by(old, states, old_score)
    after, new_decisions, _ = shown_by(new, states, new_score)
    block = block_of(states, states.known_at(states.as_of_period), states.as_of_period)
    propensities, products = judge(block), states.catalogue.product_ids
    scales = scenario.policy.value.scales(old_decisions.facts.assets)
    weights = scenario.policy.tables(scenario.context).weights
    touched, gained, lost, value = 0, Counter(), Counter(), 0.0
    for row, (was, now) in enumerate(zip(before, after, strict=True)):
        touched += was != now
        gained.update(set(now) - set(was))
        lost.update(set(was) - set(now))
        if old_decisions.personalised[row] or new_decisions.personalised[row]:
            for names, sign in ((now, 1), (was, -1)):
                for product in map(products.index, names):
                    worth = weights.margins[product] * scales[row, product] - weights.costs[product]
                    value += sign * float(propensities[row, product]) * max(worth, 0.0)
    return {
        "customers": touched,
        "gained": gained.total(),
        "lost": lost.total(),
        "expected_value": pytest.approx(value, rel=1e-6, abs=1e-3),
        "products": {
            product: {"gained": gained[product], "lost": lost[product]}
            for product in products
            if gained[product] or lost[product]
        },
    }


CHANGES = {
    "levers.pension-push": put("levers", "pension-push", "factor", 2.0),
    "eligibility.cards-from-20": put("eligibility", "cards-from-20", "min_age", 50),
    "floors.loans-floor": add("floors", **FLOOR),
    "consent.marketing_without_record": put("consent", "marketing_without_record", "refused"),
    "consent.personalisation_without_record": put("consent", "personalisation_without_record", "refused"),
    "suitability.pack.allowed.C3": put("suitability", "pack", "allowed", "C3", ("R1", "R2")),
    "channels.rm.cost": put("channels", "rm", "cost", 60),
    "arbitration.discount_rate": put("arbitration", "discount_rate", 0.3),
    "contact_policy.rules.three-contacts": put("contact_policy", "rules", "three-contacts",
                                                       "silent_days", 300),
    "tiers": put("tiers", "vip", 200_000),
}  # fmt: skip


@pytest.fixture(scope="module")
def found(states):
    return diff_on(bank_policy(), edited(*CHANGES.values()), scenarios_on(states), limit=LIMIT)


class TestEffects:
    def test_of_the_whole_are_those_of_two_decisions_compared(self, found, states):
        content = found.to_dict()
        assert content["whole"] == by_hand(bank_policy(), edited(*CHANGES.values()), states)
        assert content["customers"] == states.n_customers
        assert content["whole"]["customers"] > 100

    @pytest.mark.parametrize("name", CHANGES)
    def test_of_each_alone_are_those_of_the_old_policy_with_nothing_else_changed(self, found, states, name):
        by_name = {effect["name"]: effect for effect in found.to_dict()["changes"]}
        assert by_name.keys() == CHANGES.keys()
        expected = by_hand(bank_policy(), edited(CHANGES[name]), states)
        assert by_name[name]["alone"] == expected

    def test_do_not_depend_on_how_the_stream_is_cut(self, found, states, monkeypatch):
        in_blocks_of(97, monkeypatch)
        again = diff_on(bank_policy(), edited(*CHANGES.values()), scenarios_on(states), limit=LIMIT)
        for one, other in zip(
            [again.whole, *(effect.alone for effect in again.changes)],
            [found.whole, *(effect.alone for effect in found.changes)],
            strict=True,
        ):
            assert one.customers == other.customers
            np.testing.assert_array_equal(one.gained, other.gained)
            assert one.expected_value == pytest.approx(other.expected_value, abs=1e-6)

    def test_of_the_only_change_are_those_of_the_whole(self, states):
        asked = []

        def scenario_of(policy):
            asked.append(policy)
            return scenarios_on(states)(policy)

        new = edited(CHANGES["floors.loans-floor"], put("version", "next"))
        found = diff_on(bank_policy(), new, scenario_of, limit=LIMIT)
        version, floor = found.changes
        assert floor.alone == found.whole
        assert found.whole.customers > 0
        assert version.alone.customers == 0
        assert len(asked) == 2

    def test_each_policy_is_made_ready_once(self, states):
        asked = []

        def scenario_of(policy):
            asked.append(policy)
            return scenarios_on(states)(policy)

        diff_on(bank_policy(), edited(*CHANGES.values()), scenario_of, limit=LIMIT)
        assert len(asked) == 2 + len(CHANGES)

    @pytest.mark.parametrize(
        "edit",
        [
            put("version", "next"),
            put("owner", "somebody else"),
            put("fairness", "gini", 0.1),
            put("attributes", "not_spoken", ()),
            put("service_actions", ()),
            put("levers", "pension-push", "owner", "somebody else"),
            put("floors", "worth-a-call", "note", "since 2024"),
            put("suitability", "pack", "sources", ()),
        ],
    )
    def test_of_what_no_offer_depends_on_are_none(self, states, edit):
        """Nobody is decided on for these; here we look whether that is right."""
        new = edited(edit)
        (change,) = changes_between(bank_policy(), new)
        assert not change.decides
        assert shown_by(bank_policy(), states)[0] == shown_by(new, states)[0]
        found = diff_on(bank_policy(), new, scenarios_on(states), limit=LIMIT)
        assert found.whole.customers == found.changes[0].alone.customers == 0
        assert found.customers == states.n_customers

    def test_of_a_change_that_is_no_policy_alone_are_not_told(self, states):
        new = edited(put("arbitration", "lever_ceiling", 3.0), put("levers", "pension-push", "factor", 2.5))
        found = diff_on(bank_policy(), new, scenarios_on(states), limit=LIMIT)
        lever, ceiling = found.changes
        assert (lever.change.name, ceiling.change.name) == ("levers.pension-push", "arbitration.lever_ceiling")
        assert lever.alone is None
        assert "outside what lever_ceiling 2 allows" in lever.because
        assert ceiling.alone.customers == 0
        assert found.to_dict()["whole"] == by_hand(bank_policy(), new, states)
        assert found.whole.customers > 0
        assert "only together" in text_of(found)

    def test_of_attributes_kept_from_the_models_need_a_second_score(self, states):
        """Each is decided on its own propensities, and both judged by those that know more."""
        calls = Counter()

        def score_for(policy):
            hidden = bool(policy.attributes.not_used)

            def score(block):
                calls[hidden] += 1
                return hand_made(block, "hidden" if hidden else "")

            return score

        edits = (put("attributes", "not_used", ()), CHANGES["floors.loans-floor"])
        found = diff_on(bank_policy(), edited(*edits), scenarios_on(states, score_for), limit=LIMIT)
        assert calls == {True: 1, False: 1}

        def hidden(block):
            return hand_made(block, "hidden")

        content = found.to_dict()
        assert content["whole"] == by_hand(bank_policy(), edited(*edits), states, old_score=hidden)
        alone = {change["name"]: change["alone"] for change in content["changes"]}
        assert alone["attributes.not_used"] == by_hand(bank_policy(), edited(edits[0]), states, old_score=hidden)
        assert alone["floors.loans-floor"] == by_hand(bank_policy(), edited(edits[1]), states, hidden, hidden)

    def test_through_another_channel_are_others(self, states):
        edit = put("channels", "app", "cost", 40)
        rm, app = (
            diff_on(bank_policy(), edited(edit), scenarios_on(states, channel=channel), limit=LIMIT)
            for channel in (None, "app")
        )
        assert rm.whole.customers == 0
        assert app.whole.customers > 0

    def test_through_a_channel_that_only_one_has_are_refused(self, states):
        new = edited(lambda content: content["channels"].pop("sms"))
        with pytest.raises(NotFound, match="no channel 'sms'"):
            diff_on(bank_policy(), new, scenarios_on(states, channel="sms"), limit=LIMIT)


class TestRendering:
    def test_says_what_changed_and_what_it_does(self, states):
        new = edited(CHANGES["floors.loans-floor"], put("version", "next"))
        found = diff_on(bank_policy(), new, scenarios_on(states), limit=LIMIT)
        text = text_of(found)
        assert "bank@1 -> bank@next" in text
        assert "added floors.loans-floor: for.family loans; floor 0.08" in text
        assert "all together" in text
        product = next(iter(found.to_dict()["whole"]["products"]))
        assert product in text

    def test_says_that_nothing_differs(self, states):
        found = diff_on(bank_policy(), bank_policy(), scenarios_on(states), limit=LIMIT)
        assert "nothing differs" in text_of(found)
        assert len(diff_tables(found)) == 1

    def test_is_json(self, states):
        new = edited(*CHANGES.values())
        content = diff_on(bank_policy(), new, scenarios_on(states), limit=LIMIT).to_dict()
        assert json.loads(json.dumps(content, allow_nan=False)).keys() == content.keys()


def text_of(found) -> str:
    console = Console(width=200, file=io.StringIO())
    for table in diff_tables(found):
        console.print(table)
    return console.file.getvalue()
