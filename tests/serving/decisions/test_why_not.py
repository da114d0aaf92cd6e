"""Why a product is not suggested: the layer, the rule and the figures, for every customer and product of a bank."""

import re

import numpy as np
import pytest

from serving.decisions import Layer, Reason
from serving.decisions.policy.schema import SCOPED_SECTIONS
from serving.decisions.reason_codes import REASONS_OF, first_reasons, reasons_in
from serving.decisions.why_not import CATALOGUE_RULE, why_not

LIMIT = 3


@pytest.fixture(scope="module")
def decided(recommender):
    states = recommender.states
    block = states.block(states.known_at(states.as_of_period), states.as_of_period)
    context = recommender.context()
    policy = recommender.compiled_for(recommender.policy.policy)
    return recommender.decide(block, context, limit=LIMIT), block, policy, context


@pytest.fixture(scope="module")
def explained(decided):
    """Of each first reason some cases: customer, product, what is said."""
    decisions = decided[0]
    firsts = first_reasons(decisions.excluded & ~Reason.PERSONALISATION_REFUSED.bit)
    cases = {}
    for reason in Reason:
        rows, products = np.nonzero(firsts == reason)
        drawn = np.random.default_rng(reason).permutation(len(rows))[:60]
        cases[reason] = [
            (row, product, why_not(*decided, row, product))
            for row, product in zip(rows[drawn], products[drawn], strict=True)
        ]
    return cases


def test_the_demonstration_excludes_something_under_every_layer(explained):
    for layer, reasons in REASONS_OF.items():
        assert any(explained[reason] for reason in reasons), layer


def test_the_first_reason_and_its_layer_are_named_and_all_reasons_listed(decided, explained):
    for reason, cases in explained.items():
        for row, product, said in cases:
            assert (said.layer, said.reason) == (reason.layer.value, reason.name)
            bits = int(decided[0].excluded[row, product])
            expected = [r.name for r in reasons_in(bits) if r is not Reason.PERSONALISATION_REFUSED]
            assert list(said.reasons) == expected


def test_the_rule_is_one_of_the_policy_s(recommender, explained):
    policy = recommender.policy.policy
    pack = policy.suitability.pack.pack
    of_policy = {rule.rule for section in SCOPED_SECTIONS for rule in getattr(policy, section)}
    of_policy |= {rule.rule for rule in policy.contact_policy.rules}
    known = {
        Layer.CANDIDATE: {CATALOGUE_RULE},
        Layer.ELIGIBILITY: {CATALOGUE_RULE} | of_policy,
        Layer.SUITABILITY: {f"{pack}: {key}" for key in ("allowed", "assessment", "valid_days", "elderly", "funds")},
        Layer.CONSENT: {"consent"},
        Layer.CONTACT_POLICY: of_policy | {"later", "open_complaint"},
        Layer.ARBITRATION: of_policy | {"priority", "popularity"},
    }
    for reason, cases in explained.items():
        for *_, said in cases:
            assert said.rule in known[reason.layer], said


def test_the_figures_are_the_customer_s(decided, explained):
    decisions, block, *_ = decided
    for row, _, said in explained[Reason.TOO_YOUNG] + explained[Reason.TOO_OLD]:
        age = decisions.facts.ages[row]
        assert ("age not known" if np.isnan(age) else f"aged {age:.0f},") in said.detail
    for row, _, said in explained[Reason.BALANCE_TOO_LOW]:
        assets = decisions.facts.assets[row]
        assert ("assets not known" if np.isnan(assets) else f"assets {assets:,.0f},") in said.detail
    for row, _, said in explained[Reason.RISK_ABOVE_TOLERANCE]:
        assert f"level C{decisions.facts.levels[row]} may be offered" in said.detail
    for row, _, said in explained[Reason.MISSING_PREREQUISITE]:
        product_id = re.search(r"\((\w+)\) is not held", said.detail)[1]
        assert not block.held[row, block.states.catalogue.position_of(product_id)]


def test_an_outranked_product_says_how_far_it_is_from_the_last_one_shown(decided, explained):
    decisions = decided[0]
    compared = 0
    for row, product, said in explained[Reason.OUTRANKED]:
        if not decisions.personalised[row]:
            assert said.rule == "popularity"
            continue
        last = decisions.priorities[row][decisions.products[row] >= 0][-1]
        gap = float(re.search(r"; ([\d.e+-]+) below the last one shown", said.detail)[1])
        assert gap == pytest.approx(last - decisions.factors.priorities[row, product], rel=1e-4, abs=1e-4)
        assert gap >= 0
        compared += 1
    assert compared > 20


def test_what_is_offered_is_not_excluded(decided):
    decisions = decided[0]
    row = int(np.flatnonzero(decisions.products[:, 0] >= 0)[0])
    said = why_not(*decided, row, int(decisions.products[row, 0]))
    assert (said.layer, said.reason, said.rule, said.reasons) == (None, None, None, ())
    assert said.detail == "offered, as number 1"


class TestInheritance:
    """The rule named is the most particular one that fits: the one whose figure counts."""

    def test_a_product_s_own_rule_takes_the_place_of_its_family_s(self, recommender, decided):
        decisions, block, *_ = decided
        catalogue = block.states.catalogue
        platinum, debit = (catalogue.position_of(p) for p in ("credit_card_platinum", "debit_card"))
        said = {"credit_card_platinum": set(), "debit_card": set()}
        for row in np.flatnonzero(decisions.facts.kinds == 0):
            for product_id, product in (("credit_card_platinum", platinum), ("debit_card", debit)):
                if reasons_in(int(decisions.excluded[row, product]))[:1] == (Reason.TOO_YOUNG,):
                    found = why_not(*decided, row, product)
                    said[product_id].add((found.rule, found.detail.split(", ")[-1]))
        assert ("platinum", "from 25") in said["credit_card_platinum"]
        assert all(detail == "from 16" for _, detail in said["debit_card"])
