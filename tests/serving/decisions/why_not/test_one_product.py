"""Why a product is not suggested: the layer, the rule and the figures, for every customer and product of a bank."""

import re
from dataclasses import replace

import numpy as np
import pytest

from features import block_of
from serving.decisions import Context, FreshEvent, FreshEvents, Layer, Reason
from serving.decisions.policy.schema import SCOPED_SECTIONS
from serving.decisions.reason_codes import REASONS_OF, first_reasons, reasons_in
from serving.decisions.why_not import why_not
from serving.decisions.why_not.case import CATALOGUE_RULE, apart, money
from serving.language import Language
from tests.serving.decisions.random_policies import compiled, random_case
from tests.serving.decisions.random_policies import decided as decided_of

from .chinese import codes_of, untranslated

LIMIT = 3


@pytest.fixture(scope="module")
def decided(engine):
    states = engine.states
    block = block_of(states, states.known_at(states.as_of_period), states.as_of_period)
    context = engine.context()
    policy = engine.compiled_for(engine.policy.policy)
    return engine.decide(block, context, limit=LIMIT), block, policy, context


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


def test_the_rule_is_one_of_the_policy_s(engine, explained):
    policy = engine.policy.policy
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


class TestChinese:
    """Broken before: details were in English, whoever read them."""

    def test_every_detail_is(self, engine, explained):
        codes = codes_of(engine.states.catalogue, engine.policy.policy.suitability.pack)
        met = 0
        for cases in explained.values():
            for *_, said in cases:
                assert untranslated(said.detail_zh, codes) == [], said.detail_zh
                assert said.to_dict(Language.ZH)["detail"] == said.detail_zh
                assert said.to_dict()["detail"] == said.detail
                met += 1
        assert met > 500

    def test_products_have_their_chinese_names(self, engine, explained):
        catalogue = engine.states.catalogue
        for *_, said in explained[Reason.MISSING_PREREQUISITE]:
            product_id = re.search(r"（(\w+)）", said.detail_zh)[1]
            name = catalogue.products[catalogue.position_of(product_id)].name_zh
            assert said.detail_zh == f"须先持有{name}（{product_id}），客户未持有"

    def test_figures_are_those_of_the_english_text(self, decided, explained):
        facts = decided[0].facts
        for row, _, said in explained[Reason.TOO_YOUNG] + explained[Reason.TOO_OLD]:
            if not np.isnan(facts.ages[row]):
                unit = "企业成立{:.0f}年" if facts.kinds[row] == 1 else "客户{:.0f}岁"
                assert said.detail_zh.startswith(unit.format(facts.ages[row]))
        for row, _, said in explained[Reason.RISK_ABOVE_TOLERANCE]:
            assert said.detail_zh.startswith(f"C{facts.levels[row]}客户")

    def test_contact_rules_are_said_as_the_policy_says_them(self, explained):
        told = {(said.rule, said.detail, said.detail_zh) for *_, said in explained[Reason.RECENTLY_DECLINED]}
        assert (
            "declined",
            "after an offer was declined: silence about the product for 90 days",
            "客户拒绝后：该产品静默90天",
        ) in told


class TestFigures:
    @pytest.mark.parametrize(
        ("value", "english", "chinese"),
        [(6954.4, "6,954", "6,954元"), (20_000, "20,000", "2万元"), (49_999, "49,999", "49,999元"),
         (125_000, "125,000", "12.5万元"), (123_456_789, "123,456,789", "123,456,789元"),
         (3e8, "300,000,000", "3亿元")],
    )  # fmt: skip
    def test_amounts_leave_nothing_out(self, value, english, chinese):
        assert money(value) == (english, chinese)

    def test_what_differs_reads_differently(self):
        """Broken before: a propensity of 0.022% was below a floor of 0.022%."""
        assert apart(0.4, 0.6, ".0f") == "0"
        assert apart(49_999.75, 50_000, ",.0f", ",.2f") == "49,999.75"
        assert apart(0.00021951, 0.00021999, ".3%", ".5%") == "0.02195%"


class TestAsked:
    def test_what_fills_the_list_is_not_compared_with(self, engine, decided):
        """Broken before: what was asked for has the lower priority, and the other product was "-5 below" it."""
        _, block, policy, context = decided
        free = decided[0].products[:, 2] >= 0
        row = int(np.flatnonzero(free & decided[0].personalised)[0])
        best, *_, worst = decided[0].products[row].tolist()
        asked = replace(context, asked=(engine.states.catalogue.product_ids[worst],))
        said = why_not(engine.decide(block, asked, limit=1), block, policy, asked, row, best)
        assert said.reason == "OUTRANKED"
        assert said.detail.endswith("; what the client asked for comes first and fills the list")
        assert said.detail_zh.endswith("；客户主动要求的产品排在前面，名额已满")

    def test_risk_stays_closed_to_levels_for_which_asking_changes_nothing(self, engine, decided):
        _, block, policy, context = decided
        barred = engine.policy.policy.suitability.pack.client_asked.barred_levels
        assert barred == ("C1",)
        asked = replace(context, asked=engine.states.catalogue.product_ids)
        decisions = engine.decide(block, asked, limit=LIMIT)
        firsts = first_reasons(decisions.excluded & ~Reason.PERSONALISATION_REFUSED.bit)
        rows, products = np.nonzero(firsts == Reason.RISK_ABOVE_TOLERANCE)
        assert len(rows)
        for row, product in zip(rows[:9], products[:9], strict=True):
            said = why_not(decisions, block, policy, asked, row, product)
            assert said.detail.endswith("; the client asked for it, which does not open it to this level")
            assert said.detail_zh.endswith("；客户虽主动要求，但该风险等级的客户不适用")

    def test_where_the_policy_opens_nothing_it_is_not_the_level(self):
        """Broken before: the level was blamed where the policy lets no client ask for more risk."""
        told = set()
        for case in map(random_case, range(40)):
            opens = case.policy.suitability.pack.client_asked
            if opens is not None and "RISK_ABOVE_TOLERANCE" in opens.allows:
                continue
            told |= explanations(replace(case, asked=case.product_ids), Reason.RISK_ABOVE_TOLERANCE)
        assert told
        for detail, detail_zh in told:
            assert detail.endswith("; the client asked for it, which changes nothing here")
            assert detail_zh.endswith("；客户虽主动要求，按适当性规则仍不可办理")


def test_what_comes_on_sale_after_the_data_ends_says_so():
    """Broken before: "on sale from 1 July; the decision's day is 3 July" was no reason at all."""
    for number in range(200):
        case = random_case(number)
        for product_id, product in case.bank.products.items():
            end = case.bank.calendar.end_of(case.period)
            if product["on_sale_from"] and end < product["on_sale_from"] <= case.day and not product["on_sale_to"]:
                texts = explanations(case, Reason.NOT_ON_SALE, case.product_ids.index(product_id))
                for detail, detail_zh in texts:
                    assert detail.endswith("the last day that the data knows, it was not on sale")
                    assert detail_zh.endswith(f"数据的最后一天（{end.year}年{end.month}月{end.day}日）尚未开售")
                if texts:
                    return
    raise AssertionError("no such case")


def explanations(case, reason, product=None):
    """What is said of products, or of one, for which a reason is the first."""
    decisions, policy = decided_of(case), compiled(case)
    fresh = FreshEvents.of(case.bank.states, [FreshEvent(**vars(event)) for event in case.events])
    block = fresh.lay_over(case.bank.block_of(case.customers, case.period), case.day)
    context = Context(case.channel, case.day, case.asked)
    firsts = first_reasons(decisions.excluded & ~Reason.PERSONALISATION_REFUSED.bit)
    found = [
        why_not(decisions, block, policy, context, row, column)
        for row, column in zip(*np.nonzero(firsts == reason), strict=True)
        if product in (None, column)
    ]
    return {(said.detail, said.detail_zh) for said in found}


class TestInheritance:
    """The rule named is the most particular one that fits: the one whose figure counts."""

    def test_a_product_s_own_rule_takes_the_place_of_its_family_s(self, engine, decided):
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
