"""What to offer whom: the one path from propensities to decisions."""

from .compiled import CompiledPolicy, Context
from .decide import Decisions, Score, decide
from .fresh import FreshEvent, FreshEvents
from .policy.schema import Policy
from .reason_codes import Layer, Reason

__all__ = [
    "CompiledPolicy",
    "Context",
    "Decisions",
    "FreshEvent",
    "FreshEvents",
    "Layer",
    "Policy",
    "Reason",
    "Score",
    "decide",
]
