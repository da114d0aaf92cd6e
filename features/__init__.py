"""What we know of a customer at a date: tables, states, histories, features, the customer-product matrix.

Names are loaded on first use: `nextproduct --help` must not pay for what it does not show.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .blocks import CustomerBlock
    from .build import BuildConfig, build_states
    from .calendar import Calendar, Frequency
    from .catalogue import Catalogue
    from .chunks import BLOCK_SIZE
    from .featureset import FeatureSet, block_of, blocks_of, feature_set_of
    from .states import CustomerStates, current_states

_MODULES = {
    "blocks": ("CustomerBlock",),
    "build": (
        "BuildConfig",
        "build_states",
    ),
    "calendar": (
        "Calendar",
        "Frequency",
    ),
    "catalogue": ("Catalogue",),
    "chunks": ("BLOCK_SIZE",),
    "featureset": (
        "FeatureSet",
        "block_of",
        "blocks_of",
        "feature_set_of",
    ),
    "states": (
        "CustomerStates",
        "current_states",
    ),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "BLOCK_SIZE",
    "BuildConfig",
    "Calendar",
    "Catalogue",
    "CustomerBlock",
    "CustomerStates",
    "FeatureSet",
    "Frequency",
    "block_of",
    "blocks_of",
    "build_states",
    "current_states",
    "feature_set_of",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
