"""A simulation counts what decide() decides, on everybody, at any date the states remember."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from features import Calendar, block_of, current_states
from features.build import build_states
from features.errors import BadInput, NotFound
from serving.decisions import Context, Layer, Reason, decide
from serving.decisions.policy.loading import load_policy, standard_policy_path
from serving.decisions.reason_codes import REASONS_OF, reasons_in
from serving.simulation.outcomes import Simulation, compare
from serving.simulation.scenarios import Scenario
from tests.features.banks import NEWEST_DAY, RandomBank, write_parquet
from tests.features.rewriting import rewrite_after
from tests.serving.simulation.scenarios import (
    LIMIT,
    bank_policy,
    compiled,
    hand_made,
    in_blocks_of,
    scenarios_on,
    simulate,
)
from tests.training.banks import synthetic_tables


@pytest.fixture(scope="module")
def states(trained):
    return current_states(trained)


@pytest.fixture(scope="module")
def simulation(states) -> Simulation:
    (found,) = simulate(hand_made, [compiled(bank_policy(), states)], limit=LIMIT)
    return found


def decided_at_once(policy, context=None, limit=LIMIT):
    """The decisions on everybody known at the policy's period, in one block."""
    block = block_of(policy.states, policy.states.known_at(policy.period), policy.period)
    context = context or Scenario.of(policy, hand_made).context
    return decide(hand_made(block), block, policy, context, limit=limit)


def assert_equal(one: Simulation, other: Simulation) -> None:
    for name, value in vars(one).items():
        if name == "expected_value":  # summed in another order
            assert value == pytest.approx(other.expected_value, rel=1e-12)
        else:
            np.testing.assert_array_equal(value, getattr(other, name), err_msg=name)


def counted(policy, decisions) -> dict:
    """What a simulation says of `decisions`, counted one customer and product at a time."""
    product_ids = policy.states.catalogue.product_ids
    offers, reasons, value, left = Counter(), Counter(), 0.0, Counter()
    for row, products in enumerate(decisions.products):
        shown = [int(product) for product in products if product >= 0]
        offers.update(product_ids[product] for product in shown)
        if decisions.personalised[row]:
            for product in shown:
                value += float(decisions.factors.propensities[row, product]) * float(
                    decisions.factors.values[row, product]
                )
        in_the_way = []
        for product, product_id in enumerate(product_ids):
            found = [
                reason
                for reason in reasons_in(int(decisions.excluded[row, product]))
                if reason is not Reason.PERSONALISATION_REFUSED
            ]
            in_the_way.append({reason.layer for reason in found})
            assert bool(found) != (product in shown)
            if found:
                reasons[product_id, found[0].name] += 1
        for number, layer in enumerate(Layer):
            left[layer] += any(not layers & set(list(Layer)[: number + 1]) for layers in in_the_way)
    return {"offers": offers, "reasons": reasons, "expected_value": value, "left": left}


class TestSimulation:
    def test_is_what_decide_says_one_by_one(self, states, simulation):
        policy = compiled(bank_policy(), states)
        decisions = decided_at_once(policy)
        expected = counted(policy, decisions)
        content = simulation.to_dict()
        assert simulation.customers == states.n_customers == len(decisions.products)
        assert {p: one["offers"] for p, one in content["products"].items() if one["offers"]} == expected["offers"]
        reasons = {
            (product, reason): count
            for product, one in content["products"].items()
            for reason, count in one["reasons"].items()
        }
        assert reasons == expected["reasons"]
        assert simulation.expected_value == pytest.approx(expected["expected_value"], rel=1e-9)
        assert simulation.customers_by_layer == expected["left"]
        assert simulation.customers_with_offers == sum((products >= 0).any() for products in decisions.products)
        assert simulation.customers_not_personalised == sum(~decisions.personalised) > 0

    def test_every_product_is_offered_or_has_a_reason(self, simulation):
        everyone = np.full(len(simulation.product_ids), simulation.customers)
        np.testing.assert_array_equal(simulation.offers + simulation.reasons.sum(axis=1), everyone)
        assert sum(simulation.excluded_by_layer.values()) == simulation.reasons.sum()
        assert all(simulation.excluded_by_layer[layer] > 0 for layer in Layer)
        assert simulation.reasons[:, Reason.PERSONALISATION_REFUSED].sum() == 0
        left = list(simulation.customers_left)
        assert left == sorted(left, reverse=True)

    def test_reasons_are_those_of_their_layers(self, simulation):
        for layer, reasons in REASONS_OF.items():
            expected = sum(int(simulation.reasons[:, reason].sum()) for reason in reasons)
            assert simulation.excluded_by_layer[layer] == expected

    def test_does_not_depend_on_how_the_stream_is_cut(self, states, simulation, monkeypatch):
        in_blocks_of(97, monkeypatch)
        (found,) = simulate(hand_made, [compiled(bank_policy(), states)], limit=LIMIT)
        assert_equal(found, simulation)

    def test_scores_once_a_block_for_all_policies(self, states, simulation, monkeypatch):
        in_blocks_of(300, monkeypatch)
        seen = []

        def score(block):
            seen.append(block.n_customers)
            return hand_made(block)

        quiet = bank_policy(levers=())
        found = simulate(score, [compiled(bank_policy(), states), compiled(quiet, states)], limit=LIMIT)
        assert seen == [300, 300, states.n_customers - 600]
        assert_equal(found[0], simulation)
        assert found[1].offers.tolist() != found[0].offers.tolist()

    def test_decides_through_the_channel_and_on_the_day_it_is_told(self, states, simulation):
        policy = compiled(bank_policy(), states)
        context = Context("app", date(2027, 3, 1))
        (found,) = simulate(hand_made, [policy], context, limit=1)
        decisions = decided_at_once(policy, context, limit=1)
        assert found.offers.sum() == (decisions.products >= 0).sum()
        assert (found.channel, found.day) == ("app", date(2027, 3, 1))
        assert (simulation.channel, simulation.day) == ("rm", states.calendar.end_of(states.as_of_period))

    def test_of_policies_at_different_periods_is_refused(self, states):
        policies = [compiled(bank_policy(), states, states.as_of_period - age) for age in (0, 1)]
        with pytest.raises(BadInput, match="same states and period"):
            simulate(hand_made, policies, limit=LIMIT)

    def test_of_no_policy_is_nothing(self):
        assert simulate(hand_made, [], limit=LIMIT) == []

    def test_through_a_channel_the_policy_lacks_is_refused(self, states):
        with pytest.raises(NotFound, match="no channel 'pigeon'"):
            Scenario.of(compiled(bank_policy(), states), hand_made, channel="pigeon")


class TestEarlierPeriods:
    AGE = 5

    def test_decides_on_that_periods_blocks(self, states):
        policy = compiled(bank_policy(), states, states.as_of_period - self.AGE)
        (found,) = simulate(hand_made, [policy], limit=LIMIT)
        expected = counted(policy, decisions := decided_at_once(policy))
        assert found.customers == len(decisions.products) < states.n_customers
        assert found.day == states.calendar.end_of(states.as_of_period - self.AGE)
        assert dict(zip(found.product_ids, found.offers.tolist(), strict=True)) == {
            product_id: expected["offers"][product_id] for product_id in found.product_ids
        }
        assert found.expected_value == pytest.approx(expected["expected_value"], rel=1e-9)

    def test_is_what_a_build_of_that_day_would_have_said(self, states, session_folder, tmp_path):
        period = states.as_of_period - self.AGE
        end = states.calendar.end_of(period)
        then = build_states(synthetic_tables(session_folder), tmp_path, as_of=end).states
        policies = [compiled(bank_policy(), one, period) for one in (states, then)]
        now, before = (simulate(hand_made, [policy], limit=LIMIT)[0] for policy in policies)
        assert_equal(now, before)
        assert now.offers.sum() > 1000

    @pytest.mark.parametrize("seed", [31, 32, 33])
    def test_sees_nothing_that_came_later(self, tmp_path, seed):
        calendar = Calendar()
        tables = RandomBank(seed, calendar).tables()
        # known from the beginning: what a product is worth is learned from all accounts, whoever's they are
        by_id = {row["customer_id"]: row for row in tables["customers"]}
        tables["customers"] = [row | {"valid_from": None, "onboarded_on": None} for row in by_id.values()]
        period = calendar.period_of(NEWEST_DAY) - 4
        policy = load_policy(standard_policy_path()).policy
        found = []
        for name, rows in (("one", tables), ("other", rewrite_after(tables, period, calendar, seed))):
            source = write_parquet(tmp_path / name / "tables", rows)
            built = build_states(source, tmp_path / name / "workspace", as_of=NEWEST_DAY).states
            found += simulate(hand_made, [compiled(policy, built, period)], limit=2)
        assert_equal(*found)
        assert found[0].offers.sum() > 0


class TestComparison:
    def test_a_scenario_does_not_differ_from_itself(self, states, simulation):
        base = scenarios_on(states)(bank_policy())
        found, (difference,) = compare(base, [base], limit=LIMIT)
        assert_equal(found, simulation)
        assert (difference.customers, difference.expected_value) == (0, 0)
        assert difference.to_dict(simulation.product_ids)["products"] == {}

    def test_of_two_that_value_alike_the_change_is_between_their_simulations(self, states, simulation):
        scenario_of = scenarios_on(states)
        other = bank_policy(levers=())
        _, (difference,) = compare(scenario_of(bank_policy()), [scenario_of(other)], limit=LIMIT)
        (without,) = simulate(hand_made, [compiled(other, states)], limit=LIMIT)
        assert difference.expected_value == pytest.approx(without.expected_value - simulation.expected_value)
        np.testing.assert_array_equal(difference.gained - difference.lost, without.offers - simulation.offers)

    def test_values_what_is_shown_by_one_yardstick(self, states):
        """A higher cost of contact is no loss of what is shown where the same is shown."""
        channels = bank_policy().channels
        dearer = bank_policy(channels={**channels, "rm": channels["rm"].model_copy(update={"cost": 6.01})})
        scenario_of = scenarios_on(states)
        base, other = scenario_of(bank_policy()), scenario_of(dearer)
        _, (difference,) = compare(base, [other], limit=LIMIT)
        (own,) = simulate(hand_made, [other.policy], limit=LIMIT)
        (before,) = simulate(hand_made, [base.policy], limit=LIMIT)
        assert own.expected_value < before.expected_value
        assert difference.customers == 0
        assert difference.expected_value == 0

    def test_who_is_personalised_by_either_counts(self, states):
        """Showing everybody what is popular has a price, and it is that of what is shown, not of everything."""
        policy = bank_policy()
        consent = policy.consent.model_copy(update={"personalisation_without_record": "refused"})
        scenario_of = scenarios_on(states)
        base, other = scenario_of(policy), scenario_of(bank_policy(consent=consent))
        simulation, (difference,) = compare(base, [other], limit=LIMIT)
        assert -simulation.expected_value < difference.expected_value < 0

    def test_judges_by_other_propensities_where_told(self, states):
        def twice(block):
            return 2 * hand_made(block)

        scenario_of = scenarios_on(states)
        base, other = scenario_of(bank_policy()), scenario_of(bank_policy(levers=()))
        _, (own,) = compare(base, [other], limit=LIMIT)
        _, (judged,) = compare(base, [other], limit=LIMIT, judge=twice)
        assert judged.expected_value == pytest.approx(2 * own.expected_value)
        assert judged.customers == own.customers

    def test_another_order_touches_the_customer_and_moves_no_offer(self, states):
        """With every product shown, only the order can change."""
        scenario_of = scenarios_on(states)
        base, other = scenario_of(bank_policy()), scenario_of(bank_policy(levers=()))
        _, (difference,) = compare(base, [other], limit=len(states.catalogue))
        assert difference.customers > 0
        assert difference.gained.sum() == difference.lost.sum() == 0
        assert difference.expected_value == 0

    def test_scores_once_a_block_whoever_asks(self, states):
        calls = []

        def score(block):
            calls.append(block)
            return hand_made(block)

        base = replace(scenarios_on(states)(bank_policy()), score=score)
        compare(base, [base, base], limit=LIMIT, judge=score)
        assert len(calls) == 1
