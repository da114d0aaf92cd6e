"""What learns to score products for customers; `MODELS` lists every kind by its name."""

from .als import ALS
from .ease import EASE
from .item_item import ItemItem
from .popularity import Popularity
from .propensity import Propensity
from .protocol import Model, ModelConfig

MODELS: dict[str, type[Model]] = {model.name: model for model in (Popularity, ItemItem, ALS, EASE, Propensity)}

__all__ = ["ALS", "EASE", "MODELS", "ItemItem", "Model", "ModelConfig", "Popularity", "Propensity"]
