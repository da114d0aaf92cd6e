"""What we know of a customer at a date: tables, states, histories, features, the customer-product matrix.

Names are loaded on first use: `nextproduct --help` must not pay for what it does not show.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .blocks import BLOCK_SIZE, CustomerBlock
    from .build import BuildConfig, build_states
    from .calendar import Calendar, Frequency
    from .catalogue import Catalogue
    from .states import CustomerStates, current_states

_MODULES = {
    "blocks": (
        "BLOCK_SIZE",
        "CustomerBlock",
    ),
    "build": (
        "BuildConfig",
        "build_states",
    ),
    "calendar": (
        "Calendar",
        "Frequency",
    ),
    "catalogue": ("Catalogue",),
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
    "Frequency",
    "build_states",
    "current_states",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
