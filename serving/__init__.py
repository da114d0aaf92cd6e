"""What we do about it: decisions, suggestions, campaign target lists, the service, the command line.

Names are loaded on first use: `nextproduct --help` must not pay for what it does not show.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .answering.recommendation import Recommendation
    from .decisions import Policy
    from .decisions.policy.loading import load_policy
    from .recommender import Recommender, simulate
    from .simulation.outcomes import Simulation

_MODULES = {
    "answering.recommendation": ("Recommendation",),
    "decisions": ("Policy",),
    "decisions.policy.loading": ("load_policy",),
    "recommender": ("Recommender", "simulate"),
    "simulation.outcomes": ("Simulation",),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}

__all__ = ["Policy", "Recommendation", "Recommender", "Simulation", "load_policy", "simulate"]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
