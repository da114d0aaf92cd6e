"""Whether a policy fits a bank: a bank made by hand, where the one thing wrong can be seen by eye."""
# ruff: noqa: E501 - a name that the bank does not know is a line

from collections import Counter
from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from features import blocks_of
from features.catalogue import Catalogue, Product
from features.errors import BadConfiguration
from features.states import current_states
from serving.decisions import CompiledPolicy, Context, Layer, Reason, decide
from serving.decisions.policy.check import Bank, check_policy, problems_with
from serving.decisions.policy.loading import load_policy, standard_policy_path
from serving.decisions.reason_codes import first_reasons
from tests.serving.decisions.policy.policy_texts import line_of, write_policy

POLICIES = sorted(standard_policy_path().parent.glob("*.yaml"))


def product(product_id, family, **columns):
    empty = dict.fromkeys(Product.__dataclass_fields__)
    plain = {"product_id": product_id, "name": product_id, "family": family, "customer_kind": "retail"}
    return Product(**empty | plain | {"requires": (), "excludes": (), "repeatable": False} | columns)


BANK = Bank(
    catalogue=Catalogue(
        (
            product("car_loan", "loans", max_age=60),
            product("credit_card", "cards"),
            product("gold_card", "cards", requires=("credit_card",)),
            product("savings", "deposits"),
        )
    ),
    tiers=("ordinary", "vip", "wealth"),
    channels=("rm", "sms"),
    attributes=("birth_date", "gender", "hobby"),
    day=date(2026, 6, 30),
    data=frozenset({"balances", "inflows", "maturities", "dates of accounts", "dates of birth"}),
)


def problems(path, bank=BANK, today=BANK.day):
    return [problem for problem in problems_with(load_policy(path), bank, today) if problem.fails]


def warnings(path, bank=BANK, today=BANK.day):
    return [problem for problem in problems_with(load_policy(path), bank, today) if not problem.fails]


def changed(bank, **products):
    """The bank, with columns of some products changed."""
    rows = tuple(replace(row, **products.get(row.product_id, {})) for row in bank.catalogue.products)
    return replace(bank, catalogue=Catalogue(rows))


def assert_only(found, path, blamed, key, *messages):
    (problem,) = found
    assert str(problem).startswith(f"{path}:{line_of(path, blamed)}: {key}: ")
    for message in messages:
        assert message in problem.message


class TestShippedPolicies:
    @pytest.fixture(scope="class")
    @classmethod
    def states(cls, trained):
        return current_states(trained)

    @pytest.mark.parametrize("path", POLICIES, ids=lambda path: path.stem)
    def test_they_fit_the_synthetic_bank(self, path, states):
        assert not any(
            problem.fails
            for problem in check_policy(load_policy(path), states, states.calendar.end_of(states.as_of_period))
        )

    def test_the_demonstration_warns_of_its_ended_lever_only(self, states):
        (warning,) = check_policy(load_policy(standard_policy_path().with_name("demo.yaml")), states, BANK.day)
        assert "levers[1] (mobile-spring).expires: ended on 2026-03-31" in str(warning)

    def test_every_layer_of_the_demonstration_excludes_something(self, states):
        """Where everything has a propensity of 0.1%, between the two floors, and evidence enough for floors to hold."""
        policy = load_policy(standard_policy_path().with_name("demo.yaml")).policy
        compiled = CompiledPolicy.of(
            policy, states, states.as_of_period, np.full(len(states.catalogue), 1000, dtype=np.int64)
        )
        context = Context(policy.default_channel, compiled.decision_day(BANK.day))
        first = Counter()
        for block in blocks_of(states, states.as_of_period):
            propensities = np.full((len(block.positions), len(states.catalogue)), 0.001, dtype=np.float32)
            decisions = decide(propensities, block, compiled, context, limit=3)
            first.update(first_reasons(decisions.excluded).ravel().tolist())
        assert {Reason(number).layer for number in first if number >= 0} == set(Layer)
        assert first[Reason.PROPENSITY_BELOW_FLOOR] > 0

    def test_what_is_known_of_a_bank(self, states):
        bank = Bank.of(states)
        assert bank.tiers == ("ordinary", "vip", "wealth", "private")
        assert bank.channels == ("app", "phone", "rm", "sms")
        assert {"gender", "occupation", "income", "birth_date"} <= set(bank.attributes)
        assert bank.data == BANK.data
        assert bank.day == date(2026, 6, 30)

    def test_a_policy_that_does_not_fit_is_refused_by_name(self, tmp_path, states):
        path = write_policy(tmp_path, "product: credit_card", "product: credit_cart")
        with pytest.raises(
            BadConfiguration, match=r"policy\.yaml:23: levers\[0\] \(spring-push\).*'credit_card' was meant"
        ):
            check_policy(load_policy(path), states, BANK.day)


UNKNOWN_NAMES = {
    "product of a scope": ("product: credit_card", "product: credit_kard", "credit_kard", "levers[0] (spring-push).for.product"),
    "family of a scope": ("family: cards", "family: [cards, kards]", "kards", "eligibility[0] (cards).for.family[1]"),
    "required product": ("min_age: 18", "requires: saving", "requires: saving", "eligibility[0] (cards).requires"),
    "excluded product": ("min_age: 18", "excludes: [saving]", "excludes: [saving]", "eligibility[0] (cards).excludes[0]"),
    "rated family": ("pack: china", "pack: china\n  rated_families: fund", "fund", "suitability.rated_families"),
}  # fmt: skip
UNKNOWN_ADDED = {
    "debts": ("debts: [loan]\n", "loan]", "debts[0]", "'loans' was meant"),
    "triggers": ("triggers: {salary_started: {product: payrol}}\n", "payrol", "triggers.salary_started.product", "no product"),
    "raises": ("triggers:\n  maturing:\n    family: loans\n    raises: {family: loan, weight: 2}\n", "raises",
               "triggers.maturing.raises.family", "no family"),
    "by family": ("fairness:\n  by_family:\n    loan: {rate_ratio: 1, gini: 0}\n", "loan:", "fairness.by_family.loan", "no family"),
    "not spoken": ("attributes: {not_spoken: [gendre]}\n", "gendre", "attributes.not_spoken[0]", "'gender' was meant"),
    "not used": ("attributes: {not_used: hobbies}\n", "hobbies", "attributes.not_used", "'hobby' was meant"),
    "watched": ("fairness: {attributes: [age, gendre]}\n", "gendre", "fairness.attributes[1]", "'gender' was meant"),
}  # fmt: skip


class TestNames:
    def test_a_sound_policy_has_no_problem(self, tmp_path):
        assert problems(write_policy(tmp_path)) == []
        assert warnings(write_policy(tmp_path)) == []

    @pytest.mark.parametrize("where", UNKNOWN_NAMES)
    def test_an_unknown_one_is_named(self, tmp_path, where):
        old, new, blamed, key = UNKNOWN_NAMES[where]
        path = write_policy(tmp_path, old, new)
        assert_only(problems(path), path, blamed, key, "of the bank is called")

    @pytest.mark.parametrize("where", UNKNOWN_ADDED)
    def test_an_unknown_one_elsewhere_is_named(self, tmp_path, where):
        text, blamed, key, message = UNKNOWN_ADDED[where]
        path = write_policy(tmp_path, new=text)
        assert_only(problems(path), path, blamed, key, message)

    def test_attributes_of_the_contract_are_known_though_the_bank_lacks_them(self, tmp_path):
        assert problems(write_policy(tmp_path, new="attributes: {not_used: [hobby, income], not_spoken: age}\n")) == []

    def test_a_tier_of_a_product_must_be_defined(self, tmp_path):
        path = write_policy(tmp_path)
        found = problems(path, changed(BANK, savings={"min_tier": "gold"}))
        assert_only(found, path, "tiers:", "tiers", "'gold'", "savings")

    def test_a_policy_without_tiers_only_warns_of_it(self, tmp_path):
        path = write_policy(tmp_path, "tiers:\n  ordinary:\n  vip: 100\n  wealth: 1_000\n", "tiers: {}\n")
        bank = changed(BANK, savings={"min_tier": "gold"})
        assert problems(path, bank) == []
        assert_only(warnings(path, bank), path, "tiers:", "tiers", "offered them")


class TestAges:
    def test_a_rule_above_the_products_table(self, tmp_path):
        path = write_policy(
            tmp_path, "for: {family: cards}\n    min_age: 18", "for: {family: loans, tier: vip}\n    min_age: 61"
        )
        assert_only(
            problems(path), path, "min_age: 61", "eligibility[0] (cards).min_age",
            "(tier vip, kind retail)", "car_loan", "61 of rule 'cards'", "60 of the products table",
        )  # fmt: skip

    def test_a_rule_above_another_that_it_inherits_from(self, tmp_path):
        rules = "min_age: 18\n    max_age: 40\n  - rule: golden\n    for: {product: gold_card}\n    min_age: 45"
        path = write_policy(tmp_path, "min_age: 18", rules)
        assert_only(
            problems(path), path, "min_age: 45", "eligibility[1] (golden).min_age",
            "gold_card", "45 of rule 'golden'", "40 of rule 'cards'",
        )  # fmt: skip

    def test_equal_ages_can_be_met(self, tmp_path):
        assert (
            problems(write_policy(tmp_path, "family: cards}\n    min_age: 18", "family: loans}\n    min_age: 60")) == []
        )

    def test_rules_that_no_customer_meets_together_are_no_problem(self, tmp_path):
        rules = "min_age: 18\n  - {rule: few, for: {family: cards, kind: corporate}, max_age: 10}"
        assert problems(write_policy(tmp_path, "min_age: 18", rules)) == []

    def test_what_the_products_table_alone_has_wrong_is_a_warning(self, tmp_path):
        bank = changed(BANK, car_loan={"min_age": 70})
        path = write_policy(tmp_path)
        assert problems(path, bank) == []
        (warning,) = warnings(path, bank)
        assert "min_age 70 of the products table is above max_age 60" in warning.message


class TestHoldings:
    def test_required_by_itself_through_its_family(self, tmp_path):
        path = write_policy(tmp_path, "min_age: 18", "requires: credit_card")
        assert_only(
            problems(path), path, "requires: credit_card", "eligibility[0] (cards).requires",
            "'credit_card' is required by itself", "rule 'cards'",
        )  # fmt: skip

    def test_a_more_particular_rule_takes_it_back(self, tmp_path):
        rules = "requires: credit_card\n  - {rule: first, for: {product: credit_card}, requires: savings}"
        assert problems(write_policy(tmp_path, "min_age: 18", rules)) == []

    def test_a_circle_through_the_products_table(self, tmp_path):
        path = write_policy(
            tmp_path, "for: {family: cards}\n    min_age: 18", "for: {product: credit_card}\n    requires: gold_card"
        )
        assert_only(
            problems(path), path, "requires: gold_card", "eligibility[0] (cards).requires",
            "credit_card requires gold_card requires credit_card", "rule 'cards' and the products table",
        )  # fmt: skip

    def test_a_circle_of_different_customers_is_none(self, tmp_path):
        rules = (
            "requires: savings\n"
            "  - {rule: back, for: {product: savings, tier: ordinary}, requires: credit_card}\n"
            "  - {rule: free, for: {product: [credit_card, gold_card], tier: ordinary}, requires: car_loan}"
        )
        assert problems(write_policy(tmp_path, "min_age: 18", rules)) == []

    def test_a_circle_of_three(self, tmp_path):
        rules = (
            "min_age: 18\n"
            "  - {rule: one, for: {product: credit_card}, requires: savings}\n"
            "  - {rule: two, for: {product: savings}, requires: gold_card}"
        )
        path = write_policy(tmp_path, "min_age: 18", rules)
        assert_only(
            problems(path), path, "rule: one", "eligibility[1] (one).requires",
            "credit_card requires savings requires gold_card requires credit_card",
        )  # fmt: skip

    def test_a_circle_of_the_products_table_alone_is_a_warning(self, tmp_path):
        bank = changed(BANK, credit_card={"requires": ("credit_card",)})
        path = write_policy(tmp_path)
        assert problems(path, bank) == []
        assert "correct the products table" in warnings(path, bank)[0].message

    def test_excluding_what_the_products_table_requires(self, tmp_path):
        path = write_policy(
            tmp_path, "for: {family: cards}\n    min_age: 18", "for: {family: cards}\n    excludes: credit_card"
        )
        assert_only(
            problems(path), path, "excludes: credit_card", "eligibility[0] (cards).excludes",
            "gold_card", "the products table requires 'credit_card'", "rule 'cards' excludes",
        )  # fmt: skip


class TestWarnings:
    def test_a_lever_is_over_after_its_last_day(self, tmp_path):
        path = write_policy(tmp_path, "2026-12-31", "2026-06-30")
        assert warnings(path) == []
        later = replace(BANK, day=date(2026, 7, 1))
        assert_only(warnings(path, later), path, "2026-06-30", "levers[0] (spring-push).expires", "ended on 2026-06-30")

    def test_by_today_where_the_policy_decides_by_today(self, tmp_path):
        path = write_policy(tmp_path, "decision_day: as_of", "decision_day: today")
        assert warnings(path, today=date(2026, 12, 31)) == []
        assert "ended" in warnings(path, today=date(2027, 1, 1))[0].message

    def test_tiers_and_channels_of_the_data(self, tmp_path):
        path = write_policy(tmp_path)
        bank = replace(BANK, tiers=(*BANK.tiers, "gold"), channels=(*BANK.channels, "fax"))
        tiers, channels = warnings(path, bank)
        assert "gold" in tiers.message
        assert "fax" in channels.message

    def test_a_trigger_without_its_data(self, tmp_path):
        text = "triggers:\n  large_inflow: {}\n  loan_nearly_repaid: {family: loans}\n"
        path = write_policy(tmp_path, new=text)
        assert warnings(path, replace(BANK, data=frozenset({"inflows", "balances"}))) == []
        inflow, loan = warnings(path, replace(BANK, data=frozenset()))
        assert str(inflow).startswith(f"{path}:{line_of(path, 'large_inflow')}: triggers.large_inflow: never comes")
        assert "no balances and no maturities" in loan.message

    def test_a_rule_for_no_product(self, tmp_path):
        path = write_policy(tmp_path, "{product: credit_card}", "{product: credit_card, family: loans}")
        assert_only(warnings(path), path, "product: credit_card", "levers[0] (spring-push).for", "never holds")

    def test_a_product_without_the_rating_its_family_needs(self, tmp_path):
        path = write_policy(tmp_path, "pack: china", "pack: china\n  rated_families: deposits")
        assert "savings of family 'deposits'" in warnings(path)[0].message
        assert warnings(path, changed(BANK, savings={"issuer_risk_rating": "R1"})) == []
