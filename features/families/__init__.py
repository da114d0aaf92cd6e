"""Feature families: each computes some columns of the feature block and says what they mean."""

from .activity import ActivityFeatures
from .adoption import AdoptionFeatures
from .balances import BalanceFeatures
from .contacts import ContactFeatures
from .family import Feature, FeatureFamily
from .holdings import HoldingsFeatures
from .profile import ProfileFeatures

FAMILIES: tuple[type[FeatureFamily], ...] = (
    HoldingsFeatures,
    ProfileFeatures,
    BalanceFeatures,
    ActivityFeatures,
    ContactFeatures,
    AdoptionFeatures,
)

__all__ = ["FAMILIES", "Feature", "FeatureFamily"]
