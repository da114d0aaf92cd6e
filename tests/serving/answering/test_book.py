"""Whose customers they are, and with whom of them to talk first."""

import asyncio
import shutil
from dataclasses import replace
from datetime import date
from types import SimpleNamespace

import numba
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.build import build_states
from features.contracts import BRANCH_ID, ONBOARDED_ON, RM_ID
from features.errors import BadInput, NotFound
from features.states.profile import ALWAYS, MISSING_CODE, MISSING_DAY, Profile
from serving.answering import book
from serving.answering.book import BookRanking, Conversation, customers_of
from serving.decisions import FreshEvent, FreshEvents
from serving.decisions.policy.sections import TRIGGERS
from tests.serving.later import After, on
from tests.training.banks import write_bank

TODAY = date(2026, 7, 3)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """As the service runs."""
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(threads)


# ----------------------------------------------------------------------------------------------------------- the book


@pytest.fixture(scope="module")
def states(session_folder):
    """A branch of two RMs, b1, and a customer of another branch whose RM has the name of one of them."""
    folder = session_folder / "book"
    versions = [
        # customer_id, valid_from, rm_id, branch_id, onboarded_on
        ("always-r1", "", "r1", "b1", ""),
        ("came-to-r1", "2023-01-01", "r2", "b1", ""),
        ("came-to-r1", "2024-03-01", "r1", "b1", ""),
        ("left-r1", "2023-01-01", "r1", "b1", ""),
        ("left-r1", "2024-03-01", "r2", "b1", ""),
        ("lost-its-rm", "2023-01-01", "r1", "b1", ""),
        ("lost-its-rm", "2024-03-01", "", "b1", ""),
        ("next-month-r2", "2023-01-01", "r1", "b1", ""),
        ("next-month-r2", "2024-07-01", "r2", "b1", ""),
        ("not-onboarded", "", "r1", "b1", "2024-07-01"),
        ("onboarded-today", "", "r1", "b1", "2024-06-30"),
        ("other-branch", "", "r1", "b2", ""),
        ("unheard-of", "2024-07-01", "r1", "b1", ""),
    ]
    columns = ("customer_id", "valid_from", "rm_id", "branch_id", "onboarded_on")
    tables = {
        "customers": [dict(zip(columns, row, strict=True)) | {"kind": "retail"} for row in versions],
        "products": [{"product_id": "card", "name": "Card", "family": "cards", "customer_kind": "both"}],
        "accounts": [{"account_id": "1", "customer_id": "left-r1", "product_id": "card", "opened_on": "2024-06-01"}],
    }
    source = write_bank(folder / "tables", tables)
    yield build_states(source, folder / "workspace", as_of=date(2024, 6, 30)).states
    shutil.rmtree(folder)


class TestCustomersOf:
    def names(self, states, **whose):
        return [states.customer_id(position) for position in customers_of(states, **whose)]

    def test_the_newest_version_known_counts(self, states):
        assert self.names(states, rm_id="r1") == [
            "always-r1", "came-to-r1", "next-month-r2", "onboarded-today", "other-branch",
        ]  # fmt: skip
        assert self.names(states, rm_id="r2") == ["left-r1"]

    def test_a_branch_has_customers_without_rm_too(self, states):
        assert self.names(states, branch_id="b1") == [
            "always-r1", "came-to-r1", "left-r1", "lost-its-rm", "next-month-r2", "onboarded-today",
        ]  # fmt: skip

    def test_both_named_is_both(self, states):
        assert self.names(states, rm_id="r1", branch_id="b2") == ["other-branch"]
        assert self.names(states, rm_id="r2", branch_id="b2") == []

    def test_whom_nobody_names_has_none(self, states):
        for whose in ({"rm_id": "r9"}, {"rm_id": ""}, {"rm_id": "r1", "branch_id": "b9"}, {"branch_id": "r1"}):
            found = customers_of(states, **whose)
            assert (found.tolist(), found.dtype) == ([], np.int64), whose

    def test_nobody_named_is_refused_rather_than_everybody_given(self, states):
        with pytest.raises(BadInput, match="Name an RM or a branch"):
            customers_of(states)

    def test_every_customer_of_a_bank_is_in_the_book_of_its_own(self, engine):
        states, profile = engine.states, engine.states.profile
        known = states.known_at(states.as_of_period)
        newest = dict(zip(known.tolist(), profile.versions_at(known, states.as_of_period), strict=True))
        for column, argument in ((RM_ID, "rm_id"), (BRANCH_ID, "branch_id")):
            for word in profile.vocabularies[column]:
                found = customers_of(states, **{argument: word})
                assert found.tolist() == [c for c, version in newest.items() if profile.text(column, version) == word]
                assert len(found)


@st.composite
def profiles(draw, period):
    """Some customers, each with some versions, or none, of which some lie ahead."""
    starts = st.one_of(st.just(ALWAYS), st.integers(period - 3, period + 2))
    names = st.integers(MISSING_CODE, 1)
    customers = draw(
        st.lists(st.lists(st.tuples(starts, names, names, st.sampled_from([MISSING_DAY, 0, 10**6])), max_size=3))
    )
    rows = [row for versions in customers for row in sorted(versions, key=lambda row: row[0])]
    columns = [np.array(column, dtype=np.int32) for column in zip(*rows, strict=True)] or [np.zeros(0, np.int32)] * 4
    return Profile(
        indptr=np.cumsum([0, *map(len, customers)]),
        valid_from=columns[0],
        numbers={},
        codes={RM_ID: columns[1], BRANCH_ID: columns[2]},
        days={ONBOARDED_ON: columns[3]},
        vocabularies={RM_ID: ("r0", "r1"), BRANCH_ID: ("b0", "b1")},
    )


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data(), rm_id=st.sampled_from([None, "r0", "r1"]), branch_id=st.sampled_from([None, "b0", "b1"]))
def test_books_are_what_going_through_the_customers_one_by_one_finds(engine, data, rm_id, branch_id):
    period = engine.states.as_of_period
    profile = data.draw(profiles(period))
    states = replace(engine.states, profile=profile)
    expected = []
    for customer in range(len(profile.indptr) - 1):
        versions = range(profile.indptr[customer], profile.indptr[customer + 1])
        known = [version for version in versions if profile.valid_from[version] <= period]
        if not known or profile.days[ONBOARDED_ON][known[-1]] == 10**6:
            continue
        names = profile.text(RM_ID, known[-1]), profile.text(BRANCH_ID, known[-1])
        if all(wanted in (None, name) for wanted, name in zip((rm_id, branch_id), names, strict=True)):
            expected.append(customer)
    if rm_id or branch_id:
        assert customers_of(states, rm_id=rm_id, branch_id=branch_id).tolist() == expected


# -------------------------------------------------------------------------------------------------------- the ranking


def ranked(engine, positions, events=(), **how):
    if events:
        engine = on(engine, TODAY)
    ranking = BookRanking(engine, positions, FreshEvents.of(engine.states, events), **({"limit": 3} | how))
    for _ in ranking.steps():
        pass
    return ranking.conversations


def by_asking_one_by_one(engine, positions):
    """The ranking as the rules have it, from what each customer is recommended."""
    conversations = []
    for position in positions.tolist():
        customer_id = engine.states.customer_id(position)
        found = engine.recommend(customer_id, 3)
        owed = bool(found.service_actions)
        if found.suggestions or owed:
            best = found.suggestions[0].priority if found.suggestions else None
            triggers = sum(1 << TRIGGERS.index(name) for name in found.triggers)
            place = 2 if best is None else 0 if found.personalised else 1
            order = place, -(best or 0.0), customer_id
            conversations.append((order, Conversation(position, best, found.personalised, owed, triggers)))
    return tuple(conversation for _, conversation in sorted(conversations, key=lambda one: one[0]))


def happenings(engine, positions):
    """Something of every kind for every second customer; who complains or refuses marketing is offered nothing."""
    ids = engine.states.catalogue.product_ids
    kinds = [
        {"kind": "consent", "purpose": "personalisation", "granted": False},
        {"kind": "complaint_opened"},
        {"kind": "consent", "purpose": "marketing", "granted": False},
        {"kind": "opened", "product_id": ids[12]},
        {"kind": "balance_jump", "amount": 3_000_000.0},
        {"kind": "outcome", "product_id": ids[20], "channel": "rm", "outcome": "declined"},
    ]
    return [
        FreshEvent(engine.states.customer_id(position), day=TODAY, **kinds[number % len(kinds)])
        for number, position in enumerate(positions[::2].tolist())
    ]


@pytest.fixture(scope="module")
def positions(engine):
    return np.arange(0, engine.states.n_customers, 4)


@pytest.fixture(scope="module")
def events(engine, positions):
    return happenings(engine, positions)


class TestBookRanking:
    def test_is_what_asking_for_each_customer_gives(self, engine, positions, events):
        found = ranked(engine, positions, events)
        assert found == by_asking_one_by_one(After(engine, events), positions)
        places = [2 if c.priority is None else 0 if c.personalised else 1 for c in found]
        assert places == sorted(places)
        assert min(places.count(place) for place in (0, 1, 2)) > 5
        assert len(found) < len(positions)  # some have nothing
        assert any(c.triggers for c in found)
        assert any(c.is_owed_service for c in found if c.priority is not None)

    def test_without_events_too(self, engine, positions):
        assert ranked(engine, positions) == by_asking_one_by_one(engine, positions)

    @pytest.mark.parametrize("size", [1, 7, 64, 170, 512])
    def test_does_not_depend_on_how_many_are_decided_at_once(self, engine, positions, events, size, monkeypatch):
        expected = ranked(engine, positions, events)
        monkeypatch.setattr(book, "STEP", size)
        assert ranked(engine, positions, events) == expected

    def test_nor_on_the_order_of_positions(self, engine, positions, events):
        assert ranked(engine, positions[::-1], events) == ranked(engine, positions, events)

    def test_nor_on_how_many_suggestions_are_shown(self, engine, positions, events):
        few, many = ranked(engine, positions, events, limit=1), ranked(engine, positions, events, limit=50)
        assert few == many

    def test_a_step_decides_for_few_customers(self, engine, positions, monkeypatch):
        monkeypatch.setattr(book, "STEP", 50)
        ranking = BookRanking(engine, positions, FreshEvents.none(), limit=1)
        assert ranking.conversations == ()
        counts = []
        for _ in ranking.steps():
            mine = set(positions[: 50 * (len(counts) + 1)].tolist())
            assert {c.position for c in ranking.conversations} <= mine
            counts.append(len(ranking.conversations))
        assert len(counts) == -(-len(positions) // 50)
        assert counts == sorted(set(counts))
        complete = ranking.conversations
        assert list(ranking.steps()) == []  # nobody is decided for twice
        assert ranking.conversations == complete

    def test_others_on_the_event_loop_have_their_turn(self, engine, positions, monkeypatch):
        monkeypatch.setattr(book, "STEP", 20)
        turns = []

        async def others():
            while True:
                turns.append(len(steps))
                await asyncio.sleep(0)

        steps = []

        async def rank():
            busy = asyncio.create_task(others())
            ranking = BookRanking(engine, positions, FreshEvents.none(), limit=1)
            for _ in ranking.steps():
                steps.append(None)
                await asyncio.sleep(0)
            busy.cancel()
            return ranking.conversations

        found = asyncio.run(rank())
        assert found == ranked(engine, positions)
        assert set(turns) >= set(range(1, len(steps)))

    def test_an_empty_book(self, engine):
        assert ranked(engine, np.zeros(0, dtype=np.int64)) == ()

    def test_customers_with_nothing_are_left_out(self, engine, positions):
        refused = [
            FreshEvent(engine.states.customer_id(position), "consent", TODAY, purpose="marketing", granted=False)
            for position in positions.tolist()
        ]
        found = ranked(engine, positions, refused)
        assert 0 < len(found) < len(positions)
        assert all(c.priority is None and c.is_owed_service for c in found)
        assert [c.position for c in found] == sorted(c.position for c in found)

    def test_a_channel_that_the_policy_has_not_is_not_found(self, engine, positions):
        with pytest.raises(NotFound, match="has no channel 'pigeon'"):
            ranked(engine, positions, channel="pigeon")

    def test_the_channel_counts(self, engine, positions):
        by_phone = [
            FreshEvent(
                engine.states.customer_id(position), "consent", TODAY, purpose="marketing", channel="phone",
                granted=False,
            )
            for position in positions.tolist()
        ]  # fmt: skip
        assert all(c.priority is None for c in ranked(engine, positions, by_phone, channel="phone"))
        that_day = on(engine, TODAY)
        assert ranked(engine, positions, by_phone, channel="rm") == ranked(that_day, positions)
        assert ranked(engine, positions, by_phone) == ranked(that_day, positions)

    def test_no_suggestions_at_all_are_refused(self, engine, positions):
        with pytest.raises(BadInput, match="limit 0"):
            ranked(engine, positions, limit=0)


def test_ties_go_to_the_lower_customer_id(engine, positions, monkeypatch):
    """Made by hand: what is decided for six customers, in two steps of three and in no order."""
    decisions = {
        # position: best product, its priority, personalised, service actions, triggers
        9: (0, 5.0, True, 0, 1),
        2: (1, 5.0, True, 2, 0),
        7: (-1, 0.0, True, 1, 4),
        4: (2, 90.0, False, 0, 4),  # popularity: below all that is chosen for the person
        3: (-1, 0.0, False, 4, 4),
        1: (-1, 0.0, True, 0, 0),
        8: (0, 0.0, True, 0, 0),  # worth nothing, and yet an offer
    }

    def decide(self, block, context, *, limit, fresh):
        rows = [decisions[position] for position in block.positions.tolist()]
        best, priorities, personalised, actions, triggers = (np.array(column) for column in zip(*rows, strict=True))
        return SimpleNamespace(
            positions=block.positions, products=best[:, None], priorities=priorities[:, None].astype(np.float32),
            personalised=personalised, service_actions=actions.astype(np.uint16), triggers=triggers.astype(np.uint16),
        )  # fmt: skip

    monkeypatch.setattr(type(engine), "decide", decide)
    monkeypatch.setattr(book, "STEP", 3)
    assert ranked(engine, np.array(list(decisions))) == (
        Conversation(2, 5.0, True, True, 0),
        Conversation(9, 5.0, True, False, 1),
        Conversation(8, 0.0, True, False, 0),
        Conversation(4, 90.0, False, False, 0),  # triggers are read off the customer's own accounts
        Conversation(3, None, False, True, 0),
        Conversation(7, None, True, True, 4),
    )
