import re
from dataclasses import replace
from math import log

import numpy as np
import pytest

from features import block_of, feature_set_of
from features.contracts import BIRTH_DATE
from features.states import current_states
from serving.decisions import decide
from serving.decisions.policy.sections import TRIGGERS
from serving.decisions.reasons.spoken import LEAST_STRENGTH, reasons_for
from training import CHAMPION, Bundle, Tracking
from training.models.association_rules import Rule

from .reasons_fixtures import Desk, HandMade, check_chinese, check_wellformed, policy_with

EVERYBODY = range(0, 680, 3)


@pytest.fixture(scope="module")
def states(trained):
    return current_states(trained)


@pytest.fixture(scope="module")
def bundle(trained):
    return Bundle.open(Tracking(trained).version(CHAMPION).folder)


@pytest.fixture(scope="module")
def explained(bundle):
    """The same bundle, serving the propensity model: its features say the most."""
    return Bundle(
        replace(bundle.manifest, selected="propensity"), bundle.catalogue, bundle.layout, bundle.models,
        bundle.calibrations, bundle.fallback, bundle.blend, bundle.uplift,
    )  # fmt: skip


@pytest.fixture(scope="module")
def desk(explained, states):
    return Desk.of(explained, states, policy_with())


@pytest.fixture(scope="module", params=["blend", "propensity"])
def all_reasons(request, bundle, explained, states):
    """Reasons of every other customer's offers: position, product, reasons."""
    desk = Desk.of(bundle if request.param == "blend" else explained, states, policy_with())
    return list(desk.reasons_of(EVERYBODY))


def personalised(desk, **wanted) -> int:
    """A customer with three offers who is to be personalised."""
    for position in EVERYBODY:
        decisions = desk.decide(desk.block(position))
        if decisions.personalised[0] and (decisions.products[0] >= 0).all() and decisions.triggers[0] == 0:
            return position
    raise AssertionError("nobody")


def refused(desk) -> int:
    for position in EVERYBODY:
        decisions = desk.decide(desk.block(position))
        if not decisions.personalised[0] and decisions.products[0, 0] >= 0:
            return position
    raise AssertionError("everybody may be personalised")


class TestOfEverybody:
    def test_every_offer_has_some(self, all_reasons):
        assert len(all_reasons) > 400
        assert all(1 <= len(reasons) <= 3 for _, _, reasons in all_reasons)
        topics = {reason.topic.partition(":")[0] for _, _, reasons in all_reasons for reason in reasons}
        assert len(topics) >= 8, "they are not always the same"

    def test_strongest_first_and_none_weak(self, all_reasons):
        for _, _, reasons in all_reasons:
            strengths = [reason.strength for reason in reasons]
            assert strengths == sorted(strengths, reverse=True)
            assert len({reason.topic for reason in reasons}) == len(reasons)
            if reasons[0].kind in ("model", "holdings", "trigger") and reasons[0].topic != "general":
                assert min(strengths) > LEAST_STRENGTH

    def test_no_code_names_in_either_language(self, all_reasons, states):
        catalogue = states.catalogue.products
        coded = {name for name in feature_set_of(states).names if "_" in name or ":" in name}
        ids = {product.product_id for product in catalogue if "_" in product.product_id}
        families = {family for family in states.catalogue.families if "_" in family}
        for _, _, reasons in all_reasons:
            for reason in reasons:
                check_wellformed(reason.text, reason.text_zh)
                for code in coded | ids | families:
                    assert code not in reason.text
                    assert code not in reason.text_zh

    def test_chinese_is_chinese(self, all_reasons):
        for _, _, reasons in all_reasons:
            for reason in reasons:
                check_chinese(reason.text_zh, {"C1", "C2", "C3", "C4", "C5"})

    def test_balances_are_the_customers(self, all_reasons, states):
        column = feature_set_of(states).names.index("balance_total")
        found = 0
        for position, _, reasons in all_reasons:
            for reason in reasons:
                match = re.match(r"Total balance[^:]*: ¥([\d,]+) in", reason.text)
                if match and "million" not in reason.text:
                    found += 1
                    block = block_of(states, np.array([position]), states.as_of_period)
                    assert int(match[1].replace(",", "")) == round(float(block.features[0, column]))
        assert found

    def test_holdings_are_the_customers(self, all_reasons, states):
        for position, _, reasons in all_reasons:
            held = block_of(states, np.array([position]), states.as_of_period).held[0]
            for reason in reasons:
                if reason.topic.startswith("holds:"):
                    product = states.catalogue.position_of(reason.topic.removeprefix("holds:"))
                    says = reason.text.startswith(("Has held", "Holds", "Took out"))
                    assert says == held[product], reason.text
                if reason.topic == "rule":
                    names = re.match(r"Clients who hold (.+) take ", reason.text)[1].split(" and ")
                    mine = {states.catalogue.products[p].name for p in np.flatnonzero(held)}
                    assert set(names) <= mine

    def test_a_block_of_many_says_the_same(self, desk):
        positions = list(EVERYBODY)[:20]
        block = desk.block(*positions)
        decisions = desk.decide(block)
        for row, position in enumerate(positions):
            together = reasons_for(desk.bundle, block, decisions, desk.policy, row, context=desk.context())
            assert together == [reasons for _, reasons in desk.reasons(position)]


SAYS = {
    "gender": (r"[Gg]ender|男|女", ("gender",)),
    "region": (r"Region|地区", ("region",)),
    "tier": (r"tier\b|等级为|等级还差|similar clients hold", ("tier",)),
    "birth_date": (r"years? old|Turn(s|ed) |岁|similar clients hold", (BIRTH_DATE,)),
    "age": (r"years? old|Founded|Turn(s|ed) |岁|similar clients hold", ("age",)),
    "income": (r"[Ii]ncome|收入", ("income",)),
    "risk_level": (r"Risk level|风险等级", ("risk_level",)),
}


class TestSilence:
    @pytest.mark.parametrize("attribute", list(SAYS))
    def test_what_is_silenced_never_appears(self, explained, states, attribute):
        pattern, names = SAYS[attribute]
        desk = Desk.of(explained, states, policy_with(not_spoken=list(names)))
        said = [r for _, _, reasons in desk.reasons_of(EVERYBODY[::4], most=20) for r in reasons]
        assert said
        assert not [reason for reason in said if re.search(pattern, reason.text + reason.text_zh)]

    def test_it_would_appear_otherwise(self, explained, states):
        desk = Desk.of(explained, states, policy_with())
        said = " ".join(r.text for _, _, reasons in desk.reasons_of(EVERYBODY[::4], most=20) for r in reasons)
        for attribute in ("tier", "birth_date", "age"):
            assert re.search(SAYS[attribute][0], said), attribute

    def test_what_is_not_used_is_not_spoken(self, explained, states):
        hand = HandMade(states, {"region": 2.0, "income": 1.0})
        both = Desk.of(explained, states, policy_with(not_used=["region"], not_spoken=["income"]))
        position = personalised(both)
        assert all(reasons[0].topic == "general" for _, reasons in both.reasons(position, bundle=hand))

    def test_complaints_are_never_spoken(self, desk, states):
        hand = HandMade(states, {"open_complaints": 3.0, "gender": 3.0, "years_since_risk_expires_on": 3.0})
        for _, reasons in desk.reasons(personalised(desk), bundle=hand):
            assert [reason.topic for reason in reasons] == ["general"]


class TestStrength:
    def test_is_the_topics_sum(self, desk, states):
        position = personalised(desk)
        hand = HandMade(states, {"segment_holding_share:debit_card": 0.5, "segment_acquisition_rate:payroll": 0.25})
        for _, reasons in desk.reasons(position, bundle=hand):
            assert [(r.topic, r.strength) for r in reasons] == [("similar", pytest.approx(0.75))]

    def test_what_pulls_against_the_product_is_not_said(self, desk, states):
        hand = HandMade(states, dict.fromkeys(feature_set_of(states).names, -1.0), {"ease": -2.0, "popularity": -1.0})
        for _, reasons in desk.reasons(personalised(desk), bundle=hand):
            assert [reason.topic for reason in reasons] == ["general"]

    def test_one_feature_of_a_topic_does_not_speak_for_a_sum_below_zero(self, desk, states):
        hand = HandMade(states, {"balance_total": 1.0, "balance_change_3": -1.5})
        for _, reasons in desk.reasons(personalised(desk), bundle=hand):
            assert reasons[0].topic == "general"

    def test_models_add_to_what_they_look_at(self, desk, states):
        hand = HandMade(states, {"segment_holding_share:payroll": 0.2}, {"popularity": 0.3, "ease": 0.4, "als": 0.2})
        for _, reasons in desk.reasons(personalised(desk), bundle=hand):
            assert {r.topic: pytest.approx(r.strength) for r in reasons} == {"holdings_pattern": 0.6, "similar": 0.5}

    def test_a_propensity_without_its_features_says_nothing(self, desk, states):
        hand = HandMade(states, models={"propensity": 2.0, "blend": 2.0})
        for _, reasons in desk.reasons(personalised(desk), bundle=hand):
            assert reasons[0].topic == "general"

    def test_ties_go_by_topic(self, desk, states):
        hand = HandMade(states, {"season": 0.5, "segment_holding_share:payroll": 0.5}, {"ease": 0.5})
        for _, reasons in desk.reasons(personalised(desk), bundle=hand):
            assert [reason.topic for reason in reasons] == ["holdings_pattern", "season", "similar"]

    def test_most_is_kept_to(self, desk, states):
        hand = HandMade(states, {"season": 0.5, "segment_holding_share:payroll": 0.5}, {"ease": 0.5})
        assert all(len(reasons) == 2 for _, reasons in desk.reasons(personalised(desk), bundle=hand, most=2))


class TestRules:
    @pytest.fixture
    def holder(self, desk):
        """A customer and two products held."""
        for position in EVERYBODY:
            block = desk.block(position)
            decisions = desk.decide(block)
            held = np.flatnonzero(block.held[0])
            if len(held) >= 2 and decisions.personalised[0] and (decisions.products[0] >= 0).all():
                return position, int(held[0]), int(held[1])
        raise AssertionError("nobody")

    def test_say_their_lift(self, desk, states, holder):
        position, a, b = holder
        names = [product.name for product in states.catalogue.products]
        product = int(desk.decide(desk.block(position)).products[0, 0])
        hand = HandMade(states, rule=Rule((a, b), product, 40, 0.1, 3.14))
        reason = desk.reasons(position, bundle=hand)[0][1][0]
        assert (reason.kind, reason.topic, reason.strength) == ("holdings", "rule", log(3.14))
        expected = (
            f"Clients who hold {names[a]} and {names[b]} take {names[product]} 3.1 times as often as similar clients"
        )
        assert reason.text == expected
        assert "3.1倍" in reason.text_zh

    @pytest.mark.parametrize("of_holding", [0.2, 2.0])
    def test_do_not_repeat_the_holdings_they_name(self, desk, states, holder, of_holding):
        position, a, b = holder
        held = {f"held:{states.catalogue.product_ids[p]}": of_holding for p in (a, b)}
        hand = HandMade(states, held, {"ease": 0.3}, rule=Rule((a, b), 0, 40, 0.1, np.e))
        for _, reasons in desk.reasons(position, bundle=hand):
            topics = {reason.topic for reason in reasons}
            assert (
                topics.isdisjoint({"rule"})
                if of_holding > 1
                else topics.isdisjoint(
                    {"holdings_pattern", *(f"holds:{states.catalogue.product_ids[p]}" for p in (a, b))}
                )
            )

    def test_put_what_models_of_holdings_say_into_words(self, desk, states, holder):
        position, a, _ = holder
        hand = HandMade(states, models={"ease": 2.5}, rule=Rule((a,), 0, 40, 0.1, np.e))
        for _, reasons in desk.reasons(position, bundle=hand):
            first = [reason for reason in reasons if reason.kind == "holdings"]
            assert [reason.topic for reason in first] == ["holdings_pattern"]
            assert first[0].text.startswith("Clients who hold ")

    def test_of_a_small_lift_are_not_said(self, desk, states, holder):
        hand = HandMade(states, rule=Rule((holder[1],), 0, 40, 0.1, 1.09))
        assert all(reasons[0].topic != "rule" for _, reasons in desk.reasons(holder[0], bundle=hand))


@pytest.fixture(scope="module")
def of_triggers(desk):
    hand = HandMade(desk.states)
    found = []
    for position in range(desk.states.n_customers):
        block = desk.block(position)
        decisions = desk.decide(block)
        reasons = reasons_for(hand, block, decisions, desk.policy, 0, most=9, context=desk.context())
        found.append((position, decisions, reasons))
    return found


class TestTriggers:
    def test_have_the_weight_of_their_context(self, of_triggers, desk):
        seen = set()
        for _, decisions, offers in of_triggers:
            for product, reasons in zip(decisions.products[0], offers, strict=False):
                for reason in reasons:
                    if reason.kind != "trigger" or reason.topic == "trigger:later":
                        continue
                    number = TRIGGERS.index(reason.topic.removeprefix("trigger:"))
                    seen.add(number)
                    assert decisions.triggers[0] >> number & 1
                    assert reason.strength == log(desk.policy.triggers.weights[number, product]) > 0
                    check_wellformed(reason.text, reason.text_zh)
                    check_chinese(reason.text_zh, set())
        assert len(seen) >= 6, "most triggers were met"

    def test_say_the_customers_figures(self, of_triggers):
        checked = set()
        for _, decisions, offers in of_triggers:
            figures = decisions.found_triggers.figures[0]
            for reason in (reason for reasons in offers for reason in reasons):
                name = reason.topic.removeprefix("trigger:")
                if name == "balance_falling":
                    now, before = (f"¥{round(float(figure)):,}" for figure in figures[TRIGGERS.index(name)])
                    if "illion" not in reason.text:
                        assert reason.text == f"Balances fell to {now} from {before}: the client may be leaving"
                        checked.add(name)
                if name == "life_stage_birthday":
                    age, until = (int(figure) for figure in figures[TRIGGERS.index(name)])
                    assert str(age) in reason.text
                    assert until == 0 or str(abs(until)) in reason.text
                    assert ("Turned" in reason.text) == (until < 0)
                    checked.add(name)
                if name == "maturing":
                    days = int(figures[TRIGGERS.index(name), 1])
                    assert days == 0 or f"in {days} day" in reason.text
                    checked.add(name)
        assert len(checked) == 3

    def test_that_say_the_same_as_a_topic_stand_alone(self, of_triggers, desk):
        number = TRIGGERS.index("balance_falling")
        hand = HandMade(desk.states, {"balance_total": 0.1})
        for position, decisions, offers in of_triggers:
            if decisions.triggers[0] >> number & 1 and decisions.personalised[0] and offers:
                for _, reasons in desk.reasons(position, bundle=hand, most=9):
                    topics = {reason.topic for reason in reasons}
                    assert not {"balance_total", "trigger:balance_falling"} <= topics


class TestWithoutPersonalisation:
    def test_nothing_personal_is_said_or_computed(self, desk, states):
        hand = HandMade(states, {"balance_total": 5.0})
        offers = desk.reasons(refused(desk), bundle=hand)
        assert hand.calls == 0
        assert offers
        for _, reasons in offers:
            (reason,) = reasons
            assert (reason.kind, reason.strength) == ("popularity", 0)
            assert not re.search(r"\d", reason.text + reason.text_zh)

    def test_what_nobody_took_is_not_called_popular(self, desk, states):
        unpopular = replace(desk, policy=replace(desk.policy, popularity=np.zeros_like(desk.policy.popularity)))
        for _, reasons in unpopular.reasons(refused(desk)):
            assert reasons[0].text == "On sale now"


class TestAsked:
    def test_comes_first(self, desk, states):
        position = personalised(desk)
        wanted = int(desk.decide(desk.block(position)).products[0, 2])
        product, reasons = desk.reasons(position, states.catalogue.product_ids[wanted])[0]
        assert product == wanted
        assert (reasons[0].kind, reasons[0].text) == ("asked", "The client asked for it")
        assert len(reasons) <= 3

    def test_is_said_to_who_is_not_to_be_personalised(self, desk, states):
        position = refused(desk)
        wanted = int(desk.decide(desk.block(position)).products[0, 0])
        offers = desk.reasons(position, states.catalogue.product_ids[wanted])
        assert [reason.kind for reason in offers[0][1]] == ["asked"]


def test_nothing_offered_needs_no_reason(desk, states):
    block = desk.block(personalised(desk))
    none = np.zeros(len(states.catalogue), dtype=np.bool_)
    decisions = decide(desk.bundle.propensities(block), block, desk.policy, desk.context(), limit=3, products=none)
    assert reasons_for(desk.bundle, block, decisions, desk.policy, 0, context=desk.context()) == []
