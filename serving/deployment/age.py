"""How old what is known of customers may be: decisions for today from states of long ago are wrong, silently."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from features.errors import NotReady

from ..answering.engine import DecisionEngine
from ..config import ServingConfig


class StatesTooOld(NotReady):
    """Nothing may be decided from states as old as those in use.

    Attributes
    ----------
    briefly : that, for everybody
    """

    briefly = "the states are older than anything is decided from"

    def __init__(self, says: str, briefly: str = briefly) -> None:
        super().__init__(says)
        self.briefly = briefly


@dataclass(frozen=True)
class AgeLimits:
    """Days after which states are warned of, and nothing is decided from them any more; 0: never.

    They bind only who decides for today: a policy that decides for the data's own day, as that of the demonstration
    does, is as right later as it was then.
    """

    warn: int
    refuse: int

    @classmethod
    def of(cls, config: ServingConfig) -> AgeLimits:
        """As configured."""
        return cls(config.warn_states_age_days, config.refuse_states_age_days)

    def check(self, engine: DecisionEngine) -> None:
        """See to it that something may be decided now.

        Raises
        ------
        StatesTooOld : otherwise
        """
        if self.refuse and _binds(engine) and age_days(engine) > self.refuse:
            told = (
                f"{_told(engine)}: nothing is decided from states older than {self.refuse} days "
                "(serving.refuse_states_age_days); run `nextproduct build` with newer tables and put them into use"
            )
            raise StatesTooOld(told, told)

    def warning(self, engine: DecisionEngine) -> str | None:
        """What to tell of states that are older than they should be; None: they are not."""
        if self.warn and _binds(engine) and age_days(engine) > self.warn:
            return (
                f"{_told(engine)}: decisions for today are made from them; run `nextproduct build` with newer "
                "tables and put them into use"
            )
        return None


def age_days(engine: DecisionEngine) -> int:
    """Days from the last of which the states know anything to the bank's today; a clock behind makes them no younger
    than new."""
    return max(0, (engine.clock.today() - date.fromisoformat(engine.states.manifest.known_to)).days)


def _binds(engine: DecisionEngine) -> bool:
    return engine.policy.policy.decision_day == "today"


def _told(engine: DecisionEngine) -> str:
    known_to = engine.states.manifest.known_to
    return f"the states in use know of nothing after {known_to}, {age_days(engine)} days ago"
