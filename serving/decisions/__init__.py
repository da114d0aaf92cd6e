"""What to offer whom: the one path from propensities to decisions."""

from .decide import Decisions, Versions, decide

__all__ = ["Decisions", "Versions", "decide"]
