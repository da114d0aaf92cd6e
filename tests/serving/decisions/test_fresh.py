"""What happened a minute ago: the next decision knows it, and one made for the day before does not."""

from datetime import date, timedelta

import numpy as np
import pytest

from features import block_of
from features.errors import BadInput, NotFound
from serving.decisions import FreshEvent, FreshEvents, Reason
from tests.serving.later import After

LIMIT = 50
TODAY = date(2026, 7, 3)
"""A day after the last one that the states know."""


def event(customer_id, kind, **rest):
    return FreshEvent(customer_id, kind, rest.pop("day", TODAY), **rest)


@pytest.fixture(scope="module")
def customer(engine):
    """One who was never contacted, whom nothing keeps from being approached, with several offers."""
    (decisions,) = engine.stream(limit=LIMIT)
    free = decisions.personalised & ((decisions.products >= 0).sum(axis=1) >= 4) & ~decisions.silences.complaint
    free &= np.diff(engine.states.contacts.indptr)[decisions.positions] == 0
    return engine.states.customer_id(int(decisions.positions[np.flatnonzero(free)[0]]))


def offered(engine, customer_id, **how):
    return [s.product_id for s in engine.recommend(customer_id, LIMIT, **how).suggestions]


def reason(engine, customer_id, product_id, **how):
    return engine.why_not(customer_id, product_id, LIMIT, **how).reason


class TestTheNextDecisionKnows:
    def test_a_product_just_opened(self, engine, customer):
        product = offered(engine, customer)[0]
        after = After(engine, [event(customer, "opened", product_id=product)])
        assert product not in offered(after, customer)
        assert reason(after, customer, product) == "HELD"
        assert reason(engine, customer, product) is None  # the engine without the event is what it was

    def test_a_product_just_closed(self, engine, customer):
        states = engine.states
        position = np.array([states.position_of(customer)])
        held = np.flatnonzero(block_of(states, position, states.as_of_period).held[0])
        product = states.catalogue.product_ids[held[0]]
        after = After(engine, [event(customer, "closed", product_id=product)])
        assert reason(engine, customer, product) == "HELD"
        assert reason(after, customer, product) != "HELD"

    def test_what_models_see_follows(self, engine, customer):
        """Opening one product changes the propensity of others: the features are computed anew."""
        first, second = offered(engine, customer)[:2]
        after = After(engine, [event(customer, "opened", product_id=first)])
        before = {s.product_id: s.propensity for s in engine.recommend(customer, LIMIT).suggestions}
        now = {s.product_id: s.propensity for s in after.recommend(customer, LIMIT).suggestions}
        assert second not in now or now[second] != before[second]

    def test_a_refusal(self, engine, customer):
        product = offered(engine, customer)[0]
        said_no = event(customer, "outcome", product_id=product, channel="rm", outcome="declined")
        after = After(engine, [said_no])
        assert product not in offered(after, customer)
        assert reason(after, customer, product) == "RECENTLY_DECLINED"

    def test_later_waits_for_its_day_and_then_is_raised(self, engine, customer):
        product = offered(engine, customer)[0]
        due = TODAY + timedelta(days=20)
        later = event(customer, "outcome", product_id=product, channel="rm", outcome="later", until=due)
        waiting = After(engine, [later])
        assert reason(waiting, customer, product) in ("RECENTLY_CONTACTED", "CONTACT_LIMIT_REACHED")
        come = After(engine, [later], day=due)
        before, now = (
            {s.product_id: s for s in found.recommend(customer, LIMIT).suggestions} for found in (engine, come)
        )
        weight = engine.policy.policy.contact_policy.later.weight
        assert product in now, reason(come, customer, product)
        highest = engine.policy.policy.arbitration.context_limits[1]
        assert now[product].context == pytest.approx(min(before[product].context * weight, highest))

    def test_marketing_refused(self, engine, customer):
        product = offered(engine, customer)[0]
        after = After(engine, [event(customer, "consent", purpose="marketing", granted=False)])
        assert offered(after, customer) == []
        assert reason(after, customer, product) == "MARKETING_REFUSED"
        again = [
            event(customer, "consent", purpose="marketing", granted=False),
            event(customer, "consent", purpose="marketing", granted=True, day=TODAY + timedelta(days=1)),
        ]
        assert product in offered(After(engine, again), customer)

    def test_a_channel_refused(self, engine, customer):
        product = offered(engine, customer)[0]
        refusal = event(customer, "consent", purpose="marketing", channel="sms", granted=False)
        after = After(engine, [refusal])
        assert offered(after, customer, channel="sms") == []
        assert reason(after, customer, product, channel="sms") == "CHANNEL_REFUSED"
        assert product in offered(after, customer, channel="rm")

    def test_personalisation_refused(self, engine, customer):
        after = After(engine, [event(customer, "consent", purpose="personalisation", granted=False)])
        found = after.recommend(customer, LIMIT)
        assert not found.personalised
        assert found.triggers == ()
        assert found.suggestions
        assert {reason.kind for s in found.suggestions for reason in s.reasons} == {"popularity"}
        assert {s.propensity for s in found.suggestions} == {None}
        popularity = [s.priority for s in found.suggestions]
        assert popularity == sorted(popularity, reverse=True)

    def test_a_complaint(self, engine, customer):
        product = offered(engine, customer)[0]
        opened = event(customer, "complaint_opened")
        after = After(engine, [opened])
        assert offered(after, customer) == []
        assert reason(after, customer, product) == "OPEN_COMPLAINT"
        assert "follow-up-complaint" in [a.action for a in after.recommend(customer, LIMIT).service_actions]
        resolved = [opened, event(customer, "complaint_resolved", day=TODAY + timedelta(days=1))]
        assert product in offered(After(engine, resolved), customer)

    def test_a_balance_jump(self, engine, customer):
        after = After(engine, [event(customer, "balance_jump", amount=5e6)])
        assert "large_inflow" in after.recommend(customer, LIMIT).triggers
        before, now = (found.stream(limit=1) for found in (engine, after))
        row = engine.states.position_of(customer)
        before, now = (float(d.facts.assets[np.flatnonzero(d.positions == row)[0]]) for d in (next(before), next(now)))
        assert now == pytest.approx(np.nan_to_num(before) + 5e6)


class TestPointInTime:
    def test_an_event_after_the_decision_s_day_is_not_seen(self, engine, customer):
        product = offered(engine, customer)[0]
        tomorrow = TODAY + timedelta(days=1)
        events = [event(customer, "opened", product_id=product, day=tomorrow)]
        later = After(engine, events)
        position = np.array([later.states.position_of(customer)])
        block = block_of(later.states, position, later.states.as_of_period)
        place = later.states.catalogue.position_of(product)
        for day, held in ((TODAY, False), (tomorrow, True)):
            assert later.fresh.lay_over(block, day).held[0, place] == held

    def test_events_of_others_change_nothing(self, engine, customer):
        other = next(engine.states.customer_id(p) for p in range(10) if engine.states.customer_id(p) != customer)
        product = offered(engine, customer)[0]
        after = After(engine,
            [event(other, "opened", product_id=product, day=date(2026, 6, 30)),
             event(other, "consent", purpose="marketing", granted=False, day=date(2026, 6, 30))]
        )  # fmt: skip
        assert after.recommend(customer, LIMIT) == engine.recommend(customer, LIMIT)

    def test_online_is_batch_with_events_too(self, engine, customer):
        states = engine.states
        some = [states.customer_id(p) for p in range(0, states.n_customers, 7)]
        ids = states.catalogue.product_ids
        events = [event(c, "opened", product_id=ids[n % len(ids)]) for n, c in enumerate(some)]
        events += [
            event(c, "outcome", product_id=ids[n % len(ids)], channel="rm", outcome="declined")
            for n, c in enumerate(some[::2])
        ]
        after = After(engine, events)
        (decisions,) = after.stream(limit=5)
        for row, position in enumerate(decisions.positions[::5]):
            alone = after.recommend(states.customer_id(int(position)), 5)
            expected = [ids[p] for p in decisions.products[5 * row] if p >= 0]
            assert [s.product_id for s in alone.suggestions] == expected


class TestBadEvents:
    def test_unknown_customers_and_products_are_not_found(self, engine, customer):
        with pytest.raises(NotFound, match="nobody"):
            FreshEvents.of(engine.states, [event("nobody", "complaint_opened")])
        with pytest.raises(NotFound, match="no_product"):
            FreshEvents.of(engine.states, [event(customer, "opened", product_id="no_product")])

    @pytest.mark.parametrize(
        ("kind", "rest", "message"),
        [
            ("opened", {}, "needs product_id"),
            ("outcome", {"product_id": "payroll", "channel": "rm"}, "needs outcome"),
            ("outcome", {"product_id": "payroll", "channel": "rm", "outcome": "maybe"}, "'maybe'"),
            ("consent", {"purpose": "spam", "granted": True}, "'spam'"),
            ("consent", {"purpose": "marketing"}, "needs granted"),
            ("balance_jump", {}, "needs amount"),
            ("married", {}, "no event is called 'married'"),
        ],
    )
    def test_what_says_too_little_or_nonsense_is_refused(self, kind, rest, message):
        with pytest.raises(BadInput, match=message):
            event("R0000001", kind, **rest)

    def test_no_events_at_all(self, engine):
        fresh = FreshEvents.of(engine.states)
        assert fresh.by(date(1999, 1, 1)) is fresh
        assert not fresh.rows_of(np.arange(5)).any()
        assert np.isnan(fresh.jumps(np.arange(5), TODAY)).all()


def test_reasons_are_bits_in_the_order_of_the_layers():
    assert [reason.value for reason in Reason] == list(range(len(Reason)))
