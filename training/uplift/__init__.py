"""Uplift: what a contact changes, learned from contacts whose arm was drawn at random."""

from .config import UpliftConfig
from .design import Design
from .fitting import LEARNERS, TrialCounts, UpliftFit, fit_uplift
from .learner import UpliftLearner
from .residual import OddsLearner, RLearner
from .stacked import Stacked
from .trials import Trials, trials_of
from .two_models import TwoModels

__all__ = [
    "LEARNERS",
    "Design",
    "OddsLearner",
    "RLearner",
    "Stacked",
    "TrialCounts",
    "Trials",
    "TwoModels",
    "UpliftConfig",
    "UpliftFit",
    "UpliftLearner",
    "fit_uplift",
    "trials_of",
]
