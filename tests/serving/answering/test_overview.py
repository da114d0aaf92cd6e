"""What an RM reads of a customer is what the decision sees: nothing is shown as allowed that it excludes."""

import shutil
from dataclasses import replace
from datetime import date, timedelta
from itertools import takewhile

import numba
import numpy as np
import orjson
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from features import block_of
from features.build import build_states
from features.contracts import PURPOSES, RISK_RATINGS
from features.errors import NotFound
from features.states.history import NO_DAY
from serving.answering.answer import Answer, Question
from serving.answering.overview import overview_from, overview_of
from serving.answering.overview.known import Stretch
from serving.answering.recommendation import Versions, recommendations_of
from serving.decisions import CompiledPolicy, Context, FreshEvent, FreshEvents, Layer, Policy, Reason, decide
from serving.decisions.policy.loading import load_policy, standard_policy_path
from serving.decisions.reason_codes import REASONS_OF, mask_of
from serving.language import Language
from tests.oracles import policy as oracle
from tests.oracles.history import Account, HistoryOracle
from tests.serving.decisions.random_policies import Case, cases, compiled, decided
from tests.serving.later import on
from tests.training.banks import write_bank

VERSIONS = Versions("1", "build", "2024-06-30", "policy", "catalogue")


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """As the service runs."""
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(threads)


def seen(states, policy, customer_id, events=(), day=None):
    """The overview of a customer of hand-made states, which no model knows."""
    compiled_policy = CompiledPolicy.of(
        policy, states, states.as_of_period, np.zeros(len(states.catalogue), dtype=np.int64)
    )
    fresh = FreshEvents.of(states, events)
    day = day or max([states.calendar.end_of(states.as_of_period), *(event.day for event in events)])
    context = Context(policy.default_channel, day)
    block = block_of(states, np.array([states.position_of(customer_id)]), states.as_of_period)
    block = fresh.lay_over(block, day)
    propensities = np.full((1, len(states.catalogue)), 0.5, dtype=np.float32)
    decisions = decide(propensities, block, compiled_policy, context, limit=1, fresh=fresh)
    (recommendation,) = recommendations_of(block, decisions, compiled_policy, context, VERSIONS)
    return overview_from(Answer(Question(customer_id, 1), recommendation, context, block, decisions, 0), policy, fresh)


# -------------------------------------------------------------------------------------------- a trained bank, everybody


def events_for(engine, day):
    """Something of every kind, for every third customer."""
    states, ids = engine.states, engine.states.catalogue.product_ids
    kinds = [
        {"kind": "opened", "product_id": ids[5]},
        {"kind": "closed", "product_id": ids[8]},
        {"kind": "consent", "purpose": "marketing", "granted": False},
        {"kind": "consent", "purpose": "marketing", "channel": "phone", "granted": False},
        {"kind": "consent", "purpose": "personalisation", "granted": False},
        {"kind": "consent", "purpose": "personalisation", "channel": "phone", "granted": False},
        {"kind": "complaint_opened"},
        {"kind": "balance_jump", "amount": -50_000.0},
        {"kind": "balance_jump", "amount": 2_000_000.0},
        {"kind": "outcome", "product_id": ids[2], "channel": "phone", "outcome": "declined"},
    ]
    return [
        FreshEvent(states.customer_id(position), day=day, **kinds[position // 3 % len(kinds)])
        for position in range(0, states.n_customers, 3)
    ]


@pytest.mark.parametrize("days_later", [0, 200])
def test_agrees_with_the_decision_for_every_customer(engine, days_later):
    day = date(2026, 6, 30) + timedelta(days=days_later)
    states, policy = engine.states, engine.policy.policy
    fresh = FreshEvents.of(states, events_for(engine, day) if days_later else [])
    everybody = [states.customer_id(position) for position in range(states.n_customers)]
    ratings = engine.compiled_for(policy).suitability.ratings
    seen_so_far = set()
    questions = [Question(c, 1, "phone", with_reasons=False) for c in everybody]
    for answer in engine.answer(questions, fresh=fresh, day=day):
        found = overview_of(engine, answer.question.customer_id, fresh, day=day)
        bits, facts, row = answer.decisions.excluded[answer.row], answer.decisions.facts, answer.row

        def excluded(reason, bits=bits):
            return (bits & reason.bit) != 0

        assert {holding.product.product_id for holding in found.holdings} == {
            states.catalogue.product_ids[product] for product in np.flatnonzero(excluded(Reason.HELD))
        }
        shown = found.suitability
        assert np.array_equal(excluded(Reason.RISK_ASSESSMENT_EXPIRED), (ratings > 0) & shown.is_expired)
        assert np.array_equal(excluded(Reason.RISK_ASSESSMENT_MISSING), (ratings > 0) & shown.is_missing)
        suitable = (bits & mask_of(*REASONS_OF[Layer.SUITABILITY])) == 0
        allowed = [rating == 0 or RISK_RATINGS[rating - 1] in shown.allowed_ratings for rating in ratings]
        assert suitable.tolist() == allowed
        standing = {(consent.purpose, consent.channel): consent.granted for consent in found.consents}
        assert excluded(Reason.MARKETING_REFUSED).tolist() == [not standing["marketing", None]] * len(bits)
        refused = not standing.get(("marketing", "phone"), True)
        assert excluded(Reason.CHANNEL_REFUSED).tolist() == [refused] * len(bits)
        impersonal = not (standing["personalisation", None] and standing.get(("personalisation", "phone"), True))
        assert excluded(Reason.PERSONALISATION_REFUSED).tolist() == [impersonal] * len(bits)
        assert answer.recommendation.personalised is not impersonal
        assert excluded(Reason.OPEN_COMPLAINT).tolist() == [bool(found.complaints)] * len(bits)
        assert found.service_actions == answer.recommendation.service_actions
        amounts = {True: 0.0, False: found.balances.jump or 0.0}
        for balance in found.balances.of_products:
            amounts[balance.is_debt] += balance.average
        assert found.balances.debts == pytest.approx(amounts[True])
        if found.balances.assets is None:
            assert np.isnan(facts.assets[row])
            assert amounts[False] == 0
        else:
            assert found.balances.assets == facts.assets[row]
            assert found.balances.assets == pytest.approx(amounts[False], rel=1e-5, abs=1)
        seen_so_far |= {
            ("expired", shown.is_expired), ("missing", shown.is_missing), ("ratings", shown.allowed_ratings),
            ("marketing", standing["marketing", None]), ("phone", refused), ("personal", impersonal),
            ("complaint", bool(found.complaints)),
        }  # fmt: skip
    both_ways = {(what, is_so) for what in ("expired", "missing", "marketing", "personal") for is_so in (True, False)}
    assert both_ways <= seen_so_far
    assert len({what for what in seen_so_far if what[0] == "ratings"}) > 3


def test_by_default_it_is_that_of_a_decision_made_now(engine):
    today, tomorrow = date(2026, 7, 3), date(2026, 7, 4)
    fresh = FreshEvents.of(engine.states, [FreshEvent("R0000003", "complaint_opened", tomorrow)])
    assert overview_of(engine, "R0000003").day == date(2026, 6, 30)
    later = overview_of(on(engine, today), "R0000003", fresh)
    assert later.day == today
    assert [complaint.opened_on for complaint in later.complaints] == [today]  # whatever day it bears, it has been made
    assert overview_of(engine, "R0000003").complaints == ()
    assert later.versions == engine.versions


def test_an_unknown_customer_is_not_found(engine):
    with pytest.raises(NotFound, match="'nobody' is not in the states of 2026-06-30"):
        overview_of(engine, "nobody")


# ------------------------------------------------------------------------------------- random banks, against the oracle


@settings(
    max_examples=25,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow],
)
@given(cases(n_customers=20))
def test_is_what_the_tables_rows_and_the_events_say(case: Case):
    policy, states = compiled(case), case.bank.states
    fresh = FreshEvents.of(states, [FreshEvent(**vars(event)) for event in case.events])
    context = Context(case.channel, case.day)
    block = fresh.lay_over(case.bank.block_of(case.customers, case.period), case.day)
    decisions = decided(case, policy)
    recommendations = recommendations_of(block, decisions, policy, context, VERSIONS)
    for row, (customer_id, recommendation) in enumerate(zip(case.customers, recommendations, strict=True)):
        answer = Answer(Question(customer_id, case.limit), recommendation, context, block, decisions, row)
        found = overview_from(answer, case.policy, fresh)
        events = [event for event in case.events if event.customer_id == customer_id and event.day <= case.day]
        facts = oracle.Facts(case.bank.oracle, customer_id, case.period, case.policy, case.day, events)
        check_who(found, facts)
        check_holdings(found, facts, case)
        check_balances(found, facts, case)
        check_dealings(found, facts)
        check_suitability(found, facts)
        owed = oracle.service_actions_of(facts, oracle.triggers_of(facts))
        assert {action.action for action in found.service_actions} == owed


def check_who(found, facts):
    assert (found.customer_id, found.day) == (facts.customer_id, facts.day)
    assert found.kind == facts.kind
    assert found.age == facts.age
    for name in ("tier", "onboarded_on"):
        assert getattr(found, name) == facts.profile.get(name), name
    assert (found.rm_id, found.branch_id) == (None, None)  # these banks have none


def check_holdings(found, facts, case):
    calendar, words = case.bank.calendar, case.bank.oracle.held_by_period(facts.customer_id, case.period)
    accounts = [
        Account(facts.customer_id, row["product_id"], row["opened_on"], row["closed_on"], row["recorded_on"])
        for row in case.bank.oracle.of("accounts", facts.customer_id)
    ]
    history = HistoryOracle(accounts, calendar, case.bank.states.as_of_period)
    held, closed = {}, {}
    for product_id, word in words.items():
        if word[0]:
            periods = len(list(takewhile(bool, word)))
            began = history.began_on(facts.customer_id, product_id) if case.period == history.newest else None
            first = case.period - periods + 1
            is_told = began is None and periods < 64
            held[product_id] = (began, Stretch.of(calendar, first) if is_told else None, False)
    for event in sorted(facts.events, key=lambda event: event.day):
        if event.kind == "closed":
            held.pop(event.product_id, None)
            closed[event.product_id] = event.day
        if event.kind == "opened":
            held.setdefault(event.product_id, (event.day, None, True))
            closed.pop(event.product_id, None)
    assert {h.product.product_id: (h.held_since, h.held_since_period, h.is_fresh) for h in found.holdings} == held
    assert {c.product.product_id: c.closed_on for c in found.closed} == closed
    assert held.keys() == facts.held
    for holding in found.holdings:
        product_id = holding.product.product_id
        ended = any(event.product_id == product_id for event in facts.events_of("closed"))
        assert list(holding.matures_on) == sorted(
            row["matures_on"]
            for row in case.bank.oracle.of("accounts", facts.customer_id)
            if row["product_id"] == product_id
            and row["matures_on"] is not None
            and row["matures_on"] >= facts.day
            and facts.is_known(row["opened_on"], row["recorded_on"])
            and not (row["closed_on"] is not None and facts.is_known(row["closed_on"]))
            and not ended
        )


def check_balances(found, facts, case):
    calendar = case.bank.calendar
    assert found.balances.period == (calendar.start_of(case.period), calendar.end_of(case.period))
    assert found.balances.change_since == (calendar.start_of(case.period - 3), calendar.end_of(case.period - 3))
    now = {product_id: amount for (product_id, age), amount in facts.balances.items() if age == 0}
    before = {product_id: amount for (product_id, age), amount in facts.balances.items() if age == 3}
    assert {b.product.product_id: (b.average, b.change, b.is_debt) for b in found.balances.of_products} == {
        product_id: (
            amount,
            amount - before[product_id] if product_id in before else None,
            facts.family_of[product_id] in facts.policy.debts,
        )
        for product_id, amount in now.items()
    }
    jumps = facts.events_of("balance_jump")
    assert found.balances.jump == (sum(event.amount for event in jumps) if jumps else None)
    days = [event.day for event in jumps]
    assert found.balances.jump_days == ((min(days), max(days)) if days else None)
    assert found.balances.assets == facts.assets()
    assert found.balances.debts == facts.debts()


def check_dealings(found, facts):
    made = sorted(facts.contacts, key=lambda contact: contact.made_on)
    expected = [(c.made_on, c.product_id, c.channel, c.outcome) for c in reversed(made)][:20]
    assert [(c.day, c.product.product_id, c.channel, c.outcome) for c in found.contacts] == expected
    standing = {}
    for purpose in PURPOSES:
        without_record = getattr(facts.policy.consent, f"{purpose}_without_record") == "allowed"
        standing[purpose, None] = without_record, None
        for channel in (None, "rm", "phone", "sms", "app", "kiosk"):
            answers = facts.consents(purpose, channel)
            if answers:
                standing[purpose, channel] = oracle.answer(answers), max(day for day, _ in answers)
    assert {(c.purpose, c.channel): (c.granted, c.since) for c in found.consents} == standing
    assert bool(found.complaints) == facts.has_open_complaint


def check_suitability(found, facts):
    shown = found.suitability
    assert shown.risk_level == facts.level
    assert shown.assessed_on == facts.profile.get("risk_assessed_on")
    assert shown.is_missing == oracle.assessment_missing(facts)
    assert shown.is_expired == oracle.assessment_expired(facts)
    assert shown.is_expired == (shown.expires_on is not None and facts.day > shown.expires_on)
    assert shown.is_valid == (not shown.is_missing and not shown.is_expired)
    imaginary = [{"risk_rating": rating, "issuer_risk_rating": None} for rating in RISK_RATINGS]
    assert list(shown.allowed_ratings) == [
        product["risk_rating"] for product in imaginary if not oracle.suitability(product, facts, False)[0]
    ]


# ------------------------------------------------------------------------------------------------------ one, by hand

END = date(2024, 6, 30)

PRODUCTS = [
    {"product_id": "card", "name": "Card", "name_zh": "信用卡", "family": "cards", "customer_kind": "both"},
    {"product_id": "fund", "name": "Fund", "family": "funds", "customer_kind": "both", "risk_rating": "R3"},
    {"product_id": "loan", "name": "Loan", "name_zh": "贷款", "family": "loans", "customer_kind": "both"},
    {
        "product_id": "term",
        "name": "Term deposit",
        "name_zh": "定期存款",
        "family": "deposits",
        "customer_kind": "both",
    },
]
CUSTOMERS = [
    {"customer_id": "ann", "kind": "retail", "birth_date": "1990-07-01", "rm_id": "r0", "onboarded_on": "2020-02-03"},
    {"customer_id": "ann", "valid_from": "2024-05-17", "kind": "retail", "birth_date": "1990-07-01", "rm_id": "r1",
     "branch_id": "b1", "tier": "gold", "risk_level": "C3", "risk_assessed_on": "2024-01-15",
     "onboarded_on": "2020-02-03"},
    {"customer_id": "bob", "kind": "corporate", "birth_date": "1950-01-01", "founded_on": "2014-06-30"},
    {"customer_id": "eve", "kind": "retail", "birth_date": "1950-01-01", "risk_level": "C5",
     "risk_assessed_on": "2023-12-01", "risk_expires_on": "2024-05-31"},
]  # fmt: skip
ACCOUNTS = [
    {"account_id": "1", "customer_id": "ann", "product_id": "card", "opened_on": "2024-04-10"},
    {"account_id": "2", "customer_id": "ann", "product_id": "fund", "opened_on": "2010-01-01"},
    # a loan paid back and another one taken
    {"account_id": "3", "customer_id": "ann", "product_id": "loan", "opened_on": "2022-01-01",
     "closed_on": "2023-06-15"},
    {"account_id": "4", "customer_id": "ann", "product_id": "loan", "opened_on": "2024-02-20"},
    {"account_id": "5", "customer_id": "ann", "product_id": "term", "opened_on": "2024-05-05",
     "matures_on": "2024-09-15"},
    {"account_id": "6", "customer_id": "ann", "product_id": "term", "opened_on": "2024-05-31",
     "matures_on": "2024-06-30"},
    {"account_id": "7", "customer_id": "ann", "product_id": "term", "opened_on": "2023-05-31",
     "matures_on": "2024-03-31", "closed_on": "2024-03-31"},
]  # fmt: skip
BALANCES = [
    {"customer_id": "ann", "product_id": product_id, "period": period, "average_balance": amount}
    for product_id, period, amount in (
        ("term", "2024-06", 1000), ("term", "2024-05", 900), ("term", "2024-03", 400),
        ("loan", "2024-06", 500), ("loan", "2024-04", 700),
        ("fund", "2024-05", 300),
    )
]  # fmt: skip
CONTACTS = [
    {"contact_id": f"{number:02d}", "customer_id": "ann", "product_id": "card", "channel": "phone", "arm": "treated",
     "contacted_on": (date(2024, 1, 1) + timedelta(days=number)).isoformat(), "outcome": "no_answer"}
    for number in range(25)
] + [
    {"contact_id": "98", "customer_id": "ann", "product_id": "fund", "channel": "rm", "arm": "control",
     "contacted_on": "2024-06-02"},
    {"contact_id": "99", "customer_id": "ann", "product_id": "fund", "channel": "rm", "arm": "treated",
     "contacted_on": "2024-06-03", "outcome": "later", "outcome_on": "2024-07-02"},
]  # fmt: skip
CONSENTS = [
    {"customer_id": "ann", "purpose": purpose, "channel": channel, "granted": granted, "changed_on": day}
    for purpose, channel, granted, day in (
        ("marketing", "", "true", "2021-01-01"), ("marketing", "", "false", "2022-01-01"),
        ("marketing", "", "true", "2023-01-01"), ("marketing", "phone", "false", "2020-05-05"),
    )
]  # fmt: skip
COMPLAINTS = [
    {"complaint_id": "1", "customer_id": "ann", "opened_on": "2024-06-20", "severity": "high"},
    {"complaint_id": "2", "customer_id": "ann", "opened_on": "2024-06-01", "severity": "low",
     "resolved_on": "2024-06-10"},
    {"complaint_id": "3", "customer_id": "ann", "opened_on": "2024-06-05", "severity": "low",
     "resolved_on": "2024-07-05"},
]  # fmt: skip


@pytest.fixture(scope="module")
def states(session_folder):
    folder = session_folder / "overview"
    tables = {
        "customers": CUSTOMERS, "products": PRODUCTS, "accounts": ACCOUNTS, "balances": BALANCES,
        "contacts": CONTACTS, "consents": CONSENTS, "complaints": COMPLAINTS,
    }  # fmt: skip
    yield build_states(write_bank(folder / "tables", tables), folder / "workspace", as_of=END).states
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def policy() -> Policy:
    return load_policy(standard_policy_path()).policy.model_copy(update={"debts": ("loans",)})


def ann(kind, day, **rest):
    return FreshEvent("ann", kind, day, **rest)


def held(found):
    return {holding.product.product_id: holding for holding in found.holdings}


class TestByHand:
    def test_who_it_is(self, states, policy):
        found = seen(states, policy, "ann")
        assert (found.customer_id, found.kind, found.tier) == ("ann", "retail", "gold")
        assert (found.rm_id, found.branch_id) == ("r1", "b1")
        assert found.onboarded_on == date(2020, 2, 3)
        assert found.age == 33
        assert seen(states, policy, "ann", day=date(2024, 7, 1)).age == 34

    def test_a_company_is_as_old_as_it_was_founded(self, states, policy):
        found = seen(states, policy, "bob")
        assert (found.kind, found.age, found.tier, found.rm_id, found.onboarded_on) == ("corporate", 10, *[None] * 3)

    def test_holdings_and_since_when(self, states, policy):
        found = held(seen(states, policy, "ann"))
        assert {product_id: holding.held_since for product_id, holding in found.items()} == {
            "card": date(2024, 4, 10),
            "fund": None,  # 2010 is before the 64 months that the states remember
            "loan": date(2024, 2, 20),
            "term": date(2024, 5, 5),  # a second one on the 31st; the one before had ended in March
        }
        assert {holding.held_since_period for holding in found.values()} == {None}
        assert not any(holding.is_fresh for holding in found.values())
        assert seen(states, policy, "bob").holdings == ()

    def test_since_which_period_where_the_states_do_not_keep_the_day(self, states, policy):
        """As of states of the format before this one."""
        no_days = np.full_like(states.history.began, NO_DAY)
        old = replace(states, history=replace(states.history, began=no_days))
        found = held(seen(old, policy, "ann"))
        assert {product_id: (h.held_since, h.held_since_period) for product_id, h in found.items()} == {
            "card": (None, (date(2024, 4, 1), date(2024, 4, 30))),
            "fund": (None, None),
            "loan": (None, (date(2024, 2, 1), date(2024, 2, 29))),
            "term": (None, (date(2024, 5, 1), date(2024, 5, 31))),
        }
        assert found["card"].to_dict(Language.EN) == {
            "product_id": "card", "name": "Card", "family": "cards", "held_since": None,
            "held_since_period": {"first_day": "2024-04-01", "last_day": "2024-04-30"},
            "fresh": False, "matures_on": [],
        }  # fmt: skip

    def test_of_which_days_the_record_is(self, states, policy):
        """Ann's tier and RM of today are those of the record of May; the others' records are undated."""
        told = {name: seen(states, policy, name).profile_since for name in ("ann", "bob")}
        assert told == {"ann": (date(2024, 5, 1), date(2024, 5, 31)), "bob": None}
        # the newest fact of the tables is the balance of June, of 1 June; a contact and a complaint came after it
        assert seen(states, policy, "ann").known_to == date(2024, 6, 20)

    def test_what_matures_from_today_on(self, states, policy):
        assert held(seen(states, policy, "ann"))["term"].matures_on == (date(2024, 6, 30), date(2024, 9, 15))
        later = seen(states, policy, "ann", day=date(2024, 7, 1))
        assert held(later)["term"].matures_on == (date(2024, 9, 15),)

    def test_balances_their_change_and_their_totals(self, states, policy):
        found = seen(states, policy, "ann").balances
        told = {b.product.product_id: (b.average, b.change, b.is_debt) for b in found.of_products}
        # of the fund nothing is known of June; of the loan nothing of March
        assert told == {"loan": (500, None, True), "term": (1000, 1000 - 400, False)}
        assert (found.assets, found.debts, found.jump, found.jump_days) == (1000, 500, None, None)
        assert found.period == (date(2024, 6, 1), date(2024, 6, 30))
        assert found.change_since == (date(2024, 3, 1), date(2024, 3, 31))

    def test_nothing_known_is_not_no_money(self, states, policy):
        found = seen(states, policy, "bob").balances
        assert (found.assets, found.debts, found.jump, found.of_products) == (None, 0, None, ())

    def test_the_twenty_newest_contacts(self, states, policy):
        found = seen(states, policy, "ann").contacts
        assert len(found) == 20
        # the control arm was not contacted; what came of the newest one is not known before 2 July
        assert [(c.day, c.product.product_id, c.channel, c.outcome) for c in found[:2]] == [
            (date(2024, 6, 3), "fund", "rm", None),
            (date(2024, 1, 25), "card", "phone", "no_answer"),
        ]
        assert found[-1].day == date(2024, 1, 7)
        assert seen(states, policy, "ann", day=date(2024, 7, 2)).contacts[0].outcome == "later"

    def test_consents_that_hold_now(self, states, policy):
        found = seen(states, policy, "ann")
        assert [(c.purpose, c.channel, c.granted, c.since) for c in found.consents] == [
            ("marketing", None, True, date(2023, 1, 1)),
            ("marketing", "phone", False, date(2020, 5, 5)),
            ("personalisation", None, True, None),
        ]

    def test_without_record_the_policy_says(self, states, policy):
        strict = policy.consent.model_copy(update={"marketing_without_record": "refused"})
        found = seen(states, policy.model_copy(update={"consent": strict}), "bob")
        assert [(c.purpose, c.granted, c.since) for c in found.consents] == [
            ("marketing", False, None),
            ("personalisation", True, None),
        ]

    def test_open_complaints(self, states, policy):
        found = seen(states, policy, "ann").complaints
        assert [(c.opened_on, c.severity) for c in found] == [(date(2024, 6, 5), "low"), (date(2024, 6, 20), "high")]
        assert [c.opened_on for c in seen(states, policy, "ann", day=date(2024, 7, 5)).complaints] == [
            date(2024, 6, 20)
        ]

    def test_what_became_known_after_the_day_is_not_seen(self, states, policy):
        assert [c.opened_on for c in seen(states, policy, "ann", day=date(2024, 6, 10)).complaints] == [
            date(2024, 6, 5)
        ]

    def test_suitability_while_it_holds_and_after(self, states, policy):
        last = date(2024, 1, 15) + timedelta(days=365)
        shown = seen(states, policy, "ann", day=last).suitability
        assert (shown.risk_level, shown.assessed_on, shown.expires_on) == ("C3", date(2024, 1, 15), last)
        assert (shown.is_valid, shown.is_missing, shown.is_expired) == (True, False, False)
        assert shown.allowed_ratings == ("R1", "R2", "R3")
        after = seen(states, policy, "ann", day=last + timedelta(days=1)).suitability
        assert (after.is_valid, after.is_missing, after.is_expired) == (False, False, True)
        assert (after.expires_on, after.allowed_ratings) == (last, ())

    def test_the_sooner_of_the_two_days_of_expiry_is_shown(self, states, policy):
        shown = seen(states, policy, "eve").suitability
        assert (shown.expires_on, shown.is_expired) == (date(2024, 5, 31), True)

    def test_a_validity_longer_than_any_calendar(self, states, policy):
        pack = policy.suitability.pack.model_copy(update={"valid_days": 10**7})
        suitability = policy.suitability.model_copy(update={"pack": pack})
        shown = seen(states, policy.model_copy(update={"suitability": suitability}), "ann").suitability
        assert (shown.expires_on, shown.is_valid) == (date.max, True)

    def test_age_and_means_narrow_what_the_level_allows(self, states, policy):
        """Eve, C5, is 74: elderly for R4 and R5. Of her assets nothing is known: they do not match R3 and above."""
        day = date(2024, 5, 31)
        assert seen(states, policy, "eve", day=day).suitability.allowed_ratings == ("R1", "R2")
        rich = [FreshEvent("eve", "balance_jump", day, amount=1e6)]
        assert seen(states, policy, "eve", rich, day).suitability.allowed_ratings == ("R1", "R2", "R3")
        assert seen(states, policy, "eve", rich, END).suitability.allowed_ratings == ()

    def test_no_assessment_is_missing_and_allows_nothing(self, states, policy):
        shown = seen(states, policy, "bob").suitability
        assert (shown.risk_level, shown.assessed_on, shown.expires_on) == (None, None, None)
        assert (shown.is_missing, shown.is_expired, shown.allowed_ratings) == (True, False, ())


class TestEventsLaidOver:
    TODAY = END + timedelta(days=3)

    def test_a_product_just_opened_is_a_fresh_holding(self, states, policy):
        before = held(seen(states, policy, "bob"))
        events = [FreshEvent("bob", "opened", self.TODAY, product_id="term")]
        (holding,) = seen(states, policy, "bob", events).holdings
        assert before == {}
        assert (holding.product.product_id, holding.held_since, holding.is_fresh) == ("term", self.TODAY, True)
        assert holding.held_since_period is None

    def test_another_account_of_what_is_held_changes_nothing(self, states, policy):
        found = held(seen(states, policy, "ann", [ann("opened", self.TODAY, product_id="card")]))
        assert (found["card"].held_since, found["card"].is_fresh) == (date(2024, 4, 10), False)

    def test_a_product_just_closed(self, states, policy):
        found = seen(states, policy, "ann", [ann("closed", self.TODAY, product_id="term")])
        assert "term" not in held(found)
        assert [(c.product.product_id, c.closed_on) for c in found.closed] == [("term", self.TODAY)]

    def test_closed_and_opened_again_is_fresh_and_nothing_of_the_old_one_matures(self, states, policy):
        events = [
            ann("closed", self.TODAY, product_id="term"),
            ann("opened", self.TODAY + timedelta(days=1), product_id="term"),
        ]
        found = seen(states, policy, "ann", events)
        term = held(found)["term"]
        assert (term.held_since, term.is_fresh, term.matures_on) == (self.TODAY + timedelta(days=1), True, ())
        assert found.closed == ()

    def test_opened_and_closed_again_is_closed(self, states, policy):
        events = [
            FreshEvent("bob", "opened", self.TODAY, product_id="card"),
            FreshEvent("bob", "closed", self.TODAY, product_id="card"),
        ]
        found = seen(states, policy, "bob", events)
        assert found.holdings == ()
        assert [(c.product.product_id, c.closed_on) for c in found.closed] == [("card", self.TODAY)]

    def test_what_happens_after_the_day_is_not_seen(self, states, policy):
        events = [
            ann("opened", self.TODAY, product_id="card"),
            ann("closed", self.TODAY, product_id="term"),
            ann("consent", self.TODAY, purpose="marketing", granted=False),
            ann("complaint_opened", self.TODAY),
            ann("outcome", self.TODAY, product_id="card", channel="sms", outcome="declined"),
            ann("balance_jump", self.TODAY, amount=5.0),
        ]
        yesterday = self.TODAY - timedelta(days=1)
        assert seen(states, policy, "ann", events, yesterday) == seen(states, policy, "ann", (), yesterday)
        assert seen(states, policy, "ann", events) != seen(states, policy, "ann", (), self.TODAY)

    def test_what_happens_to_others_is_not_seen(self, states, policy):
        events = [FreshEvent("bob", "opened", END, product_id="term"), FreshEvent("eve", "complaint_opened", END)]
        assert seen(states, policy, "ann", events) == seen(states, policy, "ann")

    def test_a_contact_answered_comes_first(self, states, policy):
        event = ann("outcome", self.TODAY, product_id="card", channel="branch", outcome="declined")
        found = seen(states, policy, "ann", [event]).contacts
        assert len(found) == 20
        assert (found[0].day, found[0].product.product_id, found[0].channel, found[0].outcome) == (
            self.TODAY, "card", "branch", "declined",
        )  # fmt: skip

    def test_a_consent_withdrawn_and_of_two_on_one_day_the_refusal(self, states, policy):
        events = [
            ann("consent", self.TODAY, purpose="marketing", granted=False),
            ann("consent", self.TODAY, purpose="marketing", granted=True),
            ann("consent", self.TODAY, purpose="marketing", channel="phone", granted=True),
            ann("consent", self.TODAY, purpose="personalisation", channel="app", granted=False),
        ]
        found = seen(states, policy, "ann", events)
        assert [(c.purpose, c.channel, c.granted, c.since) for c in found.consents] == [
            ("marketing", None, False, self.TODAY),
            ("marketing", "phone", True, self.TODAY),
            ("personalisation", None, True, None),
            ("personalisation", "app", False, self.TODAY),
        ]

    def test_complaints_opened_and_resolved(self, states, policy):
        resolved, opened = ann("complaint_resolved", self.TODAY), ann("complaint_opened", self.TODAY)
        assert seen(states, policy, "ann", [resolved]).complaints == ()
        found = seen(states, policy, "ann", [resolved, opened]).complaints
        assert [(c.opened_on, c.severity) for c in found] == [(self.TODAY, None)]
        assert len(seen(states, policy, "ann", [opened]).complaints) == 3
        assert seen(states, policy, "ann", [opened, resolved]).complaints == ()

    def test_resolved_are_those_known_by_the_days_end(self, states, policy):
        for resolved, still_open in ((date(2024, 6, 19), [date(2024, 6, 20)]), (date(2024, 6, 20), [])):
            found = seen(states, policy, "ann", [ann("complaint_resolved", resolved)]).complaints
            assert [c.opened_on for c in found] == still_open, resolved

    def test_a_balance_jump_is_in_the_assets(self, states, policy):
        events = [ann("balance_jump", self.TODAY, amount=250.0), ann("balance_jump", END, amount=-50.0)]
        found = seen(states, policy, "ann", events).balances
        assert (found.assets, found.debts, found.jump) == (1200, 500, 200)
        assert found.jump_days == (END, self.TODAY)


class TestForJson:
    def test_all_of_it_in_both_languages(self, states, policy):
        events = [ann("closed", END, product_id="card"), ann("balance_jump", END, amount=250.0)]
        found = seen(states, policy, "ann", events)
        told = {language: orjson.loads(orjson.dumps(found.to_dict(language))) for language in Language}
        assert [h["name"] for h in told[Language.EN]["holdings"]] == ["Fund", "Loan", "Term deposit"]
        assert [h["name"] for h in told[Language.ZH]["holdings"]] == ["Fund", "贷款", "定期存款"]
        assert told[Language.ZH]["closed"] == [
            {"product_id": "card", "name": "信用卡", "family": "cards", "closed_on": "2024-06-30"}
        ]
        english = told[Language.EN]
        assert english["holdings"][2] == {
            "product_id": "term", "name": "Term deposit", "family": "deposits", "held_since": "2024-05-05",
            "held_since_period": None, "fresh": False, "matures_on": ["2024-06-30", "2024-09-15"],
        }  # fmt: skip
        assert english["balances"] == {
            "period": {"first_day": "2024-06-01", "last_day": "2024-06-30"},
            "change_since": {"first_day": "2024-03-01", "last_day": "2024-03-31"},
            "assets": 1250.0, "debts": 500.0, "jump": 250.0,
            "jump_days": {"first_day": "2024-06-30", "last_day": "2024-06-30"},
            "products": [
                {"product_id": "loan", "name": "Loan", "family": "loans", "average": 500.0, "change": None,
                 "debt": True},
                {"product_id": "term", "name": "Term deposit", "family": "deposits", "average": 1000.0,
                 "change": 600.0, "debt": False},
            ],
        }  # fmt: skip
        assert english["contacts"][0] == {
            "day": "2024-06-03", "product_id": "fund", "name": "Fund", "family": "funds", "channel": "rm",
            "outcome": None,
        }  # fmt: skip
        assert english["consents"][1] == {
            "purpose": "marketing", "channel": "phone", "granted": False, "since": "2020-05-05",
        }  # fmt: skip
        assert english["complaints"][0] == {"opened_on": "2024-06-05", "severity": "low"}
        assert english["suitability"] == {
            "risk_level": "C3", "assessed_on": "2024-01-15", "expires_on": "2025-01-14", "valid": True,
            "missing": False, "expired": False, "allowed_ratings": ["R1", "R2", "R3"],
        }  # fmt: skip
        assert {name: english[name] for name in ("customer_id", "day", "kind", "tier", "rm_id", "branch_id")} == {
            "customer_id": "ann", "day": "2024-06-30", "kind": "retail", "tier": "gold", "rm_id": "r1",
            "branch_id": "b1",
        }  # fmt: skip
        assert (english["onboarded_on"], english["age"]) == ("2020-02-03", 33)
        assert (english["day"], english["known_to"]) == ("2024-06-30", "2024-06-20")
        assert english["profile_since"] == {"first_day": "2024-05-01", "last_day": "2024-05-31"}
        assert english["versions"] == VERSIONS.to_dict()

    def test_service_actions_in_both_languages(self, engine):
        asking = engine.answer([Question(engine.states.customer_id(p), 1, with_reasons=False) for p in range(100)])
        owed = next(answer.question.customer_id for answer in asking if answer.recommendation.service_actions)
        found = overview_of(engine, owed)
        action = found.service_actions[0]
        assert found.to_dict(Language.EN)["service_actions"][0] == {"action": action.action, "text": action.text}
        assert found.to_dict(Language.ZH)["service_actions"][0] == {"action": action.action, "text": action.text_zh}

    def test_a_contact_about_what_is_not_in_the_catalogue(self, states, policy):
        found = seen(states, policy, "ann").contacts[0]
        nothing = replace(found, product=None).to_dict(Language.EN)
        assert (nothing["product_id"], nothing["name"], nothing["family"]) == (None, None, None)
