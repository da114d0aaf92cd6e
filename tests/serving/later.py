"""A recommender that decides for another day, or after something has happened."""

from dataclasses import dataclass, replace
from datetime import date
from zoneinfo import ZoneInfo

from features.clock import Clock
from serving.answering.recommender import Recommender
from serving.decisions import FreshEvents

CLOCK = Clock(ZoneInfo("Asia/Shanghai"))


@dataclass(frozen=True)
class StoppedClock(Clock):
    """It is always `day`."""

    day: date

    def today(self):
        return self.day


def on(recommender, day):
    """The same, under a policy that decides for today, where that is `day`."""
    loaded = recommender.policy
    policy = replace(loaded, policy=loaded.policy.model_copy(update={"decision_day": "today"}))
    clock = StoppedClock(CLOCK.zone, day)
    return Recommender(recommender.states, recommender.bundle, recommender.versions.model, policy, clock)


class After:
    """A recommender when `events` have happened, by default on the day of the newest of them."""

    def __init__(self, recommender, events, day=None):
        day = day or max([recommender.day(), *(event.day for event in events)])
        self.recommender = recommender if day == recommender.day() else on(recommender, day)
        self.states = recommender.states
        self.fresh = FreshEvents.of(recommender.states, events)

    def recommend(self, customer_id, limit, **how):
        return self.recommender.recommend(customer_id, limit, fresh=self.fresh, **how)

    def why_not(self, customer_id, product_id, limit, **how):
        return self.recommender.why_not(customer_id, product_id, limit, fresh=self.fresh, **how)

    def stream(self, **how):
        return self.recommender.stream(fresh=self.fresh, **how)

    def answer(self, questions):
        return self.recommender.answer(questions, fresh=self.fresh)
