"""Fits what a bundle knows of effects, where the contacts suffice, and says so where they do not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .config import UpliftConfig
from .learner import UpliftLearner
from .residual import OddsLearner, RLearner
from .stacked import Stacked
from .trials import Trials
from .two_models import TwoModels

LEARNERS: dict[str, type[UpliftLearner]] = {
    learner.name: learner for learner in (Stacked, OddsLearner, RLearner, TwoModels)
}


@dataclass(frozen=True)
class TrialCounts:
    """How much there is to learn effects from.

    Attributes
    ----------
    contacts : with a randomised arm, whose outcome is known
    control : of them, held back
    acquisitions : of the product the contact was about, within the horizon
    customers : different ones
    """

    contacts: int
    control: int
    acquisitions: int
    customers: int

    @classmethod
    def of(cls, trials: Trials) -> TrialCounts:
        """The counts of `trials`."""
        return cls(
            len(trials), int((~trials.treated).sum()), int(trials.acquired.sum()), len(np.unique(trials.customers))
        )

    def suffice(self, config: UpliftConfig) -> bool:
        """Whether effects can be told from them: both arms, and enough of contacts and of acquisitions."""
        return (
            0 < self.control < self.contacts
            and self.contacts >= config.min_contacts
            and config.min_acquisitions <= self.acquisitions < self.contacts
        )

    def sentence(self) -> str:
        """The counts in words."""
        return (
            f"{self.contacts:,} contacts with a randomised arm ({self.control:,} held back) and {self.acquisitions:,} "
            "acquisitions after them"
        )


@dataclass(frozen=True)
class UpliftFit:
    """A fitted learner, or none, and what it was learned from."""

    learner: UpliftLearner | None
    counts: TrialCounts
    wanted: UpliftConfig

    def sentence(self) -> str:
        """What was learned of effects, or why nothing."""
        if self.learner is not None:
            return f"Effects of contacts: learned by {self.learner.name} from {self.counts.sentence()}."
        return (
            f"Effects of contacts: not learned. There are {self.counts.sentence()}; at least "
            f"{self.wanted.min_contacts:,} and {self.wanted.min_acquisitions:,} are needed."
        )


def fit_uplift(trials: Trials, config: UpliftConfig) -> UpliftFit:
    """Fit the configured learner on `trials`, where they suffice."""
    counts = TrialCounts.of(trials)
    learner = LEARNERS[config.learner](config).fit(trials) if counts.suffice(config) else None
    return UpliftFit(learner, counts, config)
