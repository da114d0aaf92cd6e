from datetime import date, timedelta
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.calendar import Calendar
from features.errors import BadInput
from training.bundle import manifest_of
from training.examples import HIDE_ONE, OCCASIONS, PERIODS, hide_one_parts, occasions_cut, protocol_of, split
from training.unseen import unseen_batches

AS_OF = 24_300


class StubStates:
    """What splitting asks of states; it notes which dates were looked from."""

    def __init__(self, n_periods=30, depth=64, dated=True, occasion_days=(), customer_ids=()):
        self.as_of_period = AS_OF
        self.calendar = Calendar()
        first = AS_OF - n_periods + 1
        self.manifest = SimpleNamespace(
            as_of=str(self.calendar.end_of(AS_OF)), first_period=first, depth=depth, dated=dated,
            build_id="b", fingerprints={},
        )  # fmt: skip
        days = np.array([(day - date(1970, 1, 1)).days for day in occasion_days], dtype=np.int32)
        self.occasions = Occasions(days)
        self.customer_ids = np.array([name.encode() for name in customer_ids], dtype=np.bytes_)
        self.n_customers = len(customer_ids)
        self.looked_from = []

    def known_at(self, period):
        self.looked_from.append(period)
        return np.zeros(0, dtype=np.int64)


class Occasions(SimpleNamespace):
    def __init__(self, days):
        super().__init__(days=days)

    def __len__(self):
        return len(self.days)


def split_of(states, horizon=1, train=24, validation=2, test=2, seed=1):
    return split(
        states, horizon=horizon, train_periods=train, validation_periods=validation, test_periods=test, seed=seed
    )


def label_periods(dates, horizon):
    return {t + ahead for t in dates for ahead in range(1, horizon + 1)}


def test_dates(states, trained_to, horizon):
    """The dates that a bundle trained up to `trained_to` is judged from."""
    manifest = manifest_of(
        states, selected="popularity", models=("popularity",), protocol=PERIODS, horizon=horizon,
        trained_to=trained_to, seed=1,
    )  # fmt: skip
    states.looked_from.clear()
    list(unseen_batches(states, manifest))
    return states.looked_from


test_dates.__test__ = False

sizes = st.integers(1, 5)


class TestByTime:
    @given(horizon=st.integers(1, 3), train=st.integers(1, 30), validation=sizes, test=sizes, n=st.integers(1, 64))
    def test_no_label_is_shared(self, horizon, train, validation, test, n):
        states = StubStates(n_periods=n)
        needed = test + validation + 3 * horizon - 1
        if n < needed:
            with pytest.raises(BadInput, match=f"it has {n} periods up to .*, and needs at least {needed};"):
                split_of(states, horizon, train, validation, test)
            return
        parts = split_of(states, horizon, train, validation, test)
        unseen = test_dates(states, parts.trained_to, horizon)
        labels = [label_periods(dates, horizon) for dates in (parts.train.periods, parts.validation.periods, unseen)]
        assert not labels[0] & labels[1]
        assert not labels[1] & labels[2]
        assert not labels[0] & labels[2]
        assert max(labels[0]) < min(labels[1])
        assert max(labels[1]) == parts.trained_to < min(labels[2])
        assert max(labels[2]) == AS_OF
        # no date of a later part looks from before what an earlier part has learnt of
        assert max(labels[0]) <= min(parts.validation.periods)
        assert parts.trained_to <= min(unseen)
        assert len(unseen) == test
        assert len(parts.validation.periods) == validation
        assert len(parts.train.periods) == min(train, n - needed + 1)
        assert min(parts.train.periods) >= AS_OF - n + 1

    def test_what_the_states_no_longer_remember_is_not_learnt_from(self):
        parts = split_of(StubStates(n_periods=60, depth=12))
        assert min(parts.train.periods) == AS_OF - 12 + 1

    def test_a_short_history_is_refused_with_what_it_needs(self):
        # 2 test dates, 2 validation dates, 1 training date and the period that its labels lie in
        assert split_of(StubStates(n_periods=6)).train.periods == (AS_OF - 5,)
        with pytest.raises(BadInput, match=r"it has 5 periods up to .*needs at least 6; .*lower validation_periods"):
            split_of(StubStates(n_periods=5))


class TestOccasions:
    def test_the_cut_is_the_last_period_ended_before_the_first(self):
        first = Calendar().start_of(AS_OF - 3) + timedelta(days=9)
        states = StubStates(occasion_days=(first + timedelta(days=40), first))
        assert protocol_of(states) == OCCASIONS
        assert occasions_cut(states) == AS_OF - 4
        parts = split_of(states, horizon=2)
        assert parts.trained_to == AS_OF - 4
        assert max(label_periods(parts.validation.periods, 2)) == AS_OF - 4
        assert max(label_periods(parts.train.periods, 2)) <= min(parts.validation.periods)

    def test_one_on_a_period_s_first_day_leaves_only_the_period_before(self):
        states = StubStates(occasion_days=(Calendar().start_of(AS_OF),))
        assert occasions_cut(states) == AS_OF - 1


class TestHideOne:
    ids = tuple(f"household-{number}" for number in range(4000))

    def states(self, ids=ids):
        return StubStates(dated=False, customer_ids=sorted(ids))

    def test_parts_are_disjoint_and_complete(self):
        parts = hide_one_parts(self.states(), seed=1)
        assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(len(self.ids)))
        for part, share in zip(parts, (0.6, 0.2, 0.2), strict=True):
            # five standard deviations of a binomial share
            assert abs(len(part) / len(self.ids) - share) < 5 * (share * (1 - share) / len(self.ids)) ** 0.5

    def test_parts_are_drawn_with_the_seed(self):
        first, again, other = (hide_one_parts(self.states(), seed=seed)[2] for seed in (1, 1, 2))
        assert np.array_equal(first, again)
        # independent draws share 0.2 * 0.2 of the customers
        shared = len(np.intersect1d(first, other)) / len(self.ids)
        assert abs(shared - 0.2 * 0.2) < 5 * (0.04 * 0.96 / len(self.ids)) ** 0.5

    def test_nobody_changes_parts_when_others_come_and_go(self):
        """Broken before: the draw went by row, so newer tables mixed test customers into training."""
        old = self.states()
        new = self.states((*self.ids[100:], *(f"another household of a longer name {n}" for n in range(300))))
        for before, after in zip(hide_one_parts(old, 1), hide_one_parts(new, 1), strict=True):
            kept = {old.customer_ids[position] for position in before} & set(new.customer_ids)
            assert kept == {new.customer_ids[position] for position in after} & set(old.customer_ids)

    def test_undated_holdings_are_split_by_customer(self, undated_states):
        assert protocol_of(undated_states) == HIDE_ONE
        parts = split_of(undated_states, seed=5)
        expected = hide_one_parts(undated_states, 5)
        assert np.array_equal(parts.train.positions, expected[0])
        assert np.array_equal(parts.validation.positions, expected[1])
        assert not parts.train.once


def test_dated_tables_without_occasions_are_judged_by_periods(hand_states):
    assert protocol_of(hand_states) == PERIODS
