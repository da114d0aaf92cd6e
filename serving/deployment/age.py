"""How old what is known of customers may be: decisions for today from states of long ago are wrong, silently."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from features.errors import NotReady

from ..answering.recommender import Recommender
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

    def check(self, recommender: Recommender) -> None:
        """See to it that something may be decided now.

        Raises
        ------
        StatesTooOld : otherwise
        """
        if self.refuse and _binds(recommender) and age_days(recommender) > self.refuse:
            told = (
                f"{_told(recommender)}: nothing is decided from states older than {self.refuse} days "
                "(serving.refuse_states_age_days); run `nextproduct build` with newer tables and put them into use"
            )
            raise StatesTooOld(told, told)

    def warning(self, recommender: Recommender) -> str | None:
        """What to tell of states that are older than they should be; None: they are not."""
        if self.warn and _binds(recommender) and age_days(recommender) > self.warn:
            return (
                f"{_told(recommender)}: decisions for today are made from them; run `nextproduct build` with newer "
                "tables and put them into use"
            )
        return None


def age_days(recommender: Recommender) -> int:
    """Days from the last of which the states know anything to the bank's today; a clock behind makes them no younger
    than new."""
    return max(0, (recommender.clock.today() - date.fromisoformat(recommender.states.manifest.known_to)).days)


def _binds(recommender: Recommender) -> bool:
    return recommender.policy.policy.decision_day == "today"


def _told(recommender: Recommender) -> str:
    known_to = recommender.states.manifest.known_to
    return f"the states in use know of nothing after {known_to}, {age_days(recommender)} days ago"
