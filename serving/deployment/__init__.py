"""What the service has in use: which model, states and policy, since when, by whom; how that is changed and taken back.

A deployment names one of each. Whatever asks for a change opens and tries all three first, in the process that asks,
and then moves one small file; every worker sees that, opens the same three beside those in use, and goes over to them
between two answers. Names are loaded on first use: who only asks what is in use need not pay for the models.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .changes import deploy, in_workspace, roll_back
    from .deployments import Deployment, Parts, current, history
    from .in_use import InUse
    from .opening import missing_inputs, open_deployment, open_versions
    from .rehearsal import warm_up

_MODULES = {
    "changes": ("deploy", "in_workspace", "roll_back"),
    "deployments": ("Deployment", "Parts", "current", "history"),
    "in_use": ("InUse",),
    "opening": ("missing_inputs", "open_deployment", "open_versions"),
    "rehearsal": ("warm_up",),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "Deployment",
    "InUse",
    "Parts",
    "current",
    "deploy",
    "history",
    "in_workspace",
    "missing_inputs",
    "open_deployment",
    "open_versions",
    "roll_back",
    "warm_up",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
