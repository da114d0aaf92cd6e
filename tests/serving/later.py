"""An engine that decides for another day, or after something has happened."""

from dataclasses import dataclass, replace
from datetime import date
from zoneinfo import ZoneInfo

from features.clock import Clock
from serving.answering.engine import DecisionEngine
from serving.decisions import FreshEvents

CLOCK = Clock(ZoneInfo("Asia/Shanghai"))


@dataclass(frozen=True)
class StoppedClock(Clock):
    """It is always `day`."""

    day: date

    def today(self):
        return self.day


def on(engine, day):
    """The same, under a policy that decides for today, where that is `day`."""
    loaded = engine.policy
    policy = replace(loaded, policy=loaded.policy.model_copy(update={"decision_day": "today"}))
    clock = StoppedClock(CLOCK.zone, day)
    return DecisionEngine(engine.states, engine.bundle, engine.versions.model, policy, clock)


class After:
    """An engine when `events` have happened, by default on the day of the newest of them."""

    def __init__(self, engine, events, day=None):
        day = day or max([engine.day(), *(event.day for event in events)])
        self.engine = engine if day == engine.day() else on(engine, day)
        self.states = engine.states
        self.fresh = FreshEvents.of(engine.states, events)

    def recommend(self, customer_id, limit, **how):
        return self.engine.recommend(customer_id, limit, fresh=self.fresh, **how)

    def why_not(self, customer_id, product_id, limit, **how):
        return self.engine.why_not(customer_id, product_id, limit, fresh=self.fresh, **how)

    def stream(self, **how):
        return self.engine.stream(fresh=self.fresh, **how)

    def answer(self, questions):
        return self.engine.answer(questions, fresh=self.fresh)
