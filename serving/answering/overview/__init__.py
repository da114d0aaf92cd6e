"""What the bank knows of one customer, as an RM reads it before a conversation and as the decision sees it."""

from .overview import Overview, Suitability, overview_from, overview_of

__all__ = ["Overview", "Suitability", "overview_from", "overview_of"]
