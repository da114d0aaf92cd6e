"""The propensity model: boosted trees on a sparse linear part."""

from .propensity import Propensity, PropensityConfig

__all__ = ["Propensity", "PropensityConfig"]
