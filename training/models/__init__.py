"""What learns to score products for customers; `MODELS` lists every kind by its name."""

from .als import ALS
from .association_rules import AssociationRules
from .bpr import BPR
from .ease import EASE
from .item_item import ItemItem
from .popularity import Popularity
from .propensity import Propensity
from .protocol import Model, ModelConfig
from .transition import Transition

MODELS: dict[str, type[Model]] = {
    model.name: model for model in (Popularity, ItemItem, ALS, BPR, EASE, AssociationRules, Transition, Propensity)
}

__all__ = [
    "ALS",
    "BPR",
    "EASE",
    "MODELS",
    "AssociationRules",
    "ItemItem",
    "Model",
    "ModelConfig",
    "Popularity",
    "Propensity",
    "Transition",
]
