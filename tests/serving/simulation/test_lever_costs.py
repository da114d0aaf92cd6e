"""What a lever costs is what two simulations, with and without it, differ by."""

from __future__ import annotations

import io
import json
from datetime import date

import numpy as np
import pytest
from rich.console import Console

from features import current_states
from serving.commands.policy_reports import levers_table
from serving.simulation.lever_costs import lever_costs
from tests.serving.simulation.scenarios import LIMIT, bank_policy, compiled, hand_made, scenarios_on, simulate


@pytest.fixture(scope="module")
def states(trained):
    return current_states(trained)


@pytest.fixture(scope="module")
def found(states):
    return lever_costs(bank_policy(), scenarios_on(states), limit=LIMIT)


def without(*names):
    """The policy without the levers of some names."""
    return bank_policy(levers=tuple(lever for lever in bank_policy().levers if lever.rule not in names))


def simulations(states, *policies):
    return simulate(hand_made, [compiled(policy, states) for policy in policies], limit=LIMIT)


def test_only_levers_that_work_today_through_the_channel_are_judged(found):
    assert [one.lever.rule for one in found.levers] == ["pension-push", "gold-push"]
    assert [lever.rule for lever in found.idle] == ["app-push", "spring-push"]


@pytest.mark.parametrize("rule", ["pension-push", "gold-push"])
def test_cost_is_the_expected_value_without_it_minus_with_it(found, states, rule):
    with_it, without_it = simulations(states, bank_policy(), without(rule))
    one = next(one for one in found.levers if one.lever.rule == rule)
    assert one.cost == pytest.approx(without_it.expected_value - with_it.expected_value, rel=1e-9)
    assert one.cost > 0
    np.testing.assert_array_equal(one.without.gained - one.without.lost, without_it.offers - with_it.offers)


def test_offers_move_from_other_products_to_the_levers_own(found, states):
    """A lever only makes its own products rise: what is shown because of it is one of them, in another's place."""
    for one, products in zip(found.levers, ({"personal_pension"}, {"gold_accumulation", "paper_gold"}), strict=True):
        moved = one.to_dict(found.product_ids)["without_it"]
        assert {product for product, counts in moved.items() if counts["lost"]} <= products
        assert one.offers_moved == sum(counts["lost"] for counts in moved.values())
        assert one.offers_moved == sum(counts["gained"] for counts in moved.values()) > 0
        assert one.customers >= one.offers_moved / LIMIT


def test_all_together_cost_what_no_lever_would_save(found, states):
    with_them, without_them = simulations(states, bank_policy(), without("pension-push", "gold-push"))
    assert found.expected_value == pytest.approx(with_them.expected_value)
    assert found.together.expected_value == pytest.approx(without_them.expected_value - with_them.expected_value)
    assert found.customers == states.n_customers


def test_of_a_single_lever_together_is_that_one(states):
    found = lever_costs(without("gold-push"), scenarios_on(states), limit=LIMIT)
    assert found.together is found.levers[0].without


def test_another_channel_has_other_levers(states):
    found = lever_costs(bank_policy(), scenarios_on(states, channel="app"), limit=LIMIT)
    assert [one.lever.rule for one in found.levers] == ["pension-push", "gold-push", "app-push"]


def test_a_lever_works_on_its_last_day_and_not_after(states):
    scenario_of = scenarios_on(states, day=date(2026, 7, 1))
    assert [one.lever.rule for one in lever_costs(bank_policy(), scenario_of, limit=LIMIT).levers] == ["pension-push"]


def test_without_levers_nothing_costs_anything(states):
    found = lever_costs(bank_policy(levers=()), scenarios_on(states), limit=LIMIT)
    assert (found.levers, found.idle, found.together.customers) == ((), (), 0)
    assert found.expected_value > 0


def test_scores_once_for_all_levers(states):
    calls = []

    def score(block):
        calls.append(block)
        return hand_made(block)

    lever_costs(bank_policy(), scenarios_on(states, lambda policy: lambda block: score(block)), limit=LIMIT)
    assert len(calls) == 1


def test_is_json(found):
    content = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert [one["rule"] for one in content["levers"]] == ["pension-push", "gold-push"]
    assert content["levers"][0]["expires"] == "2026-09-30"


def test_reads_as_a_table(found):
    console = Console(width=160, file=io.StringIO())
    console.print(levers_table(found))
    text = console.file.getvalue()
    for words in ("pension-push", "Pensions", "2026-09-30", "ended", "other channels", "all together"):
        assert words in text
