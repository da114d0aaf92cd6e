"""Who is offered what: by hand on a few customers, and known ratios and coefficients on many."""

from __future__ import annotations

import io
import json
import math
from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from features import block_of, current_states
from features.checks import Status
from serving.commands.policy_reports import fairness_table
from serving.decisions import Reason, decide
from serving.decisions.policy.sections import Fairness
from serving.simulation.fairness import (
    BINS,
    LEAST_CUSTOMERS,
    FairnessCounts,
    gini,
    gini_estimate,
    judge_fairness,
    rate_ratio,
)
from tests.serving.simulation.scenarios import LIMIT, bank_policy, compiled, hand_made, in_blocks_of, scenarios_on


@pytest.fixture(scope="module")
def states(trained):
    return current_states(trained)


# ----------------------------------------------------------------------------------------------------- the statistics


class TestRateRatio:
    def test_and_its_interval_are_those_of_katz(self):
        found = rate_ratio((30, 60), (100, 120))
        assert found.value == (30 / 100) / (60 / 120)
        reach = 1.959963984540054 * math.sqrt(1 / 30 - 1 / 100 + 1 / 60 - 1 / 120)
        assert found.low == pytest.approx(0.6 * math.exp(-reach))
        assert found.high == pytest.approx(0.6 * math.exp(reach))

    def test_of_all_in_both_groups_is_one_without_doubt(self):
        assert rate_ratio((40, 50), (40, 50)) == rate_ratio((50, 40), (50, 40))
        assert vars(rate_ratio((40, 50), (40, 50))) == {"value": 1, "low": 1, "high": 1}

    def test_of_nobody_in_one_group_ends_at_zero_and_somewhere(self):
        found = rate_ratio((0, 25), (50, 50))
        reach = 1.959963984540054 * math.sqrt(1 / 0.5 - 1 / 50.5 + 1 / 25.5 - 1 / 50.5)
        assert (found.value, found.low) == (0, 0)
        assert found.high == pytest.approx(0.5 / 25.5 * math.exp(reach))

    def test_is_wider_for_groups_that_were_picked_for_being_far_apart(self):
        alone, picked = (rate_ratio((30, 60), (100, 120), pairs=pairs) for pairs in (1, 45))
        assert picked.value == alone.value
        assert picked.low < alone.low < alone.high < picked.high

    def test_interval_covers_the_true_ratio(self):
        rng, n, rates = np.random.default_rng(3), (400, 600), (0.12, 0.2)
        drawn = [rng.binomial(n, rates) for _ in range(2000)]
        covered = np.mean([found.low <= 0.6 <= found.high for found in (rate_ratio(x, n) for x in drawn)])
        assert covered == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / 2000))

    def test_many_equal_groups_seldom_look_unfair(self):
        """Of 20 groups offered alike the furthest apart differ, beyond what the interval of any two allows for."""
        rng, n_groups, n = np.random.default_rng(4), 20, 60
        wrongly, naively = 0, 0
        for _ in range(500):
            x = np.sort(rng.binomial(n, 0.3, n_groups))
            ends = (int(x[0]), int(x[-1]))
            wrongly += rate_ratio(ends, (n, n), pairs=n_groups * (n_groups - 1) // 2).high < 0.8
            naively += rate_ratio(ends, (n, n)).high < 0.8
        assert wrongly <= 0.05 * 500
        assert naively > 0.2 * 500


def by_definition(order, offered) -> float:
    """Twice the covariance of being offered and of the rank, over the mean: the same coefficient without bins."""
    values = np.asarray(order, dtype=float)
    ranks = np.array([np.mean(values < value) + np.mean(values == value) / 2 for value in values])
    return 2 * np.cov(offered, ranks, bias=True)[0, 1] / np.mean(offered)


class TestGini:
    @pytest.mark.parametrize(
        ("offered", "expected"),
        [
            ([5, 5, 5, 5], 0),
            ([0, 0, 0, 10], 3 / 4),  # all to the highest quarter
            ([10, 0, 0, 0], -3 / 4),
            ([0, 0, 10, 10], 1 / 2),
            # curve 0, .1, .3, .6, 1: area below .25 * (.05 + .2 + .45 + .8)
            ([1, 2, 3, 4], 1 - 2 * 0.25 * (0.05 + 0.2 + 0.45 + 0.8)),
        ],
    )
    def test_by_hand(self, offered, expected):
        assert gini(np.array(offered), np.full(4, 10)) == pytest.approx(expected)

    def test_bins_need_not_be_equal(self):
        assert gini(np.array([10, 40, 50]), np.array([20, 80, 100])) == pytest.approx(0)

    def test_is_that_of_covariance_with_the_rank(self):
        rng = np.random.default_rng(8)
        bins = rng.integers(0, 12, 500)
        is_offered = rng.random(500) < bins / 15
        could, offered = np.bincount(bins, minlength=12), np.bincount(bins[is_offered], minlength=12)
        assert gini(offered, could) == pytest.approx(by_definition(bins, is_offered))

    def test_of_no_offer_is_undefined(self):
        assert np.isnan(gini(np.zeros(3), np.ones(3)))

    def test_loses_little_to_bins(self):
        """A rate that rises in a straight line, in `BINS` bins: 1 / BINS squared of it is not seen."""
        fine = np.arange(BINS * 100) + 0.5
        whole = gini(fine, np.full(len(fine), 2 * len(fine)))
        binned = gini(fine.reshape(BINS, -1).sum(axis=1), np.full(BINS, 2.0 * len(fine) * 100))
        assert binned == pytest.approx(whole * (1 - 1 / BINS**2), rel=1e-6)

    def test_interval_covers_the_true_coefficient(self):
        rng = np.random.default_rng(9)
        rates, could = np.linspace(0.05, 0.35, 10), np.full(10, 200)
        truth = float(gini(rates, could))
        covered = 0
        for draw in range(300):
            offered = rng.binomial(could, rates)
            interval = gini_estimate(offered, could, np.random.default_rng(draw), 200).interval()
            covered += interval.low <= truth <= interval.high
        assert covered / 300 == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / 300))

    def test_is_repeatable(self):
        one, other = (
            gini_estimate(np.array([3, 9]), np.array([40, 50]), np.random.default_rng(5), 100) for _ in range(2)
        )
        np.testing.assert_array_equal(one.replicates, other.replicates)


# -------------------------------------------------------------------------------------------------------- the counting


def policy_with(states, **fairness):
    return compiled(bank_policy(fairness=Fairness.model_validate(fairness)), states)


@dataclass
class Hand:
    """Decisions made by hand on everybody of a block: who could have been offered what, and who was."""

    could: np.ndarray
    offered: np.ndarray
    ages: np.ndarray

    def decisions(self):
        width = max(1, int(self.offered.sum(axis=1).max()))
        products = np.full((len(self.offered), width), -1, dtype=np.int32)
        for row, shown in enumerate(self.offered):
            products[row, : shown.sum()] = np.flatnonzero(shown)
        excluded = np.where(self.could, np.uint32(0), Reason.HELD.bit)
        excluded |= np.where(self.could & ~self.offered, Reason.OUTRANKED.bit, np.uint32(0))
        return SimpleNamespace(excluded=excluded, products=products, facts=SimpleNamespace(ages=self.ages))


@pytest.fixture(scope="module")
def everybody(states):
    return block_of(states, states.known_at(states.as_of_period), states.as_of_period)


def texts(block, name) -> list[str | None]:
    return [block.states.profile.text(name, version) for version in block.versions]


def nobody(block) -> Hand:
    shape = block.n_customers, block.n_products
    return Hand(np.zeros(shape, bool), np.zeros(shape, bool), np.full(block.n_customers, np.nan, np.float32))


class TestGroups:
    PRODUCT = 5

    def biased(self, block, by_gender) -> Hand:
        """The first so many of each gender could be offered the product, and the first so many of those are."""
        hand, genders = nobody(block), np.array(texts(block, "gender"))
        for gender, (could, offered) in by_gender.items():
            rows = np.flatnonzero(genders == gender)
            assert len(rows) >= could
            hand.could[rows[:could], self.PRODUCT] = True
            hand.offered[rows[:offered], self.PRODUCT] = True
        return hand

    def judged(self, states, block, by_gender, **fairness):
        counts = FairnessCounts(policy_with(states, attributes=("gender",), **fairness))
        counts.add(block, self.biased(block, by_gender).decisions())
        return counts.report().findings

    def test_a_known_bias_is_found(self, states, everybody):
        women, men = sorted(set(texts(everybody, "gender")) - {None})
        (found,) = self.judged(states, everybody, {women: (200, 20), men: (160, 80)})
        assert (found.attribute, found.measure) == ("gender", "rate_ratio")
        assert found.product_id == states.catalogue.product_ids[self.PRODUCT]
        assert found.interval == rate_ratio((20, 80), (200, 160))
        assert found.interval.value == pytest.approx(0.1 / 0.5)
        assert vars(found.lowest) == {"group": women, "rate": 0.1, "customers": 200}
        assert vars(found.highest) == {"group": men, "rate": 0.5, "customers": 160}
        assert (found.verdict, found.customers, found.limit) == (Status.FAIL, 360, 0.8)

    @pytest.mark.parametrize(
        ("offered", "verdict"), [((80, 80), Status.PASS), ((60, 80), Status.WARN), ((30, 80), Status.FAIL)]
    )
    def test_beyond_the_limit_is_a_warning_and_beyond_doubt_a_failure(self, states, everybody, offered, verdict):
        women, men = sorted(set(texts(everybody, "gender")) - {None})
        (found,) = self.judged(states, everybody, {women: (160, offered[0]), men: (160, offered[1])})
        assert found.verdict == verdict
        assert (found.interval.value < 0.8, found.interval.high < 0.8) == (
            verdict != Status.PASS,
            verdict == Status.FAIL,
        )

    def test_a_family_may_have_its_own_limit(self, states, everybody):
        women, men = sorted(set(texts(everybody, "gender")) - {None})
        family = states.catalogue.products[self.PRODUCT].family
        limit = {"by_family": {family: {"rate_ratio": 0.95, "gini": 0.1}}}
        (found,) = self.judged(states, everybody, {women: (160, 72), men: (160, 80)}, **limit)
        assert (found.limit, found.verdict) == (0.95, Status.WARN)

    def test_small_groups_are_not_compared(self, states, everybody):
        women, men = sorted(set(texts(everybody, "gender")) - {None})
        few = LEAST_CUSTOMERS - 1
        assert self.judged(states, everybody, {women: (few, 0), men: (160, 80)}) == ()
        assert len(self.judged(states, everybody, {women: (few + 1, 0), men: (160, 80)})) == 1

    def test_what_nobody_is_offered_is_not_judged(self, states, everybody):
        women, men = sorted(set(texts(everybody, "gender")) - {None})
        assert self.judged(states, everybody, {women: (160, 0), men: (160, 0)}) == ()

    def test_who_could_not_have_been_offered_it_does_not_count(self, states, everybody):
        """Every woman who could have it is offered it, every man too: that fewer women could is the rules' business."""
        women, men = sorted(set(texts(everybody, "gender")) - {None})
        (found,) = self.judged(states, everybody, {women: (40, 40), men: (160, 160)})
        assert (found.interval.value, found.verdict) == (1, Status.PASS)
        assert {found.lowest.group, found.highest.group} == {women, men}


class TestNumbers:
    PRODUCT = 5

    def test_age_is_that_on_the_decisions_day(self, states, everybody):
        """Ages 20 to 59, equally many; only those of 50 and more are offered it: 3/4 by hand."""
        hand = nobody(everybody)
        ages = 20 + np.arange(400) % 40
        hand.ages[:400], hand.could[:400, self.PRODUCT] = ages, True
        hand.offered[:400, self.PRODUCT] = ages >= 50
        counts = FairnessCounts(policy_with(states, attributes="age"))
        counts.add(everybody, hand.decisions())
        (found,) = counts.report().findings
        assert (found.attribute, found.measure, found.lowest) == ("age", "gini", None)
        assert found.interval.value == pytest.approx(0.75)
        assert found.interval.low < 0.75 < found.interval.high
        assert (found.verdict, found.customers) == (Status.FAIL, 400)

    def test_the_young_may_be_preferred_too_much_as_well(self, states, everybody):
        hand = nobody(everybody)
        ages = 20 + np.arange(400) % 40
        hand.ages[:400], hand.could[:400, self.PRODUCT] = ages, True
        hand.offered[:400, self.PRODUCT] = ages < 30
        counts = FairnessCounts(policy_with(states, attributes="age"))
        counts.add(everybody, hand.decisions())
        (found,) = counts.report().findings
        assert found.interval.value == pytest.approx(-0.75)
        assert found.verdict == Status.FAIL

    @pytest.mark.parametrize("name", ["income", "onboarded_on", "risk_level"])
    def test_a_number_is_compared_by_order(self, states, everybody, name):
        profile = states.profile
        column = profile.numbers.get(name, profile.days.get(name))
        numbers = np.asarray(column[everybody.versions], dtype=np.float64)
        numbers[numbers < -1e9] = np.nan
        known = np.flatnonzero(~np.isnan(numbers))
        rng = np.random.default_rng(2)
        hand = nobody(everybody)
        hand.could[:, self.PRODUCT] = True
        hand.offered[:, self.PRODUCT] = rng.random(everybody.n_customers) < 0.4 * (numbers > np.median(numbers[known]))
        counts = FairnessCounts(policy_with(states, attributes=(name,)))
        counts.add(everybody, hand.decisions())
        (found,) = counts.report().findings
        expected = by_definition(numbers[known], hand.offered[known, self.PRODUCT])
        assert found.customers == len(known)
        assert found.interval.value == pytest.approx(expected, abs=0.01)

    def test_what_the_bank_does_not_bring_is_not_judged(self, states):
        counts = FairnessCounts(policy_with(states, attributes=("gender", "shoe_size")))
        assert counts.not_judged == ["shoe_size"]


class TestOnEverybody:
    def test_counts_are_those_of_the_decisions(self, states, everybody):
        scenario = scenarios_on(states)(bank_policy())
        report = judge_fairness(scenario, limit=LIMIT)
        decisions = decide(hand_made(everybody), everybody, scenario.policy, scenario.context, limit=LIMIT)
        assert report.customers == states.n_customers
        # all persons are of one region, all companies of another, and no product is for both
        assert {finding.attribute for finding in report.findings} == {"gender", "age", "occupation", "income"}
        before = {reason for reason in Reason if reason < Reason.PROPENSITY_BELOW_FLOOR} - {
            Reason.PERSONALISATION_REFUSED
        }
        for finding in report.findings:
            product = states.catalogue.position_of(finding.product_id)
            bits = [int(one) for one in decisions.excluded[:, product]]
            could = [not any(one >> reason & 1 for reason in before) for one in bits]
            if finding.measure == "rate_ratio":
                groups = texts(everybody, finding.attribute)
                rates = {}
                for group in set(groups) - {None}:
                    theirs = [row for row, name in enumerate(groups) if name == group and could[row]]
                    if len(theirs) >= LEAST_CUSTOMERS:
                        rates[group] = np.mean([product in decisions.products[row] for row in theirs])
                assert finding.lowest.rate == pytest.approx(min(rates.values()))
                assert finding.highest.rate == pytest.approx(max(rates.values()))
            elif finding.attribute == "age":
                ages = decisions.facts.ages
                rows = [row for row in range(len(could)) if could[row] and not np.isnan(ages[row])]
                offered = [product in decisions.products[row] for row in rows]
                assert finding.interval.value == pytest.approx(by_definition(ages[rows], offered))

    def test_do_not_depend_on_how_the_stream_is_cut(self, states, monkeypatch):
        whole = judge_fairness(scenarios_on(states)(bank_policy()), limit=LIMIT).to_dict()
        in_blocks_of(97, monkeypatch)
        assert judge_fairness(scenarios_on(states)(bank_policy()), limit=LIMIT).to_dict() == whole

    def test_refusing_to_be_personalised_excludes_nobody(self, states, everybody):
        """Who is offered what is popular could be offered it."""
        consent = bank_policy().consent.model_copy(update={"personalisation_without_record": "refused"})
        report = judge_fairness(scenarios_on(states)(bank_policy(consent=consent)), limit=LIMIT)
        assert report.findings
        assert all(finding.highest is None or finding.highest.rate <= 1 for finding in report.findings)


class TestReport:
    @pytest.fixture(scope="class")
    @classmethod
    def report(cls, states):
        policy = bank_policy(fairness=Fairness(attributes=("gender", "age", "shoe_size")))
        return judge_fairness(scenarios_on(states)(policy), limit=LIMIT)

    def test_is_json(self, report):
        content = json.loads(json.dumps(report.to_dict(), allow_nan=False))
        assert content["not_judged"] == ["shoe_size"]
        assert {finding["verdict"] for finding in content["findings"]} <= {"PASS", "WARN", "FAIL"}

    def test_verdict_is_the_worst(self, report):
        assert replace(report, findings=()).verdict == Status.PASS
        for status in (Status.WARN, Status.FAIL):
            findings = (*(replace(one, verdict=Status.PASS) for one in report.findings[1:]),)
            worst = replace(report.findings[0], verdict=status)
            assert replace(report, findings=(*findings, worst)).verdict == status

    def test_reads_as_a_table_of_what_does_not_pass(self, report):
        passing = [one for one in report.findings if one.verdict == Status.PASS]
        others = [one for one in report.findings if one.verdict != Status.PASS]
        assert passing
        assert others
        assert fairness_table(report).row_count == len(others)
        assert fairness_table(report, show_all=True).row_count == len(report.findings)
        console = Console(width=160, file=io.StringIO())
        console.print(fairness_table(report))
        assert "knows nothing of: shoe_size" in console.file.getvalue()
