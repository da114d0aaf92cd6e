"""Feature families: each computes some columns of the feature block and declares what others must know of them.

A new family is a file here and a line in `FAMILIES`.
"""

from .activity import ActivityFeatures
from .adoption import AdoptionFeatures
from .attributes import ProfileFeatures
from .balances import BalanceFeatures
from .contacts import ContactFeatures
from .family import Beside, FeatureFamily
from .feature import Feature, Measure, Subject, Title, TopicKey
from .holdings import HoldingsFeatures

FAMILIES: tuple[type[FeatureFamily], ...] = (
    HoldingsFeatures,
    ProfileFeatures,
    BalanceFeatures,
    ActivityFeatures,
    ContactFeatures,
    AdoptionFeatures,
)

__all__ = ["FAMILIES", "Beside", "Feature", "FeatureFamily", "Measure", "Subject", "Title", "TopicKey"]
