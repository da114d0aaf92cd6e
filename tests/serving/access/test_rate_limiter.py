"""The limiter against an obvious bucket; exact, since all figures are sums of powers of two."""

from dataclasses import dataclass
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.access import Principal, RateLimiter, Role


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self):
        return self.now


def caller(name="a", role=Role.ANALYST, how="token"):
    return Principal(name, role, "RM01", "B1", how=how)


class Bucket:
    """The oracle: so many requests are in it, it fills steadily, each request takes one."""

    def __init__(self, rate, size, now):
        self.rate, self.size, self.content, self.then = Fraction(rate), Fraction(size), Fraction(size), Fraction(now)

    def admit(self, now, requests=1):
        now = Fraction(now)
        self.content = min(self.size, self.content + (now - self.then) * self.rate)
        self.then = now
        if self.content >= requests:
            self.content -= requests
            return 0
        return (requests - self.content) / self.rate


powers = st.integers(-4, 6).map(lambda exponent: 2.0**exponent)
steps = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from([Role.ANALYST, Role.RM]), st.integers(0, 300), st.integers(1, 9)),
    max_size=60,
)


@given(rate=powers, rm_rate=powers, burst=st.integers(1, 8), start=st.integers(0, 2**20), steps=steps)
def test_it_is_a_bucket(rate, rm_rate, burst, start, steps):
    clock = Clock(float(start))
    limiter = RateLimiter(rate, burst, {Role.RM: rm_rate}, clock)
    buckets = {}
    for name, role, ticks, requests in steps:
        clock.now += ticks / 64
        own_rate = rm_rate if role is Role.RM else rate
        size = max(1, burst * Fraction(own_rate) / Fraction(rate))
        # a caller has one role: the role is part of the name
        bucket = buckets.setdefault((name, role), Bucket(own_rate, size, clock.now))
        asking = caller(f"{name} {role}", role)
        assert limiter.most_at_once(asking) == int(size)
        assert limiter.admit(asking, requests) == bucket.admit(clock.now, requests)


@given(rate=powers, burst=st.integers(1, 8), extra=st.integers(0, 20))
def test_who_waits_as_told_goes_on_and_not_before(rate, burst, extra):
    clock = Clock()
    limiter = RateLimiter(rate, burst, clock=clock)
    admitted = [limiter.admit(caller()) for _ in range(burst + extra)]
    assert admitted == [0.0] * burst + [1 / rate] * extra  # refusals do not count
    wait = limiter.admit(caller())
    clock.now += wait / 2
    assert limiter.admit(caller()) == wait / 2
    clock.now += wait / 2
    assert limiter.admit(caller()) == 0.0


def test_callers_do_not_share_a_bucket():
    limiter = RateLimiter(1, 1, clock=Clock())
    for one in (caller("a"), caller("b"), caller("a", how="api_key")):
        assert limiter.admit(one) == 0.0
        assert limiter.admit(one) == 1.0


def test_a_role_may_have_a_rate_of_its_own_and_a_burst_in_proportion():
    """4 a second with a burst of 8: two seconds' worth. So it is for 2 a second (4), and at least 1 for 1 in 4."""
    limiter = RateLimiter(4, 8, {Role.RM: 2, Role.ANALYST: 0.25}, Clock())
    for role, burst, rate in ((Role.ADMINISTRATOR, 8, 4), (Role.RM, 4, 2), (Role.ANALYST, 1, 0.25)):
        answers = [limiter.admit(caller(role.value, role)) for _ in range(burst + 1)]
        assert answers == [0.0] * burst + [1 / rate]


class TestMemory:
    def test_only_callers_of_late_are_remembered(self):
        """1 a second, burst 1: a caller is as good as new after a second, in which 100 others come."""
        clock = Clock()
        limiter = RateLimiter(1, 1, clock=clock)
        most = 0
        for number in range(20_000):
            clock.now += 1 / 100
            assert limiter.admit(caller(str(number))) == 0.0
            most = max(most, len(limiter))
        assert most == 1024  # one more, and those of more than a second ago are swept out

    def test_nobody_gets_a_new_bucket_by_coming_in_a_crowd(self):
        limiter = RateLimiter(1, 1, clock=Clock())
        crowd = [caller(str(number)) for number in range(5000)]
        assert {limiter.admit(one) for one in crowd} == {0.0}
        assert {limiter.admit(one) for one in crowd} == {1.0}
        assert len(limiter) == 5000


@pytest.mark.parametrize("rate", [0.1, 3.0, 7.7, 2000.0])
def test_in_the_long_run_the_rate_holds(rate):
    """On a clock like a machine's that has run for months, asked hardly less than four times as often as allowed."""
    clock = Clock(1e7)
    limiter = RateLimiter(rate, 1, clock=clock)
    admitted = 0
    for _ in range(400):
        admitted += limiter.admit(caller()) == 0.0
        clock.now += 1.001 / (4 * rate)
    assert admitted == 400 / 4
